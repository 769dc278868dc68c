"""A merge in words: what it will write and take, and what its check says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.text import one_line
from tui.words import _

LIMIT = 0.1  # of the check's figure; what is above it and passed was rounding alone


def merge_lines(facts: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """What the merge that has begun will write and take of what is free; none of a run that does not tell."""
    told = facts.get("merge")
    if not told:
        return []
    dtype = one_line(told["dtype"], 20) if told.get("dtype") else _("the number format of the base")
    writes = _("Writes {tensors} tensors, {size}, in {dtype}.")
    takes = _("Takes {disk} of {disk_free} free on the disk, {memory} of {memory_free} free in memory.")
    sizes = {name: _gigabytes(told.get(key)) for name, key in _KEYS.items()}
    return [writes.format(tensors=told.get("tensors"), dtype=dtype, **sizes), takes.format(**sizes)]


def proof_words(proof: Mapping[str, Any]) -> str:
    """The check of a merged model: whether it passed, its figure with its limit, and what that means."""
    method, ratio, tensors = proof.get("method"), proof.get("ratio"), proof.get("tensors_checked")
    share = f"{100 * ratio:.2f}" if ratio is not None and ratio < LIMIT else f"{100 * (ratio or 0):.0f}"
    if not proof.get("passed", True):  # its problems say why, and the ratio may be none
        line = _("Check NOT passed: do not use the merged model.")
        more = _("Its answers differ by {share} % of what the adapter changes (allowed: 10 %).")
        return f"{line} {more.format(share=share)}" if ratio is not None and ratio > LIMIT else line
    if proof.get("changes_nothing"):
        return _("Check passed, but the adapter changes nothing: the merged model equals the base model.")
    if method == "none":
        return _("Not checked: a note says why.")
    if method != "logits" or ratio is None:
        return _("Check passed: {tensors} tensors compared one by one.").format(tensors=tensors)
    if ratio > LIMIT:
        line = _(
            "Check passed with a remark: all {tensors} tensors are right, but rounding takes {share} % of what the "
            "adapter changes."
        )
    else:
        line = _(
            "Check passed: the merged model answers as model and adapter do; the difference is {share} % of what the "
            "adapter changes (allowed: 10 %). {tensors} tensors compared."
        )
    return line.format(share=share, tensors=tensors)


_KEYS = {"size": "bytes_out", "disk": "disk_needed", "disk_free": "disk_free"}
_KEYS |= {"memory": "memory_peak", "memory_free": "memory_free"}


def _gigabytes(size: Any) -> str:
    return _("{size:.2f} GB").format(size=float(size or 0) / 1e9)
