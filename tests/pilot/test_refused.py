"""A start that is refused before there is a run: the same ways on as where a run has failed, over the review."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engine.errors import Problem
from engine.runs import index
from engine.runs.retry import Retry
from engine.wizard import draft
from tests.pilot.fakes import FakeDesk, app_of, at, resized, screen_text, straight, until
from tests.pilot.looks import look
from tests.pilot.runs import FakeRun
from tui.app import WizardApp
from tui.screens.help import HelpPane
from tui.screens.leaving import LeaveDialog
from tui.screens.pane import TextPane
from tui.screens.refused import RefusedPane
from tui.screens.review import ReviewScreen
from tui.widgets.field import Field
from tui.widgets.form import Form
from tui.widgets.picker import Picker

GATED = Problem("model_gated", {"name": "a/b", "how": "x", "page": "https://hub/a/b", "endpoint": "https://hub"})
IN_USE = Problem("in_use", {"folder": "/p/saves", "run": "r1", "pid": 7, "host": "node"})
PACKAGE = Problem("optimiser_package", {"name": "galore_adamw", "package": "galore_torch"}, key="optim")
DIED = Problem("helper_died", {"what": "x", "how": "exit code 9"})
MASKED = Problem("all_labels_masked", {"rows": 78}, key="template")


async def refused(pilot: Any, *, size: tuple[int, int] = (80, 24)) -> None:
    """Enter on Start, and the pane that comes of it."""
    app = pilot.app
    await resized(pilot, *size)
    await straight(pilot, "review")
    await pilot.press("home", "enter")
    await until(pilot, lambda: isinstance(app.screen, RefusedPane) and app.screen.is_mounted and app.focused)


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (60, 20)])
async def test_the_ways_stand_below_the_reason(cwd: Path, size: tuple[int, int]) -> None:
    """All of them in sight, with the keys, and Esc leads to the answers, where `w` brings them back."""
    desk = FakeDesk(fails=[IN_USE])
    app = app_of(cwd, desk, answers={"project": "mine"})
    async with app.run_test(size=size) as pilot:
        await refused(pilot, size=size)
        shown = screen_text(app)
        words = (
            "is in use by run r1",
            "1 Take another folder",
            "2 Watch the run that has",
            "3 Start again",
            "5 Back to",
        )
        assert all(word in shown for word in words), shown
        assert "1-9 do that one" in shown and "Esc your answers" in shown
        await pilot.press("escape")
        await at(pilot, "review")
        assert "is in use by run r1" in screen_text(app) and "w ways on" in screen_text(app)
        await pilot.press("w")
        await until(pilot, lambda: isinstance(app.screen, RefusedPane))
    assert len(desk.starts) == 1


async def test_it_is_started_again_with_what_was_chosen(cwd: Path) -> None:
    """One key changes the answer and starts; the review lists what was changed."""
    desk = FakeDesk(fails=[PACKAGE])
    app = app_of(cwd, desk, answers={"train.optim": "galore_adamw"})
    async with app.run_test(size=(80, 24)) as pilot:
        await refused(pilot)
        assert "1 Install galore_torch" in screen_text(app)
        await pilot.press("1")
        await until(pilot, lambda: "\n pip install galore_torch\n" in screen_text(app))
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, RefusedPane))
        await pilot.press("3")
        await until(pilot, lambda: app.started)
    assert len(desk.starts) == 2 and desk.starts[1]["answers"].settings["optim"] == "adamw_torch"


async def test_what_is_tried_again_is_looked_at_again(cwd: Path) -> None:
    """A model may have been copied into place meanwhile."""
    desk = FakeDesk(fails=[GATED])
    app = app_of(cwd, desk)
    async with app.run_test(size=(80, 24)) as pilot:
        await refused(pilot)
        desk.asked.clear()
        await pilot.press("2")
        await until(pilot, lambda: app.started)
    assert {"model", "data"} <= {request.what for request in desk.asked} and len(desk.starts) == 2


@pytest.mark.parametrize(("problem", "key", "step"), [(GATED, "3", "model"), (DIED, "2", "review")])
async def test_the_answers_can_be_changed_and_the_refusal_goes_with_them(
    cwd: Path, problem: Problem, key: str, step: str
) -> None:
    """Another model: what was said of the one before is over."""
    desk = FakeDesk(fails=[problem])
    app = app_of(cwd, desk)
    async with app.run_test(size=(80, 24)) as pilot:
        await refused(pilot)
        await pilot.press(key)
        await until(pilot, lambda: app.at == step and not isinstance(app.screen, RefusedPane))
        assert app.refusal == (problem,)
        app.wizard.answer("model", "smollm2-135m")
        app.wizard.answer("train.seed", 7)
        app.go("review")
        await at(pilot, "review")
        assert app.refusal == () and "ways on" not in screen_text(app)


async def test_another_folder_is_proposed_with_a_free_name(cwd: Path) -> None:
    """Enter takes it, and Start begins there."""
    (cwd / "mine").mkdir()
    desk = FakeDesk(fails=[IN_USE])
    app = app_of(cwd, desk, answers={"project": "mine"})
    async with app.run_test(size=(80, 24)) as pilot:
        await refused(pilot)
        await pilot.press("1")
        await until(pilot, lambda: app.at == "review" and app.screen.query_one(Form).editing)
        assert app.screen.query_one("#typing", Field).value == "mine-2"
        await pilot.press("enter")
        await until(pilot, lambda: not app.screen.query_one(Form).editing and app.refusal == ())
        await pilot.press("enter")
        await until(pilot, lambda: app.started)
    assert desk.starts[1]["answers"].folder == cwd / "mine-2"


async def test_what_the_look_at_the_rows_found_has_ways_too(cwd: Path) -> None:
    """Before any start: Enter on Start says why not, and a key takes a template that marks the answers."""
    desk = FakeDesk(facts={"check": lambda options: look(MASKED) if '"template"' not in options["answers"] else look()})
    app = app_of(cwd, desk)
    async with app.run_test(size=(80, 24)) as pilot:
        await straight(pilot, "review")
        await until(pilot, lambda: app.wizard.problems("review"))
        await pilot.press("home", "enter")
        await until(pilot, lambda: isinstance(app.screen, RefusedPane) and app.focused)
        assert "nothing to learn" in screen_text(app) and not desk.starts
        await pilot.press("1")
        await until(pilot, lambda: app.started)
    assert app.wizard.answers["train.template"] == "default"


async def test_an_answer_that_is_missing_is_asked_for(cwd: Path) -> None:
    """Data that were to be typed and were not: the first way leads there."""
    app = app_of(cwd, answers={"data": "file"})
    async with app.run_test(size=(80, 24)) as pilot:
        await refused(pilot)
        assert "1 Choose other data" in screen_text(app)
        await pilot.press("enter")
        await until(pilot, lambda: app.at == "data")


async def test_a_question_mark_shows_the_page_of_the_failure(cwd: Path) -> None:
    """In the pane and, once it is closed, at the review; as a way on as well."""
    app = app_of(cwd, FakeDesk(fails=[GATED]))
    async with app.run_test(size=(80, 24)) as pilot:
        await refused(pilot)
        for below in (RefusedPane, ReviewScreen):
            await pilot.press("question_mark")
            await until(pilot, lambda: isinstance(app.screen, HelpPane))
            assert "── The model is gated, unknown or out of reach" in screen_text(app)
            await pilot.press("escape")
            await until(pilot, lambda below=below: type(app.screen) is below)  # type: ignore[misc]
            await pilot.press("escape") if below is RefusedPane else None
            await until(pilot, lambda: type(app.screen) is ReviewScreen)
        await pilot.press("w")
        await until(pilot, lambda: isinstance(app.screen, RefusedPane) and app.focused)
        await pilot.press("4")
        await until(pilot, lambda: "What you see:" in screen_text(app) and type(app.screen) is TextPane)
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, RefusedPane))


async def test_only_the_log_tells_more_of_what_nobody_expected(cwd: Path, private_home: Path) -> None:
    """It is the wizard's own: there is no run that has one."""
    from engine.wizard.mending import log_file

    log_file().write_text("Traceback: \x1b[31mboom\n")
    app = app_of(cwd, FakeDesk(fails=[DIED]))
    async with app.run_test(size=(80, 24)) as pilot:
        await refused(pilot)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("shutil.which", lambda name: None)
            await pilot.press("3")
            await until(pilot, lambda: "boom" in screen_text(app))


