"""Recommended models: what templates/models.yaml says of them, and which comes first for a memory and a language."""

from __future__ import annotations

import pytest

from engine.builtin_model import ALIAS, HUB_NAME
from engine.data.template_files import load_template
from engine.hardware import GIB
from engine.memory.recommended import RecommendedModel, all_models, known_model, recommended_models

NAMES = {model.name: model for model in all_models()}
# SigLIP-So400m, the image encoder of Gemma 3 from 4B on: 400M parameters, and its way into the language model.
SIGLIP = 416_866_032
each = pytest.mark.parametrize("model", all_models(), ids=lambda model: model.name)


def names(free: float, language: str = "en", kind: str = "cuda") -> list[str]:
    found = recommended_models(int(free * GIB), language, kind)  # type: ignore[arg-type]
    return [model.name for model in found]


def encoder(model: RecommendedModel) -> int:
    """Parameters beside the language model."""
    about = model.config.get("text_config")
    return SIGLIP + 1152 * about["hidden_size"] + 1152 if about else 0


def on_paper(model: RecommendedModel) -> int:
    """Parameters of a config: two projections of the attention's width, two of the keys', a gated MLP, norms."""
    about = model.config.get("text_config", model.config)
    kind, hidden, vocab = about["model_type"], about["hidden_size"], about["vocab_size"]
    heads, kv = (about[f"num_{name}_heads"] * about["head_dim"] for name in ("attention", "key_value"))
    layer = 2 * hidden * heads + 2 * hidden * kv
    if kind == "qwen3_moe":
        expert = 3 * hidden * about["moe_intermediate_size"]
        layer += about["num_experts"] * (expert + hidden)  # and its row of the router
    else:
        layer += 3 * hidden * about["intermediate_size"]
    layer += hidden * {"gemma3_text": 4, "glm4": 4}.get(kind, 2)
    if kind in ("qwen2", "glm4"):
        layer += heads + 2 * kv  # biases of query, key and value
    if kind in ("qwen3", "qwen3_moe", "gemma3_text"):
        layer += 2 * about["head_dim"]  # norms of query and key
    count = vocab * hidden * (1 if about["tie_word_embeddings"] else 2) + about["num_hidden_layers"] * layer + hidden
    return count + encoder(model)


@each
def test_its_sizes_make_its_parameters(model: RecommendedModel) -> None:
    assert on_paper(model) == model.parameters


@each
def test_it_is_described_in_full(model: RecommendedModel) -> None:
    assert load_template(model.template) is not None
    assert model.name.count("/") == 1 and model.family and model.licence
    assert set(model.languages) <= {"en", "zh", "multilingual"} and "en" in model.languages
    assert 0 <= model.active < model.parameters and model.context >= 8192
    assert model.size.rstrip("BM").replace(".", "").isdigit()


@each
def test_its_shape_is_known_before_it_is_here(model: RecommendedModel) -> None:
    shape = model.shape()
    assert (shape.parameters, shape.unseen) == (model.parameters - encoder(model), encoder(model))
    assert (shape.stored, shape.dtype) == (model.bytes, "bfloat16")
    assert bool(shape.notes) == bool(encoder(model))  # that only its language model is counted in detail


def test_its_files_hold_every_weight_once() -> None:
    """Two bytes each; Qwen3-0.6B and 1.7B store the head that is tied to the embedding as well."""
    twice = {"Qwen/Qwen3-0.6B": 151_936 * 1024, "Qwen/Qwen3-1.7B": 151_936 * 2048}
    for model in all_models():
        assert model.bytes == 2 * (model.parameters + twice.get(model.name, 0))


def test_every_name_is_there_once() -> None:
    assert len(NAMES) == len(all_models()) > 30


@pytest.mark.parametrize("family", ["Llama 3", "Gemma 3"])
def test_who_asks_for_consent_is_gated(family: str) -> None:
    assert {model.gated for model in all_models() if model.family == family} == {True}
    assert not NAMES["Qwen/Qwen3-8B"].gated


def test_a_model_is_found_by_what_a_config_calls_it() -> None:
    assert known_model("Qwen/Qwen3-8B") is NAMES["Qwen/Qwen3-8B"]
    assert known_model(ALIAS) is known_model(HUB_NAME) is NAMES[HUB_NAME]
    assert known_model("someone/else") is None


def test_the_rule_of_comfort() -> None:
    """Qwen3-8B: 8.19e9 weights of 2 bytes, 30 % more, and 1.5 GiB: 22.9e9 bytes or 21.3 GiB."""
    model = NAMES["Qwen/Qwen3-8B"]
    assert model.comfortable() / GIB == pytest.approx(8.190735360 * 2.6 / 1.073741824 + 1.5)
    assert model.comfortable("cpu") / GIB == pytest.approx(8.190735360 * 5.2 / 1.073741824 + 1.5)


