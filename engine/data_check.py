"""`data check`: what the model will see of a config's data, found out by a worker without any run."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import msgspec

from engine.config.finding import locate
from engine.config.jobs import load_job
from engine.data.hub import hub_environment
from engine.data.prepare import data_files, row_warnings
from engine.data.review import Review
from engine.data.source import convert_source
from engine.data.templates import load_template
from engine.errors import EXIT_ENVIRONMENT, EXIT_USAGE, ConfigError, DataError, EnvironmentProblem, Problem, RunError
from engine.models import Progress, log_in, model_of
from engine.runs.events import Event
from engine.runs.launch import python_module, worker_environment

_KINDS = {EXIT_USAGE: DataError, EXIT_ENVIRONMENT: EnvironmentProblem}


def check_data(
    file: Path,
    overrides: Sequence[str] = (),
    *,
    force: bool = False,
    listen: Callable[[Event], None] = lambda event: None,
    progress: Progress = lambda what, done, total: None,
    cwd: Path | None = None,
) -> Review:
    """Read, convert and tokenise as a run of `file` would, and say what comes of it. The tokens serve the run later.

    `file` may be a folder: a project, or where one training config lies.

    `listen` gets phase and progress events of tokenising, `progress` what is done before. Raises ConfigError, DataError
    and EnvironmentProblem where there is nothing to look at; what would ruin a run is among the review's problems.
    """
    spec, secrets, notes = read_spec(file, overrides, progress=progress, cwd=cwd)
    listen({"type": "phase", "name": "tokenising"})
    review = Review.from_dict(ask("engine.data.review_work", {**spec, "force": force}, secrets, listen))
    review.problems[:0] = notes
    return review


def read_spec(
    file: Path, overrides: Sequence[str], *, progress: Progress, cwd: Path | None, anew: bool = False
) -> tuple[dict[str, Any], dict[str, str], list[Problem]]:
    """What a worker needs to tokenise for `file`, the secrets it may need, and notes. `anew`: not from tokenized_path.

    Raises ConfigError, DataError, EnvironmentProblem.
    """
    whole = (file / "config.yaml").is_file()
    job = load_job(locate(file, "project" if whole else "train"), overrides, cwd)
    if job.train is None:
        raise ConfigError(Problem("check_needs_training", file=str(file)))
    config = job.train.config
    tokenized = config.tokenized_path
    if anew:
        config = msgspec.structs.replace(config, tokenized_path=None)
    notes = list(job.notes)
    load_template(config.template)
    log_in(job.secrets)
    if job.data and job.root:
        converted = convert_source(job.data, job.root / "data")
        notes += row_warnings(converted.tally) if converted else []
    spec = {
        "config": msgspec.to_builtins(config),
        "data_sha256": data_files(config),
        "tokenized_path": tokenized,
        "model_path": str(model_of(config, progress).path),
    }
    return spec, job.secrets, notes


def ask(module: str, spec: dict[str, Any], secrets: dict[str, str], listen: Callable[[Event], None]) -> dict[str, Any]:
    """The answer of a worker (`review_work.serve`). It is killed where the waiting ends early.

    `listen` gets progress events. Raises what the worker raised, RunError where it ends without an answer.
    """
    with TemporaryFile("w+", encoding="utf-8", errors="replace") as said:
        process = subprocess.Popen(
            python_module(module),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=said,
            text=True,
            encoding="utf-8",
            start_new_session=True,  # Ctrl+C is for us: the worker would answer with a traceback
            env={
                **worker_environment(secrets),
                "CUDA_VISIBLE_DEVICES": "",
                **hub_environment(spec.get("data_sha256", {})),
            },
        )
        with process:
            try:
                found = _answer(process, spec, listen)
            finally:
                process.kill()
        if found is not None:
            return found
        said.seek(0)
        last = said.read().strip().splitlines()[-1:] or [f"exit code {process.returncode}"]
    raise RunError(Problem("internal", {"type": "tokenising", "reason": last[0][:300]}))


def _answer(
    process: subprocess.Popen[str], spec: dict[str, Any], listen: Callable[[Event], None]
) -> dict[str, Any] | None:
    """What it says until the result; None where it ends without one."""
    assert process.stdin is not None and process.stdout is not None
    try:
        json.dump(spec, process.stdin)
        process.stdin.close()
    except BrokenPipeError:
        return None
    for line in process.stdout:
        message = json.loads(line)
        if "progress" in message:
            done, total = message["progress"]
            listen({"type": "progress", "done": done, "total": total, "unit": "rows"})
        elif "problems" in message:
            kind = _KINDS.get(message["exit_code"], RunError)
            raise kind(*(Problem.from_dict(raw) for raw in message["problems"]))
        else:
            result: dict[str, Any] = message["result"]
            return result
    return None
