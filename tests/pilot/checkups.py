"""What the doctor would say of a machine that a test made up."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from engine.doctor.check import Check
from engine.doctor.machine import check_gpus, check_memory, check_processor
from engine.doctor.places import Hub, check_hub
from engine.doctor.software import check_torch
from engine.hardware.torch_build import TorchBuild
from engine.text import Phrase
from engine.wizard.session import Machine


def checks_of(machine: Machine) -> list[dict[str, Any]]:
    """As the desk finds them; what the doctor looks at elsewhere is well."""
    build = TorchBuild("2.13.0", "cuda", (12, 6)) if machine.hardware.driver else TorchBuild("2.13.0+cpu", "cpu")
    found = [
        Check("python", "ok", Phrase("Python"), Phrase("{version} ({path})", {"version": "3.11.7", "path": "/bin/py"})),
        Check("packages", "ok", Phrase("Packages"), Phrase("all {count} are there and recent enough", {"count": 24})),
        Check("packages.optional", "ok", Phrase("Optional packages"), Phrase("{name} {version}", {"name": "jieba"})),
        *check_torch(build, machine.hardware),
        *check_gpus(machine.hardware, Path("/nowhere")),
        check_processor(machine.host),
        check_memory(machine.host),
        Check(
            "folder.cwd",
            "ok",
            Phrase("Working folder"),
            Phrase("{free} GB free at {path}", {"free": "63.9", "path": "/home/ada"}),
        ),
        Check(
            "folder.temp",
            "ok",
            Phrase("Temporary files"),
            Phrase("{free} GB free at {path}", {"free": "9.0", "path": "/tmp"}),
        ),
        *check_hub(Hub(Path("/hub"), False, "https://huggingface.co", False)),
    ]
    return [check.packed() for check in found]
