"""Checking: what a user wrote is taken as meant, or answered with the line, the key and what to do."""

from __future__ import annotations

from typing import Any

import pytest

from engine.config.checking import Checked, check
from engine.config.fates import entries, fates, refused_value
from engine.config.jobs import absolute
from engine.config.reading import dump, parse_document
from engine.config.schema import DataSource, MergeConfig, TrainConfig, WizardConfig, fields, meta, names
from engine.errors import ConfigError, Problem
from engine.messages import render

TRAIN = {"model_name_or_path": "m", "dataset": "d", "output_dir": "o", "stage": "sft"}
MERGE = {"model_name_or_path": "m", "adapter_name_or_path": "a", "export_dir": "e"}

# LLaMA-Factory 0.9.5, examples/train_lora/qwen3_lora_sft.yaml, but for its names of model and output.
STOCK = """\
### model
model_name_or_path: HuggingFaceTB/SmolLM2-135M-Instruct
trust_remote_code: true

### method
stage: sft
do_train: true
finetuning_type: lora
lora_rank: 8
lora_target: all

### dataset
dataset: identity,alpaca_en_demo
template: chatml
cutoff_len: 2048
max_samples: 1000
preprocessing_num_workers: 16
dataloader_num_workers: 4

### output
output_dir: saves/smollm2/lora/sft
logging_steps: 10
save_steps: 500
plot_loss: true
overwrite_output_dir: true
save_only_model: false
report_to: none  # choices: [none, wandb, tensorboard, swanlab, mlflow]

### train
per_device_train_batch_size: 1
gradient_accumulation_steps: 8
learning_rate: 1.0e-4
num_train_epochs: 3.0
lr_scheduler_type: cosine
warmup_ratio: 0.1
bf16: true
ddp_timeout: 180000000
resume_from_checkpoint: null

### eval
# eval_dataset: alpaca_en_demo
# val_size: 0.1
# per_device_eval_batch_size: 1
# eval_strategy: steps
# eval_steps: 500
"""


def yaml_of(values: dict[str, Any]) -> str:
    return "".join(f"{name}: {value}\n" for name, value in values.items())


def train(text: str = "", **changes: Any) -> Checked[TrainConfig]:
    """A train config of four lines, `changes` to it, and `text` from line 5 on."""
    kept = {name: value for name, value in TRAIN.items() if name not in changes}
    return check(parse_document(yaml_of(kept | changes) + text, "train.yaml"), TrainConfig)


def merge(text: str) -> Checked[MergeConfig]:
    return check(parse_document(yaml_of(MERGE) + text, "merge.yaml"), MergeConfig)


def wizard(text: str) -> Checked[WizardConfig]:
    return check(parse_document(text, "config.yaml"), WizardConfig)


def problems(text: str, struct: Any = train) -> tuple[Problem, ...]:
    with pytest.raises(ConfigError) as caught:
        struct(text)
    assert all(problem.file for problem in caught.value.problems)
    assert all(problem.line for problem in caught.value.problems if problem.code != "missing_key")
    return caught.value.problems


def problem(text: str, struct: Any = train) -> Problem:
    (found,) = problems(text, struct)
    return found


def test_llamafactorys_stock_example_runs_as_it_stands() -> None:
    checked = check(parse_document(STOCK, "stock.yaml"), TrainConfig)
    config = checked.config
    assert (checked.notes, checked.passed, checked.secrets) == ((), {}, {})
    assert names(config.dataset) == ["identity", "alpaca_en_demo"]
    assert (config.learning_rate, config.num_train_epochs, config.warmup_ratio) == (1e-4, 3.0, 0.1)
    assert (config.lora_rank, config.lora_alpha, config.report_to) == (8, None, "none")
    assert config.resume_from_checkpoint is None
    assert (config.bf16, config.trust_remote_code, config.ddp_timeout) == (True, True, 180_000_000)


def test_defaults_are_llamafactorys() -> None:
    """Its documentation of 0.9.5 and transformers' own defaults; another default would train another model."""
    config = train().config
    assert (config.lora_rank, config.lora_dropout, config.lora_target, config.cutoff_len) == (8, 0.0, "all", 2048)
    assert (config.learning_rate, config.num_train_epochs, config.per_device_train_batch_size) == (5e-5, 3.0, 8)
    assert (config.lr_scheduler_type, config.weight_decay, config.max_grad_norm, config.seed) == ("linear", 0, 1, 42)
    assert (config.adam_beta1, config.adam_beta2, config.adam_epsilon) == (0.9, 0.999, 1e-8)
    assert (config.save_steps, config.logging_steps, config.warmup_steps, config.max_steps) == (500, 10, 0, -1)
    assert (config.bf16, config.fp16, config.dataset_dir, config.val_size) == (False, False, "data", 0)


