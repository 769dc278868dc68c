"""Whose output folder it is: another's work is never taken for ours, and nothing is ever written over."""

from __future__ import annotations

from pathlib import Path

from engine.outputs import MARKER, mark_finished, mark_started, move_aside, read_marker, standing


def test_nothing_of_worth(tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert standing(out, "mine") == "absent"
    out.mkdir()
    assert standing(out, "mine") == "absent"
    (out / "logs").mkdir()  # a bare config's runs live here, before its adapter does
    assert standing(out, "mine") == "absent"
    mark_started(out, "another", tmp_path / "run")
    assert standing(out, "mine") == "absent"


def test_interrupted_then_finished_by_the_same_config(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    mark_started(out, "mine", tmp_path / "run")
    assert standing(out, "mine") == "interrupted"
    (out / "checkpoint-10").mkdir()
    assert standing(out, "mine") == "interrupted"
    mark_finished(out)
    assert standing(out, "mine") == "finished"
    marker = read_marker(out)
    assert marker and (marker.fingerprint, marker.run) == ("mine", str(tmp_path / "run"))


def test_a_finished_run_whose_files_are_gone_is_done_again(tmp_path: Path) -> None:
    mark_finished(tmp_path, "mine", tmp_path)
    assert standing(tmp_path, "mine") == "interrupted"


def test_another_config_of_ours(tmp_path: Path) -> None:
    (tmp_path / "adapter_model.safetensors").touch()
    mark_finished(tmp_path, "another", tmp_path)
    assert standing(tmp_path, "mine") == "other"


def test_files_of_somebody_else(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    assert standing(tmp_path, "mine") == "foreign"
    for damaged in ("", "{", "[]", '{"fingerprint": "mine"}'):
        (tmp_path / MARKER).write_text(damaged)
        assert standing(tmp_path, "mine") == "foreign"


def test_moving_aside_keeps_everything(tmp_path: Path) -> None:
    targets = []
    for index in range(4):  # within one second, so under one time stamp
        out = tmp_path / "out"
        out.mkdir()
        (out / "file").write_text(str(index))
        targets.append(move_aside(out))
        assert not out.exists()
    assert [(target / "file").read_text() for target in targets] == ["0", "1", "2", "3"]
    assert all(target.parent == tmp_path and target.name.startswith("out.") for target in targets)
