"""What follows from the answers at once: steps, rows of a step, disk; and rules between settings."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from engine.wizard.ahead import Ahead, ahead, ahead_lines, start_line
from engine.wizard.asks.review import another_folder
from engine.wizard.questions import mentions
from engine.wizard.session import Wizard
from engine.wizard.table import table
from tests.unit.wizards import HubDesk, begun

ROWS = 78  # of the identity sample


@pytest.fixture(autouse=True)
def home(private_home: Path) -> None:
    """No model, run or draft of the person who runs the tests."""


def known(wizard: Wizard) -> Ahead:
    found = ahead(wizard)
    assert found is not None
    return found


def test_steps_follow_from_rows_and_batches(tmp_path: Path) -> None:
    """As the run will count them."""
    wizard = begun(tmp_path, desk=HubDesk(), train_per_device_train_batch_size="3", train_num_train_epochs="2")
    wizard.answer("train.gradient_accumulation_steps", "4")
    found = known(wizard)
    assert found.batch == 12 and found.outlook.steps_per_epoch == math.ceil(math.ceil(found.rows / 3) / 4)
    assert found.outlook.steps == 2 * found.outlook.steps_per_epoch
    assert f"{found.outlook.steps} in all" in ahead_lines(found)[0].say()


@pytest.mark.parametrize(("given", "left"), [("0.1", 0.9), ("5", -5), ("0", 1.0)])
def test_held_back_rows_are_not_learned_from(tmp_path: Path, given: str, left: float) -> None:
    """A share is rounded up, as when the data are split."""
    wizard = begun(tmp_path, desk=HubDesk())
    rows = known(wizard).rows
    wizard.answer("train.val_size", given)
    assert known(wizard).rows == (rows + left if left < 0 else int(rows * left))


def test_limits_of_rows_and_steps_count(tmp_path: Path) -> None:
    """max_samples, and max_steps beside any epochs."""
    wizard = begun(tmp_path, desk=HubDesk(), train_max_samples="10", train_max_steps="7")
    found = known(wizard)
    assert found.rows == 10 and found.outlook.steps == 7


def test_the_first_row_of_the_review_says_what_it_starts(tmp_path: Path) -> None:
    """With the merge and without; without figures where they are not known."""
    wizard = begun(tmp_path, desk=HubDesk())
    with_merge, found = start_line(wizard, known(wizard)).say(), known(wizard)
    assert with_merge.startswith(f"Start: train {found.outlook.steps} steps, merge, about ") and "GB" in with_merge
    wizard.answer("merge", "no")
    assert "merge" not in start_line(wizard, known(wizard)).say() and known(wizard).disk < found.disk
    assert start_line(Wizard(tmp_path), ahead(Wizard(tmp_path))).say() == "Start: train, then merge"


def test_without_facts_nothing_is_said(tmp_path: Path) -> None:
    """Before the machine, the model and the data are known, and where nothing is left to learn from."""
    assert ahead(Wizard(tmp_path)) is None and ahead_lines(None) == ()
    assert ahead(begun(tmp_path, desk=HubDesk(), train_val_size="100000")) is None


def test_a_disk_that_is_too_small_is_told(tmp_path: Path) -> None:
    """Before anything is written."""
    found = known(begun(tmp_path, desk=HubDesk()))
    small = Ahead(found.rows, True, found.batch, 1, found.outlook, merged=found.outlook.disk_free + 1)
    assert "too small" in ahead_lines(small)[1].say()
    counted = Ahead(found.rows, False, found.batch, 1, found.outlook)
    assert ahead_lines(counted)[0].say().startswith("Rows: at least")


def test_settings_that_do_not_go_together_are_told_on_their_step(tmp_path: Path) -> None:
    """Not only on the review."""
    wizard = begun(tmp_path, desk=HubDesk(23.0), train_bf16="yes", train_fp16="yes")
    assert [problem.code for problem in wizard.problems("settings")] == ["bf16_and_fp16"]
    wizard.reset("train.fp16")
    assert wizard.problems("settings") == []
    wizard.answer("train.eval_strategy", "epoch")
    assert [problem.code for problem in wizard.problems("settings")] == ["eval_without_rows"]


@pytest.mark.parametrize(
    ("setting", "value", "code"),
    [
        ("val_size", "78", "val_size_takes_all"),
        ("val_size", "0.999", "val_size_takes_all"),
        ("lora_target", "nothing", "nothing_learns"),
    ],
)
def test_settings_that_leave_nothing_to_learn_are_told(tmp_path: Path, setting: str, value: str, code: str) -> None:
    """Before the run finds out."""
    wizard = begun(tmp_path, desk=HubDesk(), **{f"train_{setting}": value})
    assert [problem.code for problem in wizard.problems("settings")] == [code]
    assert wizard.problems("settings")[0].key == setting
    wizard.reset(f"train.{setting}")
    assert wizard.problems("settings") == []


@pytest.mark.parametrize("given", ["/", ".", "./", "//", "../.."])
def test_a_folder_without_a_name_of_its_own_is_left_for_a_fresh_one(tmp_path: Path, given: str) -> None:
    """Nobody wants a folder called -2."""
    assert another_folder(begun(tmp_path, desk=HubDesk(), project=given)) == "identity-lora-2"


def test_one_step_is_not_called_steps(tmp_path: Path) -> None:
    """A quick first try."""
    wizard = begun(tmp_path, desk=HubDesk(), train_max_steps="1")
    assert start_line(wizard, known(wizard)).say().startswith("Start: train 1 step, merge")


def test_a_template_that_there_is_not_is_refused_in_place(tmp_path: Path) -> None:
    """With the names that are like it."""
    wizard = begun(tmp_path, desk=HubDesk())
    assert wizard.answer("train.template", "qwen33") and "train.template" not in wizard.answers
    assert wizard.answer("train.template", "qwen3") == []


def test_a_folder_beside_the_one_in_the_way(tmp_path: Path) -> None:
    """The next free name."""
    (tmp_path / "p").mkdir()
    (tmp_path / "p-2").mkdir()
    assert another_folder(begun(tmp_path, desk=HubDesk(), project="p/")) == "p-3"


def test_settings_are_found_by_any_of_their_words() -> None:
    """Name with or without underscores, meaning, group; in the person's language too."""
    rank = table()["train.lora_rank"]
    for words in ("lora_rank", "LORA RANK", "adapter can hold", "memory", ""):
        assert mentions(rank, words)
    assert not mentions(rank, "checkpoint")
    assert mentions(rank, "秩", lambda text: "秩" if "Size of the adapter" in text else text)
