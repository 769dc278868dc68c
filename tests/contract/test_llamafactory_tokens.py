"""Token ids and labels are LLaMA-Factory's own: recorded by tests/golden/record_llamafactory.py with version 0.9.5."""

from __future__ import annotations

import json
from itertools import cycle
from pathlib import Path

import pytest

from engine.data.conversation import Conversation, Origin, Sample, Turn
from engine.data.encode import Encoder, fit, render_prompt
from engine.data.options import EncodeOptions
from engine.data.templates import load_template, prepare_tokenizer, stop_token_ids

GOLDEN = Path(__file__).parents[1] / "golden" / "llamafactory"


def golden(name):
    return json.loads((GOLDEN / name).read_text(encoding="utf-8"))


TOKENS = golden("tokens.json")


def conversations(dataset):
    rows = golden(f"data/{dataset}.json")
    if dataset == "alpaca":
        for row in rows:
            question = "\n".join(text for text in (row["instruction"], row["input"]) if text)
            pairs = [*row["history"], (question, row["output"])]
            turns = [turn for ask, answer in pairs for turn in (Turn("user", ask), Turn("assistant", answer))]
            yield Conversation(tuple(turns), row["system"])
    else:
        roles = {"human": "user", "gpt": "assistant"}
        for row in rows:
            messages = [(message["from"], message["value"]) for message in row["conversations"]]
            system = messages.pop(0)[1] if messages[0][0] == "system" else ""
            yield Conversation(tuple(Turn(roles[role], text) for role, text in messages), system)


def samples(dataset):
    return [Sample(talk, Origin(dataset, 0, number)) for number, talk in enumerate(conversations(dataset))]


def unfold(ids, runs):
    """Labels from the lengths of alternating runs, masked ones first."""
    labels = []
    for length, masked in zip(runs, cycle((True, False)), strict=False):
        labels += [-100] * length if masked else ids[len(labels) : len(labels) + length]
    return labels


@pytest.fixture(scope="module")
def tokenizer_for(builtin_model):
    from transformers import AutoTokenizer

    def make(template):
        tokenizer = AutoTokenizer.from_pretrained(builtin_model)
        if template == "llama3":
            tokenizer.add_special_tokens({"extra_special_tokens": TOKENS["llama3_tokens"]})
            tokenizer.bos_token = TOKENS["llama3_tokens"][0]
        prepare_tokenizer(tokenizer, load_template(template))
        return tokenizer

    return make


def label(case):
    return "-".join(str(value) for name, value in case.items() if name != "rows")


@pytest.mark.model
@pytest.mark.parametrize("case", TOKENS["cases"], ids=label)
def test_ids_and_labels(case, tokenizer_for):
    flags = {name: case[name] for name in ("mask_history", "train_on_prompt") if name in case}
    encoder = Encoder(
        tokenizer_for(case["template"]), load_template(case["template"]), EncodeOptions(case["cutoff_len"], **flags)
    )
    encoded = encoder.encode_all(samples(case["dataset"]))

    assert len(encoded) == len(case["rows"])
    for number, (ids, runs) in enumerate(case["rows"]):
        ours, labels = encoded.row(number)
        assert ours.tolist() == ids
        assert labels.tolist() == unfold(ids, runs)


@pytest.mark.model
@pytest.mark.parametrize("case", golden("prompts.json"), ids=lambda case: case["template"])
def test_prompts_and_special_tokens(case, tokenizer_for):
    tokenizer, template = tokenizer_for(case["template"]), load_template(case["template"])
    talks = [Conversation(talk.turns[:-1], talk.system) for talk in conversations("sharegpt")]

    assert [render_prompt(tokenizer, template, talk) for talk in talks] == case["prompts"]
    assert stop_token_ids(tokenizer, template) == case["stops"]
    assert (tokenizer.eos_token_id, tokenizer.pad_token_id) == (case["eos"], case["pad"])


def test_lengths_after_truncation():
    for source, target, room, *kept in golden("lengths.json"):
        assert list(fit(source, target, room)) == kept, (source, target, room)
