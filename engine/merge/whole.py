"""The last resort: the whole model in memory, merged by peft, saved by transformers."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from peft.tuners.tuners_utils import BaseTunerLayer
from peft.utils.other import AuxiliaryTrainingWrapper
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForImageTextToText

from engine.errors import ConfigError, Problem
from engine.merge.arithmetic import check_finite


def load_whole(folder: Path, trust_remote_code: bool) -> Any:
    """The model of a folder with its weights in fp32, on the CPU, in eval mode."""
    config = AutoConfig.from_pretrained(folder, trust_remote_code=trust_remote_code)
    multimodal = type(config) in AutoModelForImageTextToText._model_mapping
    auto = AutoModelForImageTextToText if multimodal else AutoModelForCausalLM
    return auto.from_pretrained(folder, dtype=torch.float32, trust_remote_code=trust_remote_code).eval()


def merge_whole(
    base: Path, adapter: Path, out: Path, max_shard_bytes: int, dtype: str | None, trust_remote_code: bool
) -> tuple[int, int, int, str]:
    """Merge in fp32, round once to `dtype` (None: the base's) and save into the folder `out`.

    Returns tensors, changed tensors, tensor bytes and the dtype. Raises ConfigError when the adapter changes one side
    of tied embeddings, which merge_and_unload gets wrong, and RunError `merge_not_finite`.
    """
    config = AutoConfig.from_pretrained(base, trust_remote_code=trust_remote_code)
    target = getattr(torch, dtype) if dtype else (getattr(config, "dtype", None) or torch.float32)
    model = load_whole(base, trust_remote_code)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # peft's words on tied weights: refused just below
        tuned = PeftModel.from_pretrained(model, str(adapter))
    wrappers = [n for n, m in model.named_modules() if isinstance(m, BaseTunerLayer | AuxiliaryTrainingWrapper)]
    tied = dict(getattr(model, "all_tied_weights_keys", None) or {})
    if any(name.rpartition(".")[0] in wrappers for pair in tied.items() for name in pair):
        raise ConfigError(Problem("merge_whole_model_tied"))
    merged = tuned.merge_and_unload()
    for name, parameter in merged.named_parameters():
        if parameter.is_floating_point():
            check_finite(name, parameter.data, target)
    merged.to(target)
    merged.save_pretrained(out, max_shard_size=max_shard_bytes)
    parameters = dict(merged.named_parameters())
    size = sum(p.numel() * p.element_size() for p in parameters.values())
    return len(parameters), len(wrappers), size, str(target).removeprefix("torch.")
