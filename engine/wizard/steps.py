"""The step graph: which steps there are, in which order, and which of them a run passes through by itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.text import Phrase

if TYPE_CHECKING:
    from engine.wizard.session import Wizard


@dataclass(frozen=True)
class Step:
    """`title` for the rail (at most 12 cells), `intro` says what is decided here. asks: answered before the start."""

    id: str
    title: Phrase
    intro: Phrase
    asks: bool = True


STEPS = (
    Step("hardware", Phrase("Hardware"), Phrase("What this machine has to train on.")),
    Step("model", Phrase("Model"), Phrase("The model that learns. It stays as it is; what is learned is kept apart.")),
    Step("data", Phrase("Data"), Phrase("What it learns from: questions and the answers you want.")),
    Step("preset", Phrase("Memory"), Phrase("How much is done at a time, so that the memory suffices.")),
    Step("settings", Phrase("Settings"), Phrase("Everything else. The values below are good to begin with.")),
    Step("review", Phrase("Review"), Phrase("All answers and all files, before anything is written.")),
    Step("training", Phrase("Training"), Phrase("The adapter learns."), asks=False),
    Step("merge", Phrase("Merge"), Phrase("Adapter and model become one model, which is then checked."), asks=False),
    Step("chat", Phrase("Chat"), Phrase("Talk to the tuned model and to the one it was made from."), asks=False),
    Step("finish", Phrase("Finish"), Phrase("What was made, how to serve it, how to repeat it."), asks=False),
)


def steps(wizard: Wizard) -> tuple[Step, ...]:
    """The steps that these answers lead through."""
    return tuple(step for step in STEPS if step.id != "merge" or wizard.value("merge"))


def step(name: str) -> Step:
    """By its id."""
    return next(found for found in STEPS if found.id == name)


def following(wizard: Wizard, name: str) -> Step | None:
    """The step after `name`, None after the last."""
    ids = [found.id for found in steps(wizard)]
    place = ids.index(name) + 1
    return steps(wizard)[place] if place < len(ids) else None


def preceding(wizard: Wizard, name: str) -> Step | None:
    """The step that Back leads to; None at the first, and from a run there is no way back into the questions."""
    ids = [found.id for found in steps(wizard)]
    place = ids.index(name) - 1
    return steps(wizard)[place] if place >= 0 and steps(wizard)[place].asks else None
