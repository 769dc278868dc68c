"""The plan of a run's steps, from what is free and what the model in memory takes."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from engine.errors import EnvironmentProblem
from engine.hardware import host
from engine.memory import calibration
from engine.memory.job import CHUNK, Device, StepPlan
from engine.messages import render
from engine.train.footing import data_shape, device_now, find_footing
from engine.train.recompute import layers_of
from tests.unit.method_toys import prepare, train_config
from tests.unit.test_probe import rows

pytestmark = pytest.mark.usefixtures("quick")
MIB = 1 << 20
CARD = Device("cuda", "NVIDIA Toy", 80 << 30, 70 << 30, "GPU-1", (9, 0))
BATCH = {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 4}


@pytest.fixture(scope="module")
def toy(llama):
    return prepare(llama)[0]


def prepared(lengths=(9, 30, 12, 7, 28), measured=()):
    evaluations = {"eval": rows([*measured]).encoded} if measured else {}
    return SimpleNamespace(train=rows([*lengths]).encoded, evaluations=evaluations)


def footing(folder, model, *, device=None, factor=1.0, data=None, packed=True, **changes):
    told = []
    found = find_footing(
        train_config(folder, **(BATCH | changes)),
        {},
        folder,
        model,
        data or prepared(),
        packed,
        told.append,
        device=device,
        factor=lambda *_: factor,
    )
    return found, told


def test_on_a_processor_it_is_the_micro_batch_of_the_config(llama, toy):
    """Longer rows gain nothing there; exactness tests and old runs know this budget: 2 samples × 30 tokens."""
    found, told = footing(llama, toy)
    assert found.plan == StepPlan(60) and told == []
    assert found.device.kind == "cpu" and found.layers == 3 and found.may_recompute
    figures = found.figures()
    assert (figures["budget"], figures["recompute"], figures["chunk"]) == (60, 0, CHUNK)
    assert json.dumps(figures) and figures["free"] > 0


@pytest.mark.parametrize(
    ("insisted", "cpu", "cuda"), [(None, 0, 0), (True, 0, 0), (False, 3, 3)], ids=["open", "keep all", "recompute all"]
)
def test_the_config_may_insist(llama, toy, insisted, cpu, cuda):
    for device, depth in ((None, cpu), (CARD, cuda)):
        found, _ = footing(llama, toy, device=device, disable_gradient_checkpointing=insisted)
        assert found.plan.recompute == depth
        assert found.may_recompute == (insisted is None)


def test_what_stays_is_that_of_the_model_in_memory(llama, toy):
    """By hand: fp32 weights, gradients of the same size, AdamW's two moments."""
    found, _ = footing(llama, toy)
    parts = found.predict(found.plan)
    trained = sum(p.numel() for p in toy.parameters() if p.requires_grad)
    everything = sum(t.nbytes for t in [*toy.parameters(), *toy.buffers()])
    assert parts.weights == everything - 4 * trained
    assert parts.trained == trained * (4 + 4 + 8) and found.state == 8 * trained
    assert found.figures()["predicted"]["weights"] == parts.weights


def test_on_a_gpu_a_whole_step_is_a_row_where_it_fits(llama, toy):
    found, told = footing(llama, toy, device=CARD)
    assert found.plan == StepPlan(2 * 4 * 30) and told == []


def test_less_memory_gives_a_leaner_plan_which_fits(llama, toy):
    """Long samples, so that activations count beside what a GPU takes without any."""
    data = prepared([4000, 2000, 1000])
    plans = []
    fixed = footing(llama, toy, device=CARD, data=data)[0].predict(StepPlan(1)).total
    for free in (4096, 256, 128, 64, 48):
        device = replace(CARD, free=fixed + free * MIB)
        found, told = footing(llama, toy, device=device, data=data)
        plans.append(found.plan)
        needed = found.predict(found.plan).total
        assert told or needed <= device.free
    assert plans[0] == StepPlan(2 * 4 * 4000)
    assert len(set(plans)) > 2
    spent = [(plan.row_tokens, -plan.recompute) for plan in plans]
    assert min(spent) < max(spent) and plans[-1].recompute > 0


