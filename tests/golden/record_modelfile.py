"""Record the Modelfiles that LLaMA-Factory writes: run it with the Python that has llamafactory 0.9.5 installed.

    <its python> tests/golden/record_modelfile.py

Writes llamafactory/modelfiles.json beside this file: {template: the text, its stop lines sorted}. The tokenizer is a
stand-in of a few words that has every stop token of the template, so that nothing has to be downloaded.
"""

from __future__ import annotations

import json
from pathlib import Path

from llamafactory.data.template import TEMPLATES
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast

TEMPLATES_KEPT = (
    "qwen",
    "llama3",
    "llama2",
    "mistral",
    "gemma",
    "glm4",
    "chatml",
    "alpaca",
    "default",
    "phi4",
    "vicuna",
)
OUT = Path(__file__).parent / "llamafactory" / "modelfiles.json"


def tokenizer(words: list[str]) -> PreTrainedTokenizerFast:
    vocabulary = {word: number for number, word in enumerate(["<s>", "</s>", "a", *words])}
    backend = Tokenizer(models.WordLevel(vocabulary, unk_token="a"))
    return PreTrainedTokenizerFast(tokenizer_object=backend, bos_token="<s>", eos_token="</s>")


def main() -> None:
    found = {}
    for name in TEMPLATES_KEPT:
        template = TEMPLATES[name]
        own = tokenizer(template.stop_words)
        template.fix_special_tokens(own)
        lines = template.get_ollama_modelfile(own).splitlines(keepends=True)
        stops = sorted(line for line in lines if line.startswith("PARAMETER stop"))
        rest = [line for line in lines if not line.startswith("PARAMETER stop")]
        found[name] = {"stop_words": template.stop_words, "text": "".join(rest), "stops": stops}
    OUT.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
