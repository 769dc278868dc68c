"""Talking to an adapter that was trained on more than its base has: new tokens, stretched positions."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoTokenizer, Trainer

from engine.chat.session import Session
from engine.chat.source import ChatSource
from tests.unit.method_toys import plain, prepare, quickly, save_model, train

NEW = ["<|svg|>", "<|/svg|>"]


@pytest.fixture(autouse=True, scope="module")
def _quickly():
    with quickly():
        yield


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
