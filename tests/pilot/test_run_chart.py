"""The loss as a picture of characters."""

from __future__ import annotations

import math
import time

from tui.widgets.chart import draw

WIDTH, HEIGHT = 40, 8


def picture(losses, smoothed=(), evals=(), *, ascii_only=True, log_scale=False, width=WIDTH, height=HEIGHT):
    return draw(losses, smoothed, evals, width, height, ascii_only, log_scale)


def test_one_step_is_one_dot_with_its_value():
    """The first refresh of every run has a single point: nothing to divide by."""
    for ascii_only in (True, False):
        lines = picture([(7, 1.5)], [(7, 1.5)], ascii_only=ascii_only)
        assert len(lines) == HEIGHT
        assert sum("1.5" in line for line in lines) == 1
        assert lines[-1].strip() == "7"
    assert sum(line.count("*") for line in picture([(7, 1.5)], [(7, 1.5)])) == 1


def test_a_loss_that_does_not_move_is_a_level_line():
    """A frozen model trains at one loss: no division by the empty span."""
    points = [(step, 2.0) for step in range(1, 50)]
    drawn = [line for line in picture(points, points) if "*" in line]
    assert len(drawn) == 1
    assert drawn[0].startswith("2 *") and drawn[0].endswith(" 2")


def test_extremes_last_value_and_steps_are_written_beside_the_picture():
    """Without colour or pictures, the numbers must be there."""
    lines = picture([(10, 4.0), (11, 2.0), (12, 1.0), (13, 3.0)])
    assert lines[0].startswith("4 ") and lines[-2].startswith("1 ")
    assert [line for line in lines if line.endswith(" 3")]
    assert lines[-1].split() == ["10", "13"]


def test_gaps_break_the_line_and_are_no_points():
    """A step without a number (null in the event) must not be drawn as a value, nor end the wizard."""
    losses = [(1, 1.0), (2, 1.0), (3, None), (4, math.nan), (5, math.inf), (8, 1.0), (9, 1.0)]
    middle = next(line for line in picture(losses, losses) if "*" in line)
    assert "* " in middle.strip("1 ").rstrip()
    assert picture([(1, None)], [(1, None)]) == []
    whole = picture([(1, 1.0), (9, 1.0)], [(1, 1.0), (9, 1.0)])
    assert "* " not in next(line for line in whole if "*" in line).strip("1 ")


def test_raw_and_smoothed_differ_without_colour():
    """Loose dots against a closed line, in both alphabets; held-back losses are crosses."""
    losses = [(step, 2 + (-1) ** step * 0.5) for step in range(1, 30)]
    smoothed = [(step, 2.0) for step, _ in losses]
    plain = "\n".join(picture(losses, smoothed, [(15, 2.2)]))
    assert plain.count("x") == 1 and plain.count("*") > 25 and plain.count(".") > 25
    braille = "\n".join(picture(losses, smoothed, [(15, 2.2)], ascii_only=False))
    assert braille.count("x") == 1
    assert any("⠀" < sign <= "⣿" for sign in braille) and "*" not in braille


def test_a_peak_survives_the_thinning():
    """One bad step in a hundred thousand is what a person looks for; and looking must not stop the keys."""
    losses = [(step, 1.0) for step in range(1, 100_001)]
    losses[54_321] = (54_322, 9.0)
    began = time.process_time()  # of this process alone: the machine may be busy
    lines = picture(losses, losses, width=80, height=12, ascii_only=False)
    assert time.process_time() - began < 0.5
    assert lines[0].startswith("9 ") and any(sign > "⠀" for sign in lines[0][2:])
    for at in range(50_000, 50_010):
        losses = [(step, 9.0 if step == at else 1.0) for step in range(1, 100_001)]
        assert any(sign > "⠀" for sign in picture(losses, width=80, ascii_only=False)[0][2:])
    assert lines[-1].split() == ["1", "100000"]


def test_logarithmic_scale_leaves_out_what_has_no_logarithm():
    """A loss of zero cannot be drawn; half of the picture is one power of ten."""
    lines = picture([(1, 100.0), (2, 10.0), (3, 1.0), (4, 0.0)], log_scale=True, height=8)
    rows = [number for number, line in enumerate(lines[:-1]) if "." in line[4:]]
    assert rows == [0, 3, 6]


def test_where_there_is_no_room_nothing_is_drawn():
    """A window that is being made small must not end the wizard."""
    for width, height in ((0, 0), (10, 10), (80, 2)):
        assert picture([(1, 1.0), (2, 2.0)], width=width, height=height) == []


def test_lines_stay_within_the_width():
    """One cell too many would wrap every row."""
    losses = [(step, 1e-7 * step) for step in range(1, 500)]
    for width in (24, 40, 62, 103):
        for ascii_only in (True, False):
            lines = picture(losses, losses, [(400, 1e6)], width=width, ascii_only=ascii_only)
            assert lines and max(map(len, lines)) <= width
