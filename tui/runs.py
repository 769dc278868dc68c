"""The commands for runs that go on by themselves: runs, runs compare, stop, resume, logs, runs rm."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from engine.errors import EXIT_FAILED, EXIT_OK, ConfigError, Problem
from engine.runs import control, index
from engine.runs.comparing import MOST, compare
from engine.runs.folder import RunFolder
from engine.runs.listing import trained
from engine.runs.lock import Place
from engine.runs.logs import LogReader
from engine.runs.retry import Retry, started_again
from engine.runs.status import Status, status
from engine.text import one_line
from tui import comparepage
from tui.phases import age, duration, size_words, state_title
from tui.report import Report, command
from tui.running import replay_file
from tui.words import _

LOOK_SECONDS = 0.25
SHORTEST_ID = len("20260131T093000")


def list_runs(as_json: bool) -> int:
    """The user's runs, newest first: a table for people, a list for programs."""
    here = Place.here()
    found = [(run, status(run, here=here)) for run in index.known()]
    if as_json:
        print(json.dumps([_as_dict(run, now) for run, now in found]))
        return EXIT_OK
    if not found:
        _say(_("There are no runs yet."))
        return EXIT_OK
    console = Console(highlight=False)
    console.print(_table(found))
    for run, now in found:
        if now.state == "elsewhere" and now.heartbeat_age is not None:
            line = _("{run}: last sign of life {age} ago, from {host}")
            console.print(Text(line.format(run=run.id, age=duration(now.heartbeat_age), host=one_line(now.host))))
    return EXIT_OK


def compare_runs(names: list[str], as_json: bool) -> int:
    """What came of some runs and which settings differ. Raises ConfigError where they are not two to four."""
    if not 2 <= len(names) <= MOST:
        raise ConfigError(Problem("compare_count", {"count": len(names), "most": MOST}))
    found = compare([trained(index.find(name)) for name in names])
    if as_json:
        print(json.dumps(comparepage.as_json(found)))
    else:
        print("\n".join(comparepage.compared(found, time.time())))
    return EXIT_OK


def stop_run(given: str | None, kill: bool) -> int:
    """Ask a run to save and end, or kill it, and wait until it has. Ctrl+C leaves it stopping."""
    run = index.find(given, sole=True)
    how = control.stop(run, kill=kill)
    if how == "killed":
        _say(_("Run {run} is killed. What was saved before stays.").format(run=run.id))
        return EXIT_OK
    _say(_("Run {run} finishes its step, saves and ends. Ctrl+C leaves it to that.").format(run=run.id))
    while (now := status(run)).alive:
        time.sleep(LOOK_SECONDS)
    _say(_("Run {run}: {state}").format(run=run.id, state=state_title(now.state)))
    if now.state == "stopped":
        _say(_("To go on: {command}").format(command=f"{command()} resume {run.id}"))
    return EXIT_OK if now.state in ("stopped", "finished") else EXIT_FAILED


def resume_run(given: str | None, retry: Retry, detach: bool, as_json: bool) -> int:
    """Run again what `given` was started with, but for what is to be different; the work goes on where it was saved."""
    run = index.find(given)
    if status(run).state == "finished":
        _say(_("Run {run} is finished: there is nothing to resume.").format(run=run.id))
        return EXIT_OK
    with Report() as report:
        found, notes = started_again(run, retry, report.event)
        for note in notes:
            report.problem(note)
    return replay_file(
        found.source,
        found.overrides,
        dry=False,
        fresh=False,
        as_json=as_json,
        require_gpu=found.require_gpu,
        force=found.force,
        detach=detach,
        goes_on=found.goes_on,
        cwd=found.cwd,
    )


def show_log(given: str | None, follow: bool) -> int:
    """A run's log as plain text; with `follow`, until the run ends."""
    run = index.find(given)
    reader = LogReader(run.log_file)
    while True:
        over = not follow or not status(run).alive
        for line in reader.poll(ended=over):
            print(line)
        sys.stdout.flush()
        if over:
            return EXIT_OK
        time.sleep(LOOK_SECONDS)


def remove_run(given: str, everything: bool, dry: bool, sure: bool) -> int:
    """Say what goes, and delete it; models only after a question, where there is a terminal to ask on."""
    run = index.find(given)
    listed = control.removal(run, everything=everything)
    _say(_("This would be deleted:") if dry else _("To be deleted:"))
    for path, size in listed:
        print(f"{path}  {size_words(size)}", flush=True)
    if dry:
        return EXIT_OK
    if everything and not sure and sys.stdin.isatty() and not _yes(_("Delete all of it? (y/n)")):
        _say(_("Nothing was deleted."))
        return EXIT_OK
    control.remove(run, everything=everything)
    _say(_("Deleted."))
    return EXIT_OK


def _table(found: list[tuple[RunFolder, Status]]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column(_("id"), no_wrap=True)
    table.add_column(_("project"), no_wrap=True, overflow="ellipsis", max_width=14)
    table.add_column(_("state"), max_width=10)
    table.add_column(_("step"), no_wrap=True, justify="right")
    table.add_column(_("loss"), no_wrap=True, justify="right")
    table.add_column(_("age"), no_wrap=True, justify="right")
    table.add_column(_("size"), no_wrap=True, justify="right")
    table.add_column(_("host"), no_wrap=True, overflow="ellipsis", max_width=12)
    short = _short_ids([run.id for run, _status in found])
    for run, now in found:
        cells = [
            short[run.id],
            run.id[SHORTEST_ID + 1 :],
            state_title(now.state),
            f"{now.step}/{now.total}" if now.total else "",
            f"{now.loss:.4f}" if now.loss is not None else "",
            age(_seconds_old(run)),
            size_words(control.size_of(run.path)),
            now.host,
        ]
        table.add_row(*(Text(one_line(cell)) for cell in cells))
    return table


def _short_ids(ids: list[str]) -> dict[str, str]:
    """The shortest beginning of each id, from its time on, that no other id has; `find` takes it."""
    short = {}
    for name in ids:
        length = SHORTEST_ID
        while length < len(name) and sum(other.startswith(name[:length]) for other in ids) > 1:
            length += 1
        short[name] = name[:length]
    return short


def _as_dict(run: RunFolder, now: Status) -> dict[str, Any]:
    return {
        "id": run.id,
        "project": run.id[SHORTEST_ID + 1 :],
        "path": str(run.path),
        **asdict(now),
        "age": round(_seconds_old(run), 1),
        "bytes": control.size_of(run.path),
    }


def _seconds_old(run: RunFolder) -> float:
    return max(0.0, time.time() - run.began())


def _yes(question: str) -> bool:
    _say(question)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _say(text: str) -> None:
    print(text, file=sys.stderr)
