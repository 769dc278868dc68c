"""convert, new and demo."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from engine import pipeline
from engine.data.prepare import row_warnings
from engine.data.transform import convert
from engine.errors import EXIT_OK, ConfigError, Problem
from engine.hardware import probe
from engine.memory.presets import find_preset, recommend
from engine.models import get_model
from engine.project import ProjectAnswers, apply_project, plan_project
from engine.runs.folder import slugify
from engine.samples import sample
from engine.text import Phrase, clean
from tui.phases import duration
from tui.report import Report, command
from tui.running import has_terminal, tell_outcome, tell_proof
from tui.words import _, say, translate


def convert_file(
    source: Path,
    out: Path,
    name: str | None,
    to: str,
    mapping: Sequence[str],
    instruction: str | None,
    system: str | None,
    max_samples: int | None,
    test_split: float,
    force: bool,
    as_json: bool,
) -> int:
    """`sft-wizard convert`."""
    with Report() as report:
        report.progress(Phrase("Reading {file}", {"file": source.name}), 0, 0)
        done = convert(
            source,
            out,
            name=name or slugify(source.stem),
            fmt=_format(to),
            mapping=pairs(mapping),
            instruction=instruction,
            system=system,
            max_samples=max_samples,
            test_split=test_split,
            overwrite=force,
        )
    if as_json:
        print(json.dumps(done.as_dict()))
        return EXIT_OK
    for problem in row_warnings(done.tally):
        report.problem(problem)
    used = ", ".join(f"{field}={column}" for field, column in done.mapping.items())
    line = _("{kept} of {read} rows; columns: {used}")
    report.say(line.format(kept=done.tally.kept, read=done.tally.read, used=used))
    for dataset, rows in done.datasets.items():
        print(f"dataset: {dataset} ({rows} rows)")
    for file in done.files:
        print(f"file: {file}")
    return EXIT_OK


def new_project(
    folder: Path,
    data: Path | None,
    sample_name: str,
    fill: Sequence[str],
    model: str,
    to: str,
    mapping: Sequence[str],
    instruction: str | None,
    system: str | None,
    max_samples: int | None,
    test_split: float,
    force: bool,
    preset_name: str | None = None,
) -> int:
    """`sft-wizard new`."""
    model_folder = Path(model).expanduser()
    answers = ProjectAnswers(
        folder=folder,
        model=str(model_folder.resolve()) if model_folder.is_dir() else model,
        sample=None if data else sample_name,
        fill={} if data else pairs(fill),
        source=data,
        fmt=_format(to),
        mapping=pairs(mapping),
        instruction=instruction,
        system=system,
        max_samples=max_samples,
        test_split=test_split,
    )
    preset = find_preset(preset_name) if preset_name else recommend(probe()).preset
    report = Report()
    written, converted = apply_project(answers, plan_project(answers, preset), force=force)
    for problem in row_warnings(converted.tally) if converted else []:
        report.problem(problem)
    settings = _("Settings for {preset}. {reason}")
    report.say(settings.format(preset=say(preset.heading), reason=say(preset.why)))
    for file in written:
        print(file)
    replay = f"{command()} --replay {folder / 'config.yaml'}"
    report.say(_("Next: {command}   (add --dry-run to see the plan first)").format(command=replay))
    return EXIT_OK


def run_demo(folder: Path, fresh: bool) -> int:
    """`sft-wizard demo`: the built-in model learns the identity sample; ends with a table of before and after."""
    shown = sample("identity")
    answers = ProjectAnswers(folder=folder, model="smollm2-135m", sample=shown.name)
    with Report() as report:
        report.say(_("{title}. Project: {folder}").format(title=translate(shown.title), folder=folder))
        plan = plan_project(answers, recommend(probe()).preset)
        # Settings that a person changed in the demo's files stay as they are.
        kept = [planned for planned in plan if planned.state != "in the way"]
        apply_project(answers, kept)
        get_model(answers.model, report.progress)
        outcome = pipeline.run(
            folder / "config.yaml",
            fresh=fresh,
            listen=report.event,
            progress=report.progress,
            has_terminal=has_terminal(),
        )
    if outcome.exit_code != EXIT_OK or outcome.left_running or outcome.already_done:
        tell_outcome(outcome, report, folder / "config.yaml")
        if outcome.already_done:
            _table(_earlier_answers(folder))
            _paths(outcome.outputs, folder)
        return outcome.exit_code
    tell_proof(report)
    _table(report.samples or _earlier_answers(folder))
    if report.losses:
        head, tail = report.losses[:3], report.losses[-3:]
        start, end = sum(head) / len(head), sum(tail) / len(tail)
        line = _("loss: {start:.3f} at the start, {end:.3f} at the end (mean of three steps)")
        print(line.format(start=start, end=end))
    print(_("time: {duration}").format(duration=duration(report.seconds)))
    _paths(outcome.outputs, folder)
    return EXIT_OK


def pairs(given: Sequence[str]) -> dict[str, str]:
    """--map a=b several times, as a dictionary."""
    found = {}
    for item in given:
        field, equals, column = item.partition("=")
        if not equals or not field.strip() or not column.strip():
            raise ConfigError(Problem("map_form", {"given": item}))
        found[field.strip()] = column.strip()
    return found


def _format(given: str) -> Any:
    if given not in ("alpaca", "sharegpt"):
        raise ConfigError(
            Problem(
                "value_wrong",
                {"expected": Phrase("one of {choices}", {"choices": "alpaca, sharegpt"}), "found": given},
                "--to",
            )
        )
    return given


def _table(samples: Sequence[dict[str, Any]]) -> None:
    if not samples:
        return
    table = Table(show_lines=True, expand=True)
    for title, share in ((_("Question"), 2), (_("Before (base model)"), 4), (_("After (tuned model)"), 4)):
        table.add_column(title, ratio=share)
    for row in samples:
        table.add_row(*(Text(clean(row[name], 300)) for name in ("question", "base", "tuned")))
    Console(file=sys.stdout, highlight=False).print(table)


def _earlier_answers(folder: Path) -> list[dict[str, Any]]:
    """Answers of the newest run of a project that has some."""
    for file in sorted(folder.glob("logs/*/answers.jsonl"), reverse=True):
        return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    return []


def _paths(outputs: dict[str, str], folder: Path) -> None:
    for what, path in outputs.items():
        print(f"{what}: {path}")
    print(_("Talk to it: {command}").format(command=f"{command()} chat {folder}"))
