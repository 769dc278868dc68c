"""The picture of the README, from the program: python docs/screenshot.py RUN_FOLDER, while that run is training."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from engine.runs.folder import RunFolder
from engine.wizard.desk import ProcessDesk
from engine.wizard.session import Wizard
from tui.app import WizardApp
from tui.term import TerminalProfile


async def take(run: RunFolder, picture: Path) -> None:
    """Open the run's screen at 80×24 and save what it shows."""
    environ = {"TERM": "xterm-256color", "COLORTERM": "truecolor"}
    profile = TerminalProfile.of(environ, stdin=True, stderr=True, encoding="utf-8")
    app = WizardApp(Wizard(Path.cwd()), ProcessDesk(), profile=profile, run=run)
    async with app.run_test(size=(80, 24)) as pilot:
        while app.snapshot is None or not app.snapshot.losses:
            await pilot.pause(0.1)
        await pilot.pause(1)
        picture.write_text(app.export_screenshot(title="sft-wizard"), encoding="utf-8")


if __name__ == "__main__":
    asyncio.run(take(RunFolder(Path(sys.argv[1]).absolute()), Path(__file__).with_name("wizard.svg")))
