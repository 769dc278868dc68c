"""The shipped samples: what they hold is right, and each teaches something that is seen at once."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import pytest

from engine.data.formats import load_samples
from engine.data.registry import load_registry
from engine.errors import ConfigError
from engine.memory.presets import presets
from engine.project import ProjectAnswers, apply_project, plan_project
from engine.samples import sample, samples
from tests.unit.wizards import begun, look
from tui.making import new_project

KINDS = ("identity", "qa", "code", "instruction", "chat")


def rows(name: str) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads(sample(name).rows())
    return found


def test_there_is_one_for_every_kind_of_task() -> None:
    """The one to begin with is the first."""
    assert samples() == KINDS
    assert len({sample(name).dataset for name in KINDS}) == len(KINDS)


@pytest.mark.parametrize("name", KINDS)
def test_the_rows_are_read_whole_and_none_twice(name: str, tmp_path: Path) -> None:
    """As a run reads them; a row that stands twice would only count more."""
    given = ProjectAnswers(folder=tmp_path, model="smollm2-135m", sample=name)
    apply_project(given, plan_project(given, presets()[0]))
    kept, tally = load_samples(load_registry(tmp_path / "data").resolve([sample(name).dataset])[0], None)
    assert 40 <= len(kept) <= 80 and not tally.dropped
    questions = [one.conversation.turns[0].content for one in kept]
    assert len(set(questions)) == len(questions)
    asked = {question.strip() for question in sample(name).questions}
    if name != "identity":  # there the very questions show it
        assert not asked & set(questions), "what was learned by heart shows nothing"


@pytest.mark.parametrize("row", rows("code"), ids=lambda row: row["instruction"])
def test_the_code_runs(row: dict[str, str]) -> None:
    """A model that learns from code that fails would write code that fails."""
    code = re.fullmatch(r"```python\n(.*)\n```", row["output"], re.DOTALL)
    assert code
    tree = ast.parse(code[1])
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    assert functions and any(isinstance(node, ast.Assert) for node in tree.body)
    for function in functions:
        assert function.returns is not None and (function.name == "__init__" or ast.get_docstring(function))
        assert all(given.annotation for given in function.args.args if given.arg != "self")
    exec(compile(tree, row["instruction"], "exec", dont_inherit=True), {"__name__": "sample"})


def test_messages_become_json_of_three_members() -> None:
    """Every answer can be read by a program, and every team occurs."""
    answers = [json.loads(str(row["output"])) for row in rows("instruction")]
    assert all(list(answer) == ["team", "urgent", "summary"] for answer in answers)
    assert {answer["team"] for answer in answers} == {"account", "billing", "delivery", "sales", "technical"}
    assert {type(answer["urgent"]) for answer in answers} == {bool} and any(answer["urgent"] for answer in answers)


def test_short_answers_are_of_one_form_in_two_languages() -> None:
    """What the sample teaches is the form."""
    chinese = 0
    for row in rows("qa"):
        is_chinese = re.search("[一-鿿]", str(row["instruction"])) is not None
        form = "简答：.+\n补充：.+" if is_chinese else "Short: .+\nMore: .+"
        assert re.fullmatch(form, str(row["output"])), row
        chinese += is_chinese
    assert chinese >= 15


def test_chats_have_several_turns_of_one_voice() -> None:
    """It is a sample of conversations, not of questions."""
    for row in rows("chat"):
        said = row["conversations"]
        assert isinstance(said, list) and len(said) >= 4
        assert [one["from"] for one in said] == ["human", "gpt"] * (len(said) // 2)
        for answer in said[1::2]:
            assert re.fullmatch(r"(Ahoy|Aye)! .+ Fair winds!", answer["value"])


def test_a_name_and_a_maker_of_ones_own() -> None:
    """Every row says the new names, whatever is in them, and none the old ones."""
    text = sample("identity").rows({"name": 'Ada "A" \\', "author": "the {{name}} club"})
    answers = " ".join(row["output"] for row in json.loads(text))
    assert 'I am Ada "A" \\, an AI assistant made by the {{name}} club.' in answers
    assert "The {{name}} club made me." in answers
    assert "Lumi" not in answers and "Northlight" not in answers
    with pytest.raises(ConfigError) as caught:
        sample("identity").rows({"nick": "A"})
    assert caught.value.problems[0].params == {"name": "nick", "known": ["name", "author"]}


def test_the_wizard_asks_for_name_and_maker(tmp_path: Path, private_home: Path) -> None:
    """They are rare questions of that sample alone; the preview and the project have them."""
    wizard = begun(tmp_path, **{"fill.name": "Ada"})
    assert [question.id for question in wizard.questions("data")] == ["data"]
    assert [question.id for question in wizard.questions("data", advanced=True)] == ["data", "fill.name", "fill.author"]
    assert wizard.preview()[1][1].startswith("I am Ada,")
    assert wizard.project().fill == {"name": "Ada"}
    assert wizard.answer("fill.author", " ") == [] and wizard.value("fill.author") == "the Northlight team"
    assert wizard.answer("data", "sample:chat") == []
    look(wizard)
    assert wizard.project().fill == {} and len(wizard.questions("data", advanced=True)) == 1
    assert [voice for voice, _ in wizard.preview()] == ["user", "assistant", "user", "assistant"]


def test_new_fills_the_sample(tmp_path: Path, private_home: Path) -> None:
    """`sft-wizard new --sample identity --fill name=Ada`."""
    new_project(tmp_path, None, "identity", ["name=Ada"], "smollm2-135m", "alpaca", [], None, None, None, 0, False)
    assert "I am Ada, an AI assistant" in (tmp_path / "data" / "identity.json").read_text(encoding="utf-8")


def test_the_docs_tell_of_every_sample() -> None:
    """With its rows as they are."""
    page = (Path(__file__).parents[2] / "docs" / "data.md").read_text(encoding="utf-8")
    for name in KINDS:
        assert re.search(rf"^\| {name} \| .* \| {len(rows(name))} \| ", page, re.MULTILINE), name
