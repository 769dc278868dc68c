"""Python and the installed packages against what this version asks for. None of them is imported."""

from __future__ import annotations

import importlib.metadata
import platform
import re
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from engine.doctor.check import Check, Status
from engine.hardware import Hardware
from engine.hardware.torch_build import TorchBuild, card_obstacle, obstacle
from engine.storage import APP
from engine.text import Phrase, listed, verbatim

TOLD = ("torch", "transformers", "peft", "datasets", "accelerate")  # named although nothing is wrong with them
NOT_FOR_USERS = ("dev",)  # extras
OLDEST_PYTHON = (3, 11)


@dataclass(frozen=True)
class Package:
    """One that is asked for. floor: its version specifier; installed: None where it is not. extra: empty for a must."""

    name: str
    floor: str
    installed: str | None
    fits: bool
    extra: str = ""


def installed_version(name: str) -> str | None:
    """The version of a distribution here."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def own_requirements() -> list[str] | None:
    """Requires-Dist of this tool as it is installed; None where it runs without being installed."""
    try:
        return importlib.metadata.requires(APP) or []
    except importlib.metadata.PackageNotFoundError:
        return None


def packages(requirements: Sequence[str], installed: Callable[[str], str | None]) -> list[Package]:
    """What the requirements ask for on this system. Raises ImportError where there is no `packaging` to read them."""
    from packaging.requirements import Requirement
    from packaging.version import InvalidVersion

    found = []
    for text in requirements:
        asked = Requirement(text)
        extra = next((name for name in _extras(text) if asked.marker and asked.marker.evaluate({"extra": name})), "")
        if asked.marker and not extra and not asked.marker.evaluate({"extra": ""}):
            continue  # of another system
        if extra in NOT_FOR_USERS:
            continue
        version = installed(asked.name)
        try:
            fits = version is not None and asked.specifier.contains(version, prereleases=True)
        except InvalidVersion:
            fits = False
        found.append(Package(asked.name, str(asked.specifier), version, fits, extra))
    return found


def check_python(minimum: tuple[int, int] = OLDEST_PYTHON) -> Check:
    """The interpreter that runs this."""
    about = {"version": platform.python_version(), "path": sys.executable}
    finding = Phrase("{version} ({path})", about)
    if sys.version_info[:2] >= minimum:
        return Check("python", "ok", Phrase("Python"), finding)
    needed = {"minimum": "{}.{}".format(*minimum)}
    remedy = Phrase("Install {minimum} or newer, and this tool into an environment of that Python.", needed)
    return Check("python", "fail", Phrase("Python"), finding, remedy)


def check_packages(
    requirements: Sequence[str] | None, installed: Callable[[str], str | None]
) -> tuple[list[Check], list[dict[str, Any]]]:
    """The checks, and every package as JSON."""
    title = Phrase("Packages")
    if requirements is None:
        text = Phrase("{name} runs without being installed, so nothing says which versions it needs", {"name": APP})
        return [Check("packages", "warn", title, text, Phrase("Install it: pip install -e ."))], []
    try:
        found = packages(requirements, installed)
    except ImportError:
        text = Phrase("the package that reads versions, packaging, is missing")
        return [Check("packages", "fail", title, text, _install("packaging"))], []
    needed = [one for one in found if not one.extra]
    checks = [_unfit(one) for one in needed if not one.fits]
    if not checks:
        named = [verbatim(f"{one.name} {one.installed}") for name in TOLD for one in needed if one.name == name]
        first = Phrase("all {count} are there and recent enough", {"count": len(needed)})
        checks = [Check("packages", "ok", title, listed([first, *named]))]
    optional = [one for one in found if one.extra]
    checks += [_unfit(one) for one in optional if one.installed is not None and not one.fits]
    if told := [_optional(one) for one in optional if one.fits or one.installed is None]:
        checks.append(Check("packages.optional", "ok", Phrase("Optional packages"), listed(told)))
    return checks, [asdict(one) for one in found]


def check_torch(build: TorchBuild | None, hardware: Hardware) -> Iterator[Check]:
    """Whether torch can use the GPUs. Nothing where it is not installed: that is a missing package."""
    if build is None:
        return
    title = Phrase("PyTorch")
    if found := obstacle(build, hardware):
        yield Check("torch", "fail", title, found.text, found.remedy)
        return
    values = {"version": build.version, "cuda": "{}.{}".format(*build.cuda)}
    kinds = {
        "cuda": Phrase("{version}, built for CUDA {cuda}", values),
        "cpu": Phrase("{version}, built for processors only", values),
        "rocm": Phrase("{version}, built for AMD's GPUs, which this tool does not train on", values),
        "xpu": Phrase("{version}, built for Intel's GPUs, which this tool does not train on", values),
    }
    yield Check("torch", "ok", title, kinds[build.kind])
    for gpu in hardware.gpus:
        if found := card_obstacle(build, gpu):
            yield Check(f"torch.{gpu.label}", "warn", title, found.text, found.remedy)


def _extras(requirement: str) -> list[str]:
    """Names that its marker compares `extra` with."""
    return re.findall(r"extra\s*==\s*['\"]([^'\"]+)['\"]", requirement)


def _unfit(package: Package) -> Check:
    values = {"installed": package.installed, "needed": package.floor, "name": package.name}
    if package.installed is None:
        finding = Phrase("not installed; {needed} is needed", values)
    else:
        finding = Phrase("{installed} is installed, {needed} is needed", values)
    title = Phrase("Package {name}", values)
    status: Status = "warn" if package.extra else "fail"
    return Check(f"package.{package.name}", status, title, finding, _install(package.name + package.floor))


def _optional(package: Package) -> Phrase:
    values = {"name": package.name, "version": package.installed, "extra": package.extra}
    if package.installed is None:
        return Phrase("{name} not installed (extra: {extra})", values)
    return Phrase("{name} {version}", values)


def _install(requirement: str) -> Phrase:
    command = shlex.join([sys.executable, "-m", "pip", "install", requirement])
    return verbatim(command)
