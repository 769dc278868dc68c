"""From a file to a finished run: convert → train → merge → answers. The only place that orders the steps.

`launch` starts a run and returns; `run`, which --replay and run_pipeline.py call, also waits for its end.
"""

from __future__ import annotations

import importlib.metadata
import json
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from engine import __version__
from engine.chat.source import trained_source
from engine.config.jobs import Job, load_job
from engine.config.optimisers import require
from engine.config.schema import MergeConfig
from engine.data.hub import hub_environment
from engine.data.prepare import data_files, row_warnings
from engine.data.source import convert_source
from engine.data.templates import load_template, template_sha256
from engine.errors import EXIT_OK, ConfigError, EnvironmentProblem, Problem
from engine.fingerprints import merge_fingerprint, train_fingerprint
from engine.hardware import GIB, Hardware, probe, visible_device
from engine.merge.asked import check_request, quantisation
from engine.merge.forecast import SMALL_FILES_BYTES, Forecast, check_disk, forecast_all
from engine.models import ModelFolder, Progress, commit_of, foreign_code, log_in, model_of
from engine.outputs import lock_path, move_aside, standing
from engine.runs import index
from engine.runs.events import Event
from engine.runs.folder import RunFolder
from engine.runs.follow import Viewer
from engine.runs.launch import Worker, start_worker
from engine.runs.lock import held, in_use
from engine.runs.surroundings import limits
from engine.storage import free_bytes
from engine.text import NOTHING, Phrase

DEFAULT_PROMPTS = ("What can you tell me about the history of writing?", "List three everyday objects and their use.")


@dataclass(frozen=True)
class Outcome:
    """How it ended. outputs: adapter, merged, answers (paths as text), as far as they were made."""

    exit_code: int
    run: RunFolder | None
    outputs: dict[str, str]
    event: Event | None = None
    already_done: bool = False
    left_running: bool = False


@dataclass(frozen=True)
class Launched:
    """A run that was started. outputs: what it is to make, or what there is where all was done before."""

    run: RunFolder | None
    worker: Worker | None
    outputs: dict[str, str]
    already_done: bool


@dataclass
class Plan:
    """What would be done. steps: those still to do; done: those finished before, by the same config."""

    job: Job
    steps: list[str]
    done: list[str]
    spec: dict[str, Any]
    outputs: dict[str, str]
    aside: list[Path] = field(default_factory=list)
    notes: list[Problem] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)


def launch(
    source: str | Path,
    *,
    overrides: Sequence[str] = (),
    fresh: bool = False,
    require_gpu: bool = False,
    force: bool = False,
    goes_on: bool = False,
    listen: Callable[[Event], None] = lambda event: None,
    progress: Progress = lambda what, done, total: None,
    outlives_viewer: bool,
    cwd: Path | None = None,
) -> Launched:
    """Start what a config says in a worker of its own, and return at once. Arguments and errors as of `run`.

    Without `outlives_viewer` the run ends, after a checkpoint, when this process does. `cwd`: where relative paths of
    a bare file begin.
    """
    plan = _prepare(source, overrides, fresh, require_gpu, force, goes_on, listen, progress, cwd)
    if not plan.steps:
        return Launched(None, None, plan.outputs, already_done=True)
    started, worker = _start(plan, listen, outlives_viewer)
    return Launched(started, worker, plan.outputs, already_done=False)


def run(
    source: str | Path,
    *,
    overrides: Sequence[str] = (),
    fresh: bool = False,
    require_gpu: bool = False,
    force: bool = False,
    goes_on: bool = False,
    listen: Callable[[Event], None] = lambda event: None,
    progress: Progress = lambda what, done, total: None,
    has_terminal: bool = False,
    cwd: Path | None = None,
) -> Outcome:
    """Do what a config says, in a worker of its own, and wait for it.

    The same config again resumes an interrupted run and leaves a finished one alone; `fresh` moves what is there aside.
    `force` trains on data that would ruin a run (engine.data.gate). `goes_on`: what another config of ours trained in
    the same folder is gone on with, as its own.
    `listen` gets every event; `progress` what is done before the worker starts. Raises ConfigError, DataError and
    EnvironmentProblem for everything that is found before the start; afterwards the exit code tells.
    """
    plan = _prepare(source, overrides, fresh, require_gpu, force, goes_on, listen, progress, cwd)
    if not plan.steps:
        return Outcome(EXIT_OK, None, plan.outputs, already_done=True)
    with Viewer(listen, has_terminal) as viewer:
        started, worker = _start(plan, listen, outlives_viewer=has_terminal)
        try:
            ending = viewer.follow(started, worker)
        finally:
            worker.close()
    outputs = {**plan.outputs, **started.outputs()} if ending.exit_code == EXIT_OK else {}
    return Outcome(ending.exit_code, started, outputs, ending.event, left_running=ending.left_running)


