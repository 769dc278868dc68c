"""What is settled before the first step: which checkpoint a run goes on from, and whether new ones will fit."""

from __future__ import annotations

import pytest
import torch

from engine.config.schema import TrainConfig
from engine.errors import EnvironmentProblem, RunError
from engine.train.before import check_disk, resume_from
from engine.train.checkpoints import NEEDED, WEIGHTS, write_manifest


class Told:
    """Stands for the run: collects what it is told."""

    def __init__(self):
        self.events = self
        self.written = []

    def write(self, kind, **fields):
        self.written.append((kind, fields))

    def warn(self, problem):
        self.written.append(("warning", problem.code))


def checkpoint(folder, step):
    path = folder / f"checkpoint-{step}"
    path.mkdir(parents=True)
    for name in (*NEEDED, WEIGHTS[0]):
        (path / name).write_text("x")
    write_manifest(path)
    return path


def config(output, **changes):
    return TrainConfig(model_name_or_path="m", dataset="d", output_dir=str(output), **changes)


def test_the_newest_whole_checkpoint_is_found_and_said(tmp_path):
    """A requeued job goes on where it was, and its log says where that is."""
    checkpoint(tmp_path, 4)
    best = checkpoint(tmp_path, 10)
    (checkpoint(tmp_path, 12) / "optimizer.pt").write_text("damaged")
    told = Told()
    assert resume_from(told, config(tmp_path), tmp_path) == best
    assert ("warning", "checkpoint_damaged") in told.written
    assert ("log", {"what": "resumed", "resumed_from": str(best), "step": 10}) in told.written


def test_a_named_checkpoint_of_another_run_is_left_behind_once_this_run_is_further(tmp_path):
    """Else an interrupted run would start from the named folder again and again."""
    named, out = checkpoint(tmp_path / "other", 5), tmp_path / "out"
    out.mkdir()
    asked = config(out, resume_from_checkpoint=str(named))
    assert resume_from(Told(), asked, out) == named
    own = checkpoint(out, 8)
    assert resume_from(Told(), asked, out) == own


def test_a_named_earlier_checkpoint_of_the_same_folder_goes_back(tmp_path):
    """Naming it is how a person undoes the last steps."""
    earlier = checkpoint(tmp_path, 3)
    checkpoint(tmp_path, 9)
    assert resume_from(Told(), config(tmp_path, resume_from_checkpoint=str(earlier)), tmp_path) == earlier


def test_files_that_no_manifest_vouches_for_are_never_loaded(tmp_path):
    """torch.load on a stranger's file can run code."""
    foreign = tmp_path / "checkpoint-3"
    foreign.mkdir()
    with pytest.raises(RunError) as found:
        resume_from(Told(), config(tmp_path, resume_from_checkpoint=str(foreign)), tmp_path)
    assert found.value.problems[0].code == "checkpoint_unusable"
    with pytest.raises(RunError) as found:
        resume_from(Told(), config(tmp_path, resume_from_checkpoint=True), tmp_path)
    assert found.value.problems[0].code == "nothing_to_resume"


def test_a_disk_too_small_for_the_checkpoints_is_told_before_the_first_step(tmp_path):
    """10 steps, a checkpoint each 5: two, one more while it is written, and the adapter itself."""
    model = torch.nn.Linear(1000, 1000, bias=False)  # 4 MB of trained parameters, 12 MB with AdamW's moments
    asked = config(tmp_path, max_steps=10, save_steps=5)
    tokenizer = 16 << 20
    needed = 3 * (12_000_000 + tokenizer) + 4_000_000 + tokenizer
    check_disk(asked, model, 100, tmp_path, free=lambda folder: needed)
    with pytest.raises(EnvironmentProblem) as found:
        check_disk(asked, model, 100, tmp_path, free=lambda folder: needed - 1)
    assert found.value.problems[0].code == "disk_too_small"
    limited = config(tmp_path, max_steps=10, save_steps=5, save_total_limit=1)
    check_disk(limited, model, 100, tmp_path, free=lambda folder: needed - 1)
