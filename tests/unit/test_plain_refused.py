"""A start that is refused at plain prompts, and the ways on that the answers allow."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from engine.errors import EXIT_OK, Problem, ProblemError
from engine.runs import index
from engine.runs.actions import Answers, Command, Edit, Fix, Log, Row
from engine.runs.retry import Retry
from engine.text import NOTHING
from engine.wizard.desk import Progress, Started
from engine.wizard.mending import is_written, question_of, start_command, suggestion, take, ways_from
from engine.wizard.session import Wizard
from tests.pilot.runs import FakeRun
from tests.unit.test_wizard_opening import made
from tests.unit.test_wizard_session import GOOD
from tests.unit.wizards import HereDesk, Script, begun, pick, quiet
from tui.plain import run_plain

START, NO = "", "n"
GATED = Problem("model_gated", {"name": "a/b", "how": "x", "page": "https://hub/a/b", "endpoint": "https://hub"})
DIED = Problem("helper_died", {"what": "x", "how": "exit code 9"})
PACKAGE = Problem("optimiser_package", {"name": "galore_adamw", "package": "galore_torch"}, key="optim")


@pytest.fixture(autouse=True)
def home(private_home: Path) -> None:
    """No model, run or draft of the person who runs the tests."""


@dataclass
class RefusingDesk(HereDesk):
    """Writes the project and starts nothing, as often as there are problems."""

    fails: list[Problem] = field(default_factory=list)
    tried: int = 0

    def __post_init__(self) -> None:
        super().__init__()

    def start(self, wizard: Wizard, progress: Progress) -> Started:
        self.tried += 1
        started = super().start(wizard, progress)
        if self.fails:
            raise ProblemError(self.fails.pop(0))
        return started


def dialogue(cwd: Path, *lines: Any, fails: list[Problem], **answers: Any) -> tuple[int, Script, RefusingDesk]:
    script, desk = Script([*[""] * 6, *lines]), RefusingDesk(fails=fails)
    code = run_plain(Wizard(cwd, answers), desk, prompts=script, talk=lambda folder: None)
    return code, script, desk


def test_a_number_starts_again_with_what_is_different(tmp_path: Path) -> None:
    """Without a look at all the answers again; the files of the start before are seen to change first."""
    way = pick("Try again with optim: adamw_torch")
    lines = [START, way, START, NO, NO]
    code, script, desk = dialogue(tmp_path, *lines, fails=[PACKAGE], **{"train.optim": "galore_adamw"})
    assert code == EXIT_OK and not script.lines, script.text
    assert "1. Install galore_torch: pip install galore_torch" in script.text
    same = "The same at a shell: sft-wizard --replay identity-lora/config.yaml --set train.optim=adamw_torch"
    assert same in script.text and "-optim: galore_adamw" in script.text
    assert desk.started[-1].settings["optim"] == "adamw_torch" and desk.tried == 2


def test_leaving_after_a_start_that_was_refused_does_not_say_that_nothing_was_written(tmp_path: Path) -> None:
    """Its files were, though no answer of the project that was opened is another."""
    made(tmp_path, project="mine")
    script = Script([pick("Open mine"), START, ""])
    run_plain(Wizard(tmp_path), RefusingDesk(fails=[DIED]), prompts=script, talk=lambda folder: None)
    assert "Nothing was started." in script.text and "Nothing was written." not in script.text


def test_it_is_tried_again_at_once_where_nothing_changes(tmp_path: Path) -> None:
    code, script, desk = dialogue(tmp_path, START, pick("Start again"), pick("Start again"), NO, NO, fails=[GATED] * 2)
    assert code == EXIT_OK and not script.lines and desk.tried == 3, script.text
    assert script.text.count("1. Log in, after its licence was accepted on the hub: hf auth login") == 2


def test_what_there_is_to_read_is_read_and_enter_leads_to_the_answers(tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"a": 1}\n{"a": \x1b2\n')
    broken = Problem("data_json_truncated", file=str(rows), line=2)
    page = pick("Read what this is")
    lines = [START, pick("Show line 2"), pick("Check the data"), page, "99", "", "q"]
    _code, script, desk = dialogue(tmp_path, *lines, fails=[broken])
    assert '> 2: {"a": \\x1b2' in script.text and "\x1b" not in script.text
    assert "At a shell: sft-wizard data check" in script.text and "identity-lora/config.yaml" in script.text
    assert "── A row of the data cannot be read or used" in script.text and "Type a number from 1 to" in script.text
    assert desk.tried == 1 and script.text.count("Enter starts, a number changes an answer") == 2


def test_another_answer_is_asked_for_where_it_belongs(tmp_path: Path) -> None:
    """The data, then the review again, where the files that differ are seen; and the folder has a free name at once."""
    (tmp_path / "mine.csv").write_text(GOOD)
    data = [START, pick("Choose other data"), pick("Your own file"), "mine.csv", START, START, NO, NO]
    gone = Problem("dataset_no_usable_row", {"name": "x", "read": 3, "reasons": 1})
    code, script, desk = dialogue(tmp_path, *data, fails=[gone])
    assert code == EXIT_OK and not script.lines and desk.started[-1].source == tmp_path / "mine.csv", script.text

    taken = Problem("in_use", {"folder": "/p", "run": "r1", "pid": 7, "host": "node"})
    other = [START, pick("Take another folder"), START, NO, NO]
    code, script, desk = dialogue(tmp_path, *other, fails=[taken], project="here")
    assert code == EXIT_OK and "Folder of the project is now here-2 in your answers." in script.text, script.text
    assert desk.started[-1].folder == tmp_path / "here-2"


def test_the_run_that_has_the_folder_is_watched(tmp_path: Path) -> None:
    """To its end, and then the ways come again; one that is not found is said."""
    other = FakeRun(tmp_path / "other")
    other.train(7, 9)
    other.finish()
    taken = {"folder": "/p", "pid": 7, "host": "node"}
    found = [Problem("in_use", {**taken, "run": run}) for run in (other.folder.id, "gone")]
    index.note(other.folder)
    way, again = pick("Watch the run that has the folder"), pick("Start again")
    _code, script, desk = dialogue(tmp_path, START, way, again, way, "", "q", fails=found)
    assert "Ctrl+C ends the watching, not the run." in script.text
    assert "There is no run gone" in script.text and desk.tried == 2


def actions(found: list[Fix]) -> list[Any]:
    return [fix.action for fix in found]


def test_ways_that_nobody_is_asked_for_are_left_out(tmp_path: Path) -> None:
    """report_to is no question of the wizard's; data that are hopeless are not forced."""
    wizard = begun(tmp_path)
    found = actions(ways_from(wizard, [Problem("tracker_missing", {"name": "wandb"})]))
    assert found[0] == Command("pip install wandb") and Retry({"report_to": "none"}) not in found
    found = actions(ways_from(wizard, [Problem("end_mark_masked", {})]))
    assert found[0] == Retry({"template": "default"}) and Retry(force=True) not in found
    assert not [action for action in found if isinstance(action, Command)]  # no file was written that it could check


