"""The table of questions: every one can be understood, has a default that holds, and says why."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest

from engine.config.fates import key_table
from engine.config.schema import TrainConfig, fields
from engine.data.shapes import TARGETS
from engine.memory.presets import presets
from engine.text import Phrase
from engine.wizard.facts import about
from engine.wizard.questions import Question
from engine.wizard.session import Wizard
from engine.wizard.steps import following, preceding, step, steps
from engine.wizard.table import table
from tests.unit.wizards import begun, look, machine

GUIDE = {  # LLaMA-Factory's guide by memory: batch, accumulation, cutoff, rank
    "8gb": (1, 8, 1024, 8),
    "16gb": (2, 4, 2048, 16),
    "24gb": (4, 2, 4096, 32),
}
HOSTILE = "{oops} \x1b[31m [red] \u202e %s"


@pytest.fixture(autouse=True)
def home(private_home: Path) -> None:
    """No model of the person who runs the tests is found."""


def asked(cwd: Path, question: Question) -> Wizard:
    """A wizard in which the question applies."""
    (cwd / "rows.csv").write_text("a,b\n1,2\n")
    if question.id.startswith("map_") or question.id in ("instruction", "system", "max_rows", "data_format"):
        return begun(cwd, data="file", data_file="rows.csv")
    if question.id == "sets":
        (cwd / "dataset_info.json").write_text('{"a": {"file_name": "rows.csv"}, "b": {"file_name": "rows.csv"}}')
        return begun(cwd, data="several")
    ways = {"model_folder": {"model": "folder"}, "model_hub": {"model": "hub"}, "data_file": {"data": "file"}}
    wizard = begun(cwd, *((10.0, 70.0) if question.id == "gpu" else ()), **ways.get(question.id, {}))
    if not question.applies(wizard):  # a key for experts: only where a project that was opened has it
        wizard.answers[question.id] = question.default(wizard).value
    return wizard


@pytest.mark.parametrize("question", table().values(), ids=lambda question: question.id)
def test_every_question_can_be_answered_with_enter(tmp_path: Path, question: Question) -> None:
    """Enter, Enter, Enter must work: a default that is refused, or is not among the choices, would stop a beginner."""
    wizard = asked(tmp_path, question)
    if question.id == "map_messages":
        assert wizard.answer("map_prompt", None) == []
    if question.id not in ("replace", "anyway"):
        assert question.applies(wizard)
    default = question.default(wizard)
    assert question.label.say() and question.help.say()
    typed = question.id in ("model_folder", "model_hub", "data_file", "sets")  # nobody else can know these
    if not (question.optional and default.value is None):
        assert [problem.code for problem in question.check(wizard, default.value)] == ["answer_empty"] * typed
    choices = question.choices(wizard)
    if question.kind == "choice":
        assert default.value in [choice.value for choice in choices]
        assert len({choice.label.say() for choice in choices}) == len(choices)
    else:
        assert not choices
    assert wizard.shown(question.id).say()


@pytest.mark.parametrize("question", table().values(), ids=lambda question: question.id)
def test_the_default_can_be_typed_as_it_is_shown(tmp_path: Path, question: Question) -> None:
    """A person who types what stands in the brackets means it."""
    wizard = asked(tmp_path, question)
    value = question.default(wizard).value
    if value in (None, "") or (question.kind == "choice" and not question.id.startswith("train.")):
        return
    assert wizard.answer(question.id, wizard.shown(question.id).say()) == []
    assert wizard.value(question.id) == value
    assert not wizard.changed(question.id)


def test_the_first_choice_is_the_recommended_one(tmp_path: Path) -> None:
    """On the screen the first row is the one that Enter takes."""
    wizard = begun(tmp_path)
    for name in ("model", "data", "preset"):
        first = table()[name].choices(wizard)[0]
        assert first.recommended and first.value == wizard.default(name).value
        assert wizard.default(name).reason.say()


def test_every_key_is_asked_or_decided_elsewhere(tmp_path: Path) -> None:
    """A key that is added to the schema turns up under the advanced settings by itself, unless it is for experts."""
    asked = [question.id for question in begun(tmp_path).questions("settings", advanced=True)]
    keys = {name for name in fields(TrainConfig) if f"train.{name}" in asked}
    assert {"learning_rate", "lora_dropout", "optim", "val_size", "quantization_bit"} <= keys
    assert not keys & {"model_name_or_path", "dataset", "output_dir", "trust_remote_code", "overwrite_output_dir"}
    assert not keys & {"use_dora", "mask_history", "temperature", "rope_scaling"}, "for experts: 45 questions, not 110"


def test_no_question_asks_for_a_secret() -> None:
    """Answers are kept in the draft and in configs: a token must never be one."""
    secrets = set(key_table()["secrets"])
    assert secrets and not {question.removeprefix("train.") for question in table()} & secrets


@pytest.mark.parametrize(("name", "values"), GUIDE.items())
def test_the_presets_are_the_guides(name: str, values: tuple[int, ...]) -> None:
    """A person who follows LLaMA-Factory's guide for their card finds exactly its figures."""
    settings = next(preset for preset in presets() if preset.name == name).settings
    keys = ("per_device_train_batch_size", "gradient_accumulation_steps", "cutoff_len", "lora_rank")
    assert tuple(settings[key] for key in keys) == values
    assert settings["bf16"] is True


