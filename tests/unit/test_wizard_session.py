"""What follows from the answers: data, mapping, files, folders. Nothing a person typed is lost or written over."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest
import yaml

from engine.config.jobs import load_job
from engine.hardware import probe
from engine.memory.presets import recommend, shipped_presets
from engine.project import plan_project
from engine.wizard.desk import settle
from engine.wizard.questions import Request
from engine.wizard.session import Wizard
from engine.wizard.tasks import LOOKING
from tests.unit.wizards import HereDesk, begun, look, quiet
from tui.making import new_project

GOOD = "instruction,output\nWho?,Me.\n,left out\n"
ODD = "ask,say,topic\nWho?,Me.,people\nWhere?,Here.,places\n"


@pytest.fixture(autouse=True)
def home(private_home: Path) -> None:
    """No model, run or draft of the person who runs the tests is found."""


def codes(wizard: Wizard, step: str) -> list[str]:
    return [problem.code for problem in wizard.problems(step)]


def tree_of(folder: Path) -> dict[str, bytes]:
    """{relative path: bytes} of every file."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def own(cwd: Path, text: str, name: str = "mine.csv", **answers: Any) -> Wizard:
    (cwd / name).write_text(text)
    return begun(cwd, **{"data": "file", "data_file": name, **answers})


# Data


def test_a_file_whose_columns_are_known_needs_nothing_more(tmp_path: Path) -> None:
    """The common case: the person gives the file and presses Enter."""
    wizard = own(tmp_path, GOOD)
    assert wizard.problems("data") == [] and wizard.mapping() == {}
    assert wizard.recognised() == {"prompt": "instruction", "response": "output"}
    assert wizard.preview()[-1] == ("assistant", "Me.")
    lines = [phrase.say() for phrase in wizard.about("data")]
    assert lines[0] == "2 rows, read as prompt = instruction, response = output."


def test_columns_that_say_nothing_keep_the_step_until_they_are_chosen(tmp_path: Path) -> None:
    """Training on the wrong column would look as if it worked."""
    wizard = own(tmp_path, ODD)
    assert codes(wizard, "data") == ["columns_unknown"]
    assert wizard.answer("map_prompt", "ask") == []
    assert codes(wizard, "data") == ["column_of_response"]
    assert wizard.answer("map_response", "say") == []
    look(wizard)
    assert codes(wizard, "data") == []
    assert wizard.preview() == [("user", "Who?"), ("assistant", "Me.")]
    assert wizard.project().mapping == {"prompt": "ask", "response": "say"}


def test_recognised_columns_can_be_changed(tmp_path: Path) -> None:
    """A column that happens to be called input may hold something else."""
    wizard = own(tmp_path, "instruction,input,output\nSay it,not this,Yes.\n", map_query=None)
    assert wizard.mapping() == {"prompt": "instruction", "response": "output"}
    assert wizard.preview()[0] == ("user", "Say it")


def test_another_file_drops_the_columns_of_the_one_before(tmp_path: Path) -> None:
    """A choice of (none) for the old file would silently leave out a column of the new one."""
    wizard = own(tmp_path, ODD, map_prompt="ask", map_query=None, map_response="say")
    (tmp_path / "other.csv").write_text("instruction,input,output\na,b,c\n")
    assert wizard.answer("data_file", "other.csv") == []
    look(wizard)
    assert wizard.mapping() == {}
    assert wizard.recognised() == {"prompt": "instruction", "query": "input", "response": "output"}
    assert not [name for name in wizard.answers if name.startswith("map_")]


