"""`sft-wizard presets`: readable at any width, machine-readable as JSON, and not stopped by a bad file."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from rich.cells import cell_len

from engine.errors import ConfigError
from engine.hardware import Hardware
from engine.memory.presets import imagined, load_presets, recommend, shipped_presets
from tui.making import new_project
from tui.presetpage import Found, lines, show_presets

OWN = 'title: "Bank: {rank}"\nmemory_gb: 30\nsettings:\n  lora_rank: 12\n  lora_target: "a\\eb"\n'


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "80")
    place = tmp_path / "sft-wizard/presets"
    place.mkdir(parents=True)
    return place


def page(width: int, hardware: Hardware, place: str = "there") -> list[str]:
    found = load_presets()[0]
    return list(lines(Found(found, [], hardware, recommend(hardware), Path(place)), width))


@pytest.mark.parametrize("width", [24, 40, 80, 100])
def test_no_line_is_too_long(width: int) -> None:
    assert max(cell_len(line) for line in page(width, imagined("16"))) <= width
    text = " ".join(" ".join(page(width, imagined("16"))).split())
    for preset in shipped_presets():
        assert preset.reason in text


def test_the_one_to_begin_with_is_marked() -> None:
    shown = page(80, imagined("16"))
    assert shown[1] == "Recommended: 16gb (16 GB are free)"
    (marked,) = (line for line in shown if line.endswith("recommended"))
    assert marked.startswith("16gb") and "from 14 GB free" in marked and "LLaMA-Factory's guide" in marked
    assert page(80, Hardware(()))[1] == "Recommended: cpu (no GPU can be used here)"


def test_a_key_and_its_value_stay_together() -> None:
    """At 80 cells no line ends between the two."""
    assert "    cutoff_len: 1024, lora_rank: 8, bf16: true" in page(80, imagined("8"))
    assert not any(line.endswith(":") for line in page(80, imagined("8")))


def test_ones_own_are_listed_as_they_are(folder: Path) -> None:
    """Braces and escape characters of a file are text."""
    (folder / "bank.yaml").write_text(OWN)
    shown = page(80, imagined("8"), str(folder))
    at = next(place for place, line in enumerate(shown) if line.startswith("bank"))
    assert "Bank: {rank}" in shown[at] and "yours" in shown[at]
    assert shown[at + 1] == "    lora_rank: 12, lora_target: a\\x1bb"
    assert "".join(shown[-2:]).replace(" ", "").endswith(str(folder).replace(" ", ""))


def test_json_has_everything(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    (folder / "bank.yaml").write_text(OWN)
    (folder / "bad.yaml").write_text("memory_gb: 8\nsettings:\n  lora_rank: -3\n")
    assert show_presets("24GB", as_json=True) == 0
    raw = json.loads(capsys.readouterr().out)
    assert (raw["exit_code"], raw["recommended"], raw["free_gb"]) == (0, "24gb", 24)
    assert raw["folder"] == str(folder)
    byname = {preset["name"]: preset for preset in raw["presets"]}
    assert byname["bank"]["origin"] == "yours" and not byname["bank"]["automatic"]
    assert byname["minimal"]["settings"]["quantization_bit"] == 4
    (problem,) = raw["problems"]
    assert (problem["code"], problem["key"], problem["line"]) == ("value_wrong", "lora_rank", 3)
    assert f"{folder}/bad.yaml:3" in problem["text"]


def test_a_bad_file_is_told_on_stderr_and_the_rest_is_listed(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    (folder / "bad.yaml").write_text("memory_gb: lots\nsettings: {}\n")
    assert show_presets("24", as_json=False) == 0
    out, err = capsys.readouterr()
    assert f"error: {folder}/bad.yaml:1: memory_gb takes a number" in err
    assert "24gb" in out and "bad.yaml" not in out


@pytest.mark.parametrize("as_json", [False, True])
def test_nonsense_is_refused(as_json: bool, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ConfigError):
        show_presets("lots", as_json=as_json)
    out = capsys.readouterr().out
    assert (json.loads(out)["exit_code"] == 2) if as_json else out == ""


def test_it_is_a_command(folder: Path) -> None:
    """As a person calls it, on a terminal without UTF-8."""
    (folder / "cafe.yaml").write_text("title: Café\n" + OWN.partition("\n")[2], encoding="utf-8")
    code = "from tui.cli import main; main()"
    ran = subprocess.run(
        [sys.executable, "-c", code, "presets", "--gpu-memory", "12"],
        capture_output=True,
        env={"PATH": "", "PYTHONIOENCODING": "ascii", "XDG_CONFIG_HOME": str(folder.parents[1]), "LC_ALL": "C"},
        cwd=Path(__file__).parents[2],
        check=True,
    )
    assert b"12gb - 12 GB - from 10.5 GB free - ours - recommended" in ran.stdout
    assert b"cafe - Caf\\xe9 - from 30 GB free - yours" in ran.stdout and ran.stderr == b""


def test_a_project_takes_the_preset_that_is_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = (None, "identity", [], "smollm2-135m", "alpaca", [], None, None, None, 0.0, False, "rtx_3060")
    assert new_project(tmp_path / "mine", *arguments) == 0
    written = (tmp_path / "mine/configs/train_config.yaml").read_text()
    assert "quantization_bit: 8" in written and "SAGE RTX 3060" in written
    with pytest.raises(ConfigError):
        new_project(tmp_path / "other", *arguments[:-1], "rtx_9090")
    assert not (tmp_path / "other").exists()
