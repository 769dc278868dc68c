"""From a file to a job: the three kinds, where relative paths start, and what --set does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engine.config.jobs import Job, load_job
from engine.errors import ConfigError, Problem
from engine.messages import render

TRAIN = "stage: sft\nmodel_name_or_path: m\ndataset: d\noutput_dir: saves/x\n"
MERGE = "model_name_or_path: m\nadapter_name_or_path: saves/x\nexport_dir: models/x\n"


def put(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project as `new` writes it."""
    root = tmp_path / "project"
    put(root / "config.yaml", "train: configs/train_config.yaml\nmerge: configs/merge_config.yaml\n")
    put(root / "configs/train_config.yaml", TRAIN)
    put(root / "configs/merge_config.yaml", MERGE)
    put(root / "data/dataset_info.json", "{}")
    return root


def problems(*arguments: Any, **named: Any) -> tuple[Problem, ...]:
    with pytest.raises(ConfigError) as caught:
        load_job(*arguments, **named)
    return caught.value.problems


def outputs(job: Job) -> tuple[str, str]:
    assert job.train and job.merge
    return job.train.config.output_dir, job.merge.config.export_dir


def test_a_train_config_is_a_job_of_its_own(tmp_path: Path) -> None:
    job = load_job(put(tmp_path / "t.yaml", TRAIN), cwd=tmp_path)
    assert (job.kind, job.name, job.root, job.merge) == ("train", "x", None, None)
    assert job.train and job.train.config.output_dir == f"{tmp_path}/saves/x"
    assert job.runs == tmp_path / "saves/x/logs"


def test_a_merge_config_is_a_job_of_its_own(tmp_path: Path) -> None:
    job = load_job(put(tmp_path / "m.yaml", MERGE), cwd=tmp_path)
    assert (job.kind, job.name, job.train) == ("merge", "x", None)
    assert job.merge and job.merge.config.export_dir == f"{tmp_path}/models/x"
    assert job.merge.config.adapter_name_or_path == [f"{tmp_path}/saves/x"]
    assert job.runs == tmp_path / "models/logs"


def test_a_train_config_without_stage_is_known_by_its_keys(tmp_path: Path) -> None:
    file = put(tmp_path / "t.yaml", TRAIN.replace("stage: sft\n", ""))
    assert load_job(file, cwd=tmp_path).kind == "train"


def test_a_file_of_no_kind(tmp_path: Path) -> None:
    (found,) = problems(put(tmp_path / "x.yaml", "learning_rate: 1\n"))
    assert (found.code, found.file) == ("kind_unknown", str(tmp_path / "x.yaml"))


def test_config_yaml_brings_both_and_its_folder(project: Path, tmp_path: Path) -> None:
    job = load_job(project / "config.yaml", cwd=tmp_path)
    assert (job.kind, job.root, job.runs, job.name) == ("project", project, project / "logs", "project")
    assert outputs(job) == (f"{project}/saves/x", f"{project}/models/x")


def test_a_relative_config_yaml_is_at_home_in_its_folder(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project.parent)
    assert outputs(load_job(Path("project/config.yaml"))) == (f"{project}/saves/x", f"{project}/models/x")


def test_config_yaml_with_everything_inline_travels_alone(tmp_path: Path) -> None:
    inner = ["  " + line for line in TRAIN.splitlines()]
    other = ["  " + line for line in MERGE.splitlines()]
    text = "\n".join(
        ["project: trip", "train:", *inner, "merge:", *other, 'questions: ["Who are you?"]', "require_gpu: yes"]
    )
    job = load_job(put(tmp_path / "config.yaml", text), cwd=Path("/"))
    assert outputs(job) == (f"{tmp_path}/saves/x", f"{tmp_path}/models/x")
    assert (job.name, job.questions, job.require_gpu) == ("trip", ["Who are you?"], True)


def test_data_of_config_yaml_starts_at_its_folder(tmp_path: Path) -> None:
    job = load_job(put(tmp_path / "config.yaml", "data: {source: raw/a.csv, name: mine}\n"), cwd=Path("/"))
    assert job.data and job.data.source == f"{tmp_path}/raw/a.csv"


def test_a_bare_file_starts_at_the_working_directory_as_in_llamafactory(tmp_path: Path) -> None:
    (tmp_path / "elsewhere" / "data").mkdir(parents=True)
    file = put(tmp_path / "elsewhere" / "configs" / "t.yaml", TRAIN)
    job = load_job(file, cwd=tmp_path / "elsewhere")
    assert job.train and job.train.config.output_dir == f"{tmp_path}/elsewhere/saves/x"
    assert job.notes == ()


def test_a_projects_file_finds_its_project_from_anywhere_and_says_so(project: Path, tmp_path: Path) -> None:
    for name in ("train_config.yaml", "merge_config.yaml"):
        job = load_job(project / "configs" / name, cwd=tmp_path)
        part = job.train or job.merge
        assert part
        out = getattr(part.config, "output_dir", None) or part.config.export_dir
        assert out.startswith(f"{project}/")
        assert (job.root, job.runs) == (project, project / "logs")
        (note,) = job.notes
        assert (note.code, note.severity, note.params["root"]) == ("path_at_root", "note", str(project))


def test_a_projects_file_from_its_root_needs_no_note(project: Path) -> None:
    job = load_job(project / "configs" / "train_config.yaml", cwd=project)
    assert (job.root, job.notes) == (project, ())


