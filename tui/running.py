"""--replay, train and export: the engine's pipeline with a report on stderr and the result on stdout."""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from engine import pipeline
from engine.config.jobs import load_job
from engine.errors import EXIT_FAILED, EXIT_OK, ConfigError, Problem, ProblemError
from engine.messages import render
from engine.runs.folder import RunFolder
from engine.runs.results import Results, results
from tui.finishpage import page
from tui.mergewords import proof_words
from tui.report import Report, command, duration
from tui.words import _


def replay_file(
    file: Path,
    overrides: Sequence[str],
    *,
    dry: bool,
    fresh: bool,
    as_json: bool,
    require_gpu: bool = False,
    force: bool = False,
    only: str | None = None,
    detach: bool = False,
    fit: bool = False,
    goes_on: bool = False,
    cwd: Path | None = None,
) -> int:
    """Run a config and return the exit code. `only`: the command takes just that kind of file.

    `fit`: settings with which the job would not fit into memory are changed first. `force`: data that would ruin a run
    does not stop it. `detach`: start it and return. `goes_on`: as `pipeline.run` has it. `cwd`: where relative paths
    of a bare file begin, if not here.
    """
    try:
        if only:
            _require_kind(file, overrides, only)
        with Report() as report:
            if fit:
                overrides = [*overrides, *_fitted(file, overrides, report, cwd)]
            if dry:
                from engine.dry_run import dry_run

                job = load_job(file, overrides, cwd)
                plan = pipeline.make_plan(job, fresh=fresh, require_gpu=require_gpu, progress=report.progress)
                planned = dry_run(plan, force=force)
                for note in plan.notes:
                    report.problem(note)
            elif detach:
                launched = pipeline.launch(
                    file,
                    overrides=overrides,
                    fresh=fresh,
                    require_gpu=require_gpu,
                    force=force,
                    goes_on=goes_on,
                    listen=report.event,
                    progress=report.progress,
                    outlives_viewer=True,
                    cwd=cwd,
                )
            else:
                outcome = pipeline.run(
                    file,
                    overrides=overrides,
                    fresh=fresh,
                    require_gpu=require_gpu,
                    force=force,
                    goes_on=goes_on,
                    listen=report.event,
                    progress=report.progress,
                    has_terminal=has_terminal(),
                    cwd=cwd,
                )
    except ProblemError as error:
        if as_json:
            problems = [problem.as_dict() | {"text": render(problem)} for problem in error.problems]
            print(json.dumps({"exit_code": error.exit_code, "problems": problems}))
        raise
    if dry:
        from tui.planpage import show_plan

        show_plan(planned, as_json)
        return EXIT_OK
    if detach:
        _tell_launched(launched, report, as_json)
        return EXIT_OK
    tell_outcome(outcome, report, file)
    if as_json:
        print(json.dumps(summary(outcome, report)))
    else:
        tell_outputs(outcome.outputs)
    return outcome.exit_code


def _fitted(file: Path, overrides: Sequence[str], report: Report, cwd: Path | None) -> Sequence[str]:
    """Overrides that make the job fit, told on stderr."""
    from engine.memory.applying import make_fit
    from tui.planpage import tell_fit

    applied = make_fit(file, overrides, listen=report.event, cwd=cwd)
    tell_fit(applied, report)
    return applied.overrides


def has_terminal() -> bool:
    """Whether a person watches: then a hang-up leaves the run going. CI and batch jobs end with their viewer."""
    return sys.stderr.isatty() and not os.environ.get("CI")


def tell_outcome(outcome: pipeline.Outcome, report: Report, file: Path) -> None:
    """The closing lines on stderr."""
    if outcome.already_done:
        report.say(_("Nothing to do: this config has been run to its end (--fresh does it anew)."))
    elif outcome.left_running and outcome.run:
        again = f"{command()} attach {outcome.run.id}"
        report.say(_("The run goes on. To watch it again: {command}").format(command=again))
    elif outcome.exit_code == EXIT_OK:
        report.say(_("Done in {time}.").format(time=duration(report.seconds)))
    elif outcome.event and outcome.event.get("outcome") == "stopped":
        line = _("Stopped. What was learned is saved; to go on: {command}")
        report.say(line.format(command=f"{command()} --replay {shlex.quote(str(file))}"))
    elif outcome.run and outcome.event and outcome.event["type"] == "failed":
        if outcome.exit_code == EXIT_FAILED:
            report.say(_("The log has the details: {path}").format(path=outcome.run.log_file))
        tell_ways(outcome.run, report)
    if outcome.exit_code == EXIT_OK and outcome.outputs and not outcome.left_running:
        tell_use(results(outcome.run, file.absolute(), outcome.outputs), report)


def tell_use(found: Results, report: Report) -> None:
    """What was made, how it came out and how it is used, as the wizard's last screen has it."""
    report.say("\n".join(["", *page(found, report.console.width), ""]))


def tell_ways(run: RunFolder, report: Report) -> None:
    """What can be done about a run that failed, as commands."""
    from tui.fixpage import command_page

    for line in command_page(run):
        report.say(line)


def tell_outputs(outputs: Mapping[str, str]) -> None:
    """What there is now, on stdout: the names are for programs and stay as they are."""
    for what, path in outputs.items():
        print(f"{what}: {path}")


def _tell_launched(launched: pipeline.Launched, report: Report, as_json: bool) -> None:
    """The id on stdout, the rest on stderr."""
    run = launched.run
    if as_json:
        found = {"run": run.id if run else None, "folder": str(run.path) if run else None}
        print(json.dumps({"exit_code": EXIT_OK, **found, "already_done": launched.already_done}))
    elif run:
        print(run.id)
    if run:
        report.say(
            _("The run goes on by itself. To watch it: {command}").format(command=f"{command()} attach {run.id}")
        )
    else:
        report.say(_("Nothing to do: this config has been run to its end (--fresh does it anew)."))


def tell_proof(report: Report) -> None:
    """The check of the merged model, in a line."""
    if report.proof:
        report.say(proof_words(report.proof))


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
        names = {
            "train": _("a train config"),
            "merge": _("a merge config"),
            "project": _("a project's config.yaml"),
        }
        arguments = {
            "train": f"train {file}",
            "merge": f"export {file}",
            "project": f"--replay {file}",
        }
        run = f"{command()} {arguments[kind]}"
        params = {"wanted": names[only], "found": names[kind], "hint": _("Run: {command}").format(command=run)}
        raise ConfigError(Problem("kind_wrong", params, file=str(file)))
