"""A desk with canned facts, and what the pilot tests share: opening the app, reading its screen, waiting for it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from textual.pilot import Pilot

from engine.errors import Problem, ProblemError
from engine.hardware import GIB, Gpu, Hardware, Host
from engine.runs.folder import RunFolder
from engine.runs.results import Merging
from engine.runs.status import status
from engine.text import Phrase
from engine.wizard.beginning import Beginning, Seen
from engine.wizard.desk import Progress, Started
from engine.wizard.draft import Draft
from engine.wizard.questions import Request
from engine.wizard.session import Machine, Wizard
from tests.pilot.checkups import checks_of
from tests.pilot.looks import look
from tests.unit.model_facts import model_facts
from tui.app import WizardApp
from tui.term import TRUE_COLOURS, TerminalProfile

HOST = Host("Threadripper 3970X", 32, 128 * GIB, 100 * GIB)
NO_GPU = Machine(Hardware((), Phrase("no NVIDIA driver is installed")), HOST)
SMALL_GPU = Machine(Hardware((Gpu(0, "GPU-1", "NVIDIA RTX 3080", 10 * GIB, 9 * GIB),), driver="570.86"), HOST)
ONE_GPU = Machine(Hardware((Gpu(0, "GPU-1", "NVIDIA L4", 24 * GIB, 23 * GIB),), driver="570.86"), HOST)
PROFILE = TerminalProfile(
    full_screen=True,
    obstacle="",
    colours=TRUE_COLOURS,
    ssh=False,
    unicode=True,
    ascii_only=False,
    tick=0.02,
    mouse=False,
)
SAMPLE = {
    "rows": 78,
    "whole": True,
    "columns": ["instruction", "output"],
    "mapping": {"prompt": "instruction", "response": "output"},
    "dropped": 0,
    "unusable": [],
    "preview": [("user", "Who are you?"), ("assistant", "I am Lumi.")],
    "examples": {},
}


def file_facts(options: dict[str, str], columns: Sequence[str] = ("title", "body")) -> dict[str, Any]:
    """What the desk says of a file whose columns are not recognised."""
    found = {**SAMPLE, "rows": 3, "columns": list(columns), "mapping": options, "preview": []}
    return found | {"examples": {name: f"a {name}" for name in columns}}


@dataclass
class FakeDesk:
    """facts: {what or what:subject: answer, a problem to raise, or a function of the request's options}.

    gate: look-ups wait for it. fails: problems of the start, one a try. started: what a start gives back.
    """

    machine: Machine = NO_GPU
    facts: dict[str, Any] = field(default_factory=dict)
    gate: threading.Event | None = None
    fails: list[Problem] = field(default_factory=list)
    asked: list[Request] = field(default_factory=list)
    starts: list[dict[str, Any]] = field(default_factory=list)
    start_gate: threading.Event | None = None
    cancelled: int = 0
    fetched: list[str] = field(default_factory=list)
    fetch_gate: threading.Event | None = None
    stopped: int = 0
    merges: list[Started] = field(default_factory=list)
    merged: list[Merging] = field(default_factory=list)

    def find(self, request: Request, progress: Progress) -> Any:
        """The canned fact."""
        self.asked.append(request)
        if self.gate is not None:
            self.gate.wait(20)
        canned = {
            "hardware": self.machine,
            "checks": lambda options: checks_of(self.machine),
            "models": [{"name": "smollm2-135m", "size": "135M", "bytes": 270_000_000}],
            "model": lambda options: {
                **model_facts(request.subject),
                "here": True,
                "size": "135M",
                "model_type": "llama",
                "bytes": 270_000_000,
                "parameters": 134_515_008,
                "max_positions": 8192,
            },
            "hub": lambda options: {**canned["model"](options), "here": False},
            "datasets": {"registered": [], "files": []},
            "data": SAMPLE,
            "check": look(),
        } | self.facts
        found = canned.get(f"{request.what}:{request.subject}", canned[request.what])
        if isinstance(found, Problem):
            raise ProblemError(found)
        return found(dict(request.options)) if callable(found) else found

    def start(self, wizard: Wizard, progress: Progress) -> Started:
        """A start that finds everything done before, so that no run has to be made up."""
        answers = wizard.begin()
        self.starts.append({"answers": answers, "preset": wizard.preset().name})
        progress(Phrase("Downloading {name}", {"name": "weights"}), 34_000_000, 270_000_000)
        if self.start_gate is not None:
            self.start_gate.wait(20)
        if self.fails:
            raise ProblemError(self.fails.pop(0))
        return Started(None, answers.folder / "config.yaml", {})

    def merge(self, merging: Merging, progress: Progress) -> Started:
        """The next of `merges`, or the next of `fails`."""
        self.merged.append(merging)
        if self.fails:
            raise ProblemError(self.fails.pop(0))
        return self.merges.pop(0)

    def cancel(self) -> None:
        """Counted."""
        self.cancelled += 1

    def download(self, name: str, progress: Progress) -> None:
        """A third of it, then the gate, or what `facts` refuses it with."""
        self.fetched.append(name)
        progress(Phrase("Fetching {name} from the hub", {"name": name}), 90_000_000, 270_000_000)
        if self.fetch_gate is not None:
            self.fetch_gate.wait(20)
        if isinstance(found := self.facts.get(f"download:{name}"), Problem):
            raise ProblemError(found)

    def stop_download(self) -> None:
        """Counted."""
        self.stopped += 1


def app_of(
    cwd: Path,
    desk: FakeDesk | None = None,
    *,
    answers: dict[str, Any] | None = None,
    draft: Draft | None = None,
    live: Sequence[RunFolder] = (),
    **more: Any,
) -> WizardApp:
    """The wizard as a person would have it in `cwd`; draft, live: what there is to take up again."""
    found = Beginning(draft, tuple(Seen(run, status(run)) for run in live), len(live), whole=True)
    more = {"look": lambda cwd: iter([found]), "profile": PROFILE} | more
    return WizardApp(Wizard(cwd, answers), desk or FakeDesk(), **more)


async def until(pilot: Pilot[Any], condition: Callable[[], object], seconds: float = 20) -> None:
    """Wait for what the app will show; the time limit is generous, since it passes only where something is broken."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, screen_text(pilot.app)
        await pilot.pause(0.01)
    await pilot.pause()


async def started(pilot: Pilot[Any]) -> None:
    """Wait for the first screen, with everything that there is to begin with."""
    await until(pilot, lambda: getattr(pilot.app.screen, "looking", True) is False and pilot.app.focused)


async def straight(pilot: Pilot[Any], step: str) -> None:
    """A step without the way to it: for tests that need nothing of the steps before."""
    app = pilot.app
    assert isinstance(app, WizardApp)
    await started(pilot)
    app.go(step)
    await at(pilot, step)


async def at(pilot: Pilot[Any], step: str) -> None:
    """Wait for a step whose facts are all there; the first one is come to with Enter."""
    app = pilot.app
    assert isinstance(app, WizardApp)
    if step == "hardware" and not app.at:
        await started(pilot)
        await pilot.press("enter")
    await until(pilot, lambda: app.at == step and app.screen.is_mounted and not app.wizard.needs(step))
    await until(pilot, lambda: app.focused is not None or step == "hardware")


async def settled(pilot: Pilot[Any]) -> str:
    """What stands on the screen once it no longer changes."""
    shown = ""
    while shown != (shown := screen_text(pilot.app)):
        await pilot.pause()
        await pilot.pause()
    return shown


async def resized(pilot: Pilot[Any], columns: int, rows: int) -> str:
    """What stands on the screen in a window of this size. The app knows it some time before its screen is laid out."""
    if pilot.app.screen.outer_size != (columns, rows):
        await pilot.resize_terminal(columns, rows)
        await until(pilot, lambda: pilot.app.screen.outer_size == (columns, rows))
    return await settled(pilot)


def screen_text(app: Any) -> str:
    """What stands on the screen, as lines. The one place that reads Textual's compositor."""
    lines = ["".join(segment.text for segment in strip) for strip in app.screen._compositor.render_strips()]
    return "\n".join(line.rstrip() for line in lines) + "\n"
