"""Work for the wizard in a process of its own: python -m engine.wizard.tasks, one JSON request on stdin.

Looking into models and data and starting a run read files of any size and import what the wizard's process does not.
Answers are JSON lines on stdout: {"progress": [phrase, done, total]}, then {"result": …} or {"problems": […]}.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
from collections.abc import Callable, MutableMapping
from pathlib import Path
from typing import Any

import msgspec

from engine.config.schema import names
from engine.data.formats import Tally, load_samples, require_kept
from engine.data.readers import SUFFIXES, read_rows
from engine.data.registry import INFO_FILE, load_registry
from engine.data.shapes import recognise
from engine.data.transform import records_of
from engine.errors import EXIT_FAILED, DataError, EnvironmentProblem, Problem, ProblemError
from engine.hardware import Hardware, probe
from engine.memory.presets import presets
from engine.project import PlannedFile, ProjectAnswers, apply_project, plan_project
from engine.runs.folder import RunFolder
from engine.runs.retry import Retry, started_again
from engine.samples import Sample, sample
from engine.text import Phrase, one_line
from engine.wizard import draft

ROWS = 1000  # read of a data file: enough to know its columns and their use
PREVIEW_LENGTH = 600  # characters of a turn
EXAMPLE_LENGTH = 40
MOST_FILES = 8
MOST_SETS = 200

Progress = Callable[[Phrase, int, int], None]


def checks(subject: str, options: dict[str, str], progress: Progress) -> list[dict[str, Any]]:
    """What `doctor` says of this machine, with the folder `subject`, as packed checks."""
    from engine.doctor.examine import Sources, examine

    return [check.packed() for check in examine(Sources(Path(subject), os.environ)).checks]


def models(subject: str, options: dict[str, str], progress: Progress) -> list[dict[str, Any]]:
    """Models that lie on this machine: the built-in one and those of the hub's cache."""
    from engine.builtin_model import ALIAS, HUB_NAME
    from engine.models import cached_models, find_model

    found = [(ALIAS, find_model(ALIAS)), *((model.name, model) for model in cached_models())]
    return [
        {"name": name, "size": model.size, "bytes": model.bytes}
        for name, model in found
        if model is not None and (name == ALIAS or model.name != HUB_NAME)
    ]


def model(subject: str, options: dict[str, str], progress: Progress) -> dict[str, Any]:
    """What a model is, as far as this machine and the recommended ones tell."""
    from engine.wizard.model_look import look

    return look(subject)


def hub(subject: str, options: dict[str, str], progress: Progress) -> dict[str, Any]:
    """What a model is and what its download takes, with the hub's word for it."""
    from engine.wizard.model_look import look

    return look(subject, ask=True)


def download(subject: str, options: dict[str, str], progress: Progress) -> str:
    """Fetch a model, so that a run finds it here; what a download before left is gone on with. Returns its folder."""
    from engine.models import get_model

    return str(get_model(subject, progress).path)


def datasets(subject: str, options: dict[str, str], progress: Progress) -> dict[str, Any]:
    """Registered sets and data files of a folder and its data/. One that cannot be read is left out."""
    registered: list[dict[str, str]] = []
    files: list[str] = []
    for folder in (Path(subject), Path(subject) / "data"):
        if (folder / INFO_FILE).is_file():
            with contextlib.suppress(DataError):
                names = list(load_registry(folder).entries)[: MOST_SETS - len(registered)]
                registered += [{"folder": str(folder), "name": name} for name in names]
        with contextlib.suppress(OSError):
            names = [
                entry.name
                for entry in sorted(folder.iterdir())
                if entry.suffix.lower() in SUFFIXES and entry.name != INFO_FILE and entry.is_file()
            ]
            files += [str((folder / name).relative_to(subject)) for name in names]
    return {"registered": registered, "files": files[:MOST_FILES]}