def test_what_is_missing_in_a_step_leads_there_first(tmp_path: Path) -> None:
    wizard = begun(tmp_path, data="file")
    found = ways_from(wizard, wizard.problems("review"))
    assert actions(found)[0] == Answers("data")


def test_what_would_be_refused_again_is_not_started_again(tmp_path: Path) -> None:
    """An answer that is wrong stays wrong; what was looked at may be another one by then."""
    for wizard in (begun(tmp_path, data="file"), begun(tmp_path, model="hub")):
        missing = wizard.problems("review")
        assert [problem.code for problem in missing] == ["answer_empty"]
        assert Retry() not in actions(ways_from(wizard, missing))
    wizard = begun(tmp_path)
    (asked,) = [request for request in wizard.facts if request.what == "model"]
    wizard.refuse(asked, (Problem("of a later version"),))
    assert Retry() in actions(ways_from(wizard, wizard.problems("review")))
    assert Retry() in actions(ways_from(wizard, [DIED]))


def test_a_file_that_is_not_of_these_answers_is_not_named(tmp_path: Path) -> None:
    """Somebody else's, or that of an earlier start with other answers."""
    (tmp_path / "p").mkdir()
    (tmp_path / "p/config.yaml").write_text("version: 1\n")
    refused, again = [Problem("dataset_no_usable_row", {"name": "x", "read": 3})], Fix(NOTHING, NOTHING, Retry())
    check = Command("sft-wizard data check " + str(tmp_path / "p/config.yaml"))

    def named(wizard: Wizard) -> tuple[str, bool]:
        return start_command(wizard, again, there=is_written(wizard)), check in actions(ways_from(wizard, refused))

    assert named(begun(tmp_path, project="p")) == ("", False)
    (tmp_path / "p/config.yaml").unlink()
    wizard = begun(tmp_path, project="p")
    HereDesk().start(wizard, quiet)
    assert named(wizard) == ("sft-wizard --replay p/config.yaml", True)
    assert wizard.answer("train.lora_rank", 4) == [] and named(wizard) == ("", False)


