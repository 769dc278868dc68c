"""Runs beside each other: figures from their events, and only the settings that differ."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path

import pytest

from engine.errors import ConfigError
from engine.runs import index
from engine.runs.comparing import MOST, compare
from engine.runs.folder import RunFolder
from engine.runs.listing import listed, trained
from tests.unit.run_shelf import BEGAN, shelve
from tui import comparepage
from tui.runs import compare_runs


@pytest.fixture(autouse=True)
def home(private_home: Path) -> None:
    """Nobody's runs."""


def test_what_came_of_a_run_is_read_from_its_events(tmp_path: Path) -> None:
    """Twenty steps, two seconds and 900 tokens each: the rate leaves out the first, whose beginning nobody saw."""
    run = shelve(tmp_path, steps=20, evals=((10, 1.5), (20, 0.75)))
    found = trained(run)
    losses = [0.4 + 2.6 * math.exp(-step / 10) for step in range(1, 21)]
    mean = 0.0
    for loss in losses:
        mean = 0.9 * mean + 0.1 * loss
    assert found.loss == pytest.approx(mean / (1 - 0.9**20))
    assert (found.eval_loss, found.evals) == (0.75, ((10, 1.5), (20, 0.75)))
    assert found.tokens_per_second == pytest.approx(450.0) and found.seconds == pytest.approx(38.0)
    assert found.peak == 2_000_000_000 and len(found.curve) == 20
    assert (found.listed.model, found.listed.data, found.listed.name) == ("smollm2-135m", "identity", "mine")


def test_only_what_differs_is_listed(tmp_path: Path) -> None:
    """Where things lie is no setting, and null is what null means."""
    one = shelve(tmp_path / "one", settings={"lora_alpha": None, "warmup_ratio": 0.1})
    two = shelve(tmp_path / "two", settings={"lora_alpha": 16, "learning_rate": 2e-4})
    three = shelve(tmp_path / "three", settings={"model_name_or_path": "a/b", "learning_rate": 1e-4})
    found = compare([trained(run) for run in (one, two, three)])
    assert dict(found.settings) == {
        "model": ("smollm2-135m", "smollm2-135m", "b"),
        "learning_rate": (1e-4, 2e-4, 1e-4),
        "warmup_ratio": (0.1, None, None),
    }
    assert compare([trained(one), trained(one)]).settings == ()


def test_a_run_that_left_nothing_is_still_compared(tmp_path: Path) -> None:
    """A config that was edited, events that are gone."""
    run = RunFolder.create(tmp_path, "x", {"train": "none"})
    found = trained(run)
    assert (found.curve, found.loss, found.peak, found.seconds, found.settings) == ((), None, None, None, {})
    run.config_file.write_text("{")
    assert listed(run).model == "" and listed(run).name == run.id
    lines = comparepage.compared(compare([found, trained(shelve(tmp_path / "y"))]), time.time())
    assert any(line.startswith("loss, smoothed") and " - " in line for line in lines)


def test_when_a_run_began_is_in_its_name(tmp_path: Path) -> None:
    """Of a folder that was renamed its config tells."""
    named = tmp_path / "20260131T093000-x"
    named.mkdir()
    assert RunFolder(named).began() == BEGAN
    run = shelve(tmp_path)
    run.path.rename(tmp_path / "renamed")
    assert RunFolder(tmp_path / "renamed").began() == pytest.approx(time.time(), abs=60)
    assert RunFolder(tmp_path / "nowhere").began() == 0.0


def test_columns_give_way_and_fill_the_line(tmp_path: Path) -> None:
    """Every line is as wide as there is room, at any width, in Chinese too."""
    found = listed(shelve(tmp_path, name="模型" * 20))
    for cells in (40, 52, 72, 112, 200):
        names = list(comparepage.columns(cells))
        assert names[:3] == ["name", "state", "loss"]
        assert sum(comparepage.columns(cells).values()) + comparepage.GAP * (len(names) - 1) == cells
    wide = comparepage.row(found, BEGAN + 7200, 112)
    assert "20/20" in wide and "smollm2-135m" in wide and "identity" in wide
    assert "smollm2" not in comparepage.row(found, BEGAN, 60)


def test_a_table_is_cut_not_broken(tmp_path: Path) -> None:
    """Four columns stay four columns in a narrow window."""
    rows = [("a very long name of a setting", ["x" * 50] * 4)]
    for line in comparepage.table(rows, 4, 58)[1:]:
        assert len(line) <= 58 and line.count("…") == 5
    assert "x" * comparepage.LONGEST not in comparepage.table(rows, 4)[1][:20]


def test_the_command_compares_in_text_and_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Ids, beginnings of ids and folders."""
    runs = [shelve(tmp_path / name, name=name, settings={"lora_rank": rank}) for name, rank in (("a", 8), ("b", 16))]
    index.note(runs[0])
    assert compare_runs([runs[0].id, str(runs[1].path)], as_json=False) == 0
    text = capsys.readouterr().out
    assert f"A  {runs[0].id}" in text and "lora_rank" in text and "learning_rate" not in text
    assert compare_runs([runs[0].id, str(runs[1].path)], as_json=True) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["settings"]["lora_rank"] == [8, 16] and found["runs"][1]["curve"][0][0] == 1
    for count in (1, MOST + 1):
        with pytest.raises(ConfigError) as caught:
            compare_runs([runs[0].id] * count, as_json=False)
        assert caught.value.problems[0].code == "compare_count"
