"""Record what LLaMA-Factory's templates make of rows: run it with the Python that has llamafactory 0.9.5 installed.

    <its python> tests/golden/record_templates.py

Reads llamafactory/templates/rows.json and the two tokenizers beside it (make_tokenizers.py), writes expected.json
there: for each template of templates/chat and each case a short hash of the ids and labels of every row, "-" where
LLaMA-Factory fails on the row. Templates of models that read images are recorded for text, without their plugin.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import re
from copy import deepcopy
from datetime import datetime
from pathlib import Path

from llamafactory.data import template as lf_templates
from llamafactory.data import tool_utils
from llamafactory.data.mm_plugin import get_mm_plugin
from llamafactory.data.processor.supervised import SupervisedDatasetProcessor
from llamafactory.data.processor.unsupervised import UnsupervisedDatasetProcessor
from llamafactory.hparams import DataArguments
from transformers import PreTrainedTokenizerFast

FOLDER = Path(__file__).parent / "llamafactory" / "templates"
CHAT = Path(__file__).parents[2] / "templates" / "chat"
TODAY = datetime(2026, 1, 2)
ANSWERS = ("assistant", "function")


class FixedDate:
    """Stands in for datetime.datetime: Llama 3 is told today's date with its tools."""

    @staticmethod
    def now() -> datetime:
        return TODAY


def cases(reasoning: bool, efficient_eos: bool) -> list[dict]:
    """The options of each case; `kind` is train or prompt, `tokenizer` one of the two."""
    found: list[dict] = [{}, {"mask_history": True}, {"cutoff_len": 20}, {"cutoff_len": 64}]
    found += [{"cutoff_len": 64, "mask_history": True}, {"default_system": "Be brief."}, {"default_system": ""}]
    found += [{"tool_format": name} for name in ("default", "llama3", "qwen")]
    found += [{"tokenizer": "pieces"}, {"kind": "prompt"}, {"kind": "prompt", "cutoff_len": 64}]
    if not efficient_eos:
        found.append({"train_on_prompt": True})
    if reasoning:
        for kind, thinking, preserve, mask in itertools.product(
            ("train", "prompt"), (True, False, None), (False, True), (False, True)
        ):
            if mask and kind == "prompt":
                continue
            case = {"kind": kind, "enable_thinking": thinking, "preserve_thinking": preserve, "mask_history": mask}
            found.append(case)
    return found


def main() -> None:
    tool_utils.datetime = FixedDate
    rows = json.loads((FOLDER / "rows.json").read_text(encoding="utf-8"))
    texts = "\n".join(file.read_text(encoding="utf-8") for file in CHAT.glob("*.yaml"))
    originals = deepcopy(lf_templates.TEMPLATES)
    expected: dict = {"today": TODAY.date().isoformat(), "templates": {}}
    for name in sorted(re.findall(r"^([\w.-]+):", texts, re.MULTILINE)):
        original = originals[name]
        reasoning = isinstance(original, lf_templates.ReasoningTemplate)
        recorded = []
        for case in cases(reasoning, original.efficient_eos):
            lf_templates.TEMPLATES[name] = deepcopy(original)
            recorded.append({**case, "rows": " ".join(encode(name, case, rows, expected, first=not recorded))})
        expected["templates"][name]["cases"] = recorded
    text = json.dumps(expected, separators=(",", ":")).replace("},{", "},\n{").replace('},"', '},\n"')
    (FOLDER / "expected.json").write_text(text + "\n", encoding="utf-8")


def encode(name: str, case: dict, rows: list[dict], expected: dict, *, first: bool) -> list[str]:
    """A hash of each row; the first case also records the tokenizer's state and the ids of one row."""
    file = FOLDER / f"{case.get('tokenizer', 'bytes')}.json"
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(file), bos_token="<s>", eos_token="</s>")
    options = {key: value for key, value in case.items() if key not in ("kind", "tokenizer")}
    data_args = DataArguments(template=name, **{"cutoff_len": 4096, **options})
    template = lf_templates.get_template_and_fix_tokenizer(tokenizer, data_args)
    template.mm_plugin = get_mm_plugin("base")
    kind = UnsupervisedDatasetProcessor if case.get("kind") == "prompt" else SupervisedDatasetProcessor
    processor = kind(template=template, tokenizer=tokenizer, processor=None, data_args=data_args)
    encoded = [encode_row(processor, fitted(row, template)) for row in rows]
    if first:
        expected["templates"][name] = {
            "eos": tokenizer.eos_token_id,
            "pad": tokenizer.pad_token_id,
            "size": len(tokenizer),
            "stops": sorted(template.get_stop_token_ids(tokenizer)),
            "ids": encoded[1][0],
        }
    return ["-" if one is None else digest(*one) for one in encoded]


def fitted(row: dict, template: object) -> dict:
    """The row with the template's own marks in place of ⟦…⟧."""
    marks = {"⟦think⟧": template.thought_words[0], "⟦/think⟧": template.thought_words[1]}
    marks |= {"⟦call⟧": template.tool_call_words[0], "⟦/call⟧": template.tool_call_words[1]}
    text = json.dumps(row, ensure_ascii=False)
    for mark, words in marks.items():
        text = text.replace(mark, json.dumps(words, ensure_ascii=False)[1:-1])
    return json.loads(text)


def encode_row(processor: object, row: dict) -> tuple[list[int], list[int]] | None:
    messages = [{"role": role, "content": content} for role, content in row["turns"]]
    try:
        return processor._encode_data_example(
            prompt=messages[:-1], response=messages[-1:], system=row["system"], tools=row["tools"],
            images=[], videos=[], audios=[],
        )  # fmt: skip
    except Exception:
        return None


def digest(ids: list[int], labels: list[int]) -> str:
    return hashlib.sha256(json.dumps([list(ids), list(labels)]).encode()).hexdigest()[:6]


if __name__ == "__main__":
    main()
