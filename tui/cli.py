"""The command line: reads what was asked, hands it to the engine, turns the outcome into words and an exit code."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from engine.errors import EXIT_FAILED, Problem, ProblemError
from tui.arguments import WITH_CHANGES, Changes
from tui.commands import Commands
from tui.datacheck import data
from tui.doctor import doctor
from tui.estimating import estimate
from tui.preprocessing import preprocess
from tui.presets import presets
from tui.themes import CHOICES

app = typer.Typer(
    name="sft-wizard",
    cls=Commands,
    help="Fine-tune a language model with LoRA: LLaMA-Factory's files, today's transformers, exact and fast.",
    epilog="To see it work: sft-wizard demo   (a real model learns a new identity, a few minutes on a CPU)",
    add_completion=False,
    no_args_is_help=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def known_theme(asked: str | None) -> str | None:
    """--theme."""
    if asked is not None and asked not in CHOICES:
        raise typer.BadParameter(f"is none of {', '.join(CHOICES)}")
    return asked


Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="Change a key of the file, several times; train.KEY in config.yaml."
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show the plan (files, steps, tokens), then end.")]
Fresh = Annotated[bool, typer.Option("--fresh", help="Do it anew; what is in the output folders is moved aside.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object on stdout at the end.")]
Force = Annotated[bool, typer.Option("--force", help="Train even where the data would ruin the run.")]
Detach = Annotated[bool, typer.Option("--detach", help="Start it, print the run's id, and return.")]
RequireGpu = Annotated[bool, typer.Option("--require-gpu", help="End with exit code 3 where no GPU can be used.")]
Fit = Annotated[
    bool, typer.Option("--fit", help="Where it would not fit into memory, change what must be: exact changes first.")
]
Plain = Annotated[bool, typer.Option("--plain", help="Lines instead of the full screen.")]
Lang = Annotated[str | None, typer.Option("--lang", metavar="en|zh", help="Language (default: of the locale).")]
Ascii = Annotated[bool, typer.Option("--ascii", help="Draw with ASCII characters only.")]
Theme = Annotated[
    str | None,
    typer.Option(
        "--theme", metavar="|".join(CHOICES), callback=known_theme, help="Colours (default: the terminal's own)."
    ),
]
Run = Annotated[
    str | None,
    typer.Argument(
        metavar="[RUN]", help="Its id, the beginning of one, or its folder; without, the newest that is going."
    ),
]
ConfigFile = Annotated[Path, typer.Argument(metavar="FILE", help="A YAML or JSON config, or the folder where it lies.")]


def version(asked: bool) -> None:
    """--version."""
    if asked:
        from engine import __version__

        typer.echo(f"sft-wizard {__version__}")
        raise typer.Exit


def speak(lang: str | None) -> None:
    """--lang."""
    if lang is not None:
        import os

        from tui.words import choose_language, set_language

        set_language(choose_language(lang, os.environ))


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context,
    replay: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Run a config without asking: config.yaml of a project, a train or a merge config."
        ),
    ] = None,
    overrides: Set = None,
    dry_run: DryRun = False,
    fresh: Fresh = False,
    as_json: Json = False,
    require_gpu: RequireGpu = False,
    force: Force = False,
    detach: Detach = False,
    fit: Fit = False,
    plain: Plain = False,
    lang: Lang = None,
    ascii_only: Ascii = False,
    theme: Theme = None,
    _: Annotated[bool, typer.Option("--version", callback=version, is_eager=True, help="Show the version.")] = False,
) -> None:
    """Without a command: the wizard, which asks, explains, trains and merges. With --replay FILE it asks nothing.

    The same file again resumes an interrupted run and leaves a finished one alone.

    Exit codes: 0 ok, 1 the run failed, 2 usage, config or data, 3 environment, 4 stopped, 75 checkpointed after a
    termination signal, 130 interrupted.
    """
    speak(lang)
    if context.invoked_subcommand:
        return
    if replay is None:
        if overrides or dry_run or fresh or as_json or require_gpu or force or detach or fit:
            raise typer.BadParameter("is needed with these options", param_hint="--replay FILE")
        from tui.opening import open_wizard

        raise typer.Exit(open_wizard(plain=plain, lang=lang, ascii_only=ascii_only, theme=theme))
    from tui.running import replay_file

    raise typer.Exit(
        replay_file(
            replay,
            overrides or [],
            dry=dry_run,
            fresh=fresh,
            as_json=as_json,
            require_gpu=require_gpu,
            force=force,
            detach=detach,
            fit=fit,
        )
    )


@app.command(context_settings=WITH_CHANGES)
def train(
    file: ConfigFile,
    changes: Changes = None,
    overrides: Set = None,
    dry_run: DryRun = False,
    fresh: Fresh = False,
    as_json: Json = False,
    require_gpu: RequireGpu = False,
    force: Force = False,
    detach: Detach = False,
    fit: Fit = False,
) -> None:
    """Train by a train config (LLaMA-Factory's keys); Ctrl+C saves, the same command resumes."""
    from tui.configs import asked
    from tui.running import replay_file

    file, given = asked(file, changes or [], overrides or [], "train", as_json)
    raise typer.Exit(
        replay_file(
            file,
            given,
            dry=dry_run,
            fresh=fresh,
            as_json=as_json,
            require_gpu=require_gpu,
            force=force,
            only="train",
            detach=detach,
            fit=fit,
        )
    )


@app.command(context_settings=WITH_CHANGES)
def export(
    file: ConfigFile,
    changes: Changes = None,
    overrides: Set = None,
    dry_run: DryRun = False,
    fresh: Fresh = False,
    as_json: Json = False,
    detach: Detach = False,
) -> None:
    """Merge an adapter into its base model by a merge config, and check the result."""
    from tui.configs import asked
    from tui.running import replay_file

    file, given = asked(file, changes or [], overrides or [], "merge", as_json)
    raise typer.Exit(replay_file(file, given, dry=dry_run, fresh=fresh, as_json=as_json, only="merge", detach=detach))


app.command("merge", help="The same as export.", context_settings=WITH_CHANGES)(export)


@app.command()
def chat(
    source: Annotated[
        str,
        typer.Argument(
            help="A config that trains, merges or names a model; a project; a model or adapter; smollm2-135m."
        ),
    ],
    question: Annotated[
        str | None, typer.Argument(help="Ask this and end; without it, from a pipe or a prompt.")
    ] = None,
    base: Annotated[bool, typer.Option("--base", help="Begin with the base model instead of the tuned one.")] = False,
    system: Annotated[str | None, typer.Option(help="A system prompt.")] = None,
    max_new_tokens: Annotated[
        int | None, typer.Option(min=1, help="Longest answer (default: the file's, or 512).")
    ] = None,
    temperature: Annotated[
        float | None,
        typer.Option(min=0.0, max=5.0, help="0 always takes the likeliest token (default: the file's, or 0)."),
    ] = None,
    overrides: Set = None,
) -> None:
    """Talk to the tuned model. /base, /tuned and /both say who answers, /save keeps the talk, /exit leaves."""
    from tui.talking import talk

    raise typer.Exit(talk(source, question, base, system, max_new_tokens, temperature, overrides or []))


@app.command()
def convert(
    source: Annotated[Path, typer.Argument(help="csv, tsv, json, jsonl or parquet.")],
    out: Annotated[Path, typer.Option(help="Folder for the data and its dataset_info.json.")],
    name: Annotated[str | None, typer.Option(help="Name of the dataset (default: the file's).")] = None,
    to: Annotated[str, typer.Option(metavar="alpaca|sharegpt", help="Format to write.")] = "alpaca",
    mapping: Annotated[
        list[str] | None,
        typer.Option("--map", metavar="FIELD=COLUMN", help="prompt, query, response, system, history or messages."),
    ] = None,
    instruction: Annotated[str | None, typer.Option(help="The same instruction for every row.")] = None,
    system: Annotated[str | None, typer.Option(help="The same system prompt for every row.")] = None,
    max_samples: Annotated[int | None, typer.Option(min=1, help="Take only so many rows.")] = None,
    test_split: Annotated[float, typer.Option(min=0.0, help="Rows for NAME_test: a share below 1, or a count.")] = 0.0,
    force: Annotated[bool, typer.Option("--force", help="Overwrite files that are there.")] = False,
    as_json: Json = False,
) -> None:
    """Turn a file of yours into training data and register it, as NAME_train and NAME_test."""
    from tui.making import convert_file

    raise typer.Exit(
        convert_file(source, out, name, to, mapping or [], instruction, system, max_samples, test_split, force, as_json)
    )


@app.command()
def new(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of the project.")],
    data: Annotated[Path | None, typer.Option(help="Your file; without it, a sample is used.")] = None,
    sample: Annotated[
        str, typer.Option(help="A sample that ships with the tool: identity, qa, code, instruction, chat.")
    ] = "identity",
    fill: Annotated[
        list[str] | None, typer.Option("--fill", metavar="NAME=TEXT", help="Words of the sample: name, author.")
    ] = None,
    model: Annotated[str, typer.Option(help="Base model: a folder, a hub name, or smollm2-135m.")] = "smollm2-135m",
    to: Annotated[str, typer.Option(metavar="alpaca|sharegpt", help="Format of your data in the project.")] = "alpaca",
    mapping: Annotated[
        list[str] | None, typer.Option("--map", metavar="FIELD=COLUMN", help="Columns of your file, as in convert.")
    ] = None,
    instruction: Annotated[str | None, typer.Option(help="The same instruction for every row.")] = None,
    system: Annotated[str | None, typer.Option(help="The same system prompt for every row.")] = None,
    max_samples: Annotated[int | None, typer.Option(min=1, help="Take only so many rows.")] = None,
    test_split: Annotated[float, typer.Option(min=0.0, help="Rows for a test set: a share below 1, or a count.")] = 0.0,
    force: Annotated[bool, typer.Option("--force", help="Overwrite files that are there.")] = False,
    preset: Annotated[
        str | None, typer.Option(help="A preset of `sft-wizard presets`, instead of the one for the free memory.")
    ] = None,
) -> None:
    """Write a project: data, commented configs, and a script for the Python API. Asks nothing."""
    from tui.making import new_project

    options = (mapping or [], instruction, system, max_samples, test_split, force, preset)
    raise typer.Exit(new_project(folder, data, sample, fill or [], model, to, *options))


@app.command()
def demo(
    folder: Annotated[Path, typer.Option("--dir", help="Where the demo project goes.")] = Path("sft-wizard-demo"),
    fresh: Fresh = False,
) -> None:
    """A small real model learns who it is: data, training, merge, check, before and after. Minutes on a CPU."""
    from tui.making import run_demo

    raise typer.Exit(run_demo(folder, fresh))


app.add_typer(data, name="data")
app.command(context_settings=WITH_CHANGES)(preprocess)
app.command()(presets)
app.command(context_settings=WITH_CHANGES)(estimate)
app.command()(doctor)


@app.command(context_settings=WITH_CHANGES)
def keys(
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="A config; without, the whole table of keys.")
    ] = None,
    changes: Changes = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON on stdout.")] = False,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="The table as docs/keys.md has it.")] = False,
) -> None:
    """What becomes of every key of LLaMA-Factory here, or of each key of FILE. Exit code 2 where it would not run."""
    from tui.keys import show_file, show_table

    raise typer.Exit(show_table(as_json, as_markdown) if file is None else show_file(file, changes or [], as_json))


