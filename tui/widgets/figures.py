"""A run's snapshot in words: how it stands, how far it is, its figures, and what happened where it did not end well."""

from __future__ import annotations

import shlex
import time

from rich.cells import cell_len

from engine.errors import Problem
from engine.hardware import GIB
from engine.messages import render
from engine.runs.view import Snapshot
from engine.text import one_line
from tui.phases import duration, phase_title, state_title
from tui.report import amount, command, plan_words
from tui.words import _, noop, problem_line, translate

BAR, SHORT_BAR = 16, 5
LONG = 600  # seconds: what takes longer is told with the time of day at which it ends

MARKS = {  # one cell each, so that a state is told apart without its colour and before its word is read
    "starting": "-",
    "running": ">",
    "stopping": "~",
    "finished": "✓",
    "stopped": "=",
    "failed": "✗",
    "crashed": "!",
    "elsewhere": "?",
}
_STATES = {
    "starting": noop("The worker is being started."),
    "stopping": noop("The step is finished and saved, then the run ends."),
    "finished": noop("Everything is done."),
    "stopped": noop("What was learned is saved."),
    "failed": noop("The run ended before it was done."),
    "crashed": noop("The worker is gone without a word."),
}


def reading_line(share: float | None) -> str:
    """Before the first look at a run."""
    if share is None:
        return _("Looking at the run …")
    return _("Reading the run's events … {share} %").format(share=int(100 * share))


def state_line(seen: Snapshot) -> str:
    """A mark, the state's word, what it means, and how long the run has taken."""
    line = f"{MARKS[seen.status.state]} {_state(seen)}"
    if seen.elapsed is None or seen.status.state == "elsewhere":
        return line
    told = _("took {time}") if seen.over else _("{time} so far")
    return f"{line}  {told.format(time=duration(seen.elapsed))}"


def _state(seen: Snapshot) -> str:
    status, word = seen.status, state_title(seen.status.state)
    if status.state == "elsewhere":
        host, age = one_line(status.host, 30), status.heartbeat_age
        if age is None:
            return _("{state} ({host})").format(state=word, host=host)
        line = _("{state} ({host}); last sign of life {age} ago")
        return line.format(state=word, host=host, age=duration(age))
    if status.state == "running":
        return _("{state}: {what}").format(state=word, what=phase_title(seen.phase))
    return _("{state}: {what}").format(state=word, what=translate(_STATES[status.state]))


def figure_lines(seen: Snapshot, cells: int, *, roomy: bool) -> dict[str, str]:
    """What stands below the state, by name: of a run that did not end well only how far it had come.

    cells: of a line; roomy: whether there is one for the plan.
    """
    if seen.over and seen.outcome != "done":
        return {"progress": where_line(seen)}
    return {
        "progress": "" if seen.over else progress_line(seen, cells),
        "loss": loss_line(seen),
        "rate": rate_line(seen),
        "load": load_line(seen),
        "plan": plan_line(seen) if roomy else "",
    }


def progress_line(seen: Snapshot, cells: int = 80) -> str:
    """A bar of plain characters, how far the phase is, and how long it takes; empty where nothing can be said.

    cells: of the line; the bar gives way before the figures do.
    """
    if not seen.total:
        return ""
    share = min(1.0, max(0.0, seen.done / seen.total))
    parts = [f"{int(100 * share)} %"]
    if seen.unit == "steps":
        parts.append(_("step {step} of {total}").format(step=int(seen.done), total=int(seen.total)))
    else:
        parts.append(amount(seen.done, seen.total, one_line(seen.unit, 20)))
    if seen.left:  # one that takes longer than foretold says nothing
        parts.append(_left(seen.left, seen.now))
    told = "  ".join(parts)
    room = BAR if cell_len(told) + BAR + 4 <= cells else SHORT_BAR
    bar = "#" * int(share * room + 0.5)
    return f"[{bar:-<{room}}]  {told}"


def _left(seconds: float, now: float) -> str:
    """How long it still takes, and where that is long, until when by this machine's clock."""
    if seconds < LONG or not now:
        return _("{time} left").format(time=duration(seconds))
    end = time.localtime(now + seconds)
    same_day = end[:3] == time.localtime(now)[:3]
    clock = time.strftime("%H:%M" if same_day else "%m-%d %H:%M", end)
    return _("{time} left, till {clock}").format(time=duration(seconds), clock=clock)


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
    gradient = seen.facts.get("gradient", {}).get("grad_norm")
    if isinstance(gradient, int | float) and not seen.over:
        parts.append(_("gradient {norm:.3g}").format(norm=gradient))
    return "  ".join(parts)


