"""Questions to begin a talk with: out of the data that a model was tuned on."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

from engine.data.formats import load_samples
from engine.data.registry import load_registry
from engine.errors import ProblemError
from engine.text import one_line

ROWS = 50  # that are looked at
MOST_BYTES = 50_000_000  # of a file: an array in .json is read whole
LONGEST = 300  # characters: a longer one cannot be taken in at a glance


def from_data(dataset_dir: str | None, names: Sequence[str], count: int) -> list[str]:
    """First questions of the first set, spread over its beginning; none where it cannot be read or is too large."""
    if not dataset_dir or not names:
        return []
    with contextlib.suppress(ProblemError, OSError, ValueError):
        entry = load_registry(Path(dataset_dir)).resolve([names[0]])[0]
        if entry.hub is None and all(Path(file).stat().st_size <= MOST_BYTES for file in entry.files):
            samples, _tally = load_samples(entry, ROWS)
            first = [sample.conversation.turns[0].content for sample in samples if sample.conversation.turns]
            short = list(dict.fromkeys(text.strip() for text in first if 0 < len(text.strip()) <= LONGEST))
            step = max(len(short) // count, 1)
            return [one_line(text) for text in short[step // 2 :: step][:count]]
    return []