def test_a_measured_factor_makes_room(llama, toy):
    """On a machine that took more than was said, the same memory holds a leaner plan."""
    data = prepared([4000, 2000, 1000])
    whole, _ = footing(llama, toy, device=CARD, data=data)
    needed = whole.predict(whole.plan)
    device = replace(CARD, free=round(needed.total * 1.1) + MIB)
    assert footing(llama, toy, device=device, data=data)[0].plan == whole.plan
    careful, _ = footing(llama, toy, device=device, data=data, factor=1.5)
    assert careful.plan != whole.plan
    assert careful.predict(whole.plan).activations == pytest.approx(1.5 * needed.activations, rel=1e-6)
    assert careful.predict(whole.plan).weights == needed.weights


def test_what_was_measured_is_noted_without_the_factor(llama, toy, monkeypatch):
    """Otherwise a factor of 1.2 that is right would be measured as 1.0 the next time and be forgotten."""
    noted = []
    monkeypatch.setattr(calibration, "record", lambda *given: noted.append(given))
    found, _ = footing(llama, toy, factor=1.25)
    found.learn(500, 480)
    assert noted == [(found.device, found.recipe, 400, 480)]


def test_where_nothing_fits_it_goes_on_with_the_least(llama, toy):
    """The estimate may be pessimistic; a shortage is answered, a refusal is final."""
    fixed = footing(llama, toy, device=CARD)[0].predict(StepPlan(1))
    found, (problem,) = footing(llama, toy, device=replace(CARD, free=fixed.total - MIB))
    assert problem.code == "memory_tight" and problem.severity == "warning" and "{" not in render(problem)
    assert found.plan.row_tokens == 30 and found.plan.chunk < CHUNK


def test_what_stays_must_fit_a_gpu(llama, toy):
    with pytest.raises(EnvironmentProblem) as caught:
        footing(llama, toy, device=replace(CARD, free=1000))
    assert caught.value.problems[0].code == "memory_too_small" and "{" not in str(caught.value)


def test_a_processor_is_never_refused(llama, toy):
    """What Linux calls available does not count swap, nor all that it would give up."""
    found, (problem,) = footing(llama, toy, device=Device("cpu", "x", 1000, 1000))
    assert problem.code == "memory_tight" and found.plan.row_tokens == 30 and found.plan.recompute == 3


@pytest.mark.parametrize("kind", ["an unknown architecture", "a damaged config", "code of its own"])
def test_without_an_estimate_it_is_as_it_was(tmp_path, llama, toy, kind, monkeypatch):
    """A model that nobody described must train all the same."""
    path = tmp_path
    text = json.loads((llama / "config.json").read_text())
    if kind == "an unknown architecture":
        monkeypatch.setattr(toy.get_base_model().config, "model_type", "brand_new")
    elif kind == "code of its own":
        monkeypatch.setattr(type(toy.get_base_model()), "__module__", "transformers_modules.own")
    else:
        text["hidden_size"] = "many"
    (path / "config.json").write_text(json.dumps(text))
    for device, depth in ((None, 0), (CARD, 3)):
        found, (problem,) = footing(path, toy, device=device)
        assert found.plan == StepPlan(60, depth) and found.predict(found.plan) is None
        assert problem.severity == "note" and "{" not in render(problem)
        assert found.figures()["predicted"] is None
        found.learn(1, 1)  # nothing to learn, nothing to fail


def test_padded_batches_are_those_of_the_config(llama, toy):
    found, _ = footing(llama, toy, device=CARD, packed=False)
    assert found.plan == StepPlan(60)


def test_the_shape_of_the_data():
    """Measuring may need longer rows than training."""
    shape = data_shape(prepared([5, 9, 3], measured=[40, 2]))
    assert (shape.samples, shape.tokens, shape.longest, shape.eval_longest) == (3, 17, 9, 40)
    assert data_shape(prepared([5])).eval_longest == 0


def test_the_memory_of_the_processor_counts_what_the_model_has_already(toy):
    found, mine = device_now(toy), sum(t.nbytes for t in [*toy.parameters(), *toy.buffers()])
    assert found.kind == "cpu" and found.free == pytest.approx(host().free + mine, rel=0.25)
    assert found.free <= found.total


def test_a_quantised_model_counts_as_it_is_stored(llama):
    pytest.importorskip("bitsandbytes")
    model, _ = prepare(llama, quantization_bit=8)
    found, _ = footing(llama, model, quantization_bit=8)
    trained = sum(p.nbytes for p in model.parameters() if p.requires_grad)
    stored = {p.dtype for p in model.parameters()}
    assert torch.int8 in stored and len(layers_of(model)) == 3
    assert found.predict(found.plan).weights == sum(t.nbytes for t in [*model.parameters(), *model.buffers()]) - trained
