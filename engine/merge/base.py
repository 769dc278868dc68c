"""A base model as training saw it: its own tensors, with a larger vocabulary or dequantised where that was so."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from engine.errors import ConfigError, Problem
from engine.merge.inputs import read_inputs
from engine.merge.names import map_names
from engine.merge.quantised import Quantisation, dequantised, quantised_modules
from engine.merge.safetensors_io import Checkpoint, model_files
from engine.merge.skeleton import empty_model
from engine.merge.tensors import as_bytes, read_tensor
from engine.merge.vocabulary import grown_vocabulary


class Base(Checkpoint):
    """A checkpoint some of whose tensors are not the file's bytes.

    Tensors in `grown` have rows of zeros at the end: the adapter brings the real ones. Those in `dequantise` are worked
    out when they are read, as fp32, and the last one a thread read is kept. `types` says what tensors are written as
    where no type is asked for.
    """

    def __init__(self, folder: Path, types: Mapping[str, str] | None = None):
        files = model_files(folder)
        super().__init__(folder, files)
        self.vocabulary: int | None = None
        self.quantisation: Quantisation | None = None
        self.grown: set[str] = set()
        self._file = Checkpoint(folder, files)
        self._types = dict(types or {name: stored.dtype for name, stored in self.tensors.items()})
        self._dequantise: set[str] = set()
        self._kept = threading.local()

    @property
    def as_stored(self) -> bool:
        """Whether every tensor is that of the files."""
        return not self.grown and not self._dequantise

    def grow(self, names: set[str], rows: int) -> None:
        """Give the tensors `names` (embedding, head) that many rows."""
        self.vocabulary, self.grown = rows, names
        for name in names:
            stored = self.tensors[name]
            self.tensors[name] = replace(stored, shape=(rows, *stored.shape[1:]))

    def dequantise(self, names: set[str], quantisation: Quantisation) -> None:
        """Let the tensors `names` be what the quantised ones stood for."""
        self._dequantise, self.quantisation = names, quantisation
        for name in names:
            self.tensors[name] = replace(self.tensors[name], dtype="F32")

    def verbatim(self, name: str) -> bool:
        return name not in self._dequantise and name not in self.grown

    def kept_dtype(self, name: str) -> str:
        return self._types.get(name, self.tensors[name].dtype)

    def read_into(self, name: str, view: memoryview, start: int = 0) -> None:
        if name in self._dequantise:
            view[:] = self._worked_out(name)[start : start + len(view)]
        elif name in self.grown:
            held = max(0, min(len(view), self._file.tensors[name].nbytes - start))
            if held:
                super().read_into(name, view[:held], start)
            view[held:] = bytes(len(view) - held)
        else:
            super().read_into(name, view, start)

    def read(self, name: str, start: int, size: int) -> bytes:
        if self.verbatim(name):
            return super().read(name, start, size)
        block = bytearray(max(0, min(size, self.tensors[name].nbytes - start)))
        self.read_into(name, memoryview(block), start)
        return bytes(block)

    def close(self) -> None:
        super().close()
        self._file.close()

    def _worked_out(self, name: str) -> memoryview:
        assert self.quantisation is not None
        if getattr(self._kept, "name", None) != name:
            self._kept.name = None
            self._kept.tensor = dequantised(read_tensor(self._file, name), self.quantisation)
            self._kept.name = name
        return as_bytes(self._kept.tensor)


def open_base(
    base: Path,
    adapter: Path,
    *,
    trust_remote_code: bool = False,
    quantisation: Quantisation | None = None,
    types: Mapping[str, str] | None = None,
) -> Base:
    """Open `base` as `adapter` needs it: as large as its vocabulary, dequantised where `quantisation` says so.

    Raises ConfigError as `read_inputs` does, `merge_model_unknown` and `merge_dequantise_fused`; EnvironmentProblem
    `merge_no_bitsandbytes`.
    """
    inputs = read_inputs(base, adapter)
    opened = Base(base, types)
    try:
        grown = grown_vocabulary(inputs)
        if grown:
            opened.grow(*grown)
        if quantisation:
            opened.dequantise(_quantised_tensors(opened, quantisation, trust_remote_code), quantisation)
    except BaseException:
        opened.close()
        raise
    return opened


def _quantised_tensors(base: Base, quantisation: Quantisation, trust_remote_code: bool) -> set[str]:
    model = empty_model(base.folder, trust_remote_code)
    shapes = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    names = map_names(model, base.tensors, shapes)
    parameters = [f"{module}.weight" for module in quantised_modules(base.folder, quantisation, trust_remote_code)]
    fused = [name for name in parameters if name in names.fused or name not in names.keys]
    if fused:
        raise ConfigError(Problem("merge_dequantise_fused", {"tensor": min(fused)}, key="merge_onto"))
    return {names.keys[name][0] for name in parameters}
