"""The model step: what a model is, the hub when asked, and a download that nobody waits for."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len

from engine.errors import Problem
from engine.wizard.model_look import look
from engine.wizard.questions import Request
from tests.pilot.fakes import NO_GPU, ONE_GPU, PROFILE, FakeDesk, app_of, at, screen_text, until
from tests.pilot.test_walk import walk
from tui.screens.model import columns
from tui.widgets.field import Field
from tui.widgets.picker import Picker
from tui.words import set_language

QWEN = "Qwen/Qwen3-8B"
GATED = Problem("model_gated", {"name": "ada/shy", "page": "https://huggingface.co/ada/shy", "how": "hf auth login"})
TYPED = {"name": "ada/tiny", "here": False, "known": False, "bytes": 0, "shape": None, "unknown": []}


class Recommending(FakeDesk):
    """Knows the recommended models as the machine does, without their weights."""

    def find(self, request: Request, progress: Any) -> Any:
        if request.what in ("model", "hub") and f"{request.what}:{request.subject}" not in self.facts:
            self.asked.append(request)
            here = {} if request.subject not in self.fetched or self.fetch_gate else {"here": True}
            return look(request.subject) | here
        return super().find(request, progress)


def words(app: Any) -> str:
    """The screen as one line: sentences are wrapped."""
    return " ".join(screen_text(app).split())


def hubs(desk: FakeDesk) -> list[str]:
    return [request.subject for request in desk.asked if request.what == "hub"]


async def test_everything_about_a_model_is_seen_without_a_network(cwd: Path) -> None:
    """Moving through the list shows each, aligned, on one screen; nobody is asked."""
    desk = Recommending(ONE_GPU)
    app = app_of(cwd, desk)
    async with app.run_test(size=(80, 24)) as pilot:
        await walk(pilot, to="model")
        await until(pilot, lambda: "Memory: fits" in screen_text(app))
        shown = screen_text(app)
        for said in ("8.2B parameters", "32768 tokens", "apache-2.0", "instruct (qwen3)", "its own (qwen3)"):
            assert said in shown, shown
        assert "bf16, 16.4 GB download" in shown and "Recommended: trains well" in shown
        await pilot.press("5")
        await until(pilot, lambda: "llama3.1, hub login" in screen_text(app))
        assert app.screen.query_one("#body").max_scroll_y == 0
        assert hubs(desk) == []


async def test_enter_asks_the_hub_for_a_model_that_is_not_here(cwd: Path) -> None:
    """A hub that says no is heard before the data are chosen, not when the run starts."""
    desk = Recommending(ONE_GPU, {f"hub:{QWEN}": GATED})
    app = app_of(cwd, desk)
    async with app.run_test(size=(80, 24)) as pilot:
        await walk(pilot, to="model")
        await pilot.press("enter")
        await until(pilot, lambda: "hf auth login" in words(app))
        assert app.at == "model" and hubs(desk) == [QWEN] and "huggingface.co/ada/shy" in screen_text(app)
        del desk.facts[f"hub:{QWEN}"]  # logged in meanwhile
        await pilot.press("enter")
        await at(pilot, "data")
        assert hubs(desk) == [QWEN, QWEN]


async def test_a_name_is_looked_up_with_enter_only(cwd: Path) -> None:
    """Esc keeps what was typed, and asks nobody."""
    desk = FakeDesk(facts={"model:ada/tiny": TYPED})
    app = app_of(cwd, desk)
    async with app.run_test(size=(80, 24)) as pilot:
        await walk(pilot, to="model")
        await pilot.press("end", "enter", *"ada/tiny", "escape")
        await until(pilot, lambda: "Enter looks it up" in words(app))
        await pilot.press("escape")
        await at(pilot, "hardware")
        await pilot.press("enter")
        await at(pilot, "model")
        assert app.screen.query_one(Field).value == "ada/tiny" and hubs(desk) == []
        await pilot.press("enter", "enter")
        await at(pilot, "data")
        assert hubs(desk) == ["ada/tiny"]


async def test_a_download_goes_on_beside_the_next_steps(cwd: Path) -> None:
    """A line on every step says how far it is; when it is done the model is here."""
    gate = threading.Event()
    desk = Recommending(ONE_GPU, fetch_gate=gate)
    app = app_of(cwd, desk)
    async with app.run_test(size=(80, 24)) as pilot:
        await walk(pilot, to="model")
        assert "d download now" in screen_text(app)
        await pilot.press("d")
        await until(pilot, lambda: "90 of 270 MB, 33 %" in words(app))
        assert "Esc stop the download" in screen_text(app)
        await pilot.press("enter")
        await at(pilot, "data")
        assert "33 %" in screen_text(app)
        desk.fetch_gate = None
        gate.set()
        await until(pilot, lambda: f"{QWEN} was downloaded" in words(app))
        await pilot.press("enter")
        await at(pilot, "preset")
        assert "downloaded" not in screen_text(app) and desk.fetched == [QWEN] and not desk.stopped
        await until(pilot, lambda: (app.wizard.found("model") or {}).get("here"))


@pytest.mark.parametrize("way", ["escape", "other"])
async def test_esc_or_another_choice_stops_it(cwd: Path, way: str) -> None:
    """Cleanly: nothing is left that goes on, and the step stays where it is."""
    desk = Recommending(ONE_GPU, fetch_gate=threading.Event())
    assert desk.fetch_gate is not None
    app = app_of(cwd, desk)
    async with app.run_test(size=(80, 24)) as pilot:
        await walk(pilot, to="model")
        await pilot.press("d")
        await until(pilot, lambda: app.downloads.running)
        if way == "escape":
            await pilot.press("escape")
            assert app.at == "model"
        else:
            await pilot.press("2")
            await until(pilot, lambda: app.wizard.model() != QWEN)
            assert app.downloads.running == QWEN  # only looked at so far
            await pilot.press("enter")
            await at(pilot, "data")
        assert desk.stopped == 1 and app.downloads.now is None and "33 %" not in screen_text(app)
        desk.fetch_gate.set()
        if way == "escape":
            await pilot.press("escape")
            await at(pilot, "hardware")


async def test_a_download_that_fails_says_why_and_d_tries_again(cwd: Path) -> None:
    """The network went away."""
    away = Problem("model_unreachable", {"name": QWEN, "endpoint": "x", "via": "", "reason": "no route to host"})
    desk = Recommending(ONE_GPU, {f"download:{QWEN}": away})
    app = app_of(cwd, desk)
    async with app.run_test(size=(80, 24)) as pilot:
        await walk(pilot, to="model")
        await pilot.press("d")
        await until(pilot, lambda: "no route to host" in words(app))
        assert "d download now" in screen_text(app)
        del desk.facts[f"download:{QWEN}"]
        await pilot.press("d")
        await until(pilot, lambda: "was downloaded" in words(app))


async def test_leaving_ends_a_download(cwd: Path) -> None:
    """Nothing of ours goes on in the background unasked."""
    desk = Recommending(ONE_GPU, fetch_gate=threading.Event())
    assert desk.fetch_gate is not None
    app = app_of(cwd, desk)
    async with app.run_test(size=(80, 24)) as pilot:
        await walk(pilot, to="model")
        await pilot.press("d")
        await until(pilot, lambda: app.downloads.running)
        await pilot.press("ctrl+q", "ctrl+q")
        await until(pilot, lambda: desk.stopped)
        desk.fetch_gate.set()


async def test_letters_that_are_typed_are_letters(cwd: Path) -> None:
    """A name with a d in it."""
    desk = FakeDesk(facts={"model:d/d": TYPED | {"name": "d/d"}})
    app = app_of(cwd, desk)
    async with app.run_test(size=(80, 24)) as pilot:
        await walk(pilot, to="model")
        await pilot.press("end", "enter", *"d/d")
        assert app.screen.query_one(Field).value == "d/d" and not desk.fetched


async def test_a_folder_is_chosen_from_a_list(cwd: Path) -> None:
    """Models among folders are told apart, and one is taken with Enter."""
    (cwd / "mine").mkdir()
    (cwd / "mine" / "config.json").write_text("{}")
    (cwd / "mine" / "model.safetensors").write_bytes(b"x" * 2000)
    app = app_of(cwd)
    async with app.run_test(size=(80, 24)) as pilot:
        await walk(pilot, to="model")
        await pilot.press("end", "up", "enter")
        await until(pilot, lambda: "model, 2.0 kB" in screen_text(app))
        app.screen.query_one("#files", Picker).move_to("mine")
        await pilot.press("enter")
        await until(pilot, lambda: app.wizard.model() == str(cwd / "mine"))


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("ascii_only", [False, True])
async def test_in_small_windows_it_is_one_column(cwd: Path, language: str, ascii_only: bool) -> None:
    """60×20: nothing is cut, and the list gives room to what there is to know."""
    set_language(language)
    app = app_of(cwd, Recommending(NO_GPU), profile=replace(PROFILE, ascii_only=ascii_only))
    async with app.run_test(size=(60, 20)) as pilot:
        await walk(pilot, to="model")
        await pilot.press("2")
        await until(pilot, lambda: "apache-2.0" in screen_text(app))
        assert all(cell_len(line) <= 60 for line in screen_text(app).split("\n"))
        assert app.screen.query_one("#body").max_scroll_y == 0, screen_text(app)


def test_columns_are_as_wide_as_they_may_be() -> None:
    """Two where they fit, with names and values under each other; else one."""
    pairs = [("Size", "8.2B parameters"), ("Context", "32768 tokens"), ("许可证", "apache-2.0"), ("Kind", "instruct")]
    wide = columns(pairs, 62)
    assert wide == ["Size   8.2B parameters  Context 32768 tokens", "许可证 apache-2.0       Kind    instruct"]
    assert columns(pairs, 30) == [
        "Size    8.2B parameters",
        "Context 32768 tokens",
        "许可证  apache-2.0",
        "Kind    instruct",
    ]
    assert columns([], 62) == [] and columns(pairs[:1], 62) == ["Size 8.2B parameters"]
    long = columns([("Template", "a name " * 8), ("Kind", "x")], 30)
    assert all(cell_len(line) <= 30 for line in long) and long[1].startswith(" " * 9)


async def test_foreign_words_of_a_model_do_nothing(cwd: Path) -> None:
    """A licence, a type or a name may hold anything."""
    odd = "[/x] \x1b]52;c;eA==\x07 {oops} \u202e" + "x" * 300
    facts = {"name": odd, "here": True, "bytes": 5, "parameters": 7, "dtype": odd, "model_type": odd, "licence": odd}
    facts |= {"own": True, "turns": odd, "shape": None, "unknown": [], "tuned": None, "max_positions": 9}
    app = app_of(cwd, FakeDesk(ONE_GPU, {"model": facts}))
    async with app.run_test(size=(80, 24)) as pilot:
        await walk(pilot, to="model")
        shown = screen_text(app)
        assert "[/x]" in shown and "\x1b" not in shown and "\u202e" not in shown
        assert all(cell_len(line) <= 80 for line in shown.split("\n"))
