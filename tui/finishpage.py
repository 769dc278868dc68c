"""What was made, how it came out and how it is used, in lines: for the last screen, plain prompts and --replay."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from dataclasses import dataclass

from engine.runs.figures import Figures
from engine.runs.results import Results
from engine.runs.serving import Way
from engine.text import clean
from tui.mergewords import proof_words
from tui.phases import duration
from tui.shell import command_lines
from tui.words import _, noop, say, translate
from tui.wrapping import wrap

INDENT = "  "

_MADE = {
    "merged": noop("Model: {path} ({size})"),
    "model": noop("Model: {path} ({size})"),
    "adapter": noop("Adapter: {path} ({size})"),
    "predictions": noop("Predictions: {path} ({size})"),
    "answers": noop("Answers before and after: {path} ({size})"),
}
_ORDER = ("merged", "model", "adapter", "predictions", "answers")


@dataclass(frozen=True)
class Part:
    """A heading and what stands below it: sentences, and commands and code that are to be copied as they are."""

    id: str
    head: str
    sentences: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()
    code: tuple[str, ...] = ()

    def lines(self, cells: int) -> list[str]:
        """At this width."""
        found = [line for sentence in self.sentences for line in wrap(sentence, cells)]
        for command in self.commands:
            found += [INDENT + line for line in command_lines(command, cells - len(INDENT))]
        return [*found, *(INDENT + line for line in self.code)]


PARTS = ("made", "figures", "begin", "talk", *(f"serve{number}" for number in range(5)), "merge", "repeat", "logs")


def parts(found: Results) -> list[Part]:
    """Everything there is to say; a part without content is left out."""
    head = _("What was made, in {folder}").format(folder=clean(found.root))
    made = [Part("made", head, tuple(_made_lines(found))), _figures(found.figures)]
    begin = Part("begin", _("To use it, first go there"), commands=(_typed("cd", found.root),))
    board = (_typed("tensorboard", "--logdir", found.board),) if found.board else ()
    merge = (clean(found.merging.command),) if found.merging else ()
    after = [
        Part("talk", _("Talk to it"), commands=(clean(found.talk),) if found.usable else ()),
        *(_way(number, way) for number, way in enumerate(found.serve)),
        Part("merge", _("Merge it: one model that any tool serves"), commands=merge),
        Part("repeat", _("Do it again, without questions"), commands=tuple(map(clean, found.repeat))),
        Part("logs", _("The log and the curves"), (clean(found.log),) if found.log else (), board),
    ]
    return [part for part in (*made, begin, *after) if part.sentences or part.commands or part.code]


def page(found: Results, cells: int) -> list[str]:
    """The parts one below the other, an empty line between two."""
    lines: list[str] = []
    for part in parts(found):
        lines += ["", part.head, *part.lines(cells)]
    return lines[1:]


def markdown(found: Results) -> str:
    """The same as a file, with nothing broken into lines."""
    lines = [f"# {_('How to use {name}').format(name=clean(found.root.name))}", ""]
    for part in parts(found):
        lines += [f"## {part.head}", ""]
        lines += [sentence + "  " for sentence in part.sentences]
        block = part.commands or part.code
        lines += [f"```{'sh' if part.commands else 'python'}", *block, "```"] if block else []
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def figure_lines(found: Figures) -> list[str]:
    """How training and check came out, in sentences."""
    lines = []
    if found.loss:
        line = _("Loss: {first:.2f} at step {begun}, {last:.2f} at step {steps} (smoothed)")
        told = {"begun": found.begun, "steps": found.steps}
        lines.append(line.format(first=found.loss[0], last=found.loss[1], **told))
    if found.held_back:
        first, last = found.held_back
        line = _("Loss on the rows held back: {first:.2f}, then {last:.2f}")
        one = _("Loss on the rows held back: {last:.2f}")
        lines.append((one if first == last else line).format(first=first, last=last))
    parts = []
    if found.seconds is not None:
        parts.append(_("training took {time}").format(time=duration(found.seconds)))
    if found.tokens:
        parts.append(_("{tokens} tokens").format(tokens=f"{found.tokens:,}"))
    if found.peak_bytes:
        parts.append(_("at most {size:.1f} GB of memory").format(size=found.peak_bytes / 1e9))
    if parts:
        line = _(", ").join(parts)
        lines.append(line[:1].upper() + line[1:])
    return [*lines, proof_words(found.proof)] if found.proof else lines


def size(count: int) -> str:
    """Bytes as a person reads them."""
    if count >= 1e9:
        return _("{size:.2f} GB").format(size=count / 1e9)
    return _("{size:.1f} MB").format(size=count / 1e6) if count >= 1e6 else _("{size:.0f} kB").format(size=count / 1e3)


def _made_lines(found: Results) -> Iterable[str]:
    for made in sorted(found.made, key=lambda made: _ORDER.index(made.what) if made.what in _ORDER else len(_ORDER)):
        line = translate(_MADE.get(made.what, noop("{what}: {path} ({size})")))
        told = size(made.bytes) if made.bytes is not None else _("not there any more")
        yield line.format(what=clean(made.what), path=clean(made.path), size=told)


def _figures(found: Figures) -> Part:
    return Part("figures", _("How it came out"), tuple(figure_lines(found)))


def _way(number: int, way: Way) -> Part:
    notes = (say(way.note),) if way.note.text else ()
    commands, code = (tuple(clean(line) for line in lines) for lines in (way.commands, way.code))
    return Part(f"serve{number}", _("Use it with {what}").format(what=say(way.title)), notes, commands, code)


def _typed(*words: object) -> str:
    return clean(shlex.join(map(str, words)))