def test_the_same_file_again_keeps_its_columns(tmp_path: Path) -> None:
    """Back and Enter is no change."""
    wizard = own(tmp_path, ODD, map_prompt="ask", map_response="say")
    assert wizard.answer("data_file", " mine.csv ") == []
    assert wizard.answer("data_file", str(tmp_path / "mine.csv")) == []
    assert wizard.mapping() == {"prompt": "ask", "response": "say"}


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("empty.csv", b"", "data_file_empty"),
        ("blank.jsonl", b"\n \n", "data_file_blank"),
        ("header.csv", b"instruction,output\n", "data_file_no_rows"),
        ("packed.csv", b"PK\x03\x04....", "data_file_magic"),
        ("text.json", b"hello", "data_json_not_rows"),
        ("cut.parquet", b"PAR1....PAR1", "data_parquet_broken"),
        ("broken.jsonl", b"{\n{\n" * 500, "dataset_no_usable_row"),
    ],
)
def test_a_file_that_cannot_be_used_is_told_and_another_can_be_given(
    tmp_path: Path, name: str, content: bytes, code: str
) -> None:
    """Hours later, after the download of a model, is too late."""
    (tmp_path / name).write_bytes(content)
    wizard = begun(tmp_path, data="file", data_file=name)
    assert codes(wizard, "data")[0] == code
    assert len(wizard.problems("data")) <= 4  # words that fit a screen
    assert codes(wizard, "review")[0] == code
    (tmp_path / name).write_bytes(b"x")
    (tmp_path / "good.csv").write_text(GOOD)
    assert wizard.answer("data_file", "good.csv") == []
    look(wizard)
    assert codes(wizard, "data") == []


def test_a_file_that_was_mended_meanwhile_is_looked_at_again(tmp_path: Path) -> None:
    """The person mends it in another window and presses Enter."""
    wizard = own(tmp_path, "")
    (tmp_path / "mine.csv").write_text(GOOD)
    wizard.forget_refusals()
    look(wizard)
    assert codes(wizard, "data") == []


def test_some_broken_rows_are_counted(tmp_path: Path) -> None:
    """One bad row in a thousand is no reason to stop, and none to keep quiet."""
    wizard = own(tmp_path, "instruction,output\na,b\nonly one\nc,d\n")
    assert codes(wizard, "data") == []
    assert "1 rows cannot be used and are left out." in [phrase.say() for phrase in wizard.about("data")]


def test_columns_without_text_are_told_and_can_be_chosen_anew(tmp_path: Path) -> None:
    """Column names may promise what the rows do not hold; the start would fail."""
    rows = [{"instruction": 5, "output": None, "text": "q", "reply": "a"}] * 3
    wizard = own(tmp_path, json.dumps(rows), "mine.json")
    assert codes(wizard, "data")[0] == "rows_unusable"
    assert wizard.answer("map_prompt", "text") == [] and wizard.answer("map_response", "reply") == []
    look(wizard)
    assert codes(wizard, "data") == []
    assert wizard.answer("map_response", "output") == []
    look(wizard)
    assert codes(wizard, "data")[0] == "dataset_no_usable_row"


def test_parquet_is_read_like_the_others(tmp_path: Path) -> None:
    """Data sets of the hub come as parquet."""
    table = pyarrow.table({"question": ["Who?"], "answer": ["Me."]})
    pyarrow.parquet.write_table(table, tmp_path / "rows.parquet")
    wizard = begun(tmp_path, data="found:rows.parquet")
    assert wizard.problems("data") == []
    assert wizard.preview() == [("user", "Who?"), ("assistant", "Me.")]


@pytest.mark.parametrize("way", ["~/mine.csv", "sub/../mine.csv", "  mine.csv  "])
def test_paths_are_taken_as_a_shell_takes_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    """~ and paths relative to where the wizard was started, wherever the process stands meanwhile."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir("/")
    (tmp_path / "sub").mkdir()
    wizard = own(tmp_path, GOOD, data_file=way)
    assert codes(wizard, "data") == []
    source = wizard.project().source
    assert source and source.is_absolute() and source.resolve() == tmp_path / "mine.csv"


def test_files_and_registered_sets_are_found_where_one_stands(tmp_path: Path) -> None:
    """A person in a LLaMA-Factory checkout finds the sets of data/dataset_info.json in the list."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data/rows.json").write_text('[{"instruction": "Who?", "output": "Me."}]')
    (tmp_path / "data/dataset_info.json").write_text('{"mine": {"file_name": "rows.json"}}')
    (tmp_path / "own.csv").write_text(GOOD)
    wizard = begun(tmp_path)
    offered = [choice.value for choice in wizard.questions("data")[0].choices(wizard)]
    offered = [value for value in offered if not value.startswith("sample:")]
    assert offered[:-1] == [f"registered:{tmp_path}/data:mine", "found:own.csv", "found:data/rows.json"]
    assert wizard.answer("data", offered[0]) == []
    look(wizard)
    assert codes(wizard, "data") == []
    settings = yaml.safe_load(written(wizard)["configs/train_config.yaml"])
    assert (settings["dataset"], settings["dataset_dir"]) == ("mine", str(tmp_path / "data"))
    assert "data" not in yaml.safe_load(written(wizard)["config.yaml"])