@app.command()
def explain(
    words: Annotated[
        list[str] | None, typer.Argument(metavar="[WORD...]", help="Such as rank, lora_rank or slow; without, all.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON on stdout, in English.")] = False,
) -> None:
    """Explain a word of the trade, a key, what to do when training is slow or poor, or a failure: out-of-memory."""
    from tui.explaining import explain as tell

    raise typer.Exit(tell(words or [], as_json=as_json))


runs = typer.Typer(context_settings={"help_option_names": ["-h", "--help"]})
app.add_typer(runs, name="runs")


@runs.callback(invoke_without_command=True)
def list_all(
    context: typer.Context, as_json: Annotated[bool, typer.Option("--json", help="A JSON list on stdout.")] = False
) -> None:
    """List the runs that you started, newest first, and what became of them."""
    if context.invoked_subcommand:
        return
    from tui.runs import list_runs

    raise typer.Exit(list_runs(as_json))


@runs.command("compare")
def compare(
    names: Annotated[
        list[str], typer.Argument(metavar="RUN RUN …", help="Two to four: ids, beginnings of ids, or folders.")
    ],
    as_json: Annotated[bool, typer.Option("--json", help="JSON on stdout, with the curves.")] = False,
) -> None:
    """Compare runs: what came of each, and which of their settings differ."""
    from tui.runs import compare_runs

    raise typer.Exit(compare_runs(names, as_json))


