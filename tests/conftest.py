"""Fixtures that every tier shares. No test touches the user's own cache, state or network, but for the built-in model."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from engine import builtin_model as builtin
from engine.errors import ProblemError
from engine.models import get_model


@pytest.fixture(scope="session")
def builtin_model() -> Path:
    """The built-in model, fetched once into the user's cache. In CI its absence is a failure, elsewhere a skip."""
    try:
        return get_model(builtin.ALIAS, lambda what, done, total: None).path
    except ProblemError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"the built-in model cannot be fetched: {error}")


@pytest.fixture
def private_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache and state folder of the test's own; `home_with_model` has the built-in model in it as well."""
    home = tmp_path / "home"
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "cache"))
    monkeypatch.setenv("XDG_STATE_HOME", str(home / "state"))
    return home


@pytest.fixture
def home_with_model(private_home: Path, builtin_model: Path) -> Path:
    """`private_home` whose cache resolves smollm2-135m without the network."""
    models = private_home / "cache" / "sft-wizard" / "models"
    models.mkdir(parents=True)
    (models / builtin.ALIAS).symlink_to(builtin_model)
    return private_home
