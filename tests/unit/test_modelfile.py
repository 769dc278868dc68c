"""The Modelfile for Ollama, against those that LLaMA-Factory writes (tests/golden/record_modelfile.py)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, models
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from engine.config.schema import MergeConfig
from engine.data.templates import load_template, prepare_tokenizer
from engine.errors import ConfigError
from engine.merge.modelfile import modelfile, stop_tokens
from engine.merge.small_files import small_files
from engine.outputs import mark_started
from tests.unit.tiny_tokenizer import tiny_tokenizer

GOLDEN = Path(__file__).parent.parent / "golden" / "llamafactory" / "modelfiles.json"
RECORDED: dict[str, Any] = json.loads(GOLDEN.read_text(encoding="utf-8"))
FUSED = {
    "llama2": "{{ $system := .System }}{{ range .Messages }}"
    '{{ if eq .Role "user" }}<s>[INST] {{ if $system }}<<SYS>>\n{{ $system }}\n<</SYS>>\n\n{{ $system = "" }}{{ end }}'
    '{{ .Content }} [/INST]{{ else if eq .Role "assistant" }}{{ .Content }}</s>{{ end }}{{ end }}',
    "mistral": "<s>{{ $system := .System }}{{ range .Messages }}"
    '{{ if eq .Role "user" }}[INST] {{ if $system }}{{ $system }}\n\n{{ $system = "" }}{{ end }}'
    '{{ .Content }}[/INST]{{ else if eq .Role "assistant" }} {{ .Content }}</s>{{ end }}{{ end }}',
    "gemma": "<s>{{ $system := .System }}{{ range .Messages }}"
    '{{ if eq .Role "user" }}<start_of_turn>user\n{{ if $system }}{{ $system }}\n\n{{ $system = "" }}{{ end }}'
    "{{ .Content }}<end_of_turn>\n<start_of_turn>model\n"
    '{{ else if eq .Role "assistant" }}{{ .Content }}<end_of_turn>\n{{ end }}{{ end }}',
}


def tokenizer(words: list[str]) -> PreTrainedTokenizerFast:
    """The stand-in that the recording had."""
    vocabulary = {word: number for number, word in enumerate(["<s>", "</s>", "a", *words])}
    backend = Tokenizer(models.WordLevel(vocabulary, unk_token="a"))
    return PreTrainedTokenizerFast(tokenizer_object=backend, bos_token="<s>", eos_token="</s>")


def written(name: str, words: list[str]) -> str:
    template = load_template(name)
    own = tokenizer(words)
    prepare_tokenizer(own, template)
    return modelfile(own, template)


@pytest.mark.parametrize("name", RECORDED)
def test_it_is_the_one_of_llama_factory(name: str) -> None:
    theirs = RECORDED[name]
    lines = written(name, theirs["stop_words"]).splitlines(keepends=True)
    stops = [line for line in lines if line.startswith("PARAMETER stop")]
    assert sorted(stops) == theirs["stops"]
    ours = "".join(line for line in lines if line not in stops).split("\n", 1)[1]
    expected = theirs["text"].split("\n", 1)[1]  # the first line says who wrote it
    if name in FUSED:  # there the system prompt stands where training put it, inside the first question
        start, end = expected.index('TEMPLATE """') + 12, expected.index('"""\n\n')
        expected = expected[:start] + FUSED[name] + expected[end:]
    assert ours == expected


def test_stops_stand_in_one_order_end_of_text_first() -> None:
    template = load_template("glm4")
    assert template is not None
    own = tokenizer(list(reversed(template.stop_words)))
    assert stop_tokens(own, template) == ["</s>", *template.stop_words]


@pytest.mark.parametrize("name", ["chatglm3", "yuan"])
def test_templates_with_tokens_of_their_own_do_not_fail(name: str) -> None:
    template = load_template(name)
    assert template is not None
    text = modelfile(tokenizer(["<|user|>", "<|observation|>", "<eod>"]), template)
    assert {"chatglm3": "<|user|>", "yuan": "<sep>"}[name] in text and text.endswith("PARAMETER num_ctx 4096\n")


def test_auto_leaves_the_template_to_ollama() -> None:
    own = tiny_tokenizer(eos_token="<|endoftext|>")
    text = modelfile(own, None)
    assert "\nTEMPLATE" not in text and "\nFROM .\n" in text and "num_ctx 4096" in text
    assert 'PARAMETER stop "<|endoftext|>"\nPARAMETER stop "<|im_end|>"\n' in text  # what the chat template ends with


def asked(**keys: Any) -> MergeConfig:
    return MergeConfig(model_name_or_path="base", export_dir="out", **keys)


def exported(folder: Path, config: MergeConfig, base: Path, adapter: Path | None) -> list[str]:
    """Write the small files as the export does. Returns the codes of its notes."""
    import shutil

    from engine.merge.companions import copy_companions

    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    small = small_files(config, base, adapter)
    copy_companions(base, adapter, folder)
    small.write(folder)
    return [note.code for note in small.notes]


def test_the_tokenizer_trained_with_goes_along(tmp_path: Path) -> None:
    base, adapter, out = tmp_path / "base", tmp_path / "adapter", tmp_path / "out"
    tiny_tokenizer(eos_token="<|endoftext|>").save_pretrained(base)
    (base / "generation_config.json").write_text('{"eos_token_id": 0, "top_p": 0.9}')
    trained = tiny_tokenizer(eos_token="<|endoftext|>", padding_side="right")
    template = load_template("chatml")
    prepare_tokenizer(trained, template)
    trained.save_pretrained(adapter)
    (adapter / "generation_config.json").write_text('{"eos_token_id": [7, 8]}')
    mark_started(adapter, "print", tmp_path)
    assert exported(out, asked(template="chatml"), base, adapter) == []
    assert (out / "chat_template.jinja").read_text() == (adapter / "chat_template.jinja").read_text()
    assert json.loads((out / "generation_config.json").read_text()) == {"eos_token_id": [7, 8]}
    loaded = AutoTokenizer.from_pretrained(out)
    assert loaded.padding_side == "left" and loaded.eos_token == "<|im_end|>"
    assert loaded.get_vocab() == trained.get_vocab()
    assert "<|im_start|>user" in (out / "Modelfile").read_text()
    # another template in the merge config does not replace what a training of ours left
    assert exported(out, asked(template="alpaca"), base, adapter) == ["merge_template_differs"]
    assert (out / "chat_template.jinja").read_text() == (adapter / "chat_template.jinja").read_text()


def test_beside_an_adapter_of_llama_factory_the_named_template_counts(tmp_path: Path) -> None:
    """It saves the model's own chat template, whatever was trained."""
    base, adapter, out = tmp_path / "base", tmp_path / "adapter", tmp_path / "out"
    for folder in (base, adapter):
        tiny_tokenizer(eos_token="<|endoftext|>").save_pretrained(folder)
    assert "merge_template_written" in exported(out, asked(template="alpaca"), base, adapter)
    question = [{"role": "user", "content": "Hi"}]
    text = AutoTokenizer.from_pretrained(out).apply_chat_template(question, tokenize=False, add_generation_prompt=True)
    assert text.endswith("### Instruction:\nHi\n\n### Response:\n")