async def test_hostile_reasons_do_no_harm(cwd: Path) -> None:
    """Names of models and folders come from elsewhere; a long one leaves the ways in sight."""
    hostile = "[/x] \x1b]52;c;aGk=\x07 [b\u202e" + "long " * 500
    problem = replace(IN_USE, params={**IN_USE.params, "folder": hostile, "run": hostile})
    app = app_of(cwd, FakeDesk(fails=[problem]))
    async with app.run_test(size=(60, 20)) as pilot:
        await refused(pilot, size=(60, 20))
        assert "1 Take another folder" in screen_text(app)
        assert not set(screen_text(app)) & set("\x1b\x07\u202e")


async def test_nothing_starts_while_a_start_is_under_way(cwd: Path) -> None:
    """`w` does nothing then, and a late refusal does not come over what is read meanwhile."""
    gate = threading.Event()
    app: WizardApp = app_of(cwd, FakeDesk(fails=[DIED], start_gate=gate))
    async with app.run_test(size=(80, 24)) as pilot:
        await straight(pilot, "review")
        await pilot.press("home", "enter", "w", "t")
        await until(pilot, lambda: type(app.screen) is TextPane)
        gate.set()
        await until(pilot, lambda: app.refusal == (DIED,))
        assert type(app.screen) is TextPane
        await pilot.press("escape", "w")
        await until(pilot, lambda: isinstance(app.screen, RefusedPane))


