"""Keys of the run: where it writes, how it trains, what it measures."""

from __future__ import annotations

from typing import Annotated

from engine.config.data_keys import DataKeys
from engine.config.key import Names, Scheduler, Switch, key


class OutputKeys(DataKeys, kw_only=True, forbid_unknown_fields=True):
    """What a run writes, and where."""

    output_dir: Annotated[str, key("Where the adapter and its checkpoints go.", basic=True, path=True)]
    logging_steps: Annotated[float, key("Steps between two lines of log.", usual="1–10", gt=0, identity=False)] = 10
    save_strategy: Annotated[Switch, key("When to write a checkpoint.", usual="steps or epoch", identity=False)] = (
        "steps"
    )
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
    include_effective_tokens_per_second: Annotated[
        bool, key("Write how many tokens a second were trained on into the results.", identity=False, expert=True)
    ] = False


class TrainingKeys(OutputKeys, kw_only=True, forbid_unknown_fields=True):
    """What transformers calls TrainingArguments: the loop and its optimiser."""

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
    warmup_steps: Annotated[float, key("Warm-up as a number of steps.", ge=0)] = 0
    optim: Annotated[str, key("Optimiser.", usual="adamw_torch_fused, paged_adamw_8bit")] = "adamw_torch_fused"
    weight_decay: Annotated[float, key("Pull of the weights towards zero.", usual="0–0.1", ge=0, le=10)] = 0.0
    adam_beta1: Annotated[float, key("AdamW's first decay.", usual="0.9", ge=0, lt=1)] = 0.9
    adam_beta2: Annotated[float, key("AdamW's second decay.", usual="0.95–0.999", ge=0, lt=1)] = 0.999
    adam_epsilon: Annotated[float, key("AdamW's guard against division by zero.", usual="1e-8", gt=0)] = 1e-8
    max_grad_norm: Annotated[float, key("Longer gradients are scaled down to this; 0: never.", usual="1.0", ge=0)] = 1.0
    bf16: Annotated[
        bool, key("Calculate in bfloat16, on GPUs from Ampere on.", usual="yes, where the GPU can", basic=True)
    ] = False
    fp16: Annotated[bool, key("Calculate in float16, on older GPUs.")] = False
    use_cpu: Annotated[bool, key("Train on the CPU even where there is a GPU.", identity=False)] = False
    disable_gradient_checkpointing: Annotated[
        bool | None,
        key("Keep all activations (true: faster, more memory) or none. Not given: as memory allows.", identity=False),
    ] = None
    ddp_timeout: Annotated[int, key("Seconds that processes wait for each other.", ge=1, identity=False)] = 1800
    disable_shuffling: Annotated[bool, key("Take the samples in the order of the data.", expert=True)] = False


class MeasuringKeys(TrainingKeys, kw_only=True, forbid_unknown_fields=True):
    """What is measured while training and after it, and how answers are written."""

    per_device_eval_batch_size: Annotated[
        int, key("Samples per device at a time when measuring.", usual="1–8", ge=1, le=65536, identity=False)
    ] = 8
    eval_strategy: Annotated[
        Switch, key("When to measure on the rows held back.", usual="epoch or steps", identity=False)
    ] = "no"
    eval_steps: Annotated[
        float | None, key("Steps between two measurements.", usual="50–500", gt=0, identity=False)
    ] = None
    compute_accuracy: Annotated[
        bool, key("Also measure how often the most likely token is right.", identity=False, expert=True)
    ] = False
    early_stopping_steps: Annotated[
        int | None, key("Stop after so many measurements without getting better.", ge=1, expert=True)
    ] = None
    predict_with_generate: Annotated[
        bool,
        key("Measure by answers written out, with BLEU and ROUGE, instead of the loss.", identity=False, expert=True),
    ] = False
    generation_max_length: Annotated[
        int | None,
        key(
            "Longest prompt and answer when measuring by written answers; null: cutoff_len.",
            ge=1,
            identity=False,
            expert=True,
        ),
    ] = None
    generation_num_beams: Annotated[
        int | None, key("Beams when measuring by written answers.", ge=1, identity=False, expert=True)
    ] = None
    eval_num_beams: Annotated[
        int | None,
        key(
            "Beams when measuring by written answers; another name of generation_num_beams.",
            ge=1,
            identity=False,
            expert=True,
        ),
    ] = None
    do_sample: Annotated[bool, key("Draw answers at random instead of the likeliest.", identity=False, expert=True)] = (
        True
    )
    temperature: Annotated[
        float,
        key(
            "How evenly tokens are drawn: near 0 safe, above 1 varied.", usual="0–1", ge=0, identity=False, expert=True
        ),
    ] = 0.95
    top_p: Annotated[
        float, key("Draw from the likeliest tokens up to this share.", ge=0, le=1, identity=False, expert=True)
    ] = 0.7
    top_k: Annotated[int, key("Draw from so many of the likeliest tokens.", ge=0, identity=False, expert=True)] = 50
    num_beams: Annotated[int, key("Beams of beam search.", ge=1, identity=False, expert=True)] = 1
    max_length: Annotated[
        int,
        key("Longest prompt and answer together, where max_new_tokens is not set.", ge=1, identity=False, expert=True),
    ] = 1024
    max_new_tokens: Annotated[int, key("Longest answer.", ge=0, identity=False, expert=True)] = 1024
    repetition_penalty: Annotated[float, key("Above 1: less repetition.", gt=0, identity=False, expert=True)] = 1.0
    length_penalty: Annotated[
        float, key("Beam search: above 0 favours longer answers.", identity=False, expert=True)
    ] = 1.0
    skip_special_tokens: Annotated[
        bool, key("Leave special tokens out of written answers.", identity=False, expert=True)
    ] = True
