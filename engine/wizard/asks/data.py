"""What it learns from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from engine.config.schema import names
from engine.data.readers import SUFFIXES
from engine.data.shapes import TARGETS
from engine.errors import Problem
from engine.samples import sample, samples
from engine.text import Phrase, verbatim
from engine.wizard.asks.checks import is_given
from engine.wizard.browsing import Wanted
from engine.wizard.questions import NOTHING, Choice, Default, Question

if TYPE_CHECKING:
    from engine.wizard.session import Wizard

FILE, SEVERAL = "file", "several"  # answers that lead to a question of their own
SAMPLE, REGISTERED, FOUND = "sample:", "registered:", "found:"


def questions() -> list[Question]:
    """In the order they are asked."""
    own = _own_data
    return [
        Question(
            "data",
            "data",
            "choice",
            Phrase("Data"),
            Phrase("A sample shows how it works. Your own file: csv, tsv, json, jsonl or parquet, one row a sample."),
            lambda wizard: Default(SAMPLE + samples()[0], Phrase("its effect is seen at once")),
            _datasets,
        ),
        Question(
            "data_file",
            "data",
            "path",
            Phrase("Your file"),
            Phrase("csv, tsv, json, jsonl or parquet. Columns such as instruction and output are recognised."),
            lambda wizard: Default(""),
            applies=lambda wizard: bool(wizard.value("data") == FILE),
            check=_is_data_file,
            wanted=Wanted(SUFFIXES),
        ),
        Question(
            "sets",
            "data",
            "text",
            Phrase("Names of the sets"),
            Phrase("Registered sets with commas between them, such as: faq, tickets. All their rows are used."),
            lambda wizard: Default(""),
            applies=lambda wizard: bool(wizard.value("data") == SEVERAL),
            check=_are_registered,
        ),
        *(
            Question(
                f"fill.{name}",
                "data",
                "text",
                label,
                text,
                lambda wizard, name=name: Default(_gaps(wizard).get(name)),  # type: ignore[misc]
                applies=lambda wizard, name=name: name in _gaps(wizard),  # type: ignore[misc]
                advanced=lambda wizard: True,
                check=is_given,
            )
            for name, label, text in _GAPS
        ),
        *(
            Question(
                f"map_{target}",
                "data",
                "choice",
                label,
                text,
                lambda wizard, target=target: _mapped(wizard, target),  # type: ignore[misc]
                _columns,
                applies=lambda wizard, target=target: _is_open(wizard, target),  # type: ignore[misc]
                advanced=_recognised,
                optional=True,
            )
            for target, label, text in _TARGETS
        ),
        Question(
            "instruction",
            "data",
            "text",
            Phrase("Instruction for every row"),
            Phrase("Put before each row's own text, such as: Summarise the text."),
            lambda wizard: Default(None),
            applies=own,
            advanced=lambda wizard: True,
            optional=True,
        ),
        Question(
            "system",
            "data",
            "text",
            Phrase("System prompt for every row"),
            Phrase("For rows that have none of their own."),
            lambda wizard: Default(None),
            applies=own,
            advanced=lambda wizard: True,
            optional=True,
        ),
        Question(
            "max_rows",
            "data",
            "integer",
            Phrase("Rows to take"),
            Phrase("Only the first so many; empty takes all."),
            lambda wizard: Default(None),
            applies=own,
            advanced=lambda wizard: True,
            check=_at_least_one,
            optional=True,
        ),
        Question(
            "data_format",
            "data",
            "choice",
            Phrase("Format in the project"),
            Phrase("alpaca holds a question and an answer a row, sharegpt whole conversations."),
            lambda wizard: Default("sharegpt" if wizard.value("map_messages") else "alpaca"),
            lambda wizard: (Choice("alpaca", verbatim("alpaca")), Choice("sharegpt", verbatim("sharegpt"))),
            applies=own,
            advanced=lambda wizard: True,
        ),
    ]


# What a person can put into a sample's rows.
_GAPS = (
    ("name", Phrase("Name of the assistant"), Phrase("What the model will call itself.")),
    ("author", Phrase("Made by"), Phrase("Who made it: a person or a team, as in a sentence.")),
)
_TARGETS = (
    ("prompt", Phrase("Column of the question"), Phrase("What a person asks or tells the model to do.")),
    ("query", Phrase("Column of further input"), Phrase("Text that goes with the question. Often there is none.")),
    ("response", Phrase("Column of the answer"), Phrase("What the model should say. Only this is learned.")),
    ("system", Phrase("Column of system prompts"), Phrase("Often there is none.")),
    ("history", Phrase("Column of earlier turns"), Phrase("A list of [question, answer] pairs. Often there is none.")),
    ("messages", Phrase("Column of conversations"), Phrase("A list of messages; then no other column is needed.")),
)
assert tuple(target for target, _, _ in _TARGETS) == TARGETS


def _datasets(wizard: Wizard) -> tuple[Choice, ...]:
    found = wizard.found("datasets") or {"registered": [], "files": []}
    shipped = [
        Choice(
            SAMPLE + name,
            Phrase(sample(name).title),
            Phrase("sample: {kind}", {"kind": Phrase(sample(name).reason)}),
            recommended=place == 0,
        )
        for place, name in enumerate(samples())
    ]
    registered = [
        Choice(
            f"{REGISTERED}{entry['folder']}:{entry['name']}",
            verbatim(entry["name"]),
            Phrase("registered in {file}", {"file": f"{entry['folder']}/dataset_info.json"}),
        )
        for entry in [*found["registered"], *_elsewhere(wizard, found["registered"])]
    ]
    files = [Choice(FOUND + path, verbatim(path), Phrase("a file of this folder")) for path in found["files"]]
    if len(registered) > 1:
        told = Phrase("type their names")
        registered.append(Choice(SEVERAL, Phrase("Several registered sets …"), told))
    first, *others = shipped  # a person's own data stands before the other samples
    return (first, *registered, *files, *others, Choice(FILE, Phrase("Your own file …"), Phrase("type its path")))


def _elsewhere(wizard: Wizard, known: list[dict[str, str]]) -> list[dict[str, str]]:
    """The set that is answered, where it is registered in another folder, as that of a project that was opened."""
    answer = str(wizard.answers.get("data", ""))
    folder, _, name = answer.removeprefix(REGISTERED).rpartition(":")
    entry = {"folder": folder, "name": name}
    return [entry] if answer.startswith(REGISTERED) and entry not in known else []


def chosen_data(wizard: Wizard) -> str:
    """The answer to the first question, several sets as one: registered:FOLDER:NAME,NAME."""
    chosen = str(wizard.value("data"))
    if chosen != SEVERAL:
        return chosen
    folder, known = _registered(wizard)
    given = names(str(wizard.value("sets") or ""))
    return f"{REGISTERED}{folder}:{','.join(given)}" if given and set(given) <= set(known) else chosen


def _registered(wizard: Wizard) -> tuple[str, list[str]]:
    """The first folder of a dataset_info.json, and the names in it: a run takes its sets from one folder."""
    found = (wizard.found("datasets") or {"registered": []})["registered"]
    folder = found[0]["folder"] if found else ""
    return folder, [entry["name"] for entry in found if entry["folder"] == folder]


def _are_registered(wizard: Wizard, value: Any) -> list[Problem]:
    given, known = names(str(value or "")), _registered(wizard)[1]
    if not given:
        return [Problem("answer_empty")]
    return [Problem("sets_unknown", {"name": name, "known": known}) for name in given if name not in known]


def fill(wizard: Wizard) -> dict[str, str]:
    """What a person put into the chosen sample's gaps."""
    return {name: str(wizard.answers[f"fill.{name}"]) for name in _gaps(wizard) if f"fill.{name}" in wizard.answers}


