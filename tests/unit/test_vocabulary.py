"""Embeddings that grow with the tokenizer: how many rows, where they start, and who can load the result."""

from __future__ import annotations

import math

import pytest
import torch
from peft import PeftModel
from transformers import AutoTokenizer, Trainer

from engine.errors import ConfigError
from engine.train.vocabulary import grow, start_rows
from tests.unit.method_toys import plain, prepare, save_model, train, train_config

pytestmark = pytest.mark.usefixtures("quick")

NEW = ["<|svg|>", "<|/svg|>", "zebra"]


def grown_tokenizer(folder, count=3):
    tokenizer = AutoTokenizer.from_pretrained(folder)
    before = len(tokenizer)
    tokenizer.add_tokens([*NEW, *(f"<extra-{i}>" for i in range(count - 3))], special_tokens=True)
    return tokenizer, before


def matrices(model):
    return model.get_input_embeddings().weight.detach(), model.get_output_embeddings().weight.detach()


def test_new_rows_start_at_the_mean_with_noise():
    """LLaMA-Factory's formula: mean of the old rows + N(0, 1/sqrt(width))."""
    torch.manual_seed(0)
    matrix = torch.randn(5000, 64) + torch.arange(64)
    old = matrix.clone()
    torch.manual_seed(9)
    start_rows(matrix, 1000, 5000)
    torch.manual_seed(9)
    expected = old[:1000].mean(0) + torch.empty(4000, 64).normal_(0.0, 1 / math.sqrt(64))
    assert torch.equal(matrix[:1000], old[:1000])
    assert torch.allclose(matrix[1000:], expected, atol=1e-5)


@pytest.mark.parametrize("tied", [False, True])
def test_embeddings_and_head_grow_to_a_multiple_of_64(tmp_path, tied):
    """Old rows stay; a model whose new rows were zeros or leftovers could not tell the new tokens apart."""
    folder = save_model(tmp_path, tied=tied)
    tokenizer, before = grown_tokenizer(folder)
    old = [matrix.clone() for matrix in matrices(plain(folder))]
    model, said = prepare(folder, tokenizer, resize_vocab=True, finetuning_type="full")
    assert said == ["vocabulary_grown"]
    size = 64 * math.ceil((before + 3) / 64)
    assert size > before
    for matrix, was in zip(matrices(model), old, strict=True):
        assert matrix.shape == (size, 32)
        assert torch.equal(matrix[:before], was)
        noise = matrix[before:] - was.mean(0)
        assert noise.std() == pytest.approx(1 / math.sqrt(32), rel=0.2)
    assert (matrices(model)[0] is matrices(model)[1] or torch.equal(*matrices(model))) == tied
    assert model.config.vocab_size == size


def test_rows_that_are_there_already_are_not_shrunk_and_new_tokens_start_anew(tmp_path):
    """LLaMA-Factory 0.9.5 leaves new tokens in the untrained padding of such models (#10547)."""
    folder = save_model(tmp_path, rows=512)
    tokenizer, before = grown_tokenizer(folder)
    old = [matrix.clone() for matrix in matrices(plain(folder))]
    model, said = prepare(folder, tokenizer, add_special_tokens="x", finetuning_type="full")
    assert said == ["vocabulary_grown"]
    for matrix, was in zip(matrices(model), old, strict=True):
        assert len(matrix) == 512
        changed = (matrix != was).any(1).nonzero()[:, 0].tolist()
        assert changed == [before, before + 1, before + 2]


def test_rows_that_would_not_be_saved_are_not_touched(tmp_path):
    """Else training would see other rows than whoever loads the adapter."""
    folder = save_model(tmp_path, rows=512)
    tokenizer, _ = grown_tokenizer(folder)
    model, said = prepare(folder, tokenizer, resize_vocab=True, additional_target="lm_head")
    assert said == ["new_tokens_not_trained"]
    assert torch.equal(model.get_input_embeddings().weight, matrices(plain(folder))[0])
    _, said = prepare(folder, tokenizer, resize_vocab=True, additional_target="embed_tokens,lm_head")
    assert said == ["vocabulary_grown"]


def test_without_new_tokens_nothing_changes(tmp_path):
    folder = save_model(tmp_path)
    model, said = prepare(folder, resize_vocab=True, finetuning_type="full")
    assert said == []
    assert all(torch.equal(one, other) for one, other in zip(matrices(model), matrices(plain(folder)), strict=True))


@pytest.mark.parametrize("way", ["desc_init", "desc_init_w_noise"])
def test_descriptions_place_new_tokens(tmp_path, way):
    """A described token starts where its description's words are; one without known words at the mean."""
    folder = save_model(tmp_path / "m")
    tokenizer, before = grown_tokenizer(folder)
    (tmp_path / "new.yaml").write_text("'<|svg|>': answer question\n'<|/svg|>': '<|svg|>'\n")
    old = [matrix.clone() for matrix in matrices(plain(folder))]
    keys = {"new_special_tokens_config": str(tmp_path / "new.yaml"), "init_special_tokens": way}
    model, _ = prepare(folder, tokenizer, finetuning_type="full", **keys)
    words = AutoTokenizer.from_pretrained(folder)("answer question", add_special_tokens=False)["input_ids"]
    for matrix, was in zip(matrices(model), old, strict=True):
        gaps = [matrix[before] - was[words].mean(0), matrix[before + 1] - was.mean(0)]
        if way == "desc_init":
            assert all(gap.abs().max() < 1e-6 for gap in gaps)
        else:
            assert all(0.05 < gap.std() < 0.4 for gap in gaps)


@pytest.mark.parametrize("tied", [False, True])
def test_an_adapter_with_new_tokens_loads_with_peft_on_the_base_resized_alike(tmp_path, tied):
    """What the log says of it is all that another tool has to do."""
    folder = save_model(tmp_path / "m", tied=tied)
    tokenizer, _ = grown_tokenizer(folder)
    model, said = prepare(folder, tokenizer, resize_vocab=True)
    assert said == ["vocabulary_grown", "embeddings_trained"]
    assert set(model.peft_config["default"].modules_to_save) == {"embed_tokens", "lm_head"}
    trainer, _ = train(Trainer, tmp_path / "t", model, learning_rate=1e-2)
    trainer.save_model(str(tmp_path / "adapter"))
    model.eval()
    ids = torch.tensor([[5, 60, *tokenizer.convert_tokens_to_ids(NEW)]])
    base = plain(folder)
    base.resize_token_embeddings(model.get_input_embeddings().weight.shape[0])
    loaded = PeftModel.from_pretrained(base, str(tmp_path / "adapter"))
    assert torch.allclose(loaded(input_ids=ids).logits, model(input_ids=ids).logits, atol=1e-5)


def test_a_choice_of_modules_is_kept(tmp_path):
    folder = save_model(tmp_path)
    tokenizer, _ = grown_tokenizer(folder)
    model, said = prepare(folder, tokenizer, resize_vocab=True, additional_target="embed_tokens")
    assert (said, model.peft_config["default"].modules_to_save) == (["vocabulary_grown"], ["embed_tokens"])


def test_a_quantised_base_cannot_grow(tmp_path):
    folder = save_model(tmp_path)
    tokenizer, _ = grown_tokenizer(folder)
    model = plain(folder)
    model.quantization_method = "bitsandbytes"
    with pytest.raises(ConfigError) as found:
        grow(model, tokenizer, folder, train_config(folder, resize_vocab=True), print)
    assert found.value.problems[0].code == "not_on_quantised"
