"""English words for reading data: files, rows, messages."""

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
    "data_arrow_broken": Message("the file is no readable Arrow file: {reason}", "Download or export it again."),
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
    "data_row_flag": Message(
        "row {row}: {member!r} of message {message} is {found}; it can be {expected}",
        "Correct it, or leave the flag out.",
    ),
    "data_row_flags_differ": Message(
        "row {row}: weight and loss of message {message} contradict each other", "Keep one of them."
    ),
    "data_row_tool_calls": Message(
        "row {row}: message {message} holds tool_calls, which formatting sharegpt does not know",
        'Use "formatting": "openai" in dataset_info.json.',
    ),
    "data_row_call": Message(
        "row {row}: a tool call of message {message} has no function with a name",
        'It needs {{"type": "function", "function": {{"name": …, "arguments": …}}}}.',
    ),
    "data_row_arguments": Message(
        "row {row}: the arguments of {function!r} in message {message} are {found}, not an object or its JSON text",
        "Correct the row: such a call could not be carried out.",
    ),
    "data_row_part": Message(
        "row {row}: {member!r} of message {message} holds a part that is no text ({found})",
        "This tool trains on text only.",
    ),
    "data_flag_on_question": Message(
        "{rows} messages of {name!r} that are no answers ask to be learned (weight or loss): only answers are",
        "Use train_on_prompt to learn the questions too.",
    ),
    "data_text_beside_calls": Message(
        "{rows} messages of {name!r} hold text beside their tool calls: the calls are learned, the text is not used",
        "Only a thought between <think> and </think> is kept before the calls.",
    ),
}
