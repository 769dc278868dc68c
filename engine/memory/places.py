"""Where a job runs: the GPU with most free memory, or the processor."""

from __future__ import annotations

from engine.config.schema import TrainConfig
from engine.hardware import Hardware, Host
from engine.memory.job import Device


def device_of(config: TrainConfig | None, hardware: Hardware, host: Host) -> tuple[Device, tuple[Device, ...]]:
    """(the device that a run would take, the other GPUs): the GPU with most free memory, else the processor."""
    cards = sorted(hardware.gpus, key=lambda gpu: -gpu.free)
    if not cards or (config and config.use_cpu):
        return Device("cpu", host.cpu, host.memory, host.free), ()
    devices = [Device("cuda", gpu.name, gpu.total, gpu.free, gpu.uuid, gpu.capability or (0, 0)) for gpu in cards]
    return devices[0], tuple(devices[1:])