def data(subject: str, options: dict[str, str], progress: Progress) -> dict[str, Any]:
    """The first rows of a sample, a registered set or a file: columns, how they are read, and one sample of it.

    Raises DataError and ConfigError where it cannot be used. Columns that say nothing are no error: `mapping` is empty;
    nor are recognised ones that make no sample of any row: `unusable` says why. csv, tsv, jsonl and parquet are read
    as far as needed; an array in .json is read whole, some seconds and a few times its size in memory for each GB.
    """
    kind, _, rest = subject.partition(":")
    if kind == "sample":
        return _sample(sample(rest), options)
    if kind == "registered":
        folder, _, name = rest.rpartition(":")
        entry, *others = load_registry(Path(folder)).resolve(names(name))
        samples, tally = load_samples(entry, ROWS)
        for other in others:
            more = load_samples(other, ROWS)[1]
            tally.read, tally.kept = tally.read + more.read, tally.kept + more.kept
            tally.dropped += more.dropped
        first = samples[0].conversation
        turns = [("system", first.system)] * bool(first.system) + [(turn.role, turn.content) for turn in first.turns]
        columns = {name: column for name, column in msgspec.to_builtins(entry.columns).items() if column}
        return _found(tally.kept, tally.read < ROWS, list(columns.values()), columns, tally.dropped.total(), turns)
    return _file(Path(subject), options)


def _sample(shipped: Sample, fill: dict[str, str]) -> dict[str, Any]:
    rows = json.loads(shipped.rows(fill))
    first = rows[0]
    if shipped.formatting == "sharegpt":
        turns = [({"human": "user"}.get(said["from"], "assistant"), said["value"]) for said in first["conversations"]]
        return _found(len(rows), True, list(first), {"messages": "conversations"}, 0, turns)
    question = "\n".join(filter(None, (first["instruction"], first["input"])))
    mapping = {"prompt": "instruction", "response": "output"}
    return _found(len(rows), True, list(first), mapping, 0, [("user", question), ("assistant", first["output"])])


def _file(path: Path, options: dict[str, str]) -> dict[str, Any]:
    file = read_rows(path, limit=ROWS)
    rows = list(file)
    tally = Tally(path.stem)
    if not rows:
        tally.merge_unread(file.bad, file.bad_counts, [str(path)])
        require_kept(tally, str(path))
    whole = len(rows) < ROWS
    columns = list(dict.fromkeys(column for row in rows for column in row.values))
    constants = {name: options.pop(name, None) for name in ("instruction", "system")}
    recognised = recognise(columns, rows)
    mapping = options or (recognised[1] if recognised else {})
    examples: dict[str, str] = {}
    for row in rows[:50]:
        for column, value in row.values.items():
            if value not in (None, "") and column not in examples:
                examples[column] = one_line(value, EXAMPLE_LENGTH)
    if not mapping:
        return _found(len(rows), whole, columns, {}, 0, [], examples)
    records = records_of(rows, mapping, "sharegpt", tally=tally, **constants)
    turns = []
    if records:
        first = records[0]
        names = {"human": "user", "gpt": "assistant", "function_call": "function"}
        turns = [("system", first["system"])] * bool(first["system"])
        turns += [(names.get(said["from"], said["from"]), said["value"]) for said in first["conversations"]]
    tally.merge_unread(file.bad, file.bad_counts, [str(path)])
    if options:  # these columns were chosen, and can be chosen again
        require_kept(tally, str(path))
    found = _found(len(rows), whole, columns, mapping, tally.dropped.total(), turns, examples)
    return found | {"unusable": [] if tally.kept else [problem.as_dict() for problem in tally.first]}


def _found(
    rows: int,
    whole: bool,
    columns: list[str],
    mapping: dict[str, str],
    dropped: int,
    turns: list[tuple[str, str]],
    examples: dict[str, str] | None = None,
) -> dict[str, Any]:
    preview = [(role, text[:PREVIEW_LENGTH]) for role, text in turns]
    found = {"rows": rows, "whole": whole, "columns": columns, "mapping": mapping, "dropped": dropped}
    return found | {"preview": preview, "examples": examples or {}, "unusable": []}


def check(subject: str, options: dict[str, str], progress: Progress) -> dict[str, Any]:
    """What a look at every row finds."""
    from engine.wizard import looking

    return looking.check(options)


