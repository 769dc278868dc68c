"""What enters a trace by its known size, on paper; and what a replay of a traced step makes of it."""

from __future__ import annotations

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from engine.memory.faking import PackedLinear, Recorder, _Varlen, make_fake
from engine.memory.job import Parts
from engine.memory.trace_model import representatives
from engine.memory.trace_step import Traced
from engine.memory.trace_work import held, parts_of
from engine.memory.unroll import Event, Step
from tests.unit.memory_recipes import recipe_of

MIB = 2**20


def held_after(events: list[Event]) -> list[int]:
    """Bytes in use after each event."""
    sizes, now, story = {}, 0, []
    for storage, size in events:
        now += size or -sizes.pop(storage)
        sizes[storage] = size
        story.append(now)
    return story


@pytest.mark.parametrize(
    ("bits", "double", "share"),
    [(4, True, 0.5 + 1 / 64 + 4 / (64 * 256)), (4, False, 0.5 + 4 / 64), (8, False, 1 + 4 / 512)],
)
def test_quantised_weights_take_what_bitsandbytes_stores(bits, double, share):
    """nf4 with double quantisation: 0.51587 bytes a weight (QLoRA, arXiv 2305.14314, without its 2 * 256 levels)."""
    linear = torch.nn.Linear(512, 1024, bias=False, device="meta")
    packed = PackedLinear(linear, bits, double, torch.bfloat16)
    sizes = [one.numel() * one.element_size() for one in (*packed.parameters(), *packed.buffers())]
    assert sum(sizes) == share * 512 * 1024


def test_a_4_bit_layer_is_unpacked_for_forward_and_again_for_backward_and_keeps_nothing():
    rows, inputs, outputs = 100, 512, 1024
    packed = PackedLinear(torch.nn.Linear(inputs, outputs, bias=False, device="meta"), 4, True, torch.bfloat16)
    with FakeTensorMode():
        make_fake(packed)
        x = torch.empty(rows, inputs, dtype=torch.bfloat16, requires_grad=True)
        recorder = Recorder()
        recorder.ignore([x, *packed.parameters(), *packed.buffers()])
        with recorder:
            y = packed(x)
            forward = held_after(recorder.segments[0].events)
            gradient = torch.empty_like(y)
            (found,) = torch.autograd.grad(y, x, gradient)
            del gradient
        out, weight = 2 * rows * outputs, 2 * inputs * outputs
        assert max(forward) == weight + out  # or both outputs, which are smaller
        assert forward[-1] == out  # peft's clone; its original is gone
        assert max(held_after(recorder.segments[0].events)) == 2 * out + weight + found.numel() * 2


def test_varlen_attention_keeps_and_makes_what_flash_attention_2_does():
    tokens, heads, key_heads, width = 256, 8, 2, 64
    with FakeTensorMode():
        q, k, v = (
            torch.empty(tokens, count, width, dtype=torch.bfloat16, requires_grad=True)
            for count in (heads, key_heads, key_heads)
        )
        recorder = Recorder()
        recorder.ignore([q, k, v])
        with recorder:
            out = _Varlen.apply(q, k, v)
            forward = held_after(recorder.segments[0].events)[-1]
            out.backward(torch.ones_like(out))
    whole, keys = 2 * tokens * heads * width, 2 * tokens * key_heads * width
    assert forward == whole + 4 * heads * tokens  # the output, and a fp32 log-sum-exp for each head and token
    upstream, gradients = whole, whole + 2 * keys
    fp32 = 4 * (tokens + 128) * heads * width + 4 * heads * (tokens + 128)  # dq once more, and the row sums
    most = max(held_after(recorder.segments[0].events))
    assert most == forward + upstream + gradients + fp32 + 2 * whole  # dk and dv for all heads before they are added


def test_the_layers_that_stand_for_the_others():
    kinds = list("aaabaaabaa")
    kept, stands = representatives(kinds)
    assert kept == [0, 1, 2, 3, 9]  # the first, after it the first a before a, a before b and b before a; the last
    assert [kept[at] for at in stands] == [0, 1, 2, 3, 1, 1, 2, 3, 1, 9]
    assert representatives(["a"]) == ([0], [0])
    assert representatives(["a", "b"]) == ([0, 1], [0, 1])


def traced(row: list[Step], update: list[Step]) -> Traced:
    return Traced([3 * MIB, 600], [MIB], row, update, 3, [])


def test_the_parts_of_the_peak_on_paper():
    row = [Step(0, 4 * MIB, False), Step(1, 5 * MIB, True), Step(1, 0, True), Step(0, 0, False)]
    found = parts_of(traced(row, []), recipe_of(kind="cuda"))
    assert (found.weights, found.trained, found.activations, found.head) == (3 * MIB + 1024, MIB, 4 * MIB, 5 * MIB)
    # The update of a large optimiser may need more than the row.
    update = [Step(0, 30 * MIB, False), Step(0, 0, False)]
    found = parts_of(traced(row, update), recipe_of(kind="cuda"))
    assert (found.activations, found.head) == (30 * MIB, 0)


def test_on_a_processor_sizes_are_not_rounded_and_there_is_no_allocator():
    row = [Step(0, 100, False), Step(0, 0, False)]
    found = parts_of(traced(row, []), recipe_of(kind="cpu"))
    assert found == Parts(3 * MIB + 600, MIB, 100, 0, 450 * MIB)


def test_what_the_allocator_holds_on_paper():
    row = [Step(0, 4 * MIB, False), Step(1, 5 * MIB, True), Step(1, 0, True), Step(0, 0, False)]
    # 3 + 4 + 5 of the large ones share a segment of 20 MiB; 1 MiB and 600 bytes fit into a small one each or together.
    assert held(traced(row, [])) == 22 * MIB
    # 30 MiB get a segment of their own.
    assert held(traced(row, [Step(0, 30 * MIB, False), Step(0, 0, False)])) == 52 * MIB
