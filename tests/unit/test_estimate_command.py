"""`sft-wizard estimate`, --fit and the memory block of --dry-run, as a person and a program read them."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from engine.config.jobs import load_job
from engine.dry_run import dry_run
from engine.errors import ConfigError, Problem
from engine.memory.applying import make_fit
from engine.memory.forecast import Forecast, forecast, forecast_job
from engine.pipeline import Plan
from engine.text import Phrase
from tests.unit.memory_cases import machine, save_job, save_llama
from tests.unit.test_memory_forecast import COUNTED
from tui.cli import app
from tui.estimatepage import EstimatePage, exit_code, gigabytes, short_lines, shortened, verdict_line
from tui.planpage import tell_fit
from tui.report import Report

pytestmark = pytest.mark.usefixtures("private_home")

BIG = "Qwen/Qwen2.5-7B-Instruct"  # among the recommended models: its size needs no network
EVIL = "evil\x1b]52;c;eA==\x07\u202e"


@pytest.fixture(autouse=True)
def _called(monkeypatch: pytest.MonkeyPatch) -> None:
    """As which commands name the tool, however the tests are started."""
    monkeypatch.setattr("sys.argv", ["sft-wizard"])


def printed(found: Forecast, width: int = 80, overrides: Sequence[str] = ()) -> str:
    stream = io.StringIO()
    EstimatePage(found, Path("train.yaml"), overrides, Console(file=stream, width=width, highlight=False)).print()
    return stream.getvalue()


def of(folder: Path, model: str, *free: float, **changes: Any) -> Forecast:
    return forecast_job(load_job(save_job(folder, model, **changes)), machine(*free), counted=COUNTED)


def test_the_verdict_stands_first_with_its_error_and_level(tmp_path: Path) -> None:
    page = printed(of(tmp_path, BIG, 40.0))
    first = page.splitlines()[0]
    assert first.startswith("Fits: ")
    assert first.endswith("of 40.0 GB free, ± 5 %, by arithmetic")


def test_every_part_has_its_size_and_a_bar_and_they_add_up(tmp_path: Path) -> None:
    """The figure is the sum of the parts, as far as two decimals show it."""
    found = of(tmp_path, BIG, 20.0)
    lines = [line for line in printed(found).splitlines() if line.rstrip().endswith(("█", "#"))]
    names = [line.split("  ")[1].strip() for line in lines]
    assert names[0] == "weights"
    assert names[-1] == "other processes", "24 GB of which 20 are free"
    sizes = [float(line.split(" GB")[0].split()[-1]) for line in lines[:-1]]
    assert sum(sizes) == pytest.approx(found.needed / 2**30, abs=0.1)
    bars = [line.count("█") for line in lines]
    assert bars[0] == max(bars)
    assert all(bars)


def test_the_plan_disk_and_steps_are_told(tmp_path: Path) -> None:
    found = of(tmp_path, BIG, 18.0, save_steps=10)
    page = printed(found)
    assert found.estimate is not None
    assert f"{found.estimate.plan.recompute} of 28" in page
    assert "39 (13 a pass), 20000 tokens a pass" in page
    assert "5 checkpoints of" in page


def test_what_would_make_it_fit_comes_with_the_command_that_applies_it(tmp_path: Path) -> None:
    found = of(tmp_path, BIG, 12.0)
    page = printed(found, overrides=["lora_rank=8"])
    assert page.startswith("Does not fit: ")
    assert "Approximate: another result" in page
    assert "train train.yaml lora_rank=8 quantization_bit=8" in " ".join(page.split())
    assert exit_code(found) == 3
    assert printed(of(tmp_path, BIG, 40.0)).count("quantization_bit") == 0


def test_a_project_takes_its_changes_by_their_part(tmp_path: Path) -> None:
    save_job(tmp_path, BIG)
    (tmp_path / "config.yaml").write_text("version: 1\ntrain: train.yaml\n")
    found = forecast(tmp_path, machine=machine(12.0), count=False)
    assert "--replay train.yaml --set train.quantization_bit=8" in " ".join(printed(found).split())


def test_where_nothing_suffices_a_smaller_model_is_named(tmp_path: Path) -> None:
    page = " ".join(printed(of(tmp_path, "Qwen/Qwen2.5-72B-Instruct", 12.0)).split())
    assert "take a smaller model, or a GPU with more memory" in page
    assert "such as Qwen/" in page


def test_of_changes_of_a_kind_one_is_shown(tmp_path: Path) -> None:
    """The mildest that suffices, else the one that saves most: eight lines of cutoff_len help nobody."""
    found = of(tmp_path, BIG, 12.0)
    ranked = [change for change in found.changes if "cutoff_len" in change.settings]
    assert len(ranked) == 2
    assert [change for change in shortened(found.changes) if "cutoff_len" in change.settings] == ranked[-1:]
    enough = [replace(change, fits=True) for change in ranked]
    assert shortened(enough) == enough[:1]


@pytest.mark.parametrize("width", [80, 40])
def test_no_line_is_too_long_and_nothing_foreign_reaches_the_terminal(tmp_path: Path, width: int) -> None:
    found = of(tmp_path, BIG, 12.0)
    assert found.estimate is not None
    spoilt = replace(
        found,
        model=EVIL * 9,
        device=replace(found.device, name=EVIL),
        others=(replace(found.device, name=EVIL),),
        estimate=replace(found.estimate, notes=(Phrase("{name} is unknown", {"name": EVIL}),)),
    )
    for one in (found, spoilt):
        page = printed(one, width)
        assert max(map(len, page.splitlines())) <= width
        assert not {"\x1b", "\x07", "\u202e"} & set(page)


@pytest.mark.parametrize("width", [60, 36])
def test_a_narrow_terminal_still_shows_every_figure(tmp_path: Path, width: int) -> None:
    found = of(tmp_path, BIG, 12.0)
    page = " ".join(printed(found, width).split())
    assert found.estimate is not None
    for size in (found.estimate.parts.weights, found.estimate.parts.trained, found.estimate.parts.reserve):
        assert f"{gigabytes(size)} GB" in page
    assert "…" not in page
    assert not [line for line in printed(found, width).splitlines() if line.endswith(" ")]


def test_what_is_less_than_two_decimals_show_is_not_nothing() -> None:
    assert [gigabytes(size) for size in (0, 2**20, 2**30 // 100, 11 * 2**30)] == ["0.0", "<0.01", "0.01", "11.0"]


def test_a_terminal_of_ascii_gets_ascii(tmp_path: Path) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii", errors="backslashreplace")
    EstimatePage(of(tmp_path, BIG, 12.0), Path("train.yaml"), (), Console(file=stream, width=80)).print()
    stream.seek(0)
    page = stream.read()
    assert "+/- 5 %" in page
    assert "##" in page
    assert "\\" not in page.split("The least that suffices")[0]


def test_the_command_gives_a_key_once_and_goes_on_after_a_backslash(tmp_path: Path) -> None:
    """A copied line that breaks off would train without the change."""
    found = of(tmp_path, BIG, 12.0)
    page = printed(found, 40, ["quantization_bit=null", "learning_rate=0.0001"])
    lines = page.split("The least that suffices:\n")[1].split("\n  or --fit")[0].splitlines()
    assert len(lines) > 1
    assert all(line.endswith(" \\") for line in lines[:-1])
    assert not lines[-1].endswith("\\")
    assert max(map(len, lines)) <= 40
    whole = " ".join(line.rstrip("\\").strip() for line in lines)
    assert whole.endswith("train train.yaml learning_rate=0.0001 quantization_bit=8")


def test_an_empty_gpu_memory_is_refused_like_any_other_nonsense(tmp_path: Path) -> None:
    file = save_job(tmp_path, save_llama(tmp_path / "model"))
    error = CliRunner().invoke(app, ["estimate", str(file), "--gpu-memory", ""]).exception
    assert isinstance(error, ConfigError)
    assert error.problems[0].code == "gpu_memory_wrong"


def test_a_dry_run_says_it_in_short(tmp_path: Path) -> None:
    lines = list(short_lines(of(tmp_path, BIG, 12.0)))
    assert lines[0].startswith("memory: does not fit, ")
    assert lines[-1] == "to make it fit: quantization_bit=8"
    fits = list(short_lines(of(tmp_path, BIG, 40.0)))
    assert len(fits) == 2
    assert "tokens at a time" in fits[1]


def test_a_dry_run_forecasts_what_is_left_to_do(tmp_path: Path) -> None:
    """An adapter that is there already is not estimated again; nothing left, nothing to say."""
    save_job(tmp_path, save_llama(tmp_path / "model"))
    merge = f"model_name_or_path: {tmp_path / 'model'}\nadapter_name_or_path: saves\nexport_dir: merged\n"
    (tmp_path / "merge.yaml").write_text(merge + "template: chatml\n")
    (tmp_path / "config.yaml").write_text("version: 1\ntrain: train.yaml\nmerge: merge.yaml\n")
    job = load_job(tmp_path)
    left = dry_run(Plan(job, ["merge"], ["train"], {}, {}), machine=machine(20.0))
    assert left.forecast is not None and left.forecast.merge is not None
    assert left.forecast.estimate is None
    assert next(short_lines(left.forecast)) == "memory: the merge fits"
    done = dry_run(Plan(job, [], ["train", "merge"], {}, {}), machine=machine(20.0))
    assert (done.forecast, done.as_dict()["memory"]) == (None, None)


def test_what_fit_changed_is_said_with_what_it_does_to_the_result(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    applied = make_fit(save_job(tmp_path, BIG), machine=machine(12.0), count=False)
    with Report() as report:
        tell_fit(applied, report)
    said = capsys.readouterr().err
    assert "Does not fit: " in said
    assert "changed, approximate: The base in 8 bits (quantization_bit=8); the frozen weights are rounded" in said
    assert said.rstrip().splitlines()[-1].startswith("Fits: ")


def test_a_figure_that_is_not_known_is_no_yes(tmp_path: Path) -> None:
    found = of(tmp_path, str(save_llama(tmp_path / "model", hidden_size=...)), 20.0)
    assert verdict_line(found) == "Not known: see below"
    assert "hidden_size" in printed(found)
    assert exit_code(found) == 2


def test_a_job_that_would_end_for_another_reason_is_no_yes(tmp_path: Path) -> None:
    """The data file is missing: the memory would do, the run would not start."""
    found = of(tmp_path, BIG, 40.0)
    missing = Problem("file_missing", {"path": "data.json"})
    assert (exit_code(found), exit_code(replace(found, problems=(missing,)))) == (0, 2)


def run(*arguments: str | Path) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["estimate", *map(str, arguments)])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.stdout


def test_the_command_by_its_exit_codes(tmp_path: Path) -> None:
    file = save_job(tmp_path, BIG)
    told = ("--fast", "--no-data")
    code, page = run(file, *told, "--gpu-memory", "40")
    assert code == 0
    assert page.startswith("Fits: ")
    code, page = run(file, "quantization_bit=4", "--lora_rank", "4", *told, "--gpu-memory", "12", "--json")
    assert code == 0
    raw = json.loads(page)
    assert (raw["exit_code"], raw["verdict"], raw["recipe"]["bits"], raw["recipe"]["rank"]) == (0, "fits", 4, 4)
    assert raw["problems"][-1]["text"].startswith("The data are not counted")
    code, page = run(file, *told, "--gpu-memory", "6", "--json", "--set", "cutoff_len=256")
    assert code == 3
    raw = json.loads(page)
    assert (raw["verdict"], raw["data"]["longest"], raw["free"]) == ("no", 256, 6 << 30)
    assert raw["changes"]
    assert raw["estimate"]["allocated"] == sum(raw["estimate"]["parts"].values()) - raw["estimate"]["parts"]["reserve"]


def test_help_tells_the_exit_codes() -> None:
    code, page = run("--help")
    assert code == 0
    assert "0 it fits, 3 it does not, 2" in " ".join(page.split())
