"""Tokenised rows as the columns that LLaMA-Factory stores, and back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from engine.data.encoded import Encoded, EncodeReport, Prompts
from engine.errors import DataError, Problem

IGNORE = -100
_ROWS = 1000  # a chunk
_MEDIA = {"images": "null", "videos": "null", "audios": "null"}
_NO_MEDIA = 2**32  # LLaMA-Factory's mark of a packed row without images
_SAMPLES_OF = ("image_subseq_ids", "video_subseq_ids", "audio_subseq_ids")
_PARAMS = {
    "sequence_boundaries": ["int64"],
    **{name: ["int64"] for name in _SAMPLES_OF},
    "right_padding_length": "int64",
}

Array = npt.NDArray[Any]


def types(tokens: Encoded | Prompts) -> dict[str, Any]:
    """Columns and their types, in LLaMA-Factory's order."""
    if isinstance(tokens, Encoded) and tokens.parts is not None:
        if tokens.neat:
            wide = {name: ["int64"] for name in ("attention_mask", "position_ids", "labels")}
            return {"input_ids": ["int64"], "packing_params": _PARAMS, **wide, **_MEDIA}
        return {**_PLAIN, "position_ids": ["int64"], "labels": ["int64"], **_MEDIA}
    return {**_PLAIN, "labels": ["int64"], **_MEDIA}


_PLAIN: dict[str, Any] = {"input_ids": ["int32"], "attention_mask": ["int8"]}


def chunks(tokens: Encoded | Prompts, pad_id: int, width: int) -> Iterator[dict[str, Any]]:
    """Arrow arrays of a thousand rows at a time. Packed rows are padded to `width` tokens, others are not."""
    for start in range(0, len(tokens), _ROWS):
        rows = range(start, min(start + _ROWS, len(tokens)))
        if isinstance(tokens, Encoded) and tokens.parts is not None:
            yield _with_media(_packed(tokens, rows, pad_id, width), len(rows))
        else:
            yield _with_media(_plain(tokens, rows), len(rows))


def tokens_of(table: Any, folder: str) -> Encoded | Prompts:
    """The rows of a stored table. Prompts where the labels of a row are not as long as its input_ids.

    Raises DataError tokenized_columns.
    """
    missing = [name for name in ("input_ids", "labels") if name not in table.column_names]
    if missing:
        params = {"folder": folder, "missing": missing, "columns": table.column_names}
        raise DataError(Problem("tokenized_columns", params, "tokenized_path"))
    ids, offsets = _flat(table, "input_ids")
    labels, label_offsets = _flat(table, "labels")
    ids, labels = ids.astype(np.int32, copy=False), labels.astype(np.int32, copy=False)
    if not np.array_equal(offsets, label_offsets):
        report = EncodeReport(0, len(offsets) - 1, len(offsets) - 1, len(ids), len(labels))
        return Prompts(ids, offsets, labels, label_offsets, report)
    if not {"position_ids", "attention_mask"} <= set(table.column_names):
        return _reported(Encoded(ids, labels, offsets, EncodeReport(0)))
    positions, mask = _flat(table, "position_ids")[0], _flat(table, "attention_mask")[0]
    neat = bool(len(mask) and (mask.min() == 0 or mask.max() > 1))
    kept = _filled(mask, positions, labels, offsets, neat=neat)
    starts = kept & (positions == 0)
    starts[offsets[:-1]] = True
    places = np.concatenate([[0], np.cumsum(kept)])  # of each token once the padding is gone
    parts = np.append(places[np.flatnonzero(starts)], places[-1])
    return _reported(Encoded(ids[kept], labels[kept], places[offsets], EncodeReport(0), parts, neat))


def _filled(mask: Array, positions: Array, labels: Array, offsets: Array, *, neat: bool) -> Array:
    """Which tokens are no padding. Plain packing does not mark it: it is what ends a row at position 0, unlabelled."""
    if neat:
        return mask > 0
    empty = (positions == 0) & (labels == IGNORE)
    kept = np.ones(len(mask), bool)
    for first, last in zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True):
        full = np.flatnonzero(~empty[first:last])
        kept[first + (full[-1] + 1 if len(full) else 1) : last] = False
    return kept


