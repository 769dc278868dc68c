"""The one table of keys: type, default, bounds, help and the range people use, as annotations of three structures.

A key that is added here is read, checked, overridable with `--set`, written with its comment by `new` and listed in
the docs; nothing else needs to change. Names and defaults are LLaMA-Factory 0.9.5's.
"""

from __future__ import annotations

from functools import cache
from typing import Annotated, Any, Literal, get_type_hints

import msgspec
from msgspec import Meta, Struct


def key(
    text: str,
    *,
    usual: str = "",
    ge: float | None = None,
    gt: float | None = None,
    le: float | None = None,
    lt: float | None = None,
    basic: bool = False,
    identity: bool = True,
    path: bool = False,
) -> Meta:
    """Describe a key: one line of help, the range people use, its bounds.

    basic: shown before the advanced ones. identity: changes what is learned, so it tells one run from another.
    path: a file or folder, relative to where the config says.
    """
    # msgspec puts bounds on plain numbers only, not on `int | None`: they are kept here and checked in checking.py.
    bounds = {"ge": ge, "gt": gt, "le": le, "lt": lt}
    extra = {"usual": usual, "basic": basic, "identity": identity, "path": path, "bounds": bounds}
    return Meta(description=text, extra=extra)


Names = str | list[str]
Switch = Literal["no", "steps", "epoch"]
Scheduler = Literal[
    "linear",
    "cosine",
    "cosine_with_restarts",
    "polynomial",
    "constant",
    "constant_with_warmup",
    "inverse_sqrt",
    "reduce_lr_on_plateau",
    "cosine_with_min_lr",
    "cosine_warmup_with_min_lr",
    "warmup_stable_decay",
]

MODEL = key("Base model: a folder, a hub name, or smollm2-135m (built in).", basic=True, path=True)
REMOTE_CODE = key("Run Python code that comes with the model. Only for models you trust.", identity=False)
TEMPLATE = key("How a conversation is written out for the model: auto is the model's own chat template.", basic=True)
ADAPTERS = Annotated[Names | None, key("Adapter folder; when training, one to go on from.", path=True)]