def test_the_answers_and_the_log_stay_among_nine_ways(tmp_path: Path) -> None:
    """What is least likely goes where there are too many."""
    wizard = begun(tmp_path)
    HereDesk().start(wizard, quiet)
    rows = [Problem("data_json_truncated", file="/p/rows.jsonl", line=line) for line in (1, 2)]
    cut = Problem("cutoff_leaves_no_answer", {"at_least": 90, "longest": 300})
    found = actions(ways_from(wizard, [cut, *rows]))
    assert len(found) == 9 and found[0] == Retry({"cutoff_len": 300}) and found[-1] == Answers("review")


def test_a_way_on_becomes_an_answer_that_is_checked(tmp_path: Path) -> None:
    wizard = begun(tmp_path, train_lora_rank=16)
    assert take(wizard, Retry({"template": "default"})) == [] and wizard.value("train.template") == "default"
    assert [problem.code for problem in take(wizard, Retry({"lora_rank": "x"}))] == ["value_wrong"]
    assert take(wizard, Retry(force=True)) == [] and wizard.answers["anyway"] is True
    before = dict(wizard.answers)
    assert wizard.needs("review") == [] and take(wizard, Retry()) == []
    assert {request.what for request in wizard.needs("review")} == {"model", "data"} and wizard.answers == before


def test_every_way_says_its_command_where_there_is_one(tmp_path: Path) -> None:
    wizard = begun(tmp_path, project="a b")  # which nobody has written so far

    def told(action: Any) -> str:
        return start_command(wizard, Fix(NOTHING, NOTHING, action), there=is_written(wizard))

    assert told(Retry()) == told(Edit("template", "x")) == told(Answers("model")) == told(Edit("project")) == ""
    HereDesk().start(wizard, quiet)
    replay = "sft-wizard --replay 'a b/config.yaml'"
    assert told(Retry()) == replay and told(Edit("template", "x")) == f"{replay} --set train.template=x"
    assert told(Retry({"bf16": True}, force=True)) == f"{replay} --set train.bf16=true --force"
    assert told(Row("/x", 3)) == "/x:3" and told(Edit("merge", False)) == ""
    assert told(Log()).startswith("less ") and told(Log()).endswith("wizard.log")
    assert (question_of("template"), question_of("project"), question_of("x")) == ("train.template", "project", "")
    assert suggestion(wizard, Edit("project")) == "a b-2" and suggestion(wizard, Edit("project", "c")) == "c"
