"""The ways on from a failure do what they say, from the keys; and what was changed for a run stays to be seen."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engine.errors import Problem
from engine.runs.retry import Retry
from engine.wizard.desk import Started
from tests.pilot.fakes import app_of, screen_text, until
from tests.pilot.runs import HOME, FakeRun
from tests.pilot.test_run_screen import (
    CONFIG,
    OURS,
    ResumingDesk,
    bad_data,
    disk_full,
    gated_model,
    labels_masked,
    nan_loss,
    out_of_memory,
    package_missing,
    put,
    seen_after,
    training,
)
from tui.widgets.field import Field
from tui.widgets.form import Form


@pytest.mark.parametrize(
    ("what", "keys", "retry"),
    [
        (out_of_memory, ["enter"], Retry(smaller=True)),
        (nan_loss, ["1"], Retry({"learning_rate": 1e-4})),
        (nan_loss, ["2"], Retry()),
        (nan_loss, ["down", "enter"], Retry()),
        (labels_masked, ["1"], Retry({"template": "default"})),
    ],
)
async def test_a_run_is_started_again_with_what_was_chosen(
    cwd: Path, tmp_path: Path, what: Callable[[FakeRun], None], keys: list[str], retry: Retry
) -> None:
    """One key; the new run is watched, and says what is different about it."""
    again = FakeRun(tmp_path / "again", changes=("train.learning_rate=0.0001",))
    again.train(7, 120)
    desk = ResumingDesk(resumed=Started(again.folder, CONFIG, {}))
    app = app_of(cwd, desk)
    async with app.run_test(size=(80, 24)) as pilot:
        await put(pilot, seen_after(tmp_path, what), started=None)
        await pilot.press(*keys)
        await until(pilot, lambda: "step 7 of 120" in screen_text(app))
        assert "Set beside the file: train.learning_rate=0.0001" in screen_text(app)
    assert desk.asked_for == [(HOME, retry)]
    again.die()


async def test_the_command_of_the_chosen_way_stands_below_it(cwd: Path, tmp_path: Path) -> None:
    """Whoever wants it in a script copies it from there."""
    app = app_of(cwd)
    async with app.run_test(size=(120, 40)) as pilot:
        await put(pilot, seen_after(tmp_path, nan_loss), started=None)
        command = f"At a shell: sft-wizard resume {HOME.name}"
        assert f"{command} --set learning_rate=0.0001" in screen_text(app)
        await pilot.press("down")
        await until(pilot, lambda: f"{command}\n" in screen_text(app))


async def test_the_setting_is_asked_again_with_a_value_filled_in(cwd: Path, tmp_path: Path) -> None:
    """Enter takes it, Esc leaves it as it was; either way the review is there."""
    for last, rate in (("enter", 1e-4), ("escape", 3e-4)):
        app = app_of(cwd, answers={"train.learning_rate": 3e-4})
        async with app.run_test(size=(80, 24)) as pilot:
            await put(pilot, seen_after(tmp_path / last, nan_loss))
            await pilot.press("2")
            await until(pilot, lambda app=app: app.at == "review" and app.screen.query_one(Form).editing)  # type: ignore[misc]
            assert app.screen.query_one("#typing", Field).value == "0.0001"
            await pilot.press(last)
            await until(pilot, lambda app=app: not app.screen.query_one(Form).editing)  # type: ignore[misc]
            assert app.wizard.value("train.learning_rate") == rate and app.suggested == {}


@pytest.mark.parametrize(("what", "keys", "step"), [(gated_model, ["3"], "model"), (bad_data, ["2"], "data")])
async def test_another_model_or_other_data_can_be_chosen(
    cwd: Path, tmp_path: Path, what: Callable[[FakeRun], None], keys: list[str], step: str
) -> None:
    app = app_of(cwd)
    async with app.run_test(size=(80, 24)) as pilot:
        await put(pilot, seen_after(tmp_path, what))
        await pilot.press(*keys)
        await until(pilot, lambda: app.at == step)


async def test_the_bad_row_is_shown_between_its_neighbours(cwd: Path, tmp_path: Path) -> None:
    """Cleaned: whatever made it bad must not reach the terminal."""
    rows = tmp_path / "rows.jsonl"
    rows.write_text("".join(json.dumps({"row": number}) + "\n" for number in range(1, 10)) + "\x1b]0;x\x07[/x]\n")

    def broken(run: FakeRun) -> None:
        run.fail("data_json_truncated", file=str(rows), line=10)

    app = app_of(cwd)
    async with app.run_test(size=(80, 24)) as pilot:
        await put(pilot, seen_after(tmp_path, broken), started=None)
        await pilot.press("enter")
        await until(pilot, lambda: "> 10: \\x1b]0;x\\x07[/x]" in screen_text(app))
        assert '8: {"row": 8}' in screen_text(app) and '7: {"row"' not in screen_text(app)
        await pilot.press("escape")
        rows.unlink()
        await pilot.press("1")
        await until(pilot, lambda: "cannot be read: No such file" in screen_text(app))


async def test_what_to_type_is_shown_where_only_a_shell_helps(cwd: Path, tmp_path: Path) -> None:
    app = app_of(cwd)
    async with app.run_test(size=(80, 24)) as pilot:
        await put(pilot, seen_after(tmp_path, package_missing), started=None)
        await pilot.press("enter")
        await until(pilot, lambda: "\n pip install sentencepiece\n" in screen_text(app))


async def test_what_takes_room_is_listed_with_what_deletes_it(cwd: Path, tmp_path: Path) -> None:
    """Older checkpoints and what was moved aside; the newest checkpoint is what a resume needs."""
    output = tmp_path / "saves" / "adapter"
    for name, size in (("checkpoint-10", 3000), ("checkpoint-50", 9000), ("../adapter.20260101T000000", 5_000_000)):
        (output / name).mkdir(parents=True)
        (output / name / "weights").write_bytes(b"x" * size)
    seen = seen_after(tmp_path, disk_full)
    config: dict[str, Any] = {**seen.config, "train": {"config": {"output_dir": str(output)}}}
    app = app_of(cwd)
    async with app.run_test(size=(120, 40)) as pilot:
        await put(pilot, replace(seen, config=config), started=None)
        await pilot.press("1")
        await until(pilot, lambda: "What can be deleted" in screen_text(app))
        shown = screen_text(app)
        assert "5.0 MB" in shown and "3.0 kB" in shown and "checkpoint-50" not in shown
        assert shown.index("5.0 MB") < shown.index("3.0 kB") and f"{output}/checkpoint-10" in shown


async def test_a_refusal_keeps_the_ways_on(cwd: Path, tmp_path: Path) -> None:
    """Nothing saves memory any more: the others are still there to choose."""
    desk = ResumingDesk(resumed=Problem("nothing_smaller", {"smaller": "-"}))
    app = app_of(cwd, desk)
    async with app.run_test(size=(80, 24)) as pilot:
        await put(pilot, seen_after(tmp_path, out_of_memory))
        await pilot.press("1")
        await until(pilot, lambda: "No setting of this job would save memory" in screen_text(app))
        assert "2 Go on from step 50" in screen_text(app)


async def test_nothing_is_offered_while_a_run_goes_on(cwd: Path, tmp_path: Path) -> None:
    """A digit that started a second run on the same folder would be a bad surprise."""
    desk = ResumingDesk()
    app = app_of(cwd, desk)
    async with app.run_test(size=(80, 24)) as pilot:
        await put(pilot, seen_after(tmp_path, training), started=OURS)
        await pilot.press("1", "enter", "2")
        assert app.at == "training" and desk.asked_for == []


@pytest.mark.parametrize(
    ("what", "page"),
    [
        (out_of_memory, "── Out of memory"),
        (nan_loss, "── The loss is NaN or infinite"),
        (bad_data, "── A row of the data cannot be read or used"),
    ],
)
async def test_a_question_mark_shows_the_page_of_the_failure(
    cwd: Path, tmp_path: Path, what: Callable[[FakeRun], None], page: str
) -> None:
    """Before the keys and the words; `/` looks for words as ever, and Esc leads back to the ways."""
    app = app_of(cwd)
    async with app.run_test(size=(80, 24)) as pilot:
        await put(pilot, seen_after(tmp_path, what), started=None)
        await pilot.press("question_mark")
        await until(pilot, lambda: page in screen_text(app) and "What you see:" in screen_text(app))
        await pilot.press("slash", *"stop")
        await until(pilot, lambda: page not in screen_text(app))
        await pilot.press("escape")
        await until(pilot, lambda: page in screen_text(app))
        await pilot.press("escape")
        await until(pilot, lambda: "Read what this is and how to prevent it" in screen_text(app))


async def test_the_page_is_a_way_on_too(cwd: Path, tmp_path: Path) -> None:
    """With the command that shows it at a shell."""
    app = app_of(cwd)
    async with app.run_test(size=(80, 24)) as pilot:
        await put(pilot, seen_after(tmp_path, out_of_memory), started=None)
        await pilot.press("down", "down", "down")
        await until(pilot, lambda: "At a shell: sft-wizard explain out-of-memory" in screen_text(app))
        await pilot.press("enter")
        await until(pilot, lambda: "── Out of memory" in screen_text(app))


async def test_help_of_a_run_that_goes_on_begins_with_its_keys(cwd: Path, tmp_path: Path) -> None:
    app = app_of(cwd)
    async with app.run_test(size=(80, 24)) as pilot:
        await put(pilot, seen_after(tmp_path, training), started=OURS)
        await pilot.press("question_mark")
        await until(pilot, lambda: screen_text(app).split("\n")[1].startswith(" ── Keys"))
