"""A run goes on from a checkpoint that is whole, or says why it does not."""

from __future__ import annotations

import json

import pytest

from engine.train.checkpoints import (
    MANIFEST,
    NEEDED,
    WEIGHTS,
    checkpoints,
    damage,
    newest_good,
    prune_checkpoints,
    write_manifest,
)


def checkpoint(output, step):
    folder = output / f"checkpoint-{step}"
    folder.mkdir(parents=True)
    for name in (*NEEDED, WEIGHTS[0]):
        (folder / name).write_bytes(f"{name} of step {step}".encode() * 50)
    (folder / "adapter_config.json").write_text("{}")
    write_manifest(folder)
    return folder


def flip(path, at=7):
    raw = bytearray(path.read_bytes())
    raw[at] ^= 1
    path.write_bytes(raw)


def test_the_newest_is_the_one_with_the_most_steps(tmp_path):
    """By name, 500 would come after 1000 and half a day's work would be done again."""
    for step in (500, 1000, 90):
        checkpoint(tmp_path, step)
    (tmp_path / "checkpoint-final").mkdir()
    (tmp_path / "checkpoint-2000-old").mkdir()
    assert [path.name for path in checkpoints(tmp_path)] == ["checkpoint-1000", "checkpoint-500", "checkpoint-90"]
    assert newest_good(tmp_path) == (tmp_path / "checkpoint-1000", [])


def test_no_checkpoint_is_no_warning(tmp_path):
    """A first start must not look like an accident."""
    assert newest_good(tmp_path) == (None, [])
    assert newest_good(tmp_path / "not there") == (None, [])


HARM = {
    "flipped byte": (lambda folder: flip(folder / "optimizer.pt"), "optimizer.pt"),
    "cut short": (lambda folder: (folder / "adapter_model.safetensors").write_bytes(b"adapter"), "adapter_model"),
    "grown": (lambda folder: (folder / "scheduler.pt").open("ab").write(b"more"), "scheduler.pt"),
    "no optimizer": (lambda folder: (folder / "optimizer.pt").unlink(), "optimizer.pt is missing"),
    "no small file": (lambda folder: (folder / "adapter_config.json").unlink(), "adapter_config.json is missing"),
    "no manifest": (lambda folder: (folder / MANIFEST).unlink(), "not finished"),
    "half a manifest": (
        lambda folder: (folder / MANIFEST).write_bytes((folder / MANIFEST).read_bytes()[:99]),
        MANIFEST,
    ),
    "another manifest": (lambda folder: (folder / MANIFEST).write_text("[1, 2]"), MANIFEST),
    "a manifest of nothing": (lambda folder: (folder / MANIFEST).write_text('{"files": {}}'), "has no trainer_state"),
    "a file to unpickle": (lambda folder: (folder / "scaler.pt").write_bytes(b"\x80\x04evil"), "scaler.pt was added"),
}


@pytest.mark.parametrize("harm", HARM)
def test_a_damaged_checkpoint_is_passed_over_with_its_reason(tmp_path, harm):
    """After a full disk or a power cut the run must go on from the one before, and say so."""
    good = checkpoint(tmp_path, 5)
    bad = checkpoint(tmp_path, 10)
    hurt, reason = HARM[harm]
    hurt(bad)
    found, (warning,) = newest_good(tmp_path)
    assert found == good
    assert (warning.code, warning.severity) == ("checkpoint_damaged", "warning")
    assert warning.params["path"] == str(bad)
    assert reason in str(warning.params["reason"])


def test_every_flipped_byte_of_the_manifest_is_survived(tmp_path):
    """Whatever a bad disk makes of it, starting a run must not end in a traceback."""
    folder = checkpoint(tmp_path, 1)
    whole = (folder / MANIFEST).read_bytes()
    for at in range(len(whole)):
        for bit in (1, 4, 128):
            raw = bytearray(whole)
            raw[at] ^= bit
            (folder / MANIFEST).write_bytes(raw)
            reason = damage(folder)
            assert reason is None or str(reason)
    (folder / MANIFEST).write_bytes(whole)
    assert damage(folder) is None


def test_the_manifest_names_every_file_and_its_digest(tmp_path):
    """Digests by another tool, so that a person can check a checkpoint with sha256sum."""
    import hashlib

    folder = checkpoint(tmp_path, 1)
    (folder / "inner").mkdir()
    (folder / "inner" / "file").write_bytes(b"x")
    write_manifest(folder)
    files = json.loads((folder / MANIFEST).read_text())["files"]
    assert set(files) == {*NEEDED, WEIGHTS[0], "adapter_config.json", "inner/file"}
    for name, entry in files.items():
        raw = (folder / name).read_bytes()
        assert entry == {"size": len(raw), "sha256": hashlib.sha256(raw).hexdigest()}


def left(output):
    return [int(path.name.rpartition("-")[2]) for path in checkpoints(output)]


def test_pruning_keeps_the_newest(tmp_path):
    """save_total_limit: 2 means the two newest by step, not by name or by time."""
    for step in (1000, 500, 90, 2):
        checkpoint(tmp_path, step)
    prune_checkpoints(tmp_path / "checkpoint-1000", None)
    assert left(tmp_path) == [1000, 500, 90, 2]
    prune_checkpoints(tmp_path / "checkpoint-1000", 2)
    assert left(tmp_path) == [1000, 500]


def test_pruning_never_takes_the_one_just_written(tmp_path):
    """checkpoint-20 is damaged and was passed over: the run goes on from 10, and its new checkpoint must stay."""
    for step in (5, 10, 20, 12):
        checkpoint(tmp_path, step)
    flip(tmp_path / "checkpoint-20" / "optimizer.pt")
    prune_checkpoints(tmp_path / "checkpoint-12", 1)
    assert 12 in left(tmp_path)
    assert newest_good(tmp_path)[0] == tmp_path / "checkpoint-12"


def test_pruning_spares_the_best_one(tmp_path):
    """load_best_model_at_end would otherwise find it gone at the end of the run."""
    for step in (1, 2, 3, 4):
        checkpoint(tmp_path, step)
    prune_checkpoints(tmp_path / "checkpoint-4", 1, spare=str(tmp_path / "checkpoint-2"))
    assert left(tmp_path) == [4, 2]
