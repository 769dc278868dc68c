"""The wizard at plain prompts: the same questions, the same files; nothing typed is lost, nothing is drawn."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from engine.errors import EXIT_INTERRUPTED, EXIT_OK, ConfigError, EnvironmentProblem, Problem
from engine.wizard import draft
from engine.wizard.desk import Progress, Started
from engine.wizard.session import Wizard
from tests.unit.test_wizard_session import GOOD, ODD, tree_of
from tests.unit.wizards import HereDesk, Script, begun, pick, quiet
from tui.plain import run_plain
from tui.prompts import EditedPrompts, LinePrompts, terminal_prompts

START = ""  # Enter, at the review
NO = "n"  # to the chat, and to a file


@pytest.fixture(autouse=True)
def home(private_home: Path) -> None:
    """No model, run or draft of the person who runs the tests."""


def dialogue(
    cwd: Path, *lines: Any, desk: HereDesk | None = None, begin: Any = "", **answers: Any
) -> tuple[int, Script, HereDesk]:
    """Answer with these lines, after `begin`, which is what is taken up, opened or begun; then the input ends."""
    script, desk = Script([begin, *lines]), desk or HereDesk()
    code = run_plain(Wizard(cwd, answers), desk, prompts=script, talk=lambda folder: None)
    return code, script, desk


def test_enter_alone_makes_the_recommended_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A beginner who only presses Enter gets what the recommendations say, byte for byte."""
    code, script, desk = dialogue(tmp_path, *[""] * 8)
    assert code == EXIT_OK and not script.lines and len(desk.started) == 1
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    HereDesk().start(begun(tmp_path / "other"), quiet)
    assert tree_of(tmp_path / "identity-lora") == tree_of(tmp_path / "other/identity-lora")
    assert draft.load() is None


def test_a_dialogue_and_answers_make_the_same_project(tmp_path: Path) -> None:
    """`--plain` is no second-class wizard: numbers and typed text mean what the screen's answers mean."""
    (tmp_path / "mine.csv").write_text(ODD)
    file = str(tmp_path / "mine.csv")
    for way in ("plain", "answers"):
        (tmp_path / way).mkdir()
    lines = [
        "",  # the built-in model
        *(pick("Your own file"), file),
        *("2", "4", "3", "", ""),  # columns: question, further input, answer, no system prompts, no history
        *("a", pick("Instruction for every row"), "Answer briefly.", pick("Rows to take"), "1", ""),
        pick("16 GB"),
        *(pick("Folder of the project"), "here", pick("learning_rate"), "1e-4"),
        *("a", pick("weight_decay"), "0.1", pick("lr_scheduler_type"), "linear", pick("Merge"), "no", ""),
        START,
        NO,
        NO,
    ]
    code, script, _desk = dialogue(tmp_path / "plain", *lines)
    assert code == EXIT_OK and not script.lines, script.text

    columns = {"map_prompt": "ask", "map_query": "topic", "map_response": "say"}
    rest = {"instruction": "Answer briefly.", "max_rows": "1", "preset": "16gb", "project": "here", "merge": "no"}
    settings = {"train_learning_rate": "1e-4", "train_weight_decay": "0.1", "train_lr_scheduler_type": "linear"}
    wizard = begun(tmp_path / "answers", data="file", data_file=file, **columns, **rest, **settings)
    HereDesk().start(wizard, quiet)
    made = [tree_of(tmp_path / way / "here") for way in ("plain", "answers")]
    assert made[0] == made[1] and b"weight_decay: 0.1" in made[0]["configs/train_config.yaml"]


def test_every_question_of_the_table_is_asked(tmp_path: Path) -> None:
    """A question that is added to the table needs nothing here."""
    (tmp_path / "mine.csv").write_text(ODD)
    lines = ["", pick("Your own file"), "mine.csv", "2", "", "3", "", "", "a", "", "", "a"]
    _code, script, _desk = dialogue(tmp_path, *lines)
    wizard = begun(tmp_path, data="file", data_file="mine.csv", map_prompt="ask", map_response="say")
    for step in ("model", "data", "preset", "settings"):
        for question in wizard.questions(step, advanced=True):
            assert question.label.say() in script.text, question.id


def test_back_goes_one_question_and_forgets_nothing(tmp_path: Path) -> None:
    """People who cannot go back start again."""
    (tmp_path / "mine.csv").write_text(GOOD)
    back = ["<", "<", "<", "<", "<", "<"]  # settings, preset, the rare ones, file, data, model: and no further
    forward = ["", "", "", "", "", "", START, NO, NO]
    first = ["", pick("Your own file"), "mine.csv", "", "", pick("learning_rate"), "1e-4"]
    code, script, desk = dialogue(tmp_path, *first, *back, "<", *forward)
    assert code == EXIT_OK and not script.lines, script.text
    assert "This is the first question." in script.text
    assert desk.started[0].source == tmp_path / "mine.csv"
    assert desk.started[0].settings == {"learning_rate": 1e-4}


