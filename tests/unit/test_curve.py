"""A series that grows without end in as many points as can be drawn at once."""

from __future__ import annotations

import itertools

from engine.runs.curve import Curve


def test_few_points_are_all_there() -> None:
    curve = Curve(most=100)
    for step in range(99):
        curve.add(step, -step)
    assert curve.points() == tuple((step, -step) for step in range(99))


def test_a_hundred_thousand_steps_are_few_points_and_no_bad_step_is_lost() -> None:
    """What a person looks for is the one step that went wrong; and the ends are what stands beside the picture."""
    for bad in (1, 2, 50_001, 77_777, 99_998):
        curve = Curve(most=512)
        for step in range(100_000):
            curve.add(step, 9.0 if step == bad else 1.0 + (step % 7) / 100)
        points = curve.points()
        assert len(points) <= 520 and curve.count == 100_000
        assert (bad, 9.0) in points
        assert points[0] == (0, 1.0) and points[-1] == (99_999, 1.0 + (99_999 % 7) / 100)
        assert [step for step, _ in points] == sorted({step for step, _ in points})


def test_what_is_seen_between_two_halvings_is_evenly_spread() -> None:
    """A curve whose early steps were thinned more than its late ones would look as if the run had slowed down."""
    curve = Curve(most=64)
    for step in range(1000):
        curve.add(step, float(step))
    steps = [step for step, _ in curve.points()]
    gaps = [after - before for before, after in itertools.pairwise(steps)]
    assert max(gaps) <= 2 * 1000 / len(steps) + 16


def test_a_level_line_and_nothing() -> None:
    assert Curve().points() == ()
    curve = Curve(most=8)
    for step in range(100):
        curve.add(step, 2.0)
    points = curve.points()
    assert points[0] == (0, 2.0) and points[-1] == (99, 2.0) and len(points) <= 12
