"""Sets of the hub through `datasets`: tried with folders, which load_dataset takes by the same name, and offline."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine.data.entries import HubSet
from engine.data.formats import load_samples
from engine.data.hub import hub_state
from engine.data.registry import DatasetEntry, load_registry
from engine.errors import DataError, EnvironmentProblem, ProblemError
from engine.messages import render


@pytest.fixture
def remote(tmp_path: Path) -> Path:
    """A folder laid out as a set on the hub is: two splits, a folder of its own, two subsets."""
    folder = tmp_path / "remote"
    for name, count in (("train.jsonl", 10), ("test.jsonl", 2), ("extra/train.jsonl", 3), ("other/train.jsonl", 1)):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        rows = [{"instruction": f"{name}{number}", "input": None, "output": "a"} for number in range(count)]
        path.write_text("\n".join(json.dumps(row) for row in rows))
    card = "---\nconfigs:\n- config_name: main\n  default: true\n  data_files:\n  - {split: train, path: train.jsonl}\n"
    card += "  - {split: test, path: test.jsonl}\n"
    card += "- config_name: other\n  data_files: other/train.jsonl\n---\n"
    (folder / "README.md").write_text(card)
    return folder


def entry(folder: Path, info: dict) -> DatasetEntry:
    (folder / "dataset_info.json").write_text(json.dumps({"mine": info}))
    return load_registry(folder).resolve(["mine"])[0]


@pytest.mark.parametrize(
    ("more", "rows"),
    [
        ({}, [f"train.jsonl{number}" for number in range(10)]),
        ({"split": "test"}, ["test.jsonl0", "test.jsonl1"]),
        ({"split": "train[:20%]"}, ["train.jsonl0", "train.jsonl1"]),
        ({"split": "train[-1:]+test[:1]"}, ["train.jsonl9", "test.jsonl0"]),
        ({"subset": "other"}, ["other/train.jsonl0"]),
        ({"num_samples": 4}, [f"train.jsonl{number}" for number in (8, 1, 5, 0)]),
    ],
)
def test_subset_split_and_num_samples(tmp_path, remote, more, rows):
    """8, 1, 5, 0 are the first of np.random.RandomState(42).permutation(10)."""
    found, tally = load_samples(entry(tmp_path, {"hf_hub_url": str(remote), **more}), cache_dir=str(tmp_path / "cache"))
    assert [sample.conversation.turns[0].content for sample in found] == rows
    assert tally.kept == len(rows)
    assert (found[0].origin.file, found[0].origin.line) == (str(remote), 0)
    assert (tmp_path / "cache").is_dir()


def test_folder_and_max_samples(tmp_path, remote):
    (remote / "README.md").unlink()
    found, _ = load_samples(
        entry(tmp_path, {"hf_hub_url": str(remote), "folder": "extra"}), 2, cache_dir=str(tmp_path / "cache")
    )
    assert [sample.conversation.turns[0].content for sample in found] == ["extra/train.jsonl0", "extra/train.jsonl1"]


@pytest.mark.parametrize(
    ("more", "code", "key"),
    [
        ({"split": "validation"}, "hub_set_part", "split"),
        ({"split": "train[:50%"}, "hub_set_part", "split"),
        ({"subset": "nothing"}, "hub_set_part", "subset"),
        ({"folder": "empty"}, "hub_set_part", "folder"),
    ],
)
def test_a_part_that_is_not_there(tmp_path, remote, more, code, key):
    (remote / "empty").mkdir()
    if key == "folder":
        (remote / "README.md").unlink()
    with pytest.raises(DataError) as caught:
        load_samples(entry(tmp_path, {"hf_hub_url": str(remote), **more}), cache_dir=str(tmp_path / "cache"))
    [problem] = caught.value.problems
    assert (problem.code, problem.key) == (code, key) and more[key] in render(problem)


@pytest.mark.parametrize("switch", ["HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE"])
def test_offline_says_what_to_do(tmp_path, monkeypatch, switch):
    from huggingface_hub import constants

    monkeypatch.setenv(switch, "1")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    hub = HubSet("nobody/nothing-of-that-name")
    with pytest.raises(EnvironmentProblem) as caught:
        hub_state(hub)
    [problem] = caught.value.problems
    assert problem.code == "hub_set_offline"
    assert "HF_DATASETS_OFFLINE" in render(problem) and "file_name" in render(problem)
    main = tmp_path / "datasets--nobody--nothing-of-that-name" / "refs" / "main"
    main.parent.mkdir(parents=True)
    main.write_text("0123abc\n")
    assert hub_state(hub) == "0123abc"


def test_out_of_reach_names_the_mirror(tmp_path, monkeypatch):
    import huggingface_hub
    from huggingface_hub import constants

    def refused(*_: object, **__: object) -> None:
        raise OSError("[Errno 111] Connection refused")

    for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", refused)
    with pytest.raises(EnvironmentProblem) as caught:
        hub_state(HubSet("nobody/nothing"))
    assert "HF_ENDPOINT" in render(caught.value.problems[0]) and "refused" in render(caught.value.problems[0])


@pytest.mark.parametrize("name", ["/nowhere/at/all", "a/b/c", "../x/y", "a b"])
def test_what_is_no_name_and_no_folder(name):
    with pytest.raises(DataError) as caught:
        hub_state(HubSet(name))
    assert caught.value.problems[0].code == "hub_set_name"


def test_the_state_of_a_folder_changes_with_its_files(remote):
    before = hub_state(HubSet(str(remote)))
    assert hub_state(HubSet(str(remote))) == before
    (remote / "test.jsonl").write_text("{}")
    assert hub_state(HubSet(str(remote))) != before


def test_online_makes_every_name_one_of_the_hub(remote, tmp_path):
    [one, two] = load_registry(Path("ONLINE")).resolve([str(remote), "org/name"])
    assert one.hub == HubSet(str(remote)) and two.hub == HubSet("org/name") and two.formatting == "alpaca"
    assert len(load_samples(one, cache_dir=str(tmp_path / "cache"))[0]) == 10


def test_remote_takes_the_registry_of_a_set_on_the_hub(tmp_path, monkeypatch):
    import huggingface_hub

    info = {"far": {"hf_hub_url": "org/far", "formatting": "sharegpt"}, "near": {"file_name": "near.json"}}
    (tmp_path / "dataset_info.json").write_text(json.dumps(info))
    asked = []

    def fetch(repo_id: str, filename: str, repo_type: str) -> str:
        asked.append((repo_id, filename, repo_type))
        return str(tmp_path / filename)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", fetch)
    registry = load_registry(Path("REMOTE:org/sets"))
    assert asked == [("org/sets", "dataset_info.json", "dataset")]
    assert registry.resolve(["far"])[0].hub == HubSet("org/far")
    with pytest.raises(DataError) as caught:
        registry.resolve(["near"])
    assert caught.value.problems[0].code == "dataset_file_remote"

    def missing(**_: object) -> str:
        raise OSError("no network")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", missing)
    with pytest.raises(ProblemError) as failed:
        load_registry(Path("REMOTE:org/sets"))
    assert "org/sets" in str(failed.value)