def test_back_in_the_middle_of_a_list_changes_nothing(tmp_path: Path) -> None:
    """A number that was mistyped leads to the wrong setting: < leaves it as it was."""
    _code, _script, desk = dialogue(tmp_path, "", "", "", "", pick("lora_rank"), "<", "", START, NO, NO)
    assert desk.started[0].settings == {}


def test_a_question_mark_explains(tmp_path: Path) -> None:
    """What it is, what people use, and why this default."""
    _code, script, _desk = dialogue(tmp_path, "", "", "", "?", "", pick("lora_rank"), "?")
    assert "The memory that is free decides." in script.text
    assert "Default: CPU, no GPU can be used here." in script.text
    assert "Size of the adapter: higher learns more and takes more memory." in script.text
    assert "Others use: 4–64." in script.text and "Default: 8, from the preset CPU." in script.text
    assert "lora_rank — how much the adapter can hold" in script.text and "rank: How many directions" in script.text


def test_what_cannot_be_is_told_and_asked_again(tmp_path: Path) -> None:
    """With what to do; the answer before it stays."""
    (tmp_path / "bad.csv").write_text("")
    (tmp_path / "good.csv").write_text(GOOD)
    lines = ["9", "x", "", pick("Your own file"), "", "nowhere.csv", "bad.csv", "", "good.csv", "", ""]
    code, script, desk = dialogue(tmp_path, *lines, "99", pick("lora_rank"), "much", "", "", START, NO, NO)
    assert code == EXIT_OK and not script.lines, script.text
    for words in (
        "error: 9 is not one of the choices.",
        "error: x is not one of the choices.",
        "error: Nothing was given.\n  Type it, then press Enter.",
        "nowhere.csv: ",
        "error: 99 is not one of the choices.",
        "error: lora_rank takes a whole number from 1 to 4096, not 'much'.",
    ):
        assert words in script.text
    assert desk.started[0].source == tmp_path / "good.csv" and desk.started[0].settings == {}


def test_optional_text_can_be_taken_back(tmp_path: Path) -> None:
    """Enter keeps what stands there, so there is a way to none."""
    (tmp_path / "mine.csv").write_text(GOOD)
    to_rare = [
        "",
        pick("Your own file"),
        "mine.csv",
        "a",
        pick("System prompt"),
        "Be kind.",
        pick("System prompt"),
        "-",
    ]
    _code, script, desk = dialogue(tmp_path, *to_rare, "", "", "", START, NO, NO)
    assert "- for none [Be kind.]" in script.text
    assert desk.started[0].system is None


def test_one_answer_is_changed_from_the_review(tmp_path: Path) -> None:
    """And what that brings up is asked at once, without the way through all steps."""
    (tmp_path / "mine.csv").write_text(ODD)
    edit = [pick("Data"), pick("Your own file"), "mine.csv", "2", "", "3", "", ""]
    code, script, desk = dialogue(tmp_path, "", "", "", "", "", *edit, "0", "z", START, NO, NO)
    assert code == EXIT_OK and not script.lines, script.text
    assert desk.started[0].mapping == {"prompt": "ask", "response": "say"}
    assert "config.yaml: new" in script.text
    assert "The same without questions: sft-wizard --replay mine-lora/config.yaml" in script.text


def test_files_in_the_way_are_told_and_replaced_on_request(tmp_path: Path) -> None:
    """Enter does not start while somebody's file would be replaced."""
    (tmp_path / "here").mkdir()
    (tmp_path / "here/README.md").write_text("notes")
    before = ["", "", "", "", pick("Folder of the project"), "here", "", START]
    lines = [*before, pick("Replace files"), "yes", "d", START, NO, NO]
    code, script, _desk = dialogue(tmp_path, *lines)
    assert code == EXIT_OK and not script.lines, script.text
    assert "README.md: there already, differs" in script.text
    assert [path.read_text() for path in (tmp_path / "here").glob("README.md.*")] == ["notes"]


class RefusingDesk(HereDesk):
    """Starts nothing the first time, as where the disk is full."""

    def start(self, wizard: Wizard, progress: Progress) -> Started:
        if not self.started:
            self.started.append(wizard.project())
            raise EnvironmentProblem(Problem("gpu_required", {"reason": "none"}))
        return super().start(wizard, progress)


