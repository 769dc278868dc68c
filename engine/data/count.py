"""Worker of --dry-run and `estimate`: how many rows, tokens and steps a train config makes, and how long they are.

python -m engine.data.count, a run's train part as JSON on stdin; answers as `review_work.serve` gives them.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from engine.config.schema import TrainConfig
from engine.data.cutoffs import cutoffs
from engine.data.encoded import Encoded
from engine.data.gate import gate
from engine.data.histogram import Lengths
from engine.data.prepare import prepare
from engine.data.review_work import serve
from engine.data.steps import steps_per_epoch, total_steps


def count(spec: dict[str, Any], progress: Callable[[int, int], None]) -> dict[str, Any]:
    """{samples, held_back, tokens, labelled, longest, longest_row, eval_longest, lengths, steps_per_epoch, steps,

    notes} of a run's train part. longest: tokens of a sample; longest_row: of a row, which holds several samples where
    they are packed; eval_longest: of a row to measure on. lengths: `Lengths` of the samples, with the rows that each
    of `cutoffs` would cut. `force` in the spec: what would ruin the run is among the notes instead of raised.
    """
    config = msgspec.convert(spec["config"], TrainConfig)
    model, force = Path(spec["model_path"]), bool(spec.get("force"))
    prepared = prepare(
        config,
        model,
        hashes=spec["data_sha256"],
        progress=progress,
        should_stop=lambda: False,
        force=force,
    )
    notes = [*prepared.notes, *gate(prepared, config, model, force=force)]
    report = prepared.train.report
    lengths = Lengths.of(sample_lengths(prepared.train), cutoffs(report.longest))
    return {
        "samples": len(prepared.train),
        "held_back": prepared.held_back,
        "tokens": report.tokens,
        "labelled": report.labelled_tokens,
        "longest": report.longest,
        "longest_row": prepared.train.longest,
        "eval_longest": max((rows.longest for rows in prepared.evaluations.values()), default=0),
        "lengths": lengths.as_dict() if lengths else None,
        "steps_per_epoch": steps_per_epoch(len(prepared.train), config),
        "steps": total_steps(len(prepared.train), config),
        "notes": [problem.as_dict() for problem in notes],
    }


def sample_lengths(encoded: Encoded) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Tokens of each sample (samples,), of those inside packed rows too."""
    return np.diff(encoded.offsets if encoded.parts is None else encoded.parts)


if __name__ == "__main__":
    serve(count)
