"""A step traced on few layers and written out for many, by hand."""

from __future__ import annotations

import pytest

from engine.memory.unroll import Event, Place, Segment, peak, unroll

CONSTANT, INPUT = 0, 1


def uniform(layers: int, *, kept: int = 10, hidden: int = 4, constant: int = 1, logits: int = 100) -> list[Segment]:
    """A step of equal layers. Each keeps `kept` for its backward and makes the next hidden state, which that one keeps

    too; backward makes the gradient of its input and frees that of its output. A constant is there for all layers.
    """
    trace = [Segment(Place("before"), [Event(CONSTANT, constant), Event(INPUT, hidden)])]
    names = iter(range(2, 1000))
    keeps, states, gradients = {}, {-1: INPUT}, {}
    for layer in range(layers):
        passing, keeps[layer], states[layer] = next(names), next(names), next(names)
        events = [Event(passing, 7), Event(keeps[layer], kept), Event(passing, 0), Event(states[layer], hidden)]
        trace.append(Segment(Place("forward", layer), events))
    head, gradients[layers - 1] = next(names), next(names)
    last = states[layers - 1]
    trace.append(
        Segment(
            Place("head"), [Event(head, logits), Event(gradients[layers - 1], hidden), Event(head, 0), Event(last, 0)]
        )
    )
    for layer in reversed(range(layers)):
        gradients[layer - 1] = next(names)
        events = [Event(gradients[layer - 1], hidden), Event(gradients[layer], 0), Event(keeps[layer], 0)]
        if layer == 0:
            events.append(Event(CONSTANT, 0))
        trace.append(Segment(Place("backward", layer), [*events, Event(states[layer - 1], 0)]))
    trace.append(Segment(Place("after"), [Event(gradients[-1], 0)]))
    return trace


def sizes(steps) -> list[int]:
    """What is in use after each event: the whole story but the names."""
    held, now, story = {}, 0, []
    for storage, size, _ in steps:
        now += size or -held.pop(storage)
        held[storage] = size
        story.append(now)
    assert now == 0
    return story


@pytest.mark.parametrize("depth", [3, 4, 9])
def test_three_layers_written_out_are_the_deep_step_itself(depth):
    deep = unroll(uniform(depth), range(depth))
    assert sizes(unroll(uniform(3), [0, *[1] * (depth - 2), 2])) == sizes(deep)


def test_the_peak_on_paper_and_its_share_of_the_head():
    # At the logits: constant 1, input 4, each of 6 layers 10 + 4, logits 100, first gradient 4.
    found = peak(unroll(uniform(3), [0, 1, 1, 1, 1, 2]))
    assert found == (1 + 4 + 6 * 14 + 104, 104)
    # In blocks of 8 bytes: 8 + 8 + 6 * (16 + 8) + 104 + 8.
    assert peak(unroll(uniform(3), [0, 1, 1, 1, 1, 2]), 8) == (8 + 8 + 6 * 24 + 112, 112)


def test_layers_of_two_types_each_count_their_own():
    """Traced 0 small, 1 small, 2 large, 3 small; the full model has 3 large layers among 8."""
    trace = uniform(4)
    large = trace[3].events[1].storage
    trace[3].events[1] = Event(large, 50)
    found = peak(unroll(trace, [0, 1, 2, 1, 2, 2, 1, 3]))
    assert found.total == 1 + 4 + 8 * 4 + 5 * 10 + 3 * 50 + 104


def test_what_neighbours_of_another_type_do_not_free_dies_with_their_segment():
    """A layer that frees nothing of its neighbour's stands above one whose gradient waits for that."""
    trace = uniform(3)
    extra = 900
    trace[2].events.append(Event(extra, 5))  # layer 1 leaves something that layer 2's forward frees
    trace[3].events.insert(0, Event(extra, 0))
    steps = unroll(trace, [0, 1, 1, 1, 2])
    assert sizes(steps)[-1] == 0
    assert peak(steps).total == 1 + 4 + 5 * 14 + 104  # gone again before the head


@pytest.mark.parametrize(("phase", "died_after"), [("forward", 5), ("backward", 6)])
def test_what_many_layers_use_dies_in_the_last_that_does(phase, died_after):
    """Something made before the layers for those of a type (a rotation for full attention, say)."""
    trace = uniform(4)
    trace[0].events.append(Event(900, 3))
    (segment,) = (one for one in trace if one.place == Place(phase, 2))
    segment.events.insert(0 if phase == "forward" else len(segment.events), Event(900, 0))
    steps = unroll(trace, [0, 1, 2, 1, 2, 2, 1, 3])  # layers 2, 4 and 5 are of the type
    (name,) = (step.storage for step in steps if step.size == 3)
    until = steps[: next(at for at, step in enumerate(steps) if step.storage == name and not step.size)]
    kept = {step.storage for step in until if step.size == 10}
    freed = {step.storage for step in until if not step.size} & kept
    assert len(kept if phase == "forward" else freed) == died_after
