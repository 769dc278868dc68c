"""A loaded model that answers: streaming, stoppable, with or without its adapter."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, StoppingCriteria, TextIteratorStreamer

from engine.chat.client import Loading
from engine.chat.source import ChatSource
from engine.data.conversation import Conversation, Turn
from engine.data.encode import render_prompt
from engine.data.options import EncodeOptions
from engine.data.templates import load_template, prepare_tokenizer, stop_token_ids
from engine.hardware import cpu_has_fast_bf16
from engine.merge.vocabulary import rows_in_training
from engine.train.positions import stretch_as_trained
from engine.train.vocabulary import make_room


class Session:
    """Loads once. Messages are [{"role": "system" | "user" | "assistant", "content": text}, …].

    `loading` hears what is being loaded: weights or adapter, how much of it, of how much. tokens, seconds: of the last
    answer so far, the seconds since its first token.
    """

    def __init__(self, source: ChatSource, loading: Loading = lambda what, done, total: None):
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        fast = device.type == "cuda" or cpu_has_fast_bf16()
        dtype = getattr(torch, source.dtype) if source.dtype else "auto" if fast else torch.float32
        options = {"trust_remote_code": source.trust_remote_code, "local_files_only": True}
        # The adapter's folder holds the tokenizer that it was trained with.
        own = source.adapter if source.adapter and (Path(source.adapter) / "tokenizer_config.json").exists() else None
        self.tokenizer = AutoTokenizer.from_pretrained(own or source.base, **options)
        self.template = load_template(source.template, default_system=source.default_system)
        prepare_tokenizer(self.tokenizer, self.template)
        self.stops = stop_token_ids(self.tokenizer, self.template)
        adapters = [Path(adapter) for adapter in (*source.before, source.adapter) if adapter]
        config = AutoConfig.from_pretrained(source.base, **options)
        for adapter in adapters:
            stretch_as_trained(config, adapter)
        loading("weights", 0, 0)
        with _heard(loading):
            model = AutoModelForCausalLM.from_pretrained(
                source.base, config=config, dtype=dtype, device_map={"": device}, **options
            )
        if source.adapter:
            loading("adapter", 0, 0)
            from peft import PeftModel

            make_room(model, rows_in_training(Path(source.base), adapters) or 0)
            for earlier in source.before:
                model = PeftModel.from_pretrained(model, earlier).merge_and_unload()
            model = PeftModel.from_pretrained(model, source.adapter)
        self.model = model.eval()
        self.has_adapter = source.adapter is not None
        self.tokens, self.seconds = 0, 0.0
        self.thinking = EncodeOptions(
            cutoff_len=0, enable_thinking=source.enable_thinking, preserve_thinking=source.preserve_thinking
        )

    def prompt_ids(self, messages: list[dict[str, str]]) -> list[int]:
        """Token ids up to where the answer begins."""
        system = "".join(m["content"] for m in messages if m["role"] == "system")
        turns = tuple(Turn(m["role"], m["content"]) for m in messages if m["role"] in ("user", "assistant"))  # type: ignore[arg-type]
        return render_prompt(self.tokenizer, self.template, Conversation(turns, system), self.thinking)

    def answer(
        self,
        messages: list[dict[str, str]],
        *,
        base: bool = False,
        max_new_tokens: int = 512,
        temperature: float = 0.0,
        skip_special_tokens: bool = True,
        should_stop: Callable[[], bool] = lambda: False,
        **sampling: float,
    ) -> Iterator[str]:
        """Pieces of the answer as they come. temperature 0 always takes the likeliest token, and top_p and top_k of
        `sampling` do nothing; repetition_penalty counts either way."""
        ids = torch.tensor([self.prompt_ids(messages)], device=self.model.device)
        streamer = _Streamer(self.tokenizer, skip_prompt=True, skip_special_tokens=skip_special_tokens)
        self.tokens, self.seconds = 0, 0.0
        drawn = {"do_sample": True, "temperature": temperature, **sampling}
        if temperature <= 0:
            drawn = {"do_sample": False, "repetition_penalty": sampling.get("repetition_penalty", 1.0)}
        failure: list[BaseException] = []

        def generate() -> None:
            plain = self.model.disable_adapter() if base and self.has_adapter else contextlib.nullcontext()
            try:
                with torch.no_grad(), plain:
                    self.model.generate(
                        input_ids=ids,
                        attention_mask=torch.ones_like(ids),
                        streamer=streamer,
                        max_new_tokens=max_new_tokens,
                        eos_token_id=self.stops,
                        pad_token_id=self.tokenizer.pad_token_id,
                        stopping_criteria=[_Stop(should_stop)],
                        **drawn,
                    )
            except BaseException as error:
                failure.append(error)
                streamer.end()

        worker = threading.Thread(target=generate, daemon=True)
        worker.start()
        for piece in streamer:
            self.tokens, self.seconds = streamer.tokens, streamer.seconds
            yield piece
        worker.join()
        self.tokens, self.seconds = streamer.tokens, streamer.seconds
        if failure:
            raise failure[0]


class _Streamer(TextIteratorStreamer):
    """Counts what comes after the prompt."""

    tokens = 0
    seconds = 0.0
    _began = 0.0

    def put(self, value: torch.Tensor) -> None:
        if not self.next_tokens_are_prompt:
            now = time.monotonic()
            self._began = self._began or now
            self.tokens, self.seconds = self.tokens + value.numel(), now - self._began
        super().put(value)


class _Stop(StoppingCriteria):
    def __init__(self, should_stop: Callable[[], bool]):
        self.should_stop = should_stop

    def __call__(self, input_ids: torch.Tensor, scores: Any, **kwargs: Any) -> torch.Tensor:
        return torch.full((input_ids.shape[0],), self.should_stop(), dtype=torch.bool, device=input_ids.device)


@contextlib.contextmanager
def _heard(loading: Loading) -> Iterator[None]:
    """Pass on what transformers' own bar of the weights would show. Older versions have no such hook: then nothing."""
    from tqdm import tqdm  # type: ignore[import-untyped]
    from transformers.utils import logging

    class Told(tqdm):
        def display(self, *_: Any, **__: Any) -> None:
            loading("weights", int(self.n), int(self.total or 0))

    def hook(factory: Any, given: tuple[Any, ...], named: dict[str, Any]) -> Any:
        return Told(*given, **{**named, "disable": False, "mininterval": 0.25})

    install = getattr(logging, "set_tqdm_hook", None)
    before = install(hook) if install else None
    try:
        yield
    finally:
        if install:
            install(before)
