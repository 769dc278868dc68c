"""Which number format a run calculates in, and that it says so when it is not the one asked for."""

from __future__ import annotations

import pytest
import torch

from engine.config.schema import TrainConfig
from engine.train import precision
from engine.train.precision import choose_precision

CPU = torch.device("cpu")


def config(**more):
    return TrainConfig(model_name_or_path="m", dataset="d", output_dir="o", **more)


@pytest.fixture
def processor(monkeypatch):
    """A processor with these flags."""

    def of(flags):
        monkeypatch.setattr(precision.Path, "read_text", lambda self, *args, **kwargs: f"flags\t\t: fpu {flags}\n")

    return of


@pytest.mark.parametrize("asked", [{"bf16": True}, {"fp16": True}])
def test_a_cpu_without_fast_bfloat16_calculates_in_float32_and_says_so(processor, asked):
    """Emulated bfloat16 is several times slower than float32 and less exact."""
    processor("avx2 avx512f")
    chosen = choose_precision(config(**asked), CPU, torch.bfloat16)
    assert (chosen.load, chosen.autocast, chosen.compute) == (torch.float32, None, torch.float32)
    assert [(note.code, note.severity) for note in chosen.notes] == [("cpu_fp32", "note")]


@pytest.mark.parametrize("flag", ["avx512_bf16", "amx_bf16", "svebf16"])
def test_a_cpu_with_fast_bfloat16_uses_it(processor, flag):
    """Half the memory and more than twice the speed where the instructions are there."""
    processor(f"avx2 {flag}")
    chosen = choose_precision(config(bf16=True), CPU, torch.bfloat16)
    assert chosen.autocast == chosen.compute == torch.bfloat16
    assert [note.code for note in chosen.notes] == ["cpu_bf16"]


def test_float32_as_asked_needs_no_note(processor):
    """A note about nothing teaches people not to read notes."""
    processor("amx_bf16")
    chosen = choose_precision(config(), CPU, torch.bfloat16)
    assert (chosen.load, chosen.autocast, chosen.notes) == (torch.float32, None, ())
