"""The train step of a run: tokens, model, self-check, loop, outputs."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

import msgspec
import torch
from transformers.integrations import TensorBoardCallback
from transformers.trainer_callback import PrinterCallback, ProgressCallback

from engine.config.schema import TrainConfig
from engine.data.prepare import Prepared, prepare
from engine.data.sets import EVAL
from engine.errors import Problem, StopRequested
from engine.outputs import mark_finished, mark_started
from engine.runs.worker import Work
from engine.text import Phrase, verbatim
from engine.train import selfcheck
from engine.train.arguments import check_trackers, tracker_surroundings, trackers, training_arguments
from engine.train.attention import NAME
from engine.train.batches import Pad, TokenRows
from engine.train.before import check_disk, resume_from
from engine.train.methods import asked_attention, base_of, prepare_model
from engine.train.model import checkpoint_activations, skip_adapter_casts
from engine.train.optimisers import check_optimiser, own_optimiser
from engine.train.pissa import convert, save_start
from engine.train.precision import Precision, choose_precision, stored_dtype
from engine.train.reporting import Reporter, plot_losses
from engine.train.trainer import StepTrainer, name_base
from engine.train.whole import is_adapter


def run(work: Work) -> None:
    """Train what work.config["train"] says. Raises StopRequested after a checkpoint, ProblemError otherwise."""
    spec = work.config["train"]
    config = msgspec.convert(spec["config"], TrainConfig)
    check_trackers(config)
    check_optimiser(config)
    output = Path(config.output_dir)
    output.mkdir(parents=True, exist_ok=True)
    work.lock(output)
    mark_started(output, spec["fingerprint"], work.run.path)
    device = torch.device("cpu" if config.use_cpu or not torch.cuda.is_available() else "cuda")

    work.phase("tokenising")
    prepared = prepare(
        config,
        Path(spec["model_path"]),
        hashes=spec["data_sha256"],
        progress=lambda done, total: work.progress(done, total, "rows"),
        should_stop=work.should_stop,
    )
    tell_data(work, prepared)

    work.poll()
    work.phase("loading")
    model, precision = _model(work, config, spec, device, prepared.tokenizer)
    rows = TokenRows(prepared.train)
    work.poll()
    packed, budget = _choose_step(work, config, spec, model, rows, device, precision)
    resume = resume_from(work, config, output)
    check_disk(config, model, len(rows), output)
    if config.pissa_convert:
        save_start(model, output)
    trainer = _trainer(work, config, spec, model, prepared, precision, packed, budget)
    reporter = Reporter(work, output, trainer)
    trainer.add_callback(reporter)
    if "tensorboard" in trackers(config):
        trainer.add_callback(TensorBoardCallback())
    if resume is None:
        (output / "trainer_log.jsonl").unlink(missing_ok=True)

    started = time.monotonic()
    try:
        result = trainer.train(resume_from_checkpoint=str(resume) if resume else None)
    finally:
        _record_memory(work, device)
    if reporter.stopped:
        raise StopRequested
    work.phase("saving")
    metrics = result.metrics
    if prepared.evaluations:
        metrics |= trainer.evaluate()
    _save(trainer, config, output, metrics)
    work.events.write("log", what="figures", train_seconds=round(time.monotonic() - started, 2), tokens=reporter.tokens)
    mark_finished(output)
    work.made("adapter" if is_adapter(model) else "model", output)


def tell_data(work: Work, prepared: Prepared) -> None:
    """Say what became of the rows, as one event and a warning for each thing to know."""
    report = prepared.train.report
    work.events.write(
        "log",
        what="data",
        rows={name: tally.as_dict() for name, tally in prepared.rows.items()},
        samples=len(prepared.train),
        held_back=prepared.held_back,
        tokens=report.tokens,
        labelled=report.labelled_tokens,
        longest=report.longest,
        cached=prepared.from_cache,
    )
    for problem in prepared.notes:
        work.warn(problem)


def _model(
    work: Work, config: TrainConfig, spec: dict[str, Any], device: torch.device, tokenizer: Any
) -> tuple[torch.nn.Module, Precision]:
    path = Path(spec["model_path"])
    precision = choose_precision(config, device, stored_dtype(path, config.trust_remote_code))
    for note in precision.notes:
        work.warn(note)
    wrapped = prepare_model(config, path, tokenizer, precision, device, work.warn)
    trainable = sum(p.numel() for p in wrapped.parameters() if p.requires_grad)
    work.events.write(
        "log",
        what="model",
        trainable=trainable,
        parameters=sum(p.numel() for p in wrapped.parameters()),
        device=str(device),
    )
    keep = config.disable_gradient_checkpointing
    if keep is False or (keep is None and device.type != "cpu"):
        checkpoint_activations(wrapped)
    if precision.autocast:
        skip_adapter_casts(wrapped)
    return wrapped, precision


def _choose_step(
    work: Work,
    config: TrainConfig,
    spec: dict[str, Any],
    model: torch.nn.Module,
    rows: TokenRows,
    device: torch.device,
    precision: Precision,
) -> tuple[bool, int]:
    """(packed rows or padded micro-batches, tokens in a row). The budget is the user's padded micro-batch."""
    base = base_of(model)
    budget = config.per_device_train_batch_size * rows.encoded.longest
    reason = selfcheck.suitable(base, spec["passed"])
    if base.config._attn_implementation != NAME:
        reason = asked_attention(config) or Phrase("its attention cannot be replaced")
    difference = None
    if not reason:
        work.phase("checking")
        try:
            samples = [rows.tokens(index) for index in range(min(len(rows), 64))]
            found = selfcheck.check(model, samples, device, precision.autocast, rows.encoded.report.longest)
            reason, difference = found.reason, found.difference
        except torch.OutOfMemoryError:
            raise
        except (RuntimeError, TypeError, ValueError, AttributeError, NotImplementedError) as error:
            reason = verbatim(f"{type(error).__name__}: {error}")
    work.events.write(
        "log", what="step", micro_batches="packed" if not reason else "padded", difference=difference, budget=budget
    )
    if reason:
        work.warn(Problem("step_padded", {"reason": reason}, severity="warning"))
        if base.config._attn_implementation == NAME:
            base.set_attn_implementation("sdpa" if getattr(base, "_supports_sdpa", True) else "eager")
    return not reason, budget


