"""What a beginner is told of a training key beyond its line of help: a few words for it, when to change it, its group.

The wizard's settings, `?` and `explain` read it. A key that is asked for has an entry; a test says which one lacks it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from engine.text import Phrase

Group = Literal["adapter", "data", "optimiser", "schedule", "memory", "saving", "measuring", "run"]

NONE = Phrase("(none)")

GROUPS: dict[Group, Phrase] = {
    "adapter": Phrase("Adapter"),
    "data": Phrase("Data"),
    "optimiser": Phrase("Optimiser"),
    "schedule": Phrase("Schedule"),
    "memory": Phrase("Precision and memory"),
    "saving": Phrase("Saving and logging"),
    "measuring": Phrase("Evaluation"),
    "run": Phrase("The run"),
}


@dataclass(frozen=True)
class Taught:
    """gloss: what the key means in a few words, without a full stop. when: a sentence on when to change it.

    empty: what no value means.
    """

    gloss: Phrase
    when: Phrase
    group: Group
    empty: Phrase = NONE


TAUGHT: dict[str, Taught] = {
    "lora_rank": Taught(
        Phrase("how much the adapter can hold"),
        Phrase("Raise it where much is to be learned from many rows; lower it where memory is short."),
        "adapter",
    ),
    "lora_alpha": Taught(
        Phrase("how strongly the adapter counts"),
        Phrase("Seldom: it follows the rank by itself until you set it."),
        "adapter",
    ),
    "lora_dropout": Taught(
        Phrase("forgetting at random, against learning by heart"),
        Phrase("Try 0.05 where the data is small and answers come back word for word."),
        "adapter",
    ),
    "lora_target": Taught(
        Phrase("which layers get an adapter"),
        Phrase("Fewer layers need less memory and learn less."),
        "adapter",
    ),
    "use_rslora": Taught(
        Phrase("another scale for high ranks"), Phrase("Try it with a rank of 64 and more."), "adapter"
    ),
    "additional_target": Taught(
        Phrase("parts that learn as a whole"),
        Phrase("Only for new tokens or a new end mark; it takes much memory."),
        "adapter",
    ),
    "template": Taught(
        Phrase("how a conversation is written for the model"),
        Phrase("Only for a model without a chat template of its own: name the one of its family."),
        "data",
        Phrase("the model's own"),
    ),
    "cutoff_len": Taught(
        Phrase("longest sample, in tokens"),
        Phrase("Raise it where your answers are cut off, lower it where memory is short."),
        "data",
    ),
    "max_samples": Taught(
        Phrase("only the first rows"), Phrase("Set it to a hundred or so for a quick first try."), "data", Phrase("all")
    ),
    "preprocessing_num_workers": Taught(
        Phrase("threads that make tokens"), Phrase("Lower it on a machine that others use too."), "data"
    ),
    "dataloader_num_workers": Taught(
        Phrase("processes that load batches"), Phrase("Leave it: text is loaded fast enough."), "data"
    ),
    "per_device_train_batch_size": Taught(
        Phrase("samples at a time"),
        Phrase("With gradient_accumulation_steps it makes the samples of a step: halve one, double the other."),
        "schedule",
    ),
    "gradient_accumulation_steps": Taught(
        Phrase("batches in a step"),
        Phrase("Raise it for steadier steps without more memory; fewer steps then make up an epoch."),
        "schedule",
    ),
    "learning_rate": Taught(
        Phrase("how far a step goes"),
        Phrase("Lower it to a third where the loss jumps or old knowledge fades; raise it where the loss stays."),
        "schedule",
    ),
    "num_train_epochs": Taught(
        Phrase("times through all rows"),
        Phrase("More for few rows, fewer for many, or where answers come back word for word."),
        "schedule",
    ),
    "max_steps": Taught(
        Phrase("an end after so many steps"), Phrase("Set it to 20 or so to see whether everything runs."), "schedule"
    ),
    "lr_scheduler_type": Taught(
        Phrase("how the learning rate falls"), Phrase("Seldom: cosine and linear differ little."), "schedule"
    ),
    "warmup_ratio": Taught(
        Phrase("a gentle beginning, as a share"),
        Phrase("Raise it where the loss jumps in the first steps."),
        "schedule",
    ),
    "warmup_steps": Taught(
        Phrase("a gentle beginning, in steps"), Phrase("Instead of the share, where you know the steps."), "schedule"
    ),
    "optim": Taught(
        Phrase("who moves the weights"),
        Phrase("paged_adamw_8bit needs less memory, on a GPU with bitsandbytes."),
        "optimiser",
    ),
    "weight_decay": Taught(
        Phrase("a pull towards zero"), Phrase("Try 0.01 where the model learns by heart."), "optimiser"
    ),
    "adam_beta1": Taught(Phrase("AdamW's memory of directions"), Phrase("Leave it."), "optimiser"),
    "adam_beta2": Taught(
        Phrase("AdamW's memory of sizes"), Phrase("0.95 reacts faster, for large batches."), "optimiser"
    ),
    "adam_epsilon": Taught(Phrase("AdamW's guard against division by zero"), Phrase("Leave it."), "optimiser"),
    "max_grad_norm": Taught(
        Phrase("a limit for steps that would be too long"),
        Phrase("Lower it to 0.3 where the loss jumps."),
        "optimiser",
    ),
    "bf16": Taught(
        Phrase("16-bit numbers of newer GPUs"),
        Phrase("Leave it on where the GPU can: half the memory of float32, and faster."),
        "memory",
    ),
    "fp16": Taught(
        Phrase("16-bit numbers of older GPUs"), Phrase("Instead of bf16 on a V100, T4 or older card."), "memory"
    ),
    "quantization_bit": Taught(
        Phrase("the base in fewer bits (QLoRA)"),
        Phrase("4 where the model does not fit otherwise; needs a GPU and bitsandbytes."),
        "memory",
        Phrase("no"),
    ),
    "quantization_method": Taught(Phrase("who makes the fewer bits"), Phrase("Leave it."), "memory"),
    "quantization_type": Taught(Phrase("the format of 4 bits"), Phrase("Leave it: nf4 loses less than fp4."), "memory"),
    "double_quantization": Taught(
        Phrase("fewer bits for the scales too"), Phrase("Leave it: it saves a little at no cost to speak of."), "memory"
    ),
    "disable_gradient_checkpointing": Taught(
        Phrase("keep everything instead of computing twice"),
        Phrase("Leave it open: as many layers recompute as the free memory asks for."),
        "memory",
        Phrase("as memory allows"),
    ),
    "use_cpu": Taught(
        Phrase("train without the GPU"), Phrase("Only where the GPU is needed by others; it is slow."), "memory"
    ),
    "logging_steps": Taught(
        Phrase("steps between two lines of log"), Phrase("10 or more for runs of thousands of steps."), "saving"
    ),
    "save_strategy": Taught(Phrase("when a checkpoint is written"), Phrase("epoch for one after each pass."), "saving"),
    "save_steps": Taught(
        Phrase("steps between two checkpoints"),
        Phrase("Lower it where a run may be cut off: at most that much is lost."),
        "saving",
    ),
    "save_total_limit": Taught(
        Phrase("how many checkpoints are kept"), Phrase("Lower it where the disk is small."), "saving"
    ),
    "save_only_model": Taught(
        Phrase("small checkpoints, without a way to go on"),
        Phrase("Only where the disk is too small for whole ones."),
        "saving",
    ),
    "plot_loss": Taught(Phrase("a picture of the loss"), Phrase("Turn it off if you do not look at it."), "saving"),
    "val_size": Taught(
        Phrase("rows held back to check with"),
        Phrase("Set it to 0.1 to see whether the model learns or learns by heart; with eval_strategy."),
        "measuring",
    ),
    "eval_strategy": Taught(
        Phrase("when the held-back rows are looked at"),
        Phrase("epoch, or steps with eval_steps, once val_size is set."),
        "measuring",
    ),
    "eval_steps": Taught(
        Phrase("steps between two looks"), Phrase("With eval_strategy: steps; each look takes its time."), "measuring"
    ),
    "per_device_eval_batch_size": Taught(
        Phrase("held-back samples at a time"), Phrase("Lower it where measuring runs out of memory."), "measuring"
    ),
    "seed": Taught(
        Phrase("the start of all chance"),
        Phrase("Another number makes another run of the same settings: to see how much is luck."),
        "run",
    ),
    "ddp_timeout": Taught(Phrase("patience between processes"), Phrase("Leave it: a run here is one process."), "run"),
}
