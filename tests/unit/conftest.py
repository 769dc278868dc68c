"""Fixtures of the tests that train in their own process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def quick() -> Iterator[None]:
    """One thread, no GPU, short collections. For a whole module: `pytestmark = pytest.mark.usefixtures("quick")`."""
    from tests.unit.method_toys import quickly

    with pytest.MonkeyPatch.context() as patch, quickly():
        patch.setenv("CUDA_VISIBLE_DEVICES", "")
        yield


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a random Llama."""
    from tests.unit.method_toys import save_model

    return save_model(tmp_path_factory.mktemp("llama"))
