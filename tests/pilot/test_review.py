"""The review: what starts, every answer, the pages to read first, and files that are there already."""

from __future__ import annotations

from pathlib import Path

from tests.pilot.fakes import FakeDesk, app_of, at, resized, screen_text, straight, until
from tui.app import WizardApp
from tui.screens.differing import DifferencePane
from tui.screens.pane import TextPane
from tui.widgets.field import Field
from tui.widgets.form import GO, Form
from tui.widgets.picker import Picker

HERE = {"project": "mine"}


def rows(app: WizardApp) -> Picker:
    return app.screen.query_one("#rows", Picker)


def in_the_way(cwd: Path, text: str = "version: 1\nmine: yes\n") -> Path:
    """Somebody's file of a name that Start writes."""
    file = cwd / "mine/config.yaml"
    file.parent.mkdir(exist_ok=True)
    file.write_text(text)
    return file


async def test_answers_have_most_of_the_screen(cwd: Path) -> None:
    """With the command, the files and the need below them."""
    app = app_of(cwd)
    async with app.run_test(size=(80, 24)) as pilot:
        await straight(pilot, "review")
        for size, least in (((80, 24), 12), ((120, 40), 14), ((60, 20), 8)):
            await resized(pilot, *size)
            await until(pilot, lambda: "7 new" in screen_text(app))
            shown = " ".join(screen_text(app).split())
            assert rows(app).size.height >= least
            assert "> Start: train 30 steps, merge, about" in shown and "--replay" in shown
            assert "Memory: fits" in shown and app.screen.query_one("#body").max_scroll_y == 0


async def test_the_tree_and_the_yaml_are_pages(cwd: Path) -> None:
    """And nothing of it is written for being read."""
    app = app_of(cwd, answers=HERE)
    async with app.run_test(size=(80, 24)) as pilot:
        await straight(pilot, "review")
        await pilot.press("t")
        await until(pilot, lambda: "run_pipeline.py" in screen_text(app) and "train_config.yaml" in screen_text(app))
        assert "Files in mine" in screen_text(app) and "new" in screen_text(app)
        await pilot.press("escape", "y")
        await until(pilot, lambda: "project: mine" in screen_text(app))
        assert isinstance(app.screen, TextPane) and "lora_rank: 8" in app.screen.text
        await pilot.press("escape")
        await pilot.press("d")  # nothing differs
        assert app.at == "review" and not isinstance(app.screen, TextPane)
    assert not (cwd / "mine").exists()


async def test_a_file_that_differs_is_seen_before_it_makes_room(cwd: Path) -> None:
    """Enter on Start shows it with + and -, and r replaces and starts."""
    desk, file = FakeDesk(), in_the_way(cwd)
    app = app_of(cwd, desk, answers=HERE)
    async with app.run_test(size=(80, 24)) as pilot:
        await straight(pilot, "review")
        assert "1 in the way" in screen_text(app) and "d differences" in screen_text(app)
        await pilot.press("home", "enter")
        await until(pilot, lambda: "-mine: yes" in screen_text(app))
        assert "+project: mine" in screen_text(app) and "r replace and start" in screen_text(app)
        assert not desk.starts and file.read_text() == "version: 1\nmine: yes\n"
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(app.screen, DifferencePane))
        assert not desk.starts and "replace" not in app.wizard.answers
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, DifferencePane))
        await pilot.press("r")
        await until(pilot, lambda: desk.starts)
    assert app.wizard.answers["replace"] is True


async def test_saying_yes_unseen_still_shows_them_once(cwd: Path) -> None:
    """A switch in a list is no look at the files."""
    desk = FakeDesk()
    in_the_way(cwd)
    app = app_of(cwd, desk, answers={**HERE, "replace": True})
    async with app.run_test(size=(80, 24)) as pilot:
        await straight(pilot, "review")
        assert "replaced, the old one is kept" in screen_text(app)
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, DifferencePane))
        await pilot.press("r")
        await until(pilot, lambda: desk.starts)


async def test_another_folder_is_proposed(cwd: Path) -> None:
    """`n`: a name that is free, to be taken with Enter; what is there stays."""
    desk, file = FakeDesk(), in_the_way(cwd)
    app = app_of(cwd, desk, answers=HERE)
    async with app.run_test(size=(80, 24)) as pilot:
        await straight(pilot, "review")
        await pilot.press("home", "enter")
        await until(pilot, lambda: isinstance(app.screen, DifferencePane))
        await pilot.press("n")
        await until(pilot, lambda: not isinstance(app.screen, DifferencePane) and app.screen.query_one(Form).editing)
        assert app.screen.query_one("#typing", Field).value == "mine-2"
        await pilot.press("enter")
        await until(pilot, lambda: "7 new" in screen_text(app))
        assert rows(app).key == GO
        await pilot.press("enter")
        await until(pilot, lambda: desk.starts)
    assert desk.starts[0]["answers"].folder == cwd / "mine-2" and file.exists()


async def test_what_changes_meanwhile_is_shown_again(cwd: Path) -> None:
    """An answer after the look makes other files."""
    desk = FakeDesk(fails=[])
    in_the_way(cwd)
    app = app_of(cwd, desk, answers=HERE)
    async with app.run_test(size=(80, 24)) as pilot:
        await straight(pilot, "review")
        await pilot.press("d")
        await until(pilot, lambda: "-mine: yes" in screen_text(app))
        assert "r replace  n another folder" in screen_text(app)
        await pilot.press("r")
        await until(pilot, lambda: "replaced, the old one is kept" in screen_text(app))
        assert not desk.starts
        rows(app).move_to("merge")
        await pilot.press("enter", "down", "enter")
        await until(pilot, lambda: app.wizard.value("merge") is False)
        await pilot.press("home", "enter")
        await until(pilot, lambda: isinstance(app.screen, DifferencePane))
        assert not desk.starts


async def test_odd_files_in_the_way_are_shown_harmlessly(cwd: Path) -> None:
    """Somebody's file may hold anything."""
    in_the_way(cwd)
    app = app_of(cwd, answers=HERE)
    async with app.run_test(size=(80, 24)) as pilot:
        await straight(pilot, "review")
        for raw in (b"\x00\x01", b"[/x] \x1b]52;c;aGk=\x07 [b\n" * 50, b"x" * 200_000, b"\xff\xfe\n"):
            in_the_way(cwd).write_bytes(raw)
            await pilot.press("d")
            await until(pilot, lambda: isinstance(app.screen, DifferencePane) and "── " in screen_text(app))
            assert not set(screen_text(app)) & set("\x1b\x07\x00")
            await pilot.press("end", "home", "escape")
            await at(pilot, "review")


async def test_an_answer_is_put_back_where_it_is_one_line(cwd: Path) -> None:
    """Not the model: that is more than a line."""
    app = app_of(cwd, answers={"train.lora_rank": 33})
    async with app.run_test(size=(80, 24)) as pilot:
        await straight(pilot, "review")
        rows(app).move_to("train.lora_rank")
        await pilot.press("down", "up")
        assert "x default" in screen_text(app) and "changed" in screen_text(app)
        await pilot.press("x")
        await until(pilot, lambda: "changed" not in screen_text(app))
        assert "train.lora_rank" not in app.wizard.answers
        rows(app).move_to("model")
        before = dict(app.wizard.answers)
        await pilot.press("x")
        assert app.wizard.answers == before
