"""What to do when training or its result is not as it should be, as data: `?` and `sft-wizard explain` read it.

The ways name keys of the train config and commands of this tool, the likeliest first.
"""

from __future__ import annotations

from dataclasses import dataclass

from engine.text import Phrase


@dataclass(frozen=True)
class Advice:
    """What goes wrong, and what to try. also: other words under which it is looked for."""

    trouble: Phrase
    ways: tuple[Phrase, ...]
    also: str = ""


ADVICE: tuple[Advice, ...] = (
    Advice(
        Phrase("Training is slow"),
        (
            Phrase("Look for the GPU: sft-wizard doctor. Without one, take the built-in model and few rows."),
            Phrase("bf16: true on GPUs from Ampere on, fp16: true on older ones."),
            Phrase("Lower cutoff_len to what your rows need; sft-wizard data check FILE shows their lengths."),
            Phrase("Without quantization_bit, where the model fits without it."),
            Phrase("disable_gradient_checkpointing open, so that layers are computed twice only where they must be."),
            Phrase("A warning on padded batches in the log names what costs speed, such as neftune_noise_alpha."),
        ),
        "speed fast time hours",
    ),
    Advice(
        Phrase("The answers are poor"),
        (
            Phrase(
                "Read the rows as the model sees them: sft-wizard data check FILE. Good rows count for more than many."
            ),
            Phrase("Begin with an instruct model, and leave template to the model's own."),
            Phrase("More epochs for few rows: 3 to 5, up to 10 below a hundred rows."),
            Phrase("learning_rate 2e-4; lora_rank 16 or 32 where there is much to learn; lora_target all."),
            Phrase("Answers that are cut off were learnt cut off: raise cutoff_len."),
            Phrase("A larger model, with quantization_bit 4 if it has to be."),
        ),
        "quality bad wrong",
    ),
    Advice(
        Phrase("It repeats itself or does not stop"),
        (
            Phrase(
                "The end mark was not learnt: take the model's own template, or an instruct model instead of a base."
            ),
            Phrase("Rows that cutoff_len cuts have no end: raise it, or set drop_long: true in the file."),
            Phrase("Fewer epochs or a lower learning_rate, where it recites your rows."),
            Phrase("In chat and when serving: a repetition_penalty of 1.1."),
        ),
        "endless loop eos repetition stop",
    ),
    Advice(
        Phrase("It forgot what it knew"),
        (
            Phrase("Lower learning_rate to a third: 5e-5 instead of 2e-4."),
            Phrase("Fewer epochs: 1 or 2. Look at the loss of held-back rows, with val_size 0.1."),
            Phrase("Mix in rows of ordinary questions and answers, as many as your own."),
            Phrase("A lower lora_rank, such as 8, changes less."),
        ),
        "forgetting catastrophic knowledge",
    ),
    Advice(
        Phrase("The loss does not fall"),
        (
            Phrase("Raise learning_rate: 2e-4 is usual for LoRA, 5e-4 for small models."),
            Phrase("Give it steps: more epochs or fewer gradient_accumulation_steps. Below 50 steps little happens."),
            Phrase(
                "A loss that is 0 or jumps: lower learning_rate to a third, bf16 instead of fp16, max_grad_norm 0.3."
            ),
            Phrase("Are the answers learnt at all? sft-wizard data check FILE marks what is."),
            Phrase("A loss that begins near 1 and stays may be good already: talk to the model."),
        ),
        "loss flat constant nan",
    ),
    Advice(
        Phrase("Out of memory"),
        (
            Phrase(
                "sft-wizard estimate FILE says what fits and ranks the changes; --fit makes them. In the wizard: f."
            ),
            Phrase("Exactly the same result: a smaller per_device_train_batch_size with more accumulation."),
            Phrase("Shorter samples: cutoff_len 1024 or 512."),
            Phrase("quantization_bit 4, then optim paged_adamw_8bit; a lower lora_rank gains least."),
            Phrase("Others on the card? sft-wizard doctor names them."),
            Phrase("A smaller model."),
        ),
        "oom cuda memory vram fit",
    ),
    Advice(
        Phrase("Which preset"),
        (
            Phrase("The recommended one: it is the largest that fits into the memory that is free now."),
            Phrase("A smaller one always works too; it takes longer or cuts long samples."),
            Phrase("Your own: a YAML file each. sft-wizard presets says where it goes."),
        ),
        "preset memory card",
    ),
    Advice(
        Phrase("How many rows"),
        (
            Phrase(
                "A tone or an identity: 50 to 200. A task with a fixed form: 500 to 2000. A field of knowledge: more."
            ),
            Phrase("A hundred good rows beat a thousand careless ones; they should look like what will be asked."),
        ),
        "data dataset samples amount",
    ),
    Advice(
        Phrase("How many epochs"),
        (
            Phrase("3 is a good beginning. Below a hundred rows up to 10, above ten thousand 1."),
            Phrase("With val_size 0.1 and eval_strategy epoch: as many as the loss of the held-back rows falls."),
        ),
        "epochs num_train_epochs long",
    ),
    Advice(
        Phrase("Do I have to stay connected?"),
        (
            Phrase("No: a run needs nobody to watch it. sft-wizard attach shows it again, sft-wizard runs lists all."),
            Phrase("A machine that went down: sft-wizard resume goes on from the last checkpoint."),
        ),
        "ssh disconnect detach attach resume",
    ),
)