def test_where_the_working_directory_has_the_data_it_wins(project: Path, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    job = load_job(project / "configs" / "train_config.yaml", cwd=tmp_path)
    assert job.train and job.train.config.output_dir == f"{tmp_path}/saves/x"


def test_mistakes_point_at_the_file_they_are_in(project: Path) -> None:
    put(project / "configs/train_config.yaml", TRAIN + "lora_rnak: 8\n")
    put(project / "configs/merge_config.yaml", MERGE + "export_size: 0\n")
    put(project / "config.yaml", (project / "config.yaml").read_text() + "qestions: []\n")
    found = {(Path(one.file or "").name, one.line, one.code) for one in problems(project / "config.yaml")}
    assert found == {
        ("config.yaml", 3, "unknown_key"),
        ("train_config.yaml", 5, "unknown_key"),
        ("merge_config.yaml", 4, "value_wrong"),
    }


def test_inline_mistakes_have_config_yamls_lines(tmp_path: Path) -> None:
    text = "train:\n  stage: sft\n  model_name_or_path: m\n  dataset: d\n  lora_rank: x\n"
    found = [(one.code, one.key, one.line) for one in problems(put(tmp_path / "config.yaml", text))]
    assert found == [("value_wrong", "lora_rank", 5), ("missing_key", "output_dir", 1)]


def test_a_part_that_is_not_there(tmp_path: Path) -> None:
    (found,) = problems(put(tmp_path / "config.yaml", "train: configs/none.yaml\n"))
    assert (found.code, found.params["path"]) == ("file_missing", f"{tmp_path}/configs/none.yaml")


def test_nothing_to_do(tmp_path: Path) -> None:
    (found,) = problems(put(tmp_path / "config.yaml", "project: x\n"))
    assert found.code == "nothing_to_do"


def test_set_changes_a_bare_file(tmp_path: Path) -> None:
    file = put(tmp_path / "t.yaml", TRAIN + "lora_rank: 8\n")
    job = load_job(file, ["learning_rate=1e-4", "lora_rank=16", "dataset=a,b", "run_name=a=b"], cwd=tmp_path)
    assert job.train
    config = job.train.config
    assert (config.learning_rate, config.lora_rank, config.dataset, config.run_name) == (1e-4, 16, "a,b", "a=b")


def test_set_changes_the_parts_of_config_yaml(project: Path) -> None:
    put(project / "config.yaml", (project / "config.yaml").read_text() + "data: {source: a.csv, name: mine}\n")
    given = ["train.learning_rate=1e-4", "merge.export_size=2", "data.max_samples=5", "questions=[Why]"]
    job = load_job(project / "config.yaml", given)
    assert job.train and job.merge and job.data
    assert (job.train.config.learning_rate, job.merge.config.export_size) == (1e-4, 2)
    assert (job.data.max_samples, job.questions) == (5, ["Why"])


@pytest.mark.parametrize(
    ("given", "code", "key"),
    [
        ("train.lora_rank=x", "value_wrong", "lora_rank"),
        ("train.lora_rnak=8", "unknown_key", "lora_rnak"),
        ("merge.export_size=0", "value_wrong", "export_size"),
        ("learning_rate=1", "override_unknown", "learning_rate"),
        ("trian.lora_rank=1", "override_unknown", "trian.lora_rank"),
        ("data.name=x", "missing_key", "source"),
        ("questions=5", "value_wrong", "questions"),
    ],
)
def test_a_mistake_in_set_is_not_blamed_on_the_file(project: Path, given: str, code: str, key: str) -> None:
    """`train.yaml:5: lora_rank takes …` would send the user to a line that is right."""
    (found,) = problems(project / "config.yaml", [given])
    assert (found.code, found.key) == (code, key)
    assert found.line is None
    assert not render(found).startswith(str(project / "configs"))


def test_set_of_a_bare_files_key_is_named_as_such(tmp_path: Path) -> None:
    (found,) = problems(put(tmp_path / "t.yaml", TRAIN + "lora_rank: 8\n"), ["lora_rank=x"])
    assert (found.file, found.line) == ("--set", None)


def test_set_for_a_part_that_is_not_there_is_an_error_not_silence(tmp_path: Path) -> None:
    file = put(tmp_path / "config.yaml", "data: {source: a.csv, name: mine}\n")
    (found,) = problems(file, ["train.learning_rate=1"])
    assert (found.code, found.key) == ("override_unknown", "train.learning_rate")


@pytest.mark.parametrize("given", ["learning_rate", "=5", ""])
def test_set_needs_key_and_value(tmp_path: Path, given: str) -> None:
    (found,) = problems(put(tmp_path / "t.yaml", TRAIN), [given])
    assert found.code == "override_form"


@pytest.mark.parametrize(
    "given", ["hf_hub_token=hf_verysecret", "train.hub_token=hf_verysecret", "--hub_token=hf_verysecret"]
)
def test_a_secret_on_the_command_line_is_refused(project: Path, given: str) -> None:
    (found,) = problems(project / "config.yaml", [given])
    assert found.code == "secret_on_command_line"
    assert "verysecret" not in f"{found}{render(found)}"


def test_secrets_of_files_reach_the_job_and_nothing_that_is_written(project: Path) -> None:
    put(project / "configs/train_config.yaml", TRAIN + "hub_token: hf_verysecret\n")
    job = load_job(project / "config.yaml")
    assert job.secrets == {"hub_token": "hf_verysecret"}
    assert job.train
    assert "verysecret" not in f"{job.train.config}{job.train.passed}{job.notes}"


def test_notes_of_all_parts_are_kept(project: Path) -> None:
    put(project / "config.yaml", (project / "config.yaml").read_text() + "require_gpu:\n")
    put(project / "configs/train_config.yaml", TRAIN + "lora_rank:\n")
    put(project / "configs/merge_config.yaml", MERGE + "export_size:\n")
    assert [note.key for note in load_job(project / "config.yaml").notes] == ["require_gpu", "lora_rank", "export_size"]
