"""Worker of `preprocess`: python -m engine.data.preprocess, a run's train part and the folder `out` as JSON on stdin.

It answers as review_work does, with {splits: {name: {rows, tokens, labelled}}, notes}.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from engine.config.schema import TrainConfig
from engine.data.gate import gate
from engine.data.prepare import prepare
from engine.data.review_work import serve
from engine.data.tokenized import save_tokenized, split_name


def preprocess(spec: dict[str, Any], progress: Callable[[int, int], None]) -> dict[str, Any]:
    """Tokenise, write the folder, and say what is in it. Raises DataError as training would (engine.data.gate)."""
    config = msgspec.convert(spec["config"], TrainConfig)
    model, hashes, force = Path(spec["model_path"]), spec["data_sha256"], spec["force"]
    prepared = prepare(config, model, hashes=hashes, progress=progress, should_stop=lambda: False, force=force)
    notes = [*prepared.notes, *gate(prepared, config, model, force=force)]
    save_tokenized(Path(spec["out"]), config, prepared.sets, pad_id=prepared.tokenizer.pad_token_id, data_sha256=hashes)
    splits = {
        split_name(name): {
            "rows": len(tokens),
            "tokens": tokens.report.tokens,
            "labelled": tokens.report.labelled_tokens,
        }
        for name, tokens in prepared.sets.items()
        if len(tokens)
    }
    return {"splits": splits, "notes": [note.as_dict() for note in notes]}


if __name__ == "__main__":
    serve(preprocess)