async def test_the_run_that_has_the_folder_is_watched(cwd: Path, tmp_path: Path, private_home: Path) -> None:
    """Esc leads back to the answers; one that is not found is said."""
    other = FakeRun(tmp_path / "other")
    other.train(7, 120)
    problem = replace(IN_USE, params={**IN_USE.params, "run": other.folder.id})
    app = app_of(cwd, FakeDesk(fails=[problem]))
    async with app.run_test(size=(80, 24)) as pilot:
        await refused(pilot)
        await pilot.press("2")
        await until(pilot, lambda: "There are no runs yet" in screen_text(app))
        index.note(other.folder)
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, RefusedPane))
        await pilot.press("2")
        await until(pilot, lambda: "step 7 of 120" in screen_text(app))
        await pilot.press("escape")
        await at(pilot, "review")
        assert app.refusal == (problem,)
    other.die()


async def test_a_start_waits_for_whoever_reads_a_page(cwd: Path) -> None:
    """Enter on Start while the data is still looked at, then `?`: what is read stays, and nothing starts behind it."""
    gate = threading.Event()
    desk = FakeDesk()
    app = app_of(cwd, desk, answers={"model": "smollm2-135m", "data": "sample:identity"})
    async with app.run_test(size=(80, 24)) as pilot:
        await straight(pilot, "review")
        desk.gate = gate
        app.wizard.facts = {request: fact for request, fact in app.wizard.facts.items() if request.what != "data"}
        await pilot.press("home", "enter", "question_mark")
        await until(pilot, lambda: isinstance(app.screen, HelpPane) and app.wizard.needs("review"))
        gate.set()
        await until(pilot, lambda: not app.wizard.needs("review"))
        assert isinstance(app.screen, HelpPane) and not desk.starts
        await pilot.press("escape")
        await at(pilot, "review")
        await pilot.press("home", "enter")
        await until(pilot, lambda: app.started)


async def test_the_question_whether_to_leave_is_no_pane_to_close(cwd: Path) -> None:
    """A way on that was chosen just before Ctrl+C: one of the two is heeded, and the other is not half done."""
    desk = FakeDesk(fails=[DIED])
    app = app_of(cwd, desk)
    async with app.run_test(size=(80, 24)) as pilot:
        await refused(pilot)
        pane = app.screen
        assert isinstance(pane, RefusedPane)
        app.push_screen(LeaveDialog())
        await until(pilot, lambda: isinstance(app.screen, LeaveDialog))
        pane._again(Retry())
        await pilot.pause()
        assert isinstance(app.screen, LeaveDialog) and len(desk.starts) == 1
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is pane)
        await pilot.press("1")
        await until(pilot, lambda: app.started)


async def test_no_answer_changes_while_a_start_is_under_way(cwd: Path) -> None:
    """What was started is what stands there."""
    gate = threading.Event()
    desk = FakeDesk(start_gate=gate)
    app = app_of(cwd, desk, answers={"train.lora_rank": 16})
    async with app.run_test(size=(80, 24)) as pilot:
        await straight(pilot, "review")
        await pilot.press("home", "enter")
        await until(pilot, lambda: app.starting)
        app.screen.query_one("#rows", Picker).move_to("train.lora_rank")
        await pilot.press("x")
        assert app.wizard.answers["train.lora_rank"] == 16
        gate.set()
        await until(pilot, lambda: app.started)


async def test_who_has_watched_the_other_run_is_at_the_answers_again(cwd: Path, tmp_path: Path) -> None:
    """Leaving is about them then, and what was reached can be gone on with."""
    other = FakeRun(tmp_path / "other")
    other.phase("tokenising")
    index.note(other.folder)
    desk = FakeDesk(fails=[replace(IN_USE, params={**IN_USE.params, "run": other.folder.id})])
    app = app_of(cwd, desk, answers={"project": "mine"})
    async with app.run_test(size=(80, 24)) as pilot:
        await refused(pilot)
        await pilot.press("2")
        await until(pilot, lambda: app.at == "training" and app.snapshot)
        await pilot.press("escape")
        await at(pilot, "review")
        assert app.run_folder is None and app.snapshot is None
        await pilot.press("ctrl+c")
        await until(pilot, lambda: "Your answers are kept" in screen_text(app))
        await pilot.press("ctrl+c")
    other.die()
    kept = draft.load()
    assert kept is not None and kept.step == "review" and kept.answers["project"] == "mine"


async def test_a_screen_arrives_once(cwd: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Textual calls the handlers of every class: what they share would be looked up and drawn again for each."""
    calls = []
    plain = ReviewScreen.arrive
    monkeypatch.setattr(ReviewScreen, "arrive", lambda self: (calls.append(1), plain(self)))
    app = app_of(cwd)
    async with app.run_test(size=(80, 24)) as pilot:
        await straight(pilot, "review")
    assert calls == [1]