def start(
    answers: ProjectAnswers,
    preset: str,
    force: bool,
    gpu: str,
    anyway: bool,
    progress: Progress,
    given: dict[str, Any],
) -> dict[str, Any]:
    """Write the project and start its run, which needs nobody to watch it.

    force: files in the way make room. anyway: the run is not stopped by what is wrong with its data. given: the
    wizard's answers, whose draft has then served.
    gpu: UUID of the one that it takes; empty for the one with most free memory then. Raises EnvironmentProblem where
    the former cannot be used.
    """
    if gpu:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpu
        found = probe()
        if not found.gpus:
            raise EnvironmentProblem(Problem("gpu_not_there", {"uuid": gpu, "reason": found.reason}))
    chosen = next(found for found in presets() if found.name == preset)
    plan: list[PlannedFile] = plan_project(answers, chosen)
    apply_project(answers, plan, force=force)
    launched = _launch(answers.folder / "config.yaml", progress, force=anyway)
    kept = draft.load()  # the wizard may have been left meanwhile, with its answers kept, and another one begun
    if kept is not None and {"project": given.get("project"), **kept.answers} == given:
        draft.drop()
    return launched


def resume(run: Path, retry: Retry, progress: Progress) -> dict[str, Any]:
    """Start again what a run was started with, but for what is to be different; the work goes on where it was saved."""

    def listen(event: dict[str, Any]) -> None:
        progress(Phrase("Looking for settings that need less memory"), 0, 0)

    same_card(RunFolder(run), os.environ)
    found, notes = started_again(RunFolder(run), retry, listen)
    options = {"overrides": found.overrides, "require_gpu": found.require_gpu, "force": found.force, "cwd": found.cwd}
    launched = _launch(found.source, progress, goes_on=found.goes_on, **options)
    return launched | {"notes": [*(note.as_dict() for note in notes), *launched["notes"]]}


def same_card(run: RunFolder, environ: MutableMapping[str, str], look: Callable[..., Hardware] = probe) -> None:
    """Show the run the card that it was shown before, unless that is gone or this environment names others."""
    visible = run.config().get("visible")
    if visible and "CUDA_VISIBLE_DEVICES" not in environ and look(visible=visible).gpus:
        environ["CUDA_VISIBLE_DEVICES"] = visible


def _launch(config: Path, progress: Progress, **options: Any) -> dict[str, Any]:
    """As `Started` has it, in JSON."""
    from engine.pipeline import launch

    notes: list[dict[str, Any]] = []

    def listen(event: dict[str, Any]) -> None:
        if event["type"] == "warning":
            notes.append(event)

    launched = launch(config, progress=progress, listen=listen, outlives_viewer=True, **options)
    found = {"run": str(launched.run.path) if launched.run else None, "outputs": launched.outputs}
    return found | {"config": str(config), "notes": notes}


LOOKING = {
    "checks": checks,
    "models": models,
    "model": model,
    "hub": hub,
    "download": download,
    "datasets": datasets,
    "data": data,
    "check": check,
}


def main() -> None:
    """One request, its progress, its answer. A start goes on when nobody listens any more."""
    request = json.loads(sys.stdin.readline())
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # libraries print to stdout now and then

    def tell(**message: Any) -> None:
        try:
            out.write(json.dumps(message, ensure_ascii=True, default=str) + "\n")
            out.flush()
        except BrokenPipeError:
            if request["do"] in LOOKING:  # a download would go on for hours
                os._exit(EXIT_FAILED)

    def progress(what: Phrase, done: int, total: int) -> None:
        tell(progress=[msgspec.to_builtins(what), done, total])

    try:
        if request["do"] in ("start", "resume", "merge"):
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
        if request["do"] == "download":
            signal.signal(signal.SIGTERM, lambda *_: sys.exit(EXIT_FAILED))  # what is unpacked half goes away
        if request["do"] == "resume":
            result: Any = resume(Path(request["run"]), Retry(**request["retry"]), progress)
        elif request["do"] == "merge":
            given = {"overrides": request["overrides"], "cwd": Path(request["cwd"])}
            result = _launch(Path(request["file"]), progress, **given)
        elif request["do"] == "start":
            answers = msgspec.convert(request["answers"], ProjectAnswers, dec_hook=lambda kind, raw: kind(raw))  # paths
            force, gpu, anyway = request["force"], request["gpu"], request["anyway"]
            result = start(answers, request["preset"], force, gpu, anyway, progress, request["given"])
        else:
            result = LOOKING[request["do"]](request["subject"], dict(request["options"]), progress)
        tell(result=result)
    except ProblemError as error:
        tell(problems=[problem.as_dict() for problem in error.problems])
    except Exception as error:
        import traceback

        traceback.print_exc()
        problem = Problem("internal", {"type": type(error).__name__, "reason": str(error)[:300]})
        tell(problems=[problem.as_dict()])


if __name__ == "__main__":
    main()
