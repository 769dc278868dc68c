"""Arguments that several commands have. Imports little: every command line passes here."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

TrainFile = Annotated[
    Path, typer.Argument(metavar="FILE", help="A train config, a config.yaml, or a project's folder.")
]
JobFile = Annotated[
    Path, typer.Argument(metavar="FILE", help="A train config, a merge config, a config.yaml, or a project's folder.")
]
Changes = Annotated[
    list[str] | None,
    typer.Argument(metavar="[KEY=VALUE]...", help="Change keys of the file, as --set does; --KEY VALUE works too."),
]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a key of the file, several times.")
]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]
ForceData = Annotated[bool, typer.Option("--force", help="What would stop a run is a warning.")]
# `--learning_rate 1e-5` after the file is a key, not an option: words that are no option are left to `pairs`.
WITH_CHANGES = {"ignore_unknown_options": True}
