"""LLaMA-Factory 0.9.5's own example files: each is taken or refused in words that help, and the A-set runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.config.chatting import load_chat
from engine.config.finding import kind_of
from engine.config.jobs import load_job
from engine.config.reading import read_document
from engine.errors import ConfigError
from engine.messages import catalogue
from tests.e2e.examples import A_SET, examples, rebuilt, run, workspace
from tests.e2e.tool import write_yaml


@pytest.mark.parametrize("path", examples())
def test_an_example_is_taken_or_refused_with_the_key_and_the_way_out(path: str, tmp_path: Path) -> None:
    """Where a key is not supported a person reads which one, and what to do instead."""
    file = write_yaml(tmp_path / "example.yaml", rebuilt(path, examples()[path]))
    document = read_document(file)
    try:
        if kind_of(document) == "chat":
            load_chat(document, tmp_path)
        else:
            load_job(file, cwd=tmp_path)
    except ConfigError as error:
        for problem in error.problems:
            assert problem.key in document.values and problem.line
            assert problem.code not in ("unknown_key", "unknown_key_far", "value_wrong")
            assert catalogue()[problem.code].hint, problem.code


@pytest.mark.slow
@pytest.mark.usefixtures("private_home")
def test_the_a_set_runs(tmp_path: Path) -> None:
    """In one folder and in this order: later files talk to, or merge, what earlier ones made."""
    workspace(tmp_path)
    outcomes = [run(tmp_path, path) for path in A_SET]
    assert [(one.path, one.status, one.words) for one in outcomes] == [(path, "runs", "") for path in A_SET]
