"""`?`: what is under the cursor first, then the keys, advice and words; `/` looks for any of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.pilot.every import opened, reach
from tests.pilot.fakes import app_of, at, screen_text, straight, until
from tests.pilot.test_walk import STEPS
from tui.app import WizardApp
from tui.screens.help import HelpPane
from tui.widgets.picker import Picker
from tui.words import set_language


def pane(app: WizardApp) -> HelpPane:
    assert isinstance(app.screen, HelpPane)
    return app.screen


EXPLAINED = {
    "train.lora_rank": "rank: How many directions",
    "train.cutoff_len": "cutoff: The longest sample",
    "train.learning_rate": "learning rate: How far",
    "train.num_train_epochs": "epoch: One pass",
    "train.template": "chat template: ",
}


async def test_the_setting_under_the_cursor_comes_first(cwd: Path) -> None:
    """With its words, its range, and its default."""
    app = app_of(cwd)
    async with app.run_test(size=(80, 24)) as pilot:
        await straight(pilot, "settings")
        for question, words in EXPLAINED.items():
            app.screen.query_one("#rows", Picker).move_to(question)
            await pilot.press("question_mark")
            await until(pilot, lambda: isinstance(app.screen, HelpPane))
            lines = [line for line in screen_text(app).splitlines() if line.strip()]
            assert question.removeprefix("train.") in lines[1]
            assert words in screen_text(app) and "It takes" in screen_text(app)
            await pilot.press("escape")
            await at(pilot, "settings")
            assert app.screen.query_one("#rows", Picker).key == question


async def test_f1_explains_while_a_value_is_typed(cwd: Path) -> None:
    """A question mark is a letter there; what was typed is still there afterwards."""
    app = app_of(cwd)
    async with app.run_test(size=(80, 24)) as pilot:
        await straight(pilot, "settings")
        app.screen.query_one("#rows", Picker).move_to("train.lora_rank")
        await pilot.press("enter", "3", "f1")
        await until(pilot, lambda: isinstance(app.screen, HelpPane))
        assert "how much the adapter can hold" in screen_text(app)
        await pilot.press("escape", "enter")
        await until(pilot, lambda: app.wizard.value("train.lora_rank") == 83)


async def test_every_step_has_help_of_its_own(cwd: Path) -> None:
    """And Esc comes back to it."""
    app = app_of(cwd)
    async with app.run_test(size=(80, 24)) as pilot:
        for name in STEPS:
            await at(pilot, name)
            await pilot.press("question_mark")
            await until(pilot, lambda: isinstance(app.screen, HelpPane))
            first = pane(app).text.split("\n── Keys")[0]
            assert len(first.splitlines()) >= 2 and "move to a row" in pane(app).text
            await pilot.press("escape")
            await at(pilot, name)
            await pilot.press("enter") if name != "review" else None


async def test_a_word_or_a_trouble_is_looked_for(cwd: Path) -> None:
    """Esc shows all again, then closes."""
    app = app_of(cwd)
    async with app.run_test(size=(80, 24)) as pilot:
        await straight(pilot, "data")
        await pilot.press("question_mark", "slash", *"slow")
        await until(pilot, lambda: "Training is slow" in screen_text(app) and "move to a row" not in screen_text(app))
        await pilot.press("enter", "down", "escape")
        await until(pilot, lambda: "Data" in screen_text(app) and isinstance(app.screen, HelpPane))
        await pilot.press("slash", *"xyzzy")
        await until(pilot, lambda: "Nothing mentions xyzzy." in screen_text(app))
        await pilot.press("escape", "escape")
        await at(pilot, "data")


async def test_odd_words_are_shown_as_they_are(cwd: Path) -> None:
    """Nothing that is typed is markup or a command."""
    app = app_of(cwd)
    async with app.run_test(size=(80, 24)) as pilot:
        await straight(pilot, "model")
        await pilot.press("question_mark", "slash")
        for typed in ("[/x]", "\x1b[31m", "[b", "'\"{0}", "%s"):
            pane(app).query_one("#finding").value = typed  # type: ignore[attr-defined]
            await until(pilot, lambda: "Nothing mentions" in screen_text(app))
            assert "\x1b" not in screen_text(app)


@pytest.mark.parametrize("name", ["start", "project", "runs", "runs_compared", "chat_refused", "finish"])
async def test_screens_beside_the_steps_have_help_too(name: str, cwd: Path) -> None:
    """They hold a failure of their own, which is no page of help."""
    async with opened(name, cwd) as (pilot, app):
        await pilot.press("f1" if name == "chat_refused" else "question_mark")
        await until(pilot, lambda: isinstance(app.screen, HelpPane))


async def test_help_speaks_the_persons_language(cwd: Path) -> None:
    """Headings and keys; the page is looked up when it is opened."""
    app = app_of(cwd)
    async with app.run_test(size=(60, 20)) as pilot:
        await straight(pilot, "model")
        set_language("zh")
        await pilot.press("question_mark")
        await until(pilot, lambda: isinstance(app.screen, HelpPane))
        assert screen_text(app)
    set_language("en")


async def test_the_keys_are_those_of_the_step(cwd: Path) -> None:
    """Not those of a run, though a question has the name of a step: whether to merge."""
    app = app_of(cwd)
    async with app.run_test(size=(80, 24)) as pilot:
        for name, words in {"data": "the report of every row", "settings": "put a setting back"}.items():
            await reach(pilot, app, name)
            await pilot.press("question_mark")
            await until(pilot, lambda: isinstance(app.screen, HelpPane))
            assert words in pane(app).text and "the next language" in pane(app).text
            await pilot.press("escape")
            await at(pilot, name)
        await pilot.press("enter")
        await at(pilot, "review")
        app.screen.query_one("#rows", Picker).move_to("merge")
        await pilot.press("question_mark")
        await until(pilot, lambda: isinstance(app.screen, HelpPane))
        assert "── Merge after training" in pane(app).text.split("── Keys")[0]
        assert "their YAML" in pane(app).text and "TensorBoard on this machine" not in pane(app).text