@pytest.mark.parametrize(
    ("free", "first"),
    [
        (7.5, "Qwen/Qwen3-1.7B"),
        (11.5, "Qwen/Qwen3-4B-Instruct-2507"),
        (15.5, "Qwen/Qwen3-4B-Instruct-2507"),
        (23.5, "Qwen/Qwen3-8B"),
        (44.5, "Qwen/Qwen3-14B"),
        (79.1, "Qwen/Qwen3-14B"),
        (94, "Qwen/Qwen3-32B"),
        (178, "Qwen/Qwen2.5-72B-Instruct"),
    ],
)
def test_the_largest_that_trains_comfortably_comes_first(free: float, first: str) -> None:
    assert names(free)[0] == first
    assert all(NAMES[name].comfortable() <= free * GIB for name in names(free))


def test_on_24_gb_nobody_begins_with_135m() -> None:
    for language in ("en", "zh"):
        assert NAMES[names(23.5, language)[0]].parameters > 7e9
        assert names(23.5, language).index(HUB_NAME) > 10


def test_smaller_ones_follow() -> None:
    """By size class; those of a size are in the order of the file."""
    sizes = [NAMES[name].parameters for name in names(94)]
    assert sizes[0] > 30e9 and sizes[-1] == 134_515_008
    assert names(23.5)[:3] == ["Qwen/Qwen3-8B", "Qwen/Qwen2.5-7B-Instruct", "ibm-granite/granite-3.2-8b-instruct"]
    assert names(24.5)[3:6] == [
        *("zai-org/GLM-4-9B-0414", "mistralai/Mistral-7B-Instruct-v0.3", "meta-llama/Llama-3.1-8B-Instruct")
    ]


def test_a_mixture_of_experts_comes_after_the_dense_ones_of_its_size() -> None:
    """And it is never the first: LoRA reaches few of its layers."""
    found = names(94)
    assert found.index("Qwen/Qwen3-30B-A3B-Instruct-2507") > found.index("Qwen/Qwen2.5-32B-Instruct")
    assert names(79.1, "zh")[:2] == ["Qwen/Qwen3-14B", "Qwen/Qwen3-30B-A3B-Instruct-2507"]


@pytest.mark.parametrize("free", [0, 2.5, 3, 4, 5.2, 5.5, 6, 8, 12, 16, 24, 28, 30, 40, 48, 64, 80, 141, 192])
@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("kind", ["cuda", "cpu"])
def test_the_first_needs_no_login(free: float, language: str, kind: str) -> None:
    """Enter alone must not end at a refused download."""
    found = names(free, language, kind)
    assert not NAMES[found[0]].gated and not NAMES[found[0]].active and len(set(found)) == len(found)


def test_for_chinese_the_models_that_think_in_it_come_first() -> None:
    """Mistral-Small-24B is larger and knows some Chinese; Qwen3-14B is at home in it."""
    found = names(60, "zh")
    assert found[0] == "Qwen/Qwen3-14B"
    assert found.index("Qwen/Qwen3-0.6B") < found.index("mistralai/Mistral-Small-24B-Instruct-2501")
    assert found.index("mistralai/Mistral-Small-24B-Instruct-2501") < found.index("microsoft/phi-4")
    assert names(60)[:2] == ["Qwen/Qwen3-14B", "mistralai/Mistral-Small-24B-Instruct-2501"]


def test_on_a_cpu_the_built_in_model_comes_first_and_none_is_large() -> None:
    for language in ("en", "zh"):
        found = names(64, language, "cpu")
        assert found[0] == HUB_NAME
        assert max(NAMES[name].parameters for name in found) < 2e9
    assert names(64, "zh", "cpu")[1] == "Qwen/Qwen3-0.6B"
    assert names(3.7, "en", "cpu") == [HUB_NAME, "HuggingFaceTB/SmolLM2-360M-Instruct"]


def test_there_is_always_one() -> None:
    assert names(0) == [HUB_NAME] and names(0, "zh", "cpu") == [HUB_NAME]


@pytest.mark.slow
@each
def test_transformers_counts_the_same(model: RecommendedModel) -> None:
    """The model that transformers makes of the config, without memory for it."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    about = dict(model.config.get("text_config", model.config))
    if about["model_type"] == "phi3":
        about["pad_token_id"] = 0
    config = AutoConfig.for_model(about.pop("model_type"), **about)
    with torch.device("meta"):
        made = AutoModelForCausalLM.from_config(config)
    made.tie_weights()
    count = sum({id(one): one.numel() for one in made.parameters()}.values())
    assert count == model.parameters - encoder(model)
