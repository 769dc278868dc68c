"""The one table of questions. A question that is added here is asked on the screen, at plain prompts, and reviewed."""

from __future__ import annotations

import os
from functools import cache
from typing import TYPE_CHECKING, Any, get_args

from engine.builtin_model import ALIAS, is_builtin
from engine.config.checking import check_value
from engine.config.schema import TrainConfig, fields, hints, meta
from engine.data.readers import SUFFIXES
from engine.data.shapes import TARGETS
from engine.errors import Problem
from engine.hardware import GIB
from engine.memory.places import device_of
from engine.memory.presets import Preset, presets
from engine.memory.recommended import RecommendedModel, known_model, recommended_models
from engine.project import sample, samples, train_values
from engine.text import Phrase, verbatim
from engine.wizard.questions import NOTHING, Choice, Default, Kind, Question

if TYPE_CHECKING:
    from engine.wizard.session import Wizard

FOLDER, HUB, FILE = "folder", "hub", "file"  # answers that lead to a question of their own
SAMPLE, REGISTERED, FOUND = "sample:", "registered:", "found:"
MOST_MODELS = 6  # recommended ones: with the built-in one, a folder and a name they are nine, one for each digit

# Decided by other steps, by the project's layout, or never by a wizard.
_NOT_ASKED = {
    "model_name_or_path",
    "adapter_name_or_path",
    "trust_remote_code",
    "stage",
    "do_train",
    "finetuning_type",
    "dataset_dir",
    "dataset",
    "output_dir",
    "logging_dir",
    "overwrite_output_dir",
    "overwrite_cache",
    "resume_from_checkpoint",
    "report_to",
    "run_name",
}


@cache
def table() -> dict[str, Question]:
    """{id: question} in the order they are asked."""
    questions = [*_model(), *_data(), *_preset(), *_settings(), *_review()]
    return {question.id: question for question in questions}


def _model() -> list[Question]:
    return [
        Question(
            "model",
            "model",
            "choice",
            Phrase("Model"),
            Phrase("The small built-in model shows how it works, on any machine. Your own is a folder or a hub name."),
            _first_model,
            _models,
        ),
        Question(
            "model_folder",
            "model",
            "path",
            Phrase("Folder of the model"),
            Phrase("It holds config.json, *.safetensors and the tokenizer's files."),
            lambda wizard: Default(""),
            applies=lambda wizard: bool(wizard.value("model") == FOLDER),
            check=_is_given,
        ),
        Question(
            "model_hub",
            "model",
            "text",
            Phrase("Name on the hub"),
            Phrase("owner/name, such as Qwen/Qwen3-0.6B. It is downloaded once, when the run starts."),
            lambda wizard: Default(""),
            applies=lambda wizard: bool(wizard.value("model") == HUB),
            check=_is_given,
        ),
    ]


def _models(wizard: Wizard) -> tuple[Choice, ...]:
    """For this card first, then the built-in one, those of this machine, and what is typed."""
    recommended, local = _offered(wizard), {model["name"]: model for model in wizard.found("models") or []}
    listed = [one for one in recommended if not is_builtin(one.name)]
    answer = known_model(str(wizard.answers.get("model", "")))
    if answer and not is_builtin(answer.name) and answer not in listed:
        listed.append(answer)  # the machine or the language is another than when it was given
    first = wizard.default("model").value
    choices = [
        Choice(one.name, verbatim(one.name), _note(one, one.name in local), recommended=one.name == first)
        for one in listed
    ]
    size = Phrase("on this machine") if ALIAS in local else Phrase("a download of 0.1–0.3 GB")
    note = Phrase("135M parameters, {where}", {"where": size})
    builtin = Choice(ALIAS, verbatim(f"SmolLM2-135M-Instruct ({ALIAS})"), note, recommended=first == ALIAS)
    choices.insert(0 if first == ALIAS else len(choices), builtin)
    choices += [
        Choice(name, verbatim(name), Phrase("{size} parameters, on this machine", {"size": model["size"]}))
        for name, model in local.items()
        if name != ALIAS and all(name != one.name for one in listed)
    ]
    return (
        *choices,
        Choice(FOLDER, Phrase("A folder …"), Phrase("a model that lies on this machine")),
        Choice(HUB, Phrase("A name on the hub …"), Phrase("such as Qwen/Qwen3-0.6B")),
    )


