"""The first screen: what Enter leads to, what appears while it is looked for, and opening a project."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.runs.folder import RunFolder
from engine.runs.retry import Retry
from engine.wizard import draft
from engine.wizard.beginning import Beginning, look_back
from engine.wizard.desk import Progress, Started
from engine.wizard.steps import step
from tests.pilot import shelf
from tests.pilot.every import opened
from tests.pilot.fakes import FakeDesk, app_of, at, screen_text, settled, started, until
from tests.unit.run_shelf import shelve
from tests.unit.test_wizard_opening import made
from tui.app import WizardApp
from tui.screens.project import ProjectScreen
from tui.screens.runs import RunsScreen
from tui.screens.start import StartScreen
from tui.widgets.field import Field
from tui.widgets.picker import Picker
from tui.words import set_language


class ResumingDesk(FakeDesk):
    """Gives back the run that was to be resumed."""

    def resume(self, run: RunFolder, retry: Retry, progress: Progress) -> Started:
        return Started(run, run.config_file, {})


def watched(app: WizardApp) -> Path | None:
    """The folder of the run that is watched."""
    return app.run_folder.path if app.run_folder else None


async def test_enter_waits_for_the_first_look_and_takes_what_came(cwd: Path) -> None:
    """A key that is struck before the rows are there must not begin anew where a run is going."""
    gate = threading.Event()
    kept = draft.Draft({"preset": "8gb"}, "settings", cwd)

    def look(folder: Path) -> Iterator[Beginning]:
        gate.wait(20)
        yield Beginning(kept)
        yield Beginning(kept, whole=True)

    app = app_of(cwd, look=look)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: isinstance(app.screen, StartScreen) and app.focused)
        await pilot.press("enter")
        await until(pilot, lambda: "Looking for runs and projects" in screen_text(app))
        gate.set()
        await at(pilot, "settings")
    assert app.wizard.answers == {"preset": "8gb"}


async def test_who_chose_a_row_waits_for_nothing(cwd: Path) -> None:
    """A disk that hangs keeps nobody from beginning."""
    gate = threading.Event()

    def look(folder: Path) -> Iterator[Beginning]:
        gate.wait(20)
        yield Beginning(whole=True)

    app = app_of(cwd, look=look)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: isinstance(app.screen, StartScreen) and app.focused)
        await pilot.press("down", "up", "enter")
        await until(pilot, lambda: app.at == "hardware")
        gate.set()


async def test_rows_that_come_do_not_move_what_was_chosen(cwd: Path) -> None:
    """Whoever stands on a row stays on it."""
    gate = threading.Event()

    def look(folder: Path) -> Iterator[Beginning]:
        yield Beginning()
        gate.wait(20)
        yield shelf.beginning()

    app = app_of(cwd, look=look)
    async with app.run_test(size=(80, 24)) as pilot:
        await started(pilot)
        offers = app.screen.query_one("#offers", Picker)
        await pilot.press("down")
        chosen = offers.key
        gate.set()
        await until(pilot, lambda: len(offers.rows) == 8)
        assert offers.key == chosen and [row.key for row in offers.rows].index(chosen) == 6


async def test_a_look_that_fails_still_begins(cwd: Path) -> None:
    """A broken index is no reason not to train."""

    def look(folder: Path) -> Iterator[Beginning]:
        yield from map(Beginning, [1 / 0])  # type: ignore[arg-type]

    app = app_of(cwd, look=look)
    async with app.run_test(size=(80, 24)) as pilot:
        await at(pilot, "hardware")


async def test_back_from_the_first_step_leads_here_and_on_again(cwd: Path) -> None:
    """The answers of before are a row by then."""
    app = app_of(cwd, look=look_back)
    async with app.run_test(size=(80, 24)) as pilot:
        await at(pilot, "hardware")
        await pilot.press("enter")
        await at(pilot, "model")
        await pilot.press("enter")
        await at(pilot, "data")
        for name in ("model", "hardware"):
            await pilot.press("escape")
            await at(pilot, name)
        answers = dict(app.wizard.answers)
        await pilot.press("escape")
        await started(pilot)
        await until(pilot, lambda: "Go on with your answers" in screen_text(app))
        await pilot.press("enter")
        await at(pilot, "data")
        assert app.wizard.answers == answers != {}


async def test_a_project_is_opened_and_changed(cwd: Path) -> None:
    """One without runs comes up at the review; leaving it untouched leaves the draft of earlier alone."""
    folder = made(cwd, project="mine", train_lora_rank="32")
    kept = draft.Draft({"preset": "8gb"}, "settings", cwd)
    draft.save(kept.wizard(), step("settings"))
    app = app_of(cwd, look=look_back)
    async with app.run_test(size=(80, 24)) as pilot:
        await started(pilot)
        await until(pilot, lambda: "Open mine" in screen_text(app))
        app.screen.query_one("#offers", Picker).move_to(("project", folder))
        await pilot.press("enter")
        await at(pilot, "review")
        assert app.wizard.value("train.lora_rank") == 32 and app.wizard.folder() == folder
        app.keep_draft()
        assert draft.load() == kept
        assert app.wizard.answer("train.lora_rank", "16") == []
        app.keep_draft()
    found = draft.load()
    assert found and found.answers["train.lora_rank"] == 16


async def test_what_cannot_be_asked_is_shown_before_the_answers(cwd: Path) -> None:
    """Nobody finds out afterwards that a key of their own was left out."""
    folder = made(cwd, project="mine")
    config = folder / "config.yaml"
    config.write_text(config.read_text() + "require_gpu: true\n")
    app = app_of(cwd, look=look_back)
    async with app.run_test(size=(80, 24)) as pilot:
        await started(pilot)
        await until(pilot, lambda: "Open mine" in screen_text(app))
        app.screen.query_one("#offers", Picker).move_to(("project", folder))
        await pilot.press("enter")
        await until(pilot, lambda: "require_gpu" in screen_text(app) and "does not ask" in screen_text(app))
        await pilot.press("enter")
        await at(pilot, "review")


async def test_what_its_newest_run_allows_comes_before_its_answers(cwd: Path) -> None:
    """To go on from the last checkpoint is one Enter; Esc leads back, and the run is no longer watched."""
    folder = made(cwd, project="mine")
    run = shelve(folder, steps=30, total=100, outcome="stopped", checkpoint=20)
    app = app_of(cwd, ResumingDesk(), look=look_back)
    async with app.run_test(size=(80, 24)) as pilot:
        await started(pilot)
        await until(pilot, lambda: "Open mine" in screen_text(app))
        app.screen.query_one("#offers", Picker).move_to(("project", folder))
        await pilot.press("enter")
        await until(pilot, lambda: "> 1 Resume training from step 20" in screen_text(app))
        await pilot.press("enter")
        await until(pilot, lambda: app.at == "training" and app.snapshot)
        assert watched(app) == run.path
        await until(pilot, lambda: "Esc back" in screen_text(app))
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, ProjectScreen))
        assert watched(app) is None
        await pilot.press("3", "enter")
        await at(pilot, "review")


async def test_another_project_is_typed_and_one_that_is_none_says_so(cwd: Path) -> None:
    """What was typed stays; Esc goes back to the list."""
    folder = made(cwd.parent, project="elsewhere")
    app = app_of(cwd)
    async with app.run_test(size=(80, 24)) as pilot:
        await started(pilot)
        app.screen.query_one("#offers", Picker).move_to("other")
        await pilot.press("enter")
        await until(pilot, lambda: app.screen.query("#files"))
        await pilot.press("/")
        await until(pilot, lambda: isinstance(app.focused, Field))
        field = app.focused
        assert isinstance(field, Field) and field.value == "/"
        field.fill(str(cwd))
        await pilot.press("enter")
        await until(pilot, lambda: "a config file is needed" in screen_text(app))
        assert field.value == str(cwd)
        await pilot.press("escape")
        await until(pilot, lambda: "is needed" not in screen_text(app) and isinstance(app.focused, Picker))
        app.screen.query_one("#offers", Picker).move_to("other")
        await pilot.press("enter")
        await until(pilot, lambda: app.screen.query("#files"))
        await pilot.press("/")
        await until(pilot, lambda: app.focused is field)
        field.fill(str(folder / "configs" / "train_config.yaml"))
        await pilot.press("enter")
        await at(pilot, "review")
        assert app.wizard.folder() == folder


async def test_a_live_run_is_first_and_runs_are_a_row(cwd: Path) -> None:
    """Whoever comes back types nothing but Enter."""
    app = app_of(cwd, look=lambda folder: iter([shelf.beginning()]))
    async with app.run_test(size=(80, 24)) as pilot:
        await started(pilot)
        assert app.screen.query_one("#offers", Picker).place == 0
        await pilot.press("end", "enter")
        await until(pilot, lambda: isinstance(app.screen, RunsScreen))
        await pilot.press("escape")
        await started(pilot)
        await pilot.press("enter")
        await until(pilot, lambda: app.at == "training")
        await pilot.press("escape")
        await started(pilot)


@pytest.mark.parametrize(
    "name", ["start_again", "project", "runs", "runs_compared", "model", "settings", "run_training"]
)
async def test_another_language_changes_the_words_and_nothing_else(name: str, cwd: Path) -> None:
    """What the other language would have drawn from the beginning, with every mark and choice in its place.

    Where `l` is the log's, as on the screen of a run, the capital letter does it.
    """
    shown = []
    for first in ("en", "zh"):
        set_language(first)
        async with opened(name, cwd) as (pilot, _app):
            if first == "en":
                await pilot.press("L" if name.startswith("run_") else "l")
            shown.append(await settled(pilot))
    assert shown[0] == shown[1]


async def test_what_is_typed_outlives_another_language(cwd: Path) -> None:
    """Nobody types a path twice."""
    async with opened("model_folder", cwd) as (pilot, app):
        await pilot.press("enter")
        await until(pilot, lambda: app.screen.query("#files"))
        await pilot.press("/")
        await until(pilot, lambda: isinstance(app.focused, Field))
        await pilot.press(*"some", "shift+tab")
        await until(pilot, lambda: not isinstance(app.focused, Field))
        await pilot.press("l")
        await settled(pilot)
        assert app.screen.query_one(Field).value == "/some"
