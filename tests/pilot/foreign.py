"""Text that is out to do harm, put wherever text comes from outside: facts of the desk, and what a run tells."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

from engine.errors import Problem, ProblemError
from engine.runs.folder import RunFolder
from engine.wizard.desk import Progress
from engine.wizard.questions import Request
from engine.wizard.session import Machine
from tests.pilot.fakes import FakeDesk

HOSTILE = {
    "closing markup": "[/x]",
    "open markup": "[b",
    "markup action": "[@click=app.exit]x[/]",
    "clipboard": "\x1b]52;c;aGk=\x07",
    "title": "\x1b]0;t\x07",
    "colours": "\x1b[31mred\x1b[0m \x9b1m",
    "one byte commands": "\x84\x85\x88\x8d\x90\x9d52;c;aGk=\x9c\x00\x08\x0e\x7f",
    "10 kB line": "x" * 10_240,
    "right to left": "\u202eabc\u2066 שלום \u200f",
    "family": "👨‍👩‍👧‍👦 字 🏳️‍🌈 e\u0301\u0301\u0301",
    "lines": "a\r\nb\n\n\tc\u2028d",
    "half a character": "\ud83d \udc69",
}
ALL = "".join(HOSTILE.values())
SHORT = "字x\x1b" * 200 + ALL.replace("x" * 10_240, "x" * 1_024)
LONG = "字x\x1b" * 20_000 + ALL  # over 100 kB
CONTROLS = frozenset(map(chr, (*range(0x20), *range(0x7F, 0xA0), *range(0x2028, 0x202F), *range(0x2066, 0x206A))))

# Keys of facts, and fields of events, whose text was written by somebody else.
FOREIGN = frozenset(
    (
        *("name", "title", "label", "folder", "columns", "mapping", "preview", "examples", "reason", "text", "says"),
        *("licence", "turns", "model_type", "values"),
        *("question", "base", "tuned", "answer", "sample", "path", "file", "unit", "params", "outputs", "lines"),
    )
)


def spoiled(value: Any, text: str, only: Collection[str] | None = FOREIGN) -> Any:
    """`value` with `text` in every string under one of the keys in `only`; None: in every string, keys apart."""
    if isinstance(value, str):
        return value + text if only is None else value
    if isinstance(value, dict):
        return {
            key: spoiled(found, text, None if only is None or key in only else only) for key, found in value.items()
        }
    if isinstance(value, list | tuple):
        return type(value)(spoiled(found, text, only) for found in value)
    if isinstance(value, Problem):
        return replace(value, params=spoiled(value.params, text, None), file=value.file and value.file + text)
    return value


def spoiled_name(file: str, text: str) -> str:
    """The name of a file that can exist, with as much of `text` as a folder takes."""
    allowed = text.replace("/", "|").replace("\x00", "").encode("utf-8", "ignore")[:120].decode("utf-8", "ignore")
    return allowed + file


def spoiled_machine(machine: Machine, text: str) -> Machine:
    """A driver, a card and its users of these names."""
    gpus = tuple(replace(gpu, name=gpu.name + text, uuid=gpu.uuid + text) for gpu in machine.hardware.gpus)
    hardware = replace(machine.hardware, gpus=gpus, driver=text if gpus else machine.hardware.driver)
    return replace(machine, hardware=hardware, host=replace(machine.host, cpu=text))


def spoil_run(run: RunFolder, text: str) -> None:
    """What its worker told and printed, as a model, a data set or a library could have had it written."""
    told = [json.loads(line) for line in run.events_file.read_text().splitlines()]
    run.events_file.write_text("".join(json.dumps(spoiled(event, text)) + "\n" for event in told))
    with run.log_file.open("ab") as log:
        log.write(b"\xff\xfe\x1b[2J" + text.encode("utf-8", "surrogatepass") + b"\n")


@dataclass
class SpoiledDesk(FakeDesk):
    """Says what the other one says, with `foreign` in it."""

    foreign: str = ""

    def find(self, request: Request, progress: Progress) -> Any:
        """The spoiled fact."""
        try:
            found = super().find(request, progress)
        except ProblemError as error:
            raise ProblemError(*(spoiled(problem, self.foreign) for problem in error.problems)) from None
        if isinstance(found, Machine):
            return spoiled_machine(found, self.foreign)
        return spoiled(found, self.foreign)
