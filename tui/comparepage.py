"""Runs in a list and beside each other, as lines: of the screens, of `runs compare`, and of plain prompts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.cells import cell_len

from engine.runs.comparing import Comparison
from engine.runs.listing import Listed, Trained
from engine.text import clean, one_line
from tui.phases import age, duration, state_title
from tui.words import _, noop, translate
from tui.wrapping import pad

LETTERS = "ABCD"
NOT_KNOWN = "-"
GAP = 2
LONGEST = 40  # cells of a value where nothing else limits it
GB = 1e9

_HEADS = {
    "name": noop("project"),
    "state": noop("state"),
    "loss": noop("loss"),
    "steps": noop("steps"),
    "age": noop("age"),
    "model": noop("model"),
    "data": noop("data"),
}
_WIDTHS = {"name": 18, "state": 10, "loss": 7, "steps": 11, "age": 7, "model": 22, "data": 16}  # cells
_LEFT_OUT = ("data", "model", "steps", "age")  # one after the other, where there is no room


def columns(cells: int) -> dict[str, int]:
    """{column: its cells} of the list: all there is room for; the last one takes what is left."""
    found = dict(_WIDTHS)
    for name in _LEFT_OUT:
        if sum(found.values()) + GAP * (len(found) - 1) > cells:
            del found[name]
    last = [*found][-1]
    found[last] += max(0, cells - sum(found.values()) - GAP * (len(found) - 1))
    return found


def heads(cells: int) -> str:
    """The names of the list's columns."""
    return _line({name: translate(head) for name, head in _HEADS.items()}, cells)


def row(found: Listed, now: float, cells: int) -> str:
    """A run in the list. now: Unix time."""
    status = found.status
    return _line(
        {
            "name": one_line(found.name, 100),
            "state": state_title(status.state),
            "loss": f"{status.loss:.4f}" if status.loss is not None else "",
            "steps": f"{status.step}/{status.total}" if status.total else "",
            "age": age(max(0.0, now - found.began)),
            "model": one_line(found.model, 100),
            "data": one_line(found.data, 100),
        },
        cells,
    )


def run_words(found: Listed, now: float) -> str:
    """A run in a sentence, for a list that is read aloud."""
    status = found.status
    parts = [_("{name}, {state}").format(name=one_line(found.name, 100), state=state_title(status.state))]
    if status.total:
        parts.append(_("step {step} of {total}").format(step=status.step, total=status.total))
    if status.loss is not None:
        parts.append(_("loss {loss:.4f}").format(loss=status.loss))
    parts.append(_("{age} ago").format(age=age(max(0.0, now - found.began))))
    return _(", ").join([*parts, *(one_line(name, 100) for name in (found.model, found.data) if name)])


def legend(runs: Sequence[Trained]) -> list[str]:
    """Which letter is which run."""
    return [f"{letter}  {clean(run.listed.run.id)}" for letter, run in zip(LETTERS, runs, strict=False)]


def results(comparison: Comparison, now: float) -> list[tuple[str, list[str]]]:
    """[(what, its figure in each run)]: what came of them."""
    runs = comparison.runs
    figures: list[tuple[str, list[str]]] = [
        (_("state"), [state_title(run.listed.status.state) for run in runs]),
        (_("steps"), [f"{run.listed.status.step}/{run.listed.status.total}" for run in runs]),
        (_("loss, smoothed"), [_figure(run.loss, "{:.4f}") for run in runs]),
        (_("loss, held back"), [_figure(run.eval_loss, "{:.4f}") for run in runs]),
        (_("tokens a second"), [_figure(run.tokens_per_second, "{:.0f}") for run in runs]),
        (_("peak memory"), [_figure(run.peak and run.peak / GB, "{:.1f} GB") for run in runs]),
        (_("time of the steps"), [duration(run.seconds) if run.seconds else NOT_KNOWN for run in runs]),
        (_("begun"), [_("{age} ago").format(age=age(max(0.0, now - run.listed.began))) for run in runs]),
    ]
    return [(what, each) for what, each in figures if any(figure != NOT_KNOWN for figure in each)]


def settings(comparison: Comparison) -> list[tuple[str, list[str]]]:
    """[(key, its value in each run)] of those that differ."""
    return [(key, [_value(value) for value in values]) for key, values in comparison.settings]


def table(rows: Sequence[tuple[str, list[str]]], count: int, cells: int | None = None) -> list[str]:
    """The rows under the letters of the runs; what is too long for `cells` is cut, never a column left out."""
    if not rows:
        return []
    rows = [("", list(LETTERS[:count])), *rows]
    first = max(cell_len(name) for name, _values in rows)
    each = max(cell_len(value) for _name, values in rows for value in values)
    each = min(each, LONGEST)
    if cells is not None:
        first = min(first, cells // 3)
        each = max(1, min(each, (cells - first) // count - GAP))
    return [
        (pad(name, first) + "".join(" " * GAP + pad(value, each) for value in values)).rstrip() for name, values in rows
    ]


def compared(comparison: Comparison, now: float, cells: int | None = None) -> list[str]:
    """Which run is which, what came of them, and which settings differ."""
    count = len(comparison.runs)
    differing = settings(comparison)
    lines = [*legend(comparison.runs), "", *table(results(comparison, now), count, cells), ""]
    if differing:
        return [*lines, _("Settings that differ"), *table(differing, count, cells)]
    return [*lines, _("No setting differs.")]


def as_json(comparison: Comparison) -> dict[str, Any]:
    """The same as values."""
    return {
        "runs": [
            {
                "id": run.listed.run.id,
                "path": str(run.listed.run.path),
                "name": run.listed.name,
                "state": run.listed.status.state,
                "step": run.listed.status.step,
                "total": run.listed.status.total,
                "model": run.listed.model,
                "data": run.listed.data,
                "loss": run.loss,
                "eval_loss": run.eval_loss,
                "tokens_per_second": run.tokens_per_second,
                "peak_bytes": run.peak,
                "seconds": run.seconds,
                "curve": run.curve,
                "evals": run.evals,
            }
            for run in comparison.runs
        ],
        "settings": {key: list(values) for key, values in comparison.settings},
    }


def _line(values: dict[str, str], cells: int) -> str:
    return (" " * GAP).join(pad(values[name], width) for name, width in columns(cells).items()).rstrip()


def _figure(value: float | None, shown: str) -> str:
    return NOT_KNOWN if value is None else shown.format(value)


def _value(value: Any) -> str:
    if value is None:
        return NOT_KNOWN
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:.6g}"
    return one_line(", ".join(map(str, value)) if isinstance(value, list) else value, 200)
