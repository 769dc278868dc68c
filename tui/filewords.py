"""The files that Start writes, in words: how each stands to what is there, their YAML, and how they differ."""

from __future__ import annotations

from collections.abc import Sequence

from engine.differences import Difference
from engine.text import clean, one_line
from engine.wizard.session import Tree, Wizard
from tui.helptext import heading
from tui.words import _, noop, problem_line, say, translate

FILE_STATES = {
    "new": noop("new"),
    "same": noop("same"),
    "added to": noop("added to"),
    "in the way": noop("in the way"),
    "replaced": noop("replaced, the old one is kept"),
}


def count_words(wizard: Wizard, tree: Tree) -> str:
    """How many files of which state, in a line."""
    if not tree.files:
        return ""
    states = [state_of(wizard, file.state) for file in tree.files]
    counts = [
        _("{count} {state}").format(count=states.count(state), state=translate(words))
        for state, words in FILE_STATES.items()
        if state in states
    ]
    files = _("Files in {folder}: {counts}")
    return files.format(folder=one_line(wizard.value("project")), counts=_(", ").join(counts))


def tree_words(wizard: Wizard, tree: Tree) -> str:
    """The project's folder and its files as a tree, each with how it stands to what is there."""
    if not tree.files:
        return ""
    rows = _tree_rows(tree)
    width = max(len(shown) for shown, _state in rows)
    lines = [_("Files in {folder}:").format(folder=one_line(wizard.value("project")))]
    for shown, state in rows:
        words = translate(FILE_STATES[state_of(wizard, state)]) if state else ""
        lines.append(f"  {shown:{width}}  {words}".rstrip())
    if wizard.source() is not None:
        lines += [
            "",
            _("Your rows are converted into data/ when it starts: {file}").format(file=clean(wizard.source())),
        ]
    lines += ["", _("Later saves/ holds the adapter, models/ the merged model, logs/ the runs.")]
    lines.append(_("The same without questions: {command}").format(command=clean(wizard.command())))
    return "\n".join([*lines, *(problem_line(note) for note in tree.notes)])


def yaml_words(tree: Tree) -> str:
    """The YAML files in full, the project's first."""
    shown = [file for file in tree.files if file.path.endswith(".yaml")]
    return "\n\n".join(f"{heading(file.path)}\n{clean(file.content)}" for file in shown)


def difference_words(found: Sequence[Difference]) -> str:
    """What is there and would become other: lines with - and +."""
    return "\n\n".join("\n".join(_difference(one)) for one in found)


def state_of(wizard: Wizard, state: str) -> str:
    """How a file stands, where those in the way make room."""
    return "replaced" if state == "in the way" and wizard.replaces() else state


def _difference(found: Difference) -> list[str]:
    lines = [heading(found.path)]
    if found.instead is not None:
        return [*lines, say(found.instead)]
    lines += [clean(line) for line in found.lines]
    return [*lines, _("and {more} more lines").format(more=found.left_out)] if found.left_out else lines


def _tree_rows(tree: Tree) -> list[tuple[str, str]]:
    """(line, state) of files and, without a state, of the folders that hold them."""
    rows: list[tuple[str, str]] = []
    folder = ""
    for file in sorted(tree.files, key=lambda file: (file.path.count("/") > 0, file.path)):
        parent, _slash, name = file.path.rpartition("/")
        if parent != folder:
            folder = parent
            rows.append((f"{parent}/", ""))
        rows.append((f"  {name}" if parent else name, file.state))
    return rows
