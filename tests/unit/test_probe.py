"""The measurement before step 1: on the longest real batch, leaving nothing behind, and lowering a plan that fails."""

from __future__ import annotations

import gc
import random
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from engine.data.encoded import Encoded, EncodeReport
from engine.errors import RunError
from engine.memory.job import Parts, StepPlan
from engine.messages import render
from engine.train.batches import TokenRows
from engine.train.packing import IGNORED
from engine.train.probe import Probe, longest_batch
from engine.train.recompute import recomputing
from engine.train.shortage import Recovery
from engine.train.trainer import StepTrainer
from tests.unit.test_shortage import CUDA_WORDS, Short
from tests.unit.test_step import VOCABULARY, build, losses, make

pytestmark = pytest.mark.usefixtures("quick")
LENGTHS = [9, 30, 12, 7, 28, 16, 5, 22, 18, 30, 11, 6]
SETTINGS = {"gradient_accumulation_steps": 3, "optim": "adamw_torch", "max_grad_norm": 1.0, "token_budget": 50}


def rows(lengths=LENGTHS, parts=None):
    draw = random.Random(1)
    ids = np.array([draw.randint(3, VOCABULARY - 1) for _ in range(sum(lengths))], np.int32)
    labels = ids.copy()
    labels[::3] = IGNORED
    offsets = np.cumsum([0, *lengths])
    return TokenRows(Encoded(ids, labels, offsets, EncodeReport(64), parts, parts is not None))


class FakeMeter:
    """A device on which `standing` bytes are there before the try, and `peak` at most during it."""

    def __init__(self, standing=1000, peak=1600):
        self.standing, self.top = standing, peak

    def reset_peak(self):
        pass

    def allocated(self):
        return self.standing

    def peak(self):
        return self.top


def prober(meter=None, *, may_recompute=True, state=0, predict=None):
    """(the probe, what it told)."""
    told = SimpleNamespace(problems=[], events=[], learned=[])
    probe = Probe(
        meter or FakeMeter(),
        Recovery(told.problems.append, 2, may_recompute),
        state,
        predict or (lambda plan: Parts(700, 300, 10 * plan.row_tokens, 25, 0)),
        lambda kind, **fields: told.events.append((kind, fields)),
        lambda *sizes: told.learned.append(sizes),
    )
    return probe, told


def trained(folder, probe=None, *, packed=True, dropout=0.3, fails=(), data=None, **settings):
    model = build("llama", packed, lora=True, dropout=dropout)
    short = Short(model, fails, torch.OutOfMemoryError(CUDA_WORDS))
    options = SETTINGS | settings
    trainer = make(StepTrainer, folder, model, data or rows(), packed=packed, before_first=probe, **options)
    trainer.train()
    return trainer, short


@pytest.mark.parametrize("packed", [True, False])
def test_a_run_is_the_same_bit_for_bit_with_the_probe_or_without(tmp_path, packed):
    """Dropout draws from the random state that the probe moved; a gradient left behind would be learned."""
    plain, _ = trained(tmp_path / "a", packed=packed)
    probe, told = prober()
    mine, short = trained(tmp_path / "b", probe, packed=packed)
    assert short.calls > 1 and [kind for kind, _ in told.events] == ["log"]
    assert losses(mine) == losses(plain)
    expected = dict(plain.model.named_parameters())
    assert all(torch.equal(value, expected[name]) for name, value in mine.model.named_parameters())
    assert mine.state.log_history[0]["grad_norm"] == plain.state.log_history[0]["grad_norm"]


def test_predicted_and_measured_are_told_and_learned(tmp_path):
    """What stands throughout is known from files; the doubt is in the rest: 600 bytes where 10 × 48 + 25 were said."""
    probe, told = prober()
    _, short = trained(tmp_path, probe)
    assert short.sizes[0] == 48  # 30 and 18: the longest and the longest that has room beside it
    ((_, event),) = told.events
    assert event["what"] == "probe" and event["plan"]["row_tokens"] == 48
    assert (event["predicted"], event["standing"], event["measured"]) == (1505, 1000, 1600)
    assert event["ratio"] == pytest.approx(600 / 505, abs=1e-4)
    assert told.learned == [(505, 600)] and told.problems == []