def test_a_damaged_registry_does_not_hide_the_rest(tmp_path: Path) -> None:
    """The sample and typed paths work in any folder."""
    (tmp_path / "dataset_info.json").write_text("{")
    assert codes(begun(tmp_path), "data") == []


def test_a_large_file_is_looked_at_quickly(tmp_path: Path) -> None:
    """A gigabyte must not be read to know its columns: only the first rows are."""
    line = b"Who are you?," + b"x" * 2000 + b"\n"
    for name, head in (("big.csv", b"instruction,output\n"), ("big.jsonl", b"")):
        row = line if head else json.dumps({"instruction": "a", "output": "x" * 2000}).encode() + b"\n"
        with (tmp_path / name).open("wb") as stream:
            stream.write(head + row * 1500)
            stream.seek(1 << 30)  # the rest is a hole that reads as zeros
            stream.write(b"\n")
        began = time.process_time()
        found = LOOKING["data"](str(tmp_path / name), {}, quiet)
        assert time.process_time() - began < 2  # reading all of it takes a minute
        assert (found["rows"], found["whole"], found["dropped"]) == (1000, False, 0)


# Model


def test_without_a_model_there_is_no_start(tmp_path: Path) -> None:
    """Not given is not the built-in one: nobody trains a model they did not choose."""
    wizard = begun(tmp_path, model="hub")
    assert codes(wizard, "model") == ["answer_empty"] and "answer_empty" in codes(wizard, "review")


def test_a_refused_model_keeps_the_step(tmp_path: Path) -> None:
    """The reason is told where it can be mended."""
    (tmp_path / "model").mkdir()
    wizard = begun(tmp_path, model="folder", model_folder="model")
    assert codes(wizard, "model") == ["model_folder_incomplete"] and "model_folder_incomplete" in codes(
        wizard, "review"
    )


def test_the_same_is_never_looked_up_twice(tmp_path: Path) -> None:
    """Back and forth between steps costs no process."""
    wizard, desk = Wizard(tmp_path), HereDesk()
    for _ in range(2):
        look(wizard, desk)
    assert len(desk.asked) == len(set(desk.asked)) == 6
    assert wizard.needs("review") == []


def test_every_answer_of_the_machine_that_is_refused_ends_the_asking(tmp_path: Path) -> None:
    """A step that asks for ever would hang."""
    wizard = begun(tmp_path, model="folder", model_folder="nowhere")
    assert wizard.needs("model") == []
    wizard.forget_refusals()
    assert wizard.needs("model") == [Request("model", str(tmp_path / "nowhere"))]


# Review and files


def written(wizard: Wizard) -> dict[str, str]:
    return {file.path: file.content for file in wizard.tree().files}


def states(wizard: Wizard) -> dict[str, str]:
    return {file.path: file.state for file in wizard.tree().files}


def test_the_review_lists_what_was_asked_and_what_was_changed(tmp_path: Path) -> None:
    """Nothing that a person set is hidden, and nothing they were not asked stands in the way."""
    wizard = begun(tmp_path, train_weight_decay="0.1", train_seed="42", train_num_train_epochs="5")
    answers = {answer.question.id: answer for answer in wizard.review()}
    asked = [question.id for step in ("model", "data", "preset", "settings") for question in wizard.questions(step)]
    assert set(answers) == {*asked, "train.weight_decay"}
    assert answers["train.weight_decay"].shown.say() == "0.1"
    assert {name for name, answer in answers.items() if answer.changed} == {
        "train.weight_decay",
        "train.num_train_epochs",
    }


def test_every_answer_reaches_the_files(tmp_path: Path) -> None:
    """The file is what runs: an answer that does not get there was asked for nothing."""
    wizard = own(
        tmp_path,
        ODD,
        map_prompt="ask",
        map_response="say",
        instruction="Answer briefly.",
        system="You are Lumi.",
        max_rows="2",
        data_format="sharegpt",
        preset="16gb",
        project="here",
        train_weight_decay="0.1",
        merge="no",
    )
    config, train = yaml.safe_load(written(wizard)["config.yaml"]), written(wizard)["configs/train_config.yaml"]
    assert config["data"] == {
        "source": str(tmp_path / "mine.csv"),
        "name": "mine",
        "format": "sharegpt",
        "map": {"prompt": "ask", "response": "say"},
        "instruction": "Answer briefly.",
        "system": "You are Lumi.",
        "max_samples": 2,
    }
    assert "merge" not in config and config["project"] == "here"
    values = yaml.safe_load(train)
    assert (values["weight_decay"], values["per_device_train_batch_size"], values["lora_rank"]) == (0.1, 2, 16)