@pytest.mark.parametrize(
    ("free", "name", "reason"),
    [
        ((), "cpu", "no GPU can be used here"),
        ((6.0,), "cpu", "6 GB are free on Card 0: too little for the presets of GPUs"),
        ((7.5,), "8gb", "8 GB are free on Card 0"),
        ((15.0,), "16gb", "15 GB are free on Card 0"),
        ((23.0,), "24gb", "23 GB are free on Card 0"),
        ((8.0, 78.0), "80gb", "78 GB are free on Card 1"),
    ],
)
def test_the_preset_follows_from_what_is_free_and_says_so(
    tmp_path: Path, free: tuple[float, ...], name: str, reason: str
) -> None:
    """Out of memory in the first minute is what beginners meet elsewhere."""
    wizard = begun(tmp_path, *free, model="hub", model_hub="ada/unknown")
    assert wizard.value("preset") == name
    assert wizard.default("preset").reason.say() == reason
    shown = table()["preset"].choices(wizard)[0]
    assert shown.value == name and shown.recommended


def test_a_preset_brings_its_figures(tmp_path: Path) -> None:
    """What the preset says is what the settings say, and where it came from."""
    wizard = begun(tmp_path, data="file", preset="16gb")
    batch = wizard.default("train.per_device_train_batch_size")
    assert (batch.value, batch.reason.say()) == (2, "from the preset 16 GB")
    assert wizard.value("train.lora_rank") == 16
    assert wizard.value("train.lora_alpha") == 32
    assert [phrase.say() for phrase in about(wizard, "preset")] == [wizard.preset().why.say()]


def test_the_rank_moves_the_default_alpha(tmp_path: Path) -> None:
    """alpha is twice the rank by LLaMA-Factory's rule, unless a person says otherwise."""
    wizard = begun(tmp_path, train_lora_rank="64")
    assert wizard.value("train.lora_alpha") == 128
    assert wizard.answer("train.lora_alpha", "16") == []
    assert wizard.answer("train.lora_rank", "8") == []
    assert wizard.value("train.lora_alpha") == 16
    assert not wizard.changed("train.lora_rank")


def test_what_a_machine_calls_itself_cannot_reach_the_terminal(tmp_path: Path) -> None:
    """Names of cards, files and columns are foreign text: no escape sequence, no template of theirs may work."""
    wizard = Wizard(tmp_path)
    found = machine(10.0)
    gpu = found.hardware.gpus[0]
    wizard.learn(
        wizard.needs("hardware")[0],
        type(found)(
            type(found.hardware)((type(gpu)(0, "u", HOSTILE, gpu.total, gpu.free),), Phrase(""), HOSTILE), found.host
        ),
    )
    (tmp_path / "rows.csv").write_text(f'"{HOSTILE}",b\n"{HOSTILE}",2\n')
    look(wizard)
    assert wizard.answer("data", "file") == [] and wizard.answer("data_file", "rows.csv") == []
    look(wizard)
    shown = [phrase.say() for where in ("hardware", "data") for phrase in about(wizard, where)]
    shown += [part.say() for choice in table()["map_prompt"].choices(wizard) for part in (choice.label, choice.note)]
    text = "\n".join(shown)
    assert "{oops}" in text and "[red]" in text and "%s" in text
    assert "\x1b" not in text and "\u202e" not in text


def test_steps_lead_there_and_back(tmp_path: Path) -> None:
    """Back from the review goes to the settings, and from a run there is no way into the questions."""
    wizard = begun(tmp_path)
    names = [found.id for found in steps(wizard)]
    assert names == ["hardware", "model", "data", "preset", "settings", "review", "training", "merge", "chat", "finish"]
    for before, after in itertools.pairwise(names):
        assert following(wizard, before) is step(after)
    assert following(wizard, "finish") is None
    assert preceding(wizard, "hardware") is None
    assert preceding(wizard, "review") is step("settings")
    assert preceding(wizard, "merge") is None
    assert wizard.answer("merge", "no") == []
    assert "merge" not in [found.id for found in steps(wizard)]
    assert following(wizard, "training") is step("chat")


