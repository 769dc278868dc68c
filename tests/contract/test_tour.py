"""The tour shows pictures that the program draws, and every picture that is drawn."""

from __future__ import annotations

import re
from pathlib import Path

from docs.screenshot import MOST_BYTES, ZH, local, pictures, take
from tests.pilot.every import EVERY

DOCS = Path(__file__).parents[2] / "docs"


def test_the_tour_and_the_pictures_are_the_same_list() -> None:
    """A picture that is missing is a hole in the page; one too many is dead weight."""
    names = {picture.name for picture in pictures()}
    files = {f"tour/{name}.svg" for name in names} | {f"tour/{name}-zh.svg" for name in ZH}
    assert set(re.findall(r"\]\((tour/[^)]+)\)", (DOCS / "tour.md").read_text(encoding="utf-8"))) == files
    assert {picture.row for picture in pictures()} <= set(EVERY) and set(ZH) <= names


def test_a_recorded_picture_is_small_and_asks_no_server() -> None:
    """Readers of the page fetch nothing from elsewhere."""
    for file in sorted((DOCS / "tour").glob("*.svg")):
        text = file.read_text(encoding="utf-8")
        assert len(text.encode()) <= MOST_BYTES and "font-face" not in text, file.name
    assert "url(http" not in local('<style>\n    @font-face {\n src: url("https://x/y") }\n a { } </style>')


async def test_a_picture_holds_nothing_of_the_machine(private_home: Path, tmp_path: Path) -> None:
    """Neither its folders nor its name; and it is the same each time."""
    import socket

    picture = next(found for found in pictures() if found.name == "chat")
    first, second = [await take(picture, "en", tmp_path / part) for part in "ab"]
    assert first == second and "Lumi" in first.replace("&#160;", " ")
    assert str(tmp_path) not in first and socket.gethostname() not in first