def test_files_are_new_then_the_same_then_in_the_way(tmp_path: Path) -> None:
    """A person sees before Start what happens to each file."""
    wizard, desk = begun(tmp_path, project="here"), HereDesk()
    assert set(states(wizard).values()) == {"new"} and not wizard.in_the_way()
    desk.start(wizard, quiet)
    assert set(states(wizard).values()) == {"same"}
    config = tmp_path / "here/configs/train_config.yaml"
    config.write_text("mine: 1\n")
    assert states(wizard)["configs/train_config.yaml"] == "in the way" and wizard.in_the_way()


def test_foreign_files_in_the_way_are_replaced_only_when_asked_and_kept(tmp_path: Path) -> None:
    """Nothing is ever written over."""
    (tmp_path / "here").mkdir()
    (tmp_path / "here/README.md").write_text("my notes")
    wizard, desk = begun(tmp_path, project="here"), HereDesk()
    assert codes(wizard, "review") == ["files_in_the_way"]
    assert "replace" in [question.id for question in wizard.questions("review")]
    assert wizard.value("replace") is False
    assert wizard.answer("replace", "yes") == []
    assert codes(wizard, "review") == []
    assert yaml.safe_load(written(wizard)["configs/train_config.yaml"])["overwrite_output_dir"] is True
    desk.start(wizard, quiet)
    kept = [path for path in (tmp_path / "here").iterdir() if path.name.startswith("README.md.")]
    assert [path.read_text() for path in kept] == ["my notes"]


def test_data_of_a_persons_own_in_the_project_is_kept_too(tmp_path: Path) -> None:
    """The converted data has a name that a file of theirs may have."""
    (tmp_path / "here/data").mkdir(parents=True)
    (tmp_path / "here/README.md").write_text("my notes")
    (tmp_path / "here/data/mine_train.json").write_text("[]")
    wizard = own(tmp_path, GOOD, project="here", replace="yes")
    HereDesk().start(wizard, quiet)
    kept = [path.read_text() for path in (tmp_path / "here/data").glob("mine_train.json.*")]
    assert kept == ["[]"]
    assert json.loads((tmp_path / "here/data/mine_train.json").read_text())[0]["output"] == "Me."


def test_after_a_start_other_answers_replace_its_files(tmp_path: Path) -> None:
    """Back from a run that was not good enough, one more epoch, Start: no question about files of our own."""
    wizard, desk = begun(tmp_path, project="here"), HereDesk()
    desk.start(wizard, quiet)
    first = tree_of(tmp_path / "here")
    assert codes(wizard, "review") == [] and written(wizard)["config.yaml"].encode() == first["config.yaml"]
    assert wizard.answer("train.num_train_epochs", "7") == []
    assert codes(wizard, "review") == [] and wizard.value("replace") is True
    assert wizard.default("replace").reason.say()
    desk.start(wizard, quiet)
    assert yaml.safe_load((tmp_path / "here/configs/train_config.yaml").read_text())["num_train_epochs"] == 7
    assert list((tmp_path / "here/configs").glob("train_config.yaml.*"))
    assert set(states(wizard).values()) == {"same"}


def test_another_folder_is_not_ours_because_we_started_before(tmp_path: Path) -> None:
    """The second folder may be somebody's work."""
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs/README.md").write_text("work")
    wizard = begun(tmp_path, project="here")
    HereDesk().start(wizard, quiet)
    assert wizard.answer("project", "theirs") == []
    assert codes(wizard, "review") == ["files_in_the_way"]


