"""The person's language: chosen once, changed at any time, and never in the way of what is said."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from engine.errors import ConfigError, Problem
from engine.text import Phrase, verbatim
from tui import phases
from tui.mergewords import proof_words
from tui.words import (
    _,
    choose_language,
    language,
    noop,
    problem_line,
    problem_text,
    remember_language,
    say,
    set_language,
    translate,
)


@pytest.mark.parametrize(
    ("given", "environ", "chosen"),
    [
        (None, {}, "en"),
        (None, {"LANG": "zh_CN.UTF-8"}, "zh"),
        (None, {"LANG": "zh_CN.UTF-8", "LC_ALL": "C"}, "en"),
        (None, {"LANG": "en_US.UTF-8", "LC_MESSAGES": "zh_CN.UTF-8"}, "zh"),
        (None, {"LC_MESSAGES": "en_US.UTF-8", "LC_ALL": "zh_SG.UTF-8"}, "zh"),
        (None, {"LANG": "zh_CN.UTF-8", "LC_ALL": ""}, "zh"),
        (None, {"LANG": "fr_FR.UTF-8"}, "en"),
        (None, {"LANG": "en_US.UTF-8", "SFT_WIZARD_LANG": "zh"}, "zh"),
        (None, {"LANG": "zh_CN.UTF-8", "SFT_WIZARD_LANG": "en"}, "en"),
        (None, {"LANG": "zh_CN.UTF-8", "SFT_WIZARD_LANG": "klingon"}, "zh"),
        ("en", {"SFT_WIZARD_LANG": "zh"}, "en"),
        ("zh", {}, "zh"),
        ("zh-Hans", {}, "zh"),
        ("zh_CN.UTF-8", {}, "zh"),
    ],
)
def test_the_nearest_wish_decides(given: str | None, environ: dict[str, str], chosen: str, private_home: Path) -> None:
    assert choose_language(given, environ, "UTF-8") == chosen


def test_a_remembered_choice_stands_between_the_variable_and_the_locale(private_home: Path) -> None:
    """Who switched the language on the first screen finds it again, and a variable still overrides it."""
    remember_language("zh")
    assert choose_language(None, {"LANG": "en_US.UTF-8"}, "utf-8") == "zh"
    assert choose_language(None, {"SFT_WIZARD_LANG": "en"}, "utf-8") == "en"
    remember_language("en")
    assert choose_language(None, {"LANG": "zh_CN.UTF-8"}, "utf-8") == "en"


@pytest.mark.parametrize("damage", ["", "[]", '{"language": 3}', '{"language": "xx"}', "\x00\xff"])
def test_a_damaged_memory_is_no_obstacle(damage: str, private_home: Path) -> None:
    remember_language("zh")
    (file,) = (private_home / "state").rglob("language.json")
    assert json.loads(file.read_text()) == {"language": "zh"}
    file.write_text(damage)
    assert choose_language(None, {}, "UTF-8") == "en"


def test_a_state_folder_that_cannot_be_written_is_no_obstacle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    remember_language("zh")
    assert choose_language(None, {}, "UTF-8") == "en"


@pytest.mark.parametrize("encoding", ["ISO-8859-1", "ANSI_X3.4-1968", "GB18030"])
def test_a_terminal_without_utf8_gets_english(encoding: str, private_home: Path) -> None:
    """Chinese would be rubbish there, or an error in the middle of a run."""
    assert choose_language(None, {"LANG": "zh_CN"}, encoding) == "en"
    assert choose_language("zh", {}, encoding) == "en"


def test_a_language_that_is_not_there_is_said(private_home: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        choose_language("xx", {}, "UTF-8")
    assert str(caught.value) == "There is no language xx.\n  There are: en, zh"


def test_the_language_changes_while_the_program_runs() -> None:
    table = (noop("Tokenising"),)
    assert (language(), _("yes"), translate(table[0])) == ("en", "yes", "Tokenising")
    set_language("zh")
    assert (language(), _("yes"), translate(table[0])) == ("zh", "是", "分词")
    set_language("en")
    assert _("yes") == "yes"


def test_nothing_said_stays_nothing() -> None:
    """gettext keeps the catalogue's header under the empty sentence: it must not appear on a screen."""
    set_language("zh")
    assert _("") == ""
    assert say(Phrase("")) == ""
    assert _("a sentence of a newer version") == "a sentence of a newer version"


@pytest.mark.parametrize("code", ["en", "zh"])
def test_no_value_breaks_a_sentence(code: str) -> None:
    """A model called {x}, or a path that would steer the terminal."""
    set_language(code)
    hostile = "{name} {0} %s [/b] \x1b[2J \u202e 中文"
    said = say(Phrase("{name} is downloaded when the run starts: {size} GB.", {"name": hostile, "size": 1}))
    assert "{name} {0} %s [/b] \\x1b[2J \\u202e 中文" in said
    assert not {"\x1b", "\u202e"} & set(said)
    assert say(verbatim(hostile)) in said
    assert hostile[:10] in problem_text(Problem("model_is_adapter", {"path": hostile, "base": hostile}))


def test_a_problem_in_chinese() -> None:
    set_language("zh")
    problem = Problem("unknown_key", {"near": ["lora_rank"]}, key="lora_rnk", file="a.yaml", line=3)
    assert problem_line(problem) == "错误：a.yaml:3: 没有键 lora_rnk。\n  您是指 lora_rank 吗？"


def test_phases_states_and_times() -> None:
    """A run of a newer version may be in a phase that has no words here."""
    assert phases.phase_title("merging") == "Merging"
    assert phases.phase_title("from\x1bthe future") == "from\\x1bthe future"
    assert phases.state_title("elsewhere") == "on another machine"
    assert phases.state_title("?") == "?"
    assert [phases.duration(seconds) for seconds in (3.6, 200, 7500)] == ["4 s", "3 min 20 s", "2 h 5 min"]
    set_language("zh")
    assert phases.duration(200) == "3 分 20 秒"


def test_words_come_cheap() -> None:
    """Every command imports them before anything else."""
    script = "import sys, tui.words, tui.phases; tui.words.set_language('zh'); print(tui.words._('yes'), *sys.modules)"
    done = subprocess.run([sys.executable, "-X", "utf8", "-c", script], capture_output=True, check=True)
    said, *modules = done.stdout.decode().split()
    assert said == "是"
    assert not {"rich", "textual", "msgspec", "yaml", "engine.config", "engine.storage"} & set(modules)


@pytest.mark.parametrize("ratio", [None, 0.4])
def test_a_merge_that_failed_its_check_is_not_called_checked(ratio: float | None) -> None:
    """Answers that are not finite have no ratio: the screen must say that it failed, neither crash nor praise it."""
    set_language("en")
    proof = {"method": "logits", "passed": False, "changes_nothing": False, "ratio": ratio, "tensors_checked": 3}
    assert proof_words(proof).startswith("Check NOT passed: do not use the merged model.")
    assert ("40 %" in proof_words(proof)) is (ratio is not None)
