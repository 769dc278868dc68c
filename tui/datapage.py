"""What the model will see, as text of any width on stdout, or as JSON."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from engine.config.overrides import pairs
from engine.data.comparing import Difference
from engine.data.histogram import Lengths
from engine.data.review import Part, Review
from engine.data.sampling import Pieces, SampleRow, Stretch
from engine.data_check import check_data
from engine.errors import EXIT_OK, EXIT_USAGE, Problem, ProblemError
from engine.messages import render
from engine.text import clean, one_line
from tui.report import Report
from tui.words import _, problem_line, problem_text

BAR = 40  # cells of the longest bar
NAME = 28  # characters of a dataset's name


def show_check(file: Path, changes: Sequence[str], overrides: Sequence[str], *, as_json: bool, force: bool) -> int:
    """Check and tell; the exit code. `changes`: words that follow the file."""
    try:
        overrides = [*overrides, *pairs(changes)]
        with Report() as report:
            review = check_data(file, overrides, force=force, listen=report.event, progress=report.progress)
    except ProblemError as error:
        if as_json:
            problems = [problem.as_dict() | {"text": render(problem)} for problem in error.problems]
            print(json.dumps({"exit_code": error.exit_code, "problems": problems}))
        raise
    code = EXIT_USAGE if review.ruined else EXIT_OK
    if as_json:
        raw = review.as_dict()
        texts = [{"text": render(problem)} for problem in review.problems]
        raw["problems"] = [found | text for found, text in zip(raw["problems"], texts, strict=True)]
        print(json.dumps({"exit_code": code, **raw}))
    else:
        Page(review).print()
    return code


class Page:
    """A review as text. Colour only repeats what words say."""

    def __init__(self, review: Review, console: Console | None = None):
        self.review = review
        if console is None and isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors="backslashreplace")  # data holds what no ASCII terminal can show
        self.console = console or Console(file=sys.stdout, highlight=False)
        unicode = (self.console.encoding or "").lower().replace("-", "").startswith("utf")
        self.block, self.space = ("█", "·") if unicode else ("#", "_")

    def print(self, *, samples: bool = True) -> None:
        """From the data's sets to the verdict, which is what remains on the screen; without rows where those follow."""
        review = self.review
        if review.samples and samples:
            line = _("Rows as the model reads them: every token with its number in [ ], {space} is a space.")
            self._line(line.format(space=self.space), "bold")
        for sample in review.samples if samples else ():
            self._sample(sample)
        self._sets()
        for name, part in review.parts.items():
            self._part(name, part)
        if review.difference:
            self._difference(review.difference)
        self._problems()

    def _line(self, text: str, style: str = "") -> None:
        self.console.print(Text(text, style))

    def _problem(self, text: str, style: str = "", indent: int = 0) -> None:
        """What is wrong, and indented what to do; both keep their indent where they are wrapped."""
        wrong, *hints = text.split("\n")
        self.console.print(Padding(Text(wrong, style), (0, 0, 0, indent), expand=False))
        for hint in hints:
            self.console.print(Padding(Text(hint.strip()), (0, 0, 0, indent + 2), expand=False))

    def _facts(self, facts: Iterator[tuple[str, str]]) -> None:
        """Two columns: what, and what of it."""
        table = Table.grid(padding=(0, 2, 0, 0))
        table.add_column(no_wrap=True)
        table.add_column(overflow="fold", ratio=1)
        for what, value in facts:
            table.add_row(Text("  " + what), Text(value))
        self.console.print(table)

    def _sets(self) -> None:
        if not self.review.sets:
            return
        self._line(_("Rows read"), "bold")
        for tally in self.review.sets:
            dropped = sum(tally["dropped"].values())
            line = _("{name}: {read} rows, all used")
            if dropped:
                line = _("{name}: {kept} of {read} rows are used; left out:")
            self._line("  " + line.format(name=one_line(tally["name"], NAME), kept=tally["kept"], read=tally["read"]))
            if dropped:
                if dropped > len(tally["first"]):
                    reasons = sorted(tally["dropped"].items(), key=lambda item: -item[1])
                    told = _(", ").join(f"{count} × {clean(code)}" for code, count in reasons)
                    self._problem(_("left out: {reasons}. The first:").format(reasons=told), indent=4)
                for raw in tally["first"]:
                    self._problem(problem_text(Problem.from_dict(raw)), indent=4)
        self.console.print()

    def _part(self, name: str, part: Part) -> None:
        review = self.review
        title = _("To train on") if name == "train" else _("To measure on: {name}").format(name=one_line(name, NAME))
        template = _("(template {template}, cutoff_len {cutoff})").format(
            template=review.template, cutoff=review.cutoff_len
        )
        self.console.print(Text.assemble((title, "bold"), f"  {template}"))
        self._facts(self._figures(part))
        if part.lengths:
            self._lengths(part.lengths, part)
        self.console.print()

    def _figures(self, part: Part) -> Iterator[tuple[str, str]]:
        share = 100 * part.labelled / part.tokens if part.tokens else 0
        rows = str(part.rows)
        if part.packed_rows:
            rows = _("{rows}, packed into {packed}").format(rows=part.rows, packed=part.packed_rows)
        yield _("rows"), rows
        tokens = _("{tokens}, of which {labelled} are learnt ({share:.0f} %)")
        yield _("tokens"), tokens.format(tokens=part.tokens, labelled=part.labelled, share=share)
        cut = _("none")
        if part.truncated:
            cut = _("{rows} rows lost {tokens} tokens")
            if part.answers_cut:
                cut = _("{rows} rows lost {tokens} tokens; {answers} of them part of an answer")
            if part.end_marks_lost:  # never without a part of an answer
                cut = _("{rows} rows lost {tokens} tokens; {answers} of them part of an answer, {ends} its end mark")
            told = {"answers": part.answers_cut, "ends": part.end_marks_lost}
            cut = cut.format(rows=part.truncated, tokens=part.tokens_cut, **told)
        yield _("cut at cutoff_len"), cut
        masked = str(part.masked)
        if part.masked:
            first = _(", ").join(map(clean, part.masked_first))
            masked = _("{rows} rows (first: {first})").format(rows=part.masked, first=first)
        yield _("nothing to learn"), masked
        ends = _(", ").join(f"{self._visible(text)}[{token}]" for token, text in self.review.ends)
        line = _("in {found} of {rows} rows; the model stops at {ends}")
        yield _("end mark learnt"), line.format(found=part.end_rows, rows=part.rows, ends=ends)
        again = str(part.duplicates)
        if part.duplicates:
            again = _("{rows} rows; one stands there {times} times: {text}").format(
                rows=part.duplicates, times=part.times, text=clean(part.repeated)
            )
        yield _("repeated rows"), again
        yield (
            _("empty answers"),
            str(part.empty) if part.empty is not None else _("not known: questions are learnt too"),
        )
        if self.review.vocabulary is not None:
            line = _("{largest}; the model knows 0 to {last}")
            yield _("largest token"), line.format(largest=part.largest_id, last=self.review.vocabulary - 1)

    def _lengths(self, lengths: Lengths, part: Part) -> None:
        line = _("tokens in a row: median {median}, 90 % up to {p90}, 99 % up to {p99}, {least} to {most} in all")
        told = {name: getattr(lengths, name) for name in ("median", "p90", "p99", "least", "most")}
        self._line("  " + line.format_map(told))
        over = [(str(mark), rows) for mark, rows in lengths.over.items()]
        over.append((_("cutoff_len"), part.truncated))
        longer = _(", ").join(f"{mark}: {rows}" for mark, rows in over)
        self._line("  " + _("rows longer than {marks}").format(marks=longer))
        most = max(bar.rows for bar in lengths.bars)
        digits = len(str(lengths.bars[-1].high))
        for bar in lengths.bars:
            cells = -(-BAR * bar.rows // most)
            drawn = f"{self.block * cells} {bar.rows}".strip()
            self._line(f"  {bar.low:>{digits}}–{bar.high:<{digits}} {drawn}")

    def _difference(self, found: Difference) -> None:
        self._line(_("Template {name} and the model's own differ").format(name=self.review.template), "bold")
        place = _("first at character {at} of a conversation of {turns} messages {system}").format(
            at=found.at + 1,
            turns=found.turns,
            system=_("with a system prompt") if found.system else _("without a system prompt"),
        )
        self._line("  " + place)
        sides = ((self.review.template, found.named), (_("the model's"), found.own))
        self._facts((name, self._visible(text)) for name, text in sides)
        self.console.print()

    def _sample(self, sample: SampleRow) -> None:
        line = _("Row {number} of {rows}: {tokens} tokens, {labelled} of them learnt")
        told = {"number": sample.number, "rows": sample.rows, "tokens": sample.tokens, "labelled": sample.labelled}
        self._line(line.format_map(told))
        table = Table.grid(padding=(0, 2, 0, 0))
        table.add_column(no_wrap=True)
        table.add_column(overflow="fold", ratio=1)
        for number, stretch in enumerate(sample.stretches):
            if sample.left_out and number == sample.left_out_after:
                gap = _("… {count} more stretches …").format(count=sample.left_out)
                table.add_row("", Text(gap, "italic"))
            name = Text(
                "  " + (_("learnt") if stretch.learnt else _("read")), "bold green" if stretch.learnt else "dim"
            )
            table.add_row(name, self._stretch(stretch))
        self.console.print(table)
        self.console.print()

    def _stretch(self, stretch: Stretch) -> Text:
        text = Text()

        def add(pieces: Pieces) -> None:
            for ids, piece in pieces:
                text.append(self._visible(piece), "green" if stretch.learnt else "")
                text.append(f"[{'+'.join(map(str, ids))}] ", "dim")

        add(stretch.head)
        if stretch.left_out:
            text.append(_("… {count} tokens …").format(count=stretch.left_out) + " ", "italic")
            add(stretch.tail)
        return text

    def _visible(self, text: str) -> str:
        return visible(text, self.space)

    def _problems(self) -> None:
        shown = [problem for problem in self.review.problems if not self._told(problem)]
        for problem in shown:
            style = {"error": "bold red", "warning": "yellow"}.get(problem.severity, "")
            self._problem(problem_line(problem), style)
        if shown:
            self.console.print()
        if self.review.ruined:
            self._line(_("A run would be stopped before its first step."), "bold red")
        elif any(problem.severity == "warning" for problem in self.review.problems):
            self._line(_("A run would start; see the warnings above."), "bold")
        else:
            self._line(_("A run would start: nothing is wrong with this data."), "bold green")

    def _told(self, problem: Problem) -> bool:
        """Whether it was said with its dataset, or is the difference that was shown."""
        if problem.code == "template_differs":
            return True
        raw = problem.as_dict()
        return any(
            (problem.code == "rows_dropped" and problem.params.get("name") == tally["name"]) or raw in tally["first"]
            for tally in self.review.sets
        )


def visible(text: str, space: str) -> str:
    """Text of a token on one line: spaces, line ends and what must not reach a terminal can be seen."""
    shown = clean(text.replace("\r", "\\r")).replace("\n", "\\n").replace("\t", "\\t")
    return shown.replace(" ", space)
