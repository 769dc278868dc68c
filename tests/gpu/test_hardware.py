"""On a CUDA device: what NVML tells without torch is what torch finds."""

from __future__ import annotations

import time

import pynvml
import pytest
import torch

from engine.hardware import probe
from engine.hardware.torch_build import obstacle, torch_build

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


def test_the_report_is_what_torch_finds() -> None:
    gpus = {gpu.uuid: gpu for gpu in probe().gpus}
    for index in range(torch.cuda.device_count()):
        there = torch.cuda.get_device_properties(index)
        gpu = next(gpu for uuid, gpu in gpus.items() if uuid.endswith(str(there.uuid)))
        assert gpu.capability == (there.major, there.minor)
        free, total = torch.cuda.mem_get_info(index)
        # CUDA's total lacks what the driver keeps; its own context is in our `used` by now.
        assert gpu.total == pytest.approx(total, rel=0.03)
        assert gpu.free == pytest.approx(free, abs=1 << 30)


def test_a_torch_that_runs_has_no_obstacle() -> None:
    build = torch_build()
    assert build is not None and torch.version.cuda == "{}.{}".format(*build.cuda)
    assert obstacle(build, probe()) is None


def test_a_probe_takes_less_than_a_tenth_of_a_second() -> None:
    pynvml.nvmlInit()  # counted: NVML shuts down when the last one does
    try:
        probe()
        begun = time.perf_counter()
        probe()
        assert time.perf_counter() - begun < 0.1
    finally:
        pynvml.nvmlShutdown()
