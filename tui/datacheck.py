"""`sft-wizard data`: the commands that look at training data. Imports little: every command line passes here."""

from __future__ import annotations

import typer

from tui.arguments import WITH_CHANGES, AsJson, Changes, ForceData, Overrides, TrainFile

data = typer.Typer(help="Look at training data.", context_settings={"help_option_names": ["-h", "--help"]})


@data.callback()
def group() -> None:
    """Look at training data before it is trained on."""


@data.command("check", context_settings=WITH_CHANGES)
def check(
    file: TrainFile,
    changes: Changes = None,
    overrides: Overrides = None,
    as_json: AsJson = False,
    force: ForceData = False,
) -> None:
    """Show what the model will see: rows, lengths, what is cut, two samples token by token, and what is wrong with it.

    Exit code 2 where a run would be stopped. The tokens are kept: a run after it does not make them again.
    """
    from tui.datapage import show_check

    raise typer.Exit(show_check(file, changes or [], overrides or [], as_json=as_json, force=force))
