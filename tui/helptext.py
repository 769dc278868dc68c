"""What `?` and `explain` tell, as text: a question or setting, the words that belong to it, all words, advice."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from engine.advice import Advice
from engine.config.listing import Row
from engine.config.teaching import TAUGHT
from engine.failures import page_named
from engine.glossary import Term, matching, terms_of
from engine.text import clean
from engine.wizard.questions import Question
from engine.wizard.session import Wizard
from engine.wizard.table import table
from tui.failurepage import failure_text
from tui.words import _, noop, say, translate

KEYS = (
    ("↑ ↓", noop("move; Page Up and Page Down by a page")),
    ("1-9", noop("move to a row")),
    ("Enter", noop("take the row and go on")),
    ("Esc", noop("back; nothing is lost")),
    ("Tab", noop("to the next field")),
    ("l", noop("the next language")),
    ("F1", noop("this page, also while you type")),
    ("Ctrl+Z", noop("to the shell; fg comes back")),
    ("Ctrl+Q", noop("leave; a training run goes on")),
)

FILES = ("b", noop("choose from a list of files; / there types a path"))
FIT = ("f, u", noop("change what has to be changed so that it fits, and undo that"))
FIND = ("/", noop("find: in settings, in files, on this page"))
RESTORE = ("x", noop("put a setting back to its default; once more, and yours is back"))

RUN_KEYS = (
    ("s", noop("finish the step, save and end; asked twice")),
    ("d", noop("leave; the run goes on")),
    ("o", noop("the whole log in a pager, as plain text")),
    ("l", noop("all notes and the end of the log on the whole screen, and back")),
    ("c", noop("the loss on a logarithmic scale, and back")),
    ("t", noop("TensorBoard on this machine, and its end")),
    ("1-9", noop("after a failure: do that one; Enter does the current one")),
    ("r, b", noop("after a failure: start it again as it was; back to your answers")),
    *KEYS[-3:],
)

CHAT_KEYS = (
    ("Enter", noop("ask the question of the row, or the typed one; the last row goes on")),
    ("Tab", noop("from the rows to the line, and back; a letter begins a question anywhere")),
    ("↑ ↓", noop("in the line: what was asked before, and the later ones")),
    ("Esc", noop("end the answer; else empty the line")),
    ("PgUp", noop("read back; Page Down to the end, where the next answer comes")),
    ("Ctrl+O", noop("who answers, temperature, longest answer, system prompt")),
    ("Ctrl+S", noop("write the talk to a file; its path is told")),
    ("Ctrl+L", noop("forget what was said")),
    *KEYS[-3:],
)

FINISH_KEYS = (
    ("↑ ↓", noop("scroll; Page Up and Page Down by a page")),
    ("c", noop("talk to it again")),
    ("m", noop("merge what was only trained")),
    ("w", noop("write these lines to a file beside the project")),
    ("n", noop("another training, with fresh answers")),
    ("a", noop("all runs")),
    ("Enter", noop("leave")),
    *KEYS[-3:],
)

_MORE_KEYS = {  # of a step, beside those that all have
    "hardware": (("r", noop("look again")),),
    "model": (("d", noop("download it now, while you go on; Esc stops that")), FILES),
    "data": (
        ("a", noop("columns, names in a sample, what goes before each row")),
        ("v", noop("the report of every row")),
        ("r", noop("the rows as the model will see them")),
        FILES,
    ),
    "preset": (FIT,),
    "settings": (FIND, ("a", noop("show what is rarely changed as well")), RESTORE, FIT),
    "review": (
        ("t", noop("the files that Start writes")),
        ("y", noop("their YAML")),
        ("d", noop("how files that are there differ")),
        FIND,
        RESTORE,
        FIT,
    ),
}
_OWN_KEYS = {"training": RUN_KEYS, "merge": RUN_KEYS, "chat": CHAT_KEYS, "finish": FINISH_KEYS}


def help_page(wizard: Wizard, topic: str, find: str = "", failure: str = "", step: str = "") -> str:
    """The whole page, what is under the cursor first; with `find` only what mentions these words.

    step: whose keys are told; a question may have the name of one. failure: the name of the page about what has
    failed, which stands before all.
    """
    if find.strip():
        return found_text(find) or _("Nothing mentions {words}.").format(words=clean(find.strip()))
    terms, advice = matching("")
    own = _OWN_KEYS.get(step)
    told = own or (*KEYS[:5], *_MORE_KEYS.get(step, ()), *KEYS[5:])
    keys = "\n".join([heading(_("Keys")), *(f"{key:7} {translate(words)}" for key, words in told)])
    page = page_named(failure) if failure else None
    parts = [
        failure_text(page) if page else "",
        keys if own else "",
        topic_text(wizard, topic),
        "" if own else keys,
        "\n\n".join([heading(_("When it is not as it should be")), *map(advice_text, advice)]),
        "\n".join([heading(_("Words")), *map(term_text, terms)]),
    ]
    return "\n\n".join(filter(None, parts))


def topic_text(wizard: Wizard, topic: str) -> str:
    """A question and the words that belong to it, or those of a step; empty where there is nothing to say."""
    question, lines = table().get(topic), []
    if question is not None:
        lines = [heading(say(question.label)), explanation(wizard, question)]
    terms = terms_of(topic)
    if terms and not lines:
        lines = [heading(_("Here"))]
    return "\n".join([*lines, *map(term_text, terms)])


def found_text(words: str) -> str:
    """A key of the train config, terms, advice and the page of a failure that these words name or are in."""
    terms, advice = matching(words, translate)
    page = page_named(words)
    keys = [key_text(row) for row in _keys(words)]
    told = [] if keys else [advice_text(one) for one in advice]
    first = [failure_text(page)] if page else []
    return "\n\n".join(filter(None, (*first, *keys, "\n".join(map(term_text, terms)), *told)))


def explanation(wizard: Wizard, question: Question) -> str:
    """What it is, when to change it, what others use, what it takes, its default and why it is that."""
    label, gloss = say(question.label), say(question.gloss)
    head = _("{name} — {gloss}").format(name=label, gloss=gloss) if gloss else ""
    use = " ".join(filter(None, (say(question.help), say(question.when))))
    return "\n".join(filter(None, (head, use, " ".join(facts_of(wizard, question)))))


def facts_of(wizard: Wizard, question: Question) -> list[str]:
    """What others use, what can be answered, and the default with its reason, a sentence each."""
    usual, takes, reason = say(question.usual), say(question.takes), say(wizard.default(question.id).reason)
    default = say(wizard.shown(question.id, default=True))
    found = [_("Others use: {usual}.").format(usual=usual)] if usual else []
    found += [_("It takes {range}.").format(range=takes)] if takes else []
    if reason:
        return [*found, _("Default: {default}, {reason}.").format(default=default, reason=reason)]
    return [*found, _("Default: {default}.").format(default=default)]


def term_text(term: Term) -> str:
    """A line."""
    return _("{word}: {meaning}").format(word=say(term.name), meaning=say(term.meaning))


def advice_text(advice: Advice) -> str:
    """The trouble, and what to try."""
    return "\n".join([say(advice.trouble), *(f"  - {say(way)}" for way in advice.ways)])


def key_text(row: Row) -> str:
    """A key of the configs: what it is, when to change it, what it takes."""
    taught = TAUGHT.get(row.key)
    head = _("{name} — {gloss}").format(name=row.key, gloss=say(taught.gloss)) if taught else row.key
    use = [say(row.text), say(taught.when) if taught else "", say(row.instead)]
    facts = [_("It takes {range}.").format(range=say(row.takes)) if row.takes.text else ""]
    facts += [_("Default: {default}.").format(default=row.default) if row.default else ""]
    return "\n".join(filter(None, (head, _joined(use), _joined(facts))))


def heading(title: str) -> str:
    """A line that begins a part."""
    return f"── {title}"


def _keys(words: str) -> Sequence[Row]:
    from engine.config.listing import rows

    name = words.strip().lower().replace("-", "_").replace(" ", "_")
    return [row for row in rows() if row.key == name][:1]


def _joined(parts: Iterable[str]) -> str:
    return " ".join(filter(None, parts))
