"""Making a job fit: the ranked changes that save something, and the fewest of them that suffice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from engine.config.rules import train_rules
from engine.memory.case import Case, Outcome, look
from engine.memory.remedies import Change, approximate_changes, exact_changes, yaml_value


@dataclass(frozen=True)
class Fit:
    """The fewest changes after which the job fits; where nothing suffices, all of them, and fits is False.

    tight: it fits without the margin only.
    """

    changes: tuple[Change, ...]
    outcome: Outcome
    tight: bool = False

    @property
    def fits(self) -> bool:
        """Whether it does."""
        return self.outcome.fits

    @property
    def settings(self) -> dict[str, Any]:
        """Of all changes; a later one wins."""
        return {name: value for change in self.changes for name, value in change.settings.items()}

    @property
    def overrides(self) -> list[str]:
        """As `key=value`."""
        return [f"{name}={yaml_value(value)}" for name, value in self.settings.items()]


def changes(case: Case) -> list[Change]:
    """What saves anything, by rank: exact before approximate, the mildest first. Only what the rules between keys and

    the device allow.
    """
    before = look(case)
    known = {finding.code for finding in train_rules(case.config, dict(case.passed))}
    found = []
    for change in (*exact_changes(case, before), *approximate_changes(case, before)):
        after_case = case.with_(change.settings)
        findings = train_rules(after_case.config, dict(case.passed))
        if any(finding.severity == "error" and finding.code not in known for finding in findings):
            continue
        after = look(after_case)
        saves = before.least - after.least
        if saves > 0:
            found.append(replace(change, saves=saves, time=after.time / before.time, fits=after.fits))
    return found


def fit(case: Case, ranked: Sequence[Change] | None = None, *, approximate: bool = True) -> Fit:
    """The fewest changes that suffice, tried in this order: one exact change, several, all of them and one approximate,

    several. Then each that turns out not to be needed is taken back, the last approximate one first. No change where
    the job fits as it is. ranked: what `changes` gave, where that is known.
    """
    before = look(case)
    if before.fits:
        return Fit((), before)
    offered = changes(case) if ranked is None else ranked
    exact = [change for change in offered if change.exact]
    others = [change for change in offered if not change.exact] if approximate else []
    attempts = [
        *((change,) for change in exact),
        *(tuple(exact[:count]) for count in range(2, len(exact) + 1)),
        *((*exact, change) for change in others),
        *((*exact, *others[:count]) for count in range(2, len(others) + 1)),
    ]
    for attempt in attempts:
        tried = _together(case, attempt)
        if tried.fits:
            return _pruned(case, tried)
    return _together(case, (*exact, *others))


def fit_closely(case: Case, ranked: Sequence[Change]) -> Fit:
    """`fit`, and where nothing suffices, without the margin."""
    found = fit(case, ranked)
    if found.fits:
        return found
    close = fit(replace(case, margin=0.0), ranked)
    return replace(close, tight=True) if close.fits else found


def _together(case: Case, chosen: Sequence[Change]) -> Fit:
    made = Fit(tuple(chosen), look(case))
    return replace(made, outcome=look(case.with_(made.settings)))


def _pruned(case: Case, found: Fit) -> Fit:
    """Without the changes that are not needed, or whose keys a later one sets anew."""
    for change in sorted(reversed(found.changes), key=lambda change: change.exact):
        fewer = _together(case, [kept for kept in found.changes if kept is not change])
        if fewer.fits:
            found = fewer
    return found
