"""Ways on after a failure: what a person would try first stands first, and each one can be typed at a shell."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engine.errors import Problem
from engine.runs.actions import Answers, Command, Disk, Edit, Fix, Log, Page, Row, Watch, command_of
from engine.runs.fixes import fixes, start_fixes
from engine.runs.retry import Retry
from tests.pilot.runs import FakeRun

CONFIG = {
    "file": "/p/config.yaml",
    "train": {
        "config": {"learning_rate": 3e-4, "cutoff_len": 2048, "template": "auto", "lora_rank": 16, "lora_target": "all"}
    },
}


def after(tmp_path: Path, code: str, *, ours: bool = False, saved: int | None = 50, **params: Any) -> list[Fix]:
    """What is offered after a run failed with this; `params` may hold `also`, `config` and the place of the problem."""
    config, also = params.pop("config", {}), params.pop("also", ())
    run = FakeRun(tmp_path / f"{code}{ours}")
    run.train(63, 120)
    if saved is not None:
        run.events.write("checkpoint", step=saved, path="/c")
    if code.startswith("crashed"):
        run.state("running", **({"how": "SIGKILL"} if code == "crashed" else {}))
        run.die()
    elif code == "stopped":
        run.finish("stopped")
    elif code:
        run.fail(code, also, **params)
    seen = run.snapshot()
    run.die()
    train = {**CONFIG["train"]["config"], **config}  # type: ignore[index]
    return fixes(seen, {**CONFIG, "train": {"config": train}}, ours=ours)


def actions(found: list[Fix]) -> list[Any]:
    return [fix.action for fix in found]


def test_out_of_memory_begins_with_less_of_it(tmp_path: Path) -> None:
    found = actions(after(tmp_path, "oom", reason="x"))
    page = Page("out-of-memory")
    assert found == [Retry(smaller=True), Retry(), Retry({"cutoff_len": 1024}), page, Log()]
    ours = actions(after(tmp_path, "oom", ours=True, reason="x"))
    assert ours == [Retry(smaller=True), Retry(), Edit("cutoff_len", 1024), page, Answers("review"), Log()]
    never_fitted = actions(after(tmp_path, "memory_too_small", saved=None))
    assert never_fitted[0] == Retry(smaller=True) and Retry() not in never_fitted


def test_a_loss_that_is_no_number_takes_smaller_steps(tmp_path: Path) -> None:
    """A third; bfloat16 first where float16 may have overflowed. Whether the work so far counts is said."""
    found = after(tmp_path, "nan_loss", step=64, loss="inf")
    assert actions(found) == [Retry({"learning_rate": 1e-4}), Retry(), Page("loss-nan"), Log()]
    assert [fix.label.say() for fix in found[:2]] == [
        "Go on from step 50 with learning_rate: 0.0001",
        "Go on from step 50",
    ]
    early = after(tmp_path / "early", "nan_loss", saved=None, step=64, loss="inf")
    assert early[0].label.say() == "Try again with learning_rate: 0.0001"
    other = after(tmp_path / "other", "all_labels_masked", rows=4)
    assert other[0].label.say() == "Begin anew with template: default"
    assert other[0].why.say().endswith("What was there is kept aside.")
    halves = actions(after(tmp_path, "nan_gradient", step=1, saved=None, config={"fp16": True}))
    assert halves[:2] == [Retry({"fp16": False, "bf16": True}), Retry({"learning_rate": 1e-4})]
    assert Retry() not in halves  # the very same again


@pytest.mark.parametrize(
    ("code", "params", "first"),
    [
        ("no_gradient", {"loss": 2.0}, Command("sft-wizard data check /p/config.yaml")),
        ("disk_full", {"path": "/p"}, Disk()),
        ("disk_too_small", {"path": "/p"}, Disk()),
        ("killed", {"by": "ada@node"}, Retry()),
        ("crashed", {}, Retry()),
        ("crashed_unseen", {}, Retry()),
        ("missing_package", {"name": "sklearn.metrics", "reason": "x"}, Command("pip install scikit-learn")),
        ("bitsandbytes_missing", {"key": "optim"}, Command("pip install 'sft-wizard[gpu]'")),
        ("model_missing", {"name": "a/b", "reason": "it is gated or private: x"}, Command("hf auth login")),
        ("model_missing", {"name": "a/b", "reason": "it has no such model"}, Retry()),
        ("dataset_no_usable_row", {"file": "/p/rows.jsonl", "line": 17}, Row("/p/rows.jsonl", 17)),
        ("data_json_truncated", {"file": "/p/rows.jsonl", "line": 3}, Row("/p/rows.jsonl", 3)),
        ("all_labels_masked", {"rows": 9}, Retry({"template": "default"})),
        ("cutoff_leaves_no_answer", {"at_least": 90, "longest": 300}, Retry({"cutoff_len": 300})),
        ("template_needs_markers", {"usable": ["chatml", "qwen"]}, Retry({"template": "chatml"})),
        ("ids_beyond_embedding", {"largest": 9, "last": 8}, Retry({"resize_vocab": True})),
        ("internal", {"type": "ValueError"}, Retry()),
        ("of a later version", {}, Retry()),
    ],
)
def test_the_first_way_on(tmp_path: Path, code: str, params: dict[str, Any], first: Any) -> None:
    """Every cause of the list has a way of its own, the log is always there, and nine keys are enough."""
    found = after(tmp_path, code, **params)
    assert found[0].action == first
    assert found[-1].action == Log() and len(found) <= 9
    assert len(found) == len({repr(fix.action) for fix in found})


def test_a_gated_model_can_be_left_for_another(tmp_path: Path) -> None:
    found = actions(after(tmp_path, "model_missing", ours=True, reason="it is gated or private: x"))
    page = Page("gated-model")
    assert found == [Command("hf auth login"), Retry(), Answers("model"), page, Answers("review"), Log()]


def test_merging_is_tried_again_without_touching_the_training(tmp_path: Path) -> None:
    """Less memory for training would train anew: the adapter is there already."""
    run = FakeRun(tmp_path)
    run.train(9, 9)
    run.phase("merging")
    run.fail("oom", reason="x")
    found = fixes(run.snapshot(), CONFIG)
    assert actions(found) == [Retry(), Page("out-of-memory"), Log()]
    assert found[0].label.say() == "Try again: what was trained is kept"


def test_where_the_kernel_killed_for_memory_less_is_tried_first(tmp_path: Path) -> None:
    run = FakeRun(tmp_path)
    run.train(9, 90)
    counter = tmp_path / "memory.events"
    counter.write_text("low 0\noom_kill 3\n")
    run.state("running", kills={"file": str(counter), "count": 2})
    run.die()
    seen = run.snapshot()
    assert [problem.code for problem in seen.problems] == ["crashed_memory"]
    assert actions(fixes(seen, CONFIG))[0] == Retry(smaller=True)
    counter.write_text("low 0\noom_kill 2\n")
    other = run.snapshot()
    assert [problem.code for problem in other.problems] == ["crashed_otherwise"]
    assert actions(fixes(other, CONFIG)) == [Retry(), Page("killed"), Log()]
    counter.unlink()
    assert [problem.code for problem in run.snapshot().problems] == ["crashed_unseen"]


def test_the_answers_and_the_log_are_never_the_ones_too_many(tmp_path: Path) -> None:
    """Nine keys: what is in the middle is the least likely."""
    rows = tuple({"code": "data_json_truncated", "file": "/p/rows.jsonl", "line": line} for line in (1, 2))
    found = actions(after(tmp_path, "cutoff_leaves_no_answer", ours=True, also=rows, at_least=90, longest=300))
    assert len(found) == 9 and found[0] == Retry({"cutoff_len": 300}) and found[-2:] == [Answers("review"), Log()]


def test_a_run_that_goes_on_or_is_done_needs_none(tmp_path: Path) -> None:
    run = FakeRun(tmp_path)
    run.train(9, 90)
    assert fixes(run.snapshot(), CONFIG) == []
    run.finish()
    assert fixes(run.snapshot(), CONFIG) == []


def test_a_stopped_run_goes_on(tmp_path: Path) -> None:
    assert actions(after(tmp_path, "stopped", ours=True)) == [Retry(), Log()]


def test_a_config_that_cannot_be_read_leaves_the_ways_that_need_none(tmp_path: Path) -> None:
    run = FakeRun(tmp_path)
    run.fail("nan_loss", step=1, loss="nan")
    seen = run.snapshot()
    odd = {name: "x" for name in ("learning_rate", "cutoff_len", "lora_rank", "per_device_eval_batch_size", "fp16")}
    for code in ("oom", "oom_measuring", "nan_loss", "no_gradient", "disk_full", "end_mark_cut", "all_labels_masked"):
        named = replace(seen, problems=(Problem(code),))
        assert fixes(named, {"train": {"config": odd}}) and fixes(named, {"file": 5, "train": [1]})
    for config in ({}, {"train": None}, {"train": {"config": None}}):
        assert actions(fixes(seen, config)) == [Page("loss-nan"), Log()]
    strange = replace(seen, problems=tuple(replace(found, params={}) for found in seen.problems))
    assert fixes(strange, CONFIG)


@pytest.mark.parametrize(
    ("action", "line"),
    [
        (Retry(), "sft-wizard resume r1"),
        (Retry({"bf16": True, "fp16": False}), "sft-wizard resume r1 --set bf16=true --set fp16=false"),
        (Retry(smaller=True, force=True), "sft-wizard resume r1 --smaller --force"),
        (Edit("learning_rate", 1e-4), "sft-wizard resume r1 --set learning_rate=0.0001"),
        (Edit("template"), "sft-wizard resume r1 --set template=…"),
        (Edit("project"), ""),  # resume would refuse it as an unknown key
        (Edit("merge", False), ""),
        (Answers("data"), "sft-wizard data check '/a b/config.yaml'"),
        (Row("/x.jsonl", 3), "/x.jsonl:3"),
        (Log(), "sft-wizard logs r1"),
        (Page("loss-nan"), "sft-wizard explain loss-nan"),
        (Watch("r 2"), "sft-wizard attach 'r 2'"),
    ],
)
def test_every_way_can_be_typed(action: Any, line: str) -> None:
    from engine.text import NOTHING

    assert command_of(Fix(NOTHING, NOTHING, action), "r1", "/a b/config.yaml") == line


@pytest.mark.parametrize(
    ("code", "params", "ways"),
    [
        ("model_gated", {}, [Command("hf auth login"), Retry(), Answers("model"), Page("gated-model")]),
        ("model_missing", {}, [Answers("model"), Retry(), Page("gated-model")]),
        ("merge_disk_full", {}, [Disk(), Retry(), Edit("merge", False), Page("disk-full")]),
        (
            "in_use",
            {"run": "r 1"},
            [Edit("project"), Watch("r 1"), Retry(), Page("folder-taken")],
        ),
        ("not_writable", {}, [Edit("project"), Retry(), Page("folder-taken")]),
        ("all_labels_masked", {}, [Retry({"template": "default"}), Edit("template", "default")]),
        ("gpu_not_there", {}, [Answers("hardware"), Retry(), Answers("review")]),
        ("missing_package", {"name": "wandb"}, [Command("pip install wandb"), Retry(), Page("missing-package")]),
        ("helper_died", {}, [Retry(), Answers("review"), Log()]),
        ("value_wrong", {"key": "lora_rank"}, [Edit("lora_rank"), Answers("review")]),
        ("of a later version", {}, [Retry(), Answers("review")]),
    ],
)
def test_a_start_that_was_refused_has_ways_on_too(code: str, params: dict[str, Any], ways: list[Any]) -> None:
    """Though there is no run: nothing goes on from a step, and nothing is resumed."""
    problem = Problem(code, params, key=params.get("key"))
    found = start_fixes([problem], {"template": "auto", "save_total_limit": 1}, "")
    assert actions(found)[: len(ways)] == ways and len(found) <= 9
    assert Answers("review") in actions(found)
    assert not [fix for fix in found if "step" in fix.label.say()]


def test_the_bad_row_of_a_refused_start_is_shown_first() -> None:
    """And the check of all of them where the project was written already."""
    row = Problem("data_json_truncated", file="/p/rows.jsonl", line=3)
    assert actions(start_fixes([row], {}, ""))[:2] == [Row("/p/rows.jsonl", 3), Answers("data")]
    checked = actions(start_fixes([Problem("dataset_no_usable_row"), row], {}, "/p/config.yaml"))
    assert checked[:3] == [Row("/p/rows.jsonl", 3), Answers("data"), Command("sft-wizard data check /p/config.yaml")]
