"""Every answer and every file, before anything is written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from engine.errors import Problem
from engine.text import clean
from engine.wizard.session import Tree, Wizard
from engine.wizard.table import table
from tui.screens.estimate import EstimateScreen
from tui.screens.pane import TextPane
from tui.widgets import Words
from tui.widgets.form import GO, Form
from tui.words import _, noop, problem_line, translate

FILE_STATES = {"new": noop("new"), "same": noop("same"), "in the way": noop("in the way")}
ROOMY = 24  # lines of a screen that has room for every file
ASKED_HERE = ("settings", "review")  # steps whose questions are a line in a list anyway


class ReviewScreen(EstimateScreen):
    """Enter on the first row starts; on an answer it is edited, here or where it was asked."""

    step = "review"
    AUTO_FOCUS = "#rows"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("y", "files", show=False)]

    def __init__(self) -> None:
        super().__init__()
        self._seen: Tree | None = None
        self._found: Sequence[Problem] = ()

    def body(self) -> ComposeResult:
        """Answers, what the job needs, files, and the command."""
        yield Form(id="answers")
        yield Words(id="memory")
        yield Words(id="tree")
        yield Words(id="command")

    def on_mount(self) -> None:
        """A setting that a failed run asks for again is open at once."""
        super().on_mount()
        if self.wizard_app.suggested:
            self.call_after_refresh(self._open_suggested)

    def _open_suggested(self) -> None:
        suggested, self.wizard_app.suggested = self.wizard_app.suggested, {}
        for question, value in suggested.items():
            self.query_one(Form).edit(question, value)

    def refresh_body(self) -> None:
        """All as it is now."""
        app = self.wizard_app
        wizard, form = app.wizard, self.query_one(Form)
        self._seen = wizard.tree()
        self._found = () if wizard.needs(self.step) else wizard.problems(self.step, self._seen)
        form.show(wizard, _("Start"), [answer.question for answer in wizard.review()])
        whole = self.size.height >= ROOMY and not self.problems()
        files = tree_words(wizard, self._seen) if whole else count_words(wizard, self._seen)
        same = _("The same without questions: {command}").format(command=clean(wizard.command()))
        self.query_one("#memory", Words).show("" if self.editing else self.need_line())
        self.query_one("#tree", Words).show("" if self.editing else files)
        self.query_one("#command", Words).show("" if self.editing else same)
        super().refresh_body()

    def problems(self) -> Sequence[Problem]:
        """Of all steps, and why the last start did not come about."""
        return [*self.wizard_app.refusal, *self._found]

    def hints(self) -> Sequence[tuple[str, str]]:
        """`y` for the files."""
        return [("Enter", _("start or change")), ("Esc", _("back")), ("y", _("files")), *self.fit_hints()]

    def settled(self) -> None:
        """Start."""
        app = self.wizard_app
        if self.is_current and not app.starting and not app.wizard.problems(self.step):
            app.start()
        self.refresh_body()

    def action_back(self) -> None:
        """A start that is under way cannot be taken back."""
        if not self.wizard_app.starting:
            super().action_back()

    def action_files(self) -> None:
        """What will be written, as it will be written."""
        if self._seen is not None:
            self.app.push_screen(TextPane(_("The files that Start writes"), files_words(self._seen)))

    @on(Form.Going)
    def _going(self) -> None:
        if not self.wizard_app.starting:
            self.accept()

    @on(Form.Chosen)
    def _chosen(self, message: Form.Chosen) -> None:
        if self.wizard_app.starting:
            return
        if table()[message.question].step in ASKED_HERE:
            self.query_one(Form).edit(message.question)
        else:
            self.wizard_app.edit(message.question)

    @on(Form.Changed)
    def _changed(self) -> None:
        self.wizard_app.refusal = ()
        self.failed = ()
        self.refresh_body()
        if not self._found:
            self.query_one(Form).focus_rows(GO)


def tree_words(wizard: Wizard, tree: Tree) -> str:
    """The project's folder and its files, each with how it stands to what is there."""
    if not tree.files:
        return ""
    width = max(len(file.path) for file in tree.files)
    lines = [_("Files in {folder}:").format(folder=clean(wizard.value("project")))]
    lines += [f"  {file.path:{width}}  {translate(FILE_STATES[file.state])}" for file in tree.files]
    return "\n".join([*lines, *(problem_line(note) for note in tree.notes)])


def count_words(wizard: Wizard, tree: Tree) -> str:
    """The same in a line, where there is no room."""
    if not tree.files:
        return ""
    states = [file.state for file in tree.files]
    counts = [
        _("{count} {state}").format(count=states.count(state), state=translate(words))
        for state, words in FILE_STATES.items()
        if state in states
    ]
    files = _("Files in {folder}: {counts}")
    return files.format(folder=clean(wizard.value("project")), counts=_(", ").join(counts))


def files_words(tree: Tree) -> str:
    """The YAML files in full, the others by their names."""
    parts = []
    for file in tree.files:
        parts.append(f"── {file.path} ({translate(FILE_STATES[file.state])})")
        parts.append(clean(file.content) if file.path.endswith(".yaml") else "")
    return "\n".join(parts)
