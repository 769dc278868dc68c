"""How files differ: readable, bounded, and never an error, whatever is there."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from engine.differences import LARGEST, MOST_LINES, SHOWN, Difference, differences
from engine.project import FileState, PlannedFile


def compared(folder: Path, content: str, state: FileState = "in the way") -> Difference:
    (found,) = differences(folder, [PlannedFile("a.yaml", content, state)])
    return found


def test_lines_that_go_and_come_are_marked(tmp_path: Path) -> None:
    """With a little of what surrounds them."""
    (tmp_path / "a.yaml").write_text("one\ntwo\nthree\nfour\nfive\n")
    found = compared(tmp_path, "one\ntwo\n3\nfour\nfive\n")
    assert found.lines == ("@@ -1,5 +1,5 @@", " one", " two", "-three", "+3", " four", " five")
    assert not found.left_out and found.instead is None


def test_only_what_becomes_another_is_compared(tmp_path: Path) -> None:
    """New files and those that are the same say nothing."""
    (tmp_path / "a.yaml").write_text("one\n")
    states: tuple[FileState, ...] = ("new", "same")
    for state in states:
        assert differences(tmp_path, [PlannedFile("a.yaml", "two\n", state)]) == ()
    assert compared(tmp_path, "one\ntwo\n", "added to").lines[-1] == "+two"


def test_a_long_difference_is_cut(tmp_path: Path) -> None:
    """By lines, and each line by characters."""
    (tmp_path / "a.yaml").write_text("\n".join(f"old {number}" for number in range(400)))
    found = compared(tmp_path, "x" * 10_000 + "\n")
    assert len(found.lines) == SHOWN and found.left_out > 150
    assert max(map(len, found.lines)) <= 400


@pytest.mark.parametrize("raw", [b"a\0b", b"\xff\xfe\0\0", b"x" * (LARGEST + 1), b"a\n" * (MOST_LINES + 1)])
def test_what_cannot_be_compared_says_so(tmp_path: Path, raw: bytes) -> None:
    """A sentence instead of lines."""
    (tmp_path / "a.yaml").write_bytes(raw)
    found = compared(tmp_path, "one\n")
    assert found.lines == () and found.instead is not None and found.instead.say()


def test_a_folder_a_pipe_or_nothing(tmp_path: Path) -> None:
    """None of them is opened."""
    (tmp_path / "a.yaml").mkdir()
    assert compared(tmp_path, "one\n").instead
    (tmp_path / "a.yaml").rmdir()
    assert compared(tmp_path, "one\n").instead
    os.mkfifo(tmp_path / "a.yaml")
    assert compared(tmp_path, "one\n").instead


def test_bytes_that_are_no_text_are_shown_harmlessly(tmp_path: Path) -> None:
    """Latin-1 reads as replacement characters."""
    (tmp_path / "a.yaml").write_bytes(b"caf\xe9\n")
    assert compared(tmp_path, "one\n").lines[1] == "-caf\ufffd"


def test_ends_of_lines_alone(tmp_path: Path) -> None:
    """Written on Windows, or without the last newline."""
    (tmp_path / "a.yaml").write_bytes(b"one\r\ntwo")
    assert "ends of lines" in str(compared(tmp_path, "one\ntwo\n").instead)


@pytest.mark.slow
def test_the_worst_case_takes_seconds_at_most(tmp_path: Path) -> None:
    """difflib takes the square of lines that repeat."""
    (tmp_path / "a.yaml").write_text("".join(f"{number % 7} {number}\n" for number in range(MOST_LINES)))
    began = time.monotonic()
    compared(tmp_path, "".join(f"{number % 5} {number}\n" for number in range(MOST_LINES)))
    assert time.monotonic() - began < 20
