"""transformers' Trainer as it measures: the loss of packed rows, what is right, answers that are written."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import torch
from transformers import Trainer
from transformers.trainer_utils import EvalLoopOutput

from engine.errors import StopRequested
from engine.memory.job import StepPlan
from engine.train.accuracy import Accuracy, shares_of_packed, shares_of_padded
from engine.train.attention import packed_rows
from engine.train.losses import TokenLoss, cross_entropy, measuring, on_padded, summing
from engine.train.metrics import similarity
from engine.train.packing import bins, packed_inputs, spread, unpad
from engine.train.predict import Answered, PromptRows, Writer
from engine.train.shortage import Attempt, Recovery, Shortage, attempt, out_of_memory

T = TypeVar("T")
_SMALL = StepPlan(4096)


class MeasuringTrainer(Trainer):
    """Options beyond Trainer's: `packed` (else plain padded micro-batches), `plan` (tokens of a micro-batch, chunk of

    the head), `recovery` (answers shortages of memory; None: they end the run), `should_stop` (polled between
    batches; between steps a callback does it), `token_loss` (None: cross-entropy), `accuracy` (measure it too),
    `writer` (writes the answers where a set is of prompts) and `writing` (its settings while training).
    """

    def __init__(
        self,
        *args: Any,
        packed: bool = True,
        plan: StepPlan = _SMALL,
        recovery: Recovery | None = None,
        should_stop: Callable[[], bool] = lambda: False,
        token_loss: TokenLoss | None = None,
        accuracy: bool = False,
        writer: Writer | None = None,
        writing: dict[str, Any] | None = None,
        **kwargs: Any,
    ):
        if token_loss is not None:
            kwargs["compute_loss_func"] = on_padded(token_loss)
        super().__init__(*args, compute_metrics=Accuracy() if accuracy else None, **kwargs)
        self.packed, self.recovery = packed, recovery
        self.plan = self.measuring_plan = plan  # of the training step; of a batch to measure
        self.should_stop = should_stop
        self.writer, self.writing = writer, writing or {}
        self.answered: list[Answered] = []  # of the last set of prompts
        self.training_head = summing(token_loss) if token_loss else None
        self.measuring_head = measuring(token_loss or cross_entropy) if accuracy else self.training_head

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
            loss, shares = self._insist_on_loss(model, self._prepare_inputs(inputs))
            return loss, shares, None if shares is None else torch.zeros_like(shares)
        return self._or_end(lambda: self._padded_loss(model, spread(inputs), prediction_loss_only, ignore_keys))

    def _padded_loss(
        self, model: torch.nn.Module, inputs: dict[str, torch.Tensor], loss_only: bool, ignore_keys: Any
    ) -> tuple[torch.Tensor | None, Any, Any]:
        """As prediction_step, from transformers' own forward."""
        loss, logits, _ = super().prediction_step(model, inputs, loss_only, ignore_keys)
        if loss_only:
            return loss, None, None
        if isinstance(logits, tuple):  # other outputs beside the logits, such as those of a router
            logits = next(part for part in logits if part.dim() == 3)
        shares = shares_of_padded(logits, inputs["labels"].to(logits.device))
        return loss, shares, torch.zeros_like(shares)

    def _insist_on_loss(
        self, model: torch.nn.Module, inputs: dict[str, torch.Tensor]
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """The packed loss; after a shortage of memory again, in rows of half the tokens from then on."""
        if self.recovery is None:
            return self._packed_loss(model, inputs)
        while True:
            found = attempt(partial(self._packed_loss, model, inputs))
            if not isinstance(found, Shortage):
                return found
            rows = bins(unpad(inputs), self.measuring_plan.row_tokens)
            largest = max(rows, key=lambda row: sum(len(sample.ids) for sample in row))
            tried = Attempt(sum(len(sample.ids) for sample in largest), len(largest) > 1)
            self.measuring_plan = self.recovery.retry(
                self.measuring_plan, tried, found, self.state.global_step, training=False
            )

    def _or_end(self, work: Callable[[], T]) -> T:
        """What `work` returns. Raises RunError `oom_measuring`, which names the key to lower."""
        found = attempt(work)
        if isinstance(found, Shortage):
            raise out_of_memory(found)
        return found

    def _packed_loss(
        self, model: torch.nn.Module, inputs: dict[str, torch.Tensor]
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """(mean loss over the batch's labels, shares of right tokens (samples, 1) where they are measured)."""
        counted = self._get_num_items_in_batch([inputs], self.args.device)
        processes = self.accelerator.num_processes if self.args.average_tokens_across_devices else 1
        samples = unpad(inputs)
        total = torch.zeros((), device=self.args.device)
        shares: dict[int, torch.Tensor] = {}
        plan = self.measuring_plan
        with torch.no_grad(), packed_rows(), self.compute_loss_context_manager():
            for row in bins(samples, plan.row_tokens):
                found = model(**packed_inputs(row), head=self.measuring_head, chunk=plan.chunk)
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
                write = partial(self.writer.write, self.model, rows.prompts)
                self.answered = self._or_end(partial(write, **(self.writing if self.is_in_train else {})))
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
