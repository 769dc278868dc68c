"""What a training came to, in numbers: from the events of its run."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from engine.outputs import adapter_marker
from engine.runs.folder import RunFolder
from engine.runs.view import RunView, Snapshot


@dataclass(frozen=True)
class Figures:
    """None where it is not known. loss: of the first step, and the smoothed one of the last; begun: that first step,
    later than 1 where the run went on from a checkpoint. held_back: the first and the last measurement of those rows.
    tokens: trained on. peak_bytes: of memory. proof: the merge's check.
    """

    steps: int = 0
    begun: int = 1
    loss: tuple[float, float] | None = None
    held_back: tuple[float, float] | None = None
    seconds: float | None = None
    tokens: int | None = None
    peak_bytes: int | None = None
    proof: dict[str, Any] | None = None

    @property
    def known(self) -> bool:
        """Whether there is anything to say."""
        return any((self.loss, self.held_back, self.seconds, self.tokens, self.peak_bytes, self.proof))


def figures_of(seen: Snapshot) -> Figures:
    """Of one run."""
    figures = seen.facts.get("figures", {})
    ends = (seen.losses[0][1], seen.smoothed[-1][1]) if seen.losses and seen.smoothed else None
    return Figures(
        steps=seen.step,
        begun=seen.losses[0][0] if seen.losses else 1,
        loss=ends,
        held_back=(seen.evals[0][1], seen.evals[-1][1]) if seen.evals else None,
        seconds=figures.get("train_seconds"),
        tokens=figures.get("tokens"),
        peak_bytes=seen.peak_bytes,
        proof=seen.proof,
    )


def told(run: RunFolder | None, trained: RunFolder | None) -> Figures:
    """Of a run and, where that only merged, of the one that trained the adapter.

    Reads events.jsonl, some tenths of a second for a long run. What cannot be read only leaves things out.
    """
    own = figures_of(RunView(run).poll()) if run else Figures()
    if trained is None:
        return own
    found = figures_of(RunView(trained).poll())
    return replace(found, proof=own.proof or found.proof)


def training_run(adapter: Path) -> RunFolder | None:
    """The run that made an adapter: its marker names it. None where that is gone, or the adapter is not of ours."""
    marker = adapter_marker(adapter)
    run = RunFolder(Path(marker.run)) if marker and marker.run else None
    return run if run and run.events_file.is_file() else None
