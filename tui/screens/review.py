"""Every answer and every file, before anything is written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from engine.errors import Problem
from engine.failures import page_about
from engine.text import clean
from engine.wizard.ahead import start_line
from engine.wizard.asks.review import another_folder
from engine.wizard.mending import take
from engine.wizard.session import Tree
from engine.wizard.table import table
from tui.filewords import count_words, tree_words, yaml_words
from tui.screens.base import problem_words
from tui.screens.differing import DifferencePane
from tui.screens.estimate import EstimateScreen
from tui.screens.pane import TextPane
from tui.screens.refused import RefusedPane
from tui.widgets import Words
from tui.widgets.footer import Footer
from tui.widgets.form import GO, Form
from tui.widgets.picker import Picker
from tui.words import _, say

ELSEWHERE = ("model", "data", "preset")  # steps whose questions are more than a line in a list
MOST_KEYS = 6


class ReviewScreen(EstimateScreen):
    """Enter on the first row starts; on an answer it is edited, here or where it was asked.

    Files that would make room are shown as a difference before the first start that replaces them.
    """

    step = "review"
    AUTO_FOCUS = "#rows"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("t", "tree", show=False),
        Binding("y", "yaml", show=False),
        Binding("d", "differences", show=False),
        Binding("w", "ways", show=False),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._seen: Tree | None = None
        self._found: Sequence[Problem] = ()
        self._agreed: object = None  # the files that a person had replaced after seeing how they differ

    def body(self) -> ComposeResult:
        """Answers, what the job needs, files, and the command."""
        yield Form(brief=True, elsewhere=ELSEWHERE, id="answers")
        yield Words(id="memory")
        yield Words(id="tree")
        yield Words(id="command")

    def arrive(self) -> None:
        """A setting that a failed run asks for again is open at once."""
        super().arrive()
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
        form.still = app.starting is not None
        self._seen = wizard.tree()
        self._found = () if wizard.needs(self.step) else wizard.problems(self.step, self._seen)
        form.show(wizard, say(start_line(wizard, self.ahead())), [answer.question for answer in wizard.review()])
        same = _("The same without questions: {command}").format(command=clean(wizard.command()))
        for name, words in (
            ("#memory", self.need_line()),
            ("#tree", count_words(wizard, self._seen)),
            ("#command", same),
        ):
            self.query_one(name, Words).show("" if self.editing else words)
        super().refresh_body()

    def problems(self) -> Sequence[Problem]:
        """Of all steps, and why the last start did not come about."""
        return [*self.wizard_app.refusal, *self._found]

    @property
    def blocking(self) -> Sequence[Problem]:
        """The same without files that are there already: those are seen on a page of their own."""
        return [problem for problem in self.problems() if problem.code != "files_in_the_way"]

    def failure_page(self) -> str:
        """Of what keeps the start from coming about."""
        return page_about(self.blocking)

    def topic(self) -> str:
        """The answer under the cursor."""
        return self.query_one(Form).current or self.step

    def hints(self) -> Sequence[tuple[str, str]]:
        """What the keys do on the current row, and the pages to read first."""
        form = self.query_one(Form) if self.drawn else None
        name = form.current if form else ""
        back = _("show all again") if form and form.finding else _("back")
        here = name and table()[name].step not in ELSEWHERE
        changed = here and self.wizard_app.wizard.changed(name)
        keys = [
            ("Enter", _("change") if name else _("start")),
            ("Esc", back),
            *([("w", _("ways on"))] if self.blocking else []),
            *([("x", _("default"))] if changed else []),
            *([("d", _("differences"))] if self.differing else []),
            *self.fit_hints(),
            ("t", _("files")),
            ("y", _("YAML")),
        ]
        return keys[-2:] if self.wizard_app.starting else keys[:MOST_KEYS]

    @property
    def differing(self) -> bool:
        """Whether files are there that would become others."""
        return self._seen is not None and any(file.state in ("in the way", "added to") for file in self._seen.files)

    def settled(self) -> None:
        """Start, once the files that make room have been seen."""
        app = self.wizard_app
        self.refresh_body()
        if not self.is_active or app.starting or self.editing or self._seen is None:
            return
        if any(problem.code != "files_in_the_way" for problem in self._found):
            self.action_ways()
        elif any(file.state == "in the way" for file in self._seen.files) and self._seen.files != self._agreed:
            self._compare(starting=True)
        elif not self._found:
            app.start()
            self.refresh_body()

    def action_ways(self) -> None:
        """What can be done where it cannot be started so."""
        if self.blocking and self.is_active and not self.wizard_app.starting and not self.editing:
            self.app.push_screen(RefusedPane(self.wizard_app, self.blocking))

    def on_not_started(self) -> None:
        """The start came to nothing."""
        self.action_ways()

    def on_refused_pane_again(self, message: RefusedPane.Again) -> None:
        """Start with what was chosen; what it does not suit is said in its place."""
        found = take(self.wizard_app.wizard, message.retry)
        self.refresh_body()
        if found:
            self.query_one("#problems", Words).show(problem_words(found))
        else:
            self.accept()

    def action_back(self) -> None:
        """A start that is under way cannot be taken back."""
        if not self.wizard_app.starting:
            super().action_back()

    def action_tree(self) -> None:
        """What will be written where."""
        if self._seen is not None:
            text = tree_words(self.wizard_app.wizard, self._seen)
            self.app.push_screen(TextPane(_("The files that Start writes"), text))

    def action_yaml(self) -> None:
        """The configs as they will be written."""
        if self._seen is not None:
            self.app.push_screen(TextPane(_("The configs that Start writes"), yaml_words(self._seen)))

    def action_differences(self) -> None:
        """What is there and would become other."""
        if self.differing and not self.wizard_app.starting:
            self._compare(starting=False)

    def _compare(self, *, starting: bool) -> None:
        assert self._seen is not None
        self.app.push_screen(DifferencePane(self.wizard_app.wizard, self._seen, starting=starting))

    def on_difference_pane_chosen(self, message: DifferencePane.Chosen) -> None:
        """The old files make room, or the project goes elsewhere."""
        wizard, form = self.wizard_app.wizard, self.query_one(Form)
        if message.what == "folder":
            form.edit("project", another_folder(wizard))
            return
        wizard.answer("replace", True)
        self.refresh_body()
        self._agreed = self._seen.files if self._seen else None
        if message.starting:
            self.accept()

    @on(Picker.Moved, "#rows")
    def _moved(self) -> None:
        self.query_one(Footer).show_keys(self.keys())

    @on(Form.Going)
    def _going(self) -> None:
        if not self.wizard_app.starting:
            self.accept()

    @on(Form.Chosen)
    def _chosen(self, message: Form.Chosen) -> None:
        if self.wizard_app.starting:
            return
        if table()[message.question].step in ELSEWHERE:
            self.wizard_app.edit(message.question)
        else:
            self.query_one(Form).edit(message.question)

    @on(Form.Changed)
    def _changed(self) -> None:
        self.refresh_body()
        if not self._found:
            self.query_one(Form).focus_rows(GO)
