"""The settings: what each is for, found by any word, put back on a key; and what follows from them."""

from __future__ import annotations

from pathlib import Path

from textual.pilot import Pilot

from tests.pilot.fakes import ONE_GPU, SMALL_GPU, FakeDesk, app_of, at, resized, screen_text, straight, until
from tests.pilot.test_walk import walk
from tui.app import WizardApp
from tui.widgets.field import Field
from tui.widgets.footer import Footer
from tui.widgets.form import GO, Form
from tui.widgets.picker import Picker

SIZES = [(80, 24), (120, 40), (60, 20)]
LARGE = {"model": "Qwen/Qwen3-8B"}


def rows(app: WizardApp) -> Picker:
    return app.screen.query_one("#rows", Picker)


async def on(pilot: Pilot[object], app: WizardApp, question: str) -> None:
    """The cursor on a question's row."""
    rows(app).move_to(question)
    await pilot.press("down", "up")
    assert rows(app).key == question


async def test_a_setting_says_what_it_is_for(cwd: Path) -> None:
    """In other words, what it does, when to change it, what others use: at every size, with rows left to see."""
    app = app_of(cwd)
    async with app.run_test(size=(80, 24)) as pilot:
        await walk(pilot, to="settings")
        await on(pilot, app, "train.lora_rank")
        for size in SIZES:
            await resized(pilot, *size)
            await until(pilot, lambda: "an epoch," in screen_text(app) and "Memory: fits" in screen_text(app))
            shown = " ".join(screen_text(app).split())
            assert "how much the adapter can hold" in shown and "Raise it where" in shown
            assert rows(app).size.height >= 6
            if size != (60, 20):
                assert "Others use: 4–64." in shown and "from 1 to 4096" in shown and "Default: 8, from" in shown


async def test_a_wide_screen_has_the_meaning_beside_each_name(cwd: Path) -> None:
    """Without moving to it."""
    app = app_of(cwd)
    async with app.run_test(size=(120, 40)) as pilot:
        await straight(pilot, "settings")
        for gloss in ("how strongly the adapter counts", "longest sample, in tokens", "times through all rows"):
            assert gloss in screen_text(app)


async def test_the_rare_ones_stand_under_headings_that_are_passed_over(cwd: Path) -> None:
    """The keys never stop on one, in either direction, and every question is reached."""
    app = app_of(cwd)
    async with app.run_test(size=(80, 24)) as pilot:
        await straight(pilot, "settings")
        await pilot.press("a")
        picker = rows(app)
        headings = [row.label for row in picker.rows if row.heading]
        assert headings == [
            *("Adapter", "Data", "Optimiser", "Schedule", "Precision and memory", "Saving and logging"),
            *("Evaluation", "The run"),
        ]
        seen = {picker.key}
        for _row in picker.rows:
            picker.action_move(1)
            seen.add(picker.key)
        assert len(seen) == len(picker.rows) - len(headings)
        for key in ("pageup", "pageup", "pagedown", "home", "end"):
            await pilot.press(key)
            assert not picker.rows[picker.place].heading


async def test_a_setting_is_found_by_any_word(cwd: Path) -> None:
    """Rare ones too; Enter leads to the first, Esc shows all again and loses nothing."""
    app = app_of(cwd)
    async with app.run_test(size=(80, 24)) as pilot:
        await straight(pilot, "settings")
        before = len(rows(app).rows)
        await pilot.press("slash", *"checkpoint")
        await until(pilot, lambda: "train.save_steps" in [row.key for row in rows(app).rows])
        assert "train.lora_rank" not in [row.key for row in rows(app).rows]
        await pilot.press("enter")
        assert rows(app).has_focus and rows(app).key not in (GO, "")
        app.screen.query_one("#rows", Picker).move_to("train.save_steps")
        await pilot.press("enter", "backspace", "backspace", *"25", "enter")
        assert app.wizard.value("train.save_steps") == 25
        await pilot.press("escape")
        await until(pilot, lambda: len(rows(app).rows) == before)
        assert app.at == "settings" and app.wizard.changed("train.save_steps")
        await pilot.press("slash", *"xyzzy")
        await until(pilot, lambda: [row.key for row in rows(app).rows] == [GO])
        await pilot.press("escape", "escape")
        await at(pilot, "preset")


