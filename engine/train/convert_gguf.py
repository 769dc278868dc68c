"""Worker: a GGUF file to a model folder of bf16 safetensors that every tool loads.

python -m engine.train.convert_gguf FILE.gguf OUT
"""

from __future__ import annotations

import sys
from copy import deepcopy
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer


def convert(gguf: Path, out: Path) -> None:
    """Dequantise to fp32, round once to bf16, save weights, tokenizer, chat template and generation config."""
    source = {"gguf_file": gguf.name}
    tokenizer = AutoTokenizer.from_pretrained(gguf.parent, **source)
    dequantised = AutoModelForCausalLM.from_pretrained(gguf.parent, dtype=torch.float32, **source)
    # save_pretrained refuses a model that says it is quantised: build its twin from a config that does not.
    config = deepcopy(dequantised.config)
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    config.dtype = torch.bfloat16
    model = type(dequantised)(config)
    model.load_state_dict(dequantised.state_dict())
    model.tie_weights()
    model.to(torch.bfloat16)
    model.generation_config = dequantised.generation_config
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)


if __name__ == "__main__":
    convert(Path(sys.argv[1]), Path(sys.argv[2]))
