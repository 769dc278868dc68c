"""The watcher of a run: news once a tick, and nothing when nothing happens."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from textual.app import App

from engine.runs.view import RunView, Snapshot
from tests.pilot.fakes import app_of
from tests.pilot.runs import BEGAN, FakeRun
from tui.runwatch import RunChanged, RunReading, RunWatch

TICK = 0.05


class Listener(App[None]):
    """Keeps what the watcher posts."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[Snapshot] = []

    def on_run_changed(self, message: RunChanged) -> None:
        self.heard.append(message.snapshot)


async def until(condition, seconds: float = 10) -> None:
    for _ in range(int(seconds / 0.01)):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("waited in vain")


async def test_many_events_are_one_message(tmp_path: Path):
    """A hundred steps between two looks must not become a hundred redraws over SSH."""
    run, app = FakeRun(tmp_path), Listener()
    async with app.run_test():
        run.train(100, 400)
        still: Any = SimpleNamespace(read=lambda pid, device: None)  # what the worker takes changes by itself
        watch = RunWatch(app, run.folder, TICK, still, wall=lambda: BEGAN)
        watch.start()
        await until(lambda: app.heard)
        assert len(app.heard) == 1 and app.heard[0].step == 100
        await asyncio.sleep(5 * TICK)
        assert len(app.heard) == 1  # nothing happened, so nothing is posted
        run.train(50, 400)
        await until(lambda: len(app.heard) == 2)
        assert app.heard[1].step == 150
        watch.stop()
    run.die()


async def test_time_that_goes_on_is_news_now_and_then(tmp_path: Path):
    """Before the first step nothing else happens for a minute: a screen that stands still looks dead."""
    run, app, now = FakeRun(tmp_path), Listener(), [BEGAN + 1]
    async with app.run_test():
        still: Any = SimpleNamespace(read=lambda pid, device: None)
        watch = RunWatch(app, run.folder, TICK, still, wall=lambda: now[0])
        watch.start()
        await until(lambda: app.heard)
        now[0] += 40
        await until(lambda: len(app.heard) == 2)
        assert app.heard[1].elapsed == 41
        watch.stop()
    run.die()


async def test_the_watching_ends_with_the_run(tmp_path: Path):
    """A thread that polls a finished run for ever would keep a disk awake."""
    run, app = FakeRun(tmp_path), Listener()
    async with app.run_test():
        watch = RunWatch(app, run.folder, TICK)
        watch.start()
        await until(lambda: app.heard)
        run.finish(adapter="/a")
        await until(lambda: watch.worker is not None and watch.worker.is_finished)
        await until(lambda: app.heard[-1].outcome == "done")


async def test_a_run_whose_folder_disappears_is_told_and_left(tmp_path: Path):
    """Deleting a project under a watcher must not end the wizard."""
    import shutil

    run, app = FakeRun(tmp_path), Listener()
    async with app.run_test():
        watch = RunWatch(app, run.folder, TICK)
        watch.start()
        await until(lambda: app.heard)
        run.die()
        shutil.rmtree(run.folder.path)
        await until(lambda: app.heard[-1].status.state == "crashed")
        await until(lambda: watch.worker is not None and watch.worker.is_finished)


async def test_another_run_takes_the_place_of_the_first(tmp_path: Path):
    """After a resume, news of the old run must not be drawn over the new one."""
    first, second, app = FakeRun(tmp_path / "a"), FakeRun(tmp_path / "b"), Listener()
    async with app.run_test():
        old = RunWatch(app, first.folder, TICK)
        old.start()
        await until(lambda: app.heard)
        RunWatch(app, second.folder, TICK).start()
        await until(lambda: app.heard[-1].path == second.folder.path)
        assert old.worker is not None and old.worker.is_cancelled
        await until(lambda: old.worker.is_finished)  # what it was about to say has been said
        second.train(2, 10)
        await until(lambda: app.heard[-1].path == second.folder.path and app.heard[-1].step == 2)
        first.train(5, 10)
        await asyncio.sleep(5 * TICK)
        assert app.heard[-1].path == second.folder.path
        assert all(seen.step == 0 for seen in app.heard if seen.path == first.folder.path)
    first.die()
    second.die()


async def test_what_a_thread_says_of_a_run_that_was_left_comes_too_late(cwd: Path, tmp_path: Path) -> None:
    """It was on its way already: it neither is shown nor takes the place of what is told of the run that is watched."""
    left, watched = FakeRun(tmp_path / "a"), FakeRun(tmp_path / "b")
    watched.finish()
    app = app_of(cwd)
    async with app.run_test() as pilot:
        late = RunChanged(RunView(left.folder).poll()), RunReading(left.folder.path, 0.5)
        for message in late:
            app.post_message(message)
        await pilot.pause()
        assert app.snapshot is None and app.reading is None
        app.run_folder = watched.folder
        seen = RunView(watched.folder).poll()
        for message in (RunChanged(seen), *late):
            app.post_message(message)
        await pilot.pause()
        assert app.snapshot is seen and app.reading is None
    left.die()