def _trainer(
    work: Work,
    config: TrainConfig,
    spec: dict[str, Any],
    model: torch.nn.Module,
    prepared: Prepared,
    precision: Precision,
    packed: bool,
    budget: int,
) -> StepTrainer:
    tracker_surroundings(config, work.run.path, work.run.tensorboard, spec["passed"])
    held = {name: TokenRows(encoded) for name, encoded in prepared.evaluations.items()}
    arguments = training_arguments(config, spec["passed"], precision, model.device, list(held))
    trainer = StepTrainer(
        model=model,
        args=arguments,
        train_dataset=TokenRows(prepared.train),
        eval_dataset=held[EVAL] if list(held) == [EVAL] else held or None,
        data_collator=Pad(prepared.tokenizer.pad_token_id),
        processing_class=prepared.tokenizer,
        packed=packed,
        token_budget=budget,
        keep_checkpoints=config.save_total_limit,
        base_name=spec["model_name"],
        should_stop=work.should_stop,
        optimizers=(own_optimiser(config, model, arguments), None),
    )
    trainer.remove_callback(PrinterCallback)
    trainer.remove_callback(ProgressCallback)
    generation = trainer.model.generation_config
    generation.eos_token_id = prepared.stop_ids if len(prepared.stop_ids) > 1 else prepared.stop_ids[0]
    generation.pad_token_id = prepared.tokenizer.pad_token_id
    return trainer


def _save(trainer: StepTrainer, config: TrainConfig, output: Path, metrics: dict[str, Any]) -> None:
    """Adapter, tokenizer, figures and pictures, under the names that LLaMA-Factory gives them."""
    trainer.save_model(str(output))
    if config.pissa_convert:
        name_base(convert(trainer.model, output), trainer.base_name)
    trainer.model.generation_config.save_pretrained(output)
    train = {name: value for name, value in metrics.items() if not name.startswith("eval_")}
    evaluated = {name: value for name, value in metrics.items() if name.startswith("eval_")}
    trainer.save_metrics("train", train)
    if evaluated:
        trainer.save_metrics("eval", {**evaluated, "epoch": train.get("epoch")})
    trainer.save_state()
    if config.plot_loss:
        plot_losses(trainer.state.log_history, output)


def _record_memory(work: Work, device: torch.device) -> None:
    """Peak of this step: resident memory on a CPU, allocated and reserved on a GPU, in bytes."""
    import resource

    peak = {"resident": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}
    if device.type == "cuda":
        peak |= {"allocated": torch.cuda.max_memory_allocated(), "reserved": torch.cuda.max_memory_reserved()}
    work.events.write("log", what="memory", peak_bytes={name: math.ceil(value) for name, value in peak.items()})