def _reported(encoded: Encoded) -> Encoded:
    """The same with a report of what can be seen."""
    report, bounds = encoded.report, encoded.offsets if encoded.parts is None else encoded.parts
    lengths = np.diff(bounds)
    labelled = np.concatenate([[0], np.cumsum(encoded.labels != IGNORE)])
    report.rows = report.kept = len(lengths)
    report.tokens, report.labelled_tokens = len(encoded.input_ids), int(labelled[-1])
    report.longest = report.longest_whole = report.cutoff_len = int(lengths.max(initial=0))
    report.shortest_whole = int(lengths.min()) if len(lengths) else 0
    report.packed_rows = 0 if encoded.parts is None else len(encoded)
    report.fully_masked = int((np.diff(labelled[bounds]) == 0).sum())
    return encoded


def _plain(tokens: Encoded | Prompts, rows: range) -> dict[str, Any]:
    offsets = tokens.offsets[rows.start : rows.stop + 1]
    label_offsets = tokens.label_offsets[rows.start : rows.stop + 1] if isinstance(tokens, Prompts) else offsets
    return {
        "input_ids": _lists(tokens.input_ids[offsets[0] : offsets[-1]], offsets),
        "attention_mask": _lists(np.ones(offsets[-1] - offsets[0], np.int8), offsets),
        "labels": _lists(tokens.labels[label_offsets[0] : label_offsets[-1]].astype(np.int64), label_offsets),
    }


def _packed(tokens: Encoded, rows: range, pad_id: int, width: int) -> dict[str, Any]:
    ids = np.full((len(rows), width), pad_id, np.int64 if tokens.neat else np.int32)
    labels = np.full((len(rows), width), IGNORE, np.int64)
    positions = np.zeros((len(rows), width), np.int64)
    mask = np.zeros((len(rows), width), np.int64) if tokens.neat else np.ones((len(rows), width), np.int8)
    bounds = []
    for at, row in enumerate(rows):
        lengths = tokens.lengths(row)
        used = sum(lengths)
        ids[at, :used], labels[at, :used] = tokens.row(row)
        positions[at, :used] = np.concatenate([np.arange(length) for length in lengths])
        if tokens.neat:
            mask[at, :used] = np.repeat(np.arange(1, len(lengths) + 1), lengths)
        bounds.append([*np.cumsum([0, *lengths]).tolist(), width])
    spans = np.arange(0, (len(rows) + 1) * width, width)
    flat = {"input_ids": ids, "attention_mask": mask, "position_ids": positions, "labels": labels}
    columns = {name: _lists(values.ravel(), spans) for name, values in flat.items()}
    return {**columns, "packing_params": _params(bounds)} if tokens.neat else columns


def _params(bounds: list[list[int]]) -> Any:
    import pyarrow as pa

    none = pa.array([[_NO_MEDIA]] * len(bounds), pa.list_(pa.int64()))
    padding = pa.array([row[-1] - row[-2] for row in bounds], pa.int64())
    return pa.StructArray.from_arrays(
        [pa.array(bounds, pa.list_(pa.int64())), none, none, none, padding], list(_PARAMS)
    )


def _with_media(columns: dict[str, Any], rows: int) -> dict[str, Any]:
    import pyarrow as pa

    return {**columns, **{name: pa.nulls(rows) for name in _MEDIA}}


def _lists(values: Array, offsets: Array) -> Any:
    import pyarrow as pa

    return pa.ListArray.from_arrays(pa.array((offsets - offsets[0]).astype(np.int32)), pa.array(values))


def _flat(table: Any, name: str) -> tuple[Array, Array]:
    """All values of a column of lists, end to end, and the offsets of its rows int64 [rows + 1]."""
    import pyarrow.compute as pc

    parts = table.column(name).chunks
    lengths = [pc.list_value_length(part).to_numpy(zero_copy_only=False) for part in parts]
    values = [part.flatten().to_numpy(zero_copy_only=False) for part in parts]
    offsets = np.concatenate([[0], np.cumsum(np.concatenate([[], *lengths]))]).astype(np.int64)
    return np.concatenate(values) if values else np.empty(0, np.int64), offsets
