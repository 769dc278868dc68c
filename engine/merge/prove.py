"""Is the merged model base + adapter? Asked of the files on disk, after the merge."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from peft import PeftModel

from engine.errors import Problem
from engine.merge.base import Base, open_base
from engine.merge.check import TensorCheck, check_tensors
from engine.merge.forecast import BITSANDBYTES_BYTES, DEQUANTISE_BYTES, IMPORTS_BYTES
from engine.merge.forward import Weights, attached, largest_leaf_bytes, logits
from engine.merge.inputs import stored_dtype
from engine.merge.names import NotStreamableError, map_names
from engine.merge.plan import Plan, make_plan, plan_copies
from engine.merge.quantised import Quantisation
from engine.merge.safetensors_io import ITEMSIZE, Checkpoint
from engine.merge.skeleton import empty_model, load_skeleton
from engine.merge.whole import load_whole
from engine.text import Phrase

ALLOWED_RATIO = 0.1
_BUFFERS_BYTES = 128 << 20
_EXPERT_KEYS = ("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts")


@dataclass
class Proof:
    """What was compared and how it came out.

    `method` is logits (answers and every tensor), tensors (tensors alone, a note says why) or none (a note says why).
    `error` and `adapter_effect` are mean Kullback-Leibler divergences in nats a prompt token, of merged from tuned and
    of base from tuned; `ratio` is their quotient, None where it is not finite or was not measured. `passed`: all
    checked tensors are right and the ratio is at most 0.1, or above it for no other reason than rounding to 16 bits,
    which a note says. `changes_nothing`: the adapter moves no weight.
    """

    method: Literal["logits", "tensors", "none"]
    passed: bool
    changes_nothing: bool
    tensors_checked: int
    tokens: int
    error: float | None = None
    adapter_effect: float | None = None
    ratio: float | None = None
    seconds: float = 0.0
    notes: list[Problem] = field(default_factory=list)


def prove(
    base: Path,
    adapter: Path,
    out: Path,
    *,
    prompts: list[list[int]],
    memory_limit_bytes: int | None,
    dtype: str | None = None,
    trust_remote_code: bool = False,
    quantisation: Quantisation | None = None,
    types: Mapping[str, str] | None = None,
) -> Proof:
    """Compare the merged folder `out` with base + adapter *unmerged*, in fp32 arithmetic, on token ids.

    `prompts`: a few short ones (32 to 64 tokens in all say enough; memory grows with tokens times vocabulary).
    `memory_limit_bytes` bounds the whole process; where the answers do not fit, tensors alone are checked. `dtype`,
    `quantisation` and `types` are those given to the merge; a base that was quantised is the dequantised one here.

    Why the divergence, KL(tuned || other), and not a difference of logits: rounding to bf16 shows as noise in every
    logit, most of them of words that the model never says, so the largest or the root mean square of a hundred
    thousand differences is 20 to 40 % of a short training's effect although every weight is rounded as it should be.
    The divergence weighs each difference by how likely the word is, and is zero only where the answers are the same.

    Raises ConfigError as the merge does.
    """
    started = time.monotonic()
    opened = open_base(base, adapter, trust_remote_code=trust_remote_code, quantisation=quantisation, types=types)
    with opened as before, Checkpoint.of_model(out) as after:
        try:
            skeleton = load_skeleton(base, adapter, trust_remote_code, before.vocabulary)
            plan = make_plan(before, skeleton, stored_dtype(dtype))
            checked = check_tensors(before, after, plan)
        except NotStreamableError as reason:
            proof = _whole(base, adapter, out, before, str(reason), prompts, memory_limit_bytes, trust_remote_code)
        else:
            proof = _proof(base, out, before, after, plan, checked, prompts, memory_limit_bytes, trust_remote_code)
    proof.seconds = time.monotonic() - started
    return proof


def prove_copy(base: Path, out: Path, *, dtype: str | None = None) -> Proof:
    """Compare a model that was only written again with what it was written from, byte by byte or value by value."""
    started = time.monotonic()
    with Checkpoint.of_model(base) as before, Checkpoint.of_model(out) as after:
        checked = check_tensors(before, after, plan_copies(before, stored_dtype(dtype)))
    proof = Proof("tensors", not checked.wrong, False, checked.checked, 0)
    proof.notes += _wrong(checked)
    proof.seconds = time.monotonic() - started
    return proof


def _wrong(checked: TensorCheck) -> list[Problem]:
    if not checked.wrong:
        return []
    name, reason = checked.wrong[0]
    return [Problem("merge_proof_tensors", {"count": len(checked.wrong), "tensor": name, "reason": reason})]


def _proof(
    base: Path,
    out: Path,
    before: Base,
    after: Checkpoint,
    plan: Plan,
    checked: TensorCheck,
    prompts: list[list[int]],
    memory_limit: int | None,
    trust_remote_code: bool,
) -> Proof:
    proof = Proof("tensors", not checked.wrong, False, checked.checked, 0)
    proof.notes += _wrong(checked)
    if checked.wrong and not checked.checked:
        return proof
    proof.changes_nothing = not checked.changes
    if proof.changes_nothing:
        proof.notes.append(Problem("merge_changes_nothing", severity="warning"))
    why = _why_not_logits(plan, prompts, memory_limit, before.quantisation is not None)
    if why is None:
        with suppress(NotStreamableError):
            answers = _answers(base, out, before, after, plan, prompts, trust_remote_code)
            if all(bool(torch.isfinite(part).all()) for part in answers[:2]):
                return _judge(proof, answers, after)
        why = Phrase("the model uses weights in a way that cannot be followed module by module")
    proof.notes.append(Problem("merge_proof_tensors_only", {"reason": why}, severity="note"))
    return proof


def _why_not_logits(plan: Plan, prompts: list[list[int]], memory_limit: int | None, quantised: bool) -> Phrase | None:
    model = plan.skeleton.model
    configs = [model.config, getattr(model.config, "text_config", None)]
    if any((getattr(config, key, None) or 0) > 1 for config in configs for key in _EXPERT_KEYS):
        # measured on a Mixtral toy: 20-30 % of the effect although every tensor was right
        return Phrase("rounding can switch a token to another expert, which drowns the comparison")
    if not any(prompts):
        return Phrase("there was no prompt")
    adapter = sum(p.numel() * 4 for p in plan.skeleton.peft_model.parameters() if p.untyped_storage().nbytes() > 4)
    vocabulary = max(shape[0] for shape in plan.skeleton.shapes.values() if shape)
    answers = 5 * 4 * sum(map(len, prompts)) * vocabulary  # base, tuned, merged and two temporaries
    largest = 6 * largest_leaf_bytes(model, plan.skeleton.units)
    needed = IMPORTS_BYTES + _BUFFERS_BYTES + adapter + answers + largest + (_dequantising(plan) if quantised else 0)
    if memory_limit is not None and needed > memory_limit:
        figures = {"needed": f"{needed / 1e9:.1f}", "allowed": f"{memory_limit / 1e9:.1f}"}
        return Phrase("that needs {needed} GB of memory and {allowed} GB are allowed", figures)
    return None


def _dequantising(plan: Plan) -> int:
    """Bytes that two passes over dequantised weights hold: each the last tensor, as it is stored and in 32 bits."""
    largest = max(4 * math.prod(shape) for shape in plan.skeleton.shapes.values())
    return BITSANDBYTES_BYTES + 2 * (DEQUANTISE_BYTES + 2 * largest)


_Answers = tuple[torch.Tensor, torch.Tensor, torch.Tensor]  # base, tuned, merged: (tokens, vocabulary)


def _answers(
    base: Path,
    out: Path,
    before: Base,
    after: Checkpoint,
    plan: Plan,
    prompts: list[list[int]],
    trust_remote_code: bool,
) -> _Answers:
    """Three forward passes side by side, one torch thread each: small matrices gain nothing from OpenMP, and on a
    busy machine its barriers made this ten times slower.
    """
    skeleton = plan.skeleton
    tuned = (skeleton.peft_model.eval(), skeleton.units, Weights(before, plan.names, skeleton.tied))
    passes = [_plain(base, before, trust_remote_code, before.vocabulary), tuned, _plain(out, after, trust_remote_code)]

    def answer(one: tuple[Any, dict[str, Any], Weights]) -> torch.Tensor:
        torch.set_num_threads(1)
        model, units, weights = one
        with attached(skeleton.model if units else model, units, weights):
            return logits(model, [prompt for prompt in prompts if prompt])

    threads = torch.get_num_threads()
    try:
        with ThreadPoolExecutor(min(len(passes), os.cpu_count() or 1), thread_name_prefix="prove") as pool:
            of_base, of_tuned, of_merged = pool.map(answer, passes)
    finally:
        torch.set_num_threads(threads)
    return of_base, of_tuned, of_merged


def _plain(
    folder: Path, checkpoint: Checkpoint, trust_remote_code: bool, vocabulary: int | None = None
) -> tuple[Any, dict[str, Any], Weights]:
    model = empty_model(folder, trust_remote_code, vocabulary)
    shapes = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    tied = dict(getattr(model, "all_tied_weights_keys", None) or {})
    return model, {}, Weights(checkpoint, map_names(model, checkpoint.tensors, shapes), tied)


def _judge(proof: Proof, answers: _Answers, after: Checkpoint) -> Proof:
    base, tuned, merged = answers
    proof.method = "logits"
    proof.tokens = len(base)
    error, effect = _divergence(tuned, merged), _divergence(tuned, base)
    ratio = error / effect if effect else (0.0 if error == 0 else math.inf)
    if not math.isfinite(error):
        ratio = math.inf
    proof.error = error if math.isfinite(error) else None
    proof.adapter_effect = effect
    proof.ratio = ratio if math.isfinite(ratio) else None
    if ratio > ALLOWED_RATIO and not proof.changes_nothing:
        # Every tensor is the nearest 16-bit one: the merge is right, though the numbers are too coarse for the adapter.
        rounded = proof.passed and proof.tensors_checked > 0 and proof.ratio is not None
        rounded = rounded and any(t.dtype in ("F16", "BF16") for t in after.tensors.values())
        dtype = "16 bits" if rounded else "32 bits"
        params = {"percent": _percent(ratio), "allowed": round(100 * ALLOWED_RATIO), "dtype": dtype}
        code, severity = ("merge_proof_rounding", "warning") if rounded else ("merge_proof_logits", "error")
        proof.notes.append(Problem(code, params, severity=severity))  # type: ignore[arg-type]
        proof.passed = rounded
    return proof


def _divergence(tuned: torch.Tensor, other: torch.Tensor) -> float:
    """Mean over tokens of KL(tuned || other) in nats; in double precision, a token at a time to spare memory."""
    total = 0.0
    for one, two in zip(tuned, other, strict=True):
        p, q = one.double().log_softmax(-1), two.double().log_softmax(-1)
        total += (p.exp() * (p - q)).sum().item()
    return max(0.0, total / len(tuned)) if math.isfinite(total) else math.nan


def _percent(ratio: float) -> float | str:
    return float(f"{100 * ratio:.3g}") if math.isfinite(ratio) else "over 100"


def _whole(
    base: Path,
    adapter: Path,
    out: Path,
    before: Checkpoint,
    reason: str,
    prompts: list[list[int]],
    memory_limit: int | None,
    trust_remote_code: bool,
) -> Proof:
    """For models merged in memory: the same comparison with whole models, one after the other."""
    needed = IMPORTS_BYTES + 4 * sum(stored.nbytes // ITEMSIZE[stored.dtype] for stored in before.tensors.values())
    prompts = [prompt for prompt in prompts if prompt]
    if not prompts or (memory_limit is not None and needed > memory_limit):
        why = Phrase(
            "its weights cannot be followed one by one ({reason}) and the whole model needs {needed} GB",
            {"reason": reason, "needed": f"{needed / 1e9:.1f}"},
        )
        return Proof("none", False, False, 0, 0, notes=[Problem("merge_proof_none", {"reason": why})])
    tuned_model = PeftModel.from_pretrained(load_whole(base, trust_remote_code), str(adapter)).eval()
    tuned = logits(tuned_model, prompts)
    with tuned_model.disable_adapter():
        plain = logits(tuned_model, prompts)
    del tuned_model
    merged = logits(load_whole(out, trust_remote_code), prompts)
    nothing = torch.equal(plain, tuned)
    proof = Proof("logits", True, nothing, 0, 0)
    if nothing:
        proof.notes.append(Problem("merge_changes_nothing", severity="warning"))
    with Checkpoint.of_model(out) as after:
        return _judge(proof, (plain, tuned, merged), after)
