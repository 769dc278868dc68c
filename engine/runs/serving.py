"""How a finished model is used: commands of the usual servers, filled in, and lines of Python."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from engine.text import NOTHING, Phrase

RANKS = (16, 32, 64, 128, 256, 320, 512)  # that vLLM makes room for; 16 is its default
PORT = 8000  # of vLLM and of transformers serve
ANSWER = 256  # tokens
LONGEST = 60  # characters of a question that is worth repeating in every line


QUESTION = "Who are you?"


@dataclass(frozen=True)
class Model:
    """What is to be served. Paths as they are typed in `root`, where all commands are meant to be run.

    merged: a whole model. adapter, base: one beside the other, where nothing was merged. rank: of the adapter.
    chat_template: the adapter's own, where it has one. modelfile: whether the merged folder holds one for Ollama.
    """

    name: str
    merged: str | None = None
    adapter: str | None = None
    base: str | None = None
    rank: int = 0
    chat_template: str | None = None
    modelfile: bool = False
    question: str = QUESTION


@dataclass(frozen=True)
class Way:
    """commands: one after the other, ready for a shell. code: Python. note: what it takes."""

    title: Phrase
    commands: tuple[str, ...] = ()
    code: tuple[str, ...] = ()
    note: Phrase = NOTHING


def ways(model: Model) -> tuple[Way, ...]:
    """Every way to use it, the common ones first; none where there is nothing to use."""
    if model.merged:
        return tuple(_of_merged(model, model.merged))
    if model.adapter and model.base:
        return tuple(_of_adapter(model, model.adapter, model.base))
    return ()


def served_name(name: str) -> str:
    """A name that every server takes: small letters, digits, dots and dashes."""
    return re.sub(r"[^a-z0-9.]+", "-", name.lower()).strip("-.") or "tuned"


def typed(path: Path, root: Path) -> str:
    """A path as it is typed in `root`."""
    return str(path.relative_to(root)) if path.is_relative_to(root) and path != root else str(path)


def _of_merged(model: Model, merged: str) -> Iterator[Way]:
    name = served_name(model.name)
    yield Way(
        Phrase("vLLM, an OpenAI-compatible server for GPUs"),
        (shlex.join(["vllm", "serve", merged, "--served-model-name", name]), _question(name, model.question)),
    )
    yield Way(
        Phrase("transformers, the same protocol"),
        (shlex.join(["transformers", "serve", merged]),),
        note=Phrase("Needs: pip install 'transformers[serving]'"),
    )
    if model.modelfile:
        yield Way(
            Phrase("Ollama"),
            (
                shlex.join(["ollama", "create", name, "-f", f"{merged}/Modelfile"]),
                shlex.join(["ollama", "run", name]),
            ),
        )
    yield Way(
        Phrase("llama.cpp"),
        (
            shlex.join(["python", "convert_hf_to_gguf.py", merged, "--outfile", f"{name}.gguf"]),
            shlex.join(["llama-server", "-m", f"{name}.gguf"]),
        ),
        note=Phrase("convert_hf_to_gguf.py is in llama.cpp's own folder; it makes one file, which can be quantised."),
    )
    yield Way(
        Phrase("Python"),
        code=(
            "from transformers import pipeline",
            f'chat = pipeline("text-generation", {_string(merged)})',
            *_asking(model.question),
        ),
    )


def _of_adapter(model: Model, adapter: str, base: str) -> Iterator[Way]:
    name = served_name(model.name)
    serve = ["vllm", "serve", base, "--enable-lora", "--lora-modules", f"{name}={adapter}"]
    if model.rank > RANKS[0]:
        serve += ["--max-lora-rank", str(next((rank for rank in RANKS if rank >= model.rank), model.rank))]
    if model.chat_template:
        serve += ["--chat-template", model.chat_template]
    yield Way(
        Phrase("vLLM, an OpenAI-compatible server for GPUs"),
        (shlex.join(serve), _question(name, model.question)),
    )
    yield Way(
        Phrase("Python"),
        code=(
            "from peft import PeftModel",
            "from transformers import AutoModelForCausalLM, AutoTokenizer, pipeline",
            f"base, adapter = {_string(base)}, {_string(adapter)}",
            "model = AutoModelForCausalLM.from_pretrained(base)",
            "model = PeftModel.from_pretrained(model, adapter)",
            "tokens = AutoTokenizer.from_pretrained(adapter)",
            'chat = pipeline("text-generation", model, tokenizer=tokens)',
            *_asking(model.question),
        ),
    )


def _asking(question: str) -> tuple[str, ...]:
    return (
        f'asked = [{{"role": "user", "content": {_string(question)}}}]',
        f"answer = chat(asked, max_new_tokens={ANSWER})",
        'print(answer[0]["generated_text"][-1]["content"])',
    )


def _string(text: str) -> str:
    """A Python literal: JSON's are, and keep other scripts as they are."""
    return json.dumps(text, ensure_ascii=False)


def _question(name: str, question: str) -> str:
    """On two lines, broken where JSON takes any blank, so that no front end has to break it elsewhere."""
    body = f'{{"model": {_string(name)}, "messages": [\n  {{"role": "user", "content": {_string(question)}}}]}}'
    url = f"http://localhost:{PORT}/v1/chat/completions"
    return shlex.join(["curl", url, "-H", "Content-Type: application/json", "-d", body])
