"""What a question is. The table of all questions is in table.py."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from engine.errors import Problem
from engine.text import Phrase, Translate
from engine.wizard.browsing import Wanted

if TYPE_CHECKING:
    from engine.wizard.session import Wizard

# switch: yes or no. path: a file or folder that is typed. Every kind can be typed as text.
Kind = Literal["choice", "text", "path", "integer", "number", "switch"]
NOTHING = Phrase("")
NONE = Phrase("(none)")


@dataclass(frozen=True)
class Choice:
    """One thing to choose: what the answer holds, its name, and what there is to know before choosing it."""

    value: Any
    label: Phrase
    note: Phrase = NOTHING
    recommended: bool = False


@dataclass(frozen=True)
class Default:
    """The value where none is given, and why it is that."""

    value: Any
    reason: Phrase = NOTHING


@dataclass(frozen=True)
class Question:
    """One row of the table. `step` is where it is asked; `applies` hides it where earlier answers leave it no use.

    advanced: asked only where a person wants to see everything. optional: an empty answer means None, in words `empty`.
    usual: the range that people use. check: problems of a value that fits the kind. gloss: the label in other words;
    when: when to change it; takes: what can be answered; group: under which heading it is listed.
    """

    id: str
    step: str
    kind: Kind
    label: Phrase
    help: Phrase
    default: Callable[[Wizard], Default]
    choices: Callable[[Wizard], tuple[Choice, ...]] = lambda wizard: ()
    applies: Callable[[Wizard], bool] = lambda wizard: True
    advanced: Callable[[Wizard], bool] = lambda wizard: False
    check: Callable[[Wizard, Any], list[Problem]] = lambda wizard, value: []
    optional: bool = False
    usual: Phrase = field(default=NOTHING)
    wanted: Wanted | None = None
    gloss: Phrase = NOTHING
    when: Phrase = NOTHING
    takes: Phrase = NOTHING
    group: Phrase = NOTHING
    empty: Phrase = NONE


def mentions(question: Question, words: str, translate: Translate = str) -> bool:
    """Whether a question is about these words: by its name, or by any of its texts in English or the person's language.

    Underscores and capitals make no difference.
    """
    texts = (question.label, question.gloss, question.help, question.when, question.group)
    said = [question.id, *(text.say(way) for text in texts for way in (str, translate))]
    return _folded(words) in " ".join(map(_folded, said))


def _folded(text: str) -> str:
    return " ".join(text.replace("_", " ").casefold().split())


@dataclass(frozen=True)
class Request:
    """Something to find out before a step can be shown or left: hardware, checks, models, model, hub, datasets, data.

    `subject` is the model's name or the path; `options` further arguments as pairs. Hashable: an answer is looked up
    by its request, so the same question is never asked of the machine twice.
    """

    what: str
    subject: str = ""
    options: tuple[tuple[str, str], ...] = ()