def test_a_bases_tokenizer_gets_what_the_template_needs(tmp_path: Path) -> None:
    base, out = tmp_path / "base", tmp_path / "out"
    own = tiny_tokenizer(eos_token="<|endoftext|>")
    own.save_pretrained(base)
    (base / "generation_config.json").write_text('{"eos_token_id": 0, "top_p": 0.9}')
    codes = exported(out, asked(template="chatml", default_system="Be kind."), base, None)
    assert "eos_replaced" in codes
    loaded = AutoTokenizer.from_pretrained(out)
    said = json.loads((out / "generation_config.json").read_text())
    ends = [loaded.convert_tokens_to_ids(word) for word in ("<|im_end|>", "<|im_start|>")]
    assert sorted(ends) == sorted(said["eos_token_id"]) and said["top_p"] == 0.9
    assert loaded.eos_token == "<|im_end|>" and loaded.padding_side == "left"
    question = [{"role": "user", "content": "Hi"}]
    asked_text = loaded.apply_chat_template(question, tokenize=False, add_generation_prompt=True)
    assert asked_text.startswith("<|im_start|>system\nBe kind.<|im_end|>\n<|im_start|>user\nHi")
    assert 'SYSTEM """Be kind."""' in (out / "Modelfile").read_text()


def test_a_template_that_does_not_fit_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    tiny_tokenizer(eos_token="<|endoftext|>").save_pretrained(tmp_path / "base")
    with pytest.raises(ConfigError) as caught:
        small_files(asked(template="llama3"), tmp_path / "base", None)
    assert caught.value.problems[0].code == "template_needs_new_tokens"


def test_a_tokenizer_that_does_not_load_costs_the_modelfile_only(tmp_path: Path) -> None:
    base, out = tmp_path / "base", tmp_path / "out"
    base.mkdir()
    (base / "tokenizer.json").write_text("{}")
    assert exported(out, asked(), base, None) == ["merge_tokenizer_unusable"]
    assert sorted(path.name for path in out.iterdir()) == ["tokenizer.json"]
