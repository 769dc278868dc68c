"""What a training run tells: events for viewers, and trainer_log.jsonl as LLaMA-Factory users know it."""

from __future__ import annotations

import json
import math
import os
import resource
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from engine.errors import Problem, RunError
from engine.memory.job import Parts
from engine.runs.worker import Work

SMOOTHING_STEPS = 20  # tokens/s and ETA look back over so many steps


class Reporter(TrainerCallback):
    """Turns Trainer's callbacks into events; polls for a stop after every optimiser step."""

    def __init__(self, work: Work, output_dir: Path, counted_tokens: Any):
        self.work = work
        self.log_file = output_dir / "trainer_log.jsonl"
        self.trainer = counted_tokens
        self.stopped = False
        self.tokens = 0
        self.recent: list[tuple[float, int]] = []
        self.began = time.monotonic()
        self.first_step = 0
        self.last_measurement = False  # after the last step: its progress is shown
        self.measured = 0  # rows of it

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self.began, self.first_step = time.monotonic(), state.global_step
        self.recent = [(self.began, 0)]
        self.work.phase("training", step=state.global_step, total=state.max_steps)

    def on_pre_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        gradients = [p.grad for p in kwargs["model"].parameters() if p.grad is not None]
        if not gradients:  # moved inside backward, or kept elsewhere
            return
        norm = torch.nn.utils.get_total_norm(gradients)
        # With fp16 the scaler itself skips a step whose gradients overflow.
        if not args.fp16 and not torch.isfinite(norm):
            raise RunError(Problem("nan_gradient", {"step": state.global_step + 1}))
        if state.global_step == 0 and norm == 0 and self.trainer.step_loss > 0:  # 0 where it holds no label at all
            raise RunError(Problem("no_gradient", {"loss": round(self.trainer.step_loss, 4)}))

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        now = time.monotonic()
        self.tokens += self.trainer.step_tokens
        self.recent = [*self.recent[-SMOOTHING_STEPS:], (now, self.tokens)]
        (then, before), steps = self.recent[0], len(self.recent) - 1
        span = max(now - then, 1e-9)
        rate = kwargs["lr_scheduler"].get_last_lr()[0]
        self.work.events.write(
            "step",
            step=state.global_step,
            total=state.max_steps,
            loss=round(self.trainer.step_loss, 6),
            lr=rate,
            epoch=round(state.epoch or 0.0, 4),
            tokens=self.trainer.step_tokens,
            rows=self.trainer.step_rows,
            tokens_per_second=round((self.tokens - before) / span, 1),
            eta=round((state.max_steps - state.global_step) * span / steps, 1),
        )
        if self.work.should_stop() and state.global_step < state.max_steps:
            args.save_only_model = False  # what a stop leaves behind must be resumable
            self.stopped = control.should_save = control.should_training_stop = True

    def on_log(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, logs: Any = None, **kwargs: Any
    ) -> None:
        if not logs:
            return
        elapsed = time.monotonic() - self.began
        done = max(state.global_step - self.first_step, 1)
        left = elapsed / done * (state.max_steps - state.global_step)
        figures = measured(logs)
        line = {
            "current_steps": state.global_step,
            "total_steps": state.max_steps,
            "loss": logs.get("loss"),
            **figures,
            "lr": logs.get("learning_rate"),
            "epoch": logs.get("epoch"),
            "percentage": round(100 * state.global_step / state.max_steps, 2) if state.max_steps else 100,
            "elapsed_time": str(timedelta(seconds=int(elapsed))),
            "remaining_time": str(timedelta(seconds=int(left))),
        }
        if state.num_input_tokens_seen:
            line["throughput"] = round(state.num_input_tokens_seen / max(elapsed, 1e-9), 2)
            line["total_tokens"] = state.num_input_tokens_seen
        if os.environ.get("RECORD_VRAM", "").lower() in ("1", "true", "y"):
            line |= _vram()
        with self.log_file.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps({name: value for name, value in line.items() if value is not None}) + "\n")
        if "grad_norm" in logs and not math.isnan(float(logs["grad_norm"])):
            self.work.events.write(
                "log", what="gradient", step=state.global_step, grad_norm=round(float(logs["grad_norm"]), 6)
            )
        if figures:
            self.work.events.write("log", what="measured", step=state.global_step, figures=figures)
        if "eval_loss" in figures:
            self.work.events.write("eval", step=state.global_step, loss=figures["eval_loss"])

    def on_prediction_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Progress of a measurement after the last step; between steps the training's own is shown."""
        if not self.last_measurement:
            return
        total = len(kwargs["eval_dataloader"].dataset)
        self.measured += args.per_device_eval_batch_size
        self.work.progress(min(self.measured, total), total, "rows")
        if self.measured >= total:
            self.measured = 0  # another set may follow

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        path = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        self.work.events.write("checkpoint", step=state.global_step, path=str(path))


def measured(logs: dict[str, Any]) -> dict[str, float]:
    """The figures of an evaluation, such as eval_loss or eval_other_accuracy, without its times."""
    times = ("_runtime", "_per_second", "_preparation_time")
    return {
        name: value
        for name, value in logs.items()
        if name.startswith(("eval_", "predict_")) and not name.endswith(times)
    }


def _vram() -> dict[str, float]:
    """Largest GPU memory so far in GiB, 0 without a GPU."""
    there = torch.cuda.is_available()
    most = (torch.cuda.max_memory_allocated(), torch.cuda.max_memory_reserved()) if there else (0, 0)
    return {name: round(size / 2**30, 2) for name, size in zip(("vram_allocated", "vram_reserved"), most, strict=True)}


def record_memory(work: Work, device: torch.device, predicted: Parts | None) -> None:
    """The peak of this step beside what was predicted for its plan, in bytes.

    Resident memory on a CPU, allocated and reserved on a GPU; ratio: what was allocated (resident) / predicted for it.
    """
    peak = {"resident": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}
    if device.type == "cuda":
        peak |= {"allocated": torch.cuda.max_memory_allocated(), "reserved": torch.cuda.max_memory_reserved()}
    figures: dict[str, Any] = {"peak_bytes": peak}
    if predicted is not None:
        expected = predicted.allocated if device.type == "cuda" else predicted.total
        measured = peak.get("allocated", peak["resident"])
        figures |= {"predicted": expected, "ratio": round(measured / max(1, expected), 4)}
    work.events.write("log", what="memory", **figures)
