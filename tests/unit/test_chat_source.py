"""What a chat talks to: every kind of config leads to the weights that LLaMA-Factory would load for it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from engine.chat.client import ChatClient
from engine.chat.source import ChatSource, find_source, trained_source
from engine.config.schema import TrainConfig
from engine.errors import ConfigError, Problem
from tests.unit.merge_toys import by_peft, save_adapter, save_base
from tests.unit.tiny_tokenizer import tiny_tokenizer


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """base, and two adapters on it."""
    root = tmp_path_factory.mktemp("models")
    base = save_base(root / "base", vocab_size=512)
    tiny_tokenizer().save_pretrained(base)  # type: ignore[no-untyped-call]
    save_adapter(root / "first", base, r=2)
    save_adapter(root / "second", base, scale=0.2)
    return root


def source(models: Path, text: str) -> tuple[ChatSource, list[Problem]]:
    file = models / "config.yaml"
    file.write_text(f"model_name_or_path: {models}/base\n{text}")
    heard: list[Problem] = []
    return find_source(str(file), lambda *_: None, heard.append), heard


def test_an_inference_config_with_adapters(models: Path) -> None:
    text = f"adapter_name_or_path: [{models}/first, {models}/second]\ntemplate: qwen3\ndefault_system: Be kind.\n"
    found, heard = source(models, text + "enable_thinking: false\ntemperature: 0\nvllm_maxlen: 5\n")
    assert (found.base, found.adapter, found.before) == (
        f"{models}/base",
        f"{models}/second",
        [f"{models}/first"],
    )
    assert (found.template, found.default_system, found.enable_thinking) == ("qwen3", "Be kind.", False)
    assert (found.sampling["temperature"], [note.key for note in heard]) == (0, ["vllm_maxlen"])
    assert ChatSource(**found.as_dict()) == found


def test_an_inference_config_of_a_model_alone(models: Path) -> None:
    found, heard = source(models, "template: chatml\ninfer_backend: huggingface\n")
    assert (found.adapter, found.voices, found.sampling, heard) == (None, ("model",), {}, [])


def test_a_template_that_cannot_be_had_is_found_before_the_model_is_loaded(models: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        source(models, "template: qwen3_vl\n")
    assert (caught.value.exit_code, caught.value.problems[0].code) == (2, "template_for_media")


def test_a_merge_config_before_and_after_merging(models: Path) -> None:
    text = f"adapter_name_or_path: {models}/first,{models}/second\nexport_dir: {models}/out\n"
    found, _ = source(models, text)
    assert (found.adapter, found.before) == (f"{models}/second", [f"{models}/first"])
    with pytest.raises(ConfigError) as caught:
        source(models, f"adapter_name_or_path: {models}/gone\nexport_dir: {models}/out\n")
    assert caught.value.problems[0].code == "adapter_missing"
    found, _ = source(models, f"adapter_name_or_path: {models}/gone\nexport_dir: {models}/base\n")
    assert (found.base, found.adapter) == (f"{models}/base", None)


def test_what_a_training_config_makes() -> None:
    def made(**more: object) -> ChatSource:
        return trained_source(TrainConfig(model_name_or_path="m", output_dir="o", **more), "/m", "m")  # type: ignore[arg-type]

    assert (made().base, made().adapter, made().before) == ("/m", "o", [])
    assert made(adapter_name_or_path="a,b").before == ["a"]
    assert made(adapter_name_or_path="a,b", adapter_folder="x", create_new_adapter=True).before == ["a/x", "b/x"]
    assert (made(finetuning_type="full").base, made(finetuning_type="full").adapter) == ("o", None)
    assert made(enable_thinking=None, default_system="s").enable_thinking is None


def test_a_folder_with_one_config(models: Path, tmp_path: Path) -> None:
    (tmp_path / "qwen3.yaml").write_text(f"model_name_or_path: {models}/base\ntemplate: chatml\n")
    assert find_source(str(tmp_path), lambda *_: None).template == "chatml"


def test_set_goes_over_the_file_and_needs_one(models: Path, tmp_path: Path) -> None:
    (tmp_path / "qwen3.yaml").write_text("model_name_or_path: gone\ntemplate: chatml\n")
    for given in (tmp_path / "qwen3.yaml", tmp_path):
        found = find_source(
            str(given), lambda *_: None, overrides=[f"model_name_or_path={models}/base", "temperature=0.3"]
        )
        assert (found.base, found.sampling["temperature"]) == (f"{models}/base", 0.3)
    for without in (f"{models}/base", f"{models}/first", "smollm2-135m"):
        with pytest.raises(ConfigError) as caught:
            find_source(without, lambda *_: None, overrides=["template=chatml"])
        assert caught.value.problems[0].code == "set_without_file"


def test_the_command_line_goes_over_the_file() -> None:
    def options(sampling: dict[str, float], **given: float) -> dict[str, float]:
        return ChatClient(ChatSource("b", "n", sampling=sampling), Path("log"), **given).options  # type: ignore[arg-type]

    assert options({}) == {"max_new_tokens": 512, "temperature": 0.0}
    assert options({"temperature": 0.9, "top_p": 0.5}) == {"max_new_tokens": 512, "temperature": 0.9, "top_p": 0.5}
    assert options({"temperature": 0.9, "max_new_tokens": 9}, temperature=0.0)["temperature"] == 0.0


def test_earlier_adapters_are_merged_into_the_base(models: Path, tmp_path: Path) -> None:
    """PEFT's own merge of the first, with the second on top, gives the same logits."""
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    from engine.chat.session import Session

    by_peft(models / "base", models / "first", tmp_path / "merged", "float32")
    expected = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(tmp_path / "merged"), models / "second")
    session = Session(
        ChatSource(
            f"{models}/base",
            "n",
            f"{models}/second",
            "chatml",
            use_cpu=True,
            before=[f"{models}/first"],
            dtype="float32",
        )
    )
    ids = torch.tensor([[5, 6, 7, 8]])
    with torch.no_grad():
        assert torch.allclose(session.model(ids.to(session.model.device)).logits.cpu(), expected(ids).logits, atol=1e-5)
    asked = [{"role": "user", "content": "hello"}]
    drawn = list(session.answer(asked, max_new_tokens=3, temperature=0.8, top_p=0.5, top_k=3, repetition_penalty=1.1))
    likeliest = list(session.answer(asked, max_new_tokens=3, top_p=0.5, skip_special_tokens=False))
    assert drawn and likeliest


def test_the_hub_is_asked_with_the_files_token(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A gated base that training could fetch; the environment's own token comes first, as everywhere."""
    monkeypatch.setenv("HF_TOKEN", "of the environment")
    source(models, "template: chatml\nhf_hub_token: of the file\n")
    assert os.environ["HF_TOKEN"] == "of the environment"
    monkeypatch.delenv("HF_TOKEN")
    found, _ = source(models, "template: chatml\nhf_hub_token: of the file\n")
    assert os.environ.pop("HF_TOKEN") == "of the file"
    assert "of the file" not in str(found.as_dict())
