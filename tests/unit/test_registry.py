"""dataset_info.json: LLaMA-Factory's entries resolve as there, and whatever does not resolve says what to write."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine.data.registry import load_registry, register
from engine.errors import DataError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "rows.json").write_text("[]")
    (tmp_path / "many").mkdir()
    for name in ("b.jsonl", "a.jsonl", ".hidden"):
        (tmp_path / "many" / name).write_text("{}")
    return tmp_path


def info(folder: Path, entries: object) -> None:
    (folder / "dataset_info.json").write_text(entries if isinstance(entries, str) else json.dumps(entries, indent=2))


def resolve(folder: Path, entry: dict):
    info(folder, {"mine": entry})
    return load_registry(folder).resolve(["mine"])[0]


def problems(folder: Path, entry: dict):
    with pytest.raises(DataError) as caught:
        resolve(folder, entry)
    assert all(problem.code not in str(caught.value) for problem in caught.value.problems)
    return caught.value.problems


def test_defaults_are_those_of_llamafactory(folder):
    entry = resolve(folder, {"file_name": "rows.json"})
    columns, tags = entry.columns, entry.tags
    assert (columns.prompt, columns.query, columns.response) == ("instruction", "input", "output")
    assert (columns.history, columns.system, columns.tools, columns.messages) == (None, None, None, "conversations")
    assert (tags.role_tag, tags.content_tag, tags.user_tag, tags.assistant_tag) == ("from", "value", "human", "gpt")
    assert (tags.observation_tag, tags.function_tag, tags.system_tag) == ("observation", "function_call", "system")
    assert entry.formatting == "alpaca" and entry.files == (folder / "rows.json",) and entry.line == 2


def test_columns_and_tags_are_all_or_nothing(folder):
    """As soon as the object is there, whatever it does not list is not used: LLaMA-Factory's rule."""
    entry = resolve(folder, {"file_name": "rows.json", "columns": {"prompt": "q", "response": "a"}})
    assert (entry.columns.prompt, entry.columns.response) == ("q", "a")
    assert (entry.columns.query, entry.columns.messages) == (None, None)
    tags = {"role_tag": "role", "content_tag": "content", "user_tag": "user", "assistant_tag": "assistant"}
    entry = resolve(folder, {"file_name": "rows.json", "formatting": "sharegpt", "tags": tags})
    assert entry.tags.system_tag is None and entry.tags.function_tag is None and entry.tags.role_tag == "role"
    assert entry.columns.messages == "conversations"


def test_a_folder_is_all_its_files_in_order(folder):
    entry = resolve(folder, {"file_name": "many"})
    assert [path.name for path in entry.files] == ["a.jsonl", "b.jsonl"]
    (folder / "many" / "c.csv").write_text("q,a")
    assert problems(folder, {"file_name": "many"})[0].code == "dataset_folder_mixed"


@pytest.mark.parametrize(
    ("entry", "code", "key"),
    [
        ({"ms_hub_url": "org/set"}, "dataset_other_hub", "ms_hub_url"),
        ({"om_hub_url": "org/set"}, "dataset_other_hub", "om_hub_url"),
        ({"hf_hub_url": 5}, "dataset_name_not_text", "hf_hub_url"),
        ({"hf_hub_url": "org/set", "subset": ["a"]}, "dataset_name_not_text", "subset"),
        ({"hf_hub_url": "org/set", "ranking": True}, "dataset_ranking", "ranking"),
        ({"cloud_file_name": "s3://x/y.json"}, "dataset_cloud", "cloud_file_name"),
        ({"script_url": "x"}, "dataset_script", "script_url"),
        ({"file_name": "rows.json", "ranking": True}, "dataset_ranking", "ranking"),
        ({"file_name": "rows.json", "num_samples": 0}, "dataset_num_samples", "num_samples"),
        ({"file_name": "rows.json", "num_samples": "5"}, "dataset_num_samples", "num_samples"),
        ({"file_name": "rows.json", "split": "test"}, "dataset_split", "split"),
        ({"file_name": "rows.json", "split": "train[:200%]"}, "dataset_split", "split"),
        ({"file_name": "rows.json", "split": 5}, "dataset_split", "split"),
        ({"file_name": "rows.json", "formatting": "chatml"}, "dataset_formatting", "formatting"),
        ({"file_name": "rows.json", "columns": {"prompt": "q"}}, "dataset_columns_incomplete", "columns"),
        (
            {"file_name": "rows.json", "columns": {"prompt": 3, "response": "a"}},
            "dataset_name_not_text",
            "columns.prompt",
        ),
        (
            {"file_name": "rows.json", "columns": {"images": "i", "prompt": "q", "response": "a"}},
            "dataset_media",
            "columns.images",
        ),
        ({"file_name": "rows.json", "columns": ["q"]}, "dataset_part_not_object", "columns"),
        (
            {"file_name": "rows.json", "formatting": "sharegpt", "columns": {"prompt": "q"}},
            "dataset_columns_incomplete",
            "columns",
        ),
        ({"file_name": "row.json"}, "dataset_file_missing_near", "file_name"),
        ({"file_name": "zz.txt"}, "dataset_file_missing", "file_name"),
        ({"formatting": "alpaca"}, "dataset_no_file_name", "file_name"),
    ],
)
def test_an_entry_that_cannot_be_used_says_why(folder, entry, code, key):
    [problem] = problems(folder, entry)
    assert (problem.code, problem.key, problem.line) == (code, key, 2)
    assert problem.file == str(folder / "dataset_info.json")


