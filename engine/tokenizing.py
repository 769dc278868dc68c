"""`preprocess`: the data of a training config as a folder of tokens, written by a worker without any run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from engine.data.tokenized import require_free
from engine.data_check import ask, read_spec
from engine.errors import ConfigError, Problem
from engine.models import Progress
from engine.runs.events import Event


def preprocess(
    file: Path,
    overrides: Sequence[str] = (),
    *,
    out: Path | None = None,
    force: bool = False,
    listen: Callable[[Event], None] = lambda event: None,
    progress: Progress = lambda what, done, total: None,
    cwd: Path | None = None,
) -> dict[str, Any]:
    """Tokenise as a run of `file` would and keep it in `out` (None: its tokenized_path), for that run or for others.

    `force`: also where the data would ruin the run (engine.data.gate), but for what cannot be trained on at all.
    Returns {folder, splits: {name: {rows, tokens, labelled}}, notes: problems as dicts}. Raises ConfigError
    preprocess_no_folder, DataError tokenized_there, and whatever reading and tokenising raise.
    """
    spec, secrets, notes = read_spec(file, overrides, progress=progress, cwd=cwd, anew=True)
    if out is None and not spec["tokenized_path"]:
        raise ConfigError(Problem("preprocess_no_folder", {}, "tokenized_path", str(file)))
    folder = (out or Path(spec["tokenized_path"])).absolute()
    require_free(folder)
    listen({"type": "phase", "name": "tokenising"})
    made = ask("engine.data.preprocess", {**spec, "out": str(folder), "force": force}, secrets, listen)
    made["notes"] = [*(note.as_dict() for note in notes), *made["notes"]]
    return {"folder": str(folder), **made}
