"""What is asked last: where files are in the way, and where something is wrong with the data."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from engine.text import Phrase
from engine.wizard.inspection import can_be_forced
from engine.wizard.questions import NOTHING, Default, Question

if TYPE_CHECKING:
    from engine.wizard.session import Wizard


def questions() -> list[Question]:
    """In the order they are asked."""
    return [
        Question(
            "replace",
            "review",
            "switch",
            Phrase("Replace files that differ"),
            Phrase("The old ones are kept beside them, with the time in their name."),
            lambda wizard: Default(
                wizard.started, Phrase("these are from your last start") if wizard.started else NOTHING
            ),
            applies=lambda wizard: wizard.in_the_way(),
        ),
        Question(
            "anyway",
            "review",
            "switch",
            Phrase("Train nevertheless"),
            Phrase("The run is not stopped by what was found wrong with the data. What it makes may be of no use."),
            lambda wizard: Default(False),
            applies=can_be_forced,
        ),
    ]


def another_folder(wizard: Wizard) -> str:
    """A folder like the project's that is not there yet, to be suggested where files are in the way."""
    given = str(wizard.value("project")).rstrip("/")
    given = given if given.strip("./") else wizard.fresh_folder()
    return next(name for number in itertools.count(2) if not wizard.path(name := f"{given}-{number}").exists())
