"""One arrow: the engine knows no front end, and what a person waits for at a prompt imports no torch."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FRONT_ENDS = {"rich", "textual", "typer", "questionary", "tui", "click", "prompt_toolkit"}
HEAVY = {"torch", "transformers", "peft", "accelerate", "datasets", "pyarrow", "textual", "matplotlib", "gguf"}
WORKERS = ("engine/train/", "engine/merge/", "engine/chat/", "engine/memory/trace_", "engine/memory/faking")

ENGINE = sorted((ROOT / "engine").rglob("*.py"))
WIZARD = sorted((ROOT / "engine" / "wizard").glob("*.py"))


def name_of(file: Path) -> str:
    return str(file.relative_to(ROOT))


def imports(tree: ast.AST) -> set[str]:
    """Top names of what is imported anywhere below."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.partition(".")[0])
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            found |= {text.value.partition(".")[0] for text in node.args if isinstance(text, ast.Constant)}
    return found


def at_import(tree: ast.AST) -> Iterator[ast.stmt]:
    """Statements that run when a module is imported: not those of functions, nor under TYPE_CHECKING."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node
        yield from at_import(node)


def test_there_is_something_to_look_at() -> None:
    assert len(ENGINE) > 60
    assert "torch" in imports(ast.parse((ROOT / "engine/train/work.py").read_text()))


@pytest.mark.parametrize("file", ENGINE, ids=name_of)
def test_the_engine_never_imports_a_front_end(file: Path) -> None:
    assert not imports(ast.parse(file.read_text())) & FRONT_ENDS


@pytest.mark.parametrize("file", [file for file in ENGINE if not name_of(file).startswith(WORKERS)], ids=name_of)
def test_outside_workers_nothing_heavy_is_imported_at_the_top(file: Path) -> None:
    found = {name for statement in at_import(ast.parse(file.read_text())) for name in imports(statement)}
    assert not found & HEAVY


REPORT = """
import json, sys
from tui.cli import main
sys.argv = ["sft-wizard", *json.loads(sys.argv[1])]
try:
    main()
    code = 0
except SystemExit as error:
    code = error.code or 0
loaded = sorted({name.partition(".")[0] for name in sys.modules})
print("\\n" + json.dumps({"code": code, "loaded": loaded}))
"""

GOOD = "stage: sft\nmodel_name_or_path: smollm2-135m\ndataset: d\noutput_dir: o\n"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--version"], 0),
        (["--help"], 0),
        (["train", "--help"], 0),
        (["new", "project"], 0),
        (["convert", "rows.csv", "--out", "data"], 0),
        (["--replay", "missing.yaml"], 2),
        (["--replay", "bad.yaml"], 2),
        (["--replay", "good.yaml"], 2),  # there is no dataset
        (["train", "bad.yaml", "--set", "lora_rank=x"], 2),
        (["runs"], 0),
        (["attach"], 2),  # there are no runs
        (["stop"], 2),
        (["logs"], 2),
        (["resume"], 2),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_answers_at_the_prompt_come_without_torch(
    arguments: list[str], code: int, tmp_path: Path, private_home: Path
) -> None:
    """Importing torch and transformers takes seconds; --help and a typo in a config must not."""
    (tmp_path / "bad.yaml").write_text(GOOD + "lora_rnak: 8\n")
    (tmp_path / "good.yaml").write_text(GOOD)
    (tmp_path / "rows.csv").write_text("prompt,response\na,b\n")
    done = subprocess.run(
        [sys.executable, "-c", REPORT, json.dumps(arguments)], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout.splitlines()[-1])
    assert report["code"] == code, done.stderr
    assert not set(report["loaded"]) & HEAVY
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("module", ["tui.plain", "tui.prompts", *(name_of(file) for file in WIZARD)])
def test_the_wizard_without_a_screen_comes_without_the_heavy(module: str) -> None:
    """The first question has to stand there at once, and plain prompts must not load what draws screens."""
    name = module.removesuffix(".py").replace("/", ".").removesuffix(".__init__")
    report = f"import {name}, json, sys; print(json.dumps([name.partition('.')[0] for name in sys.modules]))"
    done = subprocess.run([sys.executable, "-c", report], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not set(json.loads(done.stdout)) & HEAVY
