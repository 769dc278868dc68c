"""Every screen at 80 × 24 as plain text, in both languages. `make golden` records them anew."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from engine.errors import Problem
from engine.wizard.draft import Draft
from tests.pilot.fakes import NO_GPU, ONE_GPU, PROFILE, FakeDesk, app_of, at, file_facts, screen_text, until
from tests.pilot.test_walk import walk
from tui.app import WizardApp
from tui.widgets.picker import Picker
from tui.words import LANGUAGES, set_language

Compare = Callable[[str, str, str], None]
Drive = Callable[[Pilot[Any], WizardApp], Awaitable[None]]


async def stay(pilot: Pilot[Any], app: WizardApp) -> None:
    await at(pilot, "hardware")


def to(step: str, *keys: str) -> Drive:
    async def drive(pilot: Pilot[Any], app: WizardApp) -> None:
        await walk(pilot, to=step)
        await pilot.press(*keys)
        await at(pilot, step)

    return drive


async def columns(pilot: Pilot[Any], app: WizardApp) -> None:
    await walk(pilot, to="data")
    await pilot.press("2", "enter")
    await until(pilot, lambda: app.screen.query_one("#rows").has_focus)
    await pilot.press("enter")


async def refused(pilot: Pilot[Any], app: WizardApp) -> None:
    await walk(pilot, to="model")
    await pilot.press("end", "enter", *"a/b", "enter")
    await until(pilot, lambda: app.wizard.refusals and not app.wizard.needs("model"))


async def edited(pilot: Pilot[Any], app: WizardApp) -> None:
    await walk(pilot)
    app.screen.query_one("#rows", Picker).move_to("train.learning_rate")
    await pilot.press("enter", *"0.5x", "enter")


async def small(pilot: Pilot[Any], app: WizardApp) -> None:
    await at(pilot, "hardware")
    await pilot.resize_terminal(50, 12)


async def offered(pilot: Pilot[Any], app: WizardApp) -> None:
    await until(pilot, lambda: app.screen.query("#offers") and app.focused)


MISSING = Problem("model_missing", {"name": "a/b", "folder": "/home/ada/a/b", "reason": "no network"})
SCREENS: dict[str, tuple[dict[str, Any], Drive]] = {
    "hardware": ({}, stay),
    "hardware_gpu": ({"machine": ONE_GPU}, stay),
    "hardware_ascii": ({"profile": replace(PROFILE, ascii_only=True)}, stay),
    "model": ({}, to("model")),
    "model_folder": ({}, to("model", "end", "up")),
    "model_refused": ({"facts": {"model:a/b": MISSING}}, refused),
    "data": ({}, to("data")),
    "data_columns": ({"files": ["mine.csv"]}, columns),
    "preset_gpu": ({"machine": ONE_GPU}, to("preset")),
    "settings": ({}, to("settings", "down", "down")),
    "settings_all": ({}, to("settings", "a", "end")),
    "review": ({}, to("review")),
    "review_in_the_way": ({"there": True}, to("review")),
    "review_edited": ({}, edited),
    "review_files": ({}, to("review", "y")),
    "leaving": ({}, to("model", "ctrl+c")),
    "help": ({}, to("model", "question_mark")),
    "offer": ({"draft": True}, offered),
    "small": ({}, small),
}


def steady(shown: str) -> str:
    """Without the estimate's figures and the lengths of its bar: they move with every better coefficient."""
    lines = []
    for line in shown.split("\n"):
        if bar := re.search(r"\[[█▓▒░╱·|]+\]", line):
            line = line.replace(bar.group(), "[" + "█" * (len(bar.group()) - 2) + "]")
        elif re.search(r"\d %|[█▓▒░╱·] .*\d\.\d", line):
            line = re.sub(r"\d+(?= %)", "N", re.sub(r"\d+\.\d+", "N.NN", line))
        lines.append(line)
    return "\n".join(lines)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", SCREENS)
async def test_the_screen_is_as_recorded(name: str, language: str, cwd: Path, golden: Compare) -> None:
    """A person sees what was meant, in either language, without a line that is cut or a word that is missing."""
    given, drive = SCREENS[name]
    facts = dict(given.get("facts", {}))
    if files := given.get("files"):
        facts |= {"datasets": {"registered": [], "files": files}, f"data:{cwd / files[0]}": file_facts}
        (cwd / files[0]).write_text("title,body\na,b\n")
    more = {"answers": {}} | {key: value for key, value in given.items() if key == "profile"}
    if given.get("there"):
        (cwd / "mine").mkdir()
        (cwd / "mine" / "config.yaml").write_text("other: true\n")
        more["answers"] = {"project": "mine"}
    if given.get("draft"):
        more["draft"] = Draft({"preset": "8gb"}, "settings", Path("/home/ada"))
    set_language(language)
    app = app_of(cwd, FakeDesk(given.get("machine", NO_GPU), facts), **more)
    async with app.run_test(size=(80, 24)) as pilot:
        await drive(pilot, app)
        await pilot.pause()
        shown = steady(screen_text(app))
    golden(language, name, shown)