@pytest.mark.parametrize("struct", [TrainConfig, MergeConfig, WizardConfig, DataSource])
def test_every_key_has_one_line_of_help(struct: Any) -> None:
    for name in fields(struct):
        text = meta(struct, name).description or ""
        assert 5 <= len(text) <= 110, name
        assert text.endswith(".") and "\n" not in text, name


def test_no_key_stands_in_two_tables() -> None:
    """Whichever came first would win in silence."""
    ours = {*fields(TrainConfig), *fields(MergeConfig)}
    written = [name for name, _ in entries()]
    assert len(written) == len(set(written)) > 200
    assert not set(written) & ours
    known = ours | {name for name, fate in fates().items() if fate.status != "alias"}
    assert {fate.new for fate in fates().values() if fate.status == "alias"} <= known


@pytest.mark.parametrize(
    ("typo", "meant"),
    [
        ("learing_rate", "learning_rate"),
        ("lora_rnak", "lora_rank"),
        ("output_dirs", "output_dir"),
        ("per_device_batch_size", "per_device_train_batch_size"),
        ("label_smoothing", "label_smoothing_factor"),
        ("neat_paking", "neat_packing"),
    ],
)
def test_a_typo_gets_the_nearest_key(typo: str, meant: str) -> None:
    found = problem(f"{typo}: 1\n")
    assert (found.code, found.key, found.line) == ("unknown_key", typo, 5)
    assert meant in found.params["near"]
    assert meant in render(found)


def test_a_key_like_no_other_suggests_nothing() -> None:
    assert problem("zzz: 1\n").code == "unknown_key_far"


@pytest.mark.parametrize(
    ("line", "expected", "found"),
    [
        ("lora_rank: x", "a whole number from 1 to 4096", "'x'"),
        ("lora_rank: 0", "a whole number from 1 to 4096", "0"),
        ("lora_rank: 4097", "a whole number from 1 to 4096", "4097"),
        ("lora_rank: 8.5", "a whole number from 1 to 4096", "8.5"),
        ("lora_rank: true", "a whole number from 1 to 4096", "true"),
        ("lora_rank: [8]", "a whole number from 1 to 4096", "a list"),
        ("lora_alpha: -1", "a whole number from 0 to 65536", "-1"),
        ("max_samples: 0", "a whole number of at least 1", "0"),
        ("learning_rate: 0", "a number above 0 and up to 10", "0"),
        ("learning_rate: .nan", "a number above 0 and up to 10", "nan"),
        ("learning_rate: .inf", "a number above 0 and up to 10", "inf"),
        ("learning_rate: '1e-4'", "a number above 0 and up to 10", "'1e-4'"),
        ("learning_rate: yes", "a number above 0 and up to 10", "true"),
        ("logging_steps: 0", "a number above 0", "0"),
        ("lora_dropout: 1", "a number from 0 to below 1", "1"),
        ("warmup_ratio: 1.5", "a number from 0 to 1", "1.5"),
        ("seed: 4294967296", "a whole number from 0 to 4294967295", "4294967296"),
        ("bf16: 1", "true or false", "1"),
        ("bf16: 'yes'", "true or false", "'yes'"),
        ("run_name: 5", "text", "5"),
        ("lora_target: [q_proj, 5]", "text or a list of texts", "a list"),
        ("finetuning_type: qlora", "one of lora, freeze, full", "'qlora'"),
        ("interleave_probs: true", "text or a list of numbers", "true"),
        ("flash_attn: true", "one of auto, disabled, sdpa, fa2, fa3", "true"),
        ("group_by_length: sometimes", "true or false", "'sometimes'"),
        ("eval_strategy: yes", "one of no, steps, epoch", "true"),
        ("eval_strategy: sometimes", "one of no, steps, epoch", "'sometimes'"),
        ("quantization_bit: 3", "one of 4, 8", "3"),
        ("label_smoothing_factor: text", "a number", "'text'"),
        ("label_smoothing_factor: .nan", "a number", "nan"),
        ("data_seed: true", "a whole number", "true"),
        ("torch_compile: 1", "true or false", "1"),
        ("val_size: 1.5", "a share below 1 or a whole number", "1.5"),
    ],
)
def test_a_wrong_value_says_what_the_key_takes(line: str, expected: str, found: str) -> None:
    wrong = problem(line + "\n")
    assert (wrong.code, wrong.key, wrong.line) == ("value_wrong", line.partition(":")[0], 5)
    assert {name: str(value) for name, value in wrong.params.items()} == {"expected": expected, "found": found}


