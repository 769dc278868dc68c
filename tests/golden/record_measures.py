"""Record what LLaMA-Factory 0.9.5 measures: losses, accuracy, BLEU and ROUGE, and the keys of its output files.

Run with the Python of a venv that has LLaMA-Factory, jieba, nltk and rouge_chinese:
    python tests/golden/record_measures.py FOLDER
FOLDER holds output folders of toy runs with eval, accuracy and plots: one/ (one set), each/ (eval_on_each_dataset),
predict/ (do_predict). Writes measures.json beside this file.
"""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch

VOCABULARY, ROWS, WIDTH = 31, 3, 9
TEXTS = [
    ["The capital of France is Paris.", "Paris is the capital of France."],
    ["今天天气很好，我们去公园散步吧。", "今天天气不错，我们一起去公园走走。"],
    ["def add(a, b):\n    return a + b", "def add(x, y):\n    return x + y"],
    ["same words here", "same words here"],
    ["", "something"],
    ["something", ""],
    ["   ", "blank"],
    ["short", "a much longer reference with many more words than the answer that was given"],
    ["是吗？“好！” 走吧……a?b. 1.5", "是吗?好。走吧…… a?b 1.5\n\n  \n走"],
    ["mixed 中文 and English 混合 text", "mixed 中文 and english 混合文本"],
]


def logits() -> torch.Tensor:
    """(ROWS, WIDTH, VOCABULARY) fp64 without a random number, so that any version of torch gives the same."""
    values = [4.0 * math.sin(1.0 + 0.37 * n + 0.011 * (n % 13) ** 2) for n in range(ROWS * WIDTH * VOCABULARY)]
    return torch.tensor(values, dtype=torch.float64).view(ROWS, WIDTH, VOCABULARY)


def labels() -> torch.Tensor:
    """(ROWS, WIDTH): a prompt and padding without labels; two rows agree with the likeliest token in places."""
    found = torch.tensor([[(7 * row + 5 * at) % VOCABULARY for at in range(WIDTH)] for row in range(ROWS)])
    best = logits().argmax(-1)
    found[0, 3:7] = best[0, 2:6]
    found[1, 5] = best[1, 4]
    found[:, :2] = -100
    found[2, 6:] = -100
    return found


def record(folder: Path) -> dict[str, object]:
    from llamafactory.train.sft.metric import ComputeAccuracy, ComputeSimilarity
    from llamafactory.train.trainer_utils import dft_loss_func, eaft_loss_func

    losses = {}
    count = (labels() != -100).sum()
    for name, function in {
        "dft": dft_loss_func,
        "eaft 1.0": lambda *args: eaft_loss_func(*args, 1.0),
        "eaft 0.5": lambda *args: eaft_loss_func(*args, 0.5),
    }.items():
        given = logits().requires_grad_()
        loss = function({"logits": given}, labels(), count)
        loss.backward()
        losses[name] = {"loss": float(loss), "gradient": given.grad[:, 3].tolist()}
    best = logits().argmax(-1).numpy()
    prediction = SimpleNamespace(predictions=best, label_ids=labels().numpy())
    accuracy = ComputeAccuracy()(prediction)

    codes = [[list(map(ord, text)) for text in pair] for pair in TEXTS]
    width = max(len(text) for pair in codes for text in pair)
    padded = np.array([[text + [-100] * (width - len(text)) for text in pair] for pair in codes])
    decode = lambda ids, skip_special_tokens: ["".join(chr(i) for i in row if i) for row in ids]  # noqa: E731
    similar = ComputeSimilarity(SimpleNamespace(pad_token_id=0, batch_decode=decode))
    each = [
        similar(SimpleNamespace(predictions=padded[n : n + 1, 0], label_ids=padded[n : n + 1, 1]))
        for n in range(len(TEXTS))
    ]
    together = similar(SimpleNamespace(predictions=padded[:, 0], label_ids=padded[:, 1]))

    return {
        "losses": losses,
        "accuracy": accuracy["accuracy"],
        "similarity": {"each": each, "together": together},
        "files": {run.name: files(run) for run in sorted(folder.iterdir())},
    }


def files(run: Path) -> dict[str, object]:
    """What a run wrote: its files, and the keys of those that have some."""
    log = run / "trainer_log.jsonl"
    lines = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    results = sorted([*run.glob("*_results.json")])
    answers = run / "generated_predictions.jsonl"
    return {
        "names": sorted(path.name for path in run.iterdir() if path.is_file()),
        "checkpoint": sorted(path.name for path in (run / "checkpoint-2").glob("*")),
        "log": sorted({key for line in lines for key in line}),
        "results": {file.name: sorted(json.loads(file.read_text())) for file in results},
        "state": sorted(
            {key for entry in json.loads((run / "trainer_state.json").read_text())["log_history"] for key in entry}
        )
        if (run / "trainer_state.json").exists()
        else [],
        "predictions": [json.loads(line) for line in answers.read_text().splitlines()] if answers.exists() else [],
    }


if __name__ == "__main__":
    target = Path(__file__).with_name("measures.json")
    target.write_text(json.dumps(record(Path(sys.argv[1])), ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
