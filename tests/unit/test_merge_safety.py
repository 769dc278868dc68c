"""What a merge refuses, and what it leaves behind when it does not finish: nothing."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from engine.errors import ConfigError, EnvironmentProblem, Problem, ProblemError, RunError, StopRequested
from engine.merge.forecast import forecast
from engine.merge.safetensors_io import OutputFiles, Slot
from engine.merge.stage import LOCK, remove_stale, staged
from tests.unit.merge_toys import merge, save_adapter, save_base, tensors


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("made")
    base = save_base(folder / "base", dtype="bfloat16")
    return base, save_adapter(folder / "adapter", base)


def refused(*arguments: Any, **options: Any) -> Problem:
    with pytest.raises(ProblemError) as caught:
        merge(*arguments, **options)
    (problem,) = caught.value.problems
    assert "{" not in str(caught.value)  # the words and their parameters go together
    out = arguments[2]
    assert not [path for path in out.parent.glob(f".{out.name}.*")]
    return problem


def edited(source: Path, target: Path, file: str, **changes: Any) -> Path:
    shutil.copytree(source, target)
    raw = json.loads((target / file).read_text())
    (target / file).write_text(json.dumps(raw | changes))
    return target


def test_an_export_folder_in_use_is_left_alone(made: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("keep")
    assert refused(*made, tmp_path / "out").code == "export_exists"
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine.txt"]


def test_an_empty_export_folder_is_used(made: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    merge(*made, tmp_path / "out")
    assert (tmp_path / "out" / "model.safetensors").is_file()


def test_an_adapter_of_another_size_names_both_shapes(made: tuple[Path, Path], tmp_path: Path) -> None:
    wide = save_base(tmp_path / "wide", hidden_size=64)
    problem = refused(wide, made[1], tmp_path / "out")
    assert problem.code == "merge_adapter_does_not_fit"
    assert any("[4, 32]" in name and "[4, 64]" in name for name in map(str, problem.params["tensors"]))


def test_an_adapter_of_a_deeper_model_names_what_has_no_place(made: tuple[Path, Path], tmp_path: Path) -> None:
    shallow = save_base(tmp_path / "shallow", num_hidden_layers=1)
    problem = refused(shallow, made[1], tmp_path / "out")
    assert problem.code == "merge_adapter_does_not_fit"
    assert "layers.1." in str(problem.params["tensors"][0])


def test_an_adapter_with_tensors_missing(made: tuple[Path, Path], tmp_path: Path) -> None:
    shutil.copytree(made[1], tmp_path / "adapter")
    file = tmp_path / "adapter" / "adapter_model.safetensors"
    held = load_file(file)
    del held["base_model.model.model.layers.0.mlp.up_proj.lora_B.weight"]
    save_file(held, file)
    assert refused(made[0], tmp_path / "adapter", tmp_path / "out").code == "merge_adapter_incomplete"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e30])
def test_weights_that_are_not_finite(made: tuple[Path, Path], tmp_path: Path, value: float) -> None:
    shutil.copytree(made[1], tmp_path / "adapter")
    file = tmp_path / "adapter" / "adapter_model.safetensors"
    held = load_file(file)
    held["base_model.model.model.layers.1.self_attn.k_proj.lora_B.weight"][3, 1] = value
    save_file(held, file)
    with pytest.raises(RunError) as caught:
        merge(made[0], tmp_path / "adapter", tmp_path / "out", dtype="float16")
    assert caught.value.problems[0].code == "merge_not_finite"
    assert caught.value.problems[0].params["tensor"] == "model.layers.1.self_attn.k_proj.weight"
    assert [path.name for path in tmp_path.iterdir()] == ["adapter"]


@pytest.mark.parametrize("init", ["pissa", "pissa_niter_16", "olora", "corda", "loftq", "lora_ga"])
def test_an_adapter_that_changed_its_base(made: tuple[Path, Path], tmp_path: Path, init: str) -> None:
    adapter = edited(made[1], tmp_path / "adapter", "adapter_config.json", init_lora_weights=init)
    assert refused(made[0], adapter, tmp_path / "out").code == "merge_adapter_changed_base"


def test_adapters_that_are_no_weights(made: tuple[Path, Path], tmp_path: Path) -> None:
    adapter = edited(made[1], tmp_path / "adapter", "adapter_config.json", peft_type="PREFIX_TUNING")
    assert refused(made[0], adapter, tmp_path / "out").code == "merge_adapter_kind"


def test_a_quantised_base(made: tuple[Path, Path], tmp_path: Path) -> None:
    base = edited(made[0], tmp_path / "base", "config.json", quantization_config={"quant_method": "gptq"})
    problem = refused(base, made[1], tmp_path / "out")
    assert (problem.code, problem.params["method"]) == ("merge_base_quantised", "gptq")


def test_an_unknown_architecture(made: tuple[Path, Path], tmp_path: Path) -> None:
    base = edited(made[0], tmp_path / "base", "config.json", model_type="novel")
    assert refused(base, made[1], tmp_path / "out").code == "merge_model_unknown"


def test_files_that_are_missing_or_pickled(made: tuple[Path, Path], tmp_path: Path) -> None:
    base, adapter = (shutil.copytree(source, tmp_path / source.name) for source in made)
    (adapter / "adapter_model.safetensors").rename(adapter / "adapter_model.bin")
    assert refused(base, adapter, tmp_path / "out").code == "merge_adapter_not_safetensors"
    (adapter / "adapter_model.bin").unlink()
    assert refused(base, adapter, tmp_path / "out").code == "merge_adapter_missing"
    (adapter / "adapter_config.json").unlink()
    assert refused(base, adapter, tmp_path / "out").code == "merge_adapter_missing"
    (base / "model.safetensors").rename(base / "pytorch_model.bin")
    assert refused(base, made[1], tmp_path / "out").code == "merge_base_not_safetensors"
    (base / "config.json").unlink()
    assert refused(base, made[1], tmp_path / "out").code == "merge_base_missing"


@pytest.mark.parametrize("keep", [4, 2000, -1])
def test_a_base_cut_short(made: tuple[Path, Path], tmp_path: Path, keep: int) -> None:
    base = shutil.copytree(made[0], tmp_path / "base")
    file = base / "model.safetensors"
    file.write_bytes(file.read_bytes()[:keep])
    assert refused(base, made[1], tmp_path / "out").code == "merge_file_damaged"


def test_a_dtype_that_is_none(made: tuple[Path, Path], tmp_path: Path) -> None:
    assert refused(*made, tmp_path / "out", dtype="int8").code == "merge_dtype"


def test_a_disk_too_small_is_found_before_the_first_byte(made: tuple[Path, Path], tmp_path: Path) -> None:
    needed = forecast(*made, tmp_path / "out").disk_needed
    problem = refused(*made, tmp_path / "out", free=lambda folder: needed - 1)
    assert problem.code == "merge_disk_full"
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(EnvironmentProblem):
        merge(*made, tmp_path / "out", free=lambda folder: needed - 1)
    merge(*made, tmp_path / "out", free=lambda folder: needed)


@pytest.mark.parametrize(("tied", "target"), [(False, []), (True, []), (True, ["lm_head"])])
@pytest.mark.parametrize("dtype", [None, "float32"])
def test_the_forecast_is_what_is_written(tmp_path: Path, tied: bool, target: list[str], dtype: str | None) -> None:
    base = save_base(tmp_path / "base", tied=tied, dtype="bfloat16")
    adapter = save_adapter(tmp_path / "adapter", base, target_modules=["q_proj", *target])
    expected = forecast(base, adapter, tmp_path / "out", max_shard_bytes=9000, dtype=dtype)
    merge(base, adapter, tmp_path / "out", max_shard_bytes=9000, dtype=dtype)
    files = [*(tmp_path / "out").glob("*.safetensors"), tmp_path / "out" / "model.safetensors.index.json"]
    assert expected.bytes_out == sum(path.stat().st_size for path in files)
    assert expected.shards == len(files) - 1


def test_the_forecast_needs_no_torch(made: tuple[Path, Path], tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from engine.merge.forecast import forecast, check_disk;"
        "out = Path(sys.argv[3]); check_disk(forecast(Path(sys.argv[1]), Path(sys.argv[2]), out), out);"
        "sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, *map(str, made), str(tmp_path / "out")], check=True, timeout=60)


@pytest.mark.parametrize("polls", [1, 2, 3])
def test_a_stop_leaves_nothing(made: tuple[Path, Path], tmp_path: Path, polls: int) -> None:
    asked = iter([False] * (polls - 1))
    with pytest.raises(StopRequested):
        merge(*made, tmp_path / "out", should_stop=lambda: next(asked, True))
    assert list(tmp_path.iterdir()) == []


def test_progress_ends_at_the_whole(made: tuple[Path, Path], tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    report = merge(*made, tmp_path / "out", progress=lambda done, total: seen.append((done, total)))
    assert seen[0] == (0, report.bytes) and seen[-1] == (report.bytes, report.bytes)
    assert report.bytes == sum(tensor.nbytes for tensor in tensors(tmp_path / "out").values())
    assert seen == sorted(seen)


def test_what_a_killed_merge_leaves_is_cleaned_by_the_next(made: tuple[Path, Path], tmp_path: Path) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path; from engine.merge.stream import Saving, merge_adapter;"
        "kill = lambda done, total: done and os.kill(os.getpid(), signal.SIGKILL);"
        "merge_adapter(*map(Path, sys.argv[1:]), Saving(progress=kill, should_stop=lambda: False))"
    )
    killed = subprocess.run([sys.executable, "-c", code, *map(str, made), str(tmp_path / "out")], timeout=120)
    assert killed.returncode == -signal.SIGKILL
    (left,) = tmp_path.iterdir()
    assert left.name.startswith(".out.") and not (tmp_path / "out").exists()
    merge(*made, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_living_merge_and_foreign_folders_are_not_stale(tmp_path: Path) -> None:
    (tmp_path / ".out.0123abcd").mkdir()  # ours by name, but nothing says so inside
    (tmp_path / ".out.backup").mkdir()
    (tmp_path / ".out.backup" / LOCK).touch()
    with staged(tmp_path / "out") as stage:
        assert remove_stale(tmp_path / "out") == []
        assert stage.is_dir()
    assert sorted(path.name for path in tmp_path.iterdir()) == [".out.0123abcd", ".out.backup", "out"]


def test_the_mode_follows_the_umask(made: tuple[Path, Path], tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        merge(*made, tmp_path / "out")
    finally:
        os.umask(before)
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o750
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "out").iterdir()} == {0o640}
    assert not (tmp_path / "out" / LOCK).exists()


def test_a_tensor_never_written_is_no_zero(tmp_path: Path) -> None:
    files = OutputFiles(tmp_path, {"model.safetensors": [Slot("a", "F32", (2,)), Slot("b", "F32", (2,))]})
    files.write("a", memoryview(bytes(8)))
    files.mark("a")
    with pytest.raises(RuntimeError, match="never written: b"):
        files.close()
    files.abandon()


def test_threads_are_given_back(made: tuple[Path, Path], tmp_path: Path) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        merge(*made, tmp_path / "out")
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_an_index_that_points_elsewhere(made: tuple[Path, Path], tmp_path: Path) -> None:
    base = shutil.copytree(made[0], tmp_path / "base")
    (base / "model.safetensors.index.json").write_text('{"weight_map": {"a": "../../secret.safetensors"}}')
    with pytest.raises(ConfigError) as caught:
        merge(base, made[1], tmp_path / "out")
    assert caught.value.problems[0].code == "merge_file_damaged"
