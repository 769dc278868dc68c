"""English words for the problems of methods: what is trained, in which number format, on which base."""

from __future__ import annotations

from engine.messages import Message

MESSAGES: dict[str, Message] = {
    "pure_bf16_impossible": Message("{device} has no bfloat16, which pure_bf16 asks for.", "Use fp16: true instead."),
    "mixed_without_autocast": Message(
        "Weights of {dtypes} would meet in one calculation.", "Set bf16: true (or fp16: true on older GPUs)."
    ),
    "quantised_lora_only": Message(
        "Weights in 4 or 8 bits cannot be trained themselves, as finetuning_type: {method} asks.",
        "Use finetuning_type: lora, or an unquantised base without quantization_bit.",
    ),
    "not_on_quantised": Message(
        "{key} changes the base's weights, which cannot be done in 4 or 8 bits.", "Remove it or quantization_bit."
    ),
    "needs_other_key": Message("{key} needs {needed}.", "Add that, or remove {key}."),
    "keys_exclude": Message("{key} and {other} exclude each other.", "Remove one of them."),
    "freeze_no_layers": Message("With freeze_trainable_layers: 0 nothing would learn.", "Give a number of layers."),
    "freeze_impossible": Message(
        "This model does not say how many layers it has, so finetuning_type: freeze cannot choose among them.",
        "Use finetuning_type: lora.",
    ),
    "freeze_module_unknown": Message("{key}: there is no {name} in this model.", "Choose from: {choices}"),
    "freeze_chosen": Message("What learns: parameters with one of these in their name: {parts}."),
    "adapter_wrong": Message(
        "The adapter {path} does not fit this model: {reason}.",
        "Give the base that it was trained on, with the same vocabulary.",
    ),
    "adapters_merged": Message(
        "{adapters} became part of the base before training.",
        "The new adapter fits that sum only: merge it with adapter_name_or_path naming all of them in this order.",
    ),
    "adapter_settings_win": Message(
        "The adapter's own rank {rank} and alpha {alpha} count, not {asked_rank} and {asked_alpha} of the config."
    ),
    "embeddings_trained": Message(
        "{modules} are trained in full and saved with the adapter, since the vocabulary may have grown.",
        "Set additional_target to choose for yourself.",
    ),
    "experts_not_adapted": Message(
        "The experts of this model get no adapter: transformers keeps them as one tensor ({example}), not as layers.",
        "The attention and other linear layers do. LLaMA-Factory on this transformers does the same, without a word.",
    ),
    "pissa_needs_its_base": Message(
        "The adapter will fit only the base that PiSSA's quick decomposition left, which is drawn anew on each load.",
        "Add pissa_convert: true, which writes an ordinary adapter too, or use pissa_iter: -1 (exact).",
    ),
    "vocabulary_grown": Message(
        "{tokens} new tokens: the embeddings grew from {before} to {after} rows.",
        "To use the adapter elsewhere, resize the base to {after} rows first: resize_token_embeddings({after}).",
    ),
    "new_tokens_not_trained": Message(
        "{tokens} new tokens stay as the model has them: their rows are not among what is trained and saved.",
        "Add embed_tokens and lm_head (or this model's names for them) to additional_target.",
    ),
    "vocabulary_fixed": Message(
        "The embeddings of this model cannot grow: its output head is not an ordinary linear layer.",
        "Remove resize_vocab and the new tokens.",
    ),
    "bitsandbytes_missing": Message(
        "{key} needs bitsandbytes, which is not installed.", "Install it with: pip install 'sft-wizard[gpu]'"
    ),
    "already_quantised": Message("This model is quantised already ({kind}): quantization_bit changes nothing."),
    "quantised_unreadable": Message(
        "This model is quantised with {kind}, which cannot be read here: the package {package} is not installed.",
        "Use the unquantised model, with quantization_bit: 4 to save memory.",
    ),
    "rope_stretched": Message(
        "Positions are stretched ({kind}, factor {factor}): {before} become {after}.",
        "A merged model's config.json carries this. To serve the adapter alone, put what sft_wizard.json beside it "
        "holds under positions into the config.json of the base.",
    ),
    "rope_not_needed": Message(
        "rope_scaling: {kind} is not applied: cutoff_len {cutoff_len} is within the {positions} positions of the model."
    ),
    "rope_unsupported": Message("rope_scaling: {kind} is not applied: this model has no rotary positions to stretch."),
    "experts_not_balanced": Message("moe_aux_loss_coef has no effect: {model_type} models have no balancing loss."),
    "from_scratch": Message("Training begins with random weights, as train_from_scratch asks."),
    "flash_missing": Message(
        "flash_attn: {asked} cannot be used: {reason}.",
        "Our own packed attention is used; on GPUs it runs torch's built-in flash attention.",
    ),
    "attention_unsupported": Message("This model does not take flash_attn: {asked}; it uses its own attention."),
    "liger_on_cpu": Message("enable_liger_kernel has no effect on a CPU."),
    "liger_missing": Message(
        "enable_liger_kernel needs liger-kernel, which is not installed.",
        "Install it with: pip install 'sft-wizard[gpu]'",
    ),
    "liger_unsupported": Message("enable_liger_kernel has no effect: liger-kernel knows no {model_type} models."),
    "optimiser_too_new": Message(
        "transformers {version} has no optimiser {name}.", "Update it, or take another one, such as adamw_torch."
    ),
    "optimiser_package": Message(
        "The optimiser {name} needs the package {package}, which is not installed.",
        "Install it, or take another one, such as adamw_torch.",
    ),
}
