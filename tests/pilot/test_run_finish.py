"""The last screen: what was made, how to use it, how to do it again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from engine.errors import Problem
from engine.runs.view import RunView
from engine.wizard.desk import Started
from tests.pilot.fakes import FakeDesk, app_of, screen_text, until
from tests.pilot.runs import HOME, FakeRun
from tests.unit.test_results import project
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
    await until(pilot, lambda: getattr(app.screen, "found", None) is not None)


async def test_everything_is_said_and_nothing_is_cut(cwd: Path) -> None:
    """A path that ends in an ellipsis cannot be typed."""
    app = app_of(cwd)
    async with app.run_test(size=(80, 24)) as pilot:
        await finish(pilot, Started(None, CONFIG, MADE))
        shown = screen_text(app)
        whole = "".join(line[16:].strip() for line in shown.splitlines())
        assert all(path.removeprefix("/home/ada/my_project/") in whole for path in MADE.values())
        assert str(CONFIG.parent) in whole


async def test_enter_leaves_and_n_begins_anew(cwd: Path, tmp_path: Path) -> None:
    """A second training from the same window begins with fresh answers."""
    app = app_of(cwd)
    async with app.run_test(size=(80, 24)) as pilot:
        app.wizard.answer("train.lora_rank", 4)
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
        seen = RunView(run.folder).poll()
        app.run_folder = run.folder
        app.post_message(RunChanged(seen))
        await until(pilot, lambda: app.snapshot is seen)
        app.go("finish")
        await until(pilot, lambda: "in /home/ada/my_project" in screen_text(app))
        assert "Adapter: saves/adapter" in screen_text(app) and "Model:" not in screen_text(app)


async def test_the_lines_are_written_to_a_file(cwd: Path, tmp_path: Path) -> None:
    """Where the mouse would take the rail along, and over SSH; its path is told."""
    app = app_of(cwd)
    async with app.run_test(size=(80, 24)) as pilot:
        await finish(pilot, Started(None, tmp_path / "config.yaml", MADE))
        await pilot.press("w")
        await until(pilot, lambda: "Written:" in screen_text(app))
        assert "vllm serve" in (tmp_path / "serving.md").read_text()
        (tmp_path / "serving.md").unlink()
        tmp_path.chmod(0o500)
        app.screen.found = replace(app.screen.found, root=tmp_path / "gone")  # type: ignore[attr-defined]
        await pilot.press("w")
        await until(pilot, lambda: "! " in screen_text(app))
        tmp_path.chmod(0o700)


async def test_what_was_not_merged_can_be_merged_from_here(cwd: Path, tmp_path: Path) -> None:
    """Refused, it says why and stays; begun, its run is watched, and the way has a step more."""
    _root, run, adapter = project(tmp_path)
    (_root / "configs").mkdir()
    (_root / "configs" / "merge_config.yaml").write_text("")
    started = Started(run, _root / "config.yaml", {"adapter": str(adapter)})
    desk = FakeDesk(fails=[Problem("merge_disk_full", {"folder": "/m", "needed_gb": 2, "free_gb": 1})])
    app = app_of(cwd, desk, answers={"merge": False})
    async with app.run_test(size=(80, 24)) as pilot:
        app.started, app.run_folder = started, run
        app.go("finish")
        app.snapshot = replace(RunView(run).poll(), outputs={"adapter": str(adapter)})
        app.go("finish")
        await until(pilot, lambda: "m merge" in screen_text(app))
        await pilot.press("m")
        await until(pilot, lambda: "2 GB" in screen_text(app))
        merge = FakeRun(tmp_path / "merge", steps=("merge",))
        desk.merges = [Started(merge.folder, _root / "configs" / "merge_config.yaml", {})]
        merge.phase("merging")
        await pilot.press("m")
        await until(pilot, lambda: app.at == "merge")
        assert desk.merged[-1].file == _root / "configs" / "merge_config.yaml"
        await until(pilot, lambda: "step 8 of 10: Merge" in screen_text(app))
        merge.die()


async def test_everything_can_be_read_at_any_size(cwd: Path) -> None:
    """It scrolls with the arrows and by pages."""
    app = app_of(cwd)
    async with app.run_test(size=(60, 20)) as pilot:
        await finish(pilot, Started(None, CONFIG, MADE))
        seen = screen_text(app)
        for _page in range(12):
            await pilot.press("pagedown")
            seen += screen_text(app)
        assert "ollama" not in seen  # no Modelfile is there
        for words in ("llama-server", "from transformers import pipeline", "--replay"):
            assert words in seen
        top = screen_text(app)
        await pilot.press("up", "up")
        assert screen_text(app) != top
