"""The forms in which LLaMA-Factory's users hand over a config: folders, overrides, a file for another command."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.config.chatting import load_chat
from engine.config.finding import kind_of, locate
from engine.config.jobs import absolute, load_job
from engine.config.overrides import pairs
from engine.config.reading import parse_document, read_document
from engine.config.schema import names
from engine.errors import ConfigError, Problem
from engine.messages import render

TRAIN = "stage: sft\nmodel_name_or_path: m\ndataset: d\noutput_dir: saves/x\nlearning_rate: 1e-4\n"
MERGE = "model_name_or_path: m\nadapter_name_or_path: saves/x\nexport_dir: models/x\n"
# LLaMA-Factory 0.9.5, examples/inference/qwen3_lora_sft.yaml
CHAT = """\
model_name_or_path: Qwen/Qwen3-4B-Instruct-2507
adapter_name_or_path: saves/qwen3-4b/lora/sft
template: qwen3_nothink
infer_backend: huggingface  # choices: [huggingface, vllm, sglang, ktransformers]
trust_remote_code: true
"""


def put(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def problem(call: object, *arguments: object) -> Problem:
    with pytest.raises(ConfigError) as caught:
        call(*arguments)  # type: ignore[operator]
    (found,) = caught.value.problems
    assert render(found)
    return found


def test_a_folder_means_its_project(tmp_path: Path) -> None:
    put(tmp_path / "configs/train_config.yaml", TRAIN)
    put(tmp_path / "config.yaml", "train: configs/train_config.yaml\n")
    assert locate(tmp_path) == tmp_path / "config.yaml"
    assert load_job(tmp_path).kind == "project"
    assert locate(tmp_path, "train") == tmp_path / "configs/train_config.yaml"


def test_a_folder_means_the_only_config_that_fits(tmp_path: Path) -> None:
    """Data and what cannot be read is no config; the other kind of config is not asked for."""
    put(tmp_path / "qwen.yml", TRAIN)
    put(tmp_path / "merge.json", '{"export_dir": "e", "model_name_or_path": "m"}')
    put(tmp_path / "dataset_info.json", '{"identity": {"file_name": "identity.json"}}')
    put(tmp_path / "rows.json", "[" + '{"instruction": "x"},' * 4000)
    put(tmp_path / "broken.yaml", "a: [")
    assert locate(tmp_path, "train") == tmp_path / "qwen.yml"
    assert locate(tmp_path, "merge") == tmp_path / "merge.json"
    several = problem(locate, tmp_path)
    assert several.code == "folder_several"
    assert "qwen.yml" in render(several) and "merge.json" in render(several)


def test_a_folder_without_a_fitting_config_lists_what_is_there(tmp_path: Path) -> None:
    put(tmp_path / "configs/m.yaml", MERGE)
    found = problem(locate, tmp_path, "train")
    assert found.code == "file_is_folder"
    assert "m.yaml" in render(found)
    assert problem(locate, put(tmp_path / "empty/x.txt", "").parent).code == "file_is_folder"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["learning_rate=1e-5", "lora_rank=4"], ["learning_rate=1e-5", "lora_rank=4"]),
        (["--learning_rate", "1e-5"], ["learning_rate=1e-5"]),
        (["--learning_rate=1e-5", "--bf16"], ["learning_rate=1e-5", "bf16=true"]),
        (["--max_steps", "-1", "--bf16", "--seed", "7"], ["max_steps=-1", "bf16=true", "seed=7"]),
        (["--bf16", "seed=7"], ["bf16=true", "seed=7"]),
        (["--run_name", "a=b"], ["run_name=a=b"]),
        (["--train.lora_rank", "4"], ["train.lora_rank=4"]),
        (["--evaluation_strategy", "no"], ["evaluation_strategy=no"]),
        (["--strict-compat", "--learning-rate=1e-5"], ["strict_compat=true", "learning_rate=1e-5"]),
    ],
)
def test_words_after_the_file_change_it(words: list[str], expected: list[str]) -> None:
    """LLaMA-Factory's own form is key=value; its flags become part of the key there, dashes and all."""
    assert pairs(words) == expected


@pytest.mark.parametrize(
    ("words", "code", "near"),
    [
        (["learning_rate"], "override_form", "learning_rate"),
        (["--learing_rate", "1"], "option_unknown", "--learning_rate"),
        (["--dry-rnu"], "option_unknown", "--dry-run"),
        (["--zzzz", "1"], "option_unknown_far", "sft-wizard keys"),
    ],
)
def test_words_that_mean_nothing_are_told(words: list[str], code: str, near: str) -> None:
    found = problem(pairs, words)
    assert found.code == code
    assert near in render(found)


def test_a_secret_after_the_file_is_refused_under_its_old_name_too(tmp_path: Path) -> None:
    file = put(tmp_path / "t.yaml", TRAIN)
    for name in ("push_to_hub_token", "hub_token", "swanlab_api_key"):
        assert problem(load_job, file, pairs([f"--{name}", "hf_verysecret"])).code == "secret_on_command_line"


