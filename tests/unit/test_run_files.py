"""Every file of a run, and the keys in it, against toy runs of LLaMA-Factory 0.9.5 (tests/golden/measures.json)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from engine.errors import ConfigError, EnvironmentProblem
from engine.train.pictures import smooth
from tests.unit.in_process import do
from tests.unit.method_toys import quickly, save_model

RECORDED = json.loads((Path(__file__).parents[1] / "golden" / "measures.json").read_text(encoding="utf-8"))["files"]
PICKLED = {"training_args.bin"}  # a pickle that nobody reads
OURS = {"generation_config.json", "sft_wizard.json"}
CONFIG = {
    "stage": "sft",
    "do_train": True,
    "dataset": "toy",
    "eval_dataset": "dev,other",
    "eval_on_each_dataset": True,
    "template": "qwen",
    "cutoff_len": 128,
    "output_dir": "out",
    "lora_rank": 4,
    "logging_steps": 1,
    "save_steps": 2,
    "plot_loss": True,
    "per_device_train_batch_size": 2,
    "gradient_accumulation_steps": 2,
    "learning_rate": 1e-3,
    "max_steps": 4,
    "eval_strategy": "steps",
    "eval_steps": 2,
    "per_device_eval_batch_size": 3,
    "compute_accuracy": True,
    "include_num_input_tokens_seen": True,
    "include_effective_tokens_per_second": True,
}


@pytest.fixture(scope="module", autouse=True)
def _surroundings():
    with pytest.MonkeyPatch.context() as patch, quickly():
        patch.setenv("RECORD_VRAM", "1")
        patch.setenv("CUDA_VISIBLE_DEVICES", "")
        yield


@pytest.fixture(scope="module")
def toys(tmp_path_factory):
    """A folder with a model and three datasets."""
    folder = tmp_path_factory.mktemp("toys")
    save_model(folder / "model", max_position_embeddings=512)
    (folder / "data").mkdir()
    for name, count in (("toy", 24), ("dev", 9), ("other", 7)):
        rows = [{"instruction": f"question {i} of {name}", "output": f"there is answer {i}"} for i in range(count)]
        (folder / "data" / f"{name}.json").write_text(json.dumps(rows))
    registry = {name: {"file_name": f"{name}.json"} for name in ("toy", "dev", "other")}
    (folder / "data" / "dataset_info.json").write_text(json.dumps(registry))
    return folder


def run(folder: Path, toys: Path, **changes) -> tuple[Path, list[dict]]:
    """(output folder, events) of a run in this process."""
    values = CONFIG | {"model_name_or_path": str(toys / "model"), "dataset_dir": str(toys / "data")} | changes
    values["output_dir"] = str(folder / values["output_dir"])
    events = do(folder, values)
    return Path(values["output_dir"]), events


@pytest.fixture(scope="module")
def each(toys, tmp_path_factory):
    return run(tmp_path_factory.mktemp("each"), toys)


def read(file: Path):
    return json.loads(file.read_text(encoding="utf-8"))


def lines(file: Path):
    return [json.loads(line) for line in file.read_text(encoding="utf-8").split("\n")[:-1]]


def assert_files_as_recorded(out: Path, recorded: dict) -> None:
    """LLaMA-Factory's files and keys, and of our own only what is named here."""
    assert {path.name for path in out.iterdir() if path.is_file()} - OURS == set(recorded["names"]) - PICKLED
    checkpoint = {path.name for path in (out / "checkpoint-2").iterdir()}
    assert checkpoint - {"MANIFEST.json"} == set(recorded["checkpoint"]) - PICKLED
    for name, keys in recorded["results"].items():
        assert sorted(read(out / name)) == keys, name
    state = {key for entry in read(out / "trainer_state.json")["log_history"] for key in entry}
    assert state == set(recorded["state"])
    log = {key for line in lines(out / "trainer_log.jsonl") for key in line}
    assert log - set(recorded["log"]) <= {key for key in state if key.endswith(("_loss", "_accuracy"))}
    assert set(recorded["log"]) <= log


def test_files_and_keys_of_several_sets_are_llamafactorys(each):
    """Scripts that read output_dir go on working."""
    assert_files_as_recorded(each[0], RECORDED["each"])


def test_files_and_keys_of_one_set_are_llamafactorys(toys, tmp_path):
    """With one set the names carry no name of it."""
    out, events = run(tmp_path, toys, eval_dataset="dev", eval_on_each_dataset=False)
    assert_files_as_recorded(out, RECORDED["one"])
    measured = [line for line in lines(out / "trainer_log.jsonl") if "eval_loss" in line]
    assert all("eval_accuracy" in line for line in measured)  # which LLaMA-Factory leaves out of it
    assert [event["loss"] for event in events if event["type"] == "eval"] == [line["eval_loss"] for line in measured]


def test_the_figures_of_a_run_fit_together(each):
    """Tokens seen, throughput, the last evaluation in all_results.json."""
    out, events = each
    log, results = lines(out / "trainer_log.jsonl"), read(out / "all_results.json")
    assert [line["current_steps"] for line in log if "loss" in line] == [1, 2, 3, 4]
    assert log[-1]["total_tokens"] == results["num_input_tokens_seen"] > 0
    assert log[0]["vram_allocated"] == 0
    assert results["eval_dev_loss"] == [line for line in log if "eval_dev_loss" in line][-1]["eval_dev_loss"]
    seen = next(event for event in events if event["type"] == "log" and event["what"] == "data")
    assert (seen["samples"], seen["held_back"]) == (24, 16)
    tokens = seen["tokens"] * results["epoch"] / results["train_runtime"]
    assert results["effective_tokens_per_sec"] == pytest.approx(tokens, rel=1e-3)


