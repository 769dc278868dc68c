"""The phases of a run as a list: those that were, the one that goes on, those to come; and what they found."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.cells import cell_len

from engine.runs.history import Phase
from engine.runs.view import STEP_OF, Snapshot
from engine.text import one_line
from tui.phases import duration, phase_title
from tui.words import _

DONE, NOW, STOPPED, BROKEN, TO_COME = "✓", ">", "=", "✗", " "
_TRAIN, _AFTER = ("tokenising", "loading", "checking", "training"), ("saving", "measuring", "predicting")
ORDER = (*_TRAIN, *_AFTER, "merging", "proving", "answering")
CERTAIN = ("tokenising", "loading", "training", "merging", "proving", "answering")  # of the steps that they belong to
MOST = 10  # phases in the list, the latest


def phase_lines(seen: Snapshot, *, ahead: bool = True) -> list[str]:
    """A line a phase: a mark, its name, how long it took or takes so far. ahead: also those that will follow."""
    rows = [(_mark(seen, phase), phase_title(phase.name), _time(seen, phase)) for phase in seen.phases[-MOST:]]
    rows += [(TO_COME, phase_title(name), "") for name in to_come(seen) if ahead]
    width = max((cell_len(title) for _mark, title, _time in rows), default=0)
    return [f"{mark} {title}{' ' * (width - cell_len(title))}  {time}".rstrip() for mark, title, time in rows]


def phase_words(seen: Snapshot) -> str:
    """The phases that have ended, in a sentence; empty where none has."""
    ended = [f"{phase_title(phase.name)} {_time(seen, phase)}" for phase in seen.phases if phase.ended is not None]
    return _("Took so far: {phases}").format(phases=_(", ").join(ended[-MOST:])) if ended else ""


def to_come(seen: Snapshot) -> list[str]:
    """Phases that will follow, as far as that is certain; none of a run that ends or is over."""
    if seen.outcome or seen.status.state not in ("starting", "running", "elsewhere"):
        return []
    were = [ORDER.index(phase.name) for phase in seen.phases if phase.name in ORDER]
    rest = ORDER[max(were, default=-1) + 1 :]
    return [name for name in rest if name in CERTAIN and STEP_OF.get(name, "train") in seen.steps]


def found_lines(facts: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """What the phases found, as far as it was told: the data, the model."""
    data, model = facts.get("data", {}), facts.get("model", {})
    lines = [data_words(data)] if {"samples", "tokens", "labelled", "longest"} <= data.keys() else []
    return lines + ([model_words(model)] if isinstance(model.get("parameters"), int) else [])


def data_words(event: Mapping[str, Any]) -> str:
    """Of a run's `data` event: samples and tokens."""
    parts = [_("{samples} samples, {tokens} tokens, {labelled} of them trained on, longest {longest}")]
    parts += [_("{held_back} held back")] if event.get("held_back") else []
    parts += [_("from the cache")] if event.get("cached") else []
    return _(", ").join(parts).format_map(event)


def model_words(event: Mapping[str, Any]) -> str:
    """Of a run's `model` event: what of it is trained, and where."""
    trained, total, device = event.get("trainable", 0) / 1e6, event["parameters"] / 1e6, event.get("device", "?")
    line = _("{trained:.2f}M of {total:.0f}M parameters are trained ({share:.2f} %) on {device}")
    return line.format(trained=trained, total=total, share=100 * trained / (total or 1), device=one_line(device, 20))


def _mark(seen: Snapshot, phase: Phase) -> str:
    if phase is not seen.phases[-1] or seen.outcome == "done":
        return DONE
    if phase.ended is None:
        return NOW
    return STOPPED if seen.outcome == "stopped" else BROKEN


def _time(seen: Snapshot, phase: Phase) -> str:
    return duration(phase.seconds(seen.now)) if phase.ended is not None or seen.now else ""
