"""What there is to begin with, to open and to compare, as if it lay in somebody's home."""

from __future__ import annotations

import math
from pathlib import Path

from engine.errors import Problem
from engine.runs.comparing import Comparison, compare
from engine.runs.folder import RunFolder
from engine.runs.listing import Listed, Trained
from engine.runs.status import State, Status
from engine.wizard.beginning import Beginning, Project, Seen
from engine.wizard.draft import Draft
from engine.wizard.opening import Opened
from tests.pilot.runs import BEGAN

HOME = Path("/home/ada")
NOW = BEGAN + 3 * 3600.0


def status(state: State, step: int = 0, total: int = 0, loss: float | None = None) -> Status:
    """Of a run of this machine."""
    return Status(state, 1.0, "here", 7, step, total, loss, state in ("starting", "running", "stopping"))


def run(name: str, minutes: int = 0) -> RunFolder:
    """Begun so many minutes after half past nine."""
    return RunFolder(HOME / name / "logs" / f"20260131T{9 + (30 + minutes) // 60:02}{(30 + minutes) % 60:02}00-{name}")


def beginning(text: str = "") -> Beginning:
    """Everything at once; `text` is put into every name that somebody else gave."""
    live = Seen(run(f"support-bot{text}", 100), status("running", 120, 400, 0.9))
    projects = (
        Project(HOME / f"support-bot{text}", live, NOW - 60),
        Project(HOME / f"lumi-lora{text}", Seen(run("lumi-lora"), status("finished", 30, 30)), NOW - 7200),
        Project(HOME / f"new{text}", None, NOW - 86_400 * 3),
    )
    draft = Draft({"preset": "8gb"}, "settings", HOME / f"work{text}", kept=NOW - 600)
    return Beginning(draft, (live,), 7, projects, whole=True)


def opened(text: str = "") -> Opened:
    """A project whose files say more than the wizard asks."""
    root = HOME / f"support-bot{text}"
    told = {"keys": [f"report_to{text}"], "path": f"{root}/configs/train_config.yaml"}
    return Opened(root / "config.yaml", root, {"preset": "8gb"}, (Problem("open_lost", told, severity="note"),))


def stopped(text: str = "") -> Seen:
    """Its newest run."""
    return Seen(run(f"support-bot{text}", 100), status("stopped", 120, 400, 0.9), 100)


def listed(text: str = "") -> list[Listed]:
    """Runs of every kind, the newest first."""
    rows: list[tuple[str, State, int, int, float | None, str]] = [
        ("support-bot", "running", 120, 400, 0.9123, "Qwen3-0.6B"),
        ("support-bot", "failed", 17, 400, 1.4, "Qwen3-0.6B"),
        ("code-helper", "stopped", 60, 120, 0.75, "Qwen3-0.6B"),
        ("lumi-lora", "finished", 30, 30, 0.0312, "smollm2-135m"),
        ("lumi-lora", "crashed", 0, 0, None, "smollm2-135m"),
    ]
    return [
        Listed(
            run(f"{name}{text}", 100 - 20 * place), status(state, step, total, loss), name + text, BEGAN, model, text
        )
        for place, (name, state, step, total, loss, model) in enumerate(rows)
    ]


def compared(text: str = "") -> Comparison:
    """Three of them, the first of which still goes on."""
    runs = []
    for place, found in enumerate(listed(text)[:3]):
        steps = range(1, found.status.step + 1)
        curve = tuple((step, 0.3 + 0.2 * place + 2 * math.exp(-(place + 1) * step / 60)) for step in steps)
        settings = {"learning_rate": 1e-4 * (place + 1), "lora_rank": 8, "use_dora": place == 1, "template": f"x{text}"}
        settings["packing"] = None if place else True
        evals = ((50, 1.25),) if place == 0 else ()
        speed, peak = 450.0 + place, 2_100_000_000 * (place + 1)
        runs.append(
            Trained(found, settings, curve, evals, curve[-1][1], evals[0][1] if evals else None, speed, peak, 321.0)
        )
    return compare(runs)
