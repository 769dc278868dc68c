"""Fakes for the wizard: a desk that looks in this process, a machine of any size, prompts that hold the answers."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from engine.builtin_model import ALIAS
from engine.errors import Problem, ProblemError
from engine.hardware import GIB, Gpu, Hardware, Host
from engine.project import ProjectAnswers, apply_project, plan_project
from engine.runs.folder import RunFolder
from engine.runs.results import Merging
from engine.runs.retry import Retry
from engine.text import Phrase
from engine.wizard.browsing import Wanted
from engine.wizard.desk import Progress, Started, settle
from engine.wizard.questions import Request
from engine.wizard.session import Machine, Wizard
from engine.wizard.tasks import LOOKING
from tests.unit.model_facts import model_facts

HOST = Host("A processor", 8, 32 * GIB, 30 * GIB)


def machine(*free: float, driver: str = "580.95.05") -> Machine:
    """Cards with so many GiB free each; without any, no GPU."""
    gpus = tuple(
        Gpu(index, f"GPU-{index}", f"Card {index}", int(gib * GIB) + GIB, int(gib * GIB))
        for index, gib in enumerate(free)
    )
    return Machine(Hardware(gpus, Phrase("" if gpus else "no GPU in this test"), driver if gpus else ""), HOST)


def quiet(what: Phrase, done: int, total: int) -> None:
    """Progress that nobody sees."""


class HereDesk:
    """Does what the processes would do, in this one. A start writes the project and starts no run."""

    def __init__(self, *free: float):
        self.machine = machine(*free)
        self.asked: list[Request] = []
        self.started: list[ProjectAnswers] = []

    def find(self, request: Request, progress: Progress) -> Any:
        self.asked.append(request)
        if request.what == "hardware":
            return self.machine
        if request.what == "checks":
            return []
        if request.what == "hub":  # no test asks it
            raise ProblemError(Problem("model_offline", {"name": request.subject}))
        if (request.what, request.subject) == ("model", ALIAS):  # as if it had been fetched
            return {**LOOKING["model"](ALIAS, {}, progress), "here": True}
        return LOOKING[request.what](request.subject, dict(request.options), progress)

    def start(self, wizard: Wizard, progress: Progress) -> Started:
        force = wizard.replaces()
        answers = wizard.begin()
        apply_project(answers, plan_project(answers, wizard.preset()), force=force)
        self.started.append(answers)
        return Started(None, answers.folder / "config.yaml", {"adapter": str(answers.folder / "saves")})

    def resume(self, run: RunFolder, retry: Retry, progress: Progress) -> Started:
        raise NotImplementedError

    def merge(self, merging: Merging, progress: Progress) -> Started:
        raise NotImplementedError

    def cancel(self) -> None:
        """Nothing goes on."""

    def download(self, name: str, progress: Progress) -> None:
        raise NotImplementedError

    def stop_download(self) -> None:
        """Nothing goes on."""


class HubDesk(HereDesk):
    """As if the hub were there and had every model."""

    def find(self, request: Request, progress: Progress) -> Any:
        far = request.what in ("model", "hub")
        return model_facts(request.subject) if far else super().find(request, progress)


def begun(cwd: Path, *free: float, desk: HereDesk | None = None, **answers: Any) -> Wizard:
    """A wizard that was answered so and has found out everything; `map_prompt` and others in this order."""
    wizard, desk = Wizard(cwd), desk or HereDesk(*free)
    look(wizard, desk)
    for name, given in answers.items():
        assert wizard.answer(name.replace("train_", "train.", 1), given) == [], name
        look(wizard, desk)
    return wizard


def look(wizard: Wizard, desk: HereDesk | None = None) -> None:
    """Find out everything."""
    for step in ("hardware", "model", "data", "review"):
        settle(wizard, step, desk or HereDesk(), quiet)


class Script:
    """Prompts: answers in their order, then the end of input. An exception among them is raised."""

    def __init__(self, lines: Sequence[str | type[BaseException] | Callable[[Script], str]]):
        self.lines = list(lines)
        self.said: list[str] = []

    def ask(self, question: str) -> str:
        self.said.append(question)
        if not self.lines:
            raise EOFError
        line = self.lines.pop(0)
        if isinstance(line, type):
            raise line
        return line if isinstance(line, str) else line(self)

    def ask_path(self, question: str, wanted: Wanted) -> str:
        return self.ask(question)

    def tell(self, text: str = "") -> None:
        self.said.append(text)

    @property
    def text(self) -> str:
        """Everything that was said and asked."""
        return "\n".join(self.said)


def pick(label: str) -> Callable[[Script], str]:
    """The number that stood last before this label."""

    def number(script: Script) -> str:
        found = re.findall(rf"^ +(\d+)\. {re.escape(label)}", script.text, re.MULTILINE)
        assert found, f"{label} is not in a list:\n{script.text}"
        return str(found[-1])

    return number
