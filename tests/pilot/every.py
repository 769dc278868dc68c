"""Every screen in every state, listed once: whatever a screen must look like or stand is tested over this list.

To have a new screen or state covered, add a row to EVERY (states of a run: to STATES of test_run_screen.py).
A row is what `opened` is given, and how to get there:

- machine, facts: of the FakeDesk. files: names of data files that lie here, with columns title and body.
- answers: of earlier. begin: makes what there is to begin with. there: whether a folder of the project's name is in the
  way.
- run: makes the run that is watched in a folder. chat: makes what is talked to.

test_screens.py (every size, both languages, `make golden`), test_hostile.py (text from outside) and
test_imports.py follow.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from textual.pilot import Pilot

from engine.errors import Problem
from engine.wizard.desk import Started, settle
from engine.wizard.inspection import inspection
from engine.wizard.steps import steps
from tests.pilot import shelf
from tests.pilot.fakes import (
    NO_GPU,
    ONE_GPU,
    PROFILE,
    SMALL_GPU,
    FakeDesk,
    app_of,
    at,
    file_facts,
    settled,
    started,
    until,
)
from tests.pilot.foreign import SpoiledDesk, spoil_run, spoiled, spoiled_name
from tests.pilot.looks import RUIN, look
from tests.pilot.runs import FakeRun
from tests.pilot.test_chat import FakeClient, talk, trained
from tests.pilot.test_hardware import SHARED
from tests.pilot.test_model import GATED, TYPED
from tests.pilot.test_run_finish import CONFIG, MADE, finish
from tests.pilot.test_run_screen import STATES, put
from tui import ways
from tui.app import WizardApp
from tui.screens import StepScreen
from tui.screens.chatsettings import ChatSettings
from tui.screens.comparing import Compared, CompareScreen
from tui.screens.project import ProjectScreen
from tui.screens.refused import RefusedPane
from tui.screens.runs import RunsRead, RunsScreen
from tui.term import TerminalProfile
from tui.widgets import Words
from tui.widgets.picker import Picker

Drive = Callable[[Pilot[Any], WizardApp], Awaitable[None]]

SIZES = ((80, 24), (120, 40), (60, 20))  # that a person works at; the first is where every test begins
TOO_SMALL = (40, 10)


async def reach(pilot: Pilot[Any], app: WizardApp, step: str) -> None:
    """As Enter alone leads there, without drawing what lies before."""
    await until(pilot, lambda: isinstance(app.screen, StepScreen) and app.screen.drawn)
    for found in steps(app.wizard):
        if found.asks:
            settle(app.wizard, found.id, app.desk, lambda what, done, total: None)
        if found.id == step:
            break
    app.go(step)
    await at(pilot, step)


def to(step: str, *keys: str) -> Drive:
    """A step, and these keys."""

    async def drive(pilot: Pilot[Any], app: WizardApp) -> None:
        await reach(pilot, app, step)
        await pilot.press(*keys)
        await at(pilot, step)

    return drive


async def columns(pilot: Pilot[Any], app: WizardApp) -> None:
    """The form that asks what the columns of a file mean."""
    await reach(pilot, app, "data")
    await pilot.press("2", "enter")
    await until(pilot, lambda: app.screen.query_one("#rows").has_focus)
    await pilot.press("enter")


def looked(*keys: str) -> Drive:
    """The data step once every row was looked at, and these keys."""

    async def drive(pilot: Pilot[Any], app: WizardApp) -> None:
        await reach(pilot, app, "data")
        await until(pilot, lambda: inspection(app.wizard))
        await pilot.press(*keys)

    return drive


async def refused(pilot: Pilot[Any], app: WizardApp) -> None:
    """A model that is nowhere."""
    await reach(pilot, app, "model")
    await pilot.press("end", "enter", *"a/b", "enter")
    await until(pilot, lambda: app.wizard.refusals and not app.wizard.needs("model"))


async def edited(pilot: Pilot[Any], app: WizardApp) -> None:
    """A value that is not taken, on the review."""
    await reach(pilot, app, "review")
    app.screen.query_one("#rows", Picker).move_to("train.learning_rate")
    await pilot.press("enter", *"0.5x", "enter")


async def compared_files(pilot: Pilot[Any], app: WizardApp) -> None:
    """How a file that is there already differs."""
    await to("review", "d")(pilot, app)
    await until(pilot, lambda: "── " in app.screen.query_one("#pane-words", Words).text)


async def not_started(pilot: Pilot[Any], app: WizardApp) -> None:
    """A start that is refused: the ways on, over the review."""
    await to("review", "home", "enter")(pilot, app)
    await until(pilot, lambda: isinstance(app.screen, RefusedPane) and app.screen.is_mounted and app.focused)


async def offered(pilot: Pilot[Any], app: WizardApp) -> None:
    """What can be taken up again."""
    await started(pilot)


def foreign_of(app: WizardApp) -> str:
    """What is put into every text that comes from outside."""
    return app.desk.foreign if isinstance(app.desk, SpoiledDesk) else ""


async def project(pilot: Pilot[Any], app: WizardApp) -> None:
    """A project that was opened, whose run was stopped."""
    await started(pilot)
    ways.open_project(app, shelf.opened(foreign_of(app)), shelf.stopped(foreign_of(app)))
    await until(pilot, lambda: isinstance(app.screen, ProjectScreen) and app.screen.drawn)


async def all_runs(pilot: Pilot[Any], app: WizardApp) -> None:
    """The list of runs, two of them marked."""
    await started(pilot)
    ways.list_runs(app)
    await until(pilot, lambda: isinstance(app.screen, RunsScreen) and app.screen.done)
    app.screen.post_message(RunsRead(shelf.listed(foreign_of(app)), 5, done=True))
    await until(pilot, lambda: app.screen.query_one("#runs", Picker).rows)
    await pilot.press("space", "down", "space", "down")


async def compared(pilot: Pilot[Any], app: WizardApp) -> None:
    """Three runs beside each other."""
    await started(pilot)
    found = shelf.compared(foreign_of(app))
    ways.compare(app, [run.listed.run for run in found.runs], "")
    await until(pilot, lambda: isinstance(app.screen, CompareScreen) and (app.screen.found or app.screen.failure))
    app.screen.post_message(Compared(found))
    await until(pilot, lambda: app.screen.found is found)  # type: ignore[attr-defined]


async def talked(pilot: Pilot[Any], app: WizardApp) -> None:
    """One question, answered by both."""
    await talk(pilot, ready=False)
    await until(pilot, lambda: app.screen.ready)  # type: ignore[attr-defined]
    await pilot.press(*"hi", "enter")
    await until(pilot, lambda: not app.screen.busy and len(app.screen.talker.said) == 2)  # type: ignore[attr-defined]


async def led(pilot: Pilot[Any], app: WizardApp) -> None:
    """How the talk is led, at the system prompt."""
    await talked(pilot, app)
    await pilot.press("ctrl+o")
    await until(pilot, lambda: isinstance(app.screen, ChatSettings))
    app.screen.query_one(Picker).move_to("system")
    await pilot.press("enter", *"Be")


async def unloaded(pilot: Pilot[Any], app: WizardApp) -> None:
    """A model that does not fit."""
    await talk(pilot, ready=False)
    await until(pilot, lambda: app.screen.failure)  # type: ignore[attr-defined]


async def made(pilot: Pilot[Any], app: WizardApp) -> None:
    """The last screen."""
    await finish(pilot, Started(None, CONFIG, MADE))


def running(what: Callable[[FakeRun], None]) -> Drive:
    """The screen of a run to which `what` has happened; how long ago its last sign of life came is fixed."""

    async def drive(pilot: Pilot[Any], app: WizardApp) -> None:
        run = FakeRun(fresh(app.wizard.cwd))
        what(run)
        if isinstance(app.desk, SpoiledDesk):
            spoil_run(run.folder, app.desk.foreign)
        seen = run.snapshot()
        run.die()
        await put(pilot, replace(seen, status=replace(seen.status, heartbeat_age=30.0)))

    return drive


def fresh(cwd: Path) -> Path:
    """A folder of its own for the runs of one opening."""
    return cwd.parent / f"runs-{len(list(cwd.parent.iterdir()))}"


HUB = {"name": "a/b", "endpoint": "https://huggingface.co", "via": "", "reason": "no network"}
MISSING = Problem("model_unreachable", HUB)
FAR = {"here": False, "bytes": 16_400_000_000, "parameters": 8_190_735_360, "dtype": "BF16", "max_positions": 32768}
FAR |= {"model_type": "qwen3", "licence": "apache-2.0", "own": True, "turns": "ChatML", "tuned": True, "unknown": []}
OUT_OF_MEMORY = Problem("chat_oom", {"reason": "Tried to allocate 2.00 GiB."})
IN_USE = Problem("in_use", {"folder": "/p/saves", "run": "r1", "pid": 7, "host": "node"})
EVERY: dict[str, tuple[dict[str, Any], Drive]] = {
    "hardware": ({}, to("hardware")),
    "hardware_gpu": ({"machine": ONE_GPU}, to("hardware")),
    "hardware_several": ({"machine": SHARED}, to("hardware", "down")),
    "model": ({}, to("model")),
    "model_far": ({"machine": ONE_GPU, "facts": {"model": FAR | {"name": "a/b", "shape": None}}}, to("model")),
    "model_typed": ({"facts": {"model:a/b": TYPED}}, to("model", "end", "enter", *"a/b", "escape")),
    "model_gated": ({"facts": {"model:a/b": TYPED, "hub:a/b": GATED}}, refused),
    "model_folder": ({}, to("model", "end", "up")),
    "model_refused": ({"facts": {"model:a/b": MISSING}}, refused),
    "data": ({}, to("data")),
    "data_columns": ({"files": ["mine.csv"]}, columns),
    "data_report": ({}, looked("v")),
    "data_rows": ({}, looked("r")),
    "data_tokens": ({}, looked("r", "n", "t")),
    "data_ruined": ({"facts": {"check": look(RUIN)}}, looked()),
    "preset_gpu": ({"machine": ONE_GPU}, to("preset")),
    "preset_too_large": ({"machine": SMALL_GPU, "answers": {"model": "Qwen/Qwen3-8B"}}, to("preset")),
    "preset_made_to_fit": ({"machine": SMALL_GPU, "answers": {"model": "Qwen/Qwen3-8B"}}, to("preset", "f")),
    "settings": ({}, to("settings", "down", "down")),
    "settings_all": ({}, to("settings", "a", "end")),
    "settings_found": ({}, to("settings", "slash", *"memory", "enter")),
    "review": ({}, to("review")),
    "review_in_the_way": ({"there": True}, to("review")),
    "review_edited": ({}, edited),
    "review_files": ({}, to("review", "y")),
    "review_tree": ({}, to("review", "t")),
    "review_differences": ({"there": True}, compared_files),
    "review_refused": ({"fails": [IN_USE]}, not_started),
    "leaving": ({}, to("model", "ctrl+c")),
    "help": ({}, to("model", "question_mark")),
    "help_setting": ({}, to("settings", "down", "down", "question_mark")),
    "help_found": ({}, to("model", "question_mark", "slash", *"slow", "enter")),
    "start": ({}, offered),
    "start_again": ({"begin": shelf.beginning}, offered),
    "project": ({}, project),
    "runs": ({}, all_runs),
    "runs_compared": ({}, compared),
    **{f"run_{what.__name__}": ({}, running(what)) for what in STATES},
    "chat": ({"run": lambda folder: trained(folder).folder, "chat": FakeClient}, talked),
    "chat_settings": ({"run": lambda folder: trained(folder).folder, "chat": FakeClient}, led),
    "chat_refused": (
        {"run": lambda folder: trained(folder).folder, "chat": lambda: FakeClient(refuses=OUT_OF_MEMORY)},
        unloaded,
    ),
    "finish": ({}, made),
}


@asynccontextmanager
async def opened(
    name: str,
    cwd: Path,
    *,
    size: tuple[int, int] = SIZES[0],
    profile: TerminalProfile = PROFILE,
    foreign: str = "",
    **other: Any,
) -> AsyncIterator[tuple[Pilot[Any], WizardApp]]:
    """The app at this row of EVERY. foreign: is put into every text that comes from outside. other: given instead."""
    given, drive = EVERY[name]
    app = _made(given | other, cwd, profile, foreign)
    async with app.run_test(size=size, notifications=True) as pilot:
        await drive(pilot, app)
        await settled(pilot)
        yield pilot, app


def _made(given: dict[str, Any], cwd: Path, profile: TerminalProfile, foreign: str) -> WizardApp:
    facts = dict(given.get("facts", {}))
    if files := given.get("files"):
        names = [spoiled_name(file, foreign) for file in files]
        facts |= {"datasets": {"registered": [], "files": names}}
        for file in names:
            (cwd / file).write_text("title,body\na,b\n")
            facts[f"data:{cwd / file}"] = file_facts
    more: dict[str, Any] = {"answers": dict(given.get("answers", {})), "profile": profile}
    if given.get("there"):
        (cwd / "mine").mkdir(exist_ok=True)
        (cwd / "mine" / "config.yaml").write_text("other: true\n")
        more["answers"] |= {"project": "mine"}
    more["clock"] = lambda: shelf.NOW
    if "begin" in given:
        more["look"] = lambda cwd: iter([given["begin"](foreign)])
    if "run" in given:
        more["run"] = given["run"](fresh(cwd))
        if foreign:
            spoil_run(more["run"], foreign)
    if "chat" in given:
        more["chat"] = given["chat"]()
        more["chat"].pieces = spoiled(more["chat"].pieces, foreign, None)
    machine = given.get("machine", NO_GPU)
    fails = [spoiled(problem, foreign) for problem in given.get("fails", [])]
    desk = (
        SpoiledDesk(machine, facts, fails=fails, foreign=foreign) if foreign else FakeDesk(machine, facts, fails=fails)
    )
    return app_of(cwd, desk, **more)


def steady(shown: str) -> str:
    """Without the estimate's figures and the lengths of its bar: they move with every better coefficient."""
    lines = []
    for line in shown.split("\n"):
        if bar := re.search(r"\[[█▓▒░╱·|#+=~/.]{3,}\]", line):
            line = line.replace(bar.group(), "[" + "█" * (len(bar.group()) - 2) + "]")
        elif re.search(r"\d %|[█▓▒░╱·#+=~/.] .*\d\.\d", line):
            line = re.sub(r"\d+(?= %)", "N", re.sub(r"\d+\.\d+", "N.NN", line))
        lines.append(line)
    return "\n".join(lines)
