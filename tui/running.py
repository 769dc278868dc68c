"""--replay, train and export: the engine's pipeline with a report on stderr and the result on stdout."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from engine import pipeline
from engine.config.jobs import load_job
from engine.dry_run import dry_run
from engine.errors import EXIT_FAILED, EXIT_OK, ConfigError, Problem, ProblemError
from engine.messages import render
from tui.report import Report, command, duration


def replay_file(
    file: Path,
    overrides: Sequence[str],
    *,
    dry: bool,
    fresh: bool,
    as_json: bool,
    require_gpu: bool = False,
    only: str | None = None,
) -> int:
    """Run a config and return the exit code. `only`: the command takes just that kind of file."""
    try:
        if only:
            _require_kind(file, overrides, only)
        with Report() as report:
            if dry:
                job = load_job(file, overrides)
                plan = pipeline.make_plan(job, fresh=fresh, require_gpu=require_gpu, progress=report.progress)
                shown = dry_run(plan)
                for note in plan.notes:
                    report.problem(note)
            else:
                outcome = pipeline.run(
                    file,
                    overrides=overrides,
                    fresh=fresh,
                    require_gpu=require_gpu,
                    listen=report.event,
                    progress=report.progress,
                    has_terminal=has_terminal(),
                )
    except ProblemError as error:
        if as_json:
            problems = [problem.as_dict() | {"text": render(problem)} for problem in error.problems]
            print(json.dumps({"exit_code": error.exit_code, "problems": problems}))
        raise
    if dry:
        _show_plan(shown, as_json)
        return EXIT_OK
    tell_outcome(outcome, report, file)
    if as_json:
        print(json.dumps(summary(outcome, report)))
    else:
        for what, path in outcome.outputs.items():
            print(f"{what}: {path}")
    return outcome.exit_code


def has_terminal() -> bool:
    """Whether a person watches: then a hang-up leaves the run going. CI and batch jobs end with their viewer."""
    return sys.stderr.isatty() and not os.environ.get("CI")


def tell_outcome(outcome: pipeline.Outcome, report: Report, file: Path) -> None:
    """The closing lines on stderr."""
    if outcome.already_done:
        report.say("Nothing to do: this config has been run to its end (--fresh does it anew).")
    elif outcome.left_running:
        report.say("The run goes on without this terminal.")
    elif outcome.exit_code == EXIT_OK:
        tell_proof(report)
        report.say(f"Done in {duration(report.seconds)}.")
    elif outcome.event and outcome.event.get("outcome") == "stopped":
        report.say(f"Stopped. What was learned is saved; to go on: {command()} --replay {file}")
    elif outcome.run and outcome.exit_code == EXIT_FAILED:
        report.say(f"The log has the details: {outcome.run.log_file}")


def tell_proof(report: Report) -> None:
    """The check of the merged model, in a line."""
    proof = report.proof
    if not proof:
        return
    if proof.get("changes_nothing"):
        report.say("The adapter changes nothing: the merged model equals the base model.")
    elif proof["method"] == "logits":
        report.say(
            f"Merged model checked: it differs from base+adapter by {100 * proof['ratio']:.2f} % of what the adapter "
            f"changes (limit 10 %); {proof['tensors_checked']} tensors compared."
        )
    else:
        report.say(f"Merged model checked tensor by tensor ({proof['tensors_checked']}).")


def summary(outcome: pipeline.Outcome, report: Report) -> dict[str, Any]:
    """The outcome as one JSON object."""
    return {
        "exit_code": outcome.exit_code,
        "run": outcome.run.id if outcome.run else None,
        "folder": str(outcome.run.path) if outcome.run else None,
        "outputs": outcome.outputs,
        "already_done": outcome.already_done,
        "seconds": round(report.seconds, 2),
        "first_loss": report.losses[0] if report.losses else None,
        "last_loss": report.losses[-1] if report.losses else None,
        "proof": report.proof,
        "problem": outcome.event if outcome.event and outcome.event["type"] == "failed" else None,
    }


def _require_kind(file: Path, overrides: Sequence[str], only: str) -> None:
    kind = load_job(file, overrides).kind
    if kind != only:
        names = {"train": "a train config", "merge": "a merge config", "project": "a project's config.yaml"}
        arguments = {
            "train": f"train {file}",
            "merge": f"export {file}",
            "project": f"--replay {file}",
        }
        params = {"wanted": names[only], "found": names[kind], "hint": f"Run: {command()} {arguments[kind]}"}
        raise ConfigError(Problem("kind_wrong", params, file=str(file)))


def _show_plan(shown: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print(json.dumps(shown))
        return
    print(f"steps: {', '.join(shown['steps']) or 'none'}")
    for step in shown["done"]:
        print(f"finished before: {step}")
    training = shown.get("training")
    if training:
        print(
            f"samples: {training['samples']} (held back: {training['held_back']}), longest {training['longest']} tokens"
        )
        print(f"tokens: {training['tokens']} a pass, {training['labelled']} of them trained on")
        print(f"optimiser steps: {training['steps']} ({training['steps_per_epoch']} a pass)")
        for note in training["notes"]:
            print(f"{note['severity']}: {render(Problem.from_dict(note))}", file=sys.stderr)
    for path in shown["aside"]:
        print(f"moved aside: {path}")
    for path in shown["files"]:
        print(f"writes: {path}")
