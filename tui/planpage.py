"""The plan of --dry-run as text or JSON, and what --fit changed."""

from __future__ import annotations

import json
import sys

from engine.dry_run import DryRun
from engine.errors import Problem
from engine.memory.applying import Applied
from tui.estimatepage import short_lines, verdict_line
from tui.phases import step_title
from tui.report import Report
from tui.words import _, problem_line, say


def tell_fit(applied: Applied, report: Report) -> None:
    """What --fit changed and why, on stderr."""
    for problem in applied.before.problems:
        report.problem(problem)
    report.say(verdict_line(applied.before))
    for change in applied.changes:
        line = _("changed, exact: {title} ({settings}); {effect}")
        if not change.exact:
            line = _("changed, approximate: {title} ({settings}); {effect}")
        told = {"title": say(change.title), "settings": " ".join(change.overrides), "effect": say(change.effect)}
        report.say(line.format_map(told))
    if applied.changes:
        report.say(verdict_line(applied.after))


def show_plan(planned: DryRun, as_json: bool) -> None:
    """On stdout; notes on stderr."""
    shown = planned.shown
    if as_json:
        print(json.dumps(planned.as_dict()))
        return
    print(_("steps: {steps}").format(steps=_(", ").join(map(step_title, shown["steps"])) or _("none")))
    for step in shown["done"]:
        print(_("finished before: {step}").format(step=step_title(step)))
    training = shown.get("training")
    if training:
        for line in (
            _("samples: {samples} (held back: {held_back}), longest {longest} tokens"),
            _("tokens: {tokens} a pass, {labelled} of them trained on"),
            _("optimiser steps: {steps} ({steps_per_epoch} a pass)"),
        ):
            print(line.format_map(training))
        for note in training["notes"]:
            print(problem_line(Problem.from_dict(note)), file=sys.stderr)
    if planned.forecast:
        for line in short_lines(planned.forecast):
            print(line)
        for problem in planned.forecast.problems:
            print(problem_line(problem), file=sys.stderr)
    for path in shown["aside"]:
        print(_("moved aside: {path}").format(path=path))
    for path in shown["files"]:
        print(_("writes: {path}").format(path=path))