def test_titles_fit_the_rail() -> None:
    """The rail is 12 cells wide."""
    assert all(len(found.title.say()) <= 12 and found.intro.say() for found in steps(Wizard(Path("/"))))


@pytest.mark.parametrize(
    ("name", "typed", "value"),
    [
        ("train.learning_rate", "1e-4", 1e-4),
        ("train.learning_rate", " 0.001 ", 0.001),
        ("train.lora_rank", "16", 16),
        ("train.bf16", "yes", True),
        ("train.bf16", "NO", False),
        ("merge", "n", False),
        ("merge", "否", False),
        ("train.quantization_bit", "4", 4),
        ("train.lr_scheduler_type", "linear", "linear"),
        ("train.lora_target", "q_proj,v_proj", "q_proj,v_proj"),
        ("train.val_size", "0.1", 0.1),
        ("train.max_samples", "", None),
        ("train.disable_gradient_checkpointing", "yes", True),
        ("train.learning_rate", "", 5e-4),  # nothing typed: the default, here the sample's
    ],
)
def test_text_is_read_as_people_mean_it(tmp_path: Path, name: str, typed: str, value: Any) -> None:
    """YAML 1.1 reads 1e-4 as text; a wizard must not."""
    wizard = begun(tmp_path)
    assert wizard.answer(name, typed) == []
    assert wizard.value(name) == value and type(wizard.value(name)) is type(value)


@pytest.mark.parametrize(
    ("name", "typed", "code"),
    [
        ("train.learning_rate", "fast", "value_wrong"),
        ("train.learning_rate", "-1", "value_wrong"),
        ("train.learning_rate", "nan", "value_wrong"),
        ("train.lora_rank", "8.5", "value_wrong"),
        ("train.lora_rank", "[1, 2", "value_wrong"),
        ("train.lora_rank", "a: b: c", "value_wrong"),
        ("train.lora_rank", "\x00", "value_wrong"),
        ("train.lr_scheduler_type", "cosin", "answer_not_offered"),
        ("train.quantization_bit", "5", "answer_not_offered"),
        ("merge", "maybe", "answer_yes_or_no"),
        ("model", "elsewhere", "answer_not_offered"),
        ("model_hub", "  ", "answer_empty"),
        ("data_file", "nowhere.csv", "data_file_missing"),
        ("data_file", "x" * 300 + ".csv", "data_file_unreadable"),
        ("data_file", "\x00.csv", "data_file_missing"),
        ("data_file", "notes.txt", "data_file_suffix"),
        ("project", "notes.txt/below", "output_is_file"),
        ("project", "y" * 300, "file_unreadable"),
        ("max_rows", "0", "answer_too_small"),
        ("max_rows", "many", "answer_no_number"),
    ],
)
def test_what_cannot_be_is_refused_and_the_old_answer_stays(tmp_path: Path, name: str, typed: str, code: str) -> None:
    """A slip of the finger is told at once and costs nothing."""
    (tmp_path / "notes.txt").write_text("x")
    wizard = begun(tmp_path)
    before = wizard.value(name)
    assert [problem.code for problem in wizard.answer(name, typed)] == [code]
    assert wizard.value(name) == before and wizard.answers == {}


def test_the_columns_are_asked_for_only_where_they_say_nothing(tmp_path: Path) -> None:
    """Recognised columns go by; others are asked for, with an example of what is in them."""
    (tmp_path / "good.csv").write_text("instruction,output\na,b\n")
    (tmp_path / "odd.csv").write_text("x,y\nfirst,b\n")
    wizard = begun(tmp_path, data="file", data_file="good.csv")
    assert [question.id for question in wizard.questions("data")] == ["data", "data_file"]
    rare = [question.id for question in wizard.questions("data", advanced=True)]
    assert {f"map_{target}" for target in TARGETS if target != "messages"} <= set(rare)
    assert wizard.answer("data_file", "odd.csv") == []
    look(wizard)
    assert [question.id for question in wizard.questions("data")][2:] == [f"map_{target}" for target in TARGETS]
    assert [choice.note.say() for choice in table()["map_prompt"].choices(wizard)] == ["", "first", "b"]
    assert wizard.answer("map_prompt", "x") == []
    assert "map_messages" not in [question.id for question in wizard.questions("data")]
