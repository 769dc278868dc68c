"""The way through the wizard with the keyboard."""

from __future__ import annotations

import threading
from pathlib import Path

from engine.errors import Problem
from engine.wizard import draft
from engine.wizard.draft import Draft
from engine.wizard.steps import step
from tests.pilot.fakes import ONE_GPU, FakeDesk, app_of, at, file_facts, resized, screen_text, started, until
from tui.app import WizardApp
from tui.widgets.field import Field
from tui.widgets.form import GO, Form
from tui.widgets.picker import Picker
from tui.words import language

STEPS = ("hardware", "model", "data", "preset", "settings", "review")


async def walk(pilot: object, *, to: str = "review") -> None:
    """Enter alone, up to a step."""
    for name in STEPS:
        await at(pilot, name)  # type: ignore[arg-type]
        if name == to:
            return
        await pilot.press("enter")  # type: ignore[attr-defined]


async def test_enter_alone_starts_a_run_of_the_defaults(cwd: Path) -> None:
    """A beginner presses Enter until it trains."""
    desk = FakeDesk()
    app = app_of(cwd, desk)
    async with app.run_test(size=(80, 24)) as pilot:
        await walk(pilot)
        await pilot.press("enter")
        await until(pilot, lambda: app.started)
        answers = desk.starts[0]["answers"]
        assert (answers.model, answers.sample, desk.starts[0]["preset"]) == ("smollm2-135m", "identity", "cpu")
        assert not any(app.wizard.changed(question.id) for question in app.wizard.questions("settings", advanced=True))


async def test_keys_struck_ahead_are_not_lost(cwd: Path) -> None:
    """Enter is remembered while something is looked up, and goes on when the answer comes."""
    gate = threading.Event()
    app = app_of(cwd, FakeDesk(gate=gate))
    async with app.run_test(size=(80, 24)) as pilot:
        await started(pilot)
        await pilot.press("enter", "enter")
        assert app.at == "hardware"
        gate.set()
        await until(pilot, lambda: app.at == "model")


async def test_a_slow_look_up_does_not_block_the_keys(cwd: Path) -> None:
    """A network disk may take a minute: moving, help and leaving work meanwhile, and the seconds are counted."""
    desk = FakeDesk()
    app = app_of(cwd, desk)
    async with app.run_test(size=(80, 24)) as pilot:
        await walk(pilot, to="model")
        desk.gate = threading.Event()
        await pilot.press("enter")
        await until(pilot, lambda: app.at == "data")
        await pilot.press("escape")
        await at(pilot, "model")
        await pilot.press("end")
        assert app.wizard.value("model") == "hub"
        await pilot.press("enter", *"a/b", "enter")
        await until(pilot, lambda: "Looking at the model" in screen_text(app))
        await until(pilot, lambda: "(1 s)" in screen_text(app))
        await pilot.press("f1")
        await until(pilot, lambda: "LoRA" in screen_text(app))
        await pilot.press("escape", "escape", "home")
        await until(pilot, lambda: app.wizard.value("model") == "smollm2-135m")
        await until(pilot, lambda: desk.cancelled)
        desk.gate.set()


async def test_back_loses_nothing(cwd: Path) -> None:
    """Every answer is still there after going back to the first step and forth again."""
    app = app_of(cwd)
    async with app.run_test(size=(80, 24)) as pilot:
        await walk(pilot, to="preset")
        await pilot.press("down", "down", "down", "enter")  # 16 GB
        await at(pilot, "settings")
        await pilot.press("down", "down", "enter", "backspace", "7", "enter")
        assert app.wizard.answers["train.lora_rank"] == 17
        for name in reversed(STEPS[:4]):
            await pilot.press("escape")
            await at(pilot, name)
        await walk(pilot)
        assert (app.wizard.value("preset"), app.wizard.value("train.lora_rank")) == ("16gb", 17)
        assert "changed" in screen_text(app)


async def test_an_answer_is_edited_from_the_review_and_comes_back(cwd: Path) -> None:
    """Nobody walks through all the steps again for one answer."""
    app = app_of(cwd, FakeDesk(ONE_GPU))
    async with app.run_test(size=(80, 24)) as pilot:
        await walk(pilot)
        await pilot.press("down", "down", "down", "enter")
        await at(pilot, "preset")
        await pilot.press("down", "enter")
        await at(pilot, "review")
        assert app.wizard.changed("preset")
        await pilot.press("down", "enter")
        await at(pilot, "model")
        await pilot.press("escape")
        await at(pilot, "review")


