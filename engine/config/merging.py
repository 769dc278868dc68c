"""A training config given to export: what merges the adapter that it trains."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from engine.config.checking import check
from engine.config.finding import trains
from engine.config.reading import Document
from engine.config.schema import MergeConfig, TrainConfig, fields, names
from engine.errors import Problem

# What a quantised base looked like while training is asked for, not carried over: see merge_onto.
_ONLY_ASKED = {"quantization_bit", "quantization_method", "quantization_type", "double_quantization"}


def merges_training(document: Document) -> bool:
    """Whether a file with an export_dir is a training config otherwise, so that what it trains is to be merged."""
    asked = "export_dir" in document.overridden or not names(document.values.get("adapter_name_or_path"))
    return trains(document) and "output_dir" in document.values and asked


def of_training(document: Document) -> tuple[Document, Problem]:
    """The merge config of a training config's outcome, and a note that says so. Raises ConfigError as training would.

    Adapters that training merged into the base first come before the trained one.
    """
    own = {name for name in fields(MergeConfig) if name not in fields(TrainConfig)}
    values = {name: value for name, value in document.values.items() if name not in own}
    train = check(Document(document.file, values, document.lines, document.overridden), TrainConfig).config
    carried = set(fields(MergeConfig)) & set(fields(TrainConfig))
    if "merge_onto" not in document.values:
        carried -= _ONLY_ASKED
    merged: dict[str, Any] = {name: document.values[name] for name in document.values if name in own | carried}
    merged.pop("adapter_folder", None)
    merged.pop("adapter_name_or_path", None)
    if train.finetuning_type == "lora":
        inside = train.adapter_folder or ""
        before = [str(Path(name) / inside) for name in names(train.adapter_name_or_path)]
        merged["adapter_name_or_path"] = [*(before if train.create_new_adapter else before[:-1]), train.output_dir]
    else:
        merged["model_name_or_path"] = train.output_dir
    note = Problem("merge_of_training", {"folder": train.output_dir}, file=document.file, severity="note")
    return Document(document.file, merged, document.lines, document.overridden), note
