"""Choosing a file or a model from a list."""

from __future__ import annotations

import os
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from textual.app import App
from textual.pilot import Pilot

from engine.wizard.browsing import Entry, Listing, Wanted, browse
from tests.pilot.fakes import FakeDesk, app_of, at, file_facts, screen_text, until
from tests.pilot.test_hostile import HOSTILE
from tests.pilot.test_walk import walk
from tui.screens.files import Chosen, FileList, FileScreen, ending, row_of, size_words
from tui.widgets.field import Field

FILES = Wanted((".csv", ".jsonl"))


class Host(App[None]):
    """An app that only opens the list."""

    CSS_PATH = Path(__file__).parents[2] / "tui" / "styles" / "app.tcss"

    def __init__(self, screen: FileScreen):
        super().__init__()
        self.opened = screen
        self.results: list[Chosen | None] = []

    def on_mount(self) -> None:
        self.push_screen(self.opened, self.results.append)


async def read(pilot: Pilot[Any]) -> FileScreen:
    """Once the folder is there."""
    screen = pilot.app.screen
    assert isinstance(screen, FileScreen)
    await until(pilot, lambda: screen.query("#files") and not screen.reading)
    return screen


def names(screen: FileScreen) -> list[Any]:
    return [row.key for row in screen.query_one(FileList).rows]


async def test_folders_are_entered_and_a_file_is_chosen(tmp_path: Path) -> None:
    """Enter goes in, Left goes out and stands on the folder that was left, Enter on a file ends it."""
    (tmp_path / "sets").mkdir()
    for name in ("a.csv", "sets/b.jsonl", "sets/c.csv", "sets/notes.md"):
        (tmp_path / name).write_text("x" * 2048)
    app = Host(FileScreen("Your file", tmp_path, FILES))
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await read(pilot)
        assert names(screen) == ["..", "sets", "a.csv"]
        assert "2 files" in screen_text(app) and "2.0 kB" in screen_text(app)
        await pilot.press("enter")
        await until(pilot, lambda: names(screen) == ["..", "b.jsonl", "c.csv"])
        assert "not shown: 1 that are none of csv, jsonl" in screen_text(app)
        await pilot.press("left")
        await until(pilot, lambda: names(screen) == ["..", "sets", "a.csv"])
        assert screen.query_one(FileList).key == "sets"
        await pilot.press("right")
        await until(pilot, lambda: "c.csv" in names(screen))
        await pilot.press("down", "enter")
        await until(pilot, lambda: app.results)
    assert app.results == [Chosen(tmp_path / "sets" / "c.csv")]


async def test_what_is_left_out_is_told(tmp_path: Path) -> None:
    """A folder that a person knows to be there must not vanish without a word."""
    (tmp_path / "data").mkdir()
    for name in ("a.csv", "notes.md", ".b.csv", "data/other.md"):
        (tmp_path / name).write_text("x")
    app = Host(FileScreen("Your file", tmp_path, FILES))
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await read(pilot)
        assert names(screen) == ["..", "a.csv"]
        told = "not shown: 1 hidden, 1 folders with nothing to choose, 1 that are none of csv"
        assert told in screen_text(app)


async def test_what_begins_with_the_typed_letters_comes_first(tmp_path: Path) -> None:
    """Typing mi and Enter leads into mine, not into the first name that has these letters somewhere."""
    for name in ("alpaca_mini.csv", "mine.csv"):
        (tmp_path / name).write_text("x")
    app = Host(FileScreen("Your file", tmp_path, FILES))
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await read(pilot)
        await pilot.press(*"mi")
        assert names(screen) == ["mine.csv", "alpaca_mini.csv"] and screen.query_one(FileList).key == "mine.csv"


def test_a_folder_of_very_many_says_so() -> None:
    assert row_of(Entry("many", "folder", held=2000, more=True)).value == "more than 2000 files"
    assert row_of(Entry("few", "folder", held=2)).value == "2 files"


async def test_typing_filters(tmp_path: Path) -> None:
    """Letters and digits narrow the list; Backspace widens it, then goes up; Esc clears it, then leaves."""
    (tmp_path / "in").mkdir()
    for number in range(30):
        (tmp_path / "in" / f"Set {number}.csv").write_text("x")
    (tmp_path / "in" / ".secret.csv").write_text("x")
    app = Host(FileScreen("Your file", tmp_path / "in", FILES))
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await read(pilot)
        assert len(names(screen)) == 31
        await pilot.press(*"set 12")
        assert names(screen) == ["Set 12.csv"]
        assert "names with set 12: 1 of 30" in screen_text(app)
        await pilot.press("backspace", "backspace")
        assert len(names(screen)) == 30
        await pilot.press("escape", ".")
        await until(pilot, lambda: ".secret.csv" in names(screen))
        await pilot.press("backspace")
        await until(pilot, lambda: names(screen) == ["..", "in"])
        assert screen.query_one(FileList).key == "in"
        await pilot.press("escape")
        await until(pilot, lambda: app.results)
    assert app.results == [None]


async def test_a_path_can_be_typed_or_pasted(tmp_path: Path) -> None:
    """Who begins with a slash or a tilde knows the path."""
    for key, typed in (("slash", "/"), ("tilde", "~")):
        app = Host(FileScreen("Your file", tmp_path, FILES))
        async with app.run_test(size=(80, 24)) as pilot:
            await read(pilot)
            await pilot.press(key)
            await until(pilot, lambda app=app: app.results)
        assert app.results == [Chosen(typed=typed)]