async def test_a_setting_is_edited_on_the_review_itself(cwd: Path) -> None:
    """Esc leaves it as it was; a value that does not fit says so in place."""
    app = app_of(cwd)
    async with app.run_test(size=(80, 24)) as pilot:
        await walk(pilot)
        app.screen.query_one("#rows", Picker).move_to("train.lora_rank")
        await pilot.press("enter", "x", "enter")
        await until(pilot, lambda: "takes a whole number" in screen_text(app))
        await pilot.press("escape")
        assert app.at == "review" and app.wizard.value("train.lora_rank") == 8
        await pilot.press("enter", "backspace", "9", "enter")
        assert app.wizard.value("train.lora_rank") == 9
        assert app.screen.query_one("#rows", Picker).key == GO


async def test_a_start_that_fails_says_why_and_loses_nothing(cwd: Path) -> None:
    """The review shows what to do, and Enter tries again."""
    app = app_of(cwd, FakeDesk(fails=[Problem("helper_died", {"what": "x", "how": "exit code 9"})]))
    async with app.run_test(size=(80, 24)) as pilot:
        await walk(pilot)
        await pilot.press("enter")
        await until(pilot, lambda: "ended without a word" in screen_text(app))
        assert app.at == "review"
        assert draft.load() is not None
        await pilot.press("enter")
        await until(pilot, lambda: app.started)


async def test_the_start_shows_how_far_it_is(cwd: Path) -> None:
    """A download takes minutes; meanwhile no answer can be changed, and leaving says that it goes on."""
    gate = threading.Event()
    app = app_of(cwd, FakeDesk(start_gate=gate))
    async with app.run_test(size=(80, 24)) as pilot:
        await walk(pilot)
        await pilot.press("enter")
        await until(pilot, lambda: "34 of 270 MB" in screen_text(app))
        await pilot.press("escape", "down", "enter")
        assert app.at == "review"
        await pilot.press("ctrl+c")
        await until(pilot, lambda: "is being started" in screen_text(app))
        gate.set()


async def test_columns_without_a_meaning_are_asked_for(cwd: Path) -> None:
    """The user's own file: which column is the question and which the answer."""
    (cwd / "mine.csv").write_text("title,body\na,b\n")
    found = {"registered": [], "files": ["mine.csv"]}
    desk = FakeDesk(facts={"datasets": found, f"data:{cwd / 'mine.csv'}": file_facts})
    app = app_of(cwd, desk)
    async with app.run_test(size=(80, 24)) as pilot:
        await walk(pilot, to="data")
        await pilot.press("2", "enter")
        await until(pilot, lambda: "Which column is which" in screen_text(app))
        await pilot.press("enter", "2", "enter")
        await until(pilot, lambda: app.screen.query_one(Form).current == "map_response")  # what is wanting still
        await pilot.press("enter")
        await until(pilot, lambda: "a body" in screen_text(app))  # an example of each column
        await pilot.press("3", "enter")
        await at(pilot, "data")
        assert app.wizard.mapping() == {"prompt": "title", "response": "body"}
        await pilot.press("enter")
        await at(pilot, "preset")


async def test_a_file_is_typed(cwd: Path) -> None:
    """A path that leads nowhere is a problem under the line, and the line keeps what was typed."""
    (cwd / "rows.csv").write_text("instruction,output\na,b\n")
    app = app_of(cwd)
    async with app.run_test(size=(80, 24)) as pilot:
        await walk(pilot, to="data")
        await pilot.press("end", "tab", *"row.csv", "enter")
        await until(pilot, lambda: "row.csv" in screen_text(app) and "!" in screen_text(app))
        assert app.at == "data"
        field = app.screen.query_one(Field)
        assert field.value == "row.csv"
        field.fill("rows.csv")
        await pilot.press("enter")
        await at(pilot, "preset")
        assert app.wizard.source() == cwd / "rows.csv"


async def test_a_model_that_is_not_found_is_tried_again(cwd: Path) -> None:
    """What was refused is looked up anew by Enter: a model may be copied into place meanwhile."""
    missing = Problem("model_missing", {"name": "a/b"})
    desk = FakeDesk(facts={"model:a/b": missing})
    app = app_of(cwd, desk)
    async with app.run_test(size=(80, 24)) as pilot:
        await walk(pilot, to="model")
        await pilot.press("end", "enter", *"a/b", "enter")
        await until(pilot, lambda: app.wizard.refusals)
        await until(pilot, lambda: "! " in screen_text(app))
        assert app.at == "model"
        del desk.facts["model:a/b"]
        await pilot.press("enter")
        await at(pilot, "data")


