"""Pilot tests draw the app without a terminal; every one has a home of its own."""

from __future__ import annotations

from collections import namedtuple
from pathlib import Path

import pytest

Disk = namedtuple("Disk", ("total", "used", "free"))
GOLDEN = Path(__file__).parents[1] / "golden" / "screens"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Known where tests/pilot is named on the command line, as `make golden` does."""
    parser.addoption("--update-golden", action="store_true", help="Record the screens as they are now.")


@pytest.fixture(autouse=True)
def _home(private_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No draft and no run of the person who runs the tests is seen, none of theirs is touched."""
    monkeypatch.setattr("sys.argv", ["sft-wizard"])  # as which screens name the tool
    monkeypatch.setattr("shutil.disk_usage", lambda path: Disk(100 * 10**9, 31_100_000_000, 68_900_000_000))


@pytest.fixture
def cwd(tmp_path: Path) -> Path:
    """Where the wizard is started."""
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> object:
    """Compare a screen with the recorded one."""
    update = request.config.getoption("--update-golden", default=False)

    def compare(language: str, name: str, shown: str) -> None:
        file = GOLDEN / language / f"{name}.txt"
        if update:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(shown, encoding="utf-8")
        assert shown == file.read_text(encoding="utf-8"), f"{file.name}: if this is meant, run: make golden"

    return compare
