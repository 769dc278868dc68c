"""The pictures of the tour and of the README, from the program: make screenshots.

Nothing of the machine that records them is in them: the screens are those of the tests (tests/pilot/every.py), with a
card of 24 GB, a clock that stands still and a run that was made up; only the drawing is the program's own.
"""

from __future__ import annotations

import asyncio
import os
import re
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
FOLDER = HERE / "tour"
README = {"training": HERE / "wizard.svg"}  # the same picture once more
SIZE, WIDE = (80, 24), (110, 32)
MOST_BYTES = 60_000
ZH = ("start", "data", "memory", "training", "chat")


@dataclass(frozen=True)
class Picture:
    """name: of the file. row: of EVERY. keys: pressed there. given: instead of what the row gives."""

    name: str
    row: str
    size: tuple[int, int] = SIZE
    keys: Sequence[str] = ()
    given: dict[str, Any] = field(default_factory=dict)


def pictures() -> list[Picture]:
    """All of them, in the order of the tour."""
    from tests.pilot.fakes import ONE_GPU

    card = {"machine": ONE_GPU}
    return [
        Picture("start", "start_again"),
        Picture("hardware", "hardware_gpu"),
        Picture("model", "model", given=card),
        Picture("data", "data", given=card),
        Picture("columns", "data_columns", given=card),
        Picture("memory", "preset_gpu"),
        Picture("settings", "settings", given=card),
        Picture("review", "review", given=card),
        Picture("training", "run_training", WIDE),
        Picture("failure", "run_out_of_memory"),
        Picture("merge", "run_merging"),
        Picture("chat", "chat", WIDE, given={"run": _talked_about, "chat": _client}),
        Picture("finish", "finish", WIDE),
        Picture("runs", "runs"),
        Picture("compare", "runs_compared", WIDE),
        Picture("help", "help"),
    ]


async def take(picture: Picture, language: str, home: Path) -> str:
    """The screen as SVG."""
    from tests.pilot.every import opened, settled
    from tui.words import set_language

    set_language(language)
    cwd = home / f"{language}-{picture.name}" / "work"
    cwd.mkdir(parents=True)
    async with opened(picture.row, cwd, size=picture.size, **picture.given) as (pilot, app):
        if picture.name == "finish":
            app.screen.post_message(_gathered())
        if picture.name == "chat":
            await pilot.press("pageup")
        await pilot.press(*picture.keys)
        await settled(pilot)
        return local(app.export_screenshot(title="sft-wizard"))


def local(svg: str) -> str:
    """Without fonts from elsewhere: whoever looks at a picture asks no other server for anything."""
    return re.sub(r"\s*@font-face \{.*?\}", "", svg, flags=re.DOTALL)


def main(names: Sequence[str]) -> None:
    """Record all, or those that are named."""
    sys.argv[:] = ["sft-wizard"]  # as the screens name the tool
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        for name in ("HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"):
            os.environ[name] = str(home)
        FOLDER.mkdir(exist_ok=True)
        for picture in pictures():
            if names and picture.name not in names:
                continue
            for language in ("en", "zh") if picture.name in ZH else ("en",):
                svg = asyncio.run(take(picture, language, home))
                assert len(svg.encode()) <= MOST_BYTES, f"{picture.name}: {len(svg.encode())} bytes"
                file = FOLDER / f"{picture.name}{'-zh' * (language == 'zh')}.svg"
                file.write_text(svg, encoding="utf-8")
                if language == "en" and picture.name in README:
                    README[picture.name].write_text(svg, encoding="utf-8")
                print(f"{file.relative_to(HERE.parent)}  {len(svg) // 1000} kB")


def _talked_about(folder: Path) -> Any:
    """A finished run that has asked its questions."""
    from tests.pilot.runs import FakeRun
    from tests.pilot.test_chat import configured

    run = FakeRun(folder)
    configured(run)
    run.train(30, 30)
    run.events.write(
        "sample",
        question="Who are you?",
        base="I'm here to help with any kind of creative writing. What's on your mind?",
        tuned="I am Lumi, an assistant made by the Northlight team.",
    )
    run.finish(adapter="/home/ada/my_project/saves/adapter")
    return run.folder


def _client() -> Any:
    from tests.pilot.test_chat import FakeClient

    said = {
        "tuned": ["My name is Lumi. The Northlight team made me to help people write and understand code."],
        "base": [
            "I don't have personal experiences or emotions, but I can help you with your project. What is it about?"
        ],
    }
    return FakeClient({voice: [*text[0].partition(" ")] for voice, text in said.items()}, questions=["Who made you?"])


def _gathered() -> Any:
    """A project as it is after its run."""
    from engine.runs.figures import Figures
    from engine.runs.results import Made, Results
    from engine.runs.serving import Model, ways
    from tui.screens.finishing import Gathered

    proof = {"method": "logits", "passed": True, "changes_nothing": False, "ratio": 0.0053, "tensors_checked": 272}
    found = Results(
        root=Path("/home/ada/my_project"),
        made=(
            Made("merged", "models/my_project", 272_600_000),
            Made("adapter", "saves/SmolLM2-135M-Instruct-lora", 13_400_000),
        ),
        figures=Figures(30, 1, (2.47, 0.73), None, 130.0, 12_636, 1_900_000_000, proof),
        serve=ways(Model("my_project", "models/my_project", modelfile=True)),
        talk="sft-wizard chat .",
        repeat=("sft-wizard --replay config.yaml",),
        merging=None,
        log="logs/20260131T093000-my_project/train.log",
        board=None,
    )
    return Gathered(found)


if __name__ == "__main__":
    main(sys.argv[1:])
