"""What there is to compute with, without torch: GPUs through NVML, the processor, and the memory that is free."""

from engine.hardware.probing import every_gpu, probe, visible_device
from engine.hardware.processor import cpu_has_fast_bf16, host
from engine.hardware.report import GIB, Finding, Gpu, GpuProcess, Hardware, Host

__all__ = [
    "GIB",
    "Finding",
    "Gpu",
    "GpuProcess",
    "Hardware",
    "Host",
    "cpu_has_fast_bf16",
    "every_gpu",
    "host",
    "probe",
    "visible_device",
]
