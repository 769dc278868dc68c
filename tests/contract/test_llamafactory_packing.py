"""Splits, packing, prompts and tokenised folders are LLaMA-Factory's, recorded by tests/golden/record_packing.py."""

from __future__ import annotations

import json
import zlib
from pathlib import Path

import msgspec
import pytest

from engine.config.schema import TrainConfig
from engine.data import dataset_dict
from engine.data.prepare import data_files, prepare
from engine.data.preprocess import preprocess
from engine.data.tokenized import save_tokenized
from engine.errors import DataError
from tests.unit.tiny_tokenizer import MARKS, tiny_tokenizer

GOLDEN = Path(__file__).parents[1] / "golden" / "llamafactory"
RECORDED = json.loads((GOLDEN / "packing.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    tiny_tokenizer(special=MARKS, bos_token=None, eos_token="<|endoftext|>").save_pretrained(folder)
    (folder / "config.json").write_text('{"model_type": "llama"}')
    return folder


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("RAYON_NUM_THREADS", raising=False)


def config(model, **keys):
    base = {"model_name_or_path": str(model), "dataset_dir": str(GOLDEN / "data"), "output_dir": "out"}
    return msgspec.convert({**base, "dataset": "alpaca", "template": "chatml", **keys}, TrainConfig)


def prepared(model, used):
    return prepare(used, model, hashes=data_files(used), progress=lambda *_: None, should_stop=lambda: False)


def save(folder, model, used):
    found = prepared(model, used)
    hashes = data_files(used)
    return save_tokenized(folder, used, found.sets, pad_id=found.tokenizer.pad_token_id, data_sha256=hashes)


def checks(folder):
    """{split: {column: [tokens, check sum] of every row}}, as recorded."""
    found = {}
    for split, files in dataset_dict.split_files(folder).items():
        table = dataset_dict.read_split(folder, files)
        lists = [name for name in table.column_names if str(table.schema.field(name).type).startswith("list")]
        found[split] = {name: [check(row) for row in table.column(name).to_pylist()] for name in lists}
    return found


def check(values):
    return [len(values), zlib.crc32(",".join(map(str, values)).encode())]


@pytest.mark.parametrize("case", RECORDED["cases"], ids=lambda case: "-".join(map(str, case["case"].values())))
def test_what_is_stored_is_what_llamafactory_stores(case, model, tmp_path):
    save(tmp_path / "tokens", model, config(model, **case["case"]))
    assert checks(tmp_path / "tokens") == case["splits"]


def test_folder_of_llamafactory_is_read(model):
    """Its packed rows lose their padding and nothing else: written out again they are the same."""
    used = config(model, tokenized_path=str(GOLDEN / "tokenized_neat"), **RECORDED["stored"]["case"])
    found = prepared(model, used)
    tokenised = prepared(model, config(model, **RECORDED["stored"]["case"]))
    for ours, theirs in ((tokenised.train, found.train), (tokenised.evaluations["eval"], found.evaluations["eval"])):
        assert theirs.neat
        for name in ("input_ids", "labels", "offsets", "parts"):
            assert getattr(ours, name).tolist() == getattr(theirs, name).tolist()
        for name in ("rows", "kept", "tokens", "labelled_tokens", "longest", "packed_rows", "fully_masked"):
            assert getattr(ours.report, name) == getattr(theirs.report, name)
    (note,) = (note for note in found.notes if note.code == "tokenized_keys_ignored")
    assert note.params["keys"] == ["dataset", "template", "cutoff_len", "val_size", "neat_packing"]


@pytest.mark.parametrize(
    "keys",
    [
        {"val_size": 3},
        {"packing": True, "cutoff_len": 150},
        {"neat_packing": True, "cutoff_len": 150},
        {"eval_dataset": "sharegpt", "predict_with_generate": True},
        {"eval_dataset": "sharegpt,alpaca", "eval_on_each_dataset": True},
    ],
    ids=lambda keys: next(iter(keys)),
)
def test_own_folder_is_read_as_it_was_written(keys, model, tmp_path):
    folder = tmp_path / "tokens"
    save(folder, model, config(model, **keys))
    used = config(model, tokenized_path=str(folder), **keys)
    first, again = prepared(model, config(model, **keys)), prepared(model, used)
    assert first.sets.keys() == again.sets.keys()
    for name, tokens in first.sets.items():
        other = again.sets[name]
        assert type(other) is type(tokens)
        assert other.report == tokens.report
        for index in range(len(tokens)):
            assert [part.tolist() for part in other.row(index)] == [part.tolist() for part in tokens.row(index)]
    assert [note.code for note in again.notes] == [note.code for note in first.notes]
    # A run that wrote the folder is the same run when it reads it.
    assert data_files(used) == data_files(config(model, **keys))


def test_folder_that_was_made_with_other_keys_is_used_and_it_is_said(model, tmp_path):
    save(tmp_path / "tokens", model, config(model, cutoff_len=64))
    found = prepared(model, config(model, cutoff_len=128, tokenized_path=str(tmp_path / "tokens")))
    (note,) = (note for note in found.notes if note.code == "tokenized_differs")
    assert (note.severity, note.params["keys"]) == ("warning", ["cutoff_len: 64"])


def test_nothing_is_written_over(model, tmp_path):
    (tmp_path / "tokens").mkdir()
    (tmp_path / "tokens" / "mine.txt").write_text("")
    with pytest.raises(DataError) as error:
        save(tmp_path / "tokens", model, config(model))
    assert error.value.problems[0].code == "tokenized_there"
    assert [file.name for file in tmp_path.glob("tokens*/*")] == ["mine.txt"]


@pytest.mark.parametrize(
    ("break_it", "code"),
    [
        (lambda folder: (folder / "dataset_dict.json").write_text("{"), "tokenized_unreadable"),
        (lambda folder: (folder / "train" / "state.json").unlink(), "tokenized_unreadable"),
        (lambda folder: next(folder.glob("train/*.arrow")).write_bytes(b"no arrow"), "tokenized_unreadable"),
    ],
    ids=["index", "state", "data"],
)
def test_broken_folder_is_an_error_and_not_a_traceback(break_it, code, model, tmp_path):
    save(tmp_path / "tokens", model, config(model))
    break_it(tmp_path / "tokens")
    with pytest.raises(DataError) as error:
        prepared(model, config(model, tokenized_path=str(tmp_path / "tokens")))
    assert error.value.problems[0].code == code


def test_tokens_of_another_model_or_another_purpose_are_refused(model, tmp_path):
    keys = {"eval_dataset": "sharegpt"}
    save(tmp_path / "tokens", model, config(model, **keys, predict_with_generate=True))
    with pytest.raises(DataError) as error:
        prepared(model, config(model, tokenized_path=str(tmp_path / "tokens")))
    assert error.value.problems[0].code == "tokenized_for_prompts"
    small = tmp_path / "small"
    tiny_tokenizer(special=("<|endoftext|>",), vocab=258, eos_token="<|endoftext|>").save_pretrained(small)
    (small / "config.json").write_text('{"model_type": "llama"}')
    with pytest.raises(DataError) as error:
        prepared(small, config(small, template="default", tokenized_path=str(tmp_path / "tokens")))
    assert error.value.problems[0].code == "tokenized_other_vocabulary"


def test_preprocess_writes_what_a_run_would_train_on(model, tmp_path):
    used = config(model, val_size=0.3)
    spec = {"config": msgspec.to_builtins(used), "model_path": str(model), "data_sha256": data_files(used)}
    seen = []
    made = preprocess(
        {**spec, "force": False, "out": str(tmp_path / "out")}, lambda done, total: seen.append((done, total))
    )
    case = next(case for case in RECORDED["cases"] if case["case"] == {"val_size": 0.3})
    assert checks(tmp_path / "out") == case["splits"]
    rows = {name: len(columns["input_ids"]) for name, columns in case["splits"].items()}
    assert {name: split["rows"] for name, split in made["splits"].items()} == rows
    assert made["splits"]["train"]["tokens"] == sum(length for length, _ in case["splits"]["train"]["input_ids"])
    assert seen[-1] == (rows["train"], rows["train"])


def test_preprocess_refuses_what_training_would(model, tmp_path):
    used = config(model, template="empty")
    spec = {"config": msgspec.to_builtins(used), "model_path": str(model), "data_sha256": data_files(used)}
    spec |= {"force": False, "out": str(tmp_path / "out")}
    with pytest.raises(DataError) as error:
        preprocess(spec, lambda *_: None)
    assert error.value.problems[0].code == "end_mark_not_written"
    assert not (tmp_path / "out").exists()
    made = preprocess(spec | {"force": True}, lambda *_: None)
    found = {note["code"]: note["severity"] for note in made["notes"]}
    assert found["end_mark_not_written"] == "warning" and (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "change",
    [
        {"cutoff_len": 40},
        {"mask_history": True},
        {"default_system": "Be kind."},
        {"max_samples": 5},
        {"val_size": 2},
        {"eval_dataset": "sharegpt"},
        {"dataset": "alpaca,sharegpt"},
        {"template": "default"},
        {"drop_long": True},
        {"packing": True},
        {"packing": True, "preprocessing_num_workers": 2},
        {"add_special_tokens": "Oslo"},
    ],
    ids=lambda change: "-".join(change),
)
def test_second_start_reads_the_cache_and_no_change_is_missed(change, model):
    first = prepared(model, config(model))
    again = prepared(model, config(model))
    assert (first.from_cache, again.from_cache) == (False, True)
    assert again.train.input_ids.tolist() == first.train.input_ids.tolist()
    assert [note.code for note in again.notes] == [note.code for note in first.notes]
    assert not prepared(model, config(model, **change)).from_cache
    assert prepared(model, config(model, **change)).from_cache
