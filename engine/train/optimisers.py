"""Optimisers that Trainer does not build by itself: LoRA+ groups, Muon; and whether it has the one asked for."""

from __future__ import annotations

import math
from collections.abc import Callable, Container
from typing import Any

import torch
import transformers
from transformers import Trainer, TrainingArguments
from transformers.pytorch_utils import ALL_LAYERNORM_LAYERS
from transformers.trainer_pt_utils import get_parameter_names
from transformers.training_args import OptimizerNames

from engine.config.schema import TrainConfig
from engine.errors import EnvironmentProblem, Problem

_QUINTIC = (3.4445, -4.7750, 2.0315)  # Newton-Schulz coefficients of Muon


def check_optimiser(config: TrainConfig, known: Container[str] = ()) -> None:
    """Raise EnvironmentProblem for a name that other versions of transformers have, and not the installed one."""
    if config.optim not in (known or [one.value for one in OptimizerNames]):
        params = {"name": config.optim, "version": transformers.__version__}
        raise EnvironmentProblem(Problem("optimiser_too_new", params, "optim"))


def own_optimiser(
    config: TrainConfig, model: torch.nn.Module, arguments: TrainingArguments
) -> torch.optim.Optimizer | None:
    """The optimiser that the config asks for beyond Trainer's own; None for one of those."""
    if config.loraplus_lr_ratio:
        made, options = Trainer.get_optimizer_cls_and_kwargs(arguments, model)
        groups = lora_plus_groups(model, arguments, config.loraplus_lr_ratio, config.loraplus_lr_embedding)
        optimiser: torch.optim.Optimizer = made(groups, **options)
        return optimiser
    if config.use_muon:
        return Muon.of(model, arguments)
    return None


def lora_plus_groups(
    model: torch.nn.Module, arguments: TrainingArguments, ratio: float, embedding_rate: float
) -> list[dict[str, Any]]:
    """Parameter groups of LoRA+ (arXiv 2402.12354) as LLaMA-Factory divides them; groups without members left out.

    A matrices and whole modules at the learning rate; B matrices and vectors at ratio times it; B of embeddings at a
    rate of their own. No decay for norms and biases.
    """
    decayed = {name for name in get_parameter_names(model, ALL_LAYERNORM_LAYERS) if "bias" not in name}
    parts: dict[str, list[torch.nn.Parameter]] = {"a": [], "b": [], "b_plain": [], "embedding": []}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        if "lora_embedding_B" in name:
            parts["embedding"].append(parameter)
        elif "lora_B" in name or parameter.ndim == 1:
            parts["b" if name in decayed else "b_plain"].append(parameter)
        else:
            parts["a"].append(parameter)
    rate, decay = arguments.learning_rate, arguments.weight_decay
    settings = {"a": (rate, decay), "b": (rate * ratio, decay), "b_plain": (rate * ratio, 0.0)}
    settings["embedding"] = (embedding_rate, decay)
    return [
        {"params": members, "lr": settings[part][0], "weight_decay": settings[part][1]}
        for part, members in parts.items()
        if members
    ]


