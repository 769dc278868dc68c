"""Every template gives LLaMA-Factory's tokens and labels: recorded by tests/golden/record_templates.py with 0.9.5."""

from __future__ import annotations

import hashlib
import json
from datetime import date
from pathlib import Path

import pytest

from engine.data import named_segments, token_ids
from engine.data.conversation import Conversation, Origin, Sample, Turn
from engine.data.encode import Encoder
from engine.data.options import EncodeOptions
from engine.data.templates import load_template, prepare_tokenizer, shipped, stop_token_ids

FOLDER = Path(__file__).parents[1] / "golden" / "llamafactory" / "templates"
EXPECTED = json.loads((FOLDER / "expected.json").read_text(encoding="utf-8"))
ROWS = json.loads((FOLDER / "rows.json").read_text(encoding="utf-8"))
TEMPLATES = EXPECTED["templates"]
NOT_OPTIONS = ("kind", "tokenizer", "rows", "default_system", "tool_format")


class Recorded(date):
    """The day of the recording: Llama 3 is told the date with its tools."""

    @classmethod
    def today(cls):
        return date.fromisoformat(EXPECTED["today"])


def tokenizer_for(name):
    from transformers import PreTrainedTokenizerFast

    file = FOLDER / f"{name}.json"
    return PreTrainedTokenizerFast(tokenizer_file=str(file), bos_token="<s>", eos_token="</s>")


def samples(template):
    marks = dict(zip(("⟦think⟧", "⟦/think⟧"), template.thought_words, strict=True))
    marks |= dict(zip(("⟦call⟧", "⟦/call⟧"), template.tool_call_words, strict=True))
    found = []
    for number, row in enumerate(ROWS):
        turns = []
        for role, content in row["turns"]:
            for mark, words in marks.items():
                content = content.replace(mark, words)
            turns.append(Turn(role, content))
        found.append(Sample(Conversation(tuple(turns), row["system"], row["tools"]), Origin("rows.json", 0, number)))
    return found


def digest(ids, labels):
    return hashlib.sha256(json.dumps([ids.tolist(), labels.tolist()]).encode()).hexdigest()[:6]


def remembering(encode):
    """The cases of a template have most of their texts in common."""
    known = {}

    def encode_once(tokenizer, texts, *, split_special=False):
        new = [text for text in texts if (id(tokenizer), text) not in known]
        ids = encode(tokenizer, new, split_special=split_special)
        known.update({(id(tokenizer), text): one for text, one in zip(new, ids, strict=True)})
        return [known[id(tokenizer), text] for text in texts]

    return encode_once


def ours(case, name, rows, tokenizers):
    """A hash of each of the rows, given by number, that are not left out."""
    template = load_template(name, default_system=case.get("default_system"), tool_format=case.get("tool_format"))
    kind = case.get("tokenizer", "bytes")
    if kind not in tokenizers:
        tokenizers[kind] = tokenizer_for(kind)
        prepare_tokenizer(tokenizers[kind], template, resize_vocab=True)
    options = {"cutoff_len": 4096} | {key: value for key, value in case.items() if key not in NOT_OPTIONS}
    encoder = Encoder(tokenizers[kind], template, EncodeOptions(**options))
    found = samples(template)
    encode = encoder.encode_prompts if case.get("kind") == "prompt" else encoder.encode_all
    encoded = encode([found[number] for number in rows])
    return [digest(*encoded.row(number)) for number in range(len(encoded))]


def test_every_template_is_recorded():
    assert set(TEMPLATES) == set(shipped())
    assert len(shipped()) == 83


@pytest.mark.parametrize("name", sorted(TEMPLATES))
def test_ids_and_labels(name, monkeypatch):
    monkeypatch.setattr(named_segments, "date", Recorded)
    monkeypatch.setattr(token_ids, "encode_texts", remembering(token_ids.encode_texts))
    different, tokenizers = [], {}
    for case in TEMPLATES[name]["cases"]:
        # Rows on which LLaMA-Factory fails, and with them the whole dataset, are left aside: ours may be kept.
        recorded = {number: row for number, row in enumerate(case["rows"].split()) if row != "-"}
        for number, mine in zip(recorded, ours(case, name, list(recorded), tokenizers), strict=True):
            if mine != recorded[number]:
                different.append(({key: value for key, value in case.items() if key != "rows"}, number))
    assert different == []


@pytest.mark.parametrize("name", sorted(TEMPLATES))
def test_special_tokens(name):
    recorded, template, tokenizer = TEMPLATES[name], load_template(name), tokenizer_for("bytes")
    prepare_tokenizer(tokenizer, template, resize_vocab=True)
    assert (tokenizer.eos_token_id, tokenizer.pad_token_id) == (recorded["eos"], recorded["pad"])
    assert len(tokenizer) == recorded["size"]
    assert stop_token_ids(tokenizer, template) == recorded["stops"]
    encoded = Encoder(tokenizer, template, EncodeOptions(4096)).encode_all(samples(template)[1:2])
    assert encoded.row(0)[0].tolist() == recorded["ids"]
