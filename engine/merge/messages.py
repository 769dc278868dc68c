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
        "Merge into the original 16-bit or 32-bit model that the quantised one was made from.",
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
        "Convert the adapter with peft (save_pretrained with path_initial_model_for_weight_conversion), "
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
