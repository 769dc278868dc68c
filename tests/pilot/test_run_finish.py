"""The last screen: what was made, how to use it, how to do it again."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from engine.config.reading import dump
from engine.runs.folder import RunFolder
from engine.runs.results import results
from engine.wizard.desk import Started
from tests.pilot.fakes import app_of, screen_text, until
from tests.pilot.runs import HOME, FakeRun
from tui.runwatch import RunChanged

CONFIG = Path("/home/ada/my_project/config.yaml")
MADE = {
    "adapter": "/home/ada/my_project/saves/adapter",
    "merged": "/home/ada/my_project/models/a-rather-long-name-for-a-model-that-was-merged",
    "answers": str(HOME / "answers.jsonl"),
}


async def finish(pilot: Any, started: Started) -> None:
    app = pilot.app
    app.started, app.run_folder = started, started.run
    app.go("finish")
    await until(pilot, lambda: "--replay" in screen_text(app))


async def test_everything_is_said_and_nothing_is_cut(cwd: Path) -> None:
    """A path that ends in an ellipsis cannot be typed."""
    app = app_of(cwd)
    async with app.run_test(size=(80, 24)) as pilot:
        await finish(pilot, Started(None, CONFIG, MADE))
        shown = screen_text(app)
        whole = "".join(line[16:].strip() for line in shown.splitlines())
        assert all(path in whole for path in (*MADE.values(), str(CONFIG)))


async def test_enter_leaves_and_n_begins_anew(cwd: Path, tmp_path: Path) -> None:
    """A second training from the same window begins with fresh answers."""
    app = app_of(cwd, answers={"train.lora_rank": 4})
    async with app.run_test(size=(80, 24)) as pilot:
        await finish(pilot, Started(None, CONFIG, MADE))
        await pilot.press("n")
        await until(pilot, lambda: app.at == "hardware")
        assert not app.wizard.answers and app.started is None
        await finish(pilot, Started(None, CONFIG, MADE))
        await pilot.press("enter")
        await until(pilot, lambda: app.return_code == 0)


async def test_the_run_s_own_words_come_first(cwd: Path, tmp_path: Path) -> None:
    """Of a run that is only watched, everything is read from its folder."""
    run = FakeRun(tmp_path / "run")
    run.finish(adapter=MADE["adapter"])
    app = app_of(cwd)
    async with app.run_test(size=(80, 24)) as pilot:
        app.run_folder = run.folder
        app.post_message(RunChanged(run.snapshot()))
        await until(pilot, lambda: app.snapshot is not None)
        app.go("finish")
        await until(pilot, lambda: "--replay /home/ada/my_project/config.yaml" in screen_text(app))
        assert MADE["adapter"] in screen_text(app) and "Model:" not in screen_text(app)


def folder(tmp_path: Path, **config: Any) -> RunFolder:
    run = RunFolder(tmp_path / "20260131T093000-x")
    run.path.mkdir()
    run.config_file.write_text(dump(config))
    return run


def test_commands_can_be_pasted_into_a_shell(tmp_path: Path) -> None:
    """Blanks in paths, and what was set on the command line, come back as they were."""
    config = str(tmp_path / "my project" / "config.yaml")
    run = folder(tmp_path, file=config, overrides=["learning_rate=1e-4", "dataset=a b"], train={"model_path": "/m"})
    run.tensorboard.mkdir()
    found = results(run, Path("unused"), {"adapter": "/a b"})
    replay = ["sft-wizard", "--replay", config, "--set", "learning_rate=1e-4", "--set", "dataset=a b"]
    assert shlex.split(found.repeat) == replay
    assert shlex.split(found.talk) == ["sft-wizard", "chat", str(tmp_path / "my project")]
    serve = ["vllm", "serve", "/m", "--enable-lora", "--lora-modules", "tuned=/a b"]
    assert found.serve is not None and shlex.split(found.serve) == serve
    assert found.board == str(run.tensorboard)


def test_a_damaged_run_only_leaves_things_out(tmp_path: Path) -> None:
    """The last screen comes up whatever happened to the folder."""
    run = RunFolder(tmp_path / "gone")
    found = results(run, Path("unused"), {})
    assert (found.adapter, found.merged, found.serve, found.board) == (None, None, None, None)
