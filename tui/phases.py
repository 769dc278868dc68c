"""Words for what a run is doing and how it stands, and for times and sizes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.text import one_line
from tui.words import _, noop, translate

if TYPE_CHECKING:
    from engine.chat.needs import Needs

PHASES = {
    "": noop("Loading the libraries"),  # before the first that is told
    "tokenising": noop("Tokenising"),
    "estimating": noop("Estimating memory"),
    "loading": noop("Loading the model"),
    "checking": noop("Checking the fast step"),
    "training": noop("Training"),
    "saving": noop("Saving"),
    "measuring": noop("Measuring"),
    "predicting": noop("Writing the answers"),
    "merging": noop("Merging"),
    "proving": noop("Checking the merged model"),
    "answering": noop("Asking the questions"),
}
STEPS = {
    "train": noop("train"),
    "merge": noop("merge"),
    "answers": noop("answers"),
}
STATES = {
    "starting": noop("starting"),
    "running": noop("running"),
    "stopping": noop("stopping"),
    "finished": noop("finished"),
    "stopped": noop("stopped"),
    "failed": noop("failed"),
    "crashed": noop("crashed"),
    "elsewhere": noop("on another machine"),
}


def phase_title(name: str) -> str:
    """Of a run's `phase` event; a phase of a newer version is shown by its name."""
    return translate(PHASES[name]) if name in PHASES else one_line(name, 40)


def step_title(name: str) -> str:
    """Of a step of a run: train, merge, answers."""
    return translate(STEPS[name]) if name in STEPS else one_line(name, 40)


def state_title(state: str) -> str:
    """Of state.json's `state`, or `elsewhere`."""
    return translate(STATES[state]) if state in STATES else one_line(state, 40)


def duration(seconds: float) -> str:
    """4 s, 3 min 20 s, 2 h 5 min."""
    whole = int(seconds + 0.5)
    if whole < 60:
        return _("{s} s").format(s=whole)
    if whole < 3600:
        return _("{min} min {s} s").format(min=whole // 60, s=whole % 60)
    return _("{h} h {min} min").format(h=whole // 3600, min=whole % 3600 // 60)


def age(seconds: float) -> str:
    """In one unit: 40 s, 12 min, 5 h, 3 d."""
    if seconds < 90:
        return _("{n} s").format(n=int(seconds))
    if seconds < 5400:
        return _("{n} min").format(n=int(seconds / 60))
    if seconds < 172_800:
        return _("{n} h").format(n=int(seconds / 3600))
    return _("{n} d").format(n=int(seconds / 86_400))


def size_words(count: float) -> str:
    """Three digits at most, in powers of 1000."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 999.5:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 10 else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def needs_words(needs: Needs) -> str:
    """What a talk takes of the memory, in a line."""
    fits = _("It takes about {needed} GB; {free} GB are free.")
    hardly = _("It may not fit: about {needed} GB are needed, {free} GB are free.")
    line = fits if needs.fits else hardly
    return line.format(needed=f"{needs.needed / 1e9:.1f}", free=f"{needs.free / 1e9:.1f}")