def test_a_number_beyond_all_floats_is_out_of_bounds_not_a_crash() -> None:
    wrong = problem("lora_rank: " + "9" * 400 + "\n")
    assert wrong.code == "value_wrong"
    assert len(wrong.params["found"]) <= 80


def test_a_whole_number_serves_where_a_number_is_taken() -> None:
    assert train("num_train_epochs: 3\nsave_steps: 0.1\nval_size: 5\n").config.num_train_epochs == 3.0


@pytest.mark.parametrize("key", ["eval_strategy", "save_strategy"])
def test_no_is_a_strategy(key: str) -> None:
    assert getattr(train(f"{key}: no\n").config, key) == "no"
    assert getattr(train(f"{key}: 'no'\n").config, key) == "no"


def test_no_is_a_strategy_where_it_passes_through() -> None:
    assert train("logging_strategy: no\n").passed == {"logging_strategy": "no"}


def test_all_problems_of_a_file_come_at_once() -> None:
    text = "learing_rate: 1e-4\nlora_rank: x\nmodules_to_save: [a]\nstreaming: true\n"
    found = problems(text, lambda more: train(more, output_dir="''"))
    assert [(one.code, one.line) for one in found] == [
        ("unknown_key", 5),
        ("value_wrong", 6),
        ("key_refused", 7),
        ("key_refused", 8),
        ("missing_key", 4),
    ]


@pytest.mark.parametrize("key", ["model_name_or_path", "output_dir"])
@pytest.mark.parametrize("value", [None, "null", "''"])
def test_what_every_training_needs(key: str, value: str | None) -> None:
    left = {name: given for name, given in TRAIN.items() if name != key} | ({key: value} if value else {})
    with pytest.raises(ConfigError) as caught:
        check(parse_document(yaml_of(left), "f.yaml"), TrainConfig)
    (missing,) = caught.value.problems
    assert (missing.code, missing.key, missing.file) == ("missing_key", key, "f.yaml")
    assert missing.line == (4 if value else None)


def test_a_key_without_a_value_keeps_its_default_and_says_so() -> None:
    checked = train("lora_rank:\nmax_samples:\n")
    assert (checked.config.lora_rank, checked.config.max_samples) == (8, None)
    assert [(note.code, note.key, note.line, note.severity) for note in checked.notes] == [
        ("key_empty", "lora_rank", 5, "note")
    ]


@pytest.mark.parametrize(
    ("line", "code", "answer"),
    [
        ("modules_to_save: [lm_head]", "key_refused", "additional_target"),
        ("streaming: true", "key_refused", "max_samples"),
        ("use_unsloth: true", "key_refused", "enable_liger_kernel"),
        ("use_galore: true", "key_refused", "not possible with LoRA"),
        ("use_kt: true", "key_refused", "very large models"),
        ("use_swanlab: true", "key_refused", "report_to"),
        ("fp8: true", "key_refused", "bf16: true"),
        ("split: validation", "key_refused", "dataset_info.json"),
        ("tensor_model_parallel_size: 4", "key_refused", "USE_MCA"),
        ("finetuning_type: oft", "value_refused", "finetuning_type: lora"),
        ("quantization_method: hqq", "value_refused", "bnb"),
        ("quantization_method: gptq", "value_refused", "model_name_or_path"),
        ("template: llama", "value_refused", "llama2 or llama3"),
        ("template: chatglm", "value_refused", "chatglm3 or glm4"),
    ],
)
def test_keys_with_an_answer_of_their_own(line: str, code: str, answer: str) -> None:
    found = problem(line + "\n")
    assert found.code == code
    assert answer in render(found)


@pytest.mark.parametrize(
    ("stage", "answer"), [("pt", "raw text"), ("dpo", "TRL"), ("kto", "TRL"), ("ppo", "TRL"), ("rm", "TRL")]
)
def test_other_stages_are_refused_with_what_to_do_instead(stage: str, answer: str) -> None:
    found = problem("", lambda text: train(text, stage=stage))
    assert (found.code, found.key, found.line) == ("value_refused", "stage", 4)
    assert f"stage: {stage}" in render(found) and answer in render(found)


def test_legacy_weights_are_refused() -> None:
    assert merge("export_legacy_format: false\n").config.export_legacy_format is False
    found = problem("export_legacy_format: true\n", merge)
    assert (found.code, found.line) == ("value_refused", 4)
    assert "pickled" in render(found)


