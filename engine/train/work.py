"""The train step of a run: tokens, model, self-check, loop, outputs."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import msgspec
import torch
from transformers.integrations import TensorBoardCallback
from transformers.trainer_callback import EarlyStoppingCallback, PrinterCallback, ProgressCallback

from engine.config.schema import TrainConfig
from engine.data.gate import gate
from engine.data.prepare import Prepared, prepare
from engine.data.sets import EVAL
from engine.data.tokenized import is_tokenized, save_tokenized
from engine.errors import Problem, StopRequested
from engine.memory.job import StepPlan
from engine.outputs import mark_finished, mark_started
from engine.runs.worker import Work
from engine.text import Phrase, verbatim
from engine.train import selfcheck
from engine.train.arguments import check_trackers, tracker_surroundings, trackers, training_arguments
from engine.train.attention import NAME
from engine.train.batches import Pad, TokenRows
from engine.train.before import check_disk, resume_from
from engine.train.footing import Footing, find_footing
from engine.train.losses import chosen_loss
from engine.train.methods import asked_attention, base_of, prepare_model
from engine.train.metrics import require_packages
from engine.train.model import skip_adapter_casts
from engine.train.optimisers import check_optimiser, own_optimiser
from engine.train.pissa import save_start
from engine.train.positions import positions_of
from engine.train.precision import Precision, choose_precision, stored_dtype
from engine.train.predict import PromptRows, Writer, generation_settings, while_training
from engine.train.probe import CudaMeter, Probe
from engine.train.quantised import held
from engine.train.recompute import recompute_layers
from engine.train.reporting import Reporter, record_memory
from engine.train.results import measure, predict, save_story, save_trained
from engine.train.shortage import Recovery
from engine.train.trainer import StepTrainer
from engine.train.whole import is_adapter


def run(work: Work) -> None:
    """Train what work.config["train"] says. Raises StopRequested after a checkpoint, ProblemError otherwise."""
    spec = work.config["train"]
    config = msgspec.convert(spec["config"], TrainConfig)
    check_trackers(config)
    check_optimiser(config)
    if config.predict_with_generate:
        require_packages()
    output = Path(config.output_dir)
    output.mkdir(parents=True, exist_ok=True)
    work.lock(output)
    mark_started(output, spec["fingerprint"], work.run.path)
    device = torch.device("cpu" if config.use_cpu or not torch.cuda.is_available() else "cuda")

    work.phase("tokenising")
    base, force = Path(spec["model_path"]), bool(work.config.get("force"))
    prepared = prepare(
        config,
        base,
        hashes=spec["data_sha256"],
        progress=lambda done, total: work.progress(done, total, "rows"),
        should_stop=work.should_stop,
        force=force,
    )
    tell_data(work, prepared)
    for problem in gate(prepared, config, base, force=force):
        work.warn(problem)

    if config.tokenized_path and not is_tokenized(config):
        pad = prepared.tokenizer.pad_token_id
        save_tokenized(Path(config.tokenized_path), config, prepared.sets, pad_id=pad, data_sha256=spec["data_sha256"])

    work.poll()
    work.phase("loading")
    model, precision = _model(work, config, spec, device, prepared.tokenizer)
    positions = positions_of(base_of(model).config, config.rope_scaling)
    mark_started(output, spec["fingerprint"], work.run.path, held(model), positions)
    work.poll()
    packed, footing = True, None
    if config.do_train:
        packed, footing = _choose_step(work, config, spec, model, prepared, precision)
    trainer = _trainer(work, config, spec, model, prepared, precision, packed, footing)
    reporter = Reporter(work, output, trainer)
    trainer.add_callback(reporter)
    if "tensorboard" in trackers(config):
        trainer.add_callback(TensorBoardCallback())
    try:
        if config.do_train:
            _train(work, config, trainer, reporter, prepared)
        if prepared.held_back:
            measure(work, config, trainer, reporter)
        if config.do_predict:
            predict(work, trainer, prepared.prompts, output)
    finally:
        record_memory(work, device, footing.predict(trainer.plan) if footing else None)
    if config.do_train:
        save_story(config, trainer, output)
    mark_finished(output)
    if config.do_train:
        work.made("adapter" if is_adapter(model) else "model", output)


def _train(work: Work, config: TrainConfig, trainer: StepTrainer, reporter: Reporter, prepared: Prepared) -> None:
    """All steps, and what was learnt saved. Raises StopRequested after the checkpoint that a stop leaves behind."""
    output = Path(config.output_dir)
    resume = resume_from(work, config, output)
    check_disk(config, trainer.model, len(prepared.train), output)
    if config.pissa_convert:
        save_start(trainer.model, output)
    if resume is None:
        (output / "trainer_log.jsonl").unlink(missing_ok=True)
    started = time.monotonic()
    result = trainer.train(resume_from_checkpoint=str(resume) if resume else None)
    if reporter.stopped:
        raise StopRequested
    work.phase("saving")
    save_trained(config, trainer, output, prepared.train, result.metrics)
    work.events.write("log", what="figures", train_seconds=round(time.monotonic() - started, 2), tokens=reporter.tokens)


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
    if precision.autocast:
        skip_adapter_casts(wrapped)
    return wrapped, precision


def _packs(
    work: Work,
    config: TrainConfig,
    spec: dict[str, Any],
    model: torch.nn.Module,
    prepared: Prepared,
    precision: Precision,
) -> tuple[bool, float | None]:
    """(packed rows or padded micro-batches, the difference that the self-check found)."""
    base, rows = base_of(model), TokenRows(prepared.train)
    reason = selfcheck.suitable(base, spec["passed"])
    if "lomo" in config.optim:  # moves the weights inside backward, of which a packed step has several
        reason = Phrase("{key} is set", {"key": f"optim: {config.optim}"})
    if base.config._attn_implementation != NAME:
        reason = asked_attention(config) or Phrase("its attention cannot be replaced")
    difference = None
    if not reason:
        work.phase("checking")
        try:
            samples = [rows.tokens(index) for index in range(min(len(rows), 64))]
            found = selfcheck.check(model, samples, model.device, precision.autocast, rows.encoded.report.longest)
            reason, difference = found.reason, found.difference
        except torch.OutOfMemoryError:
            raise
        except (RuntimeError, TypeError, ValueError, AttributeError, NotImplementedError) as error:
            reason = verbatim(f"{type(error).__name__}: {error}")
    if reason:
        work.warn(Problem("step_padded", {"reason": reason}, severity="warning"))
        if base.config._attn_implementation == NAME:
            base.set_attn_implementation("sdpa" if getattr(base, "_supports_sdpa", True) else "eager")
    return not reason, difference


def _choose_step(
    work: Work,
    config: TrainConfig,
    spec: dict[str, Any],
    model: torch.nn.Module,
    prepared: Prepared,
    precision: Precision,
) -> tuple[bool, Footing]:
    """(packed rows or padded micro-batches, the plan of a step and what it rests on); the model recomputes so."""
    packed, difference = _packs(work, config, spec, model, prepared, precision)
    path = Path(spec["model_path"])
    footing = find_footing(config, spec["passed"], path, model, prepared, packed, work.warn)
    recompute_layers(model, footing.plan.recompute)
    micro_batches = "packed" if packed else "padded"
    work.events.write("log", what="step", micro_batches=micro_batches, difference=difference, **footing.figures())
    return packed, footing


def _trainer(
    work: Work,
    config: TrainConfig,
    spec: dict[str, Any],
    model: torch.nn.Module,
    prepared: Prepared,
    precision: Precision,
    packed: bool,
    footing: Footing | None,
) -> StepTrainer:
    tracker_surroundings(config, work.run.path, work.run.tensorboard, spec["passed"])
    sets: dict[str, Any] = {name: TokenRows(encoded) for name, encoded in prepared.evaluations.items()}
    sets |= {name: PromptRows(prompts) for name, prompts in prepared.prompts.items()}
    arguments = training_arguments(config, spec["passed"], precision, model.device, list(sets))
    pad = prepared.tokenizer.pad_token_id
    recovery = _recovery(work, config, footing)
    trainer = StepTrainer(
        model=model,
        args=arguments,
        train_dataset=TokenRows(prepared.train) if config.do_train else None,
        eval_dataset=sets[EVAL] if list(sets) == [EVAL] else sets or None,
        data_collator=Pad(pad),
        processing_class=prepared.tokenizer,
        packed=packed,
        plan=footing.plan if footing else StepPlan(0),
        recovery=recovery,
        before_first=_probe(work, footing, recovery) if footing else None,
        keep_checkpoints=config.save_total_limit,
        base_name=spec["model_name"],
        should_stop=work.should_stop,
        token_loss=chosen_loss(config, spec["passed"].get("label_smoothing_factor") or 0.0),
        accuracy=config.compute_accuracy,
        in_order=config.disable_shuffling,
        writer=_writer(work, config, prepared),
        writing=while_training(config),
        optimizers=(own_optimiser(config, model, arguments), None),
    )
    if config.early_stopping_steps:
        trainer.add_callback(EarlyStoppingCallback(config.early_stopping_steps))
    trainer.remove_callback(PrinterCallback)
    trainer.remove_callback(ProgressCallback)
    generation = trainer.model.generation_config
    generation.eos_token_id = prepared.stop_ids if len(prepared.stop_ids) > 1 else prepared.stop_ids[0]
    generation.pad_token_id = pad
    return trainer


def _recovery(work: Work, config: TrainConfig, footing: Footing | None) -> Recovery | None:
    """Who answers shortages of memory; nobody where the weights move inside backward: a step cannot be redone then."""
    if "lomo" in config.optim:
        return None
    return Recovery(work.warn, footing.layers if footing else 0, bool(footing and footing.may_recompute))


def _probe(work: Work, footing: Footing, recovery: Recovery | None) -> Probe | None:
    """The measurement before step 1, on a GPU."""
    if recovery is None or footing.device.kind != "cuda":
        return None
    return Probe(CudaMeter(), recovery, footing.state, footing.predict_row, work.events.write, footing.learn)


def _writer(work: Work, config: TrainConfig, prepared: Prepared) -> Writer | None:
    """Who writes the answers of the sets of prompts, where there are any."""
    if not prepared.prompts:
        return None
    return Writer(
        prepared.tokenizer,
        generation_settings(config, prepared.stop_ids, prepared.tokenizer.pad_token_id),
        config.per_device_eval_batch_size,
        config.skip_special_tokens,
        progress=lambda done, total: work.progress(done, total, "rows"),
        should_stop=work.should_stop,
    )
