"""`v` at plain prompts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from engine.errors import Problem, ProblemError
from engine.wizard.desk import Progress
from engine.wizard.questions import Request
from tests.unit.wizards import HereDesk, Script, begun
from tui.asking import Asker
from tui.showing import show_rows


@pytest.fixture(autouse=True)
def home(private_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No model or cache of the person who runs the tests; no network."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("COLUMNS", "80")


def asker(cwd: Path, model: Path, desk: HereDesk | None = None) -> tuple[Asker, Script]:
    (cwd / "mine.jsonl").write_text(
        "".join(json.dumps({"instruction": f"question {number}", "output": "yes"}) + "\n" for number in range(30))
    )
    wizard = begun(cwd, model="folder", model_folder=str(model), data="file", data_file="mine.jsonl")
    script = Script([])
    return Asker(wizard, desk or HereDesk(), script), script  # type: ignore[arg-type]


def test_v_prints_the_report_and_two_rows(tmp_path: Path, tiny_model: Path) -> None:
    """And any row by its number, from whichever page."""
    found, script = asker(tmp_path, tiny_model)
    assert show_rows(found, "v")
    for said in ("mine: 30 rows, all used", "tokens in a row", "A run would start", "Row 2 of 30", "v NUMBER"):
        assert said in script.text, said
    assert "question 1" in script.text and "question 2" not in script.text
    assert "┃ yes" in script.text
    asked = [request.what for request in found.desk.asked]  # type: ignore[attr-defined]
    assert show_rows(found, "v 2") and [request.what for request in found.desk.asked] == asked  # type: ignore[attr-defined]
    assert show_rows(found, "v 29")
    assert "Row 29 of 30" in script.text and "question 28" in script.text and "]" in script.text
    assert show_rows(found, "v 31") and "There is no such row" in script.said[-1]


def test_other_answers_are_left_alone(tmp_path: Path, tiny_model: Path) -> None:
    """Names may begin with the same letter."""
    found, script = asker(tmp_path, tiny_model)
    assert not any(show_rows(found, text) for text in ("", "1", "vv", "v x", "values.csv"))
    assert script.said == []


def test_what_cannot_be_shown_says_why(tmp_path: Path, tiny_model: Path) -> None:
    """No model here, a look that fails: in words, and `v` tries again."""

    class Broken(HereDesk):
        def find(self, request: Request, progress: Progress) -> Any:
            if request.what == "check":
                raise ProblemError(Problem("helper_died", {"what": "rows", "how": "exit code 9"}))
            return super().find(request, progress)

    found, script = asker(tmp_path, tiny_model, Broken())
    assert show_rows(found, "v")
    assert "could not be checked now" in script.text and "exit code 9" in script.text
    found.desk = HereDesk()  # type: ignore[assignment]
    assert show_rows(found, "v") and "Row 1 of 30" in script.text
    script, wizard = Script([]), begun(tmp_path)
    wizard.found("model")["here"] = False
    wizard.reckoned.clear()
    assert show_rows(Asker(wizard, HereDesk(), script), "v")  # type: ignore[arg-type]
    assert "when the model has been fetched" in script.text