def test_nothing_is_learned_where_nothing_was_predicted(tmp_path):
    probe, told = prober(predict=lambda plan: None)
    trained(tmp_path, probe)
    assert told.learned == [] and told.events[0][1]["measured"] == 1600


def test_gradients_and_the_optimisers_state_stand_while_it_measures(tmp_path):
    """They are there in every later row; a try without them would fit where the run does not."""
    seen = []

    class Watching(FakeMeter):
        def reset_peak(self):
            gradients = [p.grad for p in model.parameters() if p.requires_grad]
            seen.append(all(grad is not None and not grad.any() for grad in gradients))
            there = [one for one in gc.get_objects() if isinstance(one, torch.Tensor) and one.dtype == torch.uint8]
            seen.append(any(one.numel() == 12_345 for one in there))

    model = build("llama", True, lora=True)
    probe, _ = prober(Watching(), state=12_345)
    make(StepTrainer, tmp_path, model, rows(), before_first=probe, **SETTINGS).train()
    assert seen == [True, True]


def test_a_plan_that_fails_is_lowered_until_it_fits(tmp_path):
    """The first row is halved; the second time every layer recomputes too; the run's own retries are not used up."""
    probe, told = prober()
    mine, short = trained(tmp_path, probe, fails=[1, 2])
    assert [problem.code for problem in told.problems] == ["memory_probe_short"] * 2
    assert "{" not in "".join(map(render, told.problems))
    assert short.sizes[:3] == [48, 30, 30]
    assert mine.plan == StepPlan(24, 2, 256) and recomputing(mine.model) == 2
    assert probe.recovery.left == 3
    assert told.events[0][1]["plan"] == {"row_tokens": 30, "recompute": 2, "chunk": 256}
    plain, _ = trained(tmp_path / "plain", dropout=0.0)
    again, _ = trained(tmp_path / "again", prober()[0], dropout=0.0, fails=[1, 2])
    assert losses(again) == pytest.approx(losses(plain), rel=1e-5)


def test_a_plan_that_never_fits_ends_the_run_before_step_1(tmp_path):
    probe, told = prober(may_recompute=False)
    with pytest.raises(RunError) as caught:
        trained(tmp_path, probe, fails=range(1, 99))
    assert caught.value.problems[0].code == "oom" and told.events == [] and told.learned == []


# --- the longest batch


def lengths_of(batch):
    return sorted((batch["attention_mask"] > 0).sum(1).tolist(), reverse=True)


@pytest.mark.parametrize(
    ("budget", "packed", "expected"),
    [
        (50, True, [30, 18]),
        (20, True, [30]),  # the longest there is, whatever the plan says
        (10_000, True, [30, 30, 28, 22, 18, 16]),  # no more than one optimiser step holds: 2 × 3
        (50, False, [30, 30]),  # a micro-batch
    ],
)
def test_the_longest_batch_that_a_step_can_hold(tmp_path, budget, packed, expected):
    model = build("llama", packed, lora=True)
    options = SETTINGS | {"token_budget": budget}
    trainer = make(StepTrainer, tmp_path, model, rows(), packed=packed, **options)
    assert lengths_of(longest_batch(trainer)) == expected


def test_rows_that_were_packed_before_are_tried_as_they_are(tmp_path):
    """Four samples to a row, which do not see each other."""
    parts = np.cumsum([0, *LENGTHS[:-1]])
    data = rows([sum(LENGTHS[at : at + 4]) for at in (0, 4, 8)], parts)
    probe, told = prober()
    mine, _ = trained(tmp_path / "a", probe, data=data, token_budget=80)
    plain, _ = trained(tmp_path / "b", data=data, token_budget=80)
    assert losses(mine) == losses(plain)
    assert told.events[0][1]["plan"]["row_tokens"] == 71  # 28 + 16 + 5 + 22