def test_the_folder_is_a_fresh_one_and_stays_it(tmp_path: Path) -> None:
    """Enter never lands in an existing folder, and what the review showed is what Start writes."""
    (tmp_path / "identity-lora").mkdir()
    wizard = begun(tmp_path)
    assert wizard.value("project") == "identity-lora-2"
    (tmp_path / "identity-lora-2").mkdir()  # another wizard, meanwhile
    assert wizard.value("project") == "identity-lora-2"
    assert begun(tmp_path).value("project") == "identity-lora-3"
    (tmp_path / "identity-lora-2").rmdir()
    HereDesk().start(wizard, quiet)
    assert wizard.value("project") == "identity-lora-2"
    assert own(tmp_path, GOOD, "My notes.csv").value("project") == "My-notes-lora"


def test_the_command_works_where_the_wizard_was_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is copied into a shell, with blanks and all."""
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    assert begun(tmp_path, project="a b").command() == "sft-wizard --replay 'a b/config.yaml'"
    assert begun(tmp_path, project="~/x").command() == "sft-wizard --replay me/x/config.yaml"
    assert begun(tmp_path, project="/elsewhere/x").command() == "sft-wizard --replay /elsewhere/x/config.yaml"


def test_settings_that_exclude_each_other_are_told_in_the_review(tmp_path: Path) -> None:
    """What --replay would refuse never gets to Start."""
    wizard = begun(tmp_path, train_bf16="yes", train_fp16="yes")
    assert wizard.problems("review")


def test_a_damaged_registry_in_the_project_is_a_problem_of_the_review(tmp_path: Path) -> None:
    """It is a person's file: told, not written over, and no traceback."""
    (tmp_path / "here/data").mkdir(parents=True)
    (tmp_path / "here/data/dataset_info.json").write_text("{")
    wizard = begun(tmp_path, project="here")
    assert wizard.problems("review") and not wizard.in_the_way()


@pytest.mark.parametrize("preset", [preset.name for preset in shipped_presets()])
def test_what_the_wizard_writes_is_a_job(tmp_path: Path, preset: str) -> None:
    """Its Start and --replay take the same file."""
    wizard = begun(tmp_path, project="here", preset=preset)
    HereDesk().start(wizard, quiet)
    job = load_job(tmp_path / "here/config.yaml")
    assert job.train and job.merge and not job.notes


def test_the_same_answers_make_the_same_project_as_new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A person may begin with the wizard and go on with `sft-wizard new`, or the other way round."""
    made, hardware = [], probe()
    for way in ("wizard", "new"):
        cwd = tmp_path / way
        cwd.mkdir()
        monkeypatch.chdir(cwd)
        (tmp_path / "mine.csv").write_text(ODD)
        if way == "wizard":
            names = {
                "data": "file",
                "data_file": str(tmp_path / "mine.csv"),
                "map_prompt": "ask",
                "map_response": "say",
            }
            wizard = begun(cwd, **names, system="Be kind.", max_rows="1", data_format="sharegpt", project="here")
            assert wizard.answer("preset", recommend(hardware).preset.name) == []
            HereDesk().start(wizard, quiet)
        else:
            mapping = ["prompt=ask", "response=say"]
            source = tmp_path / "mine.csv"
            new_project(
                Path("here"), source, "identity", [], "smollm2-135m", "sharegpt", mapping, None, "Be kind.", 1, 0, False
            )
        made.append(tree_of(cwd / "here"))
    assert made[0] == made[1]


def test_leaving_out_the_merge_leaves_it_out_everywhere(tmp_path: Path) -> None:
    """A person with little disk wants the adapter alone."""
    wizard = begun(tmp_path, merge="no", project="here")
    HereDesk().start(wizard, quiet)
    assert load_job(tmp_path / "here/config.yaml").merge is None


def test_answers_survive_every_way_back(tmp_path: Path) -> None:
    """Choosing the sample and then one's own file again finds the path still there."""
    wizard = own(tmp_path, GOOD, system="Be kind.")
    sample = wizard.questions("data")[0].choices(wizard)[0].value
    assert wizard.answer("data", sample) == []
    look(wizard)
    assert wizard.project().source is None and wizard.value("system") == "Be kind."
    assert wizard.answer("data", "file") == []
    assert wizard.value("data_file") == "mine.csv"
    wizard.reset("system")
    assert wizard.value("system") is None


def test_plan_and_tree_agree(tmp_path: Path) -> None:
    """What the review shows is what Start writes."""
    wizard = begun(tmp_path, project="here")
    assert list(wizard.tree().files) == plan_project(wizard.project(), wizard.preset())
    settle(wizard, "review", HereDesk(), quiet)
    assert wizard.tree().notes == ()
