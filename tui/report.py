"""Headless narration on stderr: what is being done, how far it is, what to know. Never on stdout."""

from __future__ import annotations

import shlex
import shutil
import sys
import time
from typing import Any, TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.text import Text

from engine.errors import Problem
from engine.messages import render
from engine.text import clean, one_line

PHASES = {
    "tokenising": "Tokenising",
    "loading": "Loading the model",
    "checking": "Checking the fast step",
    "training": "Training",
    "saving": "Saving",
    "merging": "Merging",
    "proving": "Checking the merged model",
    "answering": "Asking the questions",
}
PLAIN_SECONDS = 10.0  # between two lines of progress where there is no terminal


class Report:
    """Draws events on `stream`: a live bar on a terminal, lines elsewhere. A context manager."""

    def __init__(self, stream: TextIO | None = None):
        self.stream = stream or sys.stderr
        self.console = Console(file=self.stream, highlight=False, soft_wrap=True)
        self.live = self.console.is_terminal
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
        self.console.print(Text(clean(text)))

    def problem(self, problem: Problem) -> None:
        """A problem in words, once."""
        text = render(problem)
        if text not in self.said:
            self.said.add(text)
            self.say(f"{problem.severity}: {text}")

    def progress(self, what: str, done: int, total: int) -> None:
        """Work before the run starts: downloads (bytes), conversions."""
        if what != self.phase:
            self.phase = what
            self._start(what[:1].upper() + what[1:])
        detail = f"{done / 1e6:.0f} of {total / 1e6:.0f} MB" if total else ""
        self._move(done, total, detail)

    def event(self, event: dict[str, Any]) -> None:
        """One event of a run."""
        handler = getattr(self, f"_on_{event['type']}", None)
        if handler:
            handler(event)

    def _on_launched(self, event: dict[str, Any]) -> None:
        for step in event["done"]:
            self.say(f"{step}: finished before by the same config, left alone (--fresh does it anew)")
        self.say(f"Run {event['run']}  ({', '.join(event['steps'])})  log: {event['path']}/train.log")

    def _on_phase(self, event: dict[str, Any]) -> None:
        self.phase = event["name"]
        self._start(PHASES.get(self.phase, self.phase))

    def _on_progress(self, event: dict[str, Any]) -> None:
        self._move(
            event["done"],
            event["total"],
            f"{event['done']:.0f} of {event['total']:.0f} {event['unit']}"
            if event["unit"] != "bytes"
            else f"{event['done'] / 1e6:.0f} of {event['total'] / 1e6:.0f} MB",
        )

    def _on_step(self, event: dict[str, Any]) -> None:
        self.losses.append(event["loss"])
        detail = (
            f"step {event['step']}/{event['total']}  loss {event['loss']:.4f}  "
            f"{event['tokens_per_second']:.0f} tok/s  {duration(event['eta'])} left"
        )
        self._move(event["step"], event["total"], detail)

    def _on_log(self, event: dict[str, Any]) -> None:
        what = event.get("what")
        if what == "data":
            cached = ", from the cache" if event["cached"] else ""
            held = f", {event['held_back']} held back" if event["held_back"] else ""
            self.say(
                f"{event['samples']} samples{held}, {event['tokens']} tokens, {event['labelled']} of them trained on, "
                f"longest {event['longest']}{cached}"
            )
        elif what == "model":
            trained, total = event["trainable"] / 1e6, event["parameters"] / 1e6
            share = f"{100 * trained / total:.2f} %"
            self.say(f"{trained:.2f}M of {total:.0f}M parameters are trained ({share}) on {event['device']}")
        elif what == "step" and event["micro_batches"] == "packed" and event["difference"] is not None:
            self.say(
                f"Fast step checked on your model and data: largest relative loss difference {event['difference']:.0e}"
            )
        elif what == "resumed":
            self.say(f"Resuming from step {event['step']}: {event['resumed_from']}")

    def _on_eval(self, event: dict[str, Any]) -> None:
        self.say(f"step {event['step']}: loss on the rows held back {event['loss']:.4f}")

    def _on_checkpoint(self, event: dict[str, Any]) -> None:
        if not self.live:
            self.say(f"step {event['step']}: checkpoint written")

    def _on_warning(self, event: dict[str, Any]) -> None:
        self.problem(Problem.from_dict(event))

    def _on_proof(self, event: dict[str, Any]) -> None:
        self.proof = event

    def _on_sample(self, event: dict[str, Any]) -> None:
        self.samples.append(event)

    def _on_stopping(self, event: dict[str, Any]) -> None:
        again = " Press Ctrl+C again to kill it without saving." if event["by"] == "SIGINT" else ""
        self.say(f"Stopping: the current step is finished and saved first.{again}")

    def _on_killing(self, event: dict[str, Any]) -> None:
        self.say("Killed. What was saved before stays.")

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


def duration(seconds: float) -> str:
    """4 s, 3 min 20 s, 2 h 5 min."""
    whole = int(seconds + 0.5)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
