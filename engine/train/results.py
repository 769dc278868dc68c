"""After the last step: what is measured and written out, and every file of the result."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from engine.config.schema import TrainConfig
from engine.data.encoded import Encoded, Prompts
from engine.data.sets import EVAL
from engine.runs.worker import Work
from engine.train.model_card import write_card
from engine.train.pictures import plot_curves
from engine.train.pissa import convert
from engine.train.predict import PromptRows, write_predictions
from engine.train.reporting import Reporter
from engine.train.trainer import StepTrainer
from engine.train.whole import name_base

PREDICTIONS = "generated_predictions.jsonl"


def measure(work: Work, config: TrainConfig, trainer: StepTrainer, reporter: Reporter) -> dict[str, Any]:
    """The last measurement on the rows held back. Answers that `predict` will write anyway are not written twice."""
    twice = config.do_predict and config.eval_strategy == "no"
    if trainer.eval_dataset is None or twice:
        return {}
    work.phase("measuring")
    reporter.last_measurement = True
    found = trainer.evaluate()
    trainer.save_metrics("eval", {"epoch": trainer.state.epoch, **found})
    return found


def predict(work: Work, trainer: StepTrainer, prompts: dict[str, Prompts], output: Path) -> None:
    """Answer every set: generated_predictions.jsonl and predict_results.json, with names where there are several."""
    work.phase("predicting")
    figures: dict[str, Any] = {}
    for name, rows in prompts.items():
        alone = name == EVAL
        prefix = "predict" if alone else f"predict_{name}"
        file = output / (PREDICTIONS if alone else f"generated_predictions_{name.replace('/', '_')}.jsonl")
        figures |= trainer.predict(PromptRows(rows), metric_key_prefix=prefix).metrics
        write_predictions(file, trainer.answered)
        work.made("predictions", file)
    trainer.save_metrics("predict", figures)


def save_trained(
    config: TrainConfig, trainer: StepTrainer, output: Path, trained: Encoded, figures: dict[str, Any]
) -> None:
    """What was learnt, tokenizer and figures of the training, under the names that LLaMA-Factory gives them."""
    trainer.save_model(str(output))
    if config.pissa_convert:
        name_base(convert(trainer.model, output), trainer.base_name)
    trainer.model.generation_config.save_pretrained(output)
    if config.include_effective_tokens_per_second:
        seconds = max(figures["train_runtime"], 1e-9)
        figures["effective_tokens_per_sec"] = len(trained.input_ids) * figures["epoch"] / seconds
    trainer.save_metrics("train", figures)


def save_story(config: TrainConfig, trainer: StepTrainer, output: Path) -> None:
    """The log as a whole, the model card and the pictures; last, since they tell of the last measurement too."""
    trainer.save_state()
    write_card(output, config, trainer.base_name or config.model_name_or_path, trainer)
    if config.plot_loss:
        plot_curves(trainer.state.log_history, output)
