"""Shorter limits of a sample's length to offer."""

from __future__ import annotations

_SHARES = (0.75, 0.5, 0.375, 0.25, 0.125)  # of the longest sample: what cutoff_len may be lowered to
_GRAIN = 64


def cutoffs(longest: int) -> tuple[int, ...]:
    """Shorter limits to offer where samples have up to `longest` tokens: multiples of 64, the longest first."""
    rounded = (int(longest * share) // _GRAIN * _GRAIN for share in _SHARES)
    return tuple(dict.fromkeys(cutoff for cutoff in rounded if cutoff))
