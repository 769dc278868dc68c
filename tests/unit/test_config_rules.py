"""Rules between keys: each combination that LLaMA-Factory 0.9.5 refuses is refused before anything is loaded."""

from __future__ import annotations

import pytest

from engine.config.checking import Checked, check
from engine.config.reading import parse_document
from engine.config.schema import TrainConfig
from engine.errors import ConfigError
from engine.messages import render

HEAD = "model_name_or_path: m\noutput_dir: o\n"
DATA = "dataset: a,b\n"


def train(text: str) -> Checked[TrainConfig]:
    return check(parse_document(HEAD + text, "train.yaml"), TrainConfig)


# LLaMA-Factory's own words for each are in its hparams/parser.py, data_args.py and finetuning_args.py of 0.9.5.
@pytest.mark.parametrize(
    ("text", "code", "key", "fix"),
    [
        ("", "dataset_missing", "dataset", "tokenized_path"),
        ("dataset: ' , '\n", "dataset_missing", "dataset", "dataset_info.json"),
        (DATA + "val_size: 0.1\neval_dataset: c\n", "val_size_and_eval_dataset", "val_size", "Keep eval_dataset"),
        (
            "do_predict: true\npredict_with_generate: true\nval_size: 5\n",
            "val_size_without_dataset",
            "val_size",
            "Add dataset",
        ),
        (DATA + "val_size: 1.5\n", "value_wrong", "val_size", "whole number"),
        (DATA + "interleave_probs: 0.3,0.7\n", "probs_with_concat", "interleave_probs", "interleave_under"),
        (
            DATA + "mix_strategy: interleave_over\ninterleave_probs: [0.3, 0.3, 0.4]\n",
            "probs_count",
            "interleave_probs",
            "3 shares for 2",
        ),
        (
            DATA + "eval_dataset: c\nmix_strategy: interleave_under\ninterleave_probs: 0.5,0.5\n",
            "probs_count",
            "interleave_probs",
            "2 shares for 1",
        ),
        (DATA + "mask_history: true\ntrain_on_prompt: true\n", "mask_and_prompt", "mask_history", "Keep one"),
        (DATA + "do_train: false\n", "nothing_asked", "do_train", "do_predict: true"),
        (DATA + "do_predict: true\neval_dataset: c\n", "predict_needs_generate", "do_predict", "predict_with_generate"),
        (DATA + "eval_strategy: steps\n", "eval_without_rows", "eval_strategy", "val_size: 0.05"),
        (DATA + "predict_with_generate: true\n", "eval_without_rows", "predict_with_generate", "eval_dataset"),
        (
            DATA + "val_size: 0.1\npredict_with_generate: true\ncompute_accuracy: true\n",
            "accuracy_and_generate",
            "compute_accuracy",
            "while training",
        ),
        (
            DATA + "val_size: 0.1\nearly_stopping_steps: 2\n",
            "best_without_eval",
            "early_stopping_steps",
            "eval_strategy",
        ),
        (
            DATA + "val_size: 0.1\nload_best_model_at_end: true\n",
            "best_without_eval",
            "load_best_model_at_end",
            "eval_strategy",
        ),
        (DATA + "bf16: true\nfp16: true\n", "bf16_and_fp16", "fp16", "Keep bf16"),
        (DATA + "finetuning_type: full\nuse_dora: true\n", "only_with_lora", "use_dora", "finetuning_type: lora"),
        (DATA + "finetuning_type: full\nuse_rslora: true\n", "only_with_lora", "use_rslora", "not full"),
        (DATA + "finetuning_type: freeze\npissa_init: true\n", "only_with_lora", "pissa_init", "not freeze"),
        (DATA + "finetuning_type: full\nloraplus_lr_ratio: 16\n", "only_with_lora", "loraplus_lr_ratio", "Remove"),
        (DATA + "finetuning_type: full\nadapter_name_or_path: a\n", "only_with_lora", "adapter_name_or_path", "Remove"),
        (
            DATA + "finetuning_type: full\nquantization_bit: 4\n",
            "quantised_only_lora",
            "quantization_bit",
            "finetuning_type: lora",
        ),
        (DATA + "quantization_bit: 4\npissa_init: true\n", "quantised_pissa", "pissa_init", "Remove one"),
        (DATA + "quantization_bit: 4\nresize_vocab: true\n", "quantised_vocab", "resize_vocab", "Remove it"),
        (DATA + "quantization_bit: 4\nadd_tokens: x\n", "quantised_vocab", "add_tokens", "Remove it"),
        (
            DATA + "quantization_bit: 8\ncreate_new_adapter: true\nadapter_name_or_path: a\n",
            "quantised_new_adapter",
            "create_new_adapter",
            "sft-wizard export",
        ),
        (
            DATA + "quantization_bit: 8\nadapter_name_or_path: [a, b]\n",
            "quantised_adapters",
            "adapter_name_or_path",
            "sft-wizard export",
        ),
    ],
)
def test_what_does_not_go_together_is_told_with_the_line_and_the_way_out(
    text: str, code: str, key: str, fix: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        train(text)
    (found,) = caught.value.problems
    assert (found.code, found.key, found.file) == (code, key, "train.yaml")
    lines = [line.partition(":")[0] for line in (HEAD + text).splitlines()]
    assert found.line == (lines.index(key) + 1 if key in lines else None)
    assert fix in render(found)


@pytest.mark.parametrize(
    "text",
    [
        "tokenized_path: there\n",
        "tokenized_path: there\neval_strategy: steps\n",  # it may hold a validation split
        "do_predict: true\npredict_with_generate: true\neval_dataset: c\n",
        DATA + "mix_strategy: interleave_under\ninterleave_probs: 0.3,0.7\n",
        "dataset: a\nmix_strategy: interleave_under\ninterleave_probs: 1.0\n",
        DATA + "eval_strategy: steps\neval_dataset: c\n",
        DATA + "val_size: 5\neval_strategy: steps\nearly_stopping_steps: 2\nload_best_model_at_end: true\n",
        DATA + "adapter_name_or_path: a,b\n",
        DATA + "adapter_name_or_path: [a, b]\ncreate_new_adapter: true\n",
        DATA + "quantization_bit: 4\nadapter_name_or_path: a\nuse_dora: true\n",
        DATA + "finetuning_type: freeze\nresize_vocab: true\n",
    ],
)
def test_what_goes_together_is_taken(text: str) -> None:
    assert train(text).notes == ()


def test_predicting_alone_does_not_train() -> None:
    """LLaMA-Factory's predict example has no do_train, whose default is false there."""
    alone = train("do_predict: true\npredict_with_generate: true\neval_dataset: c\n").config
    both = train(DATA + "do_train: true\ndo_predict: true\npredict_with_generate: true\neval_dataset: c\n").config
    assert (alone.do_train, both.do_train, train(DATA).config.do_train) == (False, True, True)


def test_pure_bf16_on_a_cpu_is_noted() -> None:
    (note,) = train(DATA + "pure_bf16: true\nuse_cpu: true\n").notes
    assert (note.code, note.key, note.severity) == ("pure_bf16_on_cpu", "pure_bf16", "note")
