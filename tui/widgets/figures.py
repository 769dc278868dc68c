"""A run's snapshot in words: how it stands, how far it is, its figures, and what to do when it did not end well."""

from __future__ import annotations

import shlex

from engine.errors import Problem
from engine.messages import render
from engine.runs.view import Snapshot
from engine.text import clean, one_line
from tui.phases import duration, phase_title, state_title
from tui.report import amount, command
from tui.words import _, noop, problem_line, translate

BAR = 16
GB = 1e9

_STATES = {
    "starting": noop("The worker is being started."),
    "stopping": noop("The step is finished and saved, then the run ends."),
    "finished": noop("Everything is done."),
    "stopped": noop("What was learned is saved."),
    "failed": noop("The run ended before it was done."),
    "crashed": noop("The worker is gone without a word."),
}


def state_line(seen: Snapshot) -> str:
    """The state's word and what it means."""
    status, word = seen.status, state_title(seen.status.state)
    if status.state == "elsewhere":
        host, age = one_line(status.host, 30), status.heartbeat_age
        if age is None:
            return _("{state} ({host})").format(state=word, host=host)
        line = _("{state} ({host}); last sign of life {age} ago")
        return line.format(state=word, host=host, age=duration(age))
    if status.state == "running":
        return _("{state}: {what}").format(state=word, what=phase_title(seen.phase) if seen.phase else _("beginning"))
    return _("{state}: {what}").format(state=word, what=translate(_STATES[status.state]))


def progress_line(seen: Snapshot) -> str:
    """A bar of plain characters, how far the phase is, and how long it takes; empty where nothing can be said."""
    if not seen.total:
        return ""
    share = min(1.0, max(0.0, seen.done / seen.total))
    bar = "#" * int(share * BAR + 0.5)
    parts = [f"[{bar:-<{BAR}}]", f"{int(100 * share)} %"]
    if seen.unit == "steps":
        parts.append(_("step {step} of {total}").format(step=int(seen.done), total=int(seen.total)))
    else:
        parts.append(amount(seen.done, seen.total, one_line(seen.unit, 20)))
    if seen.eta is not None:
        parts.append(_("{time} left").format(time=duration(seen.eta)))
    return "  ".join(parts)


def loss_line(seen: Snapshot) -> str:
    """The loss in figures, for those who do not read pictures."""
    if seen.loss is None and not seen.losses:
        return ""
    loss = seen.loss if seen.loss is not None else seen.losses[-1][1]
    parts = [_("loss {loss:.4f}").format(loss=loss)]
    if seen.smoothed:
        parts.append(_("smoothed {loss:.4f}").format(loss=seen.smoothed[-1][1]))
    if seen.evals:
        step, held_back = seen.evals[-1]
        parts.append(_("held back {loss:.4f} (step {step})").format(loss=held_back, step=step))
    return "  ".join(parts)


def rate_line(seen: Snapshot) -> str:
    """Learning rate, speed, pass, memory, checkpoint, as far as they are known."""
    parts = []
    if seen.learning_rate is not None:
        parts.append(_("learning rate {rate:.2e}").format(rate=seen.learning_rate))
    if seen.tokens_per_second is not None:
        parts.append(_("{speed:.0f} tok/s").format(speed=seen.tokens_per_second))
    if seen.epoch:
        parts.append(_("pass {epoch:.2f}").format(epoch=seen.epoch))
    if seen.peak_bytes:
        parts.append(_("memory {size:.1f} GB").format(size=seen.peak_bytes / GB))
    if seen.checkpoint is not None:
        parts.append(_("saved at {step}").format(step=seen.checkpoint))
    return "  ".join(parts)


def legend(log_scale: bool) -> str:
    """What the picture shows."""
    scale = _("logarithmic") if log_scale else _("linear")
    return _("dots: each step  line: smoothed  x: held back  ({scale})").format(scale=scale)


def notes_line(seen: Snapshot) -> str:
    """The latest of the warnings, in a line."""
    if not seen.warnings:
        return ""
    count, text = len(seen.warnings), one_line(what(seen.warnings[-1]), 200)
    line = _("note: {text}") if count == 1 else _("{count} notes, the last: {text}")
    return line.format(count=count, text=text)


def all_notes(seen: Snapshot) -> str:
    """Every warning with what to do about it."""
    return "\n".join(problem_line(problem) for problem in seen.warnings)


def cause(seen: Snapshot) -> str:
    """Why a run failed or crashed, and what to do about it; further findings without."""
    if not seen.problems:
        return ""
    first, *others = seen.problems
    lines = [_("What happened: {text}").format(text=what(first))]
    advice = hint(first)
    if advice:
        leads_on = advice.endswith((":", "："))  # to the others
        lines.append(advice if leads_on else _("What to do: {text}").format(text=advice))
    return "\n".join([*lines, *(_("- {text}").format(text=what(problem)) for problem in others)])


def after(seen: Snapshot, *, ours: bool) -> str:
    """The ways on from a run that did not reach its end. ours: the answers behind it can be changed here."""
    state = seen.status.state
    if state not in ("stopped", "failed", "crashed"):
        return ""
    saved = seen.checkpoint
    if state == "stopped":
        lines = [_("Enter  goes on now. Later: {command}").format(command=resume_command(seen.run))]
    else:
        go_on = _("r  tries again and goes on from step {step}").format(step=saved)
        lines = [go_on if saved is not None else _("r  tries again from the beginning")]
    if ours:
        changes = [_("b  back to your answers, which are all kept")]
        # Where the same again would end the same way, changing something comes first.
        lines = changes + lines if state == "failed" else lines + changes
    return "\n".join([*lines, _("Log: {path}").format(path=clean(seen.path / "train.log"))])


def safe_line(seen: Snapshot) -> str:
    """That the run needs nobody, and the way back to it."""
    return _("Safe to disconnect. Back with: {command}").format(command=attach_command(seen.run))


def attach_command(run: str) -> str:
    """Watches a run again."""
    return f"{command()} attach {shlex.quote(run)}"


def resume_command(run: str) -> str:
    """Goes on with a run."""
    return f"{command()} resume {shlex.quote(run)}"


def what(problem: Problem) -> str:
    """What is wrong, without what to do."""
    return render(problem, translate).partition("\n  ")[0]


def hint(problem: Problem) -> str:
    """What to do about it; empty where there is nothing."""
    return render(problem, translate).partition("\n  ")[2]
