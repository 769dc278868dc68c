"""Every row is looked at before a run: what the wizard asks for, what it makes of the answer, what it stops."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from engine.data.views import RowView
from engine.errors import Problem, ProblemError
from engine.project import ProjectAnswers
from engine.wizard import looking, tasks
from engine.wizard.inspection import (
    can_be_forced,
    inspection,
    page,
    refused,
    request,
    rows_of,
    ruin,
    summary,
    wishes,
)
from engine.wizard.questions import Request
from engine.wizard.session import Wizard
from tests.unit.wizards import begun, look, quiet

ROWS = "instruction,output\n" + "".join(f"what is {number}?,the answer {number}\n" for number in range(30))


@pytest.fixture(autouse=True)
def alone(private_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No model, cache or network of the person who runs the tests."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HUB_CACHE", str(private_home / "hub"))


def wizard_of(cwd: Path, model: Path, text: str = ROWS, name: str = "mine.csv", **answers: Any) -> Wizard:
    (cwd / name).write_text(text)
    return begun(cwd, model="folder", model_folder=str(model), data="file", data_file=name, **answers)


def check(wizard: Wizard) -> None:
    """What the desk does with the wishes of the data step."""
    for asked in wishes(wizard, "data"):
        wizard.learn(asked, looking.check(dict(asked.options)))


def test_every_row_is_checked_as_a_run_would(tmp_path: Path, tiny_model: Path) -> None:
    """The figures, the first rows, and where they stand; nothing is written where the person works."""
    wizard = wizard_of(tmp_path, tiny_model)
    before = sorted(tmp_path.iterdir())
    assert inspection(wizard) is None and summary(wizard) is None
    check(wizard)
    found = inspection(wizard)
    assert found is not None and found.review is not None and found.errors == () and found.first is None
    assert found.review.parts["train"].rows == 30 and found.review.sets[0]["read"] == 30
    assert [row.number for row in found.rows] == list(range(1, looking.PAGE + 1))
    row = found.rows[2].row
    assert row is not None and any(stretch.learnt for stretch in row.stretches)
    text = "".join(piece for stretch in row.stretches for _ids, piece in stretch.head)
    assert "what is 2?" in text and "the answer 2" in text
    said = summary(wizard)
    assert said is not None and said.say().startswith("Checked 30 rows: ")
    assert sorted(tmp_path.iterdir()) == before
    assert wishes(wizard, "data") == wishes(wizard, "review") == []


def test_further_rows_come_by_the_page(tmp_path: Path, tiny_model: Path) -> None:
    """Also after what was written for the look is gone."""
    wizard = wizard_of(tmp_path, tiny_model)
    asked = request(wizard)
    assert asked is not None
    rows = rows_of(looking.check(dict(page(asked, 20).options)))
    assert [row.number for row in rows] == list(range(21, 31))
    assert {row.rows for row in rows} == {30}


def test_what_is_cut_is_said_of_each_row(tmp_path: Path, tiny_model: Path) -> None:
    """How much is lost, and whether the answer suffers."""
    long = "instruction,output\na,b\nc," + "word " * 300 + "\n"
    wizard = wizard_of(tmp_path, tiny_model, long, train_cutoff_len="64")
    check(wizard)
    found = inspection(wizard)
    assert found is not None
    whole, cut = found.rows
    assert (whole.tokens_cut, whole.answer_cut, whole.end_lost) == (0, False, False)
    assert cut.tokens_cut > 200 and cut.answer_cut and cut.end_lost and cut.row is not None and cut.row.tokens == 64
    assert "1 cut" in str(summary(wizard))


def test_rows_left_out_are_told(tmp_path: Path, tiny_model: Path) -> None:
    """Of the person's own file, with the first lines; a row too long is shown with its reason."""
    text = '{"instruction": "a", "output": "b"}\n{"instruction": 1, "output": "b"}\n{"instruction": "a", \n'
    wizard = wizard_of(tmp_path, tiny_model, text + '{"instruction": "c", "output": "d"}\n', "mine.jsonl")
    check(wizard)
    found = inspection(wizard)
    assert found is not None and found.review is not None
    tally = found.review.sets[0]
    assert (tally["read"], tally["kept"]) == (4, 2)
    assert [problem["line"] for problem in tally["first"]] == [2, 3]
    assert "2 left out" in str(summary(wizard))
    wizard = wizard_of(tmp_path, tiny_model, ROWS + "x," + "word " * 300 + "\n", train_cutoff_len="64")
    assert wizard.answer("train.drop_long", "yes") == []
    asked = request(wizard)
    assert asked is not None
    last = rows_of(looking.check(dict(page(asked, 30).options)))[0]
    assert last.row is None and last.problem is not None
    assert RowView.from_dict(json.loads(json.dumps(last.as_dict()))) == last


def test_what_would_ruin_the_run_stops_the_review(tmp_path: Path, tiny_model: Path) -> None:
    """With its fix; a person may try nevertheless, and the desk is told."""
    long = "instruction,output\n" + f"a,{'word ' * 300}\n" * 3
    wizard = wizard_of(tmp_path, tiny_model, long, train_cutoff_len="16")
    assert wizard.problems("review") == []
    check(wizard)
    problems = wizard.problems("review")
    assert [problem.code for problem in problems] == ["end_mark_cut"] and problems[0].key == "cutoff_len"
    assert wizard.problems("data") == []  # it can be left, to change the setting
    assert "anyway" in [question.id for question in wizard.questions("review")]
    assert wizard.answer("anyway", "yes") == []
    assert wizard.problems("review") == [] and can_be_forced(wizard)
    assert wizard.answer("train.cutoff_len", "4096") == []
    assert ruin(wizard) == [] and not can_be_forced(wizard)  # another question, which is not answered yet
    check(wizard)
    assert ruin(wizard) == [] and "anyway" not in [question.id for question in wizard.questions("review")]


