"""Worker of `data check`: python -m engine.data.review_work, a run's train part as JSON on stdin.

Answers are JSON lines on stdout: {"progress": [rows done, rows in all]}, then one with the Review as `result`, or
with `problems` and `exit_code`.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from engine.config.schema import TrainConfig
from engine.data.gate import review
from engine.data.prepare import prepare
from engine.errors import ProblemError
from engine.runs.worker import explain


def look(spec: dict[str, Any], progress: Callable[[int, int], None]) -> dict[str, Any]:
    """The review of a run's train part, as `Review.as_dict`."""
    config = msgspec.convert(spec["config"], TrainConfig)
    model = Path(spec["model_path"])
    prepared = prepare(
        config, model, hashes=spec["data_sha256"], progress=progress, should_stop=lambda: False, force=spec["force"]
    )
    return review(prepared, config, model, force=spec["force"]).as_dict()


def serve(answer: Callable[[dict[str, Any], Callable[[int, int], None]], dict[str, Any]]) -> None:
    """One request, its progress, its answer: what `answer` makes of the request."""
    spec = json.load(sys.stdin)
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # libraries print to stdout now and then

    def tell(**message: Any) -> None:
        out.write(json.dumps(message, ensure_ascii=True) + "\n")
        out.flush()

    try:
        if not spec["config"].get("trust_remote_code"):  # a model's own code may ask for anything
            leave_out_torch()
        tell(result=answer(spec, lambda done, total: tell(progress=[done, total])))
    except BrokenPipeError:  # nobody listens any more
        os._exit(1)
    except Exception as error:
        if not isinstance(error, ProblemError):
            traceback.print_exc()
        problems, code = explain(error)
        tell(problems=[problem.as_dict() for problem in problems], exit_code=code)


def leave_out_torch() -> None:
    """Have transformers do without it: tokenizers come in a third of the time. For a process that loads no model."""
    os.environ["TRANSFORMERS_NO_ADVISORY_WARNINGS"] = "1"  # it would say that only tokenizers can be used
    sys.modules["torch"] = None  # type: ignore[assignment]  # as Python marks what cannot be imported
    from transformers.utils import is_torch_available

    is_torch_available()  # asked once; what it said holds for this process
    del sys.modules["torch"]  # others, as `datasets`, take the mark for the module


if __name__ == "__main__":
    serve(look)
