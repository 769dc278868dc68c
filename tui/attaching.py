"""Watching a run that goes on by itself, in lines: its history first, then what happens."""

from __future__ import annotations

from engine.errors import EXIT_FAILED, EXIT_OK, EXIT_STOPPED
from engine.runs.folder import RunFolder
from engine.runs.follow import Viewer
from engine.runs.view import RunView, Snapshot
from tui.phases import state_title, step_title
from tui.phasewords import phase_words
from tui.report import Report, command, duration
from tui.running import has_terminal, tell_outputs, tell_proof, tell_ways
from tui.words import _

FACTS = ("data", "model", "step", "resumed")  # of the `log` events, in the order they came


def attach(run: RunFolder) -> int:
    """Watch `run` until it ends; Ctrl+C, a hang-up and SIGTERM only end the watching.

    Returns what the run ended with: 0 finished, 4 stopped, else what it failed with; 0 where it goes on.
    """
    view = RunView(run)
    with Report() as report:
        seen = view.poll()
        tell_history(report, seen)
        if seen.outcome or (not seen.status.alive and seen.status.state != "elsewhere"):
            return _over(report, seen)
        if seen.phase:
            report.event({"type": "phase", "name": seen.phase})
        with Viewer(report.event, has_terminal(), attached=True) as viewer:
            ending = viewer.attach(run, view.reader)
    if ending.left_running:
        tell_left(report, view.poll())
        return EXIT_OK
    after = view.poll()
    if ending.event and ending.event["type"] == "failed":
        report.say(_("The log has the details: {path}").format(path=run.log_file))
        tell_ways(run, report)
    elif ending.exit_code == EXIT_OK:
        tell_proof(report)
        tell_outputs(after.outputs)
    report.say(_("Run {run}: {state}").format(run=run.id, state=state_title(after.status.state)))
    return ending.exit_code


def tell_history(report: Report, seen: Snapshot) -> None:
    """What happened so far, in a few lines."""
    status = seen.status
    steps = _(", ").join(step_title(step) for step in seen.steps)
    where = status.host or _("no host yet")
    line = _("Run {run}  ({steps})  {state}, {host}  log: {log}")
    log = str(seen.path / "train.log")
    report.say(line.format(run=seen.run, steps=steps, state=state_title(status.state), host=where, log=log))
    if told := phase_words(seen):
        report.say(told)
    for what in FACTS:
        if what in seen.facts:
            report.event(seen.facts[what])
    for problem in seen.warnings:
        report.problem(problem)
    if seen.losses:
        (first, before), (last, loss) = seen.losses[0], seen.losses[-1]
        line = _("step {first}: loss {before:.4f}; step {last} of {total}: loss {loss:.4f}")
        report.say(line.format(first=first, before=before, last=last, total=seen.steps_total, loss=loss))
    if seen.evals:
        report.event({"type": "eval", "step": seen.evals[-1][0], "loss": seen.evals[-1][1]})
    if seen.checkpoint is not None:
        report.say(_("Last checkpoint: step {step}").format(step=seen.checkpoint))
    if seen.proof:
        report.event(seen.proof)


def tell_left(report: Report, seen: Snapshot) -> None:
    """That the run goes on, or that nothing is heard of it."""
    age = seen.status.heartbeat_age
    if seen.status.state == "elsewhere" and not seen.status.alive and age is not None:
        line = _("The last sign of life came {age} ago from {host}; whether the run goes on can only be told there.")
        report.say(line.format(age=duration(age), host=seen.status.host))
        return
    line = _("The run goes on. To watch it again: {command}")
    report.say(line.format(command=f"{command()} attach {seen.run}"))


def _over(report: Report, seen: Snapshot) -> int:
    """The end of a run that was over before we came."""
    for problem in seen.problems:
        report.problem(problem)
    tell_ways(RunFolder(seen.path), report)
    state = seen.status.state
    if state == "finished":
        tell_proof(report)
        tell_outputs(seen.outputs)
        return EXIT_OK
    if state == "stopped":
        line = _("What was learned is saved; to go on: {command}")
        report.say(line.format(command=f"{command()} resume {seen.run}"))
        return EXIT_STOPPED
    return int(RunFolder(seen.path).state().get("exit_code") or EXIT_FAILED)
