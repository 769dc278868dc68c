"""`sft-wizard presets`: what there is and which one to begin with. Imports little: every command line passes here."""

from __future__ import annotations

from typing import Annotated

import typer

from tui.arguments import AsJson


def presets(
    gpu_memory: Annotated[
        str | None, typer.Option(metavar="GB", help="For a GPU on which so many GB are free, instead of the one here.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List the memory presets: what each one sets and why, which one suits this machine, and where your own go."""
    from tui.presetpage import show_presets

    raise typer.Exit(show_presets(gpu_memory, as_json=as_json))