@runs.command("rm")
def remove(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Its id, the beginning of one, or its folder.")],
    everything: Annotated[
        bool, typer.Option("--all", help="Also the adapter and merged model that it was the last to write.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be deleted, and delete nothing.")] = False,
    sure: Annotated[bool, typer.Option("--yes", "-y", help="With --all: do not ask.")] = False,
) -> None:
    """Delete a run's folder, and say what goes. Adapters and merged models stay, unless --all."""
    from tui.runs import remove_run

    raise typer.Exit(remove_run(run, everything, dry_run, sure))


@app.command()
def attach(
    context: typer.Context,
    run: Run = None,
    plain: Plain = False,
    lang: Lang = None,
    ascii_only: Ascii = False,
    theme: Theme = None,
) -> None:
    """Watch a run: its history, then live. Leaving it, by Ctrl+C or a lost terminal, leaves the run going."""
    from engine.runs.index import find

    speak(lang)
    found = find(run)
    if plain:
        from tui.attaching import attach as watch

        raise typer.Exit(watch(found))
    from tui.opening import open_run

    spoken = lang or context.find_root().params["lang"]
    raise typer.Exit(open_run(found, lang=spoken, ascii_only=ascii_only, theme=theme))


@app.command()
def stop(
    run: Run = None,
    kill: Annotated[bool, typer.Option("--kill", help="End it at once, without saving.")] = False,
) -> None:
    """End a run: it finishes its step, writes a checkpoint, and can be resumed."""
    from tui.runs import stop_run

    raise typer.Exit(stop_run(run, kill))