def _offered(wizard: Wizard) -> list[RecommendedModel]:
    """The best few models for the machine; none while that is not known."""
    machine = wizard.found("hardware")
    if machine is None:
        return []
    device = device_of(None, machine.hardware, machine.host)[0]
    return recommended_models(device.free, wizard.language, device.kind)[:MOST_MODELS]


def _first_model(wizard: Wizard) -> Default:
    offered = _offered(wizard)
    if not offered or is_builtin(offered[0].name):
        return Default(ALIAS, Phrase("runs everywhere and needs no account"))
    free = f"{wizard.found('hardware').hardware.best().free / GIB:.0f}"
    return Default(offered[0].name, Phrase("trains well in the {free} GB that are free here", {"free": free}))


def _note(model: RecommendedModel, here: bool) -> Phrase:
    told = {"size": model.size, "licence": model.licence, "bytes": f"{model.bytes / 1e9:.1f}"}
    if here:
        return Phrase("{size}, {licence}, on this machine", told)
    if model.gated:
        return Phrase("{size}, {licence}, hub login, {bytes} GB download", told)
    return Phrase("{size}, {licence}, {bytes} GB download", told)


def _data() -> list[Question]:
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
        Choice(SAMPLE + name, Phrase(sample(name).title), Phrase("sample"), recommended=place == 0)
        for place, name in enumerate(samples())
    ]
    registered = [
        Choice(
            f"{REGISTERED}{entry['folder']}:{entry['name']}",
            verbatim(entry["name"]),
            Phrase("registered in {file}", {"file": f"{entry['folder']}/dataset_info.json"}),
        )
        for entry in found["registered"]
    ]
    files = [Choice(FOUND + path, verbatim(path), Phrase("file")) for path in found["files"]]
    return (*shipped, *registered, *files, Choice(FILE, Phrase("Your own file …"), Phrase("type its path")))


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


def _preset() -> list[Question]:
    return [
        Question(
            "preset",
            "preset",
            "choice",
            Phrase("Memory preset"),
            Phrase("The memory that is free decides. Less than recommended always works, and takes longer."),
            lambda wizard: wizard.recommended(),
            _presets,
        )
    ]


def _presets(wizard: Wizard) -> tuple[Choice, ...]:
    """The recommended one first; the others as they are listed, without a GPU's use for that of the processor."""
    first, machine = wizard.recommended().value, wizard.found("hardware")
    gpu = machine is not None and machine.hardware.best() is not None

    def place(preset: Preset) -> tuple[bool, bool, bool]:
        return preset.name != first, not preset.automatic, gpu and not preset.on_gpu

    def note(preset: Preset) -> Phrase:
        names = {
            "batch": "per_device_train_batch_size",
            "times": "gradient_accumulation_steps",
            "length": "cutoff_len",
            "rank": "lora_rank",
        }
        told = {word: preset.setting(name) for word, name in names.items()}
        return Phrase("batch {batch} × {times}, {length} tokens, rank {rank}", told)

    return tuple(
        Choice(preset.name, preset.heading, note(preset), recommended=preset.name == first)
        for preset in sorted(presets(), key=place)
    )