def test_data_that_cannot_be_used_at_all_cannot_be_forced(tmp_path: Path, tiny_model: Path) -> None:
    """There is nothing to train on, whatever a person wants."""
    wizard = wizard_of(tmp_path, tiny_model, train_template="llama3")  # its tokens are not this tokenizer's
    check(wizard)
    found = inspection(wizard)
    assert found is not None and found.review is None and found.problems
    assert not can_be_forced(wizard) and ruin(wizard) == list(found.problems)
    assert "would be stopped" in str(summary(wizard))


def test_it_is_asked_again_only_where_rows_or_tokens_change(tmp_path: Path, tiny_model: Path) -> None:
    """The learning rate changes no token, the cutoff does."""
    wizard = wizard_of(tmp_path, tiny_model)
    asked = request(wizard)
    assert wizard.answer("train.learning_rate", "1e-5") == [] and wizard.answer("project", "elsewhere") == []
    assert request(wizard) == asked
    assert wizard.answer("train.cutoff_len", "99") == []
    assert request(wizard) != asked


def test_nobody_asks_before_model_and_data_are_there(tmp_path: Path, tiny_model: Path) -> None:
    """And between the data and the review what is under way goes on."""
    wizard = begun(tmp_path)
    wizard.found("model")["here"] = False
    wizard.reckoned.clear()
    assert request(wizard) is None and wishes(wizard, "data") == []
    assert "when the model has been fetched" in str(summary(wizard))
    wizard = wizard_of(tmp_path, tiny_model, "a,b\n1,2\n")  # columns that say nothing
    assert request(wizard) is None
    other = Request("model", "x")
    wizard = wizard_of(tmp_path, tiny_model)
    (asked,) = wishes(wizard, "data")
    assert wishes(wizard, "settings", {asked: 0.0, other: 0.0}) == [asked]
    assert wishes(wizard, "model", {asked: 0.0}) == []


def test_a_look_that_fails_is_no_obstacle(tmp_path: Path, tiny_model: Path) -> None:
    """The run checks the rows before its first step anyway."""
    wizard = wizard_of(tmp_path, tiny_model)
    (asked,) = wishes(wizard, "data")
    wizard.refuse(asked, (Problem("helper_died", {"what": "x", "how": "exit code 9"}),))
    assert wizard.problems("data") == [] and wizard.problems("review") == []
    assert refused(wizard) and "could not be checked" in str(summary(wizard))
    wizard.forget_refusals()
    assert wishes(wizard, "data") == [asked]


def test_large_data_is_looked_at_in_part(tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first rows only, which is said; what was written for earlier looks is thrown away."""
    monkeypatch.setattr(looking, "LARGE", 100)
    monkeypatch.setattr(looking, "MOST", 7)
    wizard = wizard_of(tmp_path, tiny_model)
    check(wizard)
    found = inspection(wizard)
    assert found is not None and found.first == 7 and len(found.rows) == 7
    assert "the first 7 rows" in str(summary(wizard))
    for length in range(50, 56):
        assert wizard.answer("train.cutoff_len", length) == []
        look(wizard)
        check(wizard)
    from engine.storage import cache_folder

    assert len(list(cache_folder("looks").iterdir())) == looking.KEPT


def test_registered_sets_and_samples(tmp_path: Path, tiny_model: Path) -> None:
    """They are checked as well; sets of the hub are not fetched for it."""
    wizard = begun(tmp_path, model="folder", model_folder=str(tiny_model), data="sample:chat")
    check(wizard)
    found = inspection(wizard)
    assert found is not None and found.review is not None and found.review.parts["train"].rows == 40
    (tmp_path / "rows.json").write_text(json.dumps([{"instruction": "a", "output": "b"}] * 3))
    info = {"mine": {"file_name": "rows.json"}, "far": {"hf_hub_url": "owner/far"}}
    (tmp_path / "dataset_info.json").write_text(json.dumps(info))
    wizard = begun(tmp_path, model="folder", model_folder=str(tiny_model), data=f"registered:{tmp_path}:mine")
    check(wizard)
    assert "2 repeated" in str(summary(wizard))
    asked = request(wizard)
    assert asked is not None
    far = asked.options[0][1].replace('"mine"', '"far"')
    assert looking.check({"answers": far}) == {"review": None, "problems": [], "rows": [], "first": None}


def test_errors_of_the_machine_are_raised(tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that is full says nothing of the data."""

    def full(*_given: Any) -> None:
        raise ProblemError(Problem("disk_full"))

    monkeypatch.setattr(looking, "apply_project", full)
    asked = request(wizard_of(tmp_path, tiny_model))
    assert asked is not None
    with pytest.raises(ProblemError):
        looking.check(dict(asked.options))


def test_a_start_nevertheless_is_forced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was answered reaches the run: `--force` of the command line."""
    told: list[dict[str, Any]] = []
    monkeypatch.setattr(tasks, "_launch", lambda config, progress, **options: told.append(options) or {})
    answers = ProjectAnswers(folder=tmp_path, model="smollm2-135m", sample="qa")
    for anyway in (True, False):
        tasks.start(answers, "cpu", False, "", anyway, quiet, {})
    assert [options["force"] for options in told] == [True, False]