def test_a_file_that_is_not_there_names_its_neighbours(folder):
    [problem] = problems(folder, {"file_name": "row.json"})
    assert problem.params["nearest"][0] == "rows.json" and "many/" in problem.params["exists"]


def test_tags_without_a_role_that_every_row_needs(folder):
    tags = {"role_tag": "role", "content_tag": "content"}
    found = problems(folder, {"file_name": "rows.json", "formatting": "sharegpt", "tags": tags})
    assert [problem.params["missing"] for problem in found] == ["user_tag", "assistant_tag"]


def test_keys_without_effect_are_noted_once(folder):
    entry = resolve(
        folder,
        {
            "file_name": "rows.json",
            "language": "en",
            "formating": "sharegpt",
            "columns": {"promt": "q", "prompt": "q", "response": "a"},
            "tags": {"task": "qa"},
        },
    )
    assert [(note.code, note.key) for note in entry.notes] == [
        ("dataset_key_unknown", "language"),
        ("dataset_key_misspelt", "formating"),
        ("dataset_key_misspelt", "columns.promt"),
        ("dataset_tag_unknown", "tags.task"),
    ]
    assert entry.notes[1].params["nearest"] == "formatting" and entry.notes[2].params["nearest"] == "prompt"


def test_unknown_names_are_all_reported_with_the_nearest(folder):
    info(folder, {"alpaca_en": {"file_name": "rows.json"}, "identity": {"file_name": "rows.json"}})
    with pytest.raises(DataError) as caught:
        load_registry(folder).resolve(["alpaca_eng", "identity", "zzz"])
    first, second = caught.value.problems
    assert first.params == {"name": "alpaca_eng", "nearest": ["alpaca_en"], "names": ["alpaca_en", "identity"]}
    assert second.params["nearest"] == []


def test_a_broken_entry_does_not_hinder_the_others(folder):
    info(folder, {"hub": {"hf_hub_url": "a/b"}, "text": "x", "mine": {"file_name": "rows.json"}})
    [entry] = load_registry(folder).resolve(["mine"])
    assert entry.name == "mine" and entry.line == 6


@pytest.mark.parametrize(
    ("text", "code", "line", "column"),
    [
        ('{\n  "a": {"file_name": "x"},\n}', "data_json_comma_trailing", 3, 1),
        ('{\n  "a": {,}\n}', "data_json_syntax", 2, 9),
        ('{\n  "a": {},\n  "a": {}\n}', "data_json_duplicate_key", 3, 3),
        ("{} x", "data_json_extra", 1, None),
        ("[]", "dataset_info_not_object", 1, None),
        ("", "data_json_truncated", 1, None),
    ],
)
def test_a_registry_that_is_no_json_object_names_the_place(folder, text, code, line, column):
    info(folder, text)
    with pytest.raises(DataError) as caught:
        load_registry(folder)
    [problem] = caught.value.problems
    assert (problem.code, problem.line) == (code, line)
    assert column is None or problem.column == column


def test_a_missing_folder_or_registry_says_what_is_there(folder):
    with pytest.raises(DataError, match=r"many/, rows\.json"):
        load_registry(folder)
    with pytest.raises(DataError, match="There is no folder"):
        load_registry(folder / "nowhere")


def test_registering_keeps_other_entries_and_their_order(folder):
    info(folder, '{"z": {"file_name": "中.json", "unknown": 1}, "a": {"file_name": "x"}}')
    register(folder, "new", {"file_name": "new.json"})
    register(folder, "z", {"file_name": "other.json"})
    assert (folder / "dataset_info.json").read_text("utf-8") == (
        '{\n  "z": {\n    "file_name": "other.json"\n  },\n  "a": {\n    "file_name": "x"\n  },\n'
        '  "new": {\n    "file_name": "new.json"\n  }\n}\n'
    )
    assert [path.name for path in folder.iterdir() if path.name.startswith(".")] == []


def test_registering_never_writes_over_a_registry_it_cannot_read(folder):
    info(folder, "{broken")
    with pytest.raises(DataError):
        register(folder, "new", {"file_name": "x"})
    assert (folder / "dataset_info.json").read_text() == "{broken"


def test_registering_creates_the_file(tmp_path):
    assert json.loads(register(tmp_path, "中", {"file_name": "x"}).read_text("utf-8")) == {"中": {"file_name": "x"}}