def test_the_model_card_has_front_matter_that_hubs_read(each, toys):
    """A card that is not YAML is refused by model hubs."""
    text = (each[0] / "README.md").read_text(encoding="utf-8")
    _, front, body = text.split("---\n", 2)
    values = yaml.safe_load(front)
    model = str(toys / "model")
    assert values["library_name"] == "peft"
    assert values["base_model"] == model
    assert values["tags"] == [f"base_model:adapter:{model}", "sft-wizard", "lora", "transformers"]
    assert "- learning_rate: 0.001\n" in body
    assert "- total_train_batch_size: 4\n" in body
    results = read(each[0] / "all_results.json")
    assert f"| {results['eval_other_loss']:.4f} | {results['eval_other_accuracy']:.4f} |\n" in body


def test_a_run_that_only_predicts(each, toys, tmp_path):
    """do_train left out, as in LLaMA-Factory's llama3_lora_predict.yaml: base and adapter answer eval_dataset."""
    pytest.importorskip("jieba")
    drop = dict.fromkeys(("do_train", "dataset", "eval_strategy", "eval_steps", "compute_accuracy", "save_steps"), ...)
    drop |= {"include_effective_tokens_per_second": ..., "eval_on_each_dataset": ..., "max_steps": ...}
    asked = {"adapter_name_or_path": str(each[0]), "do_predict": True, "predict_with_generate": True}
    keys = {"eval_dataset": "dev", "max_new_tokens": 6, "do_sample": False, "max_samples": 5}
    out, events = run(tmp_path, toys, **drop, **asked, **keys)
    assert {path.name for path in out.iterdir() if path.is_file()} - OURS == set(RECORDED["predict"]["names"])
    for name, recorded in RECORDED["predict"]["results"].items():
        # the time that accelerate takes to wrap the model, which we do not
        assert sorted(read(out / name)) == [key for key in recorded if key != "predict_model_preparation_time"]
    rows = lines(out / "generated_predictions.jsonl")
    assert [row.keys() for row in rows] == [{"prompt", "predict", "label"}] * 5
    assert rows[1]["prompt"].endswith("<|im_start|>user\nquestion 1 of dev<|im_end|>\n<|im_start|>assistant\n")
    assert rows[1]["label"].startswith("there is answer 1")
    assert [event["done"] for event in events if event["type"] == "progress"][-1] == 5


# --- the best checkpoint, early stopping, what is refused


@pytest.mark.slow
def test_training_stops_early_and_the_best_is_what_is_saved(toys, tmp_path):
    """early_stopping_steps with load_best_model_at_end; the best checkpoint outlives save_total_limit."""
    out, _ = run(
        tmp_path,
        toys,
        metric_for_best_model="other_loss",
        load_best_model_at_end=True,
        early_stopping_steps=1,
        learning_rate=1.0,
        max_steps=12,
        save_total_limit=1,
        plot_loss=False,
    )
    state = read(out / "trainer_state.json")
    assert state["global_step"] < 12
    best = state["best_model_checkpoint"]
    assert Path(best).is_dir()
    saved, kept = (folder / "adapter_model.safetensors" for folder in (out, Path(best)))
    assert saved.read_bytes() == kept.read_bytes()
    assert read(out / "all_results.json")["eval_other_loss"] == pytest.approx(state["best_metric"], rel=1e-5)


@pytest.mark.parametrize(
    ("changes", "kind", "code"),
    [
        ({"load_best_model_at_end": True}, ConfigError, "best_metric_unknown"),  # there is no eval_loss: two sets
        ({"load_best_model_at_end": True, "metric_for_best_model": "dev_loss", "save_steps": 3}, ConfigError, None),
        ({"report_to": "nobody"}, ConfigError, "tracker_unknown"),
        ({"report_to": "mlflow"}, EnvironmentProblem, "tracker_missing"),
    ],
)
def test_what_would_fail_at_the_first_measurement_is_refused_before(toys, tmp_path, changes, kind, code):
    """transformers raises KeyError there, after hours."""
    with pytest.raises(kind) as caught:
        run(tmp_path, toys, **changes)
    assert caught.value.problems[0].code == (code or "arguments_refused")


def test_smoothing_is_llamafactorys():
    """An exponential mean whose weight grows with the number of points."""
    assert smooth([3.0]) == [3.0]
    weight = 1.8 * (1 / (1 + 2.718281828459045 ** (-0.05 * 2)) - 0.5)
    assert smooth([1.0, 2.0]) == pytest.approx([1.0, weight + (1 - weight) * 2.0])


def test_other_generating_keys_are_another_prediction(tmp_path, toys):
    """Otherwise the same folder with another temperature would be called done. A training is not told apart by them."""
    from engine.config.schema import TrainConfig
    from engine.fingerprints import train_fingerprint
    from engine.models import inspect_model

    model = inspect_model(toys / "model")
    given = {"model_name_or_path": "m", "output_dir": "o", "eval_dataset": "dev"}
    made = lambda **changes: train_fingerprint(TrainConfig(**given, **changes), {}, model, {})  # noqa: E731
    assert made(do_train=False, temperature=0.1) != made(do_train=False, temperature=0.2)
    assert made(do_train=False) != made(do_train=True)
    assert made(temperature=0.1) == made(temperature=0.2)
