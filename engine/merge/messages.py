"""English words for the problems of this room."""

from __future__ import annotations

from engine.messages import Message

MESSAGES: dict[str, Message] = {
    "export_exists": Message(
        "The export folder {folder} exists and is not empty.",
        "Choose another export_dir, or move the old folder aside.",
    ),
    "merge_disk_full": Message(
        "The merged model needs {needed_gb} GB on the disk of {folder}; {free_gb} GB are free.",
        "Free some space or choose an export_dir on another disk. Nothing was written.",
    ),
    "merge_base_missing": Message(
        "The base model folder {folder} has no {name}.",
        "Point model_name_or_path at a complete model folder, or download the model again.",
    ),
    "merge_base_not_safetensors": Message(
        "The base model in {folder} has no safetensors weights.",
        "Save it once as safetensors: load it with transformers and call save_pretrained.",
    ),
    "merge_base_quantised": Message(
        "The base model in {folder} is quantised ({method}); an adapter cannot be merged into it without loss.",
        "Merge into the original 16-bit or 32-bit model that the quantised one was made from; for the weights that an "
        "adapter of a 4-bit or 8-bit training saw, add merge_onto: dequantised and quantization_bit.",
    ),
    "merge_file_damaged": Message(
        "{name} is damaged or cut short: {reason}.",
        "Download or copy the file again.",
    ),
    "merge_adapter_missing": Message(
        "The adapter folder {folder} has no {name}.",
        "Point adapter_name_or_path at a folder with adapter_config.json and adapter_model.safetensors, "
        "as training leaves it in output_dir or a checkpoint.",
    ),
    "merge_adapter_not_safetensors": Message(
        "The adapter in {folder} is saved as a pickle ({name}), which is not opened: it could run code.",
        "Save it again as safetensors with peft's save_pretrained.",
    ),
    "merge_adapter_changed_base": Message(
        "The adapter was trained with init_lora_weights={init}, which changes the base weights before training: "
        "merging it into the original base would give a wrong model.",
        "For PiSSA train with pissa_convert: true and give pissa_converted, or keep pissa_init beside the adapter. "
        "Else convert the adapter with peft (save_pretrained with path_initial_model_for_weight_conversion), "
        "or merge into the changed base saved at the start of training.",
    ),
    "merge_adapter_kind": Message(
        "An adapter of the kind {kind} cannot be merged into the weights.",
        "Use it beside the base model instead of exporting.",
    ),
    "merge_adapter_does_not_fit": Message(
        "The adapter does not fit this base model: {tensors}{more}.",
        "Merge into the model that the adapter was trained on (adapter_config.json names {trained_on}). "
        "If the vocabulary was resized for training, the base needs the same size.",
    ),
    "merge_adapter_incomplete": Message(
        "The adapter file lacks tensors that its configuration promises: {tensors}{more}.",
        "Copy the adapter folder again, or use an earlier checkpoint.",
    ),
    "merge_adapter_unusable": Message(
        "peft cannot put this adapter on this model: {reason}",
        "Check that the adapter was trained on this model, with a peft no newer than the one installed.",
    ),
    "merge_model_unknown": Message(
        "The base model in {folder} cannot be built: {reason}",
        "Update transformers; if the model brings its own code and you trust it, set trust_remote_code: true.",
    ),
    "merge_dtype": Message(
        "{dtype} is not a type a merged model can be written in.",
        "Use one of float32, bfloat16, float16, or leave it out to keep the base model's.",
    ),
    "merge_not_finite": Message(
        "The merged weight {tensor} is not finite (NaN, infinite or beyond the range of {dtype}).",
        "The adapter probably diverged: use an earlier checkpoint. If only float16 is too narrow, export in bfloat16.",
    ),
    "merge_write_failed": Message(
        "Writing the merged model to {folder} failed: {reason}.",
        "Check the disk, then export again. Nothing was left behind.",
    ),
    "merge_whole_model": Message(
        "The names of this model's weights cannot be followed tensor by tensor ({reason}); "
        "the whole model is merged in memory, which takes about {memory_gb} GB.",
        "",
    ),
    "merge_whole_model_tied": Message(
        "The adapter changes one side of this model's tied embeddings, which merging in memory gets wrong.",
        "Use the adapter beside the base model, or train without the embedding and the head.",
    ),
    "merge_untied": Message(
        "The adapter changes the embedding and the head differently, so the merged model stores both: "
        "tie_word_embeddings is now false and the model grew by {grown_mb} MB.",
        "",
    ),
    "merge_tied_adapters_differ": Message(
        "The adapter asks for a tied embedding and head but holds different changes for the two; both were kept apart.",
        "Look at the proof below: it compares with base + adapter.",
    ),
    "merge_changes_nothing": Message(
        "The adapter changes nothing: the merged model equals the base model.",
        "Was this the checkpoint you meant? An adapter before its first step is like that.",
    ),
    "merge_adapter_without_lora": Message(
        "finetuning_type: {kind} has no adapter, and adapter_name_or_path names one.",
        "Remove finetuning_type to merge the adapter, or adapter_name_or_path to save the model as it is.",
    ),
    "merge_pissa_unusual": Message(
        "The PiSSA adapter holds {tensor}, which cannot be turned into an ordinary adapter.",
        "Train PiSSA without DoRA and without the embedding in lora_target, or use the adapter beside the base model.",
    ),
    "merge_vocabulary_lost": Message(
        "The adapter was trained with {rows} tokens, more than the base has, and does not hold the rows of {tensor} "
        "for the new ones.",
        "Merge into the resized base that was trained on. To keep the rows with the adapter, train with "
        "additional_target: embed_tokens,lm_head.",
    ),
    "merge_whole_model_only": Message(
        "The names of this model's weights cannot be followed tensor by tensor ({reason}); merging it whole in memory "
        "knows neither dequantised weights nor added tokens.",
        "Use merge_onto: base, or the adapter beside the base model.",
    ),
    "merge_no_bitsandbytes": Message(
        "Dequantised weights need the package bitsandbytes, which does not load here: {reason}.",
        "Install it (pip install bitsandbytes), or use merge_onto: base.",
    ),
    "merge_dequantise_fused": Message(
        "{tensor} is stored in parts or under a name of its own, so its dequantised weights cannot be written.",
        "Use merge_onto: base.",
    ),
    "merge_quantisation_unknown": Message(
        "The adapter in {folder} does not say that its base was quantised in training, nor how.",
        "Add the keys of the training: quantization_bit, and quantization_type and double_quantization where they "
        "differ from nf4 and true. Or leave out merge_onto.",
    ),
    "merge_quantisation_one": Message(
        "An adapter goes onto dequantised weights alone, and adapter_name_or_path names {count}.",
        "Merge the adapter of the quantised training first, then the others into the result.",
    ),
    "merge_quantisation_differs": Message(
        "The config's quantization keys ({given}) are not those of the training ({trained}); the config's are used.",
        "Remove them to use those of the training.",
    ),
    "merge_trained_quantised": Message(
        "The adapter was trained on a base in {bits} bits and is merged into the base as it is. The base's weights are "
        "more exact than those the adapter saw, so answers can differ a little from those in training.",
        "For the weights it was trained against: merge_onto: dequantised.",
    ),
    "merge_dequantised": Message(
        "The adapter is merged onto the weights that the {bits}-bit base stood for in training, written in full size.",
        "",
    ),
    "merge_several": Message(
        "{count} adapters are merged one after the other; the steps between are written in 32 bits to the disk of "
        "{folder}, {needed_gb} GB, and removed.",
        "",
    ),
    "merge_kept_float32": Message(
        "The base is stored in float32 and so is the merged model. LLaMA-Factory writes 16 bits on GPU machines.",
        "For half the size: infer_dtype: bfloat16",
    ),
    "merge_template_differs": Message(
        "The adapter's tokenizer carries another chat template than {template}; the adapter's is kept, since it was "
        "trained with that. Only the Modelfile follows {template}.",
        "Set template to the one of the training.",
    ),
    "merge_template_written": Message(
        "The tokenizer beside the adapter carries another chat template than {template}; the merged model gets that of "
        "{template}, which the config names. (LLaMA-Factory saves the model's old one, whatever was trained.)",
        "",
    ),
    "merge_tokenizer_unusable": Message(
        "The tokenizer in {folder} does not load ({reason}); its files were copied as they are, without a Modelfile.",
        "",
    ),
    "merge_proof_logits": Message(
        "The merged model's answers differ from base + adapter by {percent} % of what the adapter changes "
        "(at most {allowed} % is allowed).",
        "Do not use this export; report it with the model's and the adapter's config.json.",
    ),
    "merge_proof_rounding": Message(
        "The adapter changes so little that rounding to {dtype} drowns it: the error is {percent} % of its effect. "
        "Every merged weight is rounded as it should be.",
        "Export in float32 (infer_dtype: float32), train longer, or use the adapter beside the base model.",
    ),
    "merge_proof_tensors": Message(
        "{count} tensors of the merged model are not what they should be, first {tensor}: {reason}.",
        "Do not use this export; check the disk and export again.",
    ),
    "merge_proof_none": Message(
        "The merged model was not checked: {reason}.",
        "Export where more memory is free, or compare a few answers of base + adapter and export in the chat.",
    ),
    "merge_proof_tensors_only": Message(
        "The merged tensors were checked one by one; the answers were not compared: {reason}.",
        "",
    ),
}
