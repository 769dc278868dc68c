"""The plan of a step: never too large for free memory, the fastest of those that fit, and exact arithmetic."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from engine.memory.job import DataShape, Parts, Recipe, StepPlan
from engine.memory.planning import choose_plan, leanest_plan, step_time

LAYERS = 10
RECIPE = Recipe(
    kind="cuda",
    method="lora",
    base="bfloat16",
    bits=None,
    double=False,
    autocast=None,
    trained="bfloat16",
    rank=8,
    dropout=0.0,
    dora=False,
    targets=("q_proj",),
    saved=(),
    trained_layers=0,
    state=8.0,
    packed=True,
    micro_batch=2,
    attention="varlen",
)
DATA = DataShape(samples=100, tokens=50_000, labelled=25_000, longest=1000)


@dataclass(frozen=True)
class Affine:
    """1,000,000 bytes at rest; a token keeps 100 in a layer, 10 where it recomputes and 90 while one does; 8 a

    position of the chunk.
    """

    static: int = 1_000_000

    def parts(self, plan: StepPlan) -> Parts:
        kept = 100 * (LAYERS - plan.recompute) + 10 * plan.recompute + (90 if plan.recompute else 0)
        return Parts(self.static, 0, kept * plan.row_tokens, 8 * plan.chunk, 0)


def plan(free: int, recipe: Recipe = RECIPE, data: DataShape = DATA, **changes: int | float) -> StepPlan | None:
    settings = {"batch": 2, "accumulation": 4, "layers": LAYERS, "free": free, "margin": 0.0} | changes
    return choose_plan(Affine(), recipe, data, **settings)


def test_with_plenty_of_memory_a_step_is_one_row_and_nothing_is_computed_twice() -> None:
    """8 samples of at most 1000 tokens: 8,000 tokens at 1,000 bytes, and the whole chunk."""
    assert plan(1_000_000 + 8_000 * 1_000 + 8 * 1024) == StepPlan(8_000, 0, 1024)


def test_a_byte_less_takes_the_next_shorter_row() -> None:
    """Nothing is slower by a tenth of a percent: a mean step of 4,000 tokens stays one row of 7,936."""
    assert plan(1_000_000 + 8_000 * 1_000 + 8 * 1024 - 1) == StepPlan(7_936, 0, 1024)


def test_shorter_rows_come_before_recomputation_and_a_row_holds_the_longest_sample() -> None:
    """Room for 1,100 tokens of 1,000 bytes: 1,024 in a row, not less than the longest sample, nothing twice."""
    assert plan(1_000_000 + 1_100 * 1_000 + 8 * 1024) == StepPlan(1_024, 0, 1024)
    longer = replace(DATA, longest=1_050)
    assert plan(1_000_000 + 1_100 * 1_000 + 8 * 1024, data=longer) == StepPlan(1_050, 0, 1024)


def test_the_fewest_layers_recompute() -> None:
    """1,000 tokens: 1,000,000 bytes at depth 0; k layers save 90 each and cost 90 once: 3 layers make 820,000."""
    assert plan(1_000_000 + 820_000 + 8 * 1024) == StepPlan(1_000, 3, 1024)


def test_a_smaller_chunk_comes_before_recomputation_of_another_layer() -> None:
    """4 KiB short of depth 0: a chunk of 512 needs 4,096 bytes and 1 % of time, a layer 5 %."""
    assert plan(1_000_000 + 1_000_000 + 8 * 512) == StepPlan(1_000, 0, 512)


def test_nothing_fits() -> None:
    """1,000 tokens recomputed in all layers: 190 bytes each, and the smallest chunk."""
    least = 1_000_000 + 190_000 + 8 * 256
    assert plan(least) == StepPlan(1_000, 10, 256)
    assert plan(least - 1) is None
    assert leanest_plan(Affine(), RECIPE, DATA, layers=LAYERS) == StepPlan(1_000, 10, 256)


def test_the_margin_is_a_share_of_the_need() -> None:
    least = 1_000_000 + 190_000 + 8 * 256
    assert plan(round(least * 1.25), margin=0.25) is not None
    assert plan(round(least * 1.25) - 1, margin=0.25) is None


@pytest.mark.parametrize(("insists", "depth"), [(True, LAYERS), (False, 0)])
def test_the_config_may_insist_on_all_layers_or_on_none(insists: bool, depth: int) -> None:
    asked = replace(RECIPE, all_recompute=insists)
    found = plan(10**9, asked)
    assert found is not None and found.recompute == depth
    assert plan(1_000_000 + 900_000, asked) == (StepPlan(4_608, LAYERS) if insists else None)


def test_padded_micro_batches_keep_their_size() -> None:
    """Two samples of 1,000 tokens: only recomputation can be chosen."""
    padded = replace(RECIPE, packed=False, attention="eager")
    assert plan(10**9, padded) == StepPlan(2_000, 0)
    assert plan(1_000_000 + 2_000 * 730 + 8 * 1024, padded) == StepPlan(2_000, 4)
    assert plan(1_000_000, padded) is None
    assert leanest_plan(Affine(), padded, DATA, layers=LAYERS) == StepPlan(2_000, LAYERS)


def test_a_processor_keeps_the_configs_micro_batch_and_gives_up_rows_before_time() -> None:
    cpu = replace(RECIPE, kind="cpu", attention="sdpa")
    assert plan(10**9, cpu) == StepPlan(2_000, 0)
    assert plan(1_000_000 + 1_999_999 + 8 * 1024, cpu) == StepPlan(1_792, 0)
    assert plan(1_000_000 + 1_000_000 + 8 * 1024, cpu) == StepPlan(1_000, 0)
    assert plan(1_000_000 + 820_000 + 8 * 256, cpu) == StepPlan(1_000, 3, 256)


def test_recomputing_everything_costs_half_a_lora_step_and_a_third_of_a_full_one() -> None:
    """Forward 2N, backward 2N, again 2N; full: backward 4N. A row of all tokens launches once either way."""
    tokens = 10**9
    for method, share in (("lora", 0.5), ("full", 1 / 3)):
        none, every = (
            step_time(StepPlan(tokens, depth), replace(RECIPE, method=method), LAYERS, tokens) for depth in (0, LAYERS)
        )
        assert every / none == pytest.approx(1 + share, rel=1e-6)
    assert step_time(StepPlan(1_000, 0), RECIPE, LAYERS, 4_000) == 4_000 * 2 + 4 * 256


@pytest.mark.parametrize("kind", ["cuda", "cpu"])
@pytest.mark.parametrize("packed", [True, False])
def test_more_memory_is_never_slower_and_what_is_chosen_fits(kind: str, packed: bool) -> None:
    recipe = replace(RECIPE, kind=kind, packed=packed)
    costs, before, seen = Affine(), float("inf"), set()
    for free in range(1_150_000, 9_500_000, 30_011):
        found = plan(free, recipe)
        if found is None:
            assert before == float("inf"), "it fitted with less"
            continue
        assert costs.parts(found).total <= free
        time = step_time(found, recipe, LAYERS, 4_000)
        assert time <= before
        before = time
        seen.add(found)
    assert len(seen) == LAYERS if not packed else len(seen) > LAYERS


def test_no_plan_on_the_grid_that_fits_is_faster() -> None:
    """The search leaves most plans out: compared with all of them."""
    for free in range(1_200_000, 9_000_000, 400_009):
        best = plan(free)
        tried = [
            StepPlan(row, depth, chunk)
            for row in (1_000, *range(1_024, 8_000, 256), 8_000)
            for depth in range(LAYERS + 1)
            for chunk in (1024, 512, 256)
        ]
        there = [one for one in tried if Affine().parts(one).total <= free]
        assert best in there
        assert step_time(best, RECIPE, LAYERS, 4_000) == min(step_time(one, RECIPE, LAYERS, 4_000) for one in there)


def test_data_without_a_token_still_have_a_plan() -> None:
    assert plan(10**9, data=DataShape(0, 0, 0, 0)) == StepPlan(8, 0)
