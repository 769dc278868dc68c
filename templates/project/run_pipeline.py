"""The whole pipeline through the Python API: the same as `sft-wizard --replay config.yaml`.

Run it with the Python of the environment that sft-wizard is installed in.
"""

import sys
from pathlib import Path

from engine.pipeline import run


def show(event: dict) -> None:
    """Called for every event of the run; print what is wanted of them."""
    if event["type"] == "step":
        print(f"step {event['step']}/{event['total']}  loss {event['loss']:.4f}")


if __name__ == "__main__":
    outcome = run(Path(__file__).with_name("config.yaml"), listen=show)
    print(outcome.outputs)
    sys.exit(outcome.exit_code)
