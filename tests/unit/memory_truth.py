"""What a real step allocates, by torch.profiler's allocation events: a source that knows nothing of our tracing."""

from __future__ import annotations

import gc
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from torch.profiler import ProfilerActivity, profile
from transformers import AutoConfig, AutoModelForCausalLM

from engine.memory.job import Recipe, StepPlan
from engine.train.attention import NAME, packed_rows
from engine.train.model import skip_adapter_casts
from engine.train.packing import Tokens, install_packed_forward, packed_inputs
from engine.train.recompute import recompute_layers


def real_peak(config: dict[str, Any], recipe: Recipe, plan: StepPlan) -> int:
    """Bytes at the peak of a second step, of two rows: what was there before it, and what the profiler counted."""
    model = _real_model(config, recipe, plan)
    trained = [one for one in model.parameters() if one.requires_grad]
    optimiser = torch.optim.AdamW(trained, lr=1e-3, foreach=False)
    inputs = _packed(plan) if recipe.packed else _padded(recipe, plan)

    def row() -> None:
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=recipe.autocast is not None):
            loss = model(**inputs)["loss"] * torch.ones(())
        loss.backward()

    gc.disable()
    try:
        with packed_rows():
            row()
            optimiser.step()
            optimiser.zero_grad()
            with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as found:
                row()
                row()
                optimiser.step()
    finally:
        gc.enable()
    now = most = 0
    for event in found.profiler.kineto_results.events():
        if event.name() == "[memory]":
            now += event.nbytes()
            most = max(most, now)
    moments = [piece for state in optimiser.state.values() for piece in state.values()]
    there = (*model.parameters(), *model.buffers(), *moments)
    return most + sum({one.untyped_storage()._cdata: one.untyped_storage().nbytes() for one in there}.values())


def _real_model(config: dict[str, Any], recipe: Recipe, plan: StepPlan) -> Any:
    torch.manual_seed(0)
    made = AutoConfig.for_model(**config)
    made.use_cache = False
    name = (NAME if recipe.packed else "sdpa") if recipe.attention == "sdpa" else recipe.attention
    model = AutoModelForCausalLM.from_config(made, dtype=getattr(torch, recipe.base), attn_implementation=name)
    install_packed_forward(model)
    if recipe.method == "freeze":
        model.requires_grad_(False)
        model.model.layers[-recipe.trained_layers :].requires_grad_(True)
    if recipe.method == "lora":
        adapter = LoraConfig(
            task_type="CAUSAL_LM",
            r=recipe.rank,
            lora_dropout=recipe.dropout,
            target_modules=list(recipe.targets),
            use_dora=recipe.dora,
            modules_to_save=list(recipe.saved) or None,
        )
        model = get_peft_model(model, adapter)
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.to(getattr(torch, recipe.trained))
    recompute_layers(model, plan.recompute)
    if recipe.autocast:
        skip_adapter_casts(model)
    return model.train()


def _packed(plan: StepPlan) -> dict[str, Any]:
    ids = torch.arange(plan.row_tokens) % 500
    return {**packed_inputs([Tokens(ids, ids)]), "chunk": plan.chunk}


def _padded(recipe: Recipe, plan: StepPlan) -> dict[str, Any]:
    width = plan.row_tokens // recipe.micro_batch
    ids = torch.arange(width)[None].repeat(recipe.micro_batch, 1) % 500
    mask = torch.ones_like(ids)
    mask[0, -width // 4 :] = 0
    labels = ids.masked_fill(mask == 0, -100)
    return {"input_ids": ids, "labels": labels, "attention_mask": mask, "num_items_in_batch": torch.tensor(ids.numel())}
