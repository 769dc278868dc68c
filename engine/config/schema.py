"""The one table of keys: type, default, bounds, help and the range people use, as annotations of three structures.

A key that is added here is read, checked, overridable with `--set`, written with its comment by `new` and listed in
the docs; nothing else needs to change. Names and defaults are LLaMA-Factory 0.9.5's.
"""

from __future__ import annotations

from functools import cache
from typing import Annotated, Any, Literal, get_type_hints

import msgspec
from msgspec import Meta, Struct

from engine.config.key import HUB_FOLDER, MODEL, REMOTE_CODE, REVISION, TEMPLATE, Names, key
from engine.config.training_keys import MeasuringKeys


# Each part of the table adds to the one before it (msgspec knows one base only): model, method, data, output, training,
# measuring, and here the run's own.
class TrainConfig(MeasuringKeys, kw_only=True, forbid_unknown_fields=True):
    """A LLaMA-Factory training config, as far as this version implements it."""

    seed: Annotated[int, key("Start of all random numbers.", ge=0, le=2**32 - 1)] = 42
    resume_from_checkpoint: Annotated[
        str | bool | None,
        key("A checkpoint folder to go on from; null finds the newest by itself.", identity=False, path=True),
    ] = None


class MergeConfig(Struct, kw_only=True, forbid_unknown_fields=True):
    """A LLaMA-Factory merge (export) config."""

    model_name_or_path: Annotated[str, MODEL]
    adapter_name_or_path: Annotated[
        Names | None, key("The adapter to merge into it; several are merged in order.", basic=True, path=True)
    ] = None
    adapter_folder: Annotated[str | None, key("Folder inside adapter_name_or_path that holds the adapter.")] = None
    cache_dir: Annotated[str | None, HUB_FOLDER] = None
    model_revision: Annotated[str, REVISION] = "main"
    trust_remote_code: Annotated[bool, REMOTE_CODE] = False
    template: Annotated[str | None, TEMPLATE] = None
    default_system: Annotated[
        str | None, key("System prompt where none is given, written to the Modelfile; null keeps the template's.")
    ] = None
    finetuning_type: Annotated[
        Literal["lora", "freeze", "full"],
        key("How the model was trained: lora has an adapter, freeze and full have none."),
    ] = "lora"
    merge_onto: Annotated[
        Literal["base", "dequantised"] | None,
        key("For an adapter trained on a quantised base: the base as it is, or as the adapter saw it."),
    ] = None
    quantization_bit: Annotated[
        Literal[4, 8] | None,
        key("Bits of the base in training; without merge_onto, setting it means merge_onto: dequantised."),
    ] = None
    quantization_method: Annotated[Literal["bnb", "bitsandbytes"], key("Who quantised: bnb is bitsandbytes.")] = "bnb"
    quantization_type: Annotated[Literal["nf4", "fp4"], key("Number format of the 4-bit base in training.")] = "nf4"
    double_quantization: Annotated[bool, key("Whether its scales were quantised too.")] = True
    export_dir: Annotated[str, key("Where the merged model goes.", basic=True, path=True)]
    export_size: Annotated[float, key("Largest file of the merged model in GB.", usual="2–5", gt=0, le=10_000)] = 5
    export_device: Annotated[
        Literal["cpu", "auto"], key("Accepted for compatibility: merging streams through the CPU.")
    ] = "cpu"
    infer_dtype: Annotated[
        Literal["auto", "float16", "bfloat16", "float32"],
        key("Number format of the merged model; auto keeps the base's."),
    ] = "auto"
    export_legacy_format: Annotated[bool, key("Must stay false: models are written as safetensors.")] = False

    @property
    def adapters(self) -> list[str]:
        """The adapters' folders in the order of merging; none for a model that is only saved again."""
        inside = self.adapter_folder
        return [f"{name.rstrip('/')}/{inside}" if inside else name for name in names(self.adapter_name_or_path)]

    @property
    def dequantise(self) -> bool:
        """Whether to merge onto the weights that a quantised base stood for."""
        return self.merge_onto == "dequantised" or (self.merge_onto is None and self.quantization_bit is not None)

    @property
    def dtype(self) -> str | None:
        """The number format asked for; None keeps the base's."""
        return None if self.infer_dtype == "auto" else self.infer_dtype

    @property
    def shard_bytes(self) -> int:
        """export_size in bytes."""
        return int(self.export_size * 1e9)


class DataSource(Struct, kw_only=True, forbid_unknown_fields=True):
    """The `data:` part of config.yaml: a file to convert and register before training."""

    source: Annotated[str, key("The file to convert: csv, tsv, json, jsonl or parquet.", path=True)]
    name: Annotated[str, key("Name of the dataset; <name>_train and <name>_test are registered.")]
    format: Annotated[Literal["alpaca", "sharegpt"], key("What to convert to.")] = "alpaca"
    map: Annotated[dict[str, str], key("Field: column, such as prompt: question.")] = {}
    instruction: Annotated[str | None, key("The same instruction for every row.")] = None
    system: Annotated[str | None, key("The same system prompt for every row.")] = None
    max_samples: Annotated[int | None, key("Take only so many rows.", ge=1)] = None
    test_split: Annotated[float, key("Rows set aside as <name>_test: a share below 1, or a count.", ge=0)] = 0


class WizardConfig(Struct, kw_only=True, forbid_unknown_fields=True):
    """config.yaml: the whole job. `train` and `merge` are a path or the mapping itself."""

    version: Annotated[Literal[1], key("Version of this format.")] = 1
    project: Annotated[str | None, key("Name of the project.")] = None
    data: Annotated[DataSource | None, key("A file to convert first.")] = None
    train: Annotated[str | dict[str, Any] | None, key("The training config.")] = None
    merge: Annotated[str | dict[str, Any] | None, key("The merge config.")] = None
    questions: Annotated[list[str], key("Asked of the base and of the tuned model at the end.")] = []
    require_gpu: Annotated[bool, key("End with an error where there is no GPU, instead of a slow run.")] = False


@cache
def fields(struct: type[Struct]) -> dict[str, msgspec.structs.FieldInfo]:
    """{key: field} in the table's order."""
    return {field.name: field for field in msgspec.structs.fields(struct)}


@cache
def hints(struct: type[Struct]) -> dict[str, Any]:
    """{key: its annotated type}."""
    return get_type_hints(struct, include_extras=True)


@cache
def meta(struct: type[Struct], name: str) -> Meta:
    """What `key(...)` said of it."""
    found: Meta = next(part for part in hints(struct)[name].__metadata__ if isinstance(part, Meta))
    return found


def bounds(struct: type[Struct], name: str) -> dict[str, float]:
    """Its bounds as far as it has any: ge, gt, le, lt."""
    found = (meta(struct, name).extra or {}).get("bounds", {})
    return {sign: bound for sign, bound in found.items() if bound is not None}


def is_path(struct: type[Struct], name: str) -> bool:
    """Whether the key names a file or folder."""
    extra = meta(struct, name).extra or {}
    return bool(extra.get("path"))


def names(value: Names | None) -> list[str]:
    """A comma-separated string or a list, as a list."""
    if value is None:
        return []
    parts = value.split(",") if isinstance(value, str) else value
    return [part.strip() for part in parts if part.strip()]
