"""What a run left and the commands that use it: filled in, ready for a shell, and true to what is there."""

from __future__ import annotations

import ast
import json
import shlex
from pathlib import Path
from typing import Any

from engine.config.reading import dump
from engine.outputs import mark_finished, mark_started
from engine.runs.events import EventLog
from engine.runs.folder import RunFolder
from engine.runs.results import Results, keep, results
from engine.runs.serving import Model, ways
from tui.finishpage import figure_lines, markdown, page


def run_of(folder: Path, **config: Any) -> RunFolder:
    run = RunFolder(folder)
    run.path.mkdir(parents=True)
    run.config_file.write_text(dump({"name": "my_project", **config}))
    return run


def project(tmp_path: Path, *, rank: int = 8) -> tuple[Path, RunFolder, Path]:
    """A project whose run trained an adapter."""
    root = tmp_path / "my project"
    train = {"model_path": "/base", "model_name": "base", "config": {}}
    run = run_of(root / "logs" / "20260131T093000-x", file=str(root / "config.yaml"), train=train)
    events = EventLog(run.events_file)
    for step, loss in enumerate((3.0, 2.0, 1.0), 1):
        events.write("step", step=step, total=3, loss=loss)
    events.write("eval", step=1, loss=2.5)
    events.write("eval", step=3, loss=1.5)
    events.write("log", what="figures", train_seconds=200.0, tokens=12345)
    events.write("log", what="memory", peak_bytes={"allocated": 3_000_000_000})
    events.write("finished", outcome="done", outputs={})
    adapter = root / "saves" / "lora"
    (adapter / "checkpoint-3").mkdir(parents=True)
    (adapter / "adapter_config.json").write_text(json.dumps({"r": rank, "rank_pattern": {}}))
    (adapter / "adapter_model.safetensors").write_bytes(b"x" * 2_000_000)
    (adapter / "checkpoint-3" / "optimizer.pt").write_bytes(b"x" * 9_000_000)
    mark_started(adapter, "f", run.path)
    mark_finished(adapter)
    return root, run, adapter


def commands(found: Results) -> list[list[str]]:
    return [shlex.split(line) for way in found.serve for line in way.commands]


def test_commands_can_be_pasted_into_a_shell(tmp_path: Path) -> None:
    """Blanks in paths, and what was set on the command line, come back as they were."""
    config = str(tmp_path / "my project" / "config.yaml")
    run = run_of(
        tmp_path / "r", file=config, overrides=["learning_rate=1e-4", "dataset=a b"], train={"model_path": "/m"}
    )
    run.tensorboard.mkdir()
    found = results(run, Path("unused"), {"adapter": "/a b"})
    replay = ["sft-wizard", "--replay", "config.yaml", "--set", "learning_rate=1e-4", "--set", "dataset=a b"]
    assert [shlex.split(line) for line in found.repeat] == [replay]
    assert shlex.split(found.talk) == ["sft-wizard", "chat", "."] and str(found.root) == str(tmp_path / "my project")
    assert commands(found)[0] == ["vllm", "serve", "/m", "--enable-lora", "--lora-modules", "my-project=/a b"]
    assert found.board == str(run.tensorboard)
    assert [shlex.quote(str(tmp_path / "my project")) in line for line in page(found, 80) if " cd " in f" {line}"]


def test_a_damaged_run_only_leaves_things_out(tmp_path: Path) -> None:
    """The last screen comes up whatever happened to the folder."""
    found = results(RunFolder(tmp_path / "gone"), Path("unused"), {})
    assert (found.made, found.serve, found.board, found.merging, found.figures.known) == ((), (), None, None, False)
    assert page(found, 80)


def test_a_run_that_went_on_tells_where_it_began(tmp_path: Path) -> None:
    """The loss of its first step is not that of step 1."""
    run = RunFolder.create(tmp_path / "logs", "x", {"name": "x", "steps": ["train"]})
    log = EventLog(run.events_file)
    for step, loss in ((53, 0.5), (54, 0.25)):
        log.write("step", step=step, total=54, loss=loss)
    found = results(run, Path("unused"), {}).figures
    assert found.begun == 53 and figure_lines(found)[0] == "Loss: 0.50 at step 53, 0.37 at step 54 (smoothed)"


