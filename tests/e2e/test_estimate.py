"""`sft-wizard estimate` and --fit from a shell: data counted, the step traced, the run with what was changed."""

from __future__ import annotations

import json

import pytest

from tests.e2e.tool import sft, train_config

pytestmark = [pytest.mark.usefixtures("private_home"), pytest.mark.slow]


def test_the_figure_is_traced_on_the_datas_own_lengths_and_the_dry_run_has_the_quick_one(tmp_path, tiny_model):
    config = train_config(tmp_path, tiny_model, template="chatml", val_size=10, eval_strategy="epoch")
    told = sft("estimate", config, "--json", cwd=tmp_path)
    assert told.returncode == 0, told.stderr
    found = json.loads(told.stdout)
    assert (found["verdict"], found["estimate"]["level"]) == ("fits", "traced")
    assert found["data"]["counted"] is True
    assert found["data"]["longest"] < 64
    assert found["outlook"]["steps"] == 8  # 30 rows, two at a time, twice added up
    planned = sft("train", config, "--dry-run", "--json", cwd=tmp_path)
    memory = json.loads(planned.stdout)["memory"]
    quick = json.loads(sft("estimate", config, "--json", "--fast", cwd=tmp_path).stdout)
    assert memory["estimate"] == quick["estimate"]
    assert not (tmp_path / "saves").exists()


def test_fit_leaves_a_run_alone_that_fits(tmp_path, tiny_model):
    config = train_config(tmp_path, tiny_model, template="chatml", max_steps=1)
    done = sft("train", config, "--fit", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Fits: " in done.stderr
    assert "changed" not in done.stderr
    time_known = json.loads(sft("estimate", config, "--json", "--fast", cwd=tmp_path).stdout)
    assert time_known["outlook"]["seconds"] > 0, "the run before measured a rate"