def _prepare(
    source: str | Path,
    overrides: Sequence[str],
    fresh: bool,
    require_gpu: bool,
    force: bool,
    goes_on: bool,
    listen: Callable[[Event], None],
    progress: Progress,
    cwd: Path | None,
) -> Plan:
    """The plan, with what it takes to do the same again from anywhere; its notes are told."""
    cwd = (cwd or Path.cwd()).absolute()
    job = load_job(Path(source), overrides, cwd)
    plan = make_plan(job, fresh=fresh, require_gpu=require_gpu, goes_on=goes_on, progress=progress)
    plan.spec |= {"overrides": list(overrides), "cwd": str(cwd), "require_gpu": require_gpu, "force": force}
    if visible := os.environ.get("CUDA_VISIBLE_DEVICES"):
        plan.spec["visible"] = visible
    for note in plan.notes:
        listen({"type": "warning", **note.as_dict()})
    return plan


def _start(plan: Plan, listen: Callable[[Event], None], outlives_viewer: bool) -> tuple[RunFolder, Worker]:
    """Make room, then start the worker on a new run folder."""
    notes = limits() if outlives_viewer else []
    for folder in plan.aside:
        target = move_aside(folder)
        notes.append(Problem("moved_aside", {"folder": str(folder), "target": str(target)}, severity="note"))
    for found in notes:
        listen({"type": "warning", **found.as_dict()})
    started = RunFolder.create(plan.job.runs, plan.job.name, plan.spec)
    index.note(started)  # before its worker: a run that nobody can find cannot be stopped
    worker = start_worker(started, outlives_viewer=outlives_viewer, secrets=plan.job.secrets, extra=plan.environment)
    listen({"type": "launched", "run": started.id, "path": str(started.path), "steps": plan.steps, "done": plan.done})
    return started, worker


def make_plan(
    job: Job,
    *,
    fresh: bool,
    require_gpu: bool,
    progress: Progress,
    goes_on: bool = False,
    hardware: Hardware | None = None,
) -> Plan:
    """Check everything that can be checked without torch, and decide which steps are left."""
    plan = Plan(job, [], [], {"version": 1, "name": job.name, "file": str(job.file)}, {}, notes=list(job.notes))
    log_in(job.secrets)
    if job.train:
        load_template(job.train.config.template)
    if job.data:
        plan.notes += _convert(job, progress)
    plan.environment = _device(job, require_gpu or job.require_gpu, hardware, plan.notes)
    if job.train and job.train.passed.get("push_to_hub"):
        plan.environment["HF_HUB_OFFLINE"] = "0"
    if job.train:
        _plan_train(plan, job, fresh, goes_on, progress)
    if job.merge:
        _plan_merge(plan, job, fresh, progress)
    if job.questions and job.train and (plan.steps or not _answered(job)):
        plan.steps.append("answers")
        train = plan.spec["train"]
        source = trained_source(job.train.config, train["model_path"], train["model_name"])
        plan.spec["answers"] = {"questions": job.questions, "source": source.as_dict()}
    plan.spec |= {"steps": plan.steps, "versions": versions()}
    return plan


def _plan_train(plan: Plan, job: Job, fresh: bool, goes_on: bool, progress: Progress) -> None:
    assert job.train is not None
    config, passed = job.train.config, job.train.passed
    if config.do_train:
        require(config.optim)
    hashes = data_files(config)
    plan.environment |= hub_environment(hashes)
    model = model_of(config, progress)
    print_ = train_fingerprint(config, passed, model, hashes)
    output = Path(config.output_dir)
    _require_writable(output)
    _refuse_if_busy(output)
    if config.trust_remote_code:
        foreign = foreign_code(model.path)
        params: dict[str, Any] = {"files": foreign, "path": str(model.path), "commit": commit_of(model.path) or "-"}
        plan.notes.append(Problem("remote_code" if foreign else "no_remote_code", params, severity="note"))
    plan.spec["train"] = {
        "config": msgspec.to_builtins(config),
        "passed": passed,
        "model_path": str(model.path),
        "model_name": model.name,
        "fingerprint": print_,
        "data_sha256": hashes,
        "template_sha256": template_sha256(config.template),
    }
    if config.do_train:
        plan.outputs["adapter" if config.finetuning_type == "lora" else "model"] = str(output)
    else:
        plan.outputs["predictions"] = str(output / "generated_predictions.jsonl")
    state = standing(output, print_)
    if state == "finished" and not fresh:
        plan.done.append("train")
        return
    plan.steps.append("train")
    if fresh:
        plan.aside += [output] if state != "absent" else []
    elif state in ("other", "foreign") and not config.resume_from_checkpoint and not (goes_on and state == "other"):
        if not config.overwrite_output_dir:
            found = sorted(entry.name for entry in output.iterdir())[:5]
            code = "output_foreign" if state == "foreign" else "output_other"
            raise ConfigError(Problem(code, {"folder": str(output), "files": found}, "output_dir"))
        plan.aside.append(output)


