"""What of a folder can be chosen."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from engine.wizard import browsing
from engine.wizard.browsing import LOOKED_INTO, Entry, Wanted, browse, nearest_folder

FILES = Wanted((".csv", ".jsonl"))


def fill(folder: Path, *names: str, size: int = 3) -> None:
    """Files of `size` bytes; a name that ends in a slash is a folder."""
    for name in names:
        path = folder / name
        (path if name.endswith("/") else path.parent).mkdir(parents=True, exist_ok=True)
        if not name.endswith("/"):
            path.write_bytes(b"x" * size)


def test_folders_come_first_and_only_what_can_be_used_is_there(tmp_path: Path) -> None:
    """A person sees what there is to choose, not everything that lies around."""
    fill(tmp_path, "b.CSV", "a.jsonl", "notes.md", "sets/one.csv", "sets/two.csv", "code/main.py", "deep/er/x.csv")
    fill(tmp_path, ".hidden.csv", "empty/")
    found = browse(tmp_path, FILES)
    assert found.entries == (
        Entry("deep", "folder"),
        Entry("sets", "folder", held=2),
        Entry("a.jsonl", "file", 3),
        Entry("b.CSV", "file", 3),
    )
    assert (found.hidden, found.others, found.empty, found.problem) == (1, 1, 2, None)
    assert Entry(".hidden.csv", "file", 3) in browse(tmp_path, FILES, hidden=True).entries


def test_a_folder_of_very_many_tells_the_least_it_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A count that stops half-way must not pass for the whole."""
    monkeypatch.setattr(browsing, "LOOKED_AT", 3)
    fill(tmp_path, *(f"many/{number}.csv" for number in range(5)), *(f"notes/{number}.md" for number in range(5)))
    assert browse(tmp_path, FILES).entries == (
        Entry("many", "folder", held=3, more=True),
        Entry("notes", "folder", more=True),  # what it holds is not known
    )


def test_a_model_is_its_folder(tmp_path: Path) -> None:
    """Weights and config.json make a folder a model, which is chosen instead of entered."""
    fill(tmp_path, "tuned/config.json", "tuned/model.safetensors", "tuned/tokenizer.json", "family/one/config.json")
    fill(tmp_path, "half/config.json", "a.csv")
    found = browse(tmp_path, Wanted(models=True))
    assert found.entries == (Entry("tuned", "model", 3), Entry("family", "folder"))


def test_what_is_no_file_is_not_listed(tmp_path: Path) -> None:
    """Pipes would block whoever reads them; broken links lead nowhere; a link to a folder is one."""
    fill(tmp_path, "sets/one.csv")
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "gone.csv").symlink_to(tmp_path / "nowhere.csv")
    (tmp_path / "link").symlink_to(tmp_path / "sets")
    assert [entry.name for entry in browse(tmp_path, FILES).entries] == ["link", "sets"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may look everywhere")
def test_a_folder_without_access_says_why(tmp_path: Path) -> None:
    """It is listed, and entering it is a problem, not an end."""
    fill(tmp_path, "shut/one.csv")
    (tmp_path / "shut").chmod(0)
    entry = browse(tmp_path, FILES).entries[0]
    assert entry.reason == "Permission denied"
    assert browse(tmp_path / "shut", FILES).problem
    (tmp_path / "shut").chmod(0o700)


def test_what_cannot_be_read_is_a_problem(tmp_path: Path) -> None:
    """A folder that was deleted meanwhile, and a file where a folder was."""
    fill(tmp_path, "file.csv")
    for path in (tmp_path / "gone", tmp_path / "file.csv"):
        problem = browse(path, FILES).problem
        assert problem is not None and problem.code == "folder_unreadable"


def test_only_so_many_folders_are_looked_into(tmp_path: Path) -> None:
    """A folder of thousands is listed all the same."""
    for number in range(LOOKED_INTO + 20):
        (tmp_path / f"{number:04}").mkdir()
    assert len(browse(tmp_path, FILES).entries) == 20  # those that were not looked into may hold something


def test_names_that_are_no_text_and_odd_ones(tmp_path: Path) -> None:
    """Any byte but the slash may be in a name."""
    for name in (b"\xff\xfe.csv", b"a\nb.csv", b"[x].csv"):
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).write_bytes(b"x")
    assert len(browse(tmp_path, FILES).entries) == 3


def test_the_nearest_folder(tmp_path: Path) -> None:
    """Where a path leads nowhere, the list begins above it."""
    fill(tmp_path, "sets/one.csv")
    for path in ("sets/one.csv", "sets/none/x.csv", "sets"):
        assert nearest_folder(tmp_path / path) == tmp_path / "sets"
    assert nearest_folder(tmp_path / ("x" * 300)) == tmp_path