@pytest.mark.parametrize("line", ["deepspeed: null", "fsdp: ''", "streaming: false", "parallelism_config: {}"])
def test_a_key_that_asks_for_nothing_is_no_obstacle(line: str) -> None:
    checked = train(line + "\n")
    assert (checked.passed, checked.notes) == ({}, ())


@pytest.mark.parametrize("command", [train, merge])
def test_every_key_without_effect_is_silent_at_its_default_and_told_otherwise(command: Any) -> None:
    """LLaMA-Factory's own examples spell out defaults, and set keys of engines that are not on."""
    for name, fate in fates().items():
        if fate.status != "no effect" or fate.secret:
            continue
        assert command(dump({name: fate.default})).notes == (), name
        (note,) = command(f"{name}: another\n").notes
        assert (note.code, note.key, note.severity) == ("key_no_effect", name, "note")
        assert str(note.params["reason"]) in render(note)


@pytest.mark.parametrize("command", [train, merge])
def test_every_refused_key_is_fine_at_its_default_and_answered_otherwise(command: Any) -> None:
    for name, fate in fates().items():
        if fate.status == "not supported":
            assert command(dump({name: fate.default})).notes == (), name
            found = problem(f"{name}: another\n", command)
            assert (found.code, found.key) == ("key_refused", name)
            assert str(fate.reason) in render(found) and str(fate.instead) in render(found)


def test_an_option_of_something_that_is_off_does_not_stop_a_run() -> None:
    """A file that was copied from another and keeps a key of vLLM or DPO."""
    checked = train("vllm_maxlen: 8192\npref_beta: 0.2\nimage_max_pixels: 262144\nray_num_workers: 4\n")
    assert [(note.code, note.key) for note in checked.notes] == [
        ("key_no_effect", "vllm_maxlen"),
        ("key_no_effect", "pref_beta"),
        ("key_no_effect", "image_max_pixels"),
        ("key_no_effect", "ray_num_workers"),
    ]
    assert "infer_backend: vllm" in render(checked.notes[0])


def test_refused_values_are_told_by_kind() -> None:
    """`true` and `1` are equal to Python, and not to a person."""
    assert refused_value("export_legacy_format", True) and not refused_value("export_legacy_format", 1)
    assert refused_value("stage", "rm") and not refused_value("stage", "sft") and not refused_value("optim", "oft")


def test_training_arguments_pass_through_typed() -> None:
    checked = train("label_smoothing_factor: 1e-1\ndata_seed: 7\ntf32: null\ndebug: []\nlr_scheduler_kwargs: {a: 1}\n")
    assert checked.passed == {
        "label_smoothing_factor": 0.1,
        "data_seed": 7,
        "tf32": None,
        "debug": [],
        "lr_scheduler_kwargs": {"a": 1},
    }


def test_keys_that_change_nothing_are_told_not_swallowed() -> None:
    checked = train("remove_unused_columns: false\ngradient_checkpointing: true\nuse_reentrant_gc: true\n")
    assert [(note.code, note.key, note.line) for note in checked.notes] == [
        ("key_no_effect", "remove_unused_columns", 5),
        ("key_no_effect", "gradient_checkpointing", 6),
    ]


def test_the_old_name_of_bitsandbytes_quantises() -> None:
    """LLaMA-Factory 0.9.5 takes it for no method at all, and trains unquantised without a word."""
    checked = train("quantization_bit: 4\nquantization_method: bitsandbytes\n")
    assert (checked.config.quantization_method, [note.code for note in checked.notes]) == ("bnb", ["value_alias"])


def test_old_names_are_understood() -> None:
    checked = train("evaluation_strategy: steps\nval_size: 0.1\nno_cuda: true\n")
    assert (checked.config.eval_strategy, checked.config.use_cpu) == ("steps", True)
    assert [(note.code, note.key, note.line) for note in checked.notes] == [
        ("key_alias", "evaluation_strategy", 5),
        ("key_alias", "no_cuda", 7),
    ]
    assert problem("evaluation_strategy: sometimes\n").line == 5
    assert train("group_by_length: true\n").passed == {"train_sampling_strategy": "group_by_length"}
    assert train("adafactor: true\n").config.optim == "adafactor"
    assert train("group_by_length: false\nno_cuda: null\nadafactor: false\n").notes == ()
    assert train("new_special_tokens: <a>,<b>\n").config.add_special_tokens == "<a>,<b>"
    assert train("per_gpu_train_batch_size: 3\n").config.per_device_train_batch_size == 3
    assert train("push_to_hub_model_id: me/it\n").passed == {"hub_model_id": "me/it"}
    assert train("push_to_hub_token: hf_x\n").secrets == {"hub_token": "hf_x"}
    assert [note.code for note in train("use_cache: false\n").notes] == ["key_alias", "key_no_effect"]
    assert "duplicate_key" in {one.code for one in problems("evaluation_strategy: no\neval_strategy: steps\n")}


