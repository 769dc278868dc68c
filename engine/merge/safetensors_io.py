"""Reading and laying out safetensors files by offset, without torch and without mapping a page.

The format (https://github.com/huggingface/safetensors): 8 bytes little-endian header length, a JSON header
`{name: {dtype, shape, data_offsets}}`, then the tensors' bytes; offsets count from the end of the header.
"""

from __future__ import annotations

import errno
import json
import math
import os
import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from engine.errors import ConfigError, Problem
from engine.text import Phrase

INDEX = "model.safetensors.index.json"
ITEMSIZE = {
    "F64": 8, "I64": 8, "U64": 8,
    "F32": 4, "I32": 4, "U32": 4,
    "F16": 2, "BF16": 2, "I16": 2, "U16": 2,
    "I8": 1, "U8": 1, "BOOL": 1, "F8_E4M3": 1, "F8_E5M2": 1,
}  # fmt: skip
FLOATS = ("F64", "F32", "F16", "BF16")
_HEADER_LIMIT = 100_000_000  # the safetensors library's own
_COPY_BYTES = 16 << 20  # between two looks at a stop request


@dataclass(frozen=True)
class Slot:
    """One tensor of a file to be: its name, safetensors dtype and shape."""

    name: str
    dtype: str
    shape: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * ITEMSIZE[self.dtype]


@dataclass(frozen=True)
class Stored(Slot):
    """A tensor in a file; `offset` in bytes from the file's start."""

    file: str
    offset: int


class Checkpoint:
    """The tensors of a model or adapter folder. Files stay open until `close`; reads are preads, safe across threads.

    Raises ConfigError: no safetensors (`missing`), a file of the index missing, a header that does not parse or
    points outside its file.
    """

    def __init__(self, folder: Path, files: Iterable[str]):
        self.folder = folder
        self.files = list(files)
        self.tensors: dict[str, Stored] = {}
        self._fds: dict[str, int] = {}
        try:
            for name in self.files:
                self._open(name)
        except BaseException:
            self.close()
            raise

    @classmethod
    def of_model(cls, folder: Path) -> Checkpoint:
        """The files that the index names, else model.safetensors."""
        return cls(folder, model_files(folder))

    def _open(self, name: str) -> None:
        path = self.folder / name
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            raise ConfigError(Problem("merge_base_missing", {"folder": str(self.folder), "name": name})) from None
        self._fds[name] = fd
        size = os.fstat(fd).st_size
        try:
            (length,) = struct.unpack("<Q", os.pread(fd, 8, 0))
            if length > min(_HEADER_LIMIT, size):
                raise ValueError("the header is longer than the file")
            header: dict[str, Any] = json.loads(os.pread(fd, length, 8))
            for key, entry in header.items():
                if key == "__metadata__":
                    continue
                start, end = entry["data_offsets"]
                stored = Stored(key, entry["dtype"], tuple(entry["shape"]), name, 8 + length + start)
                if stored.nbytes != end - start or stored.offset + stored.nbytes > size:
                    raise ValueError(f"{key} does not lie inside the file")
                self.tensors[key] = stored
        except (ValueError, KeyError, TypeError, struct.error) as error:
            raise ConfigError(Problem("merge_file_damaged", {"name": str(path), "reason": str(error)})) from error

    def read_into(self, name: str, view: memoryview, start: int = 0) -> None:
        """Fill `view` (bytes) with the tensor's bytes from byte `start` on."""
        stored = self.tensors[name]
        done = 0
        while done < len(view):
            count = os.preadv(self._fds[stored.file], [view[done : done + (1 << 30)]], stored.offset + start + done)
            if count == 0:
                raise EOFError(f"{stored.file} became shorter while it was read")
            done += count

    def read(self, name: str, start: int, size: int) -> bytes:
        """At most `size` bytes of the tensor from byte `start` on, never beyond its end."""
        stored = self.tensors[name]
        return os.pread(self._fds[stored.file], min(size, stored.nbytes - start), stored.offset + start)

    def verbatim(self, name: str) -> bool:
        """Whether the tensor's bytes are those of its file."""
        return True

    def kept_dtype(self, name: str) -> str:
        """The type the tensor is written in where no other is asked for."""
        return self.tensors[name].dtype

    def descriptor(self, name: str) -> tuple[int, int]:
        """The file descriptor and offset at which the tensor's bytes start."""
        stored = self.tensors[name]
        return self._fds[stored.file], stored.offset

    def close(self) -> None:
        for fd in self._fds.values():
            os.close(fd)
        self._fds = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def model_files(folder: Path) -> list[str]:
    """Names of a model folder's safetensors files, in the index's order. Raises ConfigError when there are none."""
    index = folder / INDEX
    if index.is_file():
        try:
            names = [str(name) for name in json.loads(index.read_bytes())["weight_map"].values()]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ConfigError(Problem("merge_file_damaged", {"name": str(index), "reason": str(error)})) from error
        if any(Path(name).name != name for name in names):
            reason = Phrase("it names files outside the folder")
            raise ConfigError(Problem("merge_file_damaged", {"name": str(index), "reason": reason}))
        return list(dict.fromkeys(names))
    if (folder / "model.safetensors").is_file():
        return ["model.safetensors"]
    raise ConfigError(Problem("merge_base_not_safetensors", {"folder": str(folder)}))


