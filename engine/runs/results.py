"""What a run left, and what to call to use it: for the last screen and for whoever writes it down."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.errors import ProblemError
from engine.runs.folder import RunFolder


@dataclass(frozen=True)
class Results:
    """Paths as text, commands ready for a shell. merged, adapter, answers: None where the run made none.

    serve: what an OpenAI-compatible server is started with. board: folder for TensorBoard, None where nothing was
    written there.
    """

    adapter: str | None
    merged: str | None
    answers: str | None
    talk: str
    repeat: str
    serve: str | None
    log: str | None
    board: str | None


def results(run: RunFolder | None, config: Path, outputs: Mapping[str, str]) -> Results:
    """Of a run, or of a config that had been run to its end before (`run` None). outputs: {adapter, merged, answers}.

    Reads the run's config; one that cannot be read only leaves things out.
    """
    given = _given(run) if run else _Given(config)
    adapter, merged = outputs.get("adapter"), outputs.get("merged")
    target = given.file.parent if given.file.name == "config.yaml" else given.file
    overrides = [part for override in given.overrides for part in ("--set", override)]
    serve = ["vllm", "serve", merged] if merged else None
    if adapter and given.base and not serve:
        serve = ["vllm", "serve", given.base, "--enable-lora", "--lora-modules", f"tuned={adapter}"]
    return Results(
        adapter=adapter,
        merged=merged,
        answers=outputs.get("answers"),
        talk=shlex.join(["sft-wizard", "chat", str(target)]),
        repeat=shlex.join(["sft-wizard", "--replay", str(given.file), *overrides]),
        serve=shlex.join(serve) if serve else None,
        log=str(run.log_file) if run else None,
        board=str(given.board) if given.board and given.board.is_dir() else None,
    )


@dataclass(frozen=True)
class _Given:
    """What a run was started with: the config's file and what was set beside it, the base's folder, its curves."""

    file: Path
    overrides: Sequence[str] = ()
    base: str | None = None
    board: Path | None = None


def _given(run: RunFolder) -> _Given:
    try:
        config = run.config()
        train = config.get("train", {})
        folder = train.get("config", {}).get("logging_dir")
        board = Path(folder) / run.id if folder else run.tensorboard
        base = train.get("model_path") or config.get("merge", {}).get("model_path")
        return _Given(Path(config["file"]), config.get("overrides", []), base, board)
    except (OSError, ProblemError, AttributeError, KeyError, TypeError):
        return _Given(run.config_file)
