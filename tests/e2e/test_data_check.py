"""What the model will see, from the command line: fine data, data that would ruin a run, and what cannot be read."""

from __future__ import annotations

import io
import json
import re
import signal
import time
from pathlib import Path

import pytest
from rich.console import Console

from engine.data_check import check_data
from engine.errors import ConfigError, DataError
from tests.e2e.tool import events, sft, start, train_config, wait_for
from tui.datapage import Page

pytestmark = pytest.mark.usefixtures("private_home")
EVIL = "\x1b[2Jwipe\u202e \x07"


def printed(review, width=80, colour=False):
    """The page as a terminal of that width gets it."""
    kind = {"force_terminal": True, "color_system": "256"} if colour else {}
    stream = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    Page(review, Console(file=stream, width=width, highlight=False, **kind)).print()
    stream.flush()
    return stream.buffer.getvalue().decode()


def test_a_page_and_the_same_as_json(tmp_path, tiny_model):
    """Before any run, and without one: nothing is written beside the config."""
    config = train_config(tmp_path, tiny_model, template="chatml")
    before = {path for path in tmp_path.rglob("*")}
    told = sft("data", "check", config, cwd=tmp_path)
    assert told.returncode == 0, told.stderr
    assert "rows: 40 rows, all used" in told.stdout
    assert "in 40 of 40 rows; the model stops at" in told.stdout
    assert "nothing is wrong with this data" in told.stdout
    assert "Tokenising" in told.stderr
    home = tmp_path / "home"
    assert {path for path in tmp_path.rglob("*") if not path.is_relative_to(home)} == before

    found = json.loads(sft("data", "check", config, "--json", "val_size=10", "cutoff_len=28", cwd=tmp_path).stdout)
    assert found["exit_code"] == 0
    assert (found["parts"]["train"]["rows"], found["parts"]["eval"]["rows"]) == (30, 10)
    assert [sample["number"] for sample in found["samples"]] == [1, 16]
    assert found["cutoff_len"] == 28


def test_a_run_that_would_not_learn_to_stop_does_not_start_its_first_step(tmp_path, tiny_model):
    run = sft("train", train_config(tmp_path, tiny_model, template="empty"), cwd=tmp_path)
    assert run.returncode == 2
    assert "error: Template empty writes no end mark" in run.stderr
    seen = events(tmp_path / "saves" / "out" / "logs")
    assert seen[-1]["code"] == "end_mark_not_written"
    assert not any(event["type"] == "step" for event in seen)


@pytest.mark.slow
def test_data_check_says_so_too_and_force_trains_nevertheless(tmp_path, tiny_model):
    config = train_config(tmp_path, tiny_model, template="empty", max_steps=1)
    told = sft("data", "check", config, cwd=tmp_path)
    assert told.returncode == 2
    assert "error: Template empty writes no end mark" in told.stdout
    assert told.stdout.rstrip().endswith("A run would be stopped before its first step.")
    forced = sft("train", config, "--force", cwd=tmp_path)
    assert forced.returncode == 0, forced.stderr
    assert "warning: Template empty writes no end mark" in forced.stderr
    again = sft("train", config, "--json", cwd=tmp_path)
    assert json.loads(again.stdout)["already_done"] is True, "force is no part of what was learnt"


@pytest.mark.slow
def test_force_and_dry_run(tmp_path, tiny_model):
    config = train_config(tmp_path, tiny_model, template="empty")
    assert sft("train", config, "--dry-run", cwd=tmp_path).returncode == 2
    planned = sft("train", config, "--dry-run", "--force", "--json", cwd=tmp_path)
    codes = [note["code"] for note in json.loads(planned.stdout)["training"]["notes"]]
    assert "end_mark_not_written" in codes
    forced = sft("data", "check", config, "--force", "--json", cwd=tmp_path)
    assert forced.returncode == 0
    severities = {problem["code"]: problem["severity"] for problem in json.loads(forced.stdout)["problems"]}
    assert severities["end_mark_not_written"] == "warning"


@pytest.fixture(scope="module")
def hostile(tmp_path_factory, tiny_model):
    """A review of rows that hold escapes, broken rows, and repetitions."""
    folder = tmp_path_factory.mktemp("hostile")
    config = train_config(folder, tiny_model, template="alpaca", cutoff_len=300)
    rows = [{"instruction": f"q {EVIL}", "output": f"a {EVIL}"}] * 30
    rows += [{"instruction": "empty", "output": ""}, {"instruction": 5, "output": "x"}]
    lines = [json.dumps(row) for row in rows] + ["{" + EVIL] * 5
    (folder / "data" / "rows.jsonl").write_text("\n".join(lines))
    (folder / "data" / "dataset_info.json").write_text(json.dumps({"rows": {"file_name": "rows.jsonl"}}))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        return check_data(config, cwd=folder)


def test_every_finding_of_bad_rows_is_told_and_nothing_of_them_reaches_the_terminal(hostile):
    for width in (80, 40):
        page = printed(hostile, width)
        assert "\x1b" not in page
        assert "\x07" not in page
        assert "\u202e" not in page
        assert max(map(len, page.splitlines())) <= width
    page = " ".join(printed(hostile).split())
    assert "rows: 31 of 37 rows are used; left out:" in page
    assert "5 × data_" in page
    assert "rows.jsonl:32" in page
    assert "29 rows; one stands there 30 times" in page
    assert "warning: 1 answers are empty" in page
    assert "Template alpaca and the model's own differ" in page


def test_colour_only_repeats_what_words_say_and_ascii_terminals_are_served(hostile, monkeypatch):
    plain, colour = printed(hostile), printed(hostile, colour=True)
    assert re.sub(r"\x1b\[[0-9;]*m", "", colour) == plain
    assert colour != plain

    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii", errors="strict")
    monkeypatch.setattr("sys.stdout", stream)
    Page(hostile).print()
    stream.flush()
    assert b"##" in stream.buffer.getvalue()


@pytest.mark.slow
def test_a_project_is_checked_by_its_folder(tmp_path, tiny_model):
    assert sft("new", "project", "--model", tiny_model, cwd=tmp_path).returncode == 0
    told = sft("data", "check", "project", "--set", "train.template=chatml", cwd=tmp_path)
    assert told.returncode == 0, told.stderr
    assert "the model stops at" in told.stdout


def test_what_cannot_be_looked_at(tmp_path, tiny_model):
    """The usual lines: what is wrong and what to do."""
    config = train_config(tmp_path, tiny_model, template="llama3")
    with pytest.raises(DataError) as error:
        check_data(config, cwd=tmp_path)
    assert [problem.code for problem in error.value.problems] == ["template_needs_new_tokens"]
    review = check_data(config, ["resize_vocab=true"], cwd=tmp_path)
    assert not review.ruined
    merge = tmp_path / "merge.yaml"
    merge.write_text(f"model_name_or_path: {tiny_model}\nadapter_name_or_path: a\nexport_dir: out\n")
    with pytest.raises(ConfigError) as refused:
        check_data(merge, cwd=tmp_path)
    assert [problem.code for problem in refused.value.problems] == ["check_needs_training"]


@pytest.mark.slow
def test_ctrl_c_ends_it_and_its_worker_without_a_traceback(tmp_path, tiny_model):
    process = start("data", "check", train_config(tmp_path, tiny_model), cwd=tmp_path)

    def children():
        listed = f"/proc/{process.pid}/task/{process.pid}/children"
        with open(listed) as stream:
            return [int(pid) for pid in stream.read().split()]

    worker = wait_for(children, process=process)
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in out + err
    assert not any(Path(f"/proc/{pid}").exists() for pid in worker)