def header_bytes(slots: Iterable[Slot]) -> bytes:
    """Length and header of a file that holds `slots` one after the other; padded so that the data is aligned."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    position = 0
    for slot in slots:
        end = position + slot.nbytes
        header[slot.name] = {"dtype": slot.dtype, "shape": list(slot.shape), "data_offsets": [position, end]}
        position = end
    raw = json.dumps(header, separators=(",", ":")).encode()
    raw += b" " * (-len(raw) % 8)
    return struct.pack("<Q", len(raw)) + raw


class OutputFiles:
    """Safetensors files laid out and reserved in full, then filled by offset in any order from any thread.

    A reserved hole reads as zeros, so `close` refuses unless every tensor was reported with `mark`.
    """

    def __init__(self, folder: Path, shards: dict[str, list[Slot]]):
        self.slots: dict[str, Stored] = {}
        self._fds: dict[str, int] = {}
        self._written: set[str] = set()
        try:
            for name, slots in shards.items():
                self._create(folder / name, slots)
        except BaseException:
            self._close()
            raise

    def _create(self, path: Path, slots: list[Slot]) -> None:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        self._fds[path.name] = fd
        head = header_bytes(slots)
        offset = len(head)
        for slot in slots:
            self.slots[slot.name] = Stored(slot.name, slot.dtype, slot.shape, path.name, offset)
            offset += slot.nbytes
        try:
            os.posix_fallocate(fd, 0, offset)
        except OSError as error:
            if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS):
                raise
            os.ftruncate(fd, offset)
        os.pwrite(fd, head, 0)

    def write(self, name: str, view: memoryview, start: int = 0) -> None:
        """Put `view` (bytes) at byte `start` of the tensor."""
        slot = self.slots[name]
        if start + len(view) > slot.nbytes:
            raise ValueError(f"{name}: {start + len(view)} bytes for a tensor of {slot.nbytes}")
        done = 0
        while done < len(view):
            done += os.pwrite(self._fds[slot.file], view[done : done + (1 << 30)], slot.offset + start + done)

    def copy(self, name: str, source: Checkpoint, source_name: str, moved: Callable[[int], None]) -> None:
        """Copy a tensor's bytes inside the kernel; `moved` gets each block's size in bytes and may raise."""
        source_fd, source_at = source.descriptor(source_name)
        slot = self.slots[name]
        target_fd = self._fds[slot.file]
        done = 0
        while done < slot.nbytes:
            want = min(_COPY_BYTES, slot.nbytes - done)
            try:
                count = os.copy_file_range(source_fd, target_fd, want, source_at + done, slot.offset + done)
            except OSError as error:
                # other filesystem, old kernel, or one that lies about its files (some FUSE, procfs)
                if error.errno not in (errno.EXDEV, errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.EPERM):
                    raise
                count = os.pwrite(target_fd, os.pread(source_fd, want, source_at + done), slot.offset + done)
            if count == 0:
                raise EOFError(f"{source_name} became shorter while it was read")
            done += count
            moved(count)
        self.mark(name)

    def mark(self, name: str) -> None:
        """Note that all of the tensor was written."""
        self._written.add(name)

    def close(self) -> None:
        """Raises RuntimeError when a tensor was never written. Syncing to disk is the stage's job."""
        missing = sorted(self.slots.keys() - self._written)
        if missing:
            raise RuntimeError(f"never written: {', '.join(missing[:3])} ({len(missing)} in all)")
        self._close()

    def abandon(self) -> None:
        """Close without a word about what is missing."""
        self._close()

    def _close(self) -> None:
        for fd in self._fds.values():
            os.close(fd)
        self._fds = {}
