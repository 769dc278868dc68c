"""The presets as text of any width on stdout, or as JSON; what is wrong with a user's own on stderr."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.cells import cell_len
from rich.console import Console

from engine.config.values import shown
from engine.errors import EXIT_OK, Problem, ProblemError
from engine.hardware import GIB, Hardware, probe
from engine.memory.presets import (
    Preset,
    Recommendation,
    imagined,
    load_presets,
    preset_folder,
    recommend,
)
from engine.messages import render
from engine.text import one_line
from tui.words import _, noop, problem_line, say, translate
from tui.wrapping import wrap

WIDEST = 100  # cells: longer lines are hard to read
_ORIGINS = {
    "llamafactory guide": noop("LLaMA-Factory's guide"),
    "sage": noop("SAGE's, chosen by hand only"),
    "ours": noop("ours"),
    "yours": noop("yours"),
}


@dataclass(frozen=True)
class Found:
    """What the command tells."""

    presets: tuple[Preset, ...]
    problems: list[Problem]
    hardware: Hardware
    recommended: Recommendation
    folder: Path = field(default_factory=preset_folder)


def show_presets(gpu_memory: str | None, *, as_json: bool) -> int:
    """List and explain. `gpu_memory`: GB of a GPU to think of. Raises ConfigError where that is none."""
    try:
        hardware = probe() if gpu_memory is None else imagined(gpu_memory)
    except ProblemError as error:
        if as_json:
            print(json.dumps({"exit_code": error.exit_code, "problems": _dicts(error.problems)}))
        raise
    presets, problems = load_presets()
    found = Found(presets, problems, hardware, recommend(hardware, choice=presets))
    if as_json:
        print(json.dumps(as_dict(found)))
        return EXIT_OK
    for problem in problems:
        print(problem_line(problem), file=sys.stderr)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a user's words may be what no ASCII terminal can show
    width = min(Console(file=sys.stdout).width, WIDEST)
    print("\n".join(lines(found, width)))
    return EXIT_OK


def lines(found: Found, width: int) -> Iterator[str]:
    """The page in lines of at most `width` cells."""
    yield from wrap(_("Presets: training settings to begin with, by the GPU memory that is free."), width)
    chosen = found.recommended
    line = _("Recommended: {name} ({reason})").format(name=chosen.preset.name, reason=say(chosen.reason))
    yield from wrap(line, width)
    for preset in found.presets:
        yield ""
        head = [preset.name, say(preset.heading), _memory(preset), translate(_ORIGINS[preset.origin])]
        if preset.name == chosen.preset.name:
            head.append(_("recommended"))
        yield from wrap(" · ".join(head) if _unicode() else " - ".join(head), width)
        for line in (*wrap(say(preset.why), width - 4), *_settings(preset, width - 4)):
            if line:
                yield "    " + line
    yield ""
    line = _("With a model and data, what they need decides as well: the wizard goes down to a preset that fits.")
    yield from wrap(line, width)
    line = _("Your own presets: a YAML file each, with memory_gb and settings, in {folder}")
    yield from wrap(line.format(folder=found.folder), width)


def as_dict(found: Found) -> dict[str, Any]:
    """The same in English, as all that programs read."""
    best = found.hardware.best()
    return {
        "exit_code": EXIT_OK,
        "recommended": found.recommended.preset.name,
        "reason": str(found.recommended.reason),
        "free_gb": round(best.free / GIB, 2) if best else None,
        "presets": [
            {
                "name": preset.name,
                "title": str(preset.heading),
                "reason": str(preset.why),
                "memory_gb": preset.memory_gb,
                "origin": preset.origin,
                "automatic": preset.automatic,
                "settings": dict(preset.settings),
            }
            for preset in found.presets
        ],
        "folder": str(found.folder),
        "problems": _dicts(found.problems),
    }


def _settings(preset: Preset, width: int) -> list[str]:
    """Its keys and values, a pair never on two lines where it fits on one."""
    found: list[str] = []
    pairs = [one_line(f"{name}: {shown(value)}") for name, value in preset.settings.items()]
    for pair in [*(pair + "," for pair in pairs[:-1]), *pairs[-1:]]:
        if found and cell_len(f"{found[-1]} {pair}") <= width:
            found[-1] += " " + pair
        else:
            found += wrap(pair, width)
    return found


def _memory(preset: Preset) -> str:
    if not preset.on_gpu:
        return _("no GPU")
    return _("from {memory} GB free").format(memory=f"{preset.memory_gb:g}")


def _unicode() -> bool:
    return (sys.stdout.encoding or "").lower().replace("-", "").startswith("utf")


def _dicts(problems: Sequence[Problem]) -> list[dict[str, Any]]:
    return [problem.as_dict() | {"text": render(problem)} for problem in problems]
