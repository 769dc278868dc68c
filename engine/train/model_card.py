"""README.md of what a run saves: a model card with the front matter that model hubs read."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

from engine.config.schema import TrainConfig, names
from engine.storage import write_whole
from engine.train.whole import is_adapter

_NAMES = {"loss": "Loss", "accuracy": "Accuracy", "rouge-1": "ROUGE-1", "rouge-2": "ROUGE-2", "rouge-l": "ROUGE-L"}


def write_card(folder: Path, config: TrainConfig, base: str, trainer: Any) -> None:
    """Write README.md of `folder` from the config, the base model's name and Trainer's log."""
    text = "\n".join([_front(folder.name, config, base, is_adapter(trainer.model)), *_body(folder.name, config, base)])
    text += "\n".join(["", *_hyperparameters(config, trainer), "", *_results(trainer), "", *_versions()]) + "\n"
    write_whole(folder / "README.md", text, mode=0o644)


def _front(name: str, config: TrainConfig, base: str, adapter: bool) -> str:
    tags = ["sft-wizard", config.finetuning_type, "transformers"]
    if adapter:
        tags.insert(0, f"base_model:adapter:{base}")
    front = {
        "library_name": "peft" if adapter else "transformers",
        "license": "other",
        "base_model": base,
        "tags": tags,
        "pipeline_tag": "text-generation",
        "model-index": [{"name": name, "results": []}],
    }
    return f"---\n{yaml.safe_dump(front, sort_keys=False, allow_unicode=True)}---\n"


def _body(name: str, config: TrainConfig, base: str) -> list[str]:
    sets = ", ".join(names(config.dataset)) or Path(config.tokenized_path or "").name
    kind = {"lora": "LoRA adapter for", "freeze": "partly fine-tuned version of", "full": "fine-tuned version of"}
    return [
        f"# {name}",
        "",
        f"A {kind[config.finetuning_type]} {base}, trained with sft-wizard on {sets}.",
        "",
        "## Training and evaluation data",
        "",
        f"- dataset: {sets}",
        *([f"- eval_dataset: {', '.join(names(config.eval_dataset))}"] if config.eval_dataset else []),
        *([f"- val_size: {config.val_size:g}"] if config.val_size else []),
        f"- template: {config.template or 'none'}",
        f"- cutoff_len: {config.cutoff_len}",
        "",
        "## Training procedure",
        "",
    ]


def _hyperparameters(config: TrainConfig, trainer: Any) -> list[str]:
    given, lines = trainer.args, ["### Training hyperparameters", ""]
    scheduler = getattr(given.lr_scheduler_type, "value", given.lr_scheduler_type)
    optimiser = getattr(given.optim, "value", given.optim)
    values = {
        "finetuning_type": config.finetuning_type,
        "learning_rate": given.learning_rate,
        "train_batch_size": given.train_batch_size,
        "eval_batch_size": given.eval_batch_size,
        "seed": given.seed,
        "gradient_accumulation_steps": given.gradient_accumulation_steps,
        "total_train_batch_size": given.train_batch_size * given.gradient_accumulation_steps * given.world_size,
        "optimizer": f"{optimiser} with betas=({given.adam_beta1},{given.adam_beta2}) and epsilon={given.adam_epsilon}",
        "lr_scheduler_type": scheduler,
        "warmup_steps": given.warmup_steps,
        "num_epochs": given.num_train_epochs,
        "training_steps": trainer.state.max_steps,
    }
    if config.finetuning_type == "lora":
        values |= {"lora_rank": config.lora_rank, "lora_target": ",".join(names(config.lora_target))}
    return lines + [f"- {name}: {value}" for name, value in values.items()]


def _results(trainer: Any) -> list[str]:
    """A table of what was measured while training: a row a measurement."""
    lines, training, rows = ["### Training results", ""], None, dict[int, dict[str, Any]]()
    for entry in trainer.state.log_history:
        training = entry.get("loss", training)
        measured = {key: value for key, value in entry.items() if key.startswith("eval_") and _figure(key)}
        if measured:
            row = rows.setdefault(entry["step"], {"epoch": entry.get("epoch", 0.0), "loss": training})
            row |= measured
    keys = list(dict.fromkeys(key for row in rows.values() for key in row if key.startswith("eval_")))
    if not keys:
        return [*lines, "Nothing was measured while training."]
    lines += [f"| Training loss | Epoch | Step | {' | '.join(map(_title, keys))} |", "|---" * (3 + len(keys)) + "|"]
    for step, row in rows.items():
        before = "–" if row["loss"] is None else f"{row['loss']:.4f}"
        figures = " | ".join(f"{row[key]:.4f}" if key in row else "–" for key in keys)
        lines.append(f"| {before} | {row['epoch']:.4f} | {step} | {figures} |")
    return lines


def _figure(key: str) -> bool:
    return not key.endswith(("_runtime", "_per_second", "_preparation_time"))


def _title(key: str) -> str:
    """eval_other_loss → Validation loss (other)."""
    kind = key.rpartition("_")[2]
    name = key.removeprefix("eval_").removesuffix(kind).rstrip("_")
    return f"{_NAMES.get(kind, kind)}{f' ({name})' if name else ''}".replace("Loss", "Validation loss")


def _versions() -> list[str]:
    found = {name: version(package) for name, package in _PACKAGES.items()}
    return ["### Framework versions", "", *(f"- {name} {number}" for name, number in found.items())]


_PACKAGES = {
    "sft-wizard": "sft-wizard",
    "PEFT": "peft",
    "Transformers": "transformers",
    "Pytorch": "torch",
    "Tokenizers": "tokenizers",
}