@pytest.mark.parametrize(
    ("text", "base", "adapters"),
    [
        ("", "m", ["saves/x"]),
        ("adapter_name_or_path: a\n", "m", ["saves/x"]),  # training went on from it: what it made is in saves/x
        ("adapter_name_or_path: a,b\n", "m", ["a", "saves/x"]),  # a was merged first, b continued
        ("adapter_name_or_path: a,b\ncreate_new_adapter: true\n", "m", ["a", "b", "saves/x"]),
        ("finetuning_type: full\n", "saves/x", []),
    ],
)
def test_a_training_config_and_an_export_dir_merge_what_was_trained(
    tmp_path: Path, text: str, base: str, adapters: list[str]
) -> None:
    file = put(tmp_path / "t.yaml", TRAIN + text)
    job = load_job(file, ["export_dir=out", "export_size=2"], tmp_path)
    assert job.kind == "merge" and job.merge
    merge = job.merge.config
    assert names(merge.adapter_name_or_path) == [str(tmp_path / name) for name in adapters]
    assert (merge.model_name_or_path, merge.export_dir, merge.export_size) == (base, str(tmp_path / "out"), 2)
    assert [note.code for note in job.notes] == ["merge_of_training"]


def test_a_quantised_base_is_merged_as_it_is_unless_asked_otherwise(tmp_path: Path) -> None:
    file = put(tmp_path / "t.yaml", TRAIN + "quantization_bit: 4\n")
    plain, asked = (load_job(file, ["export_dir=out", *more], tmp_path) for more in ([], ["merge_onto=dequantised"]))
    assert plain.merge and asked.merge
    assert (plain.merge.config.dequantise, plain.merge.config.quantization_bit) == (False, None)
    assert (asked.merge.config.dequantise, asked.merge.config.quantization_bit) == (True, 4)


def test_a_merge_config_with_training_keys_stays_one(tmp_path: Path) -> None:
    job = load_job(put(tmp_path / "m.yaml", MERGE + "stage: sft\noutput_dir: saves/y\ndataset: d\n"), (), tmp_path)
    assert job.merge and names(job.merge.config.adapter_name_or_path) == [str(tmp_path / "saves/x")]


def test_a_mistake_in_a_training_config_is_told_when_it_is_merged(tmp_path: Path) -> None:
    file = put(tmp_path / "t.yaml", TRAIN + "lora_rnak: 4\n")
    assert problem(load_job, file, ["export_dir=out"]).code == "unknown_key"


def test_an_inference_config_is_for_chat(tmp_path: Path) -> None:
    file = put(tmp_path / "qwen3.yaml", CHAT)
    assert kind_of(read_document(file)) == "chat"
    assert kind_of(parse_document("stage: sft\n" + CHAT)) == "chat"
    found = problem(load_job, file)
    assert found.code == "kind_chat"
    assert "sft-wizard chat" in render(found)
    chat = load_chat(read_document(file), tmp_path)
    assert (chat.config.template, chat.config.trust_remote_code) == ("qwen3_nothink", True)
    assert chat.config.adapter_name_or_path == [str(tmp_path / "saves/qwen3-4b/lora/sft")]
    assert (chat.sampling, chat.dtype, chat.notes) == ({}, None, ())


def test_an_inference_configs_other_keys_are_used_or_noted() -> None:
    text = CHAT + "temperature: 0.5\ninfer_dtype: float16\nnum_beams: 4\nquantization_bit: 4\nvllm_maxlen: 9\n"
    chat = load_chat(parse_document(text, "chat.yaml"), Path("/"))
    assert chat.dtype == "float16"
    assert {(note.code, note.key) for note in chat.notes} == {
        ("key_no_effect", "num_beams"),
        ("key_no_effect", "vllm_maxlen"),
        ("key_other_command", "quantization_bit"),
    }
    # LLaMA-Factory's defaults for the others, once one is given
    assert (chat.sampling["temperature"], chat.sampling["top_p"], chat.sampling["top_k"]) == (0.5, 0.7, 50)
    assert chat.sampling["max_new_tokens"] == 1024
    assert all(note.line and note.severity == "note" for note in chat.notes)


def test_answers_are_the_likeliest_where_a_file_says_so() -> None:
    chat = load_chat(parse_document(CHAT + "do_sample: false\nmax_new_tokens: 0\nmax_length: 300\n"), Path("/"))
    assert (chat.sampling["temperature"], chat.sampling["max_new_tokens"]) == (0.0, 300)


def test_a_mistake_in_an_inference_config_is_told() -> None:
    assert problem(load_chat, parse_document(CHAT + "temprature: 1\n", "c.yaml"), Path("/")).code == "unknown_key"


def test_sets_on_a_hub_are_no_folders(tmp_path: Path) -> None:
    """LLaMA-Factory 0.9.5, examples/train_lora/qwen3_lora_sft_ray.yaml"""
    for given in ("ONLINE", "REMOTE:llamafactory/demo_data"):
        job = load_job(put(tmp_path / "t.yaml", TRAIN + f"dataset_dir: {given}\n"), (), tmp_path)
        assert job.train and job.train.config.dataset_dir == given
        assert absolute(job.train, tmp_path).config.dataset_dir == given


def test_without_a_dataset_tokenised_data_must_be_there(tmp_path: Path) -> None:
    """LLaMA-Factory asks for a name that it then does not use."""
    file = put(tmp_path / "t.yaml", "stage: sft\nmodel_name_or_path: m\noutput_dir: o\ntokenized_path: tokens\n")
    found = problem(load_job, file, (), tmp_path)
    assert (found.code, found.line) == ("tokenized_missing", 4)
    put(tmp_path / "tokens/dataset_dict.json", "{}")
    job = load_job(file, (), tmp_path)
    assert job.train and job.train.config.tokenized_path == str(tmp_path / "tokens")
    again = put(tmp_path / "p/config.yaml", "train: {model_name_or_path: m, output_dir: o, tokenized_path: gone}\n")
    assert problem(load_job, again).code == "tokenized_missing"
