"""Fixtures that every tier shares. Only the built-in model comes from the user's own cache or the network."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from engine import builtin_model as builtin
from engine.errors import ProblemError
from engine.models import get_model
from tui.words import set_language

for library in ("OMP", "MKL"):  # the models are tiny: threads that wait for each other would be most of the work
    os.environ.setdefault(f"{library}_NUM_THREADS", "1")
os.environ["SFT_WIZARD_LANG"] = "en"  # what the tool says to the tests is English wherever they run
for ignored in (signal.SIGHUP, signal.SIGINT):  # under nohup and behind `&`: what the tests start would inherit it
    if signal.getsignal(ignored) is signal.SIG_IGN:
        signal.signal(ignored, signal.default_int_handler if ignored == signal.SIGINT else signal.SIG_DFL)


@pytest.fixture(autouse=True)
def _english() -> None:
    """No test inherits the language of the one before it."""
    set_language("en")


@pytest.fixture(scope="session")
def builtin_model() -> Path:
    """The built-in model, fetched once into the user's cache. In CI its absence is a failure, elsewhere a skip."""
    try:
        return get_model(builtin.ALIAS, lambda what, done, total: None).path
    except ProblemError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"the built-in model cannot be fetched: {error}")


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random Llama of two layers with a ChatML tokenizer of a few hundred tokens: quick, and of no other use."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from tests.unit.tiny_tokenizer import tiny_tokenizer

    folder = tmp_path_factory.mktemp("models") / "tiny-llama"
    tokenizer = tiny_tokenizer(eos_token="<|im_end|>", pad_token="<|endoftext|>")
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    LlamaForCausalLM(config).to(torch.bfloat16).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def private_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Cache, state and config folders of the test's own; `home_with_model` has the built-in model in it as well."""
    home = tmp_path / "home"
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "cache"))
    monkeypatch.setenv("XDG_STATE_HOME", str(home / "state"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / "config"))
    return home


@pytest.fixture
def home_with_model(private_home: Path, builtin_model: Path) -> Path:
    """`private_home` whose cache resolves smollm2-135m without the network."""
    models = private_home / "cache" / "sft-wizard" / "models"
    models.mkdir(parents=True)
    (models / builtin.ALIAS).symlink_to(builtin_model)
    return private_home


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Slow tests run whole pipelines: on a busy machine they may take longer than the common limit."""
    for item in items:
        if item.get_closest_marker("slow"):
            item.add_marker(pytest.mark.timeout(1500))