@app.command()
def resume(
    run: Run = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a training key, several times.")
    ] = None,
    smaller: Annotated[
        bool, typer.Option("--smaller", help="Change settings so that it needs less memory: exact changes first.")
    ] = False,
    force: Force = False,
    detach: Detach = False,
    as_json: Json = False,
) -> None:
    """Go on with a run that was stopped, failed or died: the same file and settings, from the last checkpoint.

    Where its checkpoints do not fit what --set or --smaller changes it begins anew; what is there is moved aside.
    """
    from engine.runs.retry import Retry, settings_of
    from tui.runs import resume_run

    raise typer.Exit(resume_run(run, Retry(settings_of(overrides or []), smaller, force), detach, as_json))


@app.command()
def logs(
    run: Run = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the run ends.")] = False,
) -> None:
    """Print a run's log as plain text."""
    from tui.runs import show_log

    raise typer.Exit(show_log(run, follow))


def main() -> None:
    """Entry point. Problems become words on stderr and exit codes; a traceback never reaches the screen."""
    import sys

    try:
        app()
    except ProblemError as error:
        from tui.failurepage import more_line
        from tui.words import problem_line

        for problem in error.problems:
            typer.echo(problem_line(problem), err=True)
        if more := more_line(error.problems):
            typer.echo(more, err=True)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        sys.exit(EXIT_FAILED)
    except Exception as error:
        import traceback

        from engine.storage import state_folder
        from tui.words import problem_line

        log = state_folder() / "crash.log"
        log.write_text(traceback.format_exc())
        problem = Problem("crash", {"type": type(error).__name__, "reason": str(error)[:300], "log": str(log)})
        typer.echo(problem_line(problem), err=True)
        sys.exit(EXIT_FAILED)
