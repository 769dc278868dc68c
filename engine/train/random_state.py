"""Torch's random numbers, to be drawn again: of the processor and of one GPU."""

from __future__ import annotations

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class RandomState:
    """Where torch's generators stood. gpu: None where the device is none."""

    device: torch.device
    cpu: torch.Tensor
    gpu: torch.Tensor | None

    @classmethod
    def now(cls, device: torch.device) -> RandomState:
        """The state for what runs on `device`."""
        gpu = torch.cuda.get_rng_state(device) if device.type == "cuda" else None
        return cls(device, torch.get_rng_state(), gpu)

    def put_back(self) -> None:
        """What is drawn next is what was drawn next then."""
        torch.set_rng_state(self.cpu)
        if self.gpu is not None:
            torch.cuda.set_rng_state(self.gpu, self.device)