async def test_a_slow_disk_does_not_block(tmp_path: Path) -> None:
    """It is said that the folder is read, and Esc leaves meanwhile; an answer that comes late is no harm."""
    gate = threading.Event()

    def slow(folder: Path, wanted: Wanted, *, hidden: bool) -> Listing:
        gate.wait(20)
        return browse(folder, wanted, hidden=hidden)

    app = Host(FileScreen("Your file", tmp_path, FILES, look=slow))
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "Reading the folder" in screen_text(app))
        await pilot.press("x", "escape", "enter", "escape")
        await until(pilot, lambda: app.results)
        gate.set()
    assert app.results == [None]


async def test_a_folder_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    """One step up is still possible."""

    def refused(folder: Path, wanted: Wanted, *, hidden: bool) -> Listing:
        found = browse(folder / "gone" if folder == tmp_path / "in" else folder, wanted, hidden=hidden)
        return replace(found, folder=folder)

    (tmp_path / "in").mkdir()
    (tmp_path / "a.csv").write_text("x")
    app = Host(FileScreen("Your file", tmp_path / "in", FILES, look=refused))
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await read(pilot)
        assert "cannot be read" in screen_text(app)
        await pilot.press("left")
        await until(pilot, lambda: "a.csv" in names(screen))


async def test_odd_names_do_no_harm(tmp_path: Path) -> None:
    """Whatever a name holds, it is text in one line, and what is chosen is the file itself."""
    odd = [
        os.fsdecode(text.replace("/", "|").encode(errors="replace").replace(b"\0", b"?")[:200] + b".csv")
        for text in HOSTILE.values()
    ]
    odd.append(os.fsdecode(b"\xff\xfe.csv"))
    for name in odd:
        (tmp_path / name).write_text("x")
    for size in ((80, 24), (60, 20)):
        app = Host(FileScreen("Your file", tmp_path, FILES))
        async with app.run_test(size=size) as pilot:
            screen = await read(pilot)
            for _ in odd:
                await pilot.press("down")
                shown = screen_text(app)
                assert not set(shown) & set("\x1b\x07\x9b\u202e\u2066"), repr(shown)
                assert all(len(line) <= size[0] for line in shown.splitlines())
            chosen = screen.query_one(FileList).key
            await pilot.press("enter")
            await until(pilot, lambda app=app: app.results)
        assert app.results == [Chosen(tmp_path / chosen)] and (tmp_path / chosen).is_file()


async def test_thousands_of_files_keep_the_keys_quick(tmp_path: Path) -> None:
    """Ten thousand names are filtered and moved in within the time of a key."""
    for number in range(10_000):
        (tmp_path / f"shard-{number:05}.csv").touch()
    app = Host(FileScreen("Your file", tmp_path, FILES))
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await read(pilot)
        begun = time.perf_counter()
        await pilot.press("end", *"9999", "home", "escape", "pagedown")
        spent = time.perf_counter() - begun
        assert len(names(screen)) == 10_001
    assert spent < 5, spent  # 0.9 s where nothing else runs


async def test_the_data_step_opens_the_list_and_takes_the_file(cwd: Path) -> None:
    """Enter on the row opens it, what is chosen is shown and read, and Enter goes on."""
    (cwd / "sets").mkdir()
    (cwd / "sets" / "mine.csv").write_text("instruction,output\na,b\n")
    known = {"mapping": {"prompt": "instruction", "response": "output"}, "preview": [("user", "a"), ("assistant", "b")]}
    facts = {
        f"data:{cwd / 'sets' / 'mine.csv'}": lambda options: file_facts(options, ["instruction", "output"]) | known
    }
    app = app_of(cwd, FakeDesk(facts=facts))
    async with app.run_test(size=(80, 24)) as pilot:
        await walk(pilot, to="data")
        await pilot.press("end", "enter")
        await until(pilot, lambda: isinstance(app.screen, FileScreen))
        await read(pilot)
        await pilot.press("enter")
        await until(pilot, lambda: "mine.csv" in screen_text(app))
        await pilot.press("enter")
        await at(pilot, "data")
        assert app.wizard.answers["data_file"] == "sets/mine.csv"
        await until(pilot, lambda: "3 rows, read as" in screen_text(app))
        await pilot.press("enter")
        await at(pilot, "preset")


async def test_a_typed_path_goes_on_from_the_list(cwd: Path) -> None:
    """The slash is not lost."""
    app = app_of(cwd)
    async with app.run_test(size=(80, 24)) as pilot:
        await walk(pilot, to="data")
        await pilot.press("end", "enter")
        await until(pilot, lambda: isinstance(app.screen, FileScreen))
        await read(pilot)
        await pilot.press("slash")
        await at(pilot, "data")
        field = app.screen.query_one(Field)
        assert field.has_focus and field.value == "/"
        await pilot.press(*"no.csv", "enter")
        await until(pilot, lambda: "/no.csv" in screen_text(app) and "no such file" in screen_text(app).lower())


def test_sizes_and_long_paths() -> None:
    """As files are counted, and the end of a path, which tells more than its beginning."""
    sizes = (0, 999, 1000, 12_000, 999_499, 999_500, 1_500_000_000)
    assert [size_words(size) for size in sizes] == ["0 B", "999 B", "1.0 kB", "12 kB", "999 kB", "1.0 MB", "1.5 GB"]
    assert ending("/home/ada/data", 8) == "…da/data"
    assert ending("/资料/数据", 7) == "…/数据"
