"""`sft-wizard doctor`. Imports little: every command line passes here."""

from __future__ import annotations

import typer

from tui.arguments import AsJson


def doctor(as_json: AsJson = False) -> None:
    """Look at this machine: hardware, packages, disk, hub, terminal. Each check says what to do; nothing is changed.

    Exit code 3 where something would keep a run from working.
    """
    from tui.doctorpage import show_doctor

    raise typer.Exit(show_doctor(as_json))
