"""Headless narration on stderr: what is being done, how far it is, what to know. Never on stdout."""

from __future__ import annotations

import shlex
import shutil
import sys
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TextIO

from engine.errors import Problem
from engine.text import Phrase, clean, one_line
from tui.mergewords import merge_lines
from tui.phases import duration as duration  # running.py and attaching.py take it from here
from tui.phases import phase_title, step_title
from tui.phasewords import data_words, model_words
from tui.words import _, noop, problem_line, say, translate

if TYPE_CHECKING:
    from rich.progress import TaskID

PLAIN_SECONDS = 10.0  # between two lines of progress where there is no terminal


class Report:
    """Draws events on `stream`: a live bar on a terminal, lines elsewhere or with `lines`. A context manager."""

    def __init__(self, stream: TextIO | None = None, *, lines: bool = False):
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        self.stream = stream or sys.stderr
        self.console = Console(file=self.stream, highlight=False, soft_wrap=True)
        self.live = self.console.is_terminal and not self.console.is_dumb_terminal and not lines
        self.bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=20),
            TextColumn("{task.fields[detail]}", markup=False),
            console=self.console,
            transient=True,
            refresh_per_second=4,
        )
        self.task: TaskID | None = None
        self.phase = ""
        self.spoke = 0.0
        self.losses: list[float] = []
        self.began = time.monotonic()
        self.samples: list[dict[str, Any]] = []
        self.proof: dict[str, Any] | None = None
        self.said: set[str] = set()

    def __enter__(self) -> Report:
        if self.live:
            self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.live:
            self.bar.stop()

    @property
    def seconds(self) -> float:
        """Since the report was opened."""
        return time.monotonic() - self.began

    def say(self, text: str) -> None:
        """One line (or more) of narration."""
        from rich.text import Text

        self.console.print(Text(clean(text)))

    def problem(self, problem: Problem) -> None:
        """A problem in words, once."""
        text = problem_line(problem)
        if text not in self.said:
            self.said.add(text)
            self.say(text)

    def progress(self, what: Phrase, done: int, total: int) -> None:
        """Work before the run starts: downloads (bytes), conversions."""
        title = say(what)
        if title != self.phase:
            self.phase = title
            self._start(title)
        self._move(done, total, amount(done, total, "bytes") if total else "")

    def event(self, event: dict[str, Any]) -> None:
        """One event of a run."""
        handler = getattr(self, f"_on_{event['type']}", None)
        if handler:
            handler(event)

    def _on_launched(self, event: dict[str, Any]) -> None:
        for step in event["done"]:
            done = _("{step}: finished before by the same config, left alone (--fresh does it anew)")
            self.say(done.format(step=step_title(step)))
        steps = _(", ").join(step_title(step) for step in event["steps"])
        log = f"{event['path']}/train.log"
        self.say(_("Run {run}  ({steps})  log: {log}").format(run=event["run"], steps=steps, log=log))

    def _on_phase(self, event: dict[str, Any]) -> None:
        self.phase = event["name"]
        self._start(phase_title(self.phase))

    def _on_progress(self, event: dict[str, Any]) -> None:
        self._move(event["done"], event["total"], amount(event["done"], event["total"], event["unit"]))

    def _on_step(self, event: dict[str, Any]) -> None:
        self.losses.append(event["loss"])
        detail = _("step {step}/{total}  loss {loss:.4f}  {speed:.0f} tok/s  {left} left")
        left, speed = duration(event["eta"]), event["tokens_per_second"]
        filled = detail.format(step=event["step"], total=event["total"], loss=event["loss"], speed=speed, left=left)
        self._move(event["step"], event["total"], filled)

    def _on_log(self, event: dict[str, Any]) -> None:
        what = event.get("what")
        if what == "data":
            self.say(data_words(event))
        elif what == "model":
            self.say(model_words(event))
        elif what == "step":
            if event["micro_batches"] == "packed" and event["difference"] is not None:
                line = _("Fast step checked on your model and data: largest relative loss difference {difference:.0e}")
                self.say(line.format(difference=event["difference"]))
            if planned := plan_words(event):
                self.say(_("Step: {plan}").format(plan=planned))
        elif what == "measured":
            figures = {name.removeprefix("eval_"): value for name, value in event["figures"].items()}
            rest = ", ".join(f"{one_line(name)} {value:.4f}" for name, value in figures.items() if name != "loss")
            if rest:
                self.say(_("step {step}: {figures}").format(step=event["step"], figures=rest))
        elif what == "merge":
            for line in merge_lines({what: event}):
                self.say(line)
        elif what == "resumed":
            line = _("Resuming from step {step}: {checkpoint}")
            self.say(line.format(step=event["step"], checkpoint=event["resumed_from"]))

    def _on_eval(self, event: dict[str, Any]) -> None:
        line = _("step {step}: loss on the rows held back {loss:.4f}")
        self.say(line.format(step=event["step"], loss=event["loss"]))

    def _on_checkpoint(self, event: dict[str, Any]) -> None:
        if not self.live:
            self.say(_("step {step}: checkpoint written").format(step=event["step"]))

    def _on_warning(self, event: dict[str, Any]) -> None:
        self.problem(Problem.from_dict(event))

    def _on_proof(self, event: dict[str, Any]) -> None:
        self.proof = event

    def _on_sample(self, event: dict[str, Any]) -> None:
        self.samples.append(event)

    def _on_stopping(self, event: dict[str, Any]) -> None:
        self.say(_("Stopping: the current step is finished and saved first."))
        if event["by"] == "SIGINT":
            self.say(_("Press Ctrl+C again to kill it without saving."))

    def _on_killing(self, event: dict[str, Any]) -> None:
        self.say(_("Killed. What was saved before stays."))

    def _on_failed(self, event: dict[str, Any]) -> None:
        for raw in (event, *event.get("also", [])):
            self.problem(Problem.from_dict(raw))

    def _start(self, title: str) -> None:
        if self.live:
            if self.task is not None:
                self.bar.remove_task(self.task)
            self.task = self.bar.add_task(title, total=None, detail="")
        else:
            self.say(f"{title} …")
            self.spoke = time.monotonic()

    def _move(self, done: float, total: float, detail: str) -> None:
        if self.live and self.task is not None:
            self.bar.update(self.task, completed=done, total=total or None, detail=one_line(detail))
        elif not self.live and detail and (done == total or time.monotonic() - self.spoke >= PLAIN_SECONDS):
            self.spoke = time.monotonic()
            self.say(f"  {detail}")


def command() -> str:
    """How this person calls the tool: its name where the shell finds it, else the path they typed."""
    return "sft-wizard" if shutil.which("sft-wizard") else shlex.quote(sys.argv[0])


_AMOUNTS = {
    "rows": noop("{done:.0f} of {total:.0f} rows"),
    "questions": noop("{done:.0f} of {total:.0f} questions"),
    "bytes": noop("{done:.0f} of {total:.0f} MB"),
}


def amount(done: float, total: float, unit: str) -> str:
    """How far a piece of work is; bytes are shown in MB."""
    if unit == "bytes":
        done, total = done / 1e6, total / 1e6
    return translate(_AMOUNTS.get(unit, "{done:.0f} / {total:.0f}")).format(done=done, total=total)


def plan_words(event: Mapping[str, Any]) -> str:
    """How an optimiser step was planned, of a run's `step` event; empty where it does not say."""
    if not event.get("budget"):
        return ""
    if not event.get("recompute"):
        return _("up to {row} tokens at a time").format(row=event["budget"])
    line = _("{row} tokens at a time, {recompute} of {layers} layers computed again in backward")
    return line.format(row=event["budget"], recompute=event["recompute"], layers=event.get("layers", "?"))
