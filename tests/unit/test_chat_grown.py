"""Talking to an adapter that was trained on more than its base has: new tokens, stretched positions."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from transformers import AutoTokenizer, Trainer

from engine.chat.session import Session
from engine.chat.source import ChatSource
from tests.unit.in_process import do, toys
from tests.unit.method_toys import plain, prepare, save_model, train

pytestmark = pytest.mark.usefixtures("quick")

NEW = ["<|svg|>", "<|/svg|>"]


def talk(base: Path, adapter: Path, **more) -> Session:
    return Session(ChatSource(str(base), "m", str(adapter), "chatml", use_cpu=True, dtype="float32", **more))


def logits(model, ids: torch.Tensor) -> torch.Tensor:
    model.eval()
    with torch.no_grad():
        return model(input_ids=ids).logits


@pytest.mark.parametrize("tied", [False, True])
def test_an_adapter_with_new_tokens_answers_as_it_was_trained(tmp_path: Path, tied: bool) -> None:
    """Its embeddings have more rows than the base's; without it the base says what it always said."""
    base = save_model(tmp_path / "base", tied=tied)
    tokenizer = AutoTokenizer.from_pretrained(base)
    before = len(tokenizer)
    tokenizer.add_tokens(NEW, special_tokens=True)
    model, said = prepare(base, tokenizer, resize_vocab=True)
    assert "vocabulary_grown" in said
    trainer, _ = train(Trainer, tmp_path / "t", model, learning_rate=1e-2)
    trainer.save_model(str(tmp_path / "adapter"))
    tokenizer.save_pretrained(tmp_path / "adapter")

    session = talk(base, tmp_path / "adapter")
    ids = torch.tensor([[5, 60, *session.tokenizer.convert_tokens_to_ids(NEW)]])
    assert torch.allclose(logits(session.model, ids), logits(model, ids), atol=1e-5)
    known = ids[:, :2]
    with session.model.disable_adapter():
        alone = logits(session.model, known)
    own = logits(plain(base), known)
    assert torch.allclose(alone[..., :before], own, atol=1e-5)
    assert (alone[..., before:] < own.max(-1, keepdim=True).values).all()
    asked = [{"role": "user", "content": "question"}]
    assert "".join(session.answer(asked, max_new_tokens=2, skip_special_tokens=False))


TRAINING = {
    "do_train": True,
    "dataset": "toy",
    "template": "chatml",
    "cutoff_len": 64,
    "lora_rank": 4,
    "per_device_train_batch_size": 2,
    "learning_rate": 1e-2,
    "max_steps": 2,
    "report_to": "none",
}


@pytest.mark.parametrize(("kind", "old_words"), [("linear", False), ("yarn", True)])
def test_stretched_positions_go_with_the_adapter(tmp_path: Path, kind: str, old_words: bool) -> None:
    """32 positions and a cutoff_len of 64: factor 2, in training, in a chat, in the merged model and in its proof."""
    places = toys(tmp_path, samples=8, max_position_embeddings=32)
    base = Path(places["model_name_or_path"])
    said = json.loads((base / "config.json").read_text())
    if old_words:  # of transformers 4
        said["rope_theta"] = said.pop("rope_parameters")["rope_theta"]
        (base / "config.json").write_text(json.dumps(said))
    out, export = tmp_path / "out", tmp_path / "merged"
    do(tmp_path, TRAINING | places | {"output_dir": str(out), "rope_scaling": kind})
    shared = {"model_name_or_path": str(base), "template": "chatml"}
    told = do(tmp_path, shared | {"adapter_name_or_path": str(out), "export_dir": str(export)})

    merged = json.loads((export / "config.json").read_text())
    rope = merged["rope_scaling" if old_words else "rope_parameters"]
    assert (rope["rope_type"], rope["factor"], merged["max_position_embeddings"]) == (kind, 2.0, 64)
    changed = ("rope_parameters", "rope_scaling", "max_position_embeddings")
    assert {name: merged[name] for name in merged if name not in changed} == {
        name: said[name] for name in said if name not in changed
    }
    assert (base / "config.json").read_text() == json.dumps(said) or not old_words
    proof = next(event for event in told if event["type"] == "proof")
    assert proof["passed"] and proof["method"] == "logits" and proof["ratio"] < 1e-4

    session = talk(base, out)
    ids = torch.arange(5, 55)[None]
    stretched, plain_one = logits(plain(export), ids), logits(unstretched(base, out), ids)
    assert torch.allclose(logits(session.model, ids), stretched, atol=1e-4)
    assert not torch.allclose(plain_one, stretched, atol=1e-2), "without them the answers are others"


def unstretched(base: Path, adapter: Path):
    return PeftModel.from_pretrained(plain(base), str(adapter))
