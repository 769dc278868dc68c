"""transformers' Trainer with a step of our own: a whole optimiser step at a time, re-packed without padding.

Trainer keeps the loop, samplers, schedulers, evaluation and checkpoints. The first batches of an accumulation are put
aside; the call that ends it runs all their samples. Gradients add up, so this equals padded micro-batches exactly.
"""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from transformers import Trainer

from engine.errors import Problem, RunError, StopRequested
from engine.storage import write_json, write_whole
from engine.train.attention import packed_rows
from engine.train.checkpoints import prune_checkpoints, write_manifest
from engine.train.packing import Tokens, bins, packed_inputs, unpad


class StepTrainer(Trainer):
    """Options beyond Trainer's: `packed` (else plain padded micro-batches), `token_budget` (tokens in a row),

    `keep_checkpoints` (None: all), `base_name` (of the base model, for adapter_config.json), `should_stop` (polled
    between evaluation batches; between steps a callback does it).
    """

    def __init__(
        self,
        *args: Any,
        packed: bool = True,
        token_budget: int = 4096,
        keep_checkpoints: int | None = None,
        base_name: str = "",
        should_stop: Callable[[], bool] = lambda: False,
        **kwargs: Any,
    ):
        super().__init__(*args, **kwargs)
        self.packed = packed
        if packed:
            self.model_accepts_loss_kwargs = True  # our forward leaves the division to us, so the count is needed
        self.token_budget = token_budget
        self.keep_checkpoints = keep_checkpoints
        self.base_name = base_name
        self.should_stop = should_stop
        self.step_loss = math.nan  # of the last optimiser step: mean over its labelled tokens
        self.step_tokens = 0  # without padding
        self.step_rows = 0
        self._held: list[dict[str, torch.Tensor]] = []
        self._counted: torch.Tensor | int = 0
        self._plain_loss = 0.0

    def _run_epoch(self, *args: Any, **kwargs: Any) -> None:
        """Trainer's, unless the run was resumed from its very last step: Trainer would train one more."""
        if self.state.global_step >= self.state.max_steps:
            self.control.should_training_stop = True
            return
        super()._run_epoch(*args, **kwargs)

    def get_batch_samples(self, *args: Any) -> tuple[list[Any], torch.Tensor | int | None]:
        """Trainer's; adds up its label counts, since a stream may end in the middle of a step."""
        batches, counted = super().get_batch_samples(*args)
        self._counted = self._counted + (0 if counted is None else counted)
        return batches, counted

    def _get_num_items_in_batch(self, batch_samples: list[Any], device: torch.device) -> torch.Tensor | int | None:
        """Trainer's count of labels, at least 1: a step without any is then a step of zero, not 0 / 0."""
        counted = super()._get_num_items_in_batch(batch_samples, device)
        return counted.clamp(min=1) if isinstance(counted, torch.Tensor) else counted

    def training_step(
        self, model: torch.nn.Module, inputs: dict[str, torch.Tensor], num_items_in_batch: Any = None
    ) -> torch.Tensor:
        """One call a batch, as Trainer makes them; the work is done in the last call of an optimiser step."""
        last = self.accelerator.sync_gradients
        self._held.append(inputs)
        if not self.packed:
            loss = super().training_step(model, inputs, num_items_in_batch)
            self._plain_loss += float(loss)
        elif not last:
            return torch.zeros((), device=self.args.device)
        if last:
            held, self._held = self._held, []
            counted, self._counted = self._counted, 0
            samples = [sample for batch in held for sample in unpad(batch)]
            self.step_tokens = sum(len(sample.ids) for sample in samples)
            if self.packed:
                loss = self._packed_step(model, samples, counted)
                self.step_loss = float(loss)
            else:
                self.step_loss, self._plain_loss, self.step_rows = self._plain_loss, 0.0, len(held)
            if not math.isfinite(self.step_loss):
                raise RunError(Problem("nan_loss", {"step": self.state.global_step + 1, "loss": str(self.step_loss)}))
        return loss

    def _packed_step(self, model: torch.nn.Module, samples: list[Tokens], counted: Any) -> torch.Tensor:
        """Forward and backward of a whole optimiser step. Returns the mean loss over its labelled tokens."""
        model.train()
        device = self.args.device
        rows = bins([Tokens(ids.to(device), labels.to(device)) for ids, labels in samples], self.token_budget)
        self.step_rows = len(rows)
        # DDP averages gradients over processes; the count is that of all of them when Trainer gathered it.
        processes = self.accelerator.num_processes if self.args.average_tokens_across_devices else 1
        scale = processes / torch.as_tensor(counted, device=device)
        total = torch.zeros((), device=device)
        with packed_rows():
            for number, row in enumerate(rows, 1):
                apart = contextlib.nullcontext() if number == len(rows) else self.accelerator.no_sync(model)
                with apart:
                    with self.compute_loss_context_manager():
                        loss = model(**packed_inputs(row))["loss"] * scale
                    self.accelerator.backward(loss)  # outside autocast, as Trainer does it
                total += loss.detach()
        return total

    def prediction_step(
        self,
        model: torch.nn.Module,
        inputs: dict[str, torch.Tensor],
        prediction_loss_only: bool,
        ignore_keys: Any = None,
    ) -> tuple[torch.Tensor | None, Any, Any]:
        """Trainer's evaluation loss of a batch, from packed rows where they are in use."""
        if self.should_stop():
            self.args.save_only_model = False  # what a stop leaves behind must be resumable
            self._save_checkpoint(self.model, trial=None)
            raise StopRequested
        if not (self.packed and prediction_loss_only):
            return super().prediction_step(model, inputs, prediction_loss_only, ignore_keys)
        inputs = self._prepare_inputs(inputs)
        counted = self._get_num_items_in_batch([inputs], self.args.device)
        processes = self.accelerator.num_processes if self.args.average_tokens_across_devices else 1
        with torch.no_grad(), packed_rows(), self.compute_loss_context_manager():
            rows = bins(unpad(inputs), self.token_budget)
            loss = sum(model(**packed_inputs(row))["loss"] for row in rows)
        return loss * processes / torch.as_tensor(counted), None, None

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        super()._save(output_dir, state_dict)
        folder = Path(output_dir or self.args.output_dir)
        # A pickle that nothing here reads again.
        (folder / "training_args.bin").unlink(missing_ok=True)
        name_base(folder, self.base_name)

    def _save_checkpoint(self, model: torch.nn.Module, trial: Any) -> None:
        """Trainer's, then a manifest of its files: without one a checkpoint is never loaded."""
        super()._save_checkpoint(model, trial)
        folder = Path(self.args.output_dir) / f"checkpoint-{self.state.global_step}"
        write_manifest(folder)
        prune_checkpoints(folder, self.keep_checkpoints, spare=self.state.best_model_checkpoint)


def name_base(folder: Path, name: str) -> None:
    """Call the base model by `name` in a saved adapter, and list its modules in an order that never changes.

    While saving, peft must know the base by its folder: it would ask the hub for a name, each time. Its modules are a
    set, whose order is another in every process: the same run would not write the same file.
    """
    file = folder / "adapter_config.json"
    if not name or not file.exists():
        return
    config = json.loads(file.read_text(encoding="utf-8"))
    before, config["base_model_name_or_path"] = config["base_model_name_or_path"], name
    if isinstance(config.get("target_modules"), list):
        config["target_modules"].sort()
    write_json(file, config, mode=0o644)
    card = folder / "README.md"
    if before and card.exists():
        write_whole(card, card.read_text(encoding="utf-8").replace(before, name), mode=0o644)