def test_figures_sizes_and_how_to_merge_come_from_what_is_there(tmp_path: Path) -> None:
    """Loss before and after, time, tokens, memory; the adapter's size is not that of its checkpoints."""
    root, run, adapter = project(tmp_path, rank=40)
    (root / "configs").mkdir()
    (root / "configs" / "merge_config.yaml").write_text("")
    found = results(run, Path("unused"), {"adapter": str(adapter)})
    assert [(made.what, made.path) for made in found.made] == [("adapter", "saves/lora")]
    assert 2_000_000 < (found.made[0].bytes or 0) < 2_010_000
    assert found.figures.loss is not None and found.figures.loss[0] == 3.0 and 1.5 < found.figures.loss[1] < 2.1
    assert (found.figures.held_back, found.figures.tokens, found.figures.peak_bytes) == ((2.5, 1.5), 12345, 3 * 10**9)
    serve = commands(found)[0]
    assert serve[serve.index("--max-lora-rank") + 1] == "64"  # the next that vLLM takes
    assert found.merging is not None and found.merging.file == root / "configs" / "merge_config.yaml"
    assert shlex.split(found.merging.command) == ["sft-wizard", "export", "configs/merge_config.yaml"]
    shown = "\n".join(page(found, 76))
    for words in ("Loss: 3.00 at step 1", "2.50, then 1.50", "3 min 20 s, 12,345 tokens, at most 3.0 GB", "(2.0 MB)"):
        assert words in shown
    (adapter / "chat_template.jinja").write_text("x")
    serve = commands(results(run, Path("unused"), {"adapter": str(adapter)}))[0]
    assert serve[-2:] == ["--chat-template", "saves/lora/chat_template.jinja"]


def test_a_bare_training_is_merged_beside_its_adapter(tmp_path: Path) -> None:
    """LLaMA-Factory's YAML has no project around it: the same file with a folder to export to merges it."""
    _root, _run, adapter = project(tmp_path)
    bare = run_of(tmp_path / "bare", file=str(tmp_path / "lf" / "train.yaml"), cwd=str(tmp_path), train={"config": {}})
    found = results(bare, Path("unused"), {"adapter": str(adapter)})
    assert found.merging is not None and found.merging.cwd == tmp_path
    assert found.merging.overrides == (f"export_dir={adapter}-merged",)
    assert shlex.split(found.merging.command)[:3] == ["sft-wizard", "export", "lf/train.yaml"]


def test_a_run_that_only_merged_tells_of_the_training_before_it(tmp_path: Path) -> None:
    """Merged from the last screen, the model still says how it was trained and how to do all of it again."""
    root, _run, adapter = project(tmp_path)
    merged = root / "models" / "x"
    merged.mkdir(parents=True)
    (merged / "Modelfile").write_text("FROM .")
    merge = {"adapter": str(adapter), "model_path": "/base"}
    run = run_of(root / "logs" / "20260131T103000-x", file=str(root / "configs" / "merge_config.yaml"), merge=merge)
    EventLog(run.events_file).write("proof", passed=True, method="logits", ratio=0.004, tensors_checked=7)
    found = results(run, Path("unused"), {"merged": str(merged)})
    assert [made.what for made in found.made] == ["adapter", "merged"] and found.merging is None
    assert found.figures.loss is not None and found.figures.proof is not None
    assert found.repeat == ("sft-wizard --replay config.yaml", "sft-wizard --replay configs/merge_config.yaml")
    assert ["ollama", "create", "my-project", "-f", "models/x/Modelfile"] in commands(found)
    again = results(None, root / "config.yaml", {"adapter": str(adapter), "merged": str(merged)})
    assert again.figures.loss == found.figures.loss and again.repeat == ("sft-wizard --replay config.yaml",)


def test_python_lines_are_python_whatever_was_asked() -> None:
    """A question of the data may hold quotes, backslashes and other scripts."""
    for question in ('say "hi"\\n', "你好", "it's\n\ttwo lines"):
        for model in (Model("m", merged="/a 'b'"), Model("m", adapter="/a", base='/b"', question=question)):
            code = next(way.code for way in ways(model) if way.code)
            assert all("\n" not in line for line in code)
            ast.parse("\n".join(code))


def test_the_lines_are_kept_beside_the_project_and_nothing_is_overwritten(tmp_path: Path) -> None:
    """Our own file is renewed, anybody else's stays."""
    root, run, adapter = project(tmp_path)
    found = results(run, Path("unused"), {"adapter": str(adapter)})
    file = keep(found, markdown(found))
    assert file == root / "serving.md" and "vllm serve /base --enable-lora" in file.read_text()
    assert keep(found, "new") == file and file.read_text().endswith("new")
    file.write_text("mine")
    assert keep(found, "new").name == "serving-2.md" and file.read_text() == "mine"
