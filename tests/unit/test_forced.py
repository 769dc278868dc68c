"""--force on data that would ruin a run: it trains where a step can be made, and is refused in words where none can."""

from __future__ import annotations

import pytest

from engine.errors import DataError
from engine.messages import render
from tests.unit.in_process import do, toys

CONFIG = {
    "do_train": True,
    "dataset": "toy",
    "template": "chatml",
    "cutoff_len": 1,
    "lora_rank": 4,
    "max_steps": 2,
    "logging_steps": 1,
    "report_to": "none",
}


pytestmark = pytest.mark.usefixtures("quick")


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    return toys(tmp_path_factory.mktemp("toys"), samples=12)


def forced(places, folder, **changes):
    return do(folder, CONFIG | places | {"output_dir": str(folder / "out"), **changes}, force=True)


@pytest.mark.parametrize(
    "changes",
    [{}, {"val_size": 2, "eval_strategy": "steps", "eval_steps": 1, "compute_accuracy": True}, {"flash_attn": "sdpa"}],
    ids=["packed", "measured", "padded"],
)
def test_not_a_single_label_is_a_step_of_zero(places, tmp_path, changes):
    """The loss of a step is its sum over labels by their number; without any it is no division by zero."""
    told = forced(places, tmp_path, **changes)
    assert "cutoff_leaves_no_answer" in {event["code"] for event in told if event["type"] == "warning"}
    assert [event["loss"] for event in told if event["type"] == "step"] == [0.0, 0.0]
    assert all(event["loss"] == 0.0 for event in told if event["type"] == "eval")


def test_no_row_at_all_is_refused_with_the_reason(places, tmp_path):
    """A packed row has room for cutoff_len - 1 tokens, as in LLaMA-Factory: of 1 nothing is left."""
    with pytest.raises(DataError) as caught:
        forced(places, tmp_path, neat_packing=True)
    problems = caught.value.problems
    assert problems[0].code == "no_rows_left"
    assert any(problem.code == "cutoff_leaves_no_answer" for problem in problems)
    assert not any("{" in render(problem) for problem in problems)


@pytest.mark.parametrize("asked", [{"eval_strategy": "steps"}, {"do_predict": True, "predict_with_generate": True}])
def test_a_folder_of_tokens_without_rows_to_measure_on_is_told_of(places, tmp_path, asked):
    """The config cannot tell before: the folder may hold them."""
    config = {"cutoff_len": 64, "tokenized_path": str(tmp_path / "tokens")}
    forced(places, tmp_path, **config)
    with pytest.raises(DataError) as caught:
        forced(places, tmp_path, **config, **asked, output_dir=str(tmp_path / "other"))
    (problem,) = caught.value.problems
    assert (problem.code, problem.key) == ("eval_without_rows", next(iter(asked)))
    assert "{" not in render(problem)
