"""A child of benchmarks/vram.py: steps traced in one process. {name: request} on its input, a line for each out."""

from __future__ import annotations

import json
import sys
import time

import torch

from engine.memory.trace_work import answer


def main() -> None:
    """A step that cannot be traced is a line on the error output."""
    torch.set_num_threads(1)
    for name, request in json.load(sys.stdin).items():
        started = time.monotonic()
        try:
            parts = answer(request)["parts"]
        except Exception as error:  # a model's own code may raise anything
            print(f"{name}: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
            continue
        seconds = round(time.monotonic() - started, 2)
        print(json.dumps({"name": name, "parts": parts, "seconds": seconds}), flush=True)


if __name__ == "__main__":
    main()
