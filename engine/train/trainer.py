"""transformers' Trainer with a step of our own: a whole optimiser step at a time, re-packed without padding.

Trainer keeps the loop, samplers, schedulers, evaluation and checkpoints. The first batches of an accumulation are put
aside; the call that ends it runs all their samples. Gradients add up, so this equals padded micro-batches exactly.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from accelerate.utils.memory import clear_device_cache
from torch.utils.data import SequentialSampler

from engine.errors import Problem, RunError
from engine.memory.job import StepPlan
from engine.train.attention import packed_rows
from engine.train.checkpoints import prune_checkpoints, write_manifest
from engine.train.measuring import MeasuringTrainer
from engine.train.optimisers import base_rates, stable_phase, use_rates
from engine.train.packing import Tokens, bins, packed_inputs, spread, unpad
from engine.train.random_state import RandomState
from engine.train.recompute import recompute_layers
from engine.train.shortage import Attempt, Shortage, attempt
from engine.train.whole import allow_cache, name_base


class StepTrainer(MeasuringTrainer):
    """Options beyond MeasuringTrainer's: `before_first` (is given this trainer and the model as it trains, before

    step 1), `keep_checkpoints` (None: all), `base_name` (of the base model, for adapter_config.json), `in_order` (do
    not shuffle). How many layers recompute is set on the model; a `recovery` sets it anew.
    """

    def __init__(
        self,
        *args: Any,
        before_first: Callable[[StepTrainer, torch.nn.Module], None] | None = None,
        keep_checkpoints: int | None = None,
        base_name: str = "",
        in_order: bool = False,
        **kwargs: Any,
    ):
        super().__init__(*args, **kwargs)
        if self.packed:
            self.model_accepts_loss_kwargs = True  # our forward leaves the division to us, so the count is needed
        self.before_first = before_first
        self.keep_checkpoints = keep_checkpoints
        self.base_name = base_name
        self.in_order = in_order
        self.step_loss = math.nan  # of the last optimiser step: mean over its labelled tokens
        self.step_tokens = 0  # without padding
        self.step_rows = 0
        self._held: list[dict[str, torch.Tensor]] = []
        self._began: RandomState | None = None  # where the optimiser step's random numbers begin
        self._counted: torch.Tensor | int = 0
        self._plain_loss = 0.0

    def _run_epoch(self, *args: Any, **kwargs: Any) -> None:
        """Trainer's, unless the run was resumed from its very last step: Trainer would train one more."""
        if self.state.global_step >= self.state.max_steps:
            self.control.should_training_stop = True
            return
        super()._run_epoch(*args, **kwargs)

    def _get_train_sampler(self, *args: Any, **kwargs: Any) -> Any:
        return SequentialSampler(self.train_dataset) if self.in_order else super()._get_train_sampler(*args, **kwargs)

    def create_scheduler(self, num_training_steps: int, optimizer: torch.optim.Optimizer | None = None) -> Any:
        """Trainer's, with the lengths that warmup_stable_decay needs."""
        stable_phase(self.args, num_training_steps)
        return super().create_scheduler(num_training_steps, optimizer)

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        """Trainer's; but a learning rate that was changed since the checkpoint is the one of now."""
        wanted = base_rates(self.lr_scheduler)
        super()._load_optimizer_and_scheduler(checkpoint)
        if checkpoint is not None:
            use_rates(self.optimizer, self.lr_scheduler, wanted)

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
        if self.before_first is not None:
            first, self.before_first = self.before_first, None
            first(self, model)
        last = self.accelerator.sync_gradients
        if not self._held:
            self._began = RandomState.now(self.args.device)
        self._held.append(inputs)
        if not self.packed:
            loss = self._insist(model, num_items_in_batch)
            self._plain_loss += float(loss)
        elif not last:
            return torch.zeros((), device=self.args.device)
        if last:
            counted, self._counted = self._counted, 0
            self.step_tokens = sum(int((batch["attention_mask"] > 0).sum()) for batch in self._held)
            if self.packed:
                loss = self._insist(model, counted)
                self.step_loss = float(loss)
            else:
                self.step_loss, self._plain_loss, self.step_rows = self._plain_loss, 0.0, len(self._held)
            self._held = []
            if not math.isfinite(self.step_loss):
                raise RunError(Problem("nan_loss", {"step": self.state.global_step + 1, "loss": str(self.step_loss)}))
        return loss

    def _insist(self, model: torch.nn.Module, counted: Any) -> torch.Tensor:
        """The loss of what is held, its gradients added; again from the step's beginning after a shortage of memory."""
        if self.recovery is None:
            return self.forward_backward(model, self._held if self.packed else self._held[-1:], counted)
        again = self.packed
        while True:
            batches = self._held if again else self._held[-1:]
            found = attempt(partial(self.forward_backward, model, batches, counted))
            if not isinstance(found, Shortage):
                return found - self._plain_loss if again and not self.packed else found
            self.make_room(self.recovery.retry(self.plan, self.tried(self._held), found, self.state.global_step + 1))
            again = True

    def make_room(self, plan: StepPlan) -> None:
        """Drop the gradients of a step that ran out of memory, and begin it anew with this plan."""
        self.model.zero_grad()
        self.use_plan(plan)
        if self._began is not None:
            self._began.put_back()

    def use_plan(self, plan: StepPlan) -> None:
        """Take this one from the next row on."""
        if plan.recompute != self.plan.recompute:
            recompute_layers(self.model, plan.recompute)
        self.plan = plan

    def tried(self, batches: list[dict[str, torch.Tensor]]) -> Attempt:
        """How the current plan divides these batches."""
        if self.packed:
            rows = bins([sample for batch in batches for sample in unpad(batch)], self.plan.row_tokens)
            largest = max(rows, key=lambda row: sum(len(sample.ids) for sample in row))
            return Attempt(sum(len(sample.ids) for sample in largest), len(largest) > 1)
        parts = [part["input_ids"] for batch in batches for part in self._parts(batch)]
        largest_part = max(parts, key=lambda part: part.numel())
        return Attempt(largest_part.numel(), len(largest_part) > 1 and self._divisible())

    def forward_backward(
        self, model: torch.nn.Module, batches: list[dict[str, torch.Tensor]], counted: Any
    ) -> torch.Tensor:
        """Add the gradients of these batches, as the plan divides them. Returns their loss, divided by `counted`."""
        if self.packed:
            return self._packed_step(model, [sample for batch in batches for sample in unpad(batch)], counted)
        step = super().training_step
        return torch.stack([step(model, part, counted) for batch in batches for part in self._parts(batch)]).sum()

    def _parts(self, batch: dict[str, torch.Tensor]) -> list[dict[str, torch.Tensor]]:
        """A padded batch in parts of at most the plan's tokens, where their losses add up to that of the whole."""
        batch = spread(batch)
        rows, width = batch["input_ids"].shape
        at_once = max(1, self.plan.row_tokens // width) if self._divisible() else rows
        columns = {name: tensor.split(at_once) for name, tensor in batch.items()}
        return [dict(zip(columns, part, strict=True)) for part in zip(*columns.values(), strict=True)]

    def _divisible(self) -> bool:
        """Whether the loss of a padded batch is a sum over its labels, divided by their number in the whole step."""
        text = self.model.config.get_text_config()
        summed = self.model_accepts_loss_kwargs or self.compute_loss_func is not None
        return bool(summed) and not getattr(text, "output_router_logits", False)

    def _packed_step(self, model: torch.nn.Module, samples: list[Tokens], counted: Any) -> torch.Tensor:
        """Forward and backward of a whole optimiser step. Returns the mean loss over its labelled tokens."""
        model.train()
        self._optimiser_mode("train")
        every = self.args.torch_empty_cache_steps
        if every is not None and self.state.global_step % every == 0:
            clear_device_cache()
        device = self.args.device
        rows = bins([sample.to(device) for sample in samples], self.plan.row_tokens)
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
                        inputs = packed_inputs(row)
                        loss = model(**inputs, head=self.training_head, chunk=self.plan.chunk)["loss"] * scale
                    self.accelerator.backward(loss)  # outside autocast, as Trainer does it
                total += loss.detach()
        return total

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        super()._save(output_dir, state_dict)
        folder = Path(output_dir or self.args.output_dir)
        # A pickle that nothing here reads again.
        (folder / "training_args.bin").unlink(missing_ok=True)
        name_base(folder, self.base_name)
        allow_cache(folder)

    def _save_checkpoint(self, model: torch.nn.Module, trial: Any) -> None:
        """Trainer's, then a manifest of its files: without one a checkpoint is never loaded."""
        super()._save_checkpoint(model, trial)
        folder = Path(self.args.output_dir) / f"checkpoint-{self.state.global_step}"
        write_manifest(folder)
        prune_checkpoints(folder, self.keep_checkpoints, spare=self.state.best_model_checkpoint)
