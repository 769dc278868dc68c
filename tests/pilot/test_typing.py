"""Lines to type in: the keys that are told are those that do something there, and nothing stale stands beside them."""

from __future__ import annotations

import asyncio
from pathlib import Path
from threading import Event

import pytest
from textual.events import Key, Paste
from textual.keys import _character_to_key

from engine.errors import Problem
from engine.wizard.beginning import look_back
from tests.pilot.every import reach
from tests.pilot.fakes import FakeDesk, app_of, at, file_facts, screen_text, started, until
from tests.unit.model_facts import model_facts
from tests.unit.test_wizard_opening import made
from tui.app import WizardApp
from tui.screens.help import HelpPane
from tui.screens.leaving import LeaveDialog
from tui.widgets.field import Field
from tui.widgets.footer import Footer
from tui.widgets.picker import Picker


def keys(app: WizardApp) -> dict[str, str]:
    """The footer."""
    return dict(app.screen.query_one(Footer).keys)


def strike(app: WizardApp, *keys: str) -> None:
    """Keys that arrive together, as over a line that had stalled."""
    for key in keys:
        name = _character_to_key(key) if len(key) == 1 else key
        app.post_message(Key(name, key if len(key) == 1 else None))


async def test_the_line_of_a_name_says_what_its_keys_do(cwd: Path) -> None:
    """Letters are no keys there: a footer that offers them misleads, and Enter seems to do nothing."""
    app = app_of(cwd)
    async with app.run_test(size=(80, 24)) as pilot:
        await reach(pilot, app, "model")
        before = keys(app)
        await pilot.press("end")
        await until(pilot, lambda: "Name on the hub: Enter, then type" in screen_text(app))
        await pilot.press("enter")
        await until(pilot, lambda: "Name on the hub: type it, then Enter" in screen_text(app))
        assert keys(app) == {"Enter": "take it", "Esc": "back to the list", "F1": "help", "Ctrl+Q": "leave"}
        await pilot.press("?")
        assert app.screen.query_one(Field).value == "?"
        await pilot.press("f1")
        await until(pilot, lambda: isinstance(app.screen, HelpPane))
        await pilot.press("escape", "backspace", "escape")
        await until(pilot, lambda: keys(app) == before)
        assert "Enter, then type" in screen_text(app)


async def test_the_line_of_a_file_offers_no_letters(cwd: Path) -> None:
    """`b` and `a` are letters of a path."""
    app = app_of(cwd)
    async with app.run_test(size=(80, 24)) as pilot:
        await reach(pilot, app, "data")
        await pilot.press("end")
        await until(pilot, lambda: "b" in keys(app))
        await pilot.press("tab")
        await until(pilot, lambda: list(keys(app)) == ["Enter", "Esc", "F1", "Ctrl+Q"])
        await pilot.press("escape")
        await until(pilot, lambda: "b" in keys(app))


async def test_a_project_is_typed_with_the_keys_that_are_told(cwd: Path) -> None:
    """`l` is a letter of a folder's name."""
    app = app_of(cwd)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "1 Begin" in screen_text(app))
        await pilot.press("end", "enter")
        await until(pilot, lambda: "Esc cancel" in screen_text(app))
        await pilot.press("slash")
        await until(pilot, lambda: list(keys(app)) == ["Enter", "Esc", "F1", "Ctrl+Q"])


@pytest.mark.parametrize("step", ["settings", "review"])
async def test_what_is_not_found_is_said(step: str, cwd: Path) -> None:
    """An empty list says nothing of why it is empty."""
    app = app_of(cwd)
    async with app.run_test(size=(80, 24)) as pilot:
        await reach(pilot, app, step)
        await pilot.press("slash", *"xyzzy")
        await until(pilot, lambda: "Nothing mentions xyzzy." in screen_text(app))
        assert list(keys(app)) == ["Enter", "Esc", "F1", "Ctrl+Q"]
        await pilot.press(*["backspace"] * 5, *"rank")
        await until(pilot, lambda: "Nothing mentions" not in screen_text(app) and "lora_rank" in screen_text(app))
        await pilot.press("enter")
        await until(pilot, lambda: "?" in keys(app))
        await pilot.press("escape")
        await at(pilot, step)


async def test_the_recommended_data_says_why_at_once(cwd: Path) -> None:
    """Before any key is pressed, and after the form was open."""
    app = app_of(cwd)
    async with app.run_test(size=(80, 24)) as pilot:
        await reach(pilot, app, "data")
        await until(pilot, lambda: "Recommended: its effect is seen at once." in screen_text(app))
        await pilot.press("a")
        await until(pilot, lambda: "in your words" in screen_text(app) and "Recommended:" not in screen_text(app))
        await pilot.press("escape")
        await until(pilot, lambda: "Recommended: its effect is seen at once." in screen_text(app))


async def test_beside_a_file_that_is_none_stands_nothing_of_another(cwd: Path) -> None:
    """Rows of the file before would be taken for those of the one that was refused."""
    (cwd / "mine.csv").write_text("title,body\na,b\n")
    app = app_of(cwd, FakeDesk(facts={f"data:{cwd / 'mine.csv'}": file_facts}))
    async with app.run_test(size=(80, 24)) as pilot:
        await reach(pilot, app, "data")
        await pilot.press("end", "tab", *"mine.csv", "enter")
        await until(pilot, lambda: app.screen.query_one("#rows", Picker).has_focus)
        await pilot.press("escape", "tab")
        await until(pilot, lambda: "title, body" in screen_text(app))
        await pilot.press(*["backspace"] * 4, *".none", "enter")
        await until(pilot, lambda: "There is no such file" in " ".join(screen_text(app).split()))
        assert "title, body" not in screen_text(app)


