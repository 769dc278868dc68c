"""Which tensor goes into which output file: decided from headers alone, before any arithmetic."""

from __future__ import annotations

import json
from collections.abc import Iterable

from engine.merge.safetensors_io import Slot, header_bytes


def shard(slots: Iterable[Slot], max_shard_bytes: int) -> dict[str, list[Slot]]:
    """{file name: tensors}, filled in order up to `max_shard_bytes` of tensor data, as save_pretrained does.

    A tensor larger than the limit gets a file of its own. One file is called model.safetensors.
    """
    groups: list[list[Slot]] = [[]]
    room = max_shard_bytes
    for slot in slots:
        if groups[-1] and slot.nbytes > room:
            groups.append([])
            room = max_shard_bytes
        groups[-1].append(slot)
        room -= slot.nbytes
    if len(groups) == 1:
        return {"model.safetensors": groups[0]}
    count = len(groups)
    return {f"model-{i:05d}-of-{count:05d}.safetensors": group for i, group in enumerate(groups, 1)}


def index_json(shards: dict[str, list[Slot]]) -> str:
    """Text of model.safetensors.index.json; total_size counts tensor bytes without headers."""
    names = {slot.name: file for file, slots in shards.items() for slot in slots}
    index = {"metadata": {"total_size": tensor_bytes(shards)}, "weight_map": dict(sorted(names.items()))}
    return json.dumps(index, indent=2) + "\n"


def tensor_bytes(shards: dict[str, list[Slot]]) -> int:
    return sum(slot.nbytes for slots in shards.values() for slot in slots)


def file_bytes(shards: dict[str, list[Slot]]) -> int:
    """Size in bytes of all the files, headers and index included."""
    total = tensor_bytes(shards) + sum(len(header_bytes(slots)) for slots in shards.values())
    return total + (len(index_json(shards)) if len(shards) > 1 else 0)
