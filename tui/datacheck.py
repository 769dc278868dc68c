"""`sft-wizard data`: the commands that look at training data. Imports little: every command line passes here."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

data = typer.Typer(help="Look at training data.", context_settings={"help_option_names": ["-h", "--help"]})


@data.callback()
def group() -> None:
    """Look at training data before it is trained on."""


@data.command("check", context_settings={"ignore_unknown_options": True})
def check(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A train config, a config.yaml, or a project's folder.")],
    changes: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY=VALUE]...", help="Change keys of the file, as --set does; --KEY VALUE works too."),
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change a key of the file, several times."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
    force: Annotated[bool, typer.Option("--force", help="What would stop a run is a warning.")] = False,
) -> None:
    """Show what the model will see: rows, lengths, what is cut, two samples token by token, and what is wrong with it.

    Exit code 2 where a run would be stopped. The tokens are kept: a run after it does not make them again.
    """
    from tui.datapage import show_check

    raise typer.Exit(show_check(file, changes or [], overrides or [], as_json=as_json, force=force))