async def test_ctrl_c_comes_after_the_keys_before_it(cwd: Path) -> None:
    """Enter and at once Ctrl+C: the Enter is none that stays, which would leave a person with neither."""
    app = app_of(cwd)
    async with app.run_test(size=(80, 24)) as pilot:
        await reach(pilot, app, "review")
        strike(app, "enter", "ctrl+c")
        await until(pilot, lambda: "> 1 Stay" in screen_text(app))
        await pilot.press("down")  # is behind both, and the dialog is there to take it
        await until(pilot, lambda: "> 2 Leave" in screen_text(app))
        assert isinstance(app.screen, LeaveDialog)


async def test_keys_that_arrive_together_do_what_they_would_one_by_one(cwd: Path) -> None:
    """An Enter opens the line that what follows it is typed into; Ctrl+U does not take the letters behind it."""
    app = app_of(cwd)
    async with app.run_test(size=(80, 24)) as pilot:
        await reach(pilot, app, "settings")
        app.screen.query_one("#rows", Picker).move_to("train.num_train_epochs")
        strike(app, "enter", "ctrl+u", *"12", "backspace", *"7", "left", *"0", "enter", "home", "enter", "end")
        await until(pilot, lambda: app.at == "review")
        assert app.wizard.value("train.num_train_epochs") == 107
        await until(pilot, lambda: app.screen.query_one(Picker).place > 0)


async def test_a_paste_is_in_its_turn_too(cwd: Path) -> None:
    """What is pasted goes into the line that the key before it opens."""
    app = app_of(cwd)
    async with app.run_test(size=(80, 24)) as pilot:
        await reach(pilot, app, "settings")
        app.screen.query_one("#rows", Picker).move_to("train.num_train_epochs")
        strike(app, "enter", "ctrl+u")
        app.post_message(Paste("24"))
        strike(app, "enter")
        await until(pilot, lambda: app.wizard.value("train.num_train_epochs") == 24)


async def test_a_handler_that_hangs_does_not_take_the_keys_away(cwd: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl+C has to come through whatever waits."""
    monkeypatch.setattr("tui.keyboard.LONGEST", 0.05)
    app, never = app_of(cwd), asyncio.Event()
    async with app.run_test(size=(80, 24)) as pilot:
        await reach(pilot, app, "settings")
        app.screen.call_later(never.wait)
        strike(app, "down", "ctrl+c")
        for _turn in range(200):
            await asyncio.sleep(0.05)
            if isinstance(app.screen, LeaveDialog):
                break
        never.set()
        assert isinstance(app.screen, LeaveDialog)


async def test_leaving_says_what_becomes_of_what_is_there(cwd: Path) -> None:
    """No answers are promised where there are none; a download stops, and is not lost."""
    gate = Event()
    desk = FakeDesk(facts={"model": lambda options: model_facts("Qwen/Qwen3-0.6B") | {"here": False}}, fetch_gate=gate)
    app = app_of(cwd, desk)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "1 Begin" in screen_text(app))
        await pilot.press("ctrl+c")
        await until(pilot, lambda: "No answer was changed, and nothing was written." in screen_text(app))
        await pilot.press("escape")
        await reach(pilot, app, "model")
        await pilot.press("2", "d")
        await until(pilot, lambda: bool(app.downloads.running))
        await pilot.press("ctrl+c")
        await until(pilot, lambda: "Your answers are kept" in screen_text(app) and "download" in screen_text(app))
        gate.set()


async def test_leaving_a_download_of_the_recommended_model_says_that_it_stops(cwd: Path) -> None:
    """Nothing was answered, but something goes on."""
    gate = Event()
    desk = FakeDesk(facts={"model": lambda options: model_facts("smollm2-135m") | {"here": False}}, fetch_gate=gate)
    app = app_of(cwd, desk)
    async with app.run_test(size=(80, 24)) as pilot:
        await reach(pilot, app, "model")
        await pilot.press("d")
        await until(pilot, lambda: bool(app.downloads.running))
        await pilot.press("ctrl+c")
        await until(pilot, lambda: "No answer was changed. The download stops;" in screen_text(app))
        assert "written" not in screen_text(app)
        gate.set()
    assert app.wizard.answers == {} and "Nothing was written." not in app.last_words()


async def test_leaving_after_a_start_that_was_refused_does_not_say_that_nothing_was_written(cwd: Path) -> None:
    """The project's files may have been, though not one of its answers was changed."""
    made(cwd, project="mine")
    app = app_of(cwd, FakeDesk(fails=[Problem("model_not_found", {"name": "x"})]), look=look_back)
    async with app.run_test(size=(80, 24)) as pilot:
        await started(pilot)
        await until(pilot, lambda: "Open mine" in screen_text(app))
        app.screen.query_one("#offers", Picker).move_to(("project", cwd / "mine"))
        await pilot.press("enter")
        await at(pilot, "review")
        await pilot.press("enter")
        await until(pilot, lambda: app.refusal)
        await pilot.press("ctrl+c")
        await until(pilot, lambda: "No answer was changed." in screen_text(app))
        assert "written" not in screen_text(app)
    assert "Nothing was written." not in app.last_words()


async def test_while_it_starts_only_keys_that_do_something_are_told(cwd: Path) -> None:
    """A start cannot be taken back or asked for twice."""
    gate = Event()
    app = app_of(cwd, FakeDesk(start_gate=gate))
    async with app.run_test(size=(80, 24)) as pilot:
        await reach(pilot, app, "review")
        await pilot.press("enter")
        await until(pilot, lambda: list(keys(app)) == ["t", "y", "?", "Ctrl+Q"])
        gate.set()