async def test_x_takes_the_default_and_once_more_gives_back_what_was_typed(cwd: Path) -> None:
    """Nothing that was typed is lost."""
    app = app_of(cwd)
    async with app.run_test(size=(80, 24)) as pilot:
        await straight(pilot, "settings")
        await on(pilot, app, "train.lora_rank")
        await pilot.press("enter", "backspace", *"33", "enter")
        assert app.wizard.value("train.lora_rank") == 33 and "x default" in screen_text(app)
        await pilot.press("x")
        await until(pilot, lambda: "changed" not in screen_text(app))
        assert "train.lora_rank" not in app.wizard.answers and "x default" not in screen_text(app)
        await pilot.press("delete")
        await until(pilot, lambda: "changed" in screen_text(app))
        assert app.wizard.value("train.lora_rank") == 33
        await pilot.press("home", "x")
        assert app.wizard.value("train.lora_rank") == 33


async def test_a_wrong_value_is_refused_with_the_range_and_stays_to_be_corrected(cwd: Path) -> None:
    """In place; the line keeps what was typed."""
    app = app_of(cwd)
    async with app.run_test(size=(80, 24)) as pilot:
        await straight(pilot, "settings")
        await on(pilot, app, "train.lora_rank")
        for value in ("0", "5000", "much", "1.5", "-3", "[1]", "{a", "' "):
            await pilot.press("enter")
            app.screen.query_one("#typing", Field).fill(value)
            await pilot.press("enter")
            await until(pilot, lambda: "a whole number from 1 to 4096, not" in " ".join(screen_text(app).split()))
            assert app.screen.query_one("#typing", Field).value == value
            assert app.screen.query_one(Form).editing and "train.lora_rank" not in app.wizard.answers
            await pilot.press("escape")


async def test_what_does_not_go_together_is_told_here(cwd: Path) -> None:
    """And keeps the step, until one of the two is put back."""
    app = app_of(cwd, FakeDesk(ONE_GPU), answers={"train.bf16": True, "train.fp16": True})
    async with app.run_test(size=(80, 24)) as pilot:
        await straight(pilot, "settings")
        assert "fp16" in screen_text(app) and "! " in screen_text(app)
        await pilot.press("enter")
        assert app.at == "settings"
        await pilot.press("a")
        await on(pilot, app, "train.fp16")
        await pilot.press("x", "home", "enter")
        await at(pilot, "review")


async def test_steps_move_with_the_settings(cwd: Path) -> None:
    """Twice the epochs, twice the steps."""
    app = app_of(cwd)
    async with app.run_test(size=(80, 24)) as pilot:
        await walk(pilot, to="settings")
        assert "Steps: 10 an epoch, 30 in all" in screen_text(app)
        await on(pilot, app, "train.num_train_epochs")
        await pilot.press("enter")
        app.screen.query_one("#typing", Field).fill("6")
        await pilot.press("enter")
        await until(pilot, lambda: "60 in all" in screen_text(app))


async def test_what_was_made_to_fit_is_undone_with_one_key(cwd: Path) -> None:
    """Also a step later; once something else was chosen, the key is gone."""
    app = app_of(cwd, FakeDesk(SMALL_GPU), answers=LARGE)
    async with app.run_test(size=(80, 24)) as pilot:
        await walk(pilot, to="preset")
        before = dict(app.wizard.answers)
        await pilot.press("f")
        await until(pilot, lambda: "u undo the fit" in screen_text(app))
        assert "4 bits" in screen_text(app) and app.wizard.answers != before
        await pilot.press("u")
        await until(pilot, lambda: "f make it fit" in screen_text(app))
        assert app.wizard.answers == before
        await pilot.press("f", "enter")
        await at(pilot, "settings")
        assert "u undo the fit" in screen_text(app)
        await pilot.press("u")
        await until(pilot, lambda: "f make it fit" in screen_text(app))
        await pilot.press("f", "a")
        await on(pilot, app, "train.quantization_bit")
        await pilot.press("x")
        await until(pilot, lambda: "u undo" not in screen_text(app))


async def test_the_footer_has_six_keys_at_most(cwd: Path) -> None:
    """Besides help and leaving, in the fullest state."""
    app = app_of(cwd, FakeDesk(SMALL_GPU), answers=LARGE)
    async with app.run_test(size=(60, 20)) as pilot:
        await straight(pilot, "settings")
        await on(pilot, app, "train.lora_rank")
        await pilot.press("enter", "backspace", *"33", "enter")
        assert len(app.screen.query_one(Footer).keys) <= 8
        assert "? help" in screen_text(app)
