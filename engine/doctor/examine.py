"""All checks but that of the terminal, which the front end knows about."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from engine import __version__
from engine.doctor.check import Check, Diagnosis
from engine.doctor.machine import check_gpus, check_memory, check_processor
from engine.doctor.places import Hub, check_hub, check_place, hub_settings, places, refusal
from engine.doctor.software import check_packages, check_python, check_torch, installed_version, own_requirements
from engine.errors import Problem
from engine.hardware import Hardware, Host, every_gpu, host
from engine.hardware.torch_build import TorchBuild, torch_build
from engine.messages import catalogue
from engine.runs.surroundings import limits
from engine.storage import free_bytes
from engine.text import Phrase


@dataclass(frozen=True)
class Sources:
    """Where the facts come from. `root` is where /proc and /sys are; refusal: why a folder cannot be written."""

    cwd: Path
    environ: Mapping[str, str]
    root: Path = Path("/")
    hardware: Callable[[], Hardware] = every_gpu
    host: Callable[[], Host] = host
    torch: Callable[[], TorchBuild | None] = torch_build
    requirements: Callable[[], Sequence[str] | None] = own_requirements
    installed: Callable[[str], str | None] = installed_version
    hub: Callable[[], Hub | None] = hub_settings
    limits: Callable[[], Sequence[Problem]] = limits
    free: Callable[[Path], int] = free_bytes
    refusal: Callable[[Path], str] = refusal

    @classmethod
    def here(cls) -> Sources:
        """This process."""
        return cls(working_folder(), os.environ)


def working_folder() -> Path:
    """Also where it was deleted while the shell stood in it."""
    try:
        return Path.cwd()
    except FileNotFoundError:
        return Path(os.environ.get("PWD", "."))


def examine(sources: Sources) -> Diagnosis:
    """Look at everything. Takes a second at most, opens no connection and leaves nothing behind."""
    hardware, here, build, hub = sources.hardware(), sources.host(), sources.torch(), sources.hub()
    software, packages = check_packages(sources.requirements(), sources.installed)
    checks = [
        check_python(),
        *software,
        *check_torch(build, hardware),
        *check_gpus(hardware, sources.root),
        check_processor(here),
        check_memory(here),
        *(check_place(place, sources.free, sources.refusal) for place in places(sources.cwd, hub)),
        *check_hub(hub),
        *_surroundings(sources.limits()),
    ]
    facts = {
        "version": __version__,
        "python": platform.python_version(),
        "system": platform.platform(),
        "packages": packages,
        "torch": None if build is None else {"version": build.version, "kind": build.kind, "cuda": build.cuda},
        "hardware": hardware.as_dict(),
        "host": here.as_dict(),
        "hub": None if hub is None else hub.as_dict(),
        "environment": {name: sources.environ.get(name) for name in ("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER")},
    }
    return Diagnosis(tuple(checks), facts)


def _surroundings(problems: Sequence[Problem]) -> Iterator[Check]:
    """What ends a run that should go on by itself."""
    title = Phrase("Detached runs")
    if not problems:
        yield Check("runs", "ok", title, Phrase("go on when the terminal closes"))
    for problem in problems:
        words = catalogue()[problem.code]
        finding, remedy = Phrase(words.text, problem.params), Phrase(words.hint, problem.params)
        yield Check(f"runs.{problem.code}", "warn", title, finding, remedy)
