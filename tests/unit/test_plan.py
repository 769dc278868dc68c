"""The plan of a job: what is still to do, what is refused before anything starts, and which device is shown to it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.config.jobs import load_job
from engine.errors import EXIT_ENVIRONMENT, EXIT_USAGE, ProblemError
from engine.hardware import GIB, Gpu, Hardware
from engine.outputs import lock_path, mark_finished, mark_started
from engine.pipeline import Plan, make_plan
from engine.runs.lock import FolderLock, Holder
from engine.text import Phrase
from tests.unit.test_models import CONFIG, weights

NO_GPU = Hardware((), Phrase("no GPU in this test"))
GPUS = Hardware(
    (Gpu(0, "GPU-aaaa", "H100", 80 * GIB, 10 * GIB), Gpu(1, "GPU-bbbb", "H100", 80 * GIB, 70 * GIB)),
)

Planner = Callable[..., Plan]


@pytest.fixture
def project(tmp_path: Path, private_home: Path) -> Path:
    """A project with a model of three numbers and a dataset of two rows: enough to plan on."""
    root = tmp_path / "project"
    model = root / "base"
    model.mkdir(parents=True)
    (model / "config.json").write_text(json.dumps(CONFIG))
    (model / "tokenizer.json").write_text("{}")
    weights(model / "model.safetensors", {"a": ("BF16", [3], 6)})
    (root / "data").mkdir()
    (root / "data/rows.json").write_text(json.dumps([{"instruction": "a", "output": "b"}] * 2))
    (root / "data/dataset_info.json").write_text('{"rows": {"file_name": "rows.json"}}')
    (root / "config.yaml").write_text(
        "train: {stage: sft, model_name_or_path: base, dataset: rows, output_dir: saves/x}\n"
        "merge: {model_name_or_path: base, adapter_name_or_path: saves/x, export_dir: models/x}\n"
        "questions: [Who]\n"
    )
    return root


@pytest.fixture
def plan(project: Path) -> Planner:
    def made(*overrides: str, fresh: bool = False, require_gpu: bool = False, hardware: Hardware = NO_GPU) -> Plan:
        job = load_job(project / "config.yaml", overrides)
        return make_plan(
            job, fresh=fresh, require_gpu=require_gpu, progress=lambda what, done, total: None, hardware=hardware
        )

    return made


def refusal(plan: Planner, *overrides: str, **options: Any) -> tuple[str, int, dict[str, Any]]:
    with pytest.raises(ProblemError) as caught:
        plan(*overrides, **options)
    problem = caught.value.problems[0]
    return problem.code, caught.value.exit_code, problem.params


def trained(project: Path, made: Plan) -> Path:
    """The adapter of a plan, as training would leave it."""
    adapter = project / "saves/x"
    adapter.mkdir(parents=True, exist_ok=True)
    (adapter / "adapter_config.json").write_text('{"r": 8}')
    weights(adapter / "adapter_model.safetensors", {"a": ("F32", [3], 12)})
    mark_finished(adapter, made.spec["train"]["fingerprint"], project)
    return adapter


def test_a_new_job_does_everything_in_order(plan: Planner, project: Path) -> None:
    made = plan()
    assert (made.steps, made.done, made.aside) == (["train", "merge", "answers"], [], [])
    assert made.outputs == {"adapter": f"{project}/saves/x", "merged": f"{project}/models/x"}
    assert made.spec["steps"] == made.steps
    assert {"torch", "transformers", "peft", "sft-wizard"} <= made.spec["versions"].keys()
    assert [note.code for note in made.notes] == ["no_gpu"]


def test_a_set_of_the_hub_lets_the_worker_reach_it(
    plan: Planner, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "HF_HUB_OFFLINE" not in plan().environment
    entry = {"rows": {"hf_hub_url": str(project / "data"), "subset": "x"}}
    (project / "data/dataset_info.json").write_text(json.dumps(entry))
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    assert plan().environment["HF_HUB_OFFLINE"] == "0"
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert plan().environment["HF_HUB_OFFLINE"] == "1"


def test_the_spec_is_data_that_a_run_folder_can_hold(plan: Planner) -> None:
    spec = plan().spec
    assert json.loads(json.dumps(spec, allow_nan=False)) == spec
    assert len(spec["train"]["data_sha256"]) >= 1


def test_an_interrupted_run_goes_on(plan: Planner, project: Path) -> None:
    adapter = trained(project, plan())
    mark_started(adapter, plan().spec["train"]["fingerprint"], project)
    made = plan()
    assert (made.steps, made.aside) == (["train", "merge", "answers"], [])


def test_finished_training_is_left_alone(plan: Planner, project: Path) -> None:
    trained(project, plan())
    made = plan()
    assert (made.steps, made.done) == (["merge", "answers"], ["train"])


@pytest.mark.parametrize("key", ["logging_steps=1", "save_steps=7", "plot_loss=true", "preprocessing_num_workers=3"])
def test_keys_that_change_nothing_learned_do_not_start_over(plan: Planner, project: Path, key: str) -> None:
    trained(project, plan())
    assert plan(f"train.{key}").done == ["train"]


@pytest.mark.parametrize(
    "key",
    ["lora_rank=4", "learning_rate=1e-3", "seed=1", "template=qwen", "cutoff_len=99", "label_smoothing_factor=0.1"],
)
def test_another_config_does_not_write_over_a_result(plan: Planner, project: Path, key: str) -> None:
    trained(project, plan())
    code, exit_code, params = refusal(plan, f"train.{key}")
    assert (code, exit_code) == ("output_other", EXIT_USAGE)
    assert "adapter_model.safetensors" in params["files"]
    made = plan(f"train.{key}", "train.overwrite_output_dir=true")
    assert (made.steps[0], made.aside) == ("train", [project / "saves/x"])
    assert (project / "saves/x/adapter_model.safetensors").exists()  # a plan moves nothing


def test_other_rows_are_another_training(plan: Planner, project: Path) -> None:
    trained(project, plan())
    (project / "data/rows.json").write_text(json.dumps([{"instruction": "a", "output": "c"}]))
    assert refusal(plan)[0] == "output_other"


def test_a_moved_project_keeps_its_results(plan: Planner, project: Path, tmp_path: Path) -> None:
    trained(project, plan())
    elsewhere = tmp_path / "elsewhere"
    project.rename(elsewhere)
    made = make_plan(
        load_job(elsewhere / "config.yaml"),
        fresh=False,
        require_gpu=False,
        progress=lambda what, done, total: None,
        hardware=NO_GPU,
    )
    assert made.done == ["train"]


def test_fresh_does_it_anew_and_moves_aside(plan: Planner, project: Path) -> None:
    trained(project, plan())
    made = plan(fresh=True)
    assert (made.steps, made.aside) == (["train", "merge", "answers"], [project / "saves/x"])


@pytest.mark.parametrize(("expected", "folder"), [("output_foreign", "saves/x"), ("export_foreign", "models/x")])
def test_a_strangers_files_are_not_touched(plan: Planner, project: Path, expected: str, folder: str) -> None:
    (project / folder).mkdir(parents=True)
    (project / folder / "thesis.tex").touch()
    code, exit_code, params = refusal(plan)
    assert (code, exit_code, params["files"]) == (expected, EXIT_USAGE, ["thesis.tex"])


def test_an_output_that_is_in_use_names_who(plan: Planner, project: Path) -> None:
    for folder in ("saves/x", "models/x"):
        (project / folder).parent.mkdir(parents=True, exist_ok=True)
        lock = FolderLock.take(lock_path(project / folder), Holder.this_process("other-run"))
        code, exit_code, params = refusal(plan)
        lock.release()
        assert (code, exit_code) == ("in_use", EXIT_ENVIRONMENT)
        assert (params["run"], params["pid"]) == ("other-run", os.getpid())


def test_a_merge_without_its_adapter(plan: Planner, project: Path) -> None:
    code, exit_code, params = refusal(plan, "merge.adapter_name_or_path=saves/none")
    assert (code, exit_code) == ("adapter_missing", EXIT_USAGE)
    assert params["path"] == f"{project}/saves/none"


def test_the_card_with_most_free_memory_is_shown_by_uuid(plan: Planner) -> None:
    made = plan(hardware=GPUS)
    assert made.environment["CUDA_VISIBLE_DEVICES"] == "GPU-bbbb"
    (note,) = made.notes
    assert (note.code, note.params["count"], note.params["free"]) == ("gpu_chosen", 2, 70.0)


def test_use_cpu_hides_every_card(plan: Planner) -> None:
    made = plan("train.use_cpu=true", hardware=GPUS)
    assert made.environment["CUDA_VISIBLE_DEVICES"] == ""
    assert made.notes == []


@pytest.mark.parametrize("overrides", [(), ("train.use_cpu=true",)])
def test_require_gpu_is_an_error_where_there_is_none(plan: Planner, overrides: tuple[str, ...]) -> None:
    hardware = GPUS if overrides else NO_GPU
    assert refusal(plan, *overrides, require_gpu=True, hardware=hardware)[:2] == ("gpu_required", EXIT_ENVIRONMENT)
    assert refusal(plan, "require_gpu=true", *overrides, hardware=hardware)[0] == "gpu_required"


@pytest.mark.parametrize(
    ("override", "code"),
    [
        ("train.model_name_or_path=./none", "model_missing"),
        ("train.dataset=none", "dataset_unknown"),
        ("train.template=none", "unknown_template"),
        ("train.dataset_dir=nowhere", "dataset_folder_missing"),
    ],
)
def test_what_is_not_there_is_found_before_the_start(plan: Planner, override: str, code: str) -> None:
    found, exit_code, _ = refusal(plan, override)
    assert found.removesuffix("_near") == code
    assert exit_code == EXIT_USAGE


def test_an_adapter_to_go_on_from_that_is_not_there(plan: Planner) -> None:
    code, exit_code, _ = refusal(plan, "train.adapter_name_or_path=saves/none")
    assert (code, exit_code) == ("adapter_missing", EXIT_USAGE)


def test_a_file_where_the_output_should_go(plan: Planner, project: Path) -> None:
    (project / "saves").mkdir()
    (project / "saves/x").touch()
    assert refusal(plan)[1] == EXIT_USAGE


def test_secrets_are_not_in_the_spec(plan: Planner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "")
    made = plan("train.seed=3")
    text = (made.job.file).read_text().replace("{stage", "{hub_token: hf_verysecret, stage")
    made.job.file.write_text(text)
    made = plan()
    assert made.job.secrets == {"hub_token": "hf_verysecret"}
    assert "verysecret" not in json.dumps(made.spec) + str(made.notes) + str(made.environment)
