"""The process that looks at data: it is there soon, since it loads no torch."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from transformers import AutoTokenizer

from tests.unit.tiny_tokenizer import tiny_tokenizer

TEXTS = ["an answer", " user\n\n", "模型 <|im_end|> \ufffd"]
LOOK = """
import importlib.util, json, sys
from engine.data.review_work import leave_out_torch
leave_out_torch()
from transformers import AutoTokenizer
tokens = AutoTokenizer.from_pretrained(sys.argv[1])(json.loads(sys.argv[2]))["input_ids"]
print(json.dumps([tokens, "torch" in sys.modules, importlib.util.find_spec("torch") is not None]))
"""
SERVE = """
from engine.data.review_work import serve
serve(lambda spec, progress: {"read": spec["config"]})
"""


def test_tokens_are_the_same_without_torch(tmp_path: Path) -> None:
    """Torch takes seconds to load. It is not marked as missing either: `datasets` would stumble."""
    tiny_tokenizer(eos_token="<|im_end|>").save_pretrained(tmp_path)
    command = [sys.executable, "-c", LOOK, str(tmp_path), json.dumps(TEXTS)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "PyTorch" not in done.stderr
    whole = AutoTokenizer.from_pretrained(tmp_path)(TEXTS)["input_ids"]
    assert json.loads(done.stdout) == [whole, False, True]


@pytest.mark.parametrize(
    ("utils", "told"),
    [
        ("def is_torch_available(): return False", '{"result": {"read": {}}}'),
        ("import a_package_that_is_gone", '{"problems": [{"code": "missing_package", "params": {"name": "a_package_'),
    ],
    ids=["well", "broken"],
)
def test_what_a_library_does_when_it_is_loaded_stays_out_of_the_answer(tmp_path: Path, utils: str, told: str) -> None:
    """One that talks breaks no line, and one that is broken is named."""
    package = tmp_path / "transformers"
    package.mkdir()
    (package / "__init__.py").write_text("print('Welcome!')")
    (package / "utils.py").write_text(utils)
    command, environment = [sys.executable, "-c", SERVE], os.environ | {"PYTHONPATH": str(tmp_path)}
    done = subprocess.run(command, input='{"config": {}}', capture_output=True, text=True, timeout=120, env=environment)
    assert done.stdout.startswith(told) and done.stdout.count("\n") == 1, done.stderr
    assert "Welcome!" in done.stderr