class TrainConfig(Struct, kw_only=True, forbid_unknown_fields=True):
    """A LLaMA-Factory training config, as far as this version implements it."""

    # model
    model_name_or_path: Annotated[str, MODEL]
    adapter_name_or_path: ADAPTERS = None
    trust_remote_code: Annotated[bool, REMOTE_CODE] = False
    quantization_bit: Annotated[
        Literal[4, 8] | None, key("Load the base in 4 or 8 bits (bitsandbytes, GPU): less memory, slower, not exact.")
    ] = None
    quantization_method: Annotated[Literal["bnb", "bitsandbytes"], key("Who quantises: bnb is bitsandbytes.")] = "bnb"
    quantization_type: Annotated[Literal["nf4", "fp4"], key("Number format of a 4-bit base.")] = "nf4"
    double_quantization: Annotated[bool, key("Quantise the scales of a 4-bit base too.")] = True

    # method
    stage: Annotated[Literal["sft"], key("The kind of training: sft, supervised fine-tuning.")] = "sft"
    do_train: Annotated[bool, key("Train.", identity=False)] = True
    finetuning_type: Annotated[Literal["lora"], key("lora trains a small adapter; the base stays as it is.")] = "lora"
    lora_target: Annotated[Names, key("Which linear layers get an adapter: all, or names such as q_proj,v_proj.")] = (
        "all"
    )
    lora_rank: Annotated[
        int,
        key("Size of the adapter: higher learns more and takes more memory.", usual="4–64", ge=1, le=4096, basic=True),
    ] = 8
    lora_alpha: Annotated[
        int | None, key("Strength of the adapter.", usual="twice the rank", ge=0, le=65536, basic=True)
    ] = None
    lora_dropout: Annotated[
        float, key("Share of adapter inputs dropped while training, against overfitting.", usual="0–0.1", ge=0, lt=1)
    ] = 0.0
    use_rslora: Annotated[bool, key("Scale by alpha/sqrt(rank) instead of alpha/rank, for high ranks.")] = False
    additional_target: Annotated[
        Names | None, key("Modules trained in full and saved with the adapter, such as embed_tokens,lm_head.")
    ] = None

    # data
    dataset_dir: Annotated[str, key("Folder that holds dataset_info.json.", path=True)] = "data"
    dataset: Annotated[Names, key("Names in dataset_info.json, several with commas.", basic=True)]
    template: Annotated[str | None, TEMPLATE] = None
    cutoff_len: Annotated[
        int, key("Longest sample in tokens; longer ones are cut.", usual="512–4096", ge=1, le=10_000_000, basic=True)
    ] = 2048
    max_samples: Annotated[int | None, key("Take only the first rows of each dataset.", ge=1)] = None
    overwrite_cache: Annotated[bool, key("Tokenise again even where a cached result fits.", identity=False)] = False
    preprocessing_num_workers: Annotated[
        int | None, key("Threads for tokenising at most.", usual="your cores", ge=1, le=1024, identity=False)
    ] = None
    dataloader_num_workers: Annotated[
        int,
        key("Processes that load batches; 0 loads in the training process.", usual="0–4", ge=0, le=256, identity=False),
    ] = 0
    val_size: Annotated[
        float, key("Rows held back to measure on: a share below 1, or a count.", usual="0.01–0.1", ge=0)
    ] = 0.0

    # output
    output_dir: Annotated[str, key("Where the adapter and its checkpoints go.", basic=True, path=True)]
    logging_steps: Annotated[float, key("Steps between two lines of log.", usual="1–10", gt=0, identity=False)] = 10
    save_strategy: Annotated[Switch, key("When to write a checkpoint.", identity=False)] = "steps"
    save_steps: Annotated[
        float, key("Steps between two checkpoints, from which a run resumes.", usual="50–500", gt=0, identity=False)
    ] = 500
    save_total_limit: Annotated[
        int | None, key("Keep only so many checkpoints.", usual="2–5", ge=1, identity=False)
    ] = None
    save_only_model: Annotated[
        bool, key("Checkpoints without optimiser state: smaller, but a run cannot resume from them.", identity=False)
    ] = False
    plot_loss: Annotated[bool, key("Write training_loss.png.", identity=False)] = False
    overwrite_output_dir: Annotated[
        bool, key("Let another config use output_dir; what is there is moved aside.", identity=False)
    ] = False
    logging_dir: Annotated[
        str | None,
        key("Where TensorBoard files go (default: the run's folder under logs/).", identity=False, path=True),
    ] = None
    report_to: Annotated[Names | None, key("Who is told of the figures: tensorboard, wandb, none.", identity=False)] = (
        "tensorboard"
    )
    run_name: Annotated[str | None, key("A name for the run.", identity=False)] = None

    # training
    per_device_train_batch_size: Annotated[
        int, key("Samples per device at a time.", usual="2–8", ge=1, le=65536, basic=True)
    ] = 8
    gradient_accumulation_steps: Annotated[
        int, key("Batches added up before the weights move.", usual="1–16", ge=1, le=65536, basic=True)
    ] = 1
    learning_rate: Annotated[float, key("Size of a step.", usual="1e-4 to 5e-4 for LoRA", gt=0, le=10, basic=True)] = (
        5e-5
    )
    num_train_epochs: Annotated[float, key("Times through the data.", usual="1–5", gt=0, le=100_000, basic=True)] = 3.0
    max_steps: Annotated[int, key("Stop after so many steps, whatever the epochs say; -1: no limit.", ge=-1)] = -1
    lr_scheduler_type: Annotated[Scheduler, key("How the learning rate falls over the run.", usual="cosine")] = "linear"
    warmup_ratio: Annotated[
        float | None, key("Share of the run over which the learning rate rises.", usual="0.03–0.1", ge=0, le=1)
    ] = None
    warmup_steps: Annotated[float, key("The same as a number of steps.", ge=0)] = 0
    optim: Annotated[str, key("Optimiser.", usual="adamw_torch_fused, paged_adamw_8bit")] = "adamw_torch_fused"
    weight_decay: Annotated[float, key("Pull of the weights towards zero.", usual="0–0.1", ge=0, le=10)] = 0.0
    adam_beta1: Annotated[float, key("AdamW's first decay.", usual="0.9", ge=0, lt=1)] = 0.9
    adam_beta2: Annotated[float, key("AdamW's second decay.", usual="0.95–0.999", ge=0, lt=1)] = 0.999
    adam_epsilon: Annotated[float, key("AdamW's guard against division by zero.", usual="1e-8", gt=0)] = 1e-8
    max_grad_norm: Annotated[float, key("Longer gradients are scaled down to this; 0: never.", usual="1.0", ge=0)] = 1.0
    bf16: Annotated[bool, key("Calculate in bfloat16, on GPUs from Ampere on.", basic=True)] = False
    fp16: Annotated[bool, key("Calculate in float16, on older GPUs.")] = False
    use_cpu: Annotated[bool, key("Train on the CPU even where there is a GPU.", identity=False)] = False
    disable_gradient_checkpointing: Annotated[
        bool | None,
        key(
            "Keep all activations: faster, more memory. Not given: checkpointing on a GPU, none on a CPU.",
            identity=False,
        ),
    ] = None
    ddp_timeout: Annotated[int, key("Seconds that processes wait for each other.", ge=1, identity=False)] = 1800

    # evaluation
    per_device_eval_batch_size: Annotated[
        int, key("Samples per device at a time when measuring.", ge=1, le=65536, identity=False)
    ] = 8
    eval_strategy: Annotated[Switch, key("When to measure on the rows held back.", identity=False)] = "no"
    eval_steps: Annotated[float | None, key("Steps between two measurements.", gt=0, identity=False)] = None

    # run
    seed: Annotated[int, key("Start of all random numbers.", ge=0, le=2**32 - 1)] = 42
    resume_from_checkpoint: Annotated[
        str | bool | None,
        key("A checkpoint folder to go on from; null finds the newest by itself.", identity=False, path=True),
    ] = None


class MergeConfig(Struct, kw_only=True, forbid_unknown_fields=True):
    """A LLaMA-Factory merge (export) config."""

    model_name_or_path: Annotated[str, MODEL]
    adapter_name_or_path: Annotated[Names, key("The adapter to merge into it.", basic=True, path=True)]
    trust_remote_code: Annotated[bool, REMOTE_CODE] = False
    template: Annotated[str | None, TEMPLATE] = None
    finetuning_type: Annotated[Literal["lora"], key("Kind of adapter.")] = "lora"
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