def test_a_start_that_is_refused_comes_back_to_the_review(tmp_path: Path) -> None:
    """Every answer is still there."""
    code, script, desk = dialogue(tmp_path, *[""] * 5, START, "", START, NO, NO, desk=RefusingDesk())
    assert code == EXIT_OK and len(desk.started) == 2
    assert "none" in script.text


@pytest.mark.parametrize("end", [EOFError, KeyboardInterrupt])
def test_leaving_keeps_the_answers_and_says_how_to_go_on(tmp_path: Path, end: type[BaseException]) -> None:
    """Ctrl+C, Ctrl+D, or a pipe that ends; the next start offers to go on from there."""
    first = ["", "", "", pick("16 GB"), pick("lora_rank"), "32", end]
    code, script, _desk = dialogue(tmp_path, *first)
    assert code == EXIT_INTERRUPTED
    assert script.said[-2] == "Your answers are kept, up to the step Settings."
    assert script.said[-1].endswith("--plain")

    code, script, desk = dialogue(tmp_path, "", START, NO, NO)
    assert code == EXIT_OK, script.text
    assert "1. Go on with your answers: at the step Settings, 0 s ago" in script.text
    assert desk.started[0].settings == {"lora_rank": 32}
    assert draft.load() is None


def test_the_draft_is_kept_at_every_step(tmp_path: Path) -> None:
    """A machine that goes down says no farewell."""
    seen = []

    def look(script: Script) -> str:
        seen.append(draft.load())
        return ""

    dialogue(tmp_path, "", "", "", pick("16 GB"), look)
    assert seen[0] and (seen[0].step, seen[0].answers) == ("settings", {"preset": "16gb"})


def test_one_can_begin_anew(tmp_path: Path) -> None:
    """An old draft is an offer."""
    dialogue(tmp_path, "", "", "", pick("16 GB"))
    _code, _script, desk = dialogue(tmp_path, *[""] * 5, START, NO, NO, begin=pick("Begin anew"))
    assert desk.started[0].settings == {}


def test_q_leaves_the_review_with_the_answers(tmp_path: Path) -> None:
    """To look at something else first."""
    code, script, desk = dialogue(tmp_path, "", "", "", pick("16 GB"), "", "q")
    assert code == EXIT_OK and not desk.started
    assert "Your answers are kept, up to the step Review." in script.text
    kept = draft.load()
    assert kept and kept.step == "review"


def test_nothing_is_drawn_and_nothing_foreign_gets_through(tmp_path: Path) -> None:
    """A screen reader reads lines; an escape sequence in somebody's data must not reach the terminal."""
    (tmp_path / "mine.csv").write_text('"\x1b[2J{a}","\u202eb"\n"\x1b]0;x\x07","[red]"\n')
    lines = ["", pick("Your own file"), "mine.csv", "2", "", "3", "", "", "", "", ""]
    _code, script, _desk = dialogue(tmp_path, *lines)
    assert "{a}" in script.text and "[red]" in script.text
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e\u2500-\u259f]", script.text)


def test_without_a_terminal_it_says_what_works_without() -> None:
    """In a pipe or a batch job nobody answers."""
    with pytest.raises(ConfigError) as caught:
        terminal_prompts({"TERM": "xterm"}, can_ask=False)
    assert "--replay" in str(caught.value) and caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("environ", "kind"),
    [
        ({"TERM": "dumb"}, LinePrompts),
        ({}, LinePrompts),
        ({"TERM": "xterm", "ACCESSIBLE": "1"}, LinePrompts),
        ({"TERM": "xterm", "ACCESSIBLE": "0"}, EditedPrompts),
        ({"TERM": "xterm-256color"}, EditedPrompts),
    ],
)
def test_the_prompts_suit_the_terminal(environ: dict[str, str], kind: type) -> None:
    """Where the cursor cannot be moved, nothing tries to."""
    assert type(terminal_prompts(environ, can_ask=True)) is kind


def test_what_is_read_at_the_review_is_not_pushed_away(tmp_path: Path) -> None:
    """All answers again after every `?` would leave nothing of what was asked for on the screen."""
    lines = ["? rank", "y", "nonsense", pick("learning_rate"), "0.001", "q"]
    _code, script, _desk = dialogue(tmp_path, *[""] * 5, *lines)
    listed = [place for place, line in enumerate(script.said) if line.startswith("  1. Model:")]
    told = next(place for place, line in enumerate(script.said) if "rank: How many directions" in line)
    assert len(listed) == 2  # at first, and after an answer was changed
    assert listed[0] < told < listed[1]


def test_the_first_question_comes_with_what_enter_means(tmp_path: Path) -> None:
    """And with what the tool does: nothing was read before it."""
    _code, script, _desk = dialogue(tmp_path)
    assert script.said[0].startswith("Teach a language model")
    assert "Enter takes what is in brackets" in script.said[1]
