"""The first step: the doctor's list, and the card to choose where there are several."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.hardware import GIB, Gpu, GpuProcess, Hardware
from engine.text import Phrase
from engine.wizard.draft import Draft
from engine.wizard.session import Machine
from tests.pilot.fakes import HOST, NO_GPU, ONE_GPU, FakeDesk, app_of, at, screen_text, started, until
from tests.pilot.test_walk import walk
from tui.widgets.picker import Picker

ADA = GpuProcess(4242, "python", "ada", 60 * GIB)
CARDS = (
    Gpu(0, "GPU-aa", "NVIDIA A100-SXM4-80GB", 80 * GIB, 19 * GIB, used=60 * GIB, processes=(ADA,)),
    Gpu(1, "GPU-bb", "NVIDIA A100-SXM4-80GB", 80 * GIB, 79 * GIB),
    Gpu(2, "MIG-cc", "NVIDIA A100 MIG 3g.40gb", 40 * GIB, 39 * GIB, slice=1, card="GPU-cc"),
)
SHARED = Machine(Hardware(CARDS, driver="580.95.05", cuda=(13, 0)), HOST)


async def test_a_card_is_chosen_with_the_arrow_and_reaches_the_review(cwd: Path) -> None:
    """The freest is the first; a busy one says so, and by whom."""
    app = app_of(cwd, FakeDesk(SHARED))
    async with app.run_test(size=(80, 24)) as pilot:
        await at(pilot, "hardware")
        shown = screen_text(app)
        assert "> GPU 1: 79.0 of 80.0 GB free" in shown and "recommended" in shown
        assert "GPU 0: 19.0 of 80.0 GB free" in shown and "in use" in shown and "GPU 2:1" in shown
        assert app.focused is app.screen.query_one("#cards")
        await pilot.press("down")
        assert "60.0 GB used by" in screen_text(app) and "ada" in screen_text(app)
        await pilot.press("enter")
        await walk_on(pilot, "model", "data", "preset", "settings")
        assert app.wizard.answers["gpu"] == "GPU-aa"
        assert "CUDA_VISIBLE_DEVICES=GPU-aa" in app.wizard.command()
        app.screen.query_one("#rows", Picker).move_to("gpu")
        await pilot.press("enter", "up", "enter")
        await until(pilot, lambda: app.wizard.answers["gpu"] == "GPU-bb")
        assert app.at == "review"


async def walk_on(pilot: object, *steps: str) -> None:
    """Enter alone through further steps."""
    for name in steps:
        await at(pilot, name)  # type: ignore[arg-type]
        await pilot.press("enter")  # type: ignore[attr-defined]
    await at(pilot, "review")  # type: ignore[arg-type]


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
@pytest.mark.parametrize("machine", [NO_GPU, ONE_GPU, SHARED], ids=["none", "one", "several"])
async def test_all_of_it_is_seen_at_once(cwd: Path, size: tuple[int, int], machine: Machine) -> None:
    """Nothing that matters is below the edge."""
    app = app_of(cwd, FakeDesk(machine))
    async with app.run_test(size=size) as pilot:
        await at(pilot, "hardware")
        assert app.screen.query_one("#body").max_scroll_y == 0, screen_text(app)
        shown = screen_text(app)
        assert "PyTorch" in shown and "Packages" in shown and "Working folder" in shown


async def test_in_a_small_window_the_keys_scroll(cwd: Path) -> None:
    """What is below comes with the arrows, where no list takes them."""
    app = app_of(cwd, FakeDesk(NO_GPU))
    async with app.run_test(size=(60, 18)) as pilot:
        await at(pilot, "hardware")
        body = app.screen.query_one("#body")
        assert body.max_scroll_y > 0
        await pilot.press(*["down"] * 20)
        await until(pilot, lambda: "recent enough" in " ".join(screen_text(app).split()))
        await pilot.press("enter")
        await at(pilot, "model")


async def test_what_was_mended_is_looked_at_again(cwd: Path) -> None:
    """The remedy is followed in another terminal; `r` shows whether it helped."""
    desk = FakeDesk(NO_GPU)
    app = app_of(cwd, desk)
    async with app.run_test(size=(80, 24)) as pilot:
        await at(pilot, "hardware")
        assert "no NVIDIA driver" in screen_text(app)
        desk.machine = SHARED
        await pilot.press("r")
        await until(pilot, lambda: "GPU 1: 79.0" in screen_text(app))
        assert app.focused is app.screen.query_one("#cards")
        await pilot.press("enter")
        await at(pilot, "model")


async def test_a_card_that_is_gone_is_said_and_keeps_nobody(cwd: Path) -> None:
    """The draft of a machine that had more."""
    app = app_of(cwd, FakeDesk(ONE_GPU), draft=Draft({"gpu": "GPU-zz"}, "hardware", cwd))
    async with app.run_test(size=(80, 24)) as pilot:
        await started(pilot)
        await pilot.press("enter")
        await at(pilot, "hardware")
        assert "GPU-zz" in screen_text(app) and "NVIDIA L4 is taken instead" in " ".join(screen_text(app).split())
        await walk(pilot, to="model")


async def test_foreign_words_of_a_machine_do_nothing(cwd: Path) -> None:
    """A card may call itself anything."""
    odd = "[/x] \x1b]52;c;eA==\x07 {oops} \u202e"
    card = Gpu(0, "GPU-1", odd, 24 * GIB, 3 * GIB, used=20 * GIB, processes=(GpuProcess(7, odd, odd, GIB),))
    other = Gpu(1, "GPU-2", odd, 24 * GIB, 9 * GIB)
    app = app_of(cwd, FakeDesk(Machine(Hardware((card, other), Phrase(""), odd), HOST)))
    async with app.run_test(size=(80, 24)) as pilot:
        await at(pilot, "hardware")
        await pilot.press("down")
        shown = screen_text(app)
        assert "[/x]" in shown and "\x1b" not in shown and "\u202e" not in shown