def test_keys_of_the_other_command_are_noted() -> None:
    """LLaMA-Factory refuses a training YAML at export; a user who keeps one file for both can."""
    checked = merge("learning_rate: 1e-4\nneftune_noise_alpha: 5\n")
    assert [(note.code, str(note.params["command"])) for note in checked.notes] == [
        ("key_other_command", "training")
    ] * 2
    assert [str(note.params["command"]) for note in train("export_size: 3\n").notes] == ["merging"]


@pytest.mark.parametrize("command", [train, merge])
@pytest.mark.parametrize("key", ["ms_hub_token", "om_hub_token", "swanlab_api_key", "swanlab_lark_secret"])
def test_a_secret_of_no_use_is_said_to_be_so_and_kept_nowhere(command: Any, key: str) -> None:
    checked = command(f"{key}: verysecret\n")
    (note,) = checked.notes
    assert (note.code, note.key, checked.secrets) == ("key_no_effect", key, {})
    assert "verysecret" not in f"{note}{render(note)}{checked.config}{checked.passed}"


@pytest.mark.parametrize("command", [train, merge])
@pytest.mark.parametrize("key", ["hub_token", "hf_hub_token"])
def test_a_secret_in_a_file_is_used_and_shown_nowhere(command: Any, key: str) -> None:
    checked = command(f"{key}: hf_verysecret\n")
    (note,) = checked.notes
    assert (note.code, note.severity, note.key) == ("secret_in_file", "warning", key)
    assert checked.secrets == {key: "hf_verysecret"}
    assert "verysecret" not in f"{note}{render(note)}{checked.config}{checked.passed}"


def test_a_secret_beside_a_mistake_is_not_shown_either() -> None:
    found = problems("hub_token: hf_verysecret\nhub_tokn: hf_verysecret\nlora_rank: x\n")
    assert "verysecret" not in "".join(f"{one}{render(one)}" for one in found)


def test_text_of_a_file_cannot_steer_the_terminal() -> None:
    found = problem('"\\e]0;owned\\a": 1\n')
    assert "\x1b" not in render(found) and "\x07" not in render(found)


@pytest.mark.parametrize(
    ("text", "code", "key", "line"),
    [
        ("trian: x\ndata:\n  source: a\n  name: b\n", "unknown_key", "trian", 1),
        ("train: 5\n", "value_wrong", "train", 1),
        ("data: 5\n", "value_wrong", "data", 1),
        ("version: 2\ntrain: x\n", "value_wrong", "version", 1),
        ("train: x\nquestions: Why?\n", "value_wrong", "questions", 2),
        ("data:\n  source: a\n", "missing_key", "name", 1),
        ("data:\n  source: a\n  name: b\n  nmae: c\n", "unknown_key", "nmae", 4),
        ("data:\n  source: a\n  name: b\n  format: chatml\n", "value_wrong", "format", 4),
        ("data:\n  source: a\n  name: b\n  max_samples: 0\n", "value_wrong", "max_samples", 4),
        ("data:\n  source: a\n  name: b\n  test_split: -1\n", "value_wrong", "test_split", 4),
    ],
)
def test_config_yaml_is_checked_down_to_its_last_line(text: str, code: str, key: str, line: int) -> None:
    found = problem(text, wizard)
    assert (found.code, found.key, found.line) == (code, key, line)
    assert found.params.get("expected", "something")


def test_config_yaml_holds_data() -> None:
    config = wizard("data:\n  source: a.csv\n  name: mine\n  map: {prompt: question}\n  test_split: 0.1\n").config
    assert config.data == DataSource(source="a.csv", name="mine", map={"prompt": "question"}, test_split=0.1)


def test_paths_become_absolute_and_hub_names_stay(tmp_path: Any) -> None:
    (tmp_path / "here").mkdir()
    config = absolute(
        train("adapter_name_or_path: x/y\nlogging_dir: l\nresume_from_checkpoint: true\n"), tmp_path
    ).config
    assert config.model_name_or_path == "m"
    assert (config.output_dir, config.dataset_dir) == (f"{tmp_path}/o", f"{tmp_path}/data")
    assert config.adapter_name_or_path == [f"{tmp_path}/x/y"]
    assert (config.logging_dir, config.resume_from_checkpoint) == (f"{tmp_path}/l", True)
    assert absolute(train(model_name_or_path="here"), tmp_path).config.model_name_or_path == f"{tmp_path}/here"