HUB = {"hf_hub_url": "org/set", "ms_hub_url": "Org/set"}
ROLES = {"role_tag": "role", "content_tag": "content", "user_tag": "user", "assistant_tag": "assistant"}
# One of every structure among the 104 entries that LLaMA-Factory ships, and what it comes to: None is an entry.
SHIPPED = [
    ({"file_name": "rows.json"}, None),
    ({"file_name": "rows.json", "formatting": "sharegpt", "columns": {"messages": "c", "tools": "t"}}, None),
    (
        {"file_name": "rows.json", "formatting": "sharegpt", "columns": {"messages": "m", "images": "i"}},
        "dataset_media",
    ),
    (
        {"file_name": "rows.json", "formatting": "sharegpt", "columns": {"messages": "m", "audios": "a"}},
        "dataset_media",
    ),
    ({"file_name": "rows.json", "ranking": True, "formatting": "sharegpt"}, "dataset_ranking"),
    (
        {"file_name": "rows.json", "formatting": "sharegpt", "columns": {"messages": "m", "kto_tag": "l"}},
        "dataset_ranking",
    ),
    ({"file_name": "rows.json", "columns": {"prompt": "text"}}, "dataset_columns_incomplete"),  # pre-training text
    (HUB, None),
    ({**HUB, "om_hub_url": "Org/set"}, None),
    ({"hf_hub_url": "org/set"}, None),
    ({"hf_hub_url": "org/set", "columns": {"prompt": "p", "query": "q", "response": "r", "history": "h"}}, None),
    ({**HUB, "columns": {"prompt": "p", "response": "r", "system": "s"}}, None),
    ({**HUB, "formatting": "sharegpt"}, None),
    ({**HUB, "formatting": "sharegpt", "columns": {"messages": "m"}, "tags": ROLES}, None),
    ({**HUB, "formatting": "sharegpt", "columns": {"messages": "m"}, "tags": {**ROLES, "system_tag": "system"}}, None),
    ({**HUB, "formatting": "sharegpt", "split": "train_sft"}, None),
    ({**HUB, "subset": "zh", "folder": "data", "split": "train"}, None),
    ({**HUB, "ranking": True, "columns": {"prompt": "p", "chosen": "c", "rejected": "r"}}, "dataset_ranking"),
    ({**HUB, "formatting": "sharegpt", "columns": {"messages": "m", "videos": "v"}}, "dataset_media"),
    ({"hf_hub_url": "org/set", "columns": {"prompt": "text"}}, "dataset_columns_incomplete"),
    ({"ms_hub_url": "Org/set"}, "dataset_other_hub"),
    ({"script_url": "ultra_chat", "formatting": "sharegpt"}, "dataset_script"),
]


@pytest.mark.parametrize(("info", "refusal"), SHIPPED)
def test_every_kind_of_entry_that_llamafactory_ships_is_read_or_refused(folder, info, refusal):
    if refusal is None:
        entry = resolve(folder, info)
        assert not entry.notes
        assert (entry.hub is None) == ("hf_hub_url" not in info) and bool(entry.files) == (entry.hub is None)
        if entry.hub:
            assert (entry.hub.name, entry.hub.subset, entry.hub.folder, entry.hub.split) == (
                "org/set",
                info.get("subset"),
                info.get("folder"),
                info.get("split", "train"),
            )
        return
    assert refusal in {problem.code for problem in problems(folder, info)}


def test_what_decides_the_conversations_is_told_apart(folder):
    """The cache of tokens rests on it."""
    infos = [
        {"file_name": "rows.json"},
        {"file_name": "rows.json", "num_samples": 3},
        {"file_name": "rows.json", "split": "train[:3]"},
        {"file_name": "rows.json", "columns": {"prompt": "instruction", "response": "output"}},
        {"file_name": "rows.json", "formatting": "sharegpt"},
        {"file_name": "rows.json", "formatting": "openai"},
        {"file_name": "rows.json", "formatting": "openai", "tags": ROLES},
        {"hf_hub_url": "org/set"},
        {"hf_hub_url": "org/set", "subset": "zh"},
        {"hf_hub_url": "org/set", "split": "test"},
    ]
    meanings = [json.dumps(resolve(folder, info).meaning(), sort_keys=True) for info in infos]
    assert len(set(meanings)) == len(infos)
    assert resolve(folder, {"file_name": "many"}).meaning() == resolve(folder, infos[0]).meaning()


def test_a_folder_may_mix_json_and_jsonl_and_hold_arrow_or_txt(folder):
    for kind, names in {"j": ("a.json", "b.jsonl"), "w": ("a.arrow",), "t": ("a.txt", "b.txt")}.items():
        (folder / kind).mkdir()
        for name in names:
            (folder / kind / name).write_text("x")
        assert [path.name for path in resolve(folder, {"file_name": kind}).files] == list(names)
