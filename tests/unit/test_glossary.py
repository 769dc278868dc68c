"""What is told of words, keys and troubles: complete, true of this tool, and found by anything a person may type."""

from __future__ import annotations

import json
import re

import pytest

from engine.advice import ADVICE
from engine.config.listing import rows
from engine.config.schema import TrainConfig, fields, meta
from engine.config.teaching import GROUPS, TAUGHT
from engine.errors import Problem
from engine.failures import pages
from engine.glossary import TERMS, matching, terms_of
from engine.wizard.steps import STEPS
from engine.wizard.table import table
from tui.cli import app
from tui.explaining import explain
from tui.helptext import found_text

SETTINGS = [
    name
    for name in fields(TrainConfig)
    if f"train.{name}" in table() and not (meta(TrainConfig, name).extra or {}).get("expert")
]
KEYS = {row.key for row in rows()}
WORDS = [
    "LoRA",
    "adapter",
    "rank",
    "alpha",
    "target",
    "epoch",
    "step",
    "batch",
    "gradient accumulation",
    "packing",
    "cutoff",
    "learning rate",
    "scheduler",
    "warmup",
    "weight decay",
    "loss",
    "evaluation",
    "validation split",
    "overfitting",
    "checkpoint",
    "preset",
    "token",
    "seed",
    "gradient checkpointing",
    "quantisation",
    "QLoRA",
    "bf16",
    "fp16",
    "template",
    "chat template",
    "masking",
    "end mark",
    "merge",
    "GGUF",
    "VRAM",
    "dropout",
    "DoRA",
    "rsLoRA",
    "NEFTune",
    "neat packing",
    "flash attention",
    "TensorBoard",
    "perplexity",
    "eval",
    "accumulation",
]
TROUBLES = [
    "training is slow",
    "poor",
    "repeats itself",
    "forgot what it knew",
    "loss does not fall",
    "out of memory",
    "which preset",
    "rows",
    "epochs",
]


@pytest.mark.parametrize("name", SETTINGS)
def test_every_setting_is_taught(name: str) -> None:
    """A few words for it, when to change it, and a group."""
    taught = TAUGHT[name]
    assert taught.gloss.say() and not taught.gloss.say().endswith(".") and len(taught.gloss.say()) <= 50
    assert taught.when.say().endswith(".")
    assert table()[f"train.{name}"].group == GROUPS[taught.group]


def test_nothing_is_taught_that_is_not_asked() -> None:
    """A key that is renamed leaves nothing behind."""
    assert TAUGHT.keys() == set(SETTINGS)


@pytest.mark.parametrize("word", WORDS)
def test_every_word_of_the_trade_is_explained(word: str) -> None:
    """In a sentence or two that fit on a few lines."""
    terms, _advice = matching(word)
    assert terms
    assert all(len(term.meaning.say()) < 200 and term.meaning.say().endswith(".") for term in terms)


@pytest.mark.parametrize("trouble", TROUBLES)
def test_every_trouble_has_ways_out(trouble: str) -> None:
    """At least two, found by the words of whoever has it."""
    _terms, advice = matching(trouble)
    assert advice and all(len(one.ways) >= 2 for one in advice)


def test_what_is_advised_is_there() -> None:
    """Keys and commands that are named exist."""
    commands = {command.name or command.callback.__name__ for command in app.registered_commands if command.callback}
    commands |= {group.name for group in app.registered_groups if group.name} | {"data", "runs"}
    texts = [way.say() for one in ADVICE for way in one.ways] + [term.meaning.say() for term in TERMS]
    for text in texts:
        for name in re.findall(r"\b[a-z]+(?:_[a-z0-9]+)+\b", text):
            assert name in KEYS or name in ("paged_adamw_8bit",), (name, text)
        for command in re.findall(r"sft-wizard ([a-z]+)", text):
            assert command in commands, (command, text)


def test_topics_are_questions_or_steps() -> None:
    """`?` finds the words by them."""
    known = set(table()) | {step.id for step in STEPS}
    assert {topic for term in TERMS for topic in term.topics} <= known
    for step in ("model", "data", "preset", "training", "merge", "finish"):
        assert terms_of(step), step


def test_a_name_finds_its_own_and_nothing_else() -> None:
    """`rank` is not everything in which rank is mentioned; capitals and underscores make no difference."""
    assert [term.name.say() for term in matching("RANK")[0]] == ["rank"]
    assert [term.name.say() for term in matching("gradient_accumulation")[0]] == ["gradient accumulation"]
    assert matching("gibberish") == ((), ())
    assert matching("  ") == (TERMS, ADVICE)


def test_words_are_found_in_another_language() -> None:
    """By the words that the person reads."""
    said = {"rank": "秩", "Training is slow": "训练很慢"}
    translate = lambda text: said.get(text, text)  # noqa: E731
    assert [term.name.say() for term in matching("秩", translate)[0]] == ["rank"]
    assert [one.trouble.say() for one in matching("训练", translate)[1]] == ["Training is slow"]


def test_a_key_is_told_with_its_range() -> None:
    """Also one that the wizard never asks for, and one that is refused."""
    told = found_text("lora_rank")
    assert "how much the adapter can hold" in told and "a whole number from 1 to 4096" in told and "rank:" in told
    assert "noise" in found_text("neftune_noise_alpha").lower()
    assert found_text("use_galore")
    assert found_text("gibberish") == ""


def test_the_page_of_a_failure_is_told_by_its_name_and_by_its_code(capsys: pytest.CaptureFixture[str]) -> None:
    """As the message of a failure names it; what tries to be a name brings the nearest."""
    for words in (["out-of-memory"], ["out", "of", "memory"], ["oom"]):
        assert explain(words, as_json=False) == 0
        assert capsys.readouterr().out.startswith("── Out of memory\n\nWhat you see:\n")
    assert explain(["gated-modl"], as_json=False) == 2
    assert "gated-model" in capsys.readouterr().err
    assert explain(["disk-full"], as_json=True) == 0
    assert list(json.loads(capsys.readouterr().out)["failures"]) == ["disk-full"]
    assert explain([], as_json=False) == 0
    told = capsys.readouterr().out
    assert all(f"\n{page.name} " in told for page in pages())


def test_a_command_that_is_refused_names_the_page(capsys: pytest.CaptureFixture[str]) -> None:
    """Of the first problem that has one; most mistakes in a file need none."""
    from tui.failurepage import more_line

    assert more_line([Problem("value_wrong"), Problem("model_gated")]).endswith(" explain gated-model")
    assert more_line([Problem("value_wrong")]) == ""