async def test_the_language_changes_at_once_and_is_remembered(cwd: Path) -> None:
    """`l` on the first screen."""
    app = app_of(cwd)
    async with app.run_test(size=(80, 24)) as pilot:
        await at(pilot, "hardware")
        before = screen_text(app)
        await pilot.press("l")
        await until(pilot, lambda: language() == "zh" and screen_text(app) != before)
        await pilot.press("l")
        await until(pilot, lambda: screen_text(app) == before)


async def test_a_draft_is_kept_and_offered(cwd: Path) -> None:
    """Whoever leaves, or is cut off, goes on where they were."""
    app = app_of(cwd)
    async with app.run_test(size=(80, 24)) as pilot:
        await walk(pilot, to="settings")
        app.leave(129)
    app.keep_draft()
    kept = draft.load()
    assert kept is not None and kept.step == "settings"
    assert "kept" in app.last_words()[0]
    again = app_of(cwd, draft=kept)
    async with again.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "Go on with your answers" in screen_text(again))
        await pilot.press("enter")
        await at(pilot, "settings")
    assert again.wizard.answers == app.wizard.answers


async def test_answers_edited_after_a_run_are_kept_and_those_of_a_run_are_not(cwd: Path) -> None:
    """A run that was started is found by itself; what is changed for the next try is not."""
    app = app_of(cwd)
    async with app.run_test(size=(80, 24)) as pilot:
        await walk(pilot)
        await pilot.press("enter")
        await until(pilot, lambda: app.started)
        app.keep_draft()
        await until(pilot, lambda: draft.load() is None)
        app.go("review")
        await at(pilot, "review")
        app.keep_draft()
        kept = draft.load()
    assert kept is not None and kept.started


async def test_beginning_anew_keeps_the_draft_for_now(cwd: Path) -> None:
    """A mistaken key in the offer costs nothing."""
    kept = Draft({"preset": "8gb"}, "settings", cwd)
    draft.save(kept.wizard(), step("settings"))
    app = app_of(cwd, draft=kept)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "Begin anew" in screen_text(app))
        await pilot.press("down", "enter")
        await at(pilot, "hardware")
    app.keep_draft()
    assert draft.load() == kept


async def test_the_terminals_cursor_stands_at_the_current_row(cwd: Path) -> None:
    """Braille displays and screen readers follow it."""
    app = app_of(cwd)
    async with app.run_test(size=(80, 24)) as pilot:
        await walk(pilot, to="preset")
        for _move in range(3):
            await pilot.pause()
            rows = [y for y, line in enumerate(screen_text(app).splitlines()) if line[14:].lstrip().startswith("> ")]
            assert app.cursor_position.y in rows
            await pilot.press("down")


async def test_leaving_is_asked_for_and_twice_is_enough(cwd: Path) -> None:
    """Ctrl+C is a habit; Ctrl+C twice is meant."""
    app = app_of(cwd)
    async with app.run_test(size=(80, 24)) as pilot:
        await at(pilot, "hardware")
        await pilot.press("ctrl+c")
        await until(pilot, lambda: "Stay" in screen_text(app))
        await pilot.press("enter")
        await until(pilot, lambda: "Stay" not in screen_text(app))
        await pilot.press("ctrl+q", "ctrl+c")
        await until(pilot, lambda: not app.is_running)
    assert app.return_code == 0


async def test_a_small_window_says_so_and_keeps_everything(cwd: Path) -> None:
    """Below 60 × 18 there is one sentence, and the step is back when there is room."""
    app = app_of(cwd)
    async with app.run_test(size=(80, 24)) as pilot:
        await walk(pilot, to="model")
        assert "--plain" in await resized(pilot, 40, 10)
        await resized(pilot, 5, 2)
        assert "recommended" in await resized(pilot, 80, 24)
        await pilot.press("enter")
        await at(pilot, "data")


async def test_an_error_ends_the_app_without_a_traceback_on_the_screen(cwd: Path) -> None:
    """The exception is for crash.log; the draft can still be kept."""

    class Broken(WizardApp):
        def forward(self) -> None:
            raise RuntimeError("broken")

    app = Broken(app_of(cwd).wizard, FakeDesk(), profile=app_of(cwd).profile)
    try:
        async with app.run_test(size=(80, 24)) as pilot:
            await at(pilot, "hardware")
            await pilot.press("enter")
            await pilot.pause()
    except RuntimeError as error:
        assert str(error) == "broken"
    assert isinstance(app.crash, RuntimeError)
    assert not app._exit_renderables
