"""Names and texts of foreign origin, on every screen: nothing is markup, nothing reaches the terminal as a command."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from engine.errors import Problem
from engine.hardware import GIB, Gpu, Hardware
from engine.runs.folder import RunFolder
from engine.text import Phrase
from engine.wizard.draft import Draft
from engine.wizard.session import Machine
from tests.pilot.fakes import HOST, SAMPLE, FakeDesk, app_of, at, file_facts, screen_text, until
from tests.pilot.test_walk import walk
from tui.app import WizardApp
from tui.widgets.field import Field
from tui.widgets.form import Form
from tui.widgets.picker import Picker

HOSTILE = {
    "closing markup": "[/x]",
    "open markup": "[b",
    "markup action": "[@click=app.exit]x[/]",
    "clipboard": "\x1b]52;c;aGk=\x07",
    "colours": "\x1b[31mred\x1b[0m \x9b1m",
    "10 kB line": "x" * 10_240,
    "right to left": "\u202eabc\u2066 שלום",
    "family": "👨‍👩‍👧‍👦 字",
    "lines": "a\r\nb\n\n\tc",
}


def assert_harmless(app: WizardApp) -> None:
    shown = screen_text(app)
    assert not set(shown) & set("\x1b\x07\x9b\u202e\u2066"), repr(shown)
    assert all(len(line) <= 80 for line in shown.splitlines())


async def visit(pilot: Pilot[Any], app: WizardApp, *keys: str) -> None:
    await pilot.press(*keys)
    await pilot.pause()
    assert_harmless(app)


@pytest.mark.parametrize("text", HOSTILE.values(), ids=list(HOSTILE))
async def test_every_question_screen_survives_foreign_text(text: str, cwd: Path) -> None:
    """Model names, file names, columns, samples and the words of problems come from anywhere."""
    machine = Machine(Hardware((Gpu(0, text, text, 24 * GIB, 23 * GIB),), Phrase(""), text), replace(HOST, cpu=text))
    name = text.replace("/", "|")[:100]
    facts = {
        "models": [{"name": text, "size": text, "bytes": 1}],
        "model": Problem("model_missing", {"name": text, "key": text}, file=text),
        "datasets": {"registered": [{"folder": text, "name": text}], "files": [name]},
        f"data:{cwd / name}": lambda options: file_facts(options, [text, f"{text}2"]),
        "data": SAMPLE | {"preview": [("user", text), (text, text)]},
    }
    desk = FakeDesk(machine, facts)
    app = app_of(cwd, desk)
    async with app.run_test(size=(80, 24)) as pilot:
        await at(pilot, "hardware")
        await visit(pilot, app, "enter")
        await until(pilot, lambda: app.at == "model" and app.wizard.refusals)
        await visit(pilot, app, "down")
        await visit(pilot, app, "enter")
        await until(pilot, lambda: app.screen.query_one("#problems").display)
        assert_harmless(app)
        desk.facts["model"] = {"name": text, "here": False, "bytes": None}
        await pilot.press("enter")
        await at(pilot, "data")
        assert_harmless(app)
        (cwd / name).write_text("a,b\n")
        await visit(pilot, app, "3")
        await visit(pilot, app, "enter")
        await until(pilot, lambda: app.screen.query_one("#rows").has_focus)
        await visit(pilot, app, "enter")
        await visit(pilot, app, "2", "enter")
        await visit(pilot, app, "down", "down", "enter", "3", "enter")
        await at(pilot, "data")
        await pilot.press("enter")
        await at(pilot, "preset")
        await pilot.press("enter")
        await at(pilot, "settings")
        await visit(pilot, app, "down", "enter")
        app.screen.query_one(Field).value = text
        await visit(pilot, app, "enter")
        if app.screen.query_one(Form).editing:  # some of these are good names of folders
            await visit(pilot, app, "escape")
        app.screen.query_one("#rows", Picker).move_to("")
        await pilot.press("enter")
        await at(pilot, "review")
        assert_harmless(app)
        app.refusal = (Problem("helper_died", {"what": text, "how": text}), Problem(text, {"x": text}))
        app.screen.refresh_body()  # type: ignore[attr-defined]
        await visit(pilot, app, "y")
        await visit(pilot, app, "escape", "ctrl+c")


@pytest.mark.parametrize("text", HOSTILE.values(), ids=list(HOSTILE))
async def test_a_draft_and_runs_of_odd_names_are_offered(text: str, cwd: Path) -> None:
    """Folders are named by people, and by archives that they unpacked."""
    folder = cwd / text.replace("/", "|")[:100]
    folder.mkdir()
    draft = Draft({"model": "hub", "model_hub": text}, "review", folder)
    app = app_of(cwd, draft=draft, live=[RunFolder(folder)])
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.screen.query("#offers") and app.focused)
        await visit(pilot, app, "down")
        await pilot.press("enter")
        await at(pilot, "review")
        await visit(pilot, app, "down")


async def test_what_is_pasted_is_cleaned(cwd: Path) -> None:
    """A paste may hold anything."""
    app = app_of(cwd)
    async with app.run_test(size=(80, 24)) as pilot:
        await walk(pilot, to="model")
        await pilot.press("end", "enter")
        field = app.screen.query_one(Field)
        field.insert_text_at_cursor("a\x1b]52;c;aGk=\x07b")
        await pilot.pause()
        assert "\x1b" not in field.value
        assert_harmless(app)
