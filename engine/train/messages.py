"""English words for the problems of training."""

from __future__ import annotations

from engine.messages import Message
from engine.train import method_messages

MESSAGES: dict[str, Message] = {
    **method_messages.MESSAGES,
    "bf16_to_fp16": Message("{device} has no bfloat16; calculating in float16."),
    "cpu_bf16": Message("Calculating in bfloat16 on this processor, which is fast at it."),
    "cpu_fp32": Message(
        "Calculating in float32: this processor is not fast at 16-bit numbers. The result is the finer one."
    ),
    "lora_target_unknown": Message(
        "No layer matches lora_target {given}.", "This model has: {there}. Or use lora_target: all"
    ),
    "step_padded": Message(
        "Training with padded batches, as transformers does by itself: {reason}.",
        "The result is the same, only slower.",
    ),
    "memory_unknown": Message(
        "What a step of this model ({model_type}) takes cannot be estimated: {reason}.",
        "Micro-batches are those of the config; on a GPU every layer recomputes unless disable_gradient_checkpointing "
        "says otherwise.",
    ),
    "memory_tight": Message(
        "This may not fit: about {needed} GiB are needed at least and {free} GiB are there for it on {device}. "
        "Going on with the smallest micro-batches.",
        "What would make it fit: sft-wizard estimate FILE",
    ),
    "memory_too_small": Message(
        "The weights and what the optimiser keeps take {alone} GiB, and {free} GiB are there for it on {device}. With "
        "activations about {needed} GiB are needed.",
        "Use finetuning_type: lora, a lower lora_rank, quantization_bit: 4, or a smaller model; or end what else uses "
        "the device. Ranked: sft-wizard estimate FILE",
    ),
    "memory_probe_short": Message(
        "A first try of the longest batch ran out of memory. Going on with at most {tokens} tokens at a time, not "
        "{before}, and {recompute} of {layers} layers computed again in backward; what is learned stays the same."
    ),
    "memory_retry": Message(
        "Out of memory in step {step}. It is done again from its beginning with at most {tokens} tokens at a time, not "
        "{before}, and {recompute} of {layers} layers computed again in backward; what is learned stays the same.",
        "The rest of the run goes on so. Less at a time from the start: per_device_train_batch_size or cutoff_len.",
    ),
    "memory_retry_measuring": Message(
        "Out of memory while measuring after step {step}. Going on with at most {tokens} tokens at a time instead of "
        "{before}; what is measured stays the same.",
        "Less at a time from the start: per_device_eval_batch_size",
    ),
    "oom_measuring": Message(
        "Out of memory while measuring. {reason}",
        "Lower per_device_eval_batch_size, then run the same command again: it goes on from the last checkpoint.",
    ),
    "nan_loss": Message(
        "The loss of step {step} is {loss}; the step was not applied.",
        "Usual causes: learning_rate too high (try a third), fp16 overflow (use bf16), damaged base weights.",
    ),
    "nan_gradient": Message(
        "The gradient of step {step} is not finite; the step was not applied.",
        "Usual causes: learning_rate too high (try a third), fp16 overflow (use bf16).",
    ),
    "no_gradient": Message(
        "The gradient of the first step is exactly 0 (its loss: {loss}): nothing would be learned.",
        "Usual causes: nothing in its samples is learned from (sft-wizard data check FILE shows it), a lora_target "
        "that the answer does not depend on, fp16 underflow (use bf16).",
    ),
    "tracker_unknown": Message("report_to: there is no tracker {name}.", "There are: {there}"),
    "tracker_missing": Message(
        "report_to: {name} needs the package {package}, which is not installed.",
        "For wandb: pip install 'sft-wizard[wandb]'. Or remove {name} from report_to.",
    ),
    "predict_packages": Message(
        "predict_with_generate needs the package {name}, which divides texts into words.",
        "pip install 'sft-wizard[predict]'",
    ),
    "arguments_refused": Message("transformers refuses these values: {reason}", "Correct the keys named there."),
    "best_metric_unknown": Message("metric_for_best_model: {given} is not measured.", "This run measures: {there}"),
    "checkpoint_damaged": Message("{path} is passed over: {reason}."),
    "checkpoint_unusable": Message(
        "{path} cannot be resumed from: {reason}.",
        "Only checkpoints that this tool finished are loaded. Remove the key to take the newest of them.",
    ),
    "remote_code": Message(
        "Code that came with the model runs here, as trust_remote_code asks: {files} of {path} (commit {commit})."
    ),
    "no_remote_code": Message("trust_remote_code has no effect: no code comes with this model."),
    "nothing_to_resume": Message(
        "There is no whole checkpoint in {folder}.", "Remove resume_from_checkpoint to start anew."
    ),
    "gpu_required": Message(
        "A GPU is required here and none can be used: {reason}.",
        "{remedy} For a slow run on the CPU leave out --require-gpu and require_gpu.",
    ),
    "no_gpu": Message(
        "No GPU ({reason}): training on the CPU, which is slow for models above about 1B parameters.", "{remedy}"
    ),
    "gpu_chosen": Message("Using {name} ({free} GiB free of {total} GiB), the one of {count} with most free memory."),
    "output_other": Message(
        "{folder} holds the result of another config or other data.",
        "Choose another output_dir, or set overwrite_output_dir: true (or --fresh): what is there is moved aside.",
    ),
    "output_foreign": Message(
        "{folder} is not empty, and its files are not of this tool: {files}.",
        "Choose another output_dir, or set overwrite_output_dir: true: what is there is moved aside.",
    ),
    "export_foreign": Message(
        "{folder} is not empty, and its files are not of this tool: {files}.",
        "Choose another export_dir, or move that folder away.",
    ),
    "moved_aside": Message("What was in {folder} is now in {target}."),
    "disk_too_small": Message(
        "Not enough disk at {path}: {needed} GB needed for {what}, {free} GB free.",
        "Free some space or choose another disk.",
    ),
}
