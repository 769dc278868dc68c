"""Asking the tracing child: the cache, and every way in which a child can fail."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from engine.errors import RunError
from engine.memory.job import Parts, StepPlan
from engine.memory.traced import traced_estimate
from engine.storage import cache_folder
from tests.unit.memory_recipes import config_of, recipe_of

pytestmark = pytest.mark.usefixtures("private_home")

PLAN = StepPlan(2048, 4)
PARTS = {"weights": 5, "trained": 4, "activations": 3, "head": 2, "reserve": 1}


def child(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def answering(log: Path, answer: object = None) -> list[str]:
    """A child that notes what it was asked and gives an answer."""
    said = json.dumps({"parts": PARTS, "notes": ["varlen"], "layers": 3} if answer is None else answer)
    return child(f"import sys; open({str(log)!r}, 'a').write(sys.stdin.read() + '\\n'); print({said!r})")


def asked(log: Path) -> list[dict]:
    return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


def reason_of(caught) -> str:
    problem = caught.value.problems[0]
    assert problem.code == "trace_failed"
    return str(problem.params["reason"])


def test_an_answer_in_parts_with_what_it_rests_on(tmp_path):
    log = tmp_path / "log"
    found = traced_estimate(config_of("llama"), recipe_of(kind="cuda"), PLAN, command=answering(log))
    assert (found.level, found.parts, found.plan) == ("traced", Parts(**PARTS), PLAN)
    assert found.needed == 15
    assert [note.say() for note in found.notes] == ["variable-length attention of CUDA is counted by its known sizes"]
    (question,) = asked(log)
    assert question["config"] == config_of("llama")
    assert question["plan"] == {"row_tokens": 2048, "recompute": 4, "chunk": 1024}
    assert question["recipe"]["kind"] == "cuda"


def test_the_same_question_is_asked_once_and_another_again(tmp_path):
    log = tmp_path / "log"
    command = answering(log)
    config, recipe = config_of("llama"), recipe_of()
    first = traced_estimate(config, recipe, PLAN, command=command)
    assert traced_estimate(dict(reversed(config.items())), recipe, PLAN, command=command) == first
    assert len(asked(log)) == 1
    traced_estimate({**config, "hidden_size": 96}, recipe, PLAN, command=command)
    traced_estimate(config, replace(recipe, rank=16), PLAN, command=command)
    traced_estimate(config, recipe, replace(PLAN, chunk=512), command=command)
    assert len(asked(log)) == 4


def test_another_version_of_a_library_is_another_question(tmp_path, monkeypatch):
    log = tmp_path / "log"
    traced_estimate(config_of("llama"), recipe_of(), PLAN, command=answering(log))
    monkeypatch.setattr("importlib.metadata.version", lambda name: "0.0")
    traced_estimate(config_of("llama"), recipe_of(), PLAN, command=answering(log))
    assert len(asked(log)) == 2


@pytest.mark.parametrize("damage", ["", "{", '{"parts": {}, "notes": []}', "[]", "\xff"])
def test_a_damaged_answer_in_the_cache_is_asked_for_again(tmp_path, damage):
    log = tmp_path / "log"
    command = answering(log)
    found = traced_estimate(config_of("llama"), recipe_of(), PLAN, command=command)
    (kept,) = cache_folder("traces").iterdir()
    kept.write_text(damage, encoding="latin-1")
    assert traced_estimate(config_of("llama"), recipe_of(), PLAN, command=command) == found
    assert len(asked(log)) == 2
    assert json.loads(kept.read_text())["parts"] == PARTS


def test_a_cache_that_cannot_be_used_stops_nothing(tmp_path, monkeypatch):
    nowhere = tmp_path / "file"
    nowhere.write_text("no folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(nowhere))
    log = tmp_path / "log"
    for _ in range(2):
        found = traced_estimate(config_of("llama"), recipe_of(), PLAN, command=answering(log))
        assert found.parts == Parts(**PARTS)
    assert len(asked(log)) == 2


def test_a_child_that_cannot_start_is_a_problem_too(tmp_path):
    with pytest.raises(RunError) as caught:
        traced_estimate(config_of("llama"), recipe_of(), PLAN, command=[str(tmp_path / "nothing")])
    assert "nothing" in reason_of(caught)


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("raise ValueError('its layers are not found')", "ValueError: its layers are not found"),
        ("import os; os.abort()", "its process ended with code -6"),
        ("raise SystemExit(3)", "its process ended with code 3"),
        ("import sys; sys.exit('\\033[31mno\\nroom')", "room"),
        ("raise ValueError('one  of many..')", "ValueError: one of many"),
        ("pass", "Input data was truncated"),
        ("print('hello')", "malformed"),
        ('print(\'{"parts": {}, "notes": []}\')', "missing required field"),
    ],
)
def test_whatever_becomes_of_the_child_is_told_in_a_line_and_not_kept(code, reason):
    with pytest.raises(RunError) as caught:
        traced_estimate(config_of("llama"), recipe_of(), PLAN, command=child(code))
    assert reason in reason_of(caught)
    assert "\n" not in reason_of(caught)
    assert not list(cache_folder("traces").iterdir())


def test_a_child_that_hangs_is_killed(tmp_path):
    note = tmp_path / "pid"
    code = f"import os, time; open({str(note)!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    started = time.monotonic()
    with pytest.raises(RunError) as caught:
        traced_estimate(config_of("llama"), recipe_of(), PLAN, command=child(code), timeout=2)
    assert reason_of(caught) == "it took more than 2 s"
    assert time.monotonic() - started < 20
    assert not psutil.pid_exists(int(note.read_text()))


def test_a_child_that_takes_too_much_memory_is_killed():
    code = "import time; held = bytearray(200_000_000); time.sleep(60)"
    with pytest.raises(RunError) as caught:
        traced_estimate(config_of("llama"), recipe_of(), PLAN, command=child(code), memory=100 * 10**6)
    assert reason_of(caught) == "it took more than 100 MB of memory"


def test_a_child_that_says_a_lot_does_not_stop_us():
    code = f"import sys; sys.stderr.write('x\\n' * 500_000); print({json.dumps({'parts': PARTS, 'notes': []})!r})"
    assert traced_estimate(config_of("llama"), recipe_of(), PLAN, command=child(code)).parts == Parts(**PARTS)


def test_the_real_child_answers_and_its_parts_add_up():
    """Weights on paper: embedding and head of 512 x 64, in each layer 64 x (64 + 32 + 32 + 64 + 3 x 160) and two norms;

    a last norm, and the 8 frequencies of the rotation twice (transformers keeps the original ones). All in fp32.
    """
    found = traced_estimate(config_of("llama"), recipe_of(), StepPlan(256))
    layer = 64 * (64 + 32 + 32 + 64 + 3 * 160) + 2 * 64
    assert found.parts.weights == 4 * (2 * 512 * 64 + 2 * layer + 64 + 2 * 8)
    # A rank-8 pair for each linear layer, its gradient and two moments.
    pairs = 8 * (2 * (64 + 64) + 2 * (64 + 32) + 3 * (64 + 160))
    assert found.parts.trained == 16 * 2 * pairs
    assert found.parts.activations > 2 * 256 * 64 * 4
    assert found.level == "traced"


@pytest.mark.slow  # the imports of a second child
def test_an_unknown_architecture_is_said_by_its_name():
    with pytest.raises(RunError) as caught:
        traced_estimate({"model_type": "nobody-knows", "auto_map": {"AutoModel": "x.Y"}}, recipe_of(), PLAN)
    assert "nobody-knows" in reason_of(caught)


def test_asking_loads_no_torch():
    code = "import engine.memory.traced, sys; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
