"""Who finds things out for the wizard and starts its run. Tests give the front ends a desk of their own."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from engine.errors import Problem, ProblemError, RunError
from engine.runs.folder import RunFolder
from engine.runs.launch import python_module, worker_environment
from engine.storage import state_folder
from engine.text import Phrase
from engine.wizard.device import pinned
from engine.wizard.fetching import Fetcher
from engine.wizard.questions import Request
from engine.wizard.session import Machine, Wizard

if TYPE_CHECKING:
    from engine.project import ProjectAnswers
    from engine.runs.results import Merging
    from engine.runs.retry import Retry

GRACE = 2.0  # seconds for a download to tidy up
LOG = "wizard.log"  # what the processes print, in the state folder

Progress = Callable[[Phrase, int, int], None]


@dataclass(frozen=True)
class Started:
    """A run that was started, or None where everything had been done before. outputs: {adapter, merged: path}."""

    run: RunFolder | None
    config: Path
    outputs: dict[str, str]
    notes: tuple[Problem, ...] = ()


class Finder(Protocol):
    """Finds things out."""

    def find(self, request: Request, progress: Progress) -> Any:
        """What `Wizard.learn` takes."""
        ...


class Desk(Finder, Fetcher, Protocol):
    """All but cancel block: call them from a thread, or say what is awaited. They raise ProblemError."""

    def start(self, wizard: Wizard, progress: Progress) -> Started:
        """Write the project and start its run."""
        ...

    def resume(self, run: RunFolder, retry: Retry, progress: Progress) -> Started:
        """Start again what `run` was started with, but for what is to be different."""
        ...

    def merge(self, merging: Merging, progress: Progress) -> Started:
        """Start the merge of an adapter that was not merged."""
        ...

    def cancel(self) -> None:
        """End what is being looked into. A start and a download are not ended."""
        ...


@dataclass
class ProcessDesk:
    """Asks worker processes (tasks.py); only the GPU driver is asked directly. command: what starts one."""

    command: Sequence[str] = tuple(python_module("engine.wizard.tasks"))
    _looking: set[subprocess.Popen[str]] = field(default_factory=set)
    _fetching: set[subprocess.Popen[str]] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def find(self, request: Request, progress: Progress) -> Any:
        """Hardware here, everything else in a process of its own."""
        if request.what == "hardware":
            from engine.hardware import host, probe

            return Machine(probe(), host(), importlib.util.find_spec("bitsandbytes") is not None)
        asked = {"do": request.what, "subject": request.subject, "options": list(request.options)}
        return self._ask(asked, request.subject, progress, self._looking)

    def start(self, wizard: Wizard, progress: Progress) -> Started:
        """The process that starts the run goes on where the wizard ends meanwhile."""
        force = wizard.replaces()  # as it was answered: begin() turns its default
        answers: ProjectAnswers = wizard.begin()
        asked = {
            "do": "start",
            "answers": msgspec.to_builtins(answers, enc_hook=str),
            "preset": wizard.preset().name,
            "force": force,
            "gpu": pinned(wizard),
            "anyway": bool(wizard.answers.get("anyway")),
            "given": wizard.answers,
        }
        return self._start(asked, str(answers.folder), progress)

    def resume(self, run: RunFolder, retry: Retry, progress: Progress) -> Started:
        """In a process of its own as well."""
        asked = {"do": "resume", "run": str(run.path), "retry": msgspec.to_builtins(retry)}
        return self._start(asked, run.id, progress)

    def merge(self, merging: Merging, progress: Progress) -> Started:
        """In a process of its own as well."""
        asked = {"do": "merge", "file": str(merging.file), "cwd": str(merging.cwd), "overrides": [*merging.overrides]}
        return self._start(asked, str(merging.file), progress)

    def _start(self, asked: dict[str, Any], what: str, progress: Progress) -> Started:
        found = self._ask(asked, what, progress, set())
        run = RunFolder(Path(found["run"])) if found["run"] else None
        notes = tuple(Problem.from_dict(raw) for raw in found["notes"])
        return Started(run, Path(found["config"]), found["outputs"], notes)

    def download(self, name: str, progress: Progress) -> None:
        """In a process of its own, which ends with us; after one that is being stopped has tidied up."""
        with self._lock:
            before = [*self._fetching]
        for process in before:
            process.wait()
        self._ask({"do": "download", "subject": name, "options": []}, name, progress, self._fetching)

    def cancel(self) -> None:
        """End every process that only looks."""
        self._end(self._looking)

    def stop_download(self) -> None:
        """With what it has started, such as pip; it has a moment to tidy up."""
        self._end(self._fetching, signal.SIGTERM)
        late = threading.Timer(GRACE, self._end, [set(self._fetching)])
        late.daemon = True
        late.start()

    def _end(self, processes: set[subprocess.Popen[str]], how: int = signal.SIGKILL) -> None:
        with self._lock:
            for process in processes:
                if process.poll() is None:  # each leads a session of its own
                    os.killpg(process.pid, how)

    def _process(self) -> subprocess.Popen[str]:
        with (state_folder() / LOG).open("a") as errors:
            return subprocess.Popen(
                [*self.command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                encoding="utf-8",
                start_new_session=True,
                env={**worker_environment(), "HF_HUB_OFFLINE": os.environ.get("HF_HUB_OFFLINE", "0")},
            )

    def _ask(self, asked: dict[str, Any], what: str, progress: Progress, among: set[subprocess.Popen[str]]) -> Any:
        try:
            process = self._process()
        except OSError as error:
            raise RunError(Problem("helper_died", {"what": what, "how": error.strerror or str(error)})) from error
        assert process.stdin is not None and process.stdout is not None
        with self._lock:
            among.add(process)
        try:
            with contextlib.suppress(BrokenPipeError):  # it is gone already; what it said is read next
                process.stdin.write(json.dumps(asked) + "\n")
                process.stdin.close()
            for line in process.stdout:
                message = json.loads(line)
                if "progress" in message:
                    phrase, done, total = message["progress"]
                    progress(msgspec.convert(phrase, Phrase), done, total)
                elif "problems" in message:
                    raise ProblemError(*(Problem.from_dict(raw) for raw in message["problems"]))
                else:
                    return message["result"]
            raise RunError(Problem("helper_died", {"what": what, "how": f"exit code {process.wait()}"}))
        finally:
            process.stdout.close()
            with self._lock:
                among.discard(process)
            threading.Thread(target=process.wait, daemon=True).start()


def settle(wizard: Wizard, step: str, desk: Finder, progress: Progress) -> None:
    """Find out everything that the step needs as it is answered now, one thing after another."""
    while wanted := wizard.needs(step):
        for request in wanted:
            try:
                wizard.learn(request, desk.find(request, progress))
            except ProblemError as error:
                wizard.refuse(request, error.problems)