def _answered(job: Job) -> bool:
    """Whether a run of this project asked the questions of the adapter that is there now."""
    assert job.train is not None
    adapter = Path(job.train.config.output_dir) / "adapter_model.safetensors"
    trained = adapter.stat().st_mtime if adapter.exists() else math.inf
    for file in job.runs.glob("*/answers.jsonl"):
        asked = [json.loads(line)["question"] for line in file.read_text(encoding="utf-8").splitlines()]
        if file.stat().st_mtime >= trained and asked == job.questions:
            return True
    return False


def _plan_merge(plan: Plan, job: Job, fresh: bool, progress: Progress) -> None:
    assert job.merge is not None
    config = job.merge.config
    check_request(config)
    adapters, export = [Path(adapter) for adapter in config.adapters], Path(config.export_dir)
    model = model_of(config, progress)
    trained_here = job.train is not None and Path(job.train.config.output_dir) in adapters
    plan.outputs["merged"] = str(export)
    will_train = trained_here and "train" in plan.steps
    if not will_train:
        _require_adapters(adapters)
        if adapters:
            quantisation(config, adapters[0])  # says what is missing before anything runs
    _require_writable(export)
    _refuse_if_busy(export)
    print_ = "" if will_train else merge_fingerprint(config, adapters, model.path)
    state = standing(export, print_)
    if state == "finished" and not fresh:
        plan.done.append("merge")
        return
    if state == "foreign":
        found = sorted(entry.name for entry in export.iterdir())[:5]
        raise ConfigError(Problem("export_foreign", {"folder": str(export), "files": found}, "export_dir"))
    check_disk(_forecast(config, model, None if will_train else adapters), export)
    plan.steps.append("merge")
    plan.spec["merge"] = {
        "config": msgspec.to_builtins(config),
        "model_path": str(model.path),
        "adapter": str(adapters[0]) if len(adapters) == 1 else None,
        "prompts": list(job.questions or DEFAULT_PROMPTS),
        "fresh": fresh,
    }


def _require_adapters(adapters: list[Path]) -> None:
    for adapter in adapters:
        files = ("adapter_config.json", "adapter_model.safetensors")
        missing = [name for name in files if not (adapter / name).exists()]
        if missing:
            params = {"path": str(adapter), "missing": missing}
            raise ConfigError(Problem("adapter_missing", params, "adapter_name_or_path"))


def _forecast(config: MergeConfig, model: ModelFolder, adapters: list[Path] | None) -> Forecast:
    """Of the merge; before the adapters exist the base's size, in the dtype asked for, stands for it."""
    export, dtype = Path(config.export_dir), config.dtype
    if adapters is not None:
        return forecast_all(config, model.path, adapters)
    size = model.bytes if dtype is None else model.parameters * (4 if dtype == "float32" else 2)
    return Forecast(size, 1, size + SMALL_FILES_BYTES, free_bytes(export.parent), 0)


def versions() -> dict[str, str]:
    """Of this tool and what it runs on, without importing any of it."""
    found = {"sft-wizard": __version__}
    for package in ("torch", "transformers", "peft", "accelerate", "safetensors", "tokenizers"):
        found[package] = importlib.metadata.version(package)
    return found


def _device(job: Job, require_gpu: bool, hardware: Hardware | None, notes: list[Problem]) -> dict[str, str]:
    """Environment that shows the worker one device, and notes on which."""
    use_cpu = job.train is not None and job.train.config.use_cpu
    hardware = hardware or probe()
    best = hardware.best()
    if require_gpu and (use_cpu or best is None):
        said = {"reason": hardware.reason, "remedy": hardware.remedy}
        if use_cpu:
            said = {"reason": Phrase("the config says use_cpu: true"), "remedy": NOTHING}
        raise EnvironmentProblem(Problem("gpu_required", said))
    if best is None and job.train:
        said = {"reason": hardware.reason, "remedy": hardware.remedy}
        notes.append(Problem("no_gpu", said, severity="note"))
    if best is not None and not use_cpu and len(hardware.gpus) > 1:
        params = {"name": best.name, "count": len(hardware.gpus)}
        params |= {"free": round(best.free / GIB, 1), "total": round(best.total / GIB, 1)}
        notes.append(Problem("gpu_chosen", params, severity="note"))
    return visible_device(use_cpu=use_cpu, hardware=hardware)


def _convert(job: Job, progress: Progress) -> list[Problem]:
    """Convert and register the job's source, unless the same was done before. Returns what to know of its rows."""
    assert job.data is not None and job.root is not None
    progress(Phrase("Reading {file}", {"file": Path(job.data.source).name}), 0, 0)
    report = convert_source(job.data, job.root / "data")
    return row_warnings(report.tally) if report else []


def _require_writable(folder: Path) -> None:
    """Raise EnvironmentProblem where nothing can be written at `folder` or its nearest parent that exists."""
    there = next(path for path in (folder, *folder.parents) if path.exists())
    if there.is_dir() and not os.access(there, os.W_OK | os.X_OK):
        raise EnvironmentProblem(Problem("not_writable", {"folder": str(folder), "at": str(there)}))


def _refuse_if_busy(folder: Path) -> None:
    lock = lock_path(folder)
    if held(lock):
        raise EnvironmentProblem(in_use(lock, folder))
