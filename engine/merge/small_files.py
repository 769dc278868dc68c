"""Tokenizer, generation config and Modelfile of a merged model."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import AutoTokenizer

from engine.config.schema import MergeConfig
from engine.data.chat_template import chat_template_for, renders_as
from engine.data.templates import Template, load_template, prepare_tokenizer, stop_token_ids
from engine.errors import Problem
from engine.merge.companions import GENERATION, MODELFILE
from engine.merge.modelfile import modelfile
from engine.outputs import adapter_marker

_TOKENIZER_CONFIG = "tokenizer_config.json"


@dataclass
class SmallFiles:
    """`tokenizer` is None where it does not load. `rewritten`: it was given what the template needs, since no training
    of ours did.
    """

    tokenizer: Any
    template: Template | None
    rewritten: bool
    notes: list[Problem]

    def write(self, folder: Path) -> None:
        """Put the files into `folder`, where the tokenizer's own were copied to."""
        if self.tokenizer is None:
            return
        if self.rewritten:
            self.tokenizer.save_pretrained(folder)
            self._generation(folder)
        _pad_left(folder / _TOKENIZER_CONFIG)
        (folder / MODELFILE).write_text(modelfile(self.tokenizer, self.template), encoding="utf-8")

    def _generation(self, folder: Path) -> None:
        """What ends an answer, as training with the template would have left it."""
        path = folder / GENERATION
        said = json.loads(path.read_bytes()) if path.is_file() else {}
        stops = stop_token_ids(self.tokenizer, self.template)
        said |= {"eos_token_id": stops if len(stops) > 1 else stops[0], "pad_token_id": self.tokenizer.pad_token_id}
        path.write_text(json.dumps(said, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def small_files(config: MergeConfig, base: Path, adapter: Path | None) -> SmallFiles:
    """Decide on the small files before anything is written.

    A tokenizer that our training left in the adapter's folder is the one trained with: it stays as it is. Any other
    gets the end tokens and the chat template of the named template: LLaMA-Factory leaves the model's old chat template
    beside an adapter, whatever it was trained with. Raises ConfigError where the template does not fit it.
    """
    template = load_template(config.template, default_system=config.default_system)
    folder = adapter or base
    try:
        tokenizer: Any = AutoTokenizer.from_pretrained(
            folder, trust_remote_code=config.trust_remote_code, local_files_only=True
        )
    except Exception as error:  # whatever a tokenizer's files or code can raise: the weights are worth having without
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        params = {"folder": str(folder), "reason": reason}
        return SmallFiles(None, template, False, [Problem("merge_tokenizer_unusable", params, severity="warning")])
    if template is None:
        return SmallFiles(tokenizer, None, False, [])
    if adapter is not None and adapter_marker(adapter) is not None:
        return SmallFiles(tokenizer, template, False, _other_template(tokenizer, template))
    notes = prepare_tokenizer(tokenizer, template)
    own = chat_template_for(tokenizer, template)
    if own is not None:
        tokenizer.chat_template = own
        if adapter is not None:
            notes.append(Problem("merge_template_written", {"template": template.name}, severity="note"))
    return SmallFiles(tokenizer, template, True, notes)


def _other_template(tokenizer: Any, template: Template) -> list[Problem]:
    if renders_as(tokenizer, template):
        return []
    return [Problem("merge_template_differs", {"template": template.name}, key="template", severity="warning")]


def _pad_left(path: Path) -> None:
    """Batches of prompts are padded before them: LLaMA-Factory saves that too."""
    if not path.is_file():
        return
    said = json.loads(path.read_bytes())
    if said.get("padding_side") != "left":
        path.write_text(
            json.dumps(said | {"padding_side": "left"}, indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
        )
