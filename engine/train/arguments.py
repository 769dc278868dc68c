"""A train config as transformers' TrainingArguments, and who is told of its figures."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import torch
from transformers import TrainingArguments

from engine.config.rules import wants_best
from engine.config.schema import TrainConfig, names
from engine.errors import ConfigError, EnvironmentProblem, Problem
from engine.train.precision import Precision

_PACKAGES = {"azure_ml": "azureml", "comet_ml": "comet", "flyte": "flytekit"}  # as transformers asks for them


def trackers(config: TrainConfig) -> list[str]:
    """The trackers that report_to names; `all` is tensorboard, which needs no account."""
    wanted = names(config.report_to)
    if "all" in wanted:
        return ["tensorboard"]
    return [name for name in wanted if name != "none"]


def check_trackers(config: TrainConfig) -> None:
    """Raise before any work where a tracker is unknown or its package is missing."""
    from transformers.integrations import integration_utils

    known = integration_utils.INTEGRATION_TO_CALLBACK
    for name in trackers(config):
        if name not in known:
            raise ConfigError(Problem("tracker_unknown", {"name": name, "there": sorted(known)}, "report_to"))
        package = _PACKAGES.get(name, name)
        # Not by making its callback: a half-made one of mlflow or neptune complains when it is thrown away.
        if not getattr(integration_utils, f"is_{package}_available")():
            raise EnvironmentProblem(Problem("tracker_missing", {"name": name, "package": package}, "report_to"))


def training_arguments(
    config: TrainConfig, passed: dict[str, Any], precision: Precision, device: torch.device, sets: list[str]
) -> TrainingArguments:
    """TrainingArguments of `config` and what it passes through. `sets`: names of the evaluation sets, [] for none.

    Raises ConfigError with transformers' own words where the values do not go together.
    """
    warmup = config.warmup_steps if config.warmup_steps or not config.warmup_ratio else config.warmup_ratio
    values: dict[str, Any] = {
        "output_dir": config.output_dir,
        "per_device_train_batch_size": config.per_device_train_batch_size,
        "gradient_accumulation_steps": config.gradient_accumulation_steps,
        "learning_rate": config.learning_rate,
        "num_train_epochs": config.num_train_epochs,
        "max_steps": config.max_steps,
        "lr_scheduler_type": config.lr_scheduler_type,
        "warmup_steps": warmup,
        "optim": config.optim,
        "weight_decay": config.weight_decay,
        "adam_beta1": config.adam_beta1,
        "adam_beta2": config.adam_beta2,
        "adam_epsilon": config.adam_epsilon,
        "max_grad_norm": config.max_grad_norm,
        "bf16": precision.autocast == torch.bfloat16,
        "fp16": precision.autocast == torch.float16,
        "use_cpu": device.type == "cpu",
        "logging_steps": config.logging_steps,
        "save_strategy": config.save_strategy,
        "save_steps": config.save_steps,
        "save_only_model": config.save_only_model,
        "eval_strategy": config.eval_strategy,
        "eval_steps": config.eval_steps,
        "per_device_eval_batch_size": config.per_device_eval_batch_size,
        "dataloader_num_workers": config.dataloader_num_workers,
        "ddp_timeout": config.ddp_timeout,
        "run_name": config.run_name,
        "seed": config.seed,
        "report_to": [name for name in trackers(config) if name != "tensorboard"] or "none",
        "remove_unused_columns": False,
        "label_names": ["labels"],
        "disable_tqdm": True,
        "logging_nan_inf_filter": False,
        "prediction_loss_only": not config.compute_accuracy,
        "ddp_find_unused_parameters": False,
        "dataloader_pin_memory": device.type == "cuda",
        **passed,
    }
    _best(values, config, sets)
    try:
        return TrainingArguments(**values)
    except ValueError as error:
        reason = re.sub(r"\s+", " ", str(error)).replace("--", "")
        raise ConfigError(Problem("arguments_refused", {"reason": reason})) from None


def tracker_surroundings(config: TrainConfig, run: Path, boards: Path, passed: dict[str, Any]) -> None:
    """Tell trackers by their environment variables where to write, where a person has not."""
    os.environ["TENSORBOARD_LOGGING_DIR"] = str(Path(config.logging_dir) / run.name if config.logging_dir else boards)
    if "wandb" in trackers(config):
        os.environ.setdefault("WANDB_DIR", str(run))
        os.environ.setdefault("WANDB_PROJECT", passed.get("project") or "sft-wizard")
        os.environ.setdefault("WANDB_NAME", config.run_name or run.name)


def metrics_of(config: TrainConfig, sets: list[str]) -> list[str]:
    """Names of what an evaluation of these sets measures, such as eval_loss or eval_other_accuracy."""
    prefixes = ["eval"] if sets == ["eval"] else [f"eval_{name}" for name in sets]
    kinds = ["loss", "accuracy"] if config.compute_accuracy else ["loss"]
    if config.predict_with_generate:
        kinds = ["rouge-1", "rouge-2", "rouge-l", "bleu-4"]
    return [f"{prefix}_{kind}" for prefix in prefixes for kind in kinds]


def _best(values: dict[str, Any], config: TrainConfig, sets: list[str]) -> None:
    """Settle by what the best checkpoint is chosen, before a run fails at its first measurement for it."""
    key = wants_best(config, values)
    if key is None:
        return
    if config.eval_strategy == "no" or not sets:  # a folder of tokens may hold none
        raise ConfigError(Problem("best_without_eval", {"key": key}, key))
    there = metrics_of(config, sets)
    given = values.get("metric_for_best_model") or "loss"
    name = given if given.startswith("eval_") else f"eval_{given}"
    if name not in there:
        raise ConfigError(Problem("best_metric_unknown", {"given": given, "there": there}, "metric_for_best_model"))
    values["metric_for_best_model"] = given
