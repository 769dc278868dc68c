"""`sft-wizard preprocess`: tokenise and stop. Imports little: every command line passes here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from tui.arguments import AsJson, Changes, ForceData, Overrides, TrainFile


def preprocess(
    file: TrainFile,
    changes: Changes = None,
    overrides: Overrides = None,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Folder to write, instead of tokenized_path.")] = None,
    as_json: AsJson = False,
    force: ForceData = False,
) -> None:
    """Tokenise the data and write it to tokenized_path, as LLaMA-Factory stores it: ids, labels, splits. Then stop."""
    raise typer.Exit(_preprocess(file, changes or [], overrides or [], out, as_json, force))


def _preprocess(
    file: Path, changes: list[str], overrides: list[str], out: Path | None, as_json: bool, force: bool
) -> int:
    from engine.config.overrides import pairs
    from engine.errors import EXIT_OK, Problem, ProblemError
    from engine.messages import render
    from engine.tokenizing import preprocess as tokenize
    from tui.report import Report
    from tui.words import _, problem_line

    try:
        with Report() as report:
            made = tokenize(
                file,
                [*overrides, *pairs(changes)],
                out=out,
                force=force,
                listen=report.event,
                progress=report.progress,
            )
    except ProblemError as error:
        if as_json:
            problems = [problem.as_dict() | {"text": render(problem)} for problem in error.problems]
            print(json.dumps({"exit_code": error.exit_code, "problems": problems}))
        raise
    notes = [Problem.from_dict(raw) for raw in made["notes"]]
    if as_json:
        told = [note.as_dict() | {"text": render(note)} for note in notes]
        print(json.dumps({"exit_code": EXIT_OK, **made, "notes": told}))
        return EXIT_OK
    for note in notes:
        print(problem_line(note))
    for name, split in made["splits"].items():
        print(_("{name}: {rows} rows, {tokens} tokens, {labelled} of them to be learnt").format(name=name, **split))
    print(_("Written to {folder}").format(folder=made["folder"]))
    return EXIT_OK