def stable_phase(arguments: TrainingArguments, steps: int) -> None:
    """Lengths that warmup_stable_decay needs, where lr_scheduler_kwargs leaves them out: as LLaMA-Factory, a third

    of what follows the warm-up is stable, the rest decays.
    """
    if arguments.lr_scheduler_type != "warmup_stable_decay":
        return
    given = arguments.lr_scheduler_kwargs
    rest = steps - arguments.get_warmup_steps(steps)
    lengths = {"num_stable_steps": rest // 3, "num_decay_steps": rest - rest // 3}
    arguments.lr_scheduler_kwargs = {**lengths, **(given if isinstance(given, dict) else {})}


class Muon(torch.optim.Optimizer):
    """Muon (Keller Jordan) for matrices inside the layers, AdamW for embeddings, head and vectors, in one optimiser.

    The update of a matrix is its momentum made orthogonal, times 0.2 sqrt(longer side) (Moonlight, arXiv 2502.16982),
    which makes AdamW's learning rates fit. Decay of all parameters alike, as in LLaMA-Factory.
    """

    def __init__(
        self,
        groups: list[dict[str, Any]],
        lr: float,
        weight_decay: float = 0.0,
        momentum: float = 0.95,
        steps: int = 5,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
    ):
        defaults = {"lr": lr, "weight_decay": weight_decay, "momentum": momentum, "steps": steps}
        super().__init__(groups, {**defaults, "betas": betas, "eps": eps, "matrices": False})

    @classmethod
    def of(cls, model: torch.nn.Module, arguments: TrainingArguments) -> Muon:
        """Muon over what of `model` learns."""
        matrices: list[torch.nn.Parameter] = []
        others: list[torch.nn.Parameter] = []
        for name, parameter in model.named_parameters():
            if parameter.requires_grad:
                inside = parameter.ndim == 2 and "embed" not in name and "lm_head" not in name
                (matrices if inside else others).append(parameter)
        groups = [{"params": matrices, "matrices": True}, {"params": others, "matrices": False}]
        betas = (arguments.adam_beta1, arguments.adam_beta2)
        return cls(
            [group for group in groups if group["params"]],
            lr=arguments.learning_rate,
            weight_decay=arguments.weight_decay,
            betas=betas,
            eps=arguments.adam_epsilon,
        )

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                parameter.mul_(1 - group["lr"] * group["weight_decay"])
                state = self.state[parameter]
                if group["matrices"]:
                    update, rate = _muon(parameter.grad, state, group), 0.2 * math.sqrt(max(parameter.shape))
                else:
                    update, rate = _adam(parameter.grad, state, group), 1.0
                parameter.add_(update.to(parameter.dtype), alpha=-group["lr"] * rate)
        return loss


def _muon(gradient: torch.Tensor, state: dict[str, Any], group: dict[str, Any]) -> torch.Tensor:
    """Nesterov momentum, made orthogonal."""
    buffer = state.setdefault("momentum_buffer", torch.zeros_like(gradient))
    buffer.mul_(group["momentum"]).add_(gradient)
    return orthogonal(gradient.add(buffer, alpha=group["momentum"]), group["steps"])


def orthogonal(matrix: torch.Tensor, steps: int) -> torch.Tensor:
    """Nearly U V^T of the matrix's singular value decomposition, by Newton-Schulz steps in bfloat16."""
    a, b, c = _QUINTIC
    found = matrix.bfloat16()
    tall = matrix.shape[0] > matrix.shape[1]
    found = found.T if tall else found
    found = found / (found.norm() + 1e-7)
    for _ in range(steps):
        square = found @ found.T
        found = a * found + (b * square + c * square @ square) @ found
    return found.T if tall else found


def _adam(gradient: torch.Tensor, state: dict[str, Any], group: dict[str, Any]) -> torch.Tensor:
    """AdamW's update, without its decay."""
    first, second = (state.setdefault(name, torch.zeros_like(gradient)) for name in ("exp_avg", "exp_avg_sq"))
    state["step"] = count = state.get("step", 0) + 1
    beta1, beta2 = group["betas"]
    first.lerp_(gradient, 1 - beta1)
    second.lerp_(gradient.square(), 1 - beta2)
    correction = math.sqrt(1 - beta2**count) / (1 - beta1**count)
    return correction * first / (second.sqrt() + group["eps"])


def base_rates(scheduler: Any) -> list[float]:
    """The learning rate of each group of parameters that the schedule scales; none of one that has no such rates."""
    return list(getattr(scheduler, "base_lrs", ()))  # ReduceLROnPlateau, a scheduler too, keeps none


def use_rates(optimizer: Any, scheduler: Any, wanted: list[float]) -> None:
    """Put these in the place of what a checkpoint brought back, at the place of the schedule that it brought back.

    Without this a rate that was lowered after a loss of NaN would be the old one again.
    """
    saved = base_rates(scheduler)
    if saved == wanted or len(saved) != len(wanted):
        return
    for group, new, old in zip(optimizer.param_groups, wanted, saved, strict=True):
        group["initial_lr"] = new
        group["lr"] = new * group["lr"] / old if old else new
    scheduler.base_lrs = wanted
    scheduler._last_lr = [group["lr"] for group in optimizer.param_groups]