def rate_line(seen: Snapshot) -> str:
    """Learning rate while it trains (at the end it is 0), speed, pass, checkpoint, as far as they are known."""
    parts = []
    if seen.learning_rate is not None and not seen.over:
        parts.append(_("learning rate {rate:.2e}").format(rate=seen.learning_rate))
    if seen.tokens_per_second is not None:
        parts.append(_("{speed:.0f} tok/s").format(speed=seen.tokens_per_second))
    if seen.epoch:
        parts.append(_("pass {epoch:.2f}").format(epoch=seen.epoch))
    if seen.checkpoint is not None:
        parts.append(_("saved at {step}").format(step=seen.checkpoint))
    return "  ".join(parts)


def load_line(seen: Snapshot) -> str:
    """What the worker takes right now, or the most that it took; empty where neither is known."""
    load = seen.load
    if load is None:
        return _("memory at most {size:.1f} GB").format(size=seen.peak_bytes / GIB) if seen.peak_bytes else ""
    used, total = load.used / GIB, load.total / GIB
    if not load.gpu:
        parts = [_("process: {used:.1f} of {total:.0f} GB").format(used=used, total=total)]
        if load.busy is not None:
            parts.append(_("{cores:.1f} cores busy").format(cores=load.busy / 100))
        return "  ".join(parts)
    parts = [_("GPU: {used:.1f} of {total:.1f} GB").format(used=used, total=total)]
    if load.busy is not None:
        parts.append(_("{share} % busy").format(share=load.busy))
    if load.temperature is not None:
        parts.append(f"{load.temperature} °C")
    return "  ".join(parts)


def plan_line(seen: Snapshot) -> str:
    """How an optimiser step was planned; empty before it was, and for steps without one."""
    return plan_words(seen.facts["step"]) if "step" in seen.facts else ""


def changes_line(seen: Snapshot) -> str:
    """What was set beside the config's file."""
    changes = [one_line(change, 80) for change in seen.changes]
    return one_line(_("Set beside the file: {changes}").format(changes=_(", ").join(changes)), 200) if changes else ""


def where_line(seen: Snapshot) -> str:
    """How far a run had come that is over: step, loss, checkpoint."""
    if not seen.steps_total:
        return ""
    parts = [_("step {step} of {total}").format(step=seen.step, total=seen.steps_total)]
    if seen.loss is not None:
        parts.append(_("loss {loss:.4f}").format(loss=seen.loss))
    if seen.checkpoint is not None:
        parts.append(_("saved at {step}").format(step=seen.checkpoint))
    return "  ".join(parts)


def legend(log_scale: bool) -> str:
    """What the picture shows, and the key that changes it."""
    line = _("dots: each step  line: smoothed  x: held back  (c: linear scale)")
    return line if log_scale else _("dots: each step  line: smoothed  x: held back  (c: log scale)")


def notes_line(seen: Snapshot) -> str:
    """The latest of the warnings, in a line."""
    if not seen.warnings:
        return ""
    count, text = len(seen.warnings), one_line(what(seen.warnings[-1]), 200)
    line = _("note (l): {text}") if count == 1 else _("{count} notes (l), the last: {text}")
    return line.format(count=count, text=text)


def all_notes(seen: Snapshot) -> str:
    """Every warning with what to do about it."""
    return "\n".join(problem_line(problem) for problem in seen.warnings)


def cause(seen: Snapshot, *, advice: bool) -> str:
    """Why a run failed or crashed, and further findings. advice: also the engine's words on what to do."""
    if not seen.problems:
        return ""
    first, *others = seen.problems
    lines = [_("What happened: {text}").format(text=what(first))]
    if by := first.params.get("by"):
        lines.append(_("By: {who}").format(who=one_line(by, 60)))
    said = hint(first)
    leads_on = said.endswith((":", "："))  # to the others
    if said and (advice or leads_on):
        lines.append(said if leads_on else _("What to do: {text}").format(text=said))
    return "\n".join([*lines, *(_("- {text}").format(text=what(problem)) for problem in others)])


def safe_line(seen: Snapshot) -> str:
    """That the run needs nobody, and the way back to it."""
    return _("Safe to disconnect. Back with: {command}").format(command=attach_command(seen.run))


def attach_command(run: str) -> str:
    """Watches a run again."""
    return f"{command()} attach {shlex.quote(run)}"


def what(problem: Problem) -> str:
    """What is wrong, without what to do."""
    return render(problem, translate).partition("\n  ")[0]


def hint(problem: Problem) -> str:
    """What to do about it; empty where there is nothing."""
    return render(problem, translate).partition("\n  ")[2]
