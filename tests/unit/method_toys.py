"""A tiny model with a tokenizer on disk, prepared by the engine or by hand, and one pass of training over it."""

from __future__ import annotations

import contextlib
import gc
import random
from pathlib import Path

import torch
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    Gemma2Config,
    GPT2Config,
    LlamaConfig,
    MixtralConfig,
    Qwen2Config,
    Trainer,
    TrainingArguments,
)
from transformers.trainer_callback import PrinterCallback, TrainerCallback

from engine.config.schema import TrainConfig
from engine.memory.job import StepPlan
from engine.train.batches import Pad
from engine.train.methods import prepare_model
from engine.train.optimisers import own_optimiser
from engine.train.packing import IGNORED
from engine.train.precision import Precision
from engine.train.trainer import StepTrainer
from tests.unit.tiny_tokenizer import tiny_tokenizer

CPU = torch.device("cpu")
FP32 = Precision(None, torch.float32)
SIZES = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 64,
    "initializer_range": 0.2,
}
KINDS = {"llama": LlamaConfig, "qwen2": Qwen2Config, "gemma2": Gemma2Config, "mixtral": MixtralConfig}


@contextlib.contextmanager
def quickly():
    """One thread; and what is loaded already is left out of the collections that accelerate makes after each run."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    gc.freeze()
    yield
    gc.unfreeze()
    torch.set_num_threads(before)


def save_model(folder: Path, kind: str = "llama", *, rows: int | None = None, tied: bool = False, **more) -> Path:
    """A random model; `rows` of embeddings, as many as the tokenizer has tokens where it is not given."""
    tokenizer = tiny_tokenizer(eos_token="<|im_end|>", pad_token="<|endoftext|>")
    torch.manual_seed(3)
    rows = rows or len(tokenizer)
    if kind == "gpt2":
        config = GPT2Config(
            vocab_size=rows, n_embd=32, n_layer=3, n_head=4, attn_pdrop=0.0, embd_pdrop=0.0, resid_pdrop=0.0
        )
    else:
        config = KINDS[kind](**(SIZES | {"vocab_size": rows, "tie_word_embeddings": tied} | more))
    AutoModelForCausalLM.from_config(config, dtype=torch.float32).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def train_config(folder: Path, **changes) -> TrainConfig:
    return TrainConfig(
        **({"model_name_or_path": str(folder), "dataset": "d", "output_dir": "o", "lora_rank": 4} | changes)
    )


def prepare(folder: Path, tokenizer=None, precision: Precision = FP32, **changes):
    """(the engine's model for this config, codes of what it said)."""
    said = []
    tokenizer = tokenizer or AutoTokenizer.from_pretrained(folder)
    model = prepare_model(train_config(folder, **changes), folder, tokenizer, precision, CPU, said.append)
    return model, [problem.code for problem in said]


def plain(folder: Path, **options):
    """The same model as transformers loads it."""
    kernel = "eager" if AutoConfig.from_pretrained(folder).model_type == "gemma2" else "sdpa"
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation=kernel, **options)
    model.config.use_cache = False
    return model


def samples(count: int = 12, seed: int = 0) -> list[dict[str, torch.Tensor]]:
    """Rows of 4 to 24 tokens whose labels begin somewhere inside."""
    draw = random.Random(seed)
    rows = []
    for _ in range(count):
        length = draw.randint(4, 24)
        ids = torch.tensor([draw.randint(3, 250) for _ in range(length)])
        labels = ids.clone()
        labels[: draw.randint(0, length - 2)] = IGNORED
        rows.append({"input_ids": ids, "labels": labels})
    return rows


class Watch(TrainerCallback):
    """Gradients of each step, before clipping."""

    def __init__(self):
        self.gradients = []

    def on_pre_optimizer_step(self, args, state, control, model=None, **kwargs):
        self.gradients.append({name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None})


def train(cls, folder: Path, model, *, config: TrainConfig | None = None, data=None, callbacks=(), resume=None, **more):
    """Train for a few steps; (trainer, gradients by step). `config` brings an optimiser of its own."""
    own = {name: more.pop(name) for name in ("packed",) if name in more}
    if "token_budget" in more:
        own["plan"] = StepPlan(more.pop("token_budget"))
    settings = {
        "per_device_train_batch_size": 2,
        "gradient_accumulation_steps": 2,
        "max_steps": 2,
        "learning_rate": 1e-3,
        "optim": "adamw_torch",
        "logging_steps": 1,
        "save_strategy": "no",
        "max_grad_norm": 0,
        "use_cpu": True,
        "disable_tqdm": True,
        "report_to": "none",
        "remove_unused_columns": False,
        "label_names": ["labels"],
        "logging_nan_inf_filter": False,
        "log_level": "error",
        "seed": 7,
    }
    arguments = TrainingArguments(output_dir=str(folder), **(settings | more))
    watch = Watch()
    if config is not None:
        own["optimizers"] = (own_optimiser(config, model, arguments), None)
    trainer = cls(
        model=model,
        args=arguments,
        train_dataset=data or samples(),
        data_collator=Pad(0),
        callbacks=[watch, *callbacks],
        **own,
    )
    trainer.remove_callback(PrinterCallback)
    trainer.train(resume_from_checkpoint=resume)
    return trainer, watch.gradients


def same_training(tmp_path: Path, mine, theirs, *, config: TrainConfig | None = None, **settings):
    """Our packed step on `mine` against transformers' padded one on `theirs`: gradients, losses and final weights."""
    ours, gradients = train(StepTrainer, tmp_path / "mine", mine, config=config, token_budget=60, **settings)
    others, expected = train(Trainer, tmp_path / "theirs", theirs, **settings)
    assert len(gradients) == len(expected) == 2
    for one, other in zip(gradients, expected, strict=True):
        assert one.keys() == other.keys()
        for name in other:
            assert torch.allclose(one[name], other[name], rtol=1e-4, atol=1e-4 * float(other[name].abs().max())), name
    assert (
        losses(ours) == [round(loss, 4) for loss in losses(others)]
        or max(abs(a - b) for a, b in zip(losses(ours), losses(others), strict=True)) < 1e-5
    )
    return ours, others


def losses(trainer) -> list[float]:
    return [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
