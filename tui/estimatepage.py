"""What a job will need, as text of 80 columns on stdout, or as JSON; the short form for --dry-run."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console

from engine.config.overrides import pairs
from engine.errors import EXIT_ENVIRONMENT, EXIT_OK, EXIT_USAGE, ProblemError
from engine.hardware import GIB
from engine.memory.forecast import Forecast, Machine, forecast
from engine.memory.presets import imagined
from engine.memory.remedies import Change
from engine.messages import render
from engine.text import clean, one_line
from tui.lines import Lines
from tui.report import Report, command, duration, plan_words
from tui.words import _, noop, problem_line, say, translate

NAME = 40  # characters of a model's or device's name
VERDICTS = {
    "fits": noop("Fits: {needed} of {free} GB free, ± {error} %, {level}"),
    "tight": noop("Tight: {needed} of {free} GB free, ± {error} %, {level}"),
    "no": noop("Does not fit: {needed} GB needed, {free} GB free, ± {error} %, {level}"),
}
SHORT = {
    "fits": noop("memory: fits, {needed} of {free} GB free, ± {error} %, {level}"),
    "tight": noop("memory: tight, {needed} of {free} GB free, ± {error} %, {level}"),
    "no": noop("memory: does not fit, {needed} GB needed, {free} GB free, ± {error} %, {level}"),
}
LEVELS = {"fast": noop("by arithmetic"), "traced": noop("traced"), "measured": noop("measured")}
STYLES = {"fits": "bold green", "tight": "bold yellow", "no": "bold red"}


def show_estimate(
    file: Path,
    words: Sequence[str],
    overrides: Sequence[str],
    gpu_memory: str | None,
    *,
    trace: bool,
    count: bool,
    json_: bool,
) -> int:
    """Forecast and tell; the exit code. `words`: what follows the file."""
    try:
        overrides = [*overrides, *pairs(words)]
        machine = Machine.with_gpu(imagined(gpu_memory), trace=trace) if gpu_memory is not None else None
        machine = machine or Machine.here(trace=trace)
        with Report() as report:
            found = forecast(file, overrides, machine=machine, count=count, listen=report.event)
    except ProblemError as error:
        if json_:
            problems = [problem.as_dict() | {"text": render(problem)} for problem in error.problems]
            print(json.dumps({"exit_code": error.exit_code, "problems": problems}))
        raise
    code = exit_code(found)
    if json_:
        print(json.dumps({"exit_code": code, **as_json(found)}))
    else:
        EstimatePage(found, file, overrides).print()
    return code


def exit_code(found: Forecast) -> int:
    """0 it fits, 3 it does not, 2 no figure, or a job that would end before it needs any memory."""
    if not found.fits:
        return EXIT_ENVIRONMENT
    broken = any(problem.severity == "error" for problem in found.problems)
    return EXIT_OK if (found.verdict or found.merge) and not broken else EXIT_USAGE


def as_json(found: Forecast) -> dict[str, object]:
    """The forecast with the words of its problems."""
    problems = [problem.as_dict() | {"text": render(problem)} for problem in found.problems]
    return {**found.as_dict(), "problems": problems}


def verdict_line(found: Forecast) -> str:
    """The answer in a line."""
    if found.verdict:
        return _verdict(found, VERDICTS)
    if found.merge and found.verdict is None and not found.model:
        return _("Fits: the merge") if found.merge.verdict == "fits" else _("Does not fit: the merge")
    return _("Not known: see below")


def _verdict(found: Forecast, words: dict[str, str]) -> str:
    assert found.verdict and found.estimate
    level = translate(LEVELS[found.estimate.level])
    told = {"needed": gigabytes(found.needed), "free": gigabytes(found.device.free), "level": level}
    return translate(words[found.verdict]).format(error=f"{100 * found.estimate.error:g}", **told)


def plan_line(found: Forecast) -> str:
    """What a step does, in a line; empty where it is not known."""
    if not found.estimate:
        return ""
    plan = found.estimate.plan
    return plan_words({"budget": plan.row_tokens, "recompute": plan.recompute, "layers": found.layers})


def short_lines(found: Forecast) -> Iterator[str]:
    """For --dry-run: verdict, plan, and the way out where it does not fit."""
    if found.verdict:
        yield _verdict(found, SHORT)
    elif found.merge and not found.model:
        yield _("memory: the merge fits") if found.merge.verdict == "fits" else _("memory: the merge does not fit")
    else:
        yield _("memory: not known, see below")
    if found.estimate:
        yield _("step: {plan}").format(plan=plan_line(found))
    if found.merge:
        yield _("merge: {figures}").format(figures=merge_line(found))
    if found.fit and found.fit.fits:
        yield _("to make it fit: {settings}").format(settings=" ".join(found.overrides(found.fit.overrides)))


def merge_line(found: Forecast) -> str:
    """Memory and disk of the merge."""
    assert found.merge is not None
    need = found.merge
    line = _("{memory} of {memory_free} GB of memory free, {disk} of {disk_free} GB of disk free")
    told = {name: gigabytes(getattr(need, name)) for name in ("memory", "memory_free", "disk", "disk_free")}
    return line.format_map(told)


def shortened(ranked: Sequence[Change]) -> list[Change]:
    """Of several changes of the same keys the mildest that suffices, or the one that saves most."""
    kept: dict[frozenset[str], Change] = {}
    for change in ranked:
        keys = frozenset(change.settings)
        if keys not in kept or not kept[keys].fits:
            kept[keys] = change
    return list(kept.values())


def gigabytes(size: int) -> str:
    """Bytes in GiB, which cards are sold by."""
    if 0 < size < GIB / 200:
        return "<0.01"
    return f"{size / GIB:.1f}" if size >= 10 * GIB or size == 0 else f"{size / GIB:.2f}"


class EstimatePage:
    """A forecast as text. Colour only repeats what words say."""

    def __init__(self, found: Forecast, file: Path, overrides: Sequence[str] = (), console: Console | None = None):
        self.found, self.file, self.given = found, file, list(overrides)
        self.lines = Lines(console)

    def print(self) -> None:
        """The verdict first, then what it rests on, and what to do at the end."""
        self.lines.line(verdict_line(self.found), STYLES.get(self.found.verdict or "", "bold"))
        self._where()
        self._parts()
        self.lines.facts(self._step())
        self.lines.facts(self._run())
        self._problems()
        self._changes()

    def _where(self) -> None:
        device = self.found.device
        if self.found.model:
            imagined = _("a GPU with {free} GB free").format(free=gigabytes(device.free))
            name = one_line(device.name, NAME) or imagined
            line = _("{model} on {device}")
            self.lines.line(line.format(model=one_line(self.found.model, NAME), device=name))
        for other in self.found.others:
            line = _("not taken: {name}, {free} of {total} GB free")
            told = {"name": one_line(other.name, NAME), "free": gigabytes(other.free), "total": gigabytes(other.total)}
            self.lines.line(line.format_map(told), indent=2)

    def _parts(self) -> None:
        """A bar for each part, all of one scale."""
        estimate, device = self.found.estimate, self.found.device
        if estimate is None:
            return
        parts, gpu = estimate.parts, device.kind == "cuda"
        rows = [
            (_("weights"), parts.weights),
            (_("what is trained, its gradients and optimiser"), parts.trained),
            (_("activations"), parts.activations),
            (_("loss head"), parts.head),
            (_("the allocator's reserve, CUDA") if gpu else _("the process and its libraries"), parts.reserve),
            (_("other processes"), device.others),
        ]
        told = _("{size} GB")
        self.lines.bars([(name, size, told.format(size=gigabytes(size))) for name, size in rows if size])

    def _step(self) -> Iterator[tuple[str, str]]:
        found, estimate = self.found, self.found.estimate
        if estimate is None or found.recipe is None or found.data is None:
            return
        yield _("tokens at a time"), str(estimate.plan.row_tokens)
        again = _("{recompute} of {layers}").format(recompute=estimate.plan.recompute, layers=found.layers)
        yield _("layers computed again"), again
        yield _("longest sample"), _("{tokens} tokens").format(tokens=found.data.longest)
        if found.evaluation:
            yield _("measuring"), _("{size} GB at most").format(size=gigabytes(found.evaluation))
        elif found.data.eval_longest:
            yield _("measuring"), _("needs less than training")
        if estimate.factor != 1:
            yield (
                _("measured here"),
                _("earlier peaks were {factor:.2f} times the figure").format(factor=estimate.factor),
            )

    def _run(self) -> Iterator[tuple[str, str]]:
        outlook = self.found.outlook
        if outlook:
            line = _("{steps} ({each} a pass), {tokens} tokens a pass")
            told = {"steps": outlook.steps, "each": outlook.steps_per_epoch, "tokens": outlook.tokens}
            yield _("optimiser steps"), line.format_map(told)
            disk = outlook.disk
            line = _("{needed} of {free} GB free: {kept} checkpoints of {each} GB, and the result")
            sizes = {"needed": disk.needed, "each": disk.checkpoint, "free": outlook.disk_free}
            shown = {name: gigabytes(size) for name, size in sizes.items()}
            yield _("disk"), line.format(kept=disk.kept, **shown)
            if outlook.seconds:
                yield _("time"), _("about {time}, at the rate of the last run").format(time=duration(outlook.seconds))
        if self.found.merge:
            yield _("merge"), merge_line(self.found)

    def _problems(self) -> None:
        notes = self.found.estimate.notes if self.found.estimate else ()
        if notes or self.found.problems:
            self.lines.blank()
        for note in notes:
            self.lines.line(_("note: {text}").format(text=say(note)), indent=2)
        for problem in self.found.problems:
            style = {"error": "bold red", "warning": "yellow"}.get(problem.severity, "")
            self.lines.line(problem_line(problem), style, indent=2)

    def _changes(self) -> None:
        found = self.found
        if found.verdict in (None, "fits"):
            return
        for title, exact in ((_("Exact: the same result"), True), (_("Approximate: another result"), False)):
            ranked = shortened([change for change in found.changes if change.exact is exact])
            if ranked:
                self.lines.blank()
                self.lines.line(title, "bold")
                for change in ranked:
                    self._change(change)
        fit = found.fit
        self.lines.blank()
        if fit and fit.fits and fit.changes:
            just = _("The least that suffices, if only just:")
            self.lines.line(just if fit.tight else _("The least that suffices:"), "bold")
            self.lines.typed(self._command(found.overrides(fit.overrides)))
            if found.device.name:  # not an imagined one
                self.lines.line(_("or --fit with train or --replay, which does this by itself"), indent=2)
        elif found.verdict == "tight":
            self.lines.line(_("Should memory run out, the run does the step again with fewer tokens at a time."))
        elif fit:
            line = _("Even with all of these {needed} GB are needed: take a smaller model, or a GPU with more memory.")
            if not found.changes:
                line = _("No change of the settings saves memory: take a smaller model, or a GPU with more memory.")
            self.lines.line(line.format(needed=gigabytes(fit.outcome.least)), "bold red")
            if found.smaller:
                self.lines.line(_("such as {models}").format(models=_(", ").join(map(clean, found.smaller))), indent=2)

    def _change(self, change: Change) -> None:
        told = [_("saves {size} GB").format(size=gigabytes(change.saves))]
        if change.time > 1.005:
            told.append(_("{share:.0f} % slower").format(share=100 * (change.time - 1)))
        told.append(_("suffices") if change.fits else _("not enough alone"))
        line = _("{label}: {value}").format(label=say(change.title), value=_(", ").join(told))
        self.lines.line(line, indent=2)
        settings = " ".join(self.found.overrides(change.overrides))
        rest = _("{line} ({note})").format(line=settings, note=say(change.effect))
        self.lines.line(rest, "dim", indent=4)

    def _command(self, settings: list[str]) -> str:
        """What to type so that the run has these settings."""
        file = shlex.quote(clean(self.file))
        changed = {one.partition("=")[0] for one in settings}
        given = [shlex.quote(one) for one in self.given if one.partition("=")[0] not in changed]
        words = [*given, *map(shlex.quote, settings)]
        if self.found.prefix:
            return " ".join([f"{command()} --replay {file}", *(f"--set {word}" for word in words)])
        return " ".join([f"{command()} train {file}", *words])