def _gaps(wizard: Wizard) -> Mapping[str, str]:
    """The gaps of the chosen sample, with what stands there otherwise."""
    chosen = str(wizard.value("data"))
    name = chosen.removeprefix(SAMPLE)
    return sample(name).fill if chosen.startswith(SAMPLE) and name in samples() else {}


def _own_data(wizard: Wizard) -> bool:
    return wizard.source() is not None


def _has_columns(wizard: Wizard) -> bool:
    return bool(_own_data(wizard) and wizard.columns())


def _is_open(wizard: Wizard, target: str) -> bool:
    """Whether a column can be chosen: conversations stand alone, so they are asked for where nothing else is."""
    given = [other for other, _, _ in _TARGETS if other != "system" and wizard.value(f"map_{other}")]
    return _has_columns(wizard) and (given == ["messages"] if target == "messages" and given else given != ["messages"])


def _recognised(wizard: Wizard) -> bool:
    """Columns that were recognised need no questions; they can be seen and changed under the advanced ones."""
    return wizard.recognised() is not None


def _columns(wizard: Wizard) -> tuple[Choice, ...]:
    examples = wizard.examples()
    columns = (Choice(name, verbatim(name), verbatim(examples.get(name, ""))) for name in wizard.columns())
    return (Choice(None, Phrase("(none)")), *columns)


def _mapped(wizard: Wizard, target: str) -> Default:
    found = wizard.recognised() or {}
    return Default(found.get(target), Phrase("recognised by its name") if target in found else NOTHING)


def _is_data_file(wizard: Wizard, value: Any) -> list[Problem]:
    if not str(value or "").strip():
        return [Problem("answer_empty")]
    path = wizard.path(value)
    try:
        there = path.is_file()
    except OSError as error:  # no right to look, or a name of more than 255 bytes
        return [Problem("data_file_unreadable", {"reason": error.strerror}, file=str(path))]
    if not there:
        return [Problem("data_file_missing", file=str(path))]
    if path.suffix.lower() not in SUFFIXES:
        return [
            Problem(
                "data_file_suffix", {"suffix": path.suffix or "no suffix", "suffixes": list(SUFFIXES)}, file=str(path)
            )
        ]
    return []


def _at_least_one(wizard: Wizard, value: Any) -> list[Problem]:
    return [] if value is None or value >= 1 else [Problem("answer_too_small", {"least": 1})]
