"""A step traced on a few layers, written out for all of them: what each layer allocates and frees, layer by layer.

A trace is a list of segments in the order of time: before the layers, each layer forward, head and loss, each layer
backward (last one first), after. Layers of one type allocate alike, so the segment of a layer in the full model is that
of its representative in the trace. What dies in another layer's segment than it was born in (a hidden state, its
gradient) is found again by its rank among its kind. Nothing is fitted: peaks are those of the written-out list.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

Phase = Literal["before", "forward", "head", "backward", "after"]

_Key = tuple["Place", int, int]  # (where it was born, layers between birth and death, rank) as its death knows it


class Event(NamedTuple):
    """A storage comes (bytes above 0) or goes (0)."""

    storage: int
    size: int


class Place(NamedTuple):
    """A segment: a phase, and the layer where the phase has one."""

    phase: Phase
    layer: int | None = None


@dataclass
class Segment:
    """What happened in a place, in the order of time."""

    place: Place
    events: list[Event] = field(default_factory=list)


class Step(NamedTuple):
    """An event of the full model; `head`: of the output head and the loss."""

    storage: int
    size: int
    head: bool


@dataclass(frozen=True)
class _Life:
    """Of a storage in the trace: where it was born and where it dies (None: it outlives the step)."""

    birth: Place
    death: Place | None
    rank: int

    @property
    def near(self) -> int | None:
        """Layers from birth to death where both are segments of layers, neighbours at most; None otherwise."""
        if self.death is None or self.birth.layer is None or self.death.layer is None:
            return None
        distance = self.death.layer - self.birth.layer
        return distance if abs(distance) <= 1 else None


def unroll(trace: Sequence[Segment], layers: Sequence[int]) -> list[Step]:
    """The events of a step of the full model. `layers`: for each of its layers the layer of the trace it is like.

    The first and the last layer must be the trace's own; every layer of the trace must stand for some layer.
    """
    return _Unrolling(trace, layers).run()


class _Unrolling:
    def __init__(self, trace: Sequence[Segment], layers: Sequence[int]):
        self.segments = {segment.place: segment for segment in trace}
        self.layers = layers
        self.lives = _lives(trace)
        self.steps: list[Step] = []
        self.alive: defaultdict[int, list[int]] = defaultdict(list)  # traced storage → its copies that wait for death
        self.waiting: defaultdict[Place, dict[_Key, int]] = defaultdict(dict)
        self.first = {like: self.layers.index(like) for like in set(layers)}
        self.last = {like: len(layers) - 1 - list(reversed(layers)).index(like) for like in set(layers)}

    def run(self) -> list[Step]:
        depth = range(len(self.layers))
        self._write(Place("before"))
        for layer in depth:
            self._write(Place("forward", layer))
        self._write(Place("head"))
        for layer in reversed(depth):
            self._write(Place("backward", layer))
        self._write(Place("after"))
        return self.steps

    def _write(self, here: Place) -> None:
        traced = here if here.layer is None else Place(here.phase, self.layers[here.layer])
        segment = self.segments.get(traced)
        local: dict[int, int] = {}
        for storage, size in segment.events if segment else ():
            life = self.lives[storage]
            if size:
                self._birth(here, storage, size, life, local)
            elif life.birth == traced:
                self._free(local.pop(storage), traced)
            elif life.near is not None:
                found = self.waiting[here].pop(_key(life), None)
                if found is not None:
                    self._free(found, life.birth)
            elif here.layer is None or here.layer == self._target(traced):
                for copy in self.alive.pop(storage, ()):
                    self._free(copy, life.birth)
        for key, left in self.waiting.pop(here, {}).items():  # neighbours of another type hold something else
            self._free(left, key[0])

    def _birth(self, here: Place, storage: int, size: int, life: _Life, local: dict[int, int]) -> None:
        number = len(self.steps)
        self.steps.append(Step(number, size, life.birth.phase == "head"))
        if life.death is None:
            return
        if life.death == life.birth:
            local[storage] = number
        elif life.near is not None:
            assert here.layer is not None
            at = here.layer + life.near
            if 0 <= at < len(self.layers):
                self.waiting[Place(life.death.phase, at)][_key(life)] = number
            else:  # a neighbour that the full model has not got here: it dies where the traced one does
                self.alive[storage].append(number)
        else:
            self.alive[storage].append(number)

    def _target(self, traced: Place) -> int:
        """The layer in which something from afar dies: the last that uses it."""
        assert traced.layer is not None
        return (self.last if traced.phase == "forward" else self.first)[traced.layer]

    def _free(self, number: int, birth: Place) -> None:
        self.steps.append(Step(number, 0, birth.phase == "head"))


def _key(life: _Life) -> _Key:
    assert life.near is not None
    return Place(life.birth.phase), life.near, life.rank


def _lives(trace: Sequence[Segment]) -> dict[int, _Life]:
    birth: dict[int, Place] = {}
    death: dict[int, Place] = {}
    for segment in trace:
        for storage, size in segment.events:
            (birth if size else death)[storage] = segment.place
    ranks: defaultdict[tuple[Place, Place | None], int] = defaultdict(int)
    lives = {}
    for storage, place in birth.items():
        end = death.get(storage)
        lives[storage] = _Life(place, end, ranks[place, end])
        ranks[place, end] += 1
    return lives


class Peak(NamedTuple):
    """The most bytes that were in use at a time, and how many of them were of the head."""

    total: int
    head: int


def peak(steps: Sequence[Step], rounding: int = 1) -> Peak:
    """Of the events alone; sizes in bytes, rounded up to a multiple of `rounding`."""
    sizes: dict[int, int] = {}
    now = head = most = most_head = 0
    for storage, size, of_head in steps:
        if size:
            change = sizes[storage] = -(-size // rounding) * rounding
        else:
            change = -sizes.pop(storage)
        now += change
        head += change if of_head else 0
        if now > most:
            most, most_head = now, head
    return Peak(most, most_head)
