"""English words for dataset_info.json, the hub, mixing and converting."""

from __future__ import annotations

from engine.messages import Message

REGISTRY_MESSAGES: dict[str, Message] = {
    # Registry
    "dataset_folder_missing": Message("there is no folder {folder}; beside it: {exists}", "Set dataset_dir."),
    "dataset_info_missing": Message(
        "there is no {looked_for} in {folder}; there is: {exists}",
        "Point dataset_dir at the folder that holds it, or create it with `sft-wizard convert`.",
    ),
    "dataset_info_not_object": Message(
        "dataset_info.json is not an object of datasets", '{{"name": {{"file_name": …}}}}'
    ),
    "dataset_unknown": Message("there is no dataset {name!r}", "There are: {names}"),
    "dataset_unknown_near": Message("there is no dataset {name!r}; is {nearest} meant?", "There are: {names}"),
    "dataset_entry_not_object": Message("the entry of {name!r} is not an object", 'Write {{"file_name": "…"}}.'),
    "dataset_part_not_object": Message("{key} of {name!r} is not an object", "Delete it to use the defaults."),
    "dataset_name_not_text": Message("{key} of {name!r} is not text"),
    "dataset_other_hub": Message(
        "{name!r} comes from another hub than Hugging Face's: {key} ({url})",
        "Download it there and use file_name, or add hf_hub_url.",
    ),
    "dataset_cloud": Message(
        "{name!r} lies in cloud storage ({url}), which is not read from here", "Copy the file here and use file_name."
    ),
    "dataset_script": Message(
        "{name!r} comes from a loading script, which is not run (datasets 4 removed them)",
        "Save its rows as a file and use file_name, or name a set on the hub with hf_hub_url.",
    ),
    "dataset_ranking": Message(
        "{name!r} is preference data ({key}); this tool trains SFT", "Use a dataset with one response a prompt."
    ),
    "dataset_num_samples": Message("{key} of {name!r} must be a number of rows, at least 1, not {value!r}"),
    "dataset_split": Message(
        "a file has one split, train; {key} {value!r} of {name!r} is not a part of it",
        "Write train, or a part of it such as train[:10%] or train[100:200]+train[-50:].",
    ),
    "dataset_split_small": Message(
        "{key} of {name!r} asks for whole percents (pct1_dropremainder) of {rows} rows: that needs at least 100"
    ),
    "dataset_media": Message("{name!r} has images, videos or audios ({key}); this tool trains on text only"),
    "dataset_formatting": Message("formatting {formatting!r} of {name!r} is none of {formats}"),
    "dataset_no_file_name": Message("{name!r} has no file_name; it has {keys}", "Name a file or a folder of files."),
    "dataset_file_remote": Message(
        "{name!r} is the file {path} beside a dataset_info.json that lies on the hub, and such files are not fetched",
        "Download both and set dataset_dir to their folder.",
    ),
    "dataset_file_missing": Message("the file of {name!r} is not there: {path}", "There is: {exists}"),
    "dataset_file_missing_near": Message(
        "the file of {name!r} is not there: {path}; is {nearest} meant?", "There is: {exists}"
    ),
    "dataset_folder_empty": Message("the folder of {name!r} holds no files: {path}"),
    "dataset_folder_mixed": Message(
        "the folder of {name!r} mixes {suffixes}: {path}", "Keep files of one type in the folder."
    ),
    "dataset_columns_incomplete": Message(
        "`columns` of {name!r} does not list {missing}: once the object is there, what it leaves out is not used",
        "List every column that is used, or delete `columns`.",
    ),
    "dataset_tags_incomplete": Message(
        "`tags` of {name!r} does not list {missing}: once the object is there, what it leaves out is not used",
        'Add it, for instance "{missing}": "{default}", or delete `tags`.',
    ),
    "dataset_key_ignored": Message("{key} of {name!r} has no effect here"),
    "dataset_key_unknown": Message("{key} of {name!r} means nothing here and was left alone"),
    "dataset_column_unknown": Message("{key} of {name!r} means nothing here and was left alone"),
    "dataset_tag_unknown": Message("{key} of {name!r} means nothing here and was left alone"),
    "dataset_key_misspelt": Message("{key} of {name!r} is not known and has no effect", "Is {nearest} meant?"),
    "dataset_column_missing": Message(
        "column {column!r} ({part} of {name!r}) is in no row; the file has: {columns}",
        "Set columns.{part} in dataset_info.json to the right one.",
    ),
    "dataset_column_missing_near": Message(
        "column {column!r} ({part} of {name!r}) is in no row; the file has: {columns}",
        "Is {nearest} meant? Set columns.{part} in dataset_info.json.",
    ),
    "dataset_no_query": Message(
        "there is no column {column!r}; these columns are not used: {unused}",
        "If one belongs to the question, name it as columns.query in dataset_info.json.",
    ),
    "dataset_column_ignored": Message(
        "{rows} rows fill the column {column!r}, which `columns` of {name!r} leaves out: it is not used",
        'Add "{part}": "{column}" to columns in dataset_info.json to use it.',
    ),
    "dataset_system_tag": Message(
        "{rows} conversations of {name!r} start with a system message and are dropped: `tags` names no system_tag",
        'Add "system_tag": "system" to the tags in dataset_info.json.',
    ),
    "dataset_no_usable_row": Message(
        "none of the {read} rows of {name!r} can be used ({reasons} different reasons)", "The first ones are:"
    ),
    # Converting
    "convert_target_unknown": Message("{key!r} is no field to map to", "The fields are: {targets}"),
    "convert_target_unknown_near": Message(
        "{key!r} is no field to map to; is {nearest} meant?", "The fields are: {targets}"
    ),
    "convert_column_unknown": Message("there is no column {column!r} for {key}", "There are: {columns}"),
    "convert_column_unknown_near": Message(
        "there is no column {column!r} for {key}; is {nearest} meant?", "There are: {columns}"
    ),
    "convert_not_recognised": Message(
        "how these columns make up a conversation is not plain: {columns}",
        "Say it: --map prompt=COLUMN --map response=COLUMN, or --map messages=COLUMN.",
    ),
    "convert_mapping_incomplete": Message(
        "the mapping names no {missing}", "It needs prompt and response, or messages; the columns are: {columns}"
    ),
    "convert_mapping_conflict": Message(
        "messages hold whole conversations and cannot be combined with {fields}", "Map one or the other."
    ),
    "convert_name": Message("{name!r} cannot name a dataset", "Use letters, digits, dots, dashes and underscores."),
    "convert_format": Message("{format!r} is no target format", "Use alpaca or sharegpt."),
    "convert_test_split": Message(
        "a test split of {value} is not possible with {rows} usable rows",
        "Use a fraction above 0 and below 1, or a count that leaves rows to train on.",
    ),
    "convert_max_samples": Message("max_samples is {value}; it must be at least 1"),
    "convert_messages_members": Message(
        "column {column!r} holds no list of messages with from/value or role/content; its first one has: {members}"
    ),
    "convert_file_exists": Message(
        "this file is there already with other content", "Choose another name or folder, or allow overwriting."
    ),
    "convert_entry_exists": Message(
        "dataset_info.json describes {name!r} differently", "Choose another name, or allow overwriting."
    ),
    "convert_write_failed": Message("the result cannot be written: {reason}", "Check the folder and the space left."),
    "convert_recognised": Message("recognised as {shape}: {mapping}"),
    "convert_empty_responses": Message(
        "{rows} rows have an empty response: the model would learn to answer with nothing",
        "Delete these rows if that is not meant.",
    ),
    "convert_row_tool_turns": Message(
        "row {row}: alpaca cannot hold tool calls ({role})", "Convert to sharegpt instead."
    ),
    "convert_row_flags": Message(
        "row {row}: alpaca cannot hold answers that are not to be learned", "Convert to sharegpt instead."
    ),
    # Hub
    "hub_set_offline": Message(
        "{name!r} is not in the cache, and the environment forbids the hub: {reason}",
        "Unset HF_HUB_OFFLINE and HF_DATASETS_OFFLINE once, or copy the set's files here and use file_name.",
    ),
    "hub_set_unreachable": Message(
        "{name!r} could not be fetched from the hub: {reason}",
        "Check the network; behind a firewall set HF_ENDPOINT to a mirror (export HF_ENDPOINT=https://…), or copy the "
        "set's files here and use file_name.",
    ),
    "hub_set_gated": Message(
        "{name!r} is gated or private: {reason}",
        "Accept its terms on the hub, then run hf auth login or set HF_TOKEN in the environment.",
    ),
    "hub_set_unknown": Message("the hub has no {name!r}: {reason}", "Check the name, organisation/name, and its case."),
    "hub_set_name": Message(
        "{name!r} is neither a folder that is there nor the name of a dataset on the hub",
        "Such a name has two parts: organisation/name.",
    ),
    "hub_set_part": Message(
        "{part} {value} of {name!r} is not there: {reason}",
        "Correct {part} in dataset_info.json; the set's page on the hub shows what there is.",
    ),
    "hub_script": Message(
        "{name!r} needs a loading script, which datasets 4 and later do not run",
        "Use a copy of it that holds parquet or json files; many sets have one on the branch refs/convert/parquet.",
    ),
    # Mixing
    "probs_count": Message("interleave_probs has {given} shares for {sets} datasets", "Give one for each dataset."),
    "probs_sum": Message("interleave_probs must be shares from 0 to 1 that add up to 1; they add up to {sum}"),
    "probs_zero": Message(
        "a share of 0 in interleave_probs never takes a row, and {strategy} waits for the last one of every dataset",
        "Leave that dataset out.",
    ),
}
