"""The need of the job on the screen: the bar, the moving figure, and the key that makes it fit."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from rich.cells import cell_len

from engine.config.jobs import load_job
from engine.errors import Problem
from engine.hardware import GIB, Gpu, GpuProcess, Hardware
from engine.memory.recommended import known_model
from engine.project import apply_project, plan_project
from engine.wizard.memory import Need, need
from engine.wizard.session import Machine
from tests.pilot.fakes import HOST, NO_GPU, ONE_GPU, PROFILE, SMALL_GPU, FakeDesk, app_of, at, screen_text, until
from tests.pilot.test_walk import walk
from tests.unit.model_facts import model_facts
from tui.widgets import Words
from tui.widgets.memory import bar, legend
from tui.widgets.picker import Picker

LARGE = {"model": "Qwen/Qwen3-8B"}
BIG_GPU = Machine(Hardware((Gpu(0, "GPU-1", "NVIDIA H100", 80 * GIB, 79 * GIB),), driver="570.86"), HOST)
KEY = "f make it fit"


def figure(text: str) -> str:
    """What is needed, as the screen says it."""
    found = re.search(r"needs ([\d.]+)", text)
    assert found, text
    return found.group(1)


async def test_enter_alone_on_a_24_gb_card_trains_a_model_that_is_worth_it_and_fits(cwd: Path) -> None:
    """Not 135M parameters, and nothing that runs out of memory."""
    desk = FakeDesk(ONE_GPU)
    app = app_of(cwd, desk)
    async with app.run_test(size=(80, 24)) as pilot:
        await walk(pilot)
        assert "Memory: fits" in screen_text(app) and KEY not in screen_text(app)
        await pilot.press("enter")
        await until(pilot, lambda: app.started)
    model = known_model(desk.starts[0]["answers"].model)
    assert model is not None and model.parameters > 1e9
    found = need(app.wizard)
    assert isinstance(found, Need) and found.verdict == "fits"


async def test_the_figure_moves_with_the_row(cwd: Path) -> None:
    """A larger preset keeps more at a time; the digit of a row works where there are more than nine."""
    app = app_of(cwd, FakeDesk(BIG_GPU), answers=LARGE)
    async with app.run_test(size=(80, 24)) as pilot:
        await walk(pilot, to="preset")
        large = figure(screen_text(app))
        assert len(app.screen.query_one("#choices", Picker).rows) > 9
        await pilot.press("2")
        await until(pilot, lambda: app.wizard.value("preset") == "8gb")
        await until(pilot, lambda: figure(screen_text(app)) != large)
        assert float(figure(screen_text(app))) < float(large)
        await pilot.press("9")
        assert app.screen.query_one("#choices", Picker).place == 8
        await pilot.press("end")
        await until(pilot, lambda: "> " in screen_text(app) and app.wizard.value("preset") == "a100")


@pytest.mark.parametrize("step", ["preset", "settings", "review"])
async def test_one_key_makes_it_fit(cwd: Path, step: str) -> None:
    """On each step that shows the need; the files that are written say it too, as --replay reads them."""
    desk = FakeDesk(SMALL_GPU)
    app = app_of(cwd, desk, answers=LARGE)
    async with app.run_test(size=(80, 24)) as pilot:
        await walk(pilot, to=step)
        before = screen_text(app)
        assert "Memory: does not fit" in before and KEY in before
        await pilot.press("f")
        await until(pilot, lambda: "Memory: fits" in screen_text(app))
        after = screen_text(app)
        assert KEY not in after and "Approximate, another result" in after and "4 bits" in after
        if step != "review":
            await pilot.press("enter")
            await at(pilot, "settings" if step == "preset" else "review")
        if step == "preset":
            await pilot.press("enter")
            await at(pilot, "review")
        await until(pilot, lambda: app.focused)
        await pilot.press("home", "enter")
        await until(pilot, lambda: app.started)
    answers = desk.starts[0]["answers"]
    preset = app.wizard.preset()
    apply_project(answers, plan_project(answers, preset))
    job = load_job(answers.folder / "config.yaml", [], cwd)
    assert job.train is not None and job.train.config.quantization_bit == 4
    assert job.train.config.lora_rank == app.wizard.value("train.lora_rank")


async def test_the_key_does_nothing_where_it_fits_or_is_typed(cwd: Path) -> None:
    """An f in the name of a folder is a letter."""
    app = app_of(cwd, FakeDesk(SMALL_GPU), answers=LARGE)
    async with app.run_test(size=(80, 24)) as pilot:
        await walk(pilot, to="settings")
        app.screen.query_one("#rows", Picker).move_to("project")
        await pilot.press("enter", "f", "enter")
        assert app.wizard.value("project") == "identity-loraf"
        assert "train.quantization_bit" not in app.wizard.answers


async def test_where_nothing_suffices_smaller_models_are_named(cwd: Path) -> None:
    """The way out is another model."""
    card = Gpu(0, "GPU-1", "NVIDIA GT 1030", 3 * GIB, int(2.5 * GIB))
    app = app_of(cwd, FakeDesk(Machine(Hardware((card,), driver="570.86"), HOST)), answers=LARGE)
    async with app.run_test(size=(80, 24)) as pilot:
        await walk(pilot, to="preset")
        await pilot.press("f")
        await until(pilot, lambda: "No change of the settings suffices" in screen_text(app))
        assert app.wizard.value("preset") and "train.quantization_bit" not in app.wizard.answers


async def test_without_a_figure_there_is_a_sentence_and_the_way_on(cwd: Path) -> None:
    """A config.json that lacks a field."""
    wrong = Problem("model_config_incomplete", {"field": "hidden_size", "reason": "is missing"})
    facts = {**model_facts("x"), "shape": None, "unknown": [wrong.as_dict()]}
    app = app_of(cwd, FakeDesk(NO_GPU, {"model": lambda options: facts}))
    async with app.run_test(size=(80, 24)) as pilot:
        await walk(pilot, to="preset")
        shown = screen_text(app)
        assert "its config.json does not" in shown and "hidden_size" in shown and KEY not in shown
        await pilot.press("enter")
        await at(pilot, "settings")
        await pilot.press("enter")
        await at(pilot, "review")
        assert "Memory: " not in screen_text(app)


async def test_a_model_that_is_not_reached_is_left_for_another_row(cwd: Path) -> None:
    """No network: the step says so, and the built-in model is in the list."""
    missing = Problem(
        "model_unreachable", {"name": "Qwen/Qwen3-8B", "endpoint": "https://hub", "via": "", "reason": "no network"}
    )
    app = app_of(cwd, FakeDesk(ONE_GPU, {"model:Qwen/Qwen3-8B": missing}))
    async with app.run_test(size=(80, 24)) as pilot:
        await walk(pilot, to="model")
        await pilot.press("enter")
        await until(pilot, lambda: "no network" in " ".join(screen_text(app).split()))
        assert app.at == "model"
        app.screen.query_one("#choices", Picker).focus()
        await pilot.press("7")
        await until(pilot, lambda: app.wizard.value("model") == "smollm2-135m")
        await pilot.press("enter")
        await at(pilot, "data")


async def test_ascii_has_a_bar_too(cwd: Path) -> None:
    """--ascii: every part still has a glyph of its own."""
    app = app_of(cwd, FakeDesk(SMALL_GPU), answers=LARGE, profile=replace(PROFILE, ascii_only=True))
    async with app.run_test(size=(80, 24)) as pilot:
        await walk(pilot, to="preset")
        shown = screen_text(app)
    assert re.search(r"\[#+\|#+\+=?~?/+", shown), shown
    assert "# weights 15.3" in shown and "+ what learns" in shown


async def test_a_busy_card_is_marked(cwd: Path) -> None:
    """On a shared server: who is on it, and with how much."""
    process = GpuProcess(7, "python", "ada", 20 * GIB)
    card = Gpu(0, "GPU-1", "NVIDIA L4", 24 * GIB, 3 * GIB, used=20 * GIB, processes=(process,))
    app = app_of(cwd, FakeDesk(Machine(Hardware((card,), driver="570.86"), HOST)))
    async with app.run_test(size=(80, 24)) as pilot:
        await at(pilot, "hardware")
        told = " ".join(app.screen.query_one("#checks", Words).lines(200))
        assert "20.0 GB used by python (pid 7, ada, 20.0 GB)" in told and "warning" in screen_text(app)


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
@pytest.mark.parametrize("machine", [ONE_GPU, SMALL_GPU, NO_GPU], ids=["24 GB", "10 GB", "CPU"])
async def test_nothing_of_the_preset_is_cut(cwd: Path, size: tuple[int, int], machine: Machine) -> None:
    """Verdict, bar, legend and reason are all there without scrolling."""
    app = app_of(cwd, FakeDesk(machine), answers=LARGE)
    async with app.run_test(size=size) as pilot:
        await walk(pilot, to="preset")
        for key in ("f", "end", "home"):
            body = app.screen.query_one("#body")
            assert body.max_scroll_y == 0, screen_text(app)
            await pilot.press(key)
            await pilot.pause()


def test_the_bar_is_as_wide_as_it_is_told_to_be_and_in_proportion(cwd: Path) -> None:
    """Cells of a part are its share of what is free; where it does not fit, `|` stands at the free memory's end."""
    app = app_of(cwd, FakeDesk(ONE_GPU), answers=LARGE)
    for machine in (ONE_GPU, SMALL_GPU):
        desk = FakeDesk(machine)
        for step in ("hardware", "model", "data"):
            for request in app.wizard.needs(step):
                app.wizard.learn(request, desk.find(request, lambda what, done, total: None))
        found = need(app.wizard)
        assert isinstance(found, Need)
        for ascii_only in (True, False):
            drawn = bar(found, 62, ascii_only=ascii_only)
            assert cell_len(drawn) == 62
            whole = max(found.needed, found.device.free)
            weights = drawn.count("#" if ascii_only else "█") + drawn.count("|")
            assert abs(weights - 60 * found.parts[0].size / whole) <= 1
            assert all(cell_len(line) <= 62 for line in legend(found, 62, ascii_only=ascii_only))
        assert ("|" in drawn) == (found.verdict == "no")
        request = next(request for request in app.wizard.facts if request.what == "hardware")
        app.wizard.learn(request, SMALL_GPU)
