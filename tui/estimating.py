"""`sft-wizard estimate`: will it fit? Imports little: every command line passes here."""

from __future__ import annotations

from typing import Annotated

import typer

from tui.arguments import AsJson, Changes, JobFile, Overrides


def estimate(
    file: JobFile,
    changes: Changes = None,
    overrides: Overrides = None,
    gpu_memory: Annotated[
        str | None,
        typer.Option("--gpu-memory", metavar="GB", help="For a GPU with so many GB free, instead of this machine."),
    ] = None,
    fast: Annotated[
        bool, typer.Option("--fast", help="By arithmetic alone, without tracing a step (some seconds).")
    ] = False,
    no_data: Annotated[
        bool, typer.Option("--no-data", help="Do not tokenise: every sample counts as cutoff_len tokens.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Will it fit? Memory in parts against what is free right now, the step's plan, disk, and what would make it fit.

    Exit codes: 0 it fits, 3 it does not, 2 the file cannot be used or there is no figure.
    """
    from tui.estimatepage import show_estimate

    raise typer.Exit(
        show_estimate(
            file, changes or [], overrides or [], gpu_memory, trace=not fast, count=not no_data, json_=as_json
        )
    )