def _settings() -> list[Question]:
    return [
        Question(
            "project",
            "settings",
            "path",
            Phrase("Folder of the project"),
            Phrase("Configs, data, logs, adapter and merged model go there."),
            lambda wizard: Default(wizard.fresh_folder()),
            check=_is_project,
        ),
        *(_training(name) for name in sorted(_asked(), key=lambda name: not _basic(name))),
        Question(
            "merge",
            "settings",
            "switch",
            Phrase("Merge after training"),
            Phrase("Makes one model of adapter and base, which any tool can serve."),
            lambda wizard: Default(True),
        ),
    ]


def _asked() -> list[str]:
    return [name for name in fields(TrainConfig) if name not in _NOT_ASKED and not _is("expert", name)]


def _basic(name: str) -> bool:
    return _is("basic", name)


def _is(mark: str, name: str) -> bool:
    return bool((meta(TrainConfig, name).extra or {}).get(mark))


def _training(name: str) -> Question:
    """A key of the train config as a question."""
    about = meta(TrainConfig, name)
    literals = _literals(hints(TrainConfig)[name])
    optional = fields(TrainConfig)[name].default is None

    def choices(wizard: Wizard) -> tuple[Choice, ...]:
        none = (Choice(None, Phrase("(none)")),) if literals and optional else ()
        return (*none, *(Choice(value, verbatim(value)) for value in literals))

    return Question(
        f"train.{name}",
        "settings",
        "choice" if literals else _kind(name),
        verbatim(name),
        Phrase(about.description or ""),
        lambda wizard: _setting(wizard, name),
        choices,
        advanced=lambda wizard: not _basic(name),
        check=lambda wizard, value: check_value(TrainConfig, name, value),
        optional=optional,
        usual=Phrase((about.extra or {}).get("usual", "")),
    )


def _kind(name: str) -> Kind:
    types = str(hints(TrainConfig)[name]).split("msgspec")[0]
    for word, kind in (("str", "text"), ("bool", "switch"), ("float", "number"), ("int", "integer")):
        if word in types:
            return kind  # type: ignore[return-value]
    return "text"


def _literals(annotated: Any) -> tuple[Any, ...]:
    found = [annotated]
    while found:
        part = found.pop()
        if "Literal[" in str(part) and not str(part).startswith("typing.Literal"):
            found += get_args(part)
        elif str(part).startswith("typing.Literal"):
            return get_args(part)
    return ()


def _setting(wizard: Wizard, name: str) -> Default:
    answers, preset = wizard.project(without=name, replace=False), wizard.preset()  # asked often, and no file matters
    values = train_values(answers, preset)
    if name in preset.settings and values.get(name) == preset.settings[name]:
        return Default(values[name], Phrase("from the preset {title}", {"title": preset.heading}))
    if answers.sample and name in sample(answers.sample).settings:
        return Default(values[name], Phrase("suits the sample"))
    default = fields(TrainConfig)[name].default
    return Default(values.get(name, default))


def _review() -> list[Question]:
    return [
        Question(
            "replace",
            "review",
            "switch",
            Phrase("Replace files that differ"),
            Phrase("The old ones are kept beside them, with the time in their name."),
            lambda wizard: Default(
                wizard.started, Phrase("these are from your last start") if wizard.started else NOTHING
            ),
            applies=lambda wizard: wizard.in_the_way(),
        )
    ]


def _is_given(wizard: Wizard, value: Any) -> list[Problem]:
    return [] if str(value or "").strip() else [Problem("answer_empty")]


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


def _is_project(wizard: Wizard, value: Any) -> list[Problem]:
    if not str(value or "").strip():
        return [Problem("answer_empty")]
    path = wizard.path(value)
    try:
        there = next(part for part in (path, *path.parents) if part.exists())
    except OSError as error:
        return [Problem("file_unreadable", {"path": str(path), "reason": error.strerror})]
    if not there.is_dir():
        return [Problem("output_is_file", {"folder": str(path), "file": str(there)})]
    if not os.access(there, os.W_OK | os.X_OK):
        return [Problem("not_writable", {"folder": str(path), "at": str(there)})]
    return []
