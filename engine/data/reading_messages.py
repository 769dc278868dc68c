"""English words for reading, registering and converting data."""

from __future__ import annotations

from engine.messages import Message

_ICONV = "Convert the file once: iconv -f GB18030 -t UTF-8 old.json > new.json (put the encoding it really has)."
_SPLIT = "Write the rows as a JSON array, [{{…}}, {{…}}], or one object a line in a .jsonl file."

READING_MESSAGES: dict[str, Message] = {
    # Files as a whole
    "data_file_missing": Message(
        "there is no such file", "Check the path; relative paths start at the working folder."
    ),
    "data_file_not_a_file": Message("this is not a file", "Name one .json, .jsonl, .csv, .tsv or .parquet file."),
    "data_file_suffix": Message(
        "files with {suffix} cannot be read; these can: {suffixes}",
        "Rename the file if only its name is wrong, or export it in one of these formats.",
    ),
    "data_file_unreadable": Message("the file cannot be read: {reason}", "Check its owner and permissions."),
    "data_file_empty": Message("the file is empty (0 bytes)", "The download or export probably failed: do it again."),
    "data_file_blank": Message("the file holds only white space", "The export probably failed: do it again."),
    "data_file_no_rows": Message("the file holds no rows", "It needs at least one row besides a header."),
    "data_file_magic": Message(
        "the file is {kind}, whatever its name says",
        "Unpack or export it first, or give it the suffix of what it is.",
    ),
    "data_file_binary": Message(
        "the file is binary, or UTF-16 without a byte order mark",
        "If it is text: iconv -f UTF-16LE -t UTF-8 old.json > new.json",
    ),
    "data_file_wide_damage": Message("{count} characters are damaged in this {encoding} file and read as U+FFFD"),
    "data_gave_up": Message(
        "too much of the file is broken to find rows in the rest: {lines} lines were not read",
        "Repair the first rows reported, then try again.",
    ),
    "data_column_twice": Message(
        "two columns are named {column!r}", "Give every column a name of its own; empty ones can be deleted."
    ),
    # Any text
    "data_not_utf8": Message("these bytes are not UTF-8", _ICONV),
    "data_nul": Message("the row holds a NUL character", "The file was damaged or cut while it was written."),
    "data_row_not_object": Message("the row is {type}, not an object with named columns", _SPLIT),
    # JSON
    "data_json_not_rows": Message("the file does not start with [ or {{", _SPLIT),
    "data_json_object": Message("the file is one object with the keys {keys}, not a list of rows", _SPLIT),
    "data_json_object_with_list": Message(
        "the file is one object, not a list of rows; its key {name!r} holds a list",
        "If that list holds the rows, save it alone. If the object is itself a row, put it in [ ].",
    ),
    "data_json_columns": Message(
        "the file is one object that holds a list for each column: {keys}", "Save it row by row: [{{…}}, {{…}}]."
    ),
    "data_json_several_objects": Message("several objects follow one another without being a list", _SPLIT),
    "data_json_array_as_jsonl": Message("the file is named .jsonl and is one JSON array; it was read as that"),
    "data_jsonl_as_json": Message("the file is named .json and holds one object a line; it was read as JSON lines"),
    "data_json_array_unclosed": Message("the list is not closed: the file ends without ]", "Rows may be missing."),
    "data_json_after_end": Message("text follows after the list's closing ]: it was not read", _SPLIT),
    "data_json_bracket_early": Message("a ] closes the list before its end; reading went on"),
    "data_json_comma_missing": Message("a comma is missing between two rows, here and perhaps later; they were read"),
    "data_json_comma_last": Message("a comma follows the last row; it was ignored"),
    "data_json_truncated": Message(
        "the row ends before it is complete", "The file or line was cut off: copy it again."
    ),
    "data_json_string_unclosed": Message(
        "a text that starts here is not closed by a quotation mark", 'Close it; inside a text, write \\" for the mark.'
    ),
    "data_json_control": Message(
        "a raw control character ({character}) stands inside a text", "Write a line break as \\n and a tab as \\t."
    ),
    "data_json_escape": Message("a backslash starts no valid escape here", "Write \\\\ for a backslash itself."),
    "data_json_comma_trailing": Message("a comma stands before a closing bracket", "Delete it."),
    "data_json_single_quotes": Message(
        "texts are in single quotes", "JSON needs double quotes: write the file with json.dump instead of str()."
    ),
    "data_json_syntax": Message("this is not JSON: {reason} at {character!r}"),
    "data_json_two_rows": Message("two objects stand on one line", "Put every row on a line of its own."),
    "data_json_extra": Message(
        "text follows after the end of the object", "Delete it, or put it on a line of its own."
    ),
    "data_json_duplicate_key": Message(
        "the key {name!r} appears twice in one object, and only one of the two could be kept", "Delete one."
    ),
    "data_json_not_finite": Message("{token} is not a JSON number", "Write null, or leave the row out."),
    "data_json_number": Message("a number in this row is too large to be read exactly", "Put it in quotes."),
    "data_json_too_deep": Message("the row is nested too deeply", "Rows of text need a few levels only."),
    "data_json_lone_surrogate": Message(
        "a \\u escape is half of a character (a lone surrogate)", "The text was cut inside an emoji: write it again."
    ),
    # Tables and parquet
    "data_csv_delimiter": Message("columns are separated by {delimiter}, as the first line shows"),
    "data_csv_ragged": Message(
        "the row has {found} values where the header has {expected} columns ({columns})",
        "Put quotes around values that hold the delimiter or a line break.",
    ),
    "data_csv_quote_unclosed": Message(
        "a quotation mark opens a value that is not closed properly", 'Close it; inside a value, write "" for the mark.'
    ),
    "data_csv_quote_stray": Message(
        "text follows a closing quotation mark", 'Inside a quoted value, write "" for a quotation mark.'
    ),
    "data_parquet_broken": Message("the file is no readable parquet file: {reason}", "Download or export it again."),
    "data_parquet_rows_broken": Message("rows from number {row} on cannot be read: {reason}", "Export the file again."),
    "data_parquet_value_broken": Message("row {row} holds a value that cannot be read: {reason}"),
    # Rows that no conversation can be made of
    "data_row_type": Message(
        "row {row}: column {column!r} holds {found} where {expected} is needed",
        "Correct the row; numbers that are meant as text need quotes.",
    ),
    "data_row_response_null": Message("row {row}: column {column!r}, the response, is null or missing"),
    "data_row_history": Message(
        "row {row}: pair {pair} of the history is not two texts", 'It needs [["question", "answer"], …].'
    ),
    "data_row_tools": Message(
        "row {row}: column {column!r} holds {found} where the tools are needed as one JSON text",
        "Write the column with json.dumps(tools), or let `sft-wizard convert` do it.",
    ),
    "data_row_no_messages": Message("row {row}: there are no messages to train on"),
    "data_row_no_answer": Message(
        "row {row}: the conversation of {messages} messages ends without an answer", "End it with an answer."
    ),
    "data_row_role_order": Message(
        "row {row}: message {message} is from {role!r}, out of turn: asking and answering must alternate",
        "Join consecutive messages of one role; start with the user, apart from a system message.",
    ),
    "data_row_role_unknown": Message(
        "row {row}: message {message} is from {role!r}; the roles are {roles}",
        "Name the role in the `tags` of dataset_info.json.",
    ),
    "data_row_system_late": Message(
        "row {row}: message {message} is a system message, which can only come first", "Move it to the front."
    ),
    "data_row_system_tag_missing": Message(
        "row {row}: the conversation starts with a system message, and `tags` names no system_tag",
        'Add "system_tag": "system" to the tags in dataset_info.json.',
    ),
    "data_row_message": Message("row {row}: message {message} is {found}, not an object"),
    "data_row_member": Message(
        "row {row}: message {message} has no {member!r}; it has {members}",
        "Name the right member in `tags` (role_tag, content_tag) of dataset_info.json.",
    ),
    "data_row_member_type": Message("row {row}: {member!r} of message {message} is {found}, not text"),
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
    "dataset_hub": Message(
        "{name!r} comes from {key} ({url}), which is not supported yet", "Download the file and use file_name."
    ),
    "dataset_script": Message("{name!r} comes from a loading script, which is not run", "Download it; use file_name."),
    "dataset_ranking": Message(
        "{name!r} is preference data ({key}); this tool trains SFT", "Use a dataset with one response a prompt."
    ),
    "dataset_key_not_supported": Message(
        "{key} of {name!r} is not supported", "Delete it; max_samples takes the first rows."
    ),
    "dataset_split": Message("{key} {value!r} of {name!r} is not supported", "Put those rows in a file of their own."),
    "dataset_media": Message("{name!r} has images, videos or audios ({key}); this tool trains on text only"),
    "dataset_formatting": Message("formatting {formatting!r} of {name!r} is not alpaca or sharegpt"),
    "dataset_formatting_openai": Message(
        "formatting openai of {name!r} is not supported: it would change the system prompts",
        'Use "formatting": "sharegpt" with tags role, content, user, assistant and system, or `sft-wizard convert`.',
    ),
    "dataset_no_file_name": Message("{name!r} has no file_name; it has {keys}", "Name a file or a folder of files."),
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
    "convert_row_tool_calls": Message(
        "row {row}: message {message} holds tool_calls, which are not converted",
        "Write each call as a message of its own with the role function_call.",
    ),
}
