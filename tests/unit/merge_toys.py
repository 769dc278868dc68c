"""Small random models and adapters with an effect, for the merge tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, Gemma2Config, LlamaConfig, MixtralConfig, Qwen2Config

from engine.merge.stream import MergeReport, Saving, merge_adapter

LINEAR = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
VOCABULARY = 96
_SIZES: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "vocab_size": VOCABULARY,
    "max_position_embeddings": 64,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}
_CONFIGS = {"llama": LlamaConfig, "qwen2": Qwen2Config, "gemma2": Gemma2Config, "mixtral": MixtralConfig}
PROMPTS = [[5, 6, 7, 8, 9, 10], [20, 21, 22]]


def save_base(
    folder: Path, kind: str = "llama", *, tied: bool = False, dtype: str = "float32", shard: str = "5GB", **more: Any
) -> Path:
    """A random model with every weight away from its neat initial value (norms of one, biases of zero)."""
    torch.manual_seed(11)
    config = _CONFIGS[kind](**(_SIZES | more), tie_word_embeddings=tied)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    model.to(getattr(torch, dtype)).save_pretrained(folder, max_shard_size=shard)
    (folder / "tokenizer.json").write_text('{"of": "base"}')
    return folder


def save_adapter(folder: Path, base: Path, scale: float = 0.1, **lora: Any) -> Path:
    """A LoRA adapter whose tensors are all random, so that forgetting any of them shows."""
    torch.manual_seed(12)
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    settings: dict[str, Any] = {"r": 4, "lora_alpha": 8, "target_modules": LINEAR, "task_type": "CAUSAL_LM"} | lora
    tuned = get_peft_model(model, LoraConfig(**settings))
    with torch.no_grad():
        for parameter in tuned.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter) * scale)
    tuned.save_pretrained(folder)
    return folder


def merge(base: Path, adapter: Path, out: Path, **options: Any) -> MergeReport:
    """`options`: of the merge or of how it is saved."""
    own = {name: options.pop(name) for name in ("quantisation", "types") if name in options}
    return merge_adapter(base, adapter, out, saving(**options), **own)


def saving(**options: Any) -> Saving:
    return Saving(**({"progress": lambda done, total: None, "should_stop": lambda: False} | options))


def tensors(folder: Path) -> dict[str, torch.Tensor]:
    """All tensors of a folder, read by the safetensors library."""
    return {name: tensor for file in sorted(folder.glob("*.safetensors")) for name, tensor in load_file(file).items()}


def by_peft(base: Path, adapter: Path, folder: Path, dtype: str) -> dict[str, torch.Tensor]:
    """The independent answer: peft's own merge of the whole model in fp32, cast once."""
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    merged = PeftModel.from_pretrained(model, str(adapter)).merge_and_unload()
    merged.to(getattr(torch, dtype)).save_pretrained(folder)
    return tensors(folder)


@torch.no_grad()
def tuned_logits(base: Path, adapter: Path) -> torch.Tensor:
    """Base + adapter unmerged, in fp32."""
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    return PeftModel.from_pretrained(model, str(adapter)).eval()(torch.tensor(PROMPTS[:1])).logits


@torch.no_grad()
def plain_logits(folder: Path) -> torch.Tensor:
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    return model.eval()(torch.tensor(PROMPTS[:1])).logits
