"""The preset for a model, its data and the memory that is free, by the fast estimate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from engine.hardware import GIB
from engine.memory.job import DataShape, Device
from engine.memory.presets import Fits, imagined, recommend, shipped_presets
from engine.memory.recommended import known_model, recommended_models
from engine.memory.starting import job_fits

CHAT = DataShape(samples=1000, tokens=400_000, labelled=200_000, longest=1500)
UNCOUNTED = DataShape(samples=0, tokens=0, labelled=0, longest=0, counted=False)
PRESETS = {preset.name: preset for preset in shipped_presets()}


def device(free: float) -> Device:
    return Device("cuda", "Card", int(free * GIB), int(free * GIB), capability=(8, 0))


def fits(
    name: str, free: float, data: DataShape = CHAT, settings: Mapping[str, Any] | None = None, factor: float = 1.0
) -> Fits:
    model = known_model(name)
    assert model
    return job_fits(model.shape(), data, device(free), settings, lambda place, recipe: factor)


@pytest.mark.parametrize("free", [7.5, 10.5, 11.5, 15.5, 22, 23.5, 31, 39.4, 44.5, 79.1, 94, 139.8])
def test_the_recommended_model_trains_with_the_preset_of_the_memory(free: float) -> None:
    """Two rules of thumb agree with the estimate: Enter, Enter makes a job that fits, on chats of up to 1500 tokens."""
    model = recommended_models(int(free * GIB), "en", "cuda")[0]
    found = recommend(imagined(str(free)), fits(model.name, free))
    assert found.fits and found.preset is recommend(imagined(str(free))).preset


def test_a_model_too_large_for_the_presets_length_moves_down() -> None:
    """Qwen3-14B on 40 GB: 29.5e9 bytes of weights leave 12 GB, too few for samples of 8192 tokens and rank 32."""
    free = 33.0
    found = recommend(imagined("33"), fits("Qwen/Qwen3-14B", free, UNCOUNTED))
    assert found.fits and found.preset.name in ("8gb", "12gb", "16gb")
    assert "with the preset 24 GB it would not" in found.reason.say()


def test_a_model_larger_than_the_card_fits_with_none() -> None:
    found = recommend(imagined("24"), fits("Qwen/Qwen3-32B", 24))
    assert (found.preset.name, found.fits) == ("8gb", False)


def test_settings_that_stay_count() -> None:
    """In 4 bits a model of 32B takes 18 GB instead of 65."""
    assert fits("Qwen/Qwen3-32B", 24)(PRESETS["8gb"]) is None
    assert fits("Qwen/Qwen3-32B", 24, settings={"quantization_bit": 4})(PRESETS["8gb"]) is not None


def test_the_estimate_is_that_of_the_plan_that_would_run() -> None:
    """A row holds at most a step's samples, and a shorter cutoff cuts what is longer."""
    need = fits("Qwen/Qwen3-4B-Instruct-2507", 16)(PRESETS["16gb"])
    assert need and need.level == "fast" and 1500 <= need.plan.row_tokens <= 2 * 4 * 1500
    assert need.needed == pytest.approx(16 * GIB, rel=0.15)  # what is free is used, but for a margin
    short = fits("Qwen/Qwen3-4B-Instruct-2507", 16)(PRESETS["8gb"])
    assert short and short.plan.row_tokens <= 8 * 1024


def test_samples_are_as_long_as_cutoff_len_where_they_were_not_counted() -> None:
    need = fits("Qwen/Qwen3-0.6B", 24, UNCOUNTED)(PRESETS["24gb"])
    assert need and need.plan.row_tokens >= 4096


def test_what_this_machine_measured_counts() -> None:
    """Where a step took twice what was said, a plan that needs less is chosen."""
    first = fits("Qwen/Qwen3-8B", 22)(PRESETS["8gb"])
    second = fits("Qwen/Qwen3-8B", 22, factor=2.0)(PRESETS["8gb"])
    assert first and second and (first.factor, second.factor) == (1.0, 2.0)
    assert (second.plan.recompute, -second.plan.row_tokens) > (first.plan.recompute, -first.plan.row_tokens)
