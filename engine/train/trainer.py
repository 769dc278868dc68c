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
from accelerate.utils.memory import clear_device_cache
from torch.utils.data import SequentialSampler
from transformers import Trainer
from transformers.trainer_utils import EvalLoopOutput

from engine.errors import Problem, RunError, StopRequested
from engine.storage import write_json, write_whole
from engine.train.accuracy import Accuracy, shares_of_packed, shares_of_padded
from engine.train.attention import packed_rows
from engine.train.checkpoints import prune_checkpoints, write_manifest
from engine.train.losses import TokenLoss, cross_entropy, measuring, on_padded, summing
from engine.train.metrics import similarity
from engine.train.optimisers import stable_phase
from engine.train.packing import Tokens, bins, packed_inputs, spread, unpad
from engine.train.predict import Answered, PromptRows, Writer
from engine.train.whole import allow_cache


class StepTrainer(Trainer):
    """Options beyond Trainer's: `packed` (else plain padded micro-batches), `token_budget` (tokens in a row),

    `keep_checkpoints` (None: all), `base_name` (of the base model, for adapter_config.json), `should_stop` (polled
    between evaluation batches; between steps a callback does it), `token_loss` (None: cross-entropy), `accuracy`
    (measure it too), `in_order` (do not shuffle), `writer` (writes the answers where a set is of prompts) and
    `writing` (its settings while training).
    """

    def __init__(
        self,
        *args: Any,
        packed: bool = True,
        token_budget: int = 4096,
        keep_checkpoints: int | None = None,
        base_name: str = "",
        should_stop: Callable[[], bool] = lambda: False,
        token_loss: TokenLoss | None = None,
        accuracy: bool = False,
        in_order: bool = False,
        writer: Writer | None = None,
        writing: dict[str, Any] | None = None,
        **kwargs: Any,
    ):
        if token_loss is not None:
            kwargs["compute_loss_func"] = on_padded(token_loss)
        super().__init__(*args, compute_metrics=Accuracy() if accuracy else None, **kwargs)
        self.packed = packed
        if packed:
            self.model_accepts_loss_kwargs = True  # our forward leaves the division to us, so the count is needed
        self.token_budget = token_budget
        self.keep_checkpoints = keep_checkpoints
        self.base_name = base_name
        self.should_stop = should_stop
        self.in_order = in_order
        self.writer, self.writing = writer, writing or {}
        self.answered: list[Answered] = []  # of the last set of prompts
        self.training_head = summing(token_loss) if token_loss else None
        self.measuring_head = measuring(token_loss or cross_entropy) if accuracy else self.training_head
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

    def _get_train_sampler(self, *args: Any, **kwargs: Any) -> Any:
        return SequentialSampler(self.train_dataset) if self.in_order else super()._get_train_sampler(*args, **kwargs)

    def create_scheduler(self, num_training_steps: int, optimizer: torch.optim.Optimizer | None = None) -> Any:
        """Trainer's, with the lengths that warmup_stable_decay needs."""
        stable_phase(self.args, num_training_steps)
        return super().create_scheduler(num_training_steps, optimizer)

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
            loss = super().training_step(model, spread(inputs), num_items_in_batch)
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
        self._optimiser_mode("train")
        every = self.args.torch_empty_cache_steps
        if every is not None and self.state.global_step % every == 0:
            clear_device_cache()
        device = self.args.device
        rows = bins([sample.to(device) for sample in samples], self.token_budget)
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
                        loss = model(**packed_inputs(row), head=self.training_head)["loss"] * scale
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
        """Trainer's evaluation loss of a batch, from packed rows where they are in use.

        With accuracy (loss, shares (samples, 1), zeros): compute_metrics needs something in the place of labels.
        """
        if self.should_stop():
            self._leave_checkpoint()
            raise StopRequested
        if self.packed:
            loss, shares = self._packed_loss(model, self._prepare_inputs(inputs))
        elif prediction_loss_only:
            return super().prediction_step(model, spread(inputs), True, ignore_keys)
        else:
            inputs = spread(inputs)
            labels = inputs["labels"]
            loss, logits, _ = super().prediction_step(model, inputs, False, ignore_keys)
            if isinstance(logits, tuple):  # other outputs beside the logits, such as those of a router
                logits = next(part for part in logits if part.dim() == 3)
            shares = shares_of_padded(logits, labels.to(logits.device))
        return loss, shares, None if shares is None else torch.zeros_like(shares)

    def _packed_loss(
        self, model: torch.nn.Module, inputs: dict[str, torch.Tensor]
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """(mean loss over the batch's labels, shares of right tokens (samples, 1) where they are measured)."""
        counted = self._get_num_items_in_batch([inputs], self.args.device)
        processes = self.accelerator.num_processes if self.args.average_tokens_across_devices else 1
        samples = unpad(inputs)
        total = torch.zeros((), device=self.args.device)
        shares: dict[int, torch.Tensor] = {}
        with torch.no_grad(), packed_rows(), self.compute_loss_context_manager():
            for row in bins(samples, self.token_budget):
                found = model(**packed_inputs(row), head=self.measuring_head)
                total += found["loss"]
                if "right" in found:
                    parts = shares_of_packed(found["right"], row)
                    shares |= {id(sample): share for sample, share in zip(row, parts, strict=True)}
        loss = total * processes / torch.as_tensor(counted)
        return loss, torch.stack([shares[id(sample)] for sample in samples])[:, None] if shares else None

    def evaluation_loop(
        self,
        dataloader: Any,
        description: str,
        prediction_loss_only: bool | None = None,
        ignore_keys: Any = None,
        metric_key_prefix: str = "eval",
    ) -> EvalLoopOutput:
        """Trainer's; a set of prompts is answered, and the answers are compared with the expected ones."""
        rows = dataloader.dataset
        if self.writer is None or not isinstance(rows, PromptRows):
            # As Seq2SeqTrainer and so LLaMA-Factory: a last, smaller batch counts as much as the others.
            self.gather_function = self.accelerator.gather
            return super().evaluation_loop(
                dataloader, description, prediction_loss_only, ignore_keys, metric_key_prefix
            )
        self._optimiser_mode("eval")
        try:
            with self.accelerator.autocast():
                self.answered = self.writer.write(
                    self.model, rows.prompts, **(self.writing if self.is_in_train else {})
                )
        except StopRequested:
            self._leave_checkpoint()
            raise
        found = similarity(row.compared for row in self.answered)
        return EvalLoopOutput(None, None, {f"{metric_key_prefix}_{name}": found[name] for name in found}, len(rows))

    def _optimiser_mode(self, name: str) -> None:
        """Schedule-free optimisers hold other weights while measuring than while training; others have no modes."""
        change = getattr(self.optimizer, name, None)
        if callable(change):
            change()

    def _leave_checkpoint(self) -> None:
        """A stop while measuring: what is left behind must be resumable. Nothing where nothing was trained."""
        if self.optimizer is not None:
            self.args.save_only_model = False
            self._save_checkpoint(self.model, trial=None)

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
