"""The forecast of a job: what it rests on, the verdict, what becomes of bad input, time and disk."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engine.config.jobs import load_job
from engine.config.schema import TrainConfig
from engine.errors import ConfigError, EnvironmentProblem, Problem, RunError
from engine.hardware import GIB
from engine.memory.applying import make_fit
from engine.memory.forecast import Forecast, Machine, forecast, forecast_job
from engine.memory.job import Estimate, Parts, Recipe, StepPlan
from engine.memory.outlook import disk_of, measured_rate, outlook
from engine.memory.presets import imagined
from engine.memory.settling import verdict_of
from engine.messages import render
from engine.runs.events import EventLog
from engine.runs.folder import RunFolder
from tests.unit.memory_cases import LLAMA_PARAMETERS, machine, save_job, save_llama

pytestmark = pytest.mark.usefixtures("private_home")

COUNTED = {
    "samples": 100,
    "tokens": 20_000,
    "labelled": 9_000,
    "longest": 300,
    "longest_row": 300,
    "eval_longest": 0,
    "lengths": {"over": {"192": 40, "128": 80}},
}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return save_llama(tmp_path / "model")


def of(file: Path, where: Machine | None = None, *overrides: str, count: bool = False) -> Forecast:
    return forecast(file, overrides, machine=where or machine(20), count=count)


def counted(file: Path, where: Machine, **changes: Any) -> Forecast:
    """As a dry run makes it, of data that were counted."""
    return forecast_job(load_job(file), where, counted={**COUNTED, **changes})


def codes(found: Forecast) -> list[str]:
    return [problem.code for problem in found.problems]


def test_a_small_job_fits_and_its_parts_are_those_of_the_files(tmp_path: Path, model: Path) -> None:
    """bf16 weights take two bytes; the adapter of rank 8 fp32, a gradient and two moments: 16 bytes a parameter."""
    found = counted(save_job(tmp_path, model), machine(20))
    assert found.verdict == "fits"
    assert found.estimate is not None
    assert found.estimate.level == "fast"
    assert found.estimate.parts.weights == 2 * LLAMA_PARAMETERS
    adapter = 4 * 8 * (2 * (256 + 256) + 2 * (256 + 128) + 3 * (256 + 512))
    assert found.estimate.parts.trained == 16 * adapter
    assert found.estimate.plan == StepPlan(8 * 300, 0, 1024), "a whole step of the longest samples"
    assert found.needed <= found.device.free
    assert found.changes == ()
    assert codes(found) == []


def test_memory_that_others_hold_is_not_ours(tmp_path: Path, model: Path) -> None:
    """It is compared with what is free, on the card that a run would take; the other one is shown."""
    file = save_job(tmp_path, model)
    need = counted(file, machine(20)).needed
    found = counted(file, machine(0.25, 1.2 * need / GIB, total=24))
    assert found.device.name == "Card 1"
    assert [other.name for other in found.others] == ["Card 0"]
    assert found.device.others == found.device.total - found.device.free
    assert counted(file, machine(0.25, total=24)).verdict == "no"


def test_the_processor_is_taken_where_there_is_no_gpu_or_the_file_wants_it(tmp_path: Path, model: Path) -> None:
    assert counted(save_job(tmp_path, model), machine()).device.kind == "cpu"
    assert counted(save_job(tmp_path, model, use_cpu=True), machine(20)).device.kind == "cpu"


def test_an_imagined_card_needs_no_gpu_here(tmp_path: Path, model: Path) -> None:
    where = replace(Machine.with_gpu(imagined("16"), trace=False))
    found = of(save_job(tmp_path, model), where)
    assert (found.device.kind, found.device.free) == ("cuda", 16 * GIB)
    assert found.verdict == "fits"


def test_the_error_for_a_gpu_is_called_an_aim_until_one_was_measured(tmp_path: Path, model: Path) -> None:
    file = save_job(tmp_path, model)
    known = replace(machine(20), factor=lambda device, recipe: 1.2)
    notes = [
        found.estimate.notes
        for found in (of(file, machine(20)), of(file, known), of(file, machine()))
        if found.estimate
    ]
    assert [any("aim" in note.text for note in some) for some in notes] == [True, False, False]


def test_an_imagined_card_that_the_file_does_not_use_is_said_to_count_for_nothing(tmp_path: Path, model: Path) -> None:
    found = of(save_job(tmp_path, model, use_cpu=True), Machine.with_gpu(imagined("16"), trace=False))
    assert found.device.kind == "cpu"
    assert "gpu_memory_unused" in codes(found)
    assert "Write use_cpu=false after" in render(found.problems[0])


def test_the_remedy_names_the_key_as_a_project_takes_it(tmp_path: Path, model: Path) -> None:
    save_job(tmp_path, model, use_cpu=True)
    (tmp_path / "config.yaml").write_text("version: 1\ntrain: train.yaml\n")
    found = of(tmp_path, Machine.with_gpu(imagined("16"), trace=False))
    assert "Write train.use_cpu=false after" in render(found.problems[0])


def test_a_target_that_the_model_does_not_have_is_told(tmp_path: Path, model: Path) -> None:
    found = counted(save_job(tmp_path, model, lora_target="no_such_proj"), machine(20))
    assert codes(found) == ["nothing_learns"]
    assert "no_such_proj" in render(found.problems[0])


def test_a_model_that_cannot_be_read_is_one_problem(tmp_path: Path) -> None:
    """Its data need no tokeniser then, whose failure would say the same in other words."""
    folder = save_llama(tmp_path / "model", hidden_size="big")
    found = forecast(save_job(tmp_path, folder), machine=machine(20))
    assert codes(found) == ["model_config_incomplete", "data_not_counted"]
    (folder / "config.json").unlink()
    found = forecast(save_job(tmp_path, folder), machine=machine(20))
    assert len(codes(found)) == 2
    assert "model_config" not in " ".join(codes(found))
    assert "not_json" not in " ".join(codes(found))


def test_packed_rows_are_not_taken_for_samples(tmp_path: Path, model: Path) -> None:
    found = counted(save_job(tmp_path, model, packing=True), machine(0.3))
    effects = [change.effect.say() for change in found.changes if "cutoff_len" in change.settings]
    assert effects
    assert all(effect.startswith("samples that are cut: ") for effect in effects)


def test_without_counting_every_sample_is_as_long_as_it_may_be(tmp_path: Path, model: Path) -> None:
    found = of(save_job(tmp_path, model, val_size=2, eval_strategy="epoch"))
    assert found.data is not None
    assert (found.data.longest, found.data.eval_longest, found.data.counted) == (512, 512, False)
    assert found.outlook is None
    assert codes(found) == ["data_not_counted"]
    assert found.problems[0].severity == "note"


def test_a_job_that_does_not_fit_is_told_what_would_help(tmp_path: Path) -> None:
    """7.6 billion parameters in 16 bits are 14.2 GiB: on a card with 12 free the base has to be smaller."""
    file = save_job(tmp_path, "Qwen/Qwen2.5-7B-Instruct")
    where = machine(12)
    found = counted(file, where)
    assert found.verdict == "no"
    assert not found.fits
    assert found.fit is not None and found.fit.fits
    assert found.fit.overrides == ["quantization_bit=8"]
    again = forecast_job(load_job(file, found.overrides(found.fit.overrides)), where, counted=COUNTED)
    assert again.verdict == "fits", "with the changes the same forecast says so"
    assert again.needed < found.needed
    told = json.loads(json.dumps(found.as_dict()))
    assert told["verdict"] == "no"
    assert told["fit"]["suffices"] is True
    assert told["fit"]["exact"] is False


def test_the_verdict_knows_its_error() -> None:
    """1,000 bytes of tensors ± 10 % and 200 of reserve: 1,300 free are enough, 1,200 may be, 1,199 are not."""
    estimate = Estimate("fast", Parts(600, 100, 200, 100, 200), StepPlan(1), 0.1)
    assert [verdict_of(1_200, estimate, free) for free in (1_300, 1_299, 1_200, 1_199)] == [
        "fits",
        "tight",
        "tight",
        "no",
    ]


def test_the_traced_figure_is_the_one_that_is_told_and_plans_follow_it(tmp_path: Path, model: Path) -> None:
    """A trace that finds twice the activations: what fitted by arithmetic is planned again with less."""
    file = save_job(tmp_path, model)
    seen: list[StepPlan] = []

    def trace(config: Mapping[str, Any], recipe: Recipe, plan: StepPlan) -> Estimate:
        seen.append(plan)
        assert config["hidden_size"] == 256
        return Estimate("traced", Parts(0, 0, 1_000_000 * plan.row_tokens, 0, 0), plan, 0.05)

    found = counted(file, machine(20, trace=trace))
    assert found.estimate is not None
    assert (found.estimate.level, found.verdict, seen) == ("traced", "fits", [StepPlan(2_400, 0, 1024)])
    seen.clear()
    less = counted(file, machine(1.5, trace=trace))
    assert len(seen) > 1
    assert less.estimate is not None
    assert less.estimate.plan.row_tokens < 2_400
    assert less.needed == 1_000_000 * less.estimate.plan.row_tokens
    assert less.verdict == "fits"


def test_what_cannot_be_traced_is_estimated_by_arithmetic_and_the_reason_is_said(tmp_path: Path, model: Path) -> None:
    def refuse(config: Mapping[str, Any], recipe: Recipe, plan: StepPlan) -> Estimate:
        raise RunError(Problem("trace_failed", {"reason": "no such layer"}))

    found = counted(save_job(tmp_path, model), machine(20, trace=refuse))
    assert found.estimate is not None
    assert found.estimate.level == "fast"
    assert [(problem.code, problem.severity) for problem in found.problems] == [("trace_failed", "note")]


def test_what_this_machine_measured_raises_the_figure(tmp_path: Path, model: Path) -> None:
    file = save_job(tmp_path, model)
    plain = counted(file, machine(20)).estimate
    more = counted(file, machine(20, factor=lambda device, recipe: 1.5)).estimate
    assert plain is not None and more is not None
    assert more.parts.activations == round(1.5 * plain.parts.activations)
    assert more.parts.weights == plain.parts.weights
    assert more.factor == 1.5

    def trace(config: Mapping[str, Any], recipe: Recipe, plan: StepPlan) -> Estimate:
        return Estimate("traced", replace(plain.parts, activations=1), plan, 0.05)

    seen = counted(file, machine(20, trace=trace, factor=lambda device, recipe: 1.5)).estimate
    assert seen == more, "a trace below what was measured gives way"


def test_a_model_that_is_not_here_is_estimated_from_the_recommended_ones(tmp_path: Path) -> None:
    found = of(save_job(tmp_path, "Qwen/Qwen2.5-7B-Instruct"), machine(20))
    assert found.estimate is not None
    assert found.estimate.parts.weights == pytest.approx(2 * 7.6156e9, rel=0.001)
    assert codes(found) == ["size_from_config", "data_not_counted"]
    assert of(save_job(tmp_path, "Qwen/Qwen2.5-72B-Instruct"), machine(20)).smaller


def test_a_model_that_nobody_knows_leaves_the_rest_standing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    found = of(save_job(tmp_path, "nobody/has-this"))
    assert (found.estimate, found.verdict) == (None, None)
    assert "model_offline" in codes(found)
    assert found.data is not None


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"hidden_size": ...}, "model_config_incomplete"),
        ({"num_hidden_layers": "many"}, "model_config_incomplete"),
        ({"vocab_size": -1}, "model_config_incomplete"),
    ],
)
def test_a_config_that_lacks_fields_is_told_and_nothing_dies(
    tmp_path: Path, changes: dict[str, Any], code: str
) -> None:
    found = of(save_job(tmp_path, save_llama(tmp_path / "model", **changes)))
    assert codes(found)[0] == code
    assert found.estimate is None
    assert found.fits, "nothing that is known stands in the way"


def test_a_damaged_header_leaves_the_figure_of_the_config(tmp_path: Path, model: Path) -> None:
    (model / "model.safetensors").write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    found = of(save_job(tmp_path, model))
    assert codes(found)[0] == "weights_pointer"
    assert found.problems[0].severity == "error"
    assert found.estimate is not None
    assert found.estimate.parts.weights == 2 * LLAMA_PARAMETERS
    (model / "config.json").write_text("{")
    assert of(save_job(tmp_path, model)).estimate is None


def test_an_unknown_architecture_is_estimated_and_said(tmp_path: Path) -> None:
    found = of(save_job(tmp_path, save_llama(tmp_path / "model", model_type="brand_new")))
    assert found.estimate is not None
    assert "brand_new" in " ".join(note.say() for note in found.estimate.notes)


def test_data_that_cannot_be_read_are_assumed(tmp_path: Path, model: Path) -> None:
    file = save_job(tmp_path, model)
    (tmp_path / "data" / "rows.json").unlink()
    found = of(file, count=True)
    assert found.data is not None and not found.data.counted
    assert codes(found)[-1] == "data_not_counted"
    assert len(codes(found)) > 1
    unknown = of(save_job(tmp_path, model, template="no_such"), count=True)
    assert unknown.estimate is not None


def test_a_file_that_is_no_job_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text("a: 1\n")
    with pytest.raises(ConfigError):
        of(tmp_path / "x.yaml")


def test_a_job_that_only_answers_has_no_figure(tmp_path: Path, model: Path) -> None:
    more = {"do_predict": True, "predict_with_generate": True, "eval_dataset": "rows"}
    found = of(save_job(tmp_path, model, do_train=False, dataset=..., **more))
    assert (found.estimate, found.verdict, codes(found)) == (None, None, ["nothing_trained"])


def test_measuring_is_part_of_the_figure(tmp_path: Path, model: Path) -> None:
    """A set to measure on whose samples are longer than all rows that are trained on."""
    found = counted(save_job(tmp_path, model), machine(20), eval_longest=60_000)
    assert found.estimate is not None
    assert found.evaluation > found.estimate.needed
    assert found.needed == found.evaluation
    short = counted(save_job(tmp_path, model), machine((found.evaluation - 1) / GIB), eval_longest=60_000)
    assert short.verdict == "no"


def test_merging_is_forecast_with_the_adapter_that_is_yet_to_be_made(tmp_path: Path, model: Path) -> None:
    save_job(tmp_path, model)
    merge = f"model_name_or_path: {model}\nadapter_name_or_path: saves\nexport_dir: merged\ntemplate: chatml\n"
    (tmp_path / "merge.yaml").write_text(merge)
    (tmp_path / "config.yaml").write_text("version: 1\ntrain: train.yaml\nmerge: merge.yaml\n")
    found = forecast(tmp_path, machine=machine(20), count=False)
    assert found.prefix == "train."
    assert found.overrides(["lora_rank=4"]) == ["train.lora_rank=4"]
    assert found.merge is not None
    assert found.merge.written == pytest.approx(2 * LLAMA_PARAMETERS, rel=0.01)
    assert found.merge.verdict == "fits"
    small = machine(20)
    poor = replace(small, host=replace(small.host, free=1 << 20))
    found = forecast(tmp_path, machine=poor, count=False)
    assert found.verdict == "fits"
    assert not found.fits, "the merge does not"


def test_fit_changes_nothing_where_the_job_fits_and_only_what_it_must_where_not(tmp_path: Path) -> None:
    """A file that insists on keeping all activations, on a card with room for those of a few layers."""
    file = save_job(tmp_path, "Qwen/Qwen2.5-7B-Instruct", disable_gradient_checkpointing=True)
    roomy = make_fit(file, machine=machine(80), count=False)
    assert (roomy.changes, roomy.overrides) == ((), ())
    lean = of(file, machine(12), "disable_gradient_checkpointing=false")
    kept = of(file, machine(12))
    assert lean.needed < kept.needed
    fitted = make_fit(file, ["lora_rank=8"], machine=machine(1.12 * lean.needed / GIB, total=80), count=False)
    assert fitted.overrides == ("disable_gradient_checkpointing=null",)
    assert fitted.changes[0].exact
    assert (fitted.before.verdict == "fits", fitted.after.verdict) == (False, "fits")
    with pytest.raises(EnvironmentProblem) as refused:
        make_fit(file, machine=machine(3), count=False)
    assert refused.value.problems[0].code == "nothing_fits"
    assert refused.value.exit_code == 3


def config(folder: Path, **changes: Any) -> TrainConfig:
    return TrainConfig(model_name_or_path="m", dataset="d", output_dir=str(folder), **changes)


def test_disk_and_steps_are_arithmetic(tmp_path: Path) -> None:
    """100 samples at 2 × 4 a step: 13 steps a pass, 39 in three; a checkpoint each 10 steps: 4, and one more."""
    asked = config(tmp_path, per_device_train_batch_size=2, gradient_accumulation_steps=4, save_steps=10)
    tokenizer = 16 << 20
    disk = disk_of(asked, 100, trained=1_000, saved=5_000)
    assert (disk.kept, disk.checkpoint, disk.result) == (5, 5_000 + 2_000 + tokenizer, 5_000 + tokenizer)
    assert disk.needed == 5 * (7_000 + tokenizer) + 5_000 + tokenizer
    found = outlook(asked, 100, 20_000, trained=1_000, saved=5_000, rate=100.0, free=lambda folder: 7)
    assert (found.steps_per_epoch, found.steps, found.tokens, found.tokens_in_all) == (13, 39, 20_000, 60_000)
    assert (found.seconds, found.disk_free) == (600.0, 7)
    assert outlook(asked, 100, 20_000, trained=1, saved=1).seconds is None
    bare = replace(disk_of(config(tmp_path, save_only_model=True), 100, trained=1_000, saved=5_000))
    assert bare.checkpoint == 5_000 + tokenizer


def test_a_time_is_told_only_where_it_was_measured(tmp_path: Path) -> None:
    """A run of the same model on the same kind of device, the newest that came to its end."""

    def run(name: str, device: str, tokens: int | None) -> None:
        folder = RunFolder.create(tmp_path, "x", {"train": {"model_name": name}})
        log = EventLog(folder.events_file)
        log.write("log", what="model", device=device)
        if tokens is not None:
            log.write("log", what="figures", train_seconds=10.0, tokens=tokens)

    assert measured_rate(tmp_path / "none", "m", "cpu") is None
    run("m", "cpu", 1_000)
    run("m", "cuda:0", 9_000)
    run("other", "cpu", 5_000)
    run("m", "cpu", None)
    assert measured_rate(tmp_path, "m", "cpu") == 100.0
    assert measured_rate(tmp_path, "m", "cuda") == 900.0
    assert measured_rate(tmp_path, "unknown", "cpu") is None
