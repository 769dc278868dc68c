"""Memory that runs out in a step: the step is done again, smaller, and what is learned is what would have been."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import weakref
from pathlib import Path

import pytest
import torch

from engine.errors import RunError
from engine.memory.job import CHUNK, StepPlan
from engine.messages import render
from engine.train.recompute import recomputing
from engine.train.shortage import Attempt, Recovery, Shortage, attempt, is_shortage
from engine.train.trainer import StepTrainer
from tests.unit.test_step import build, losses, make, samples

pytestmark = pytest.mark.usefixtures("quick")
ROOT = Path(__file__).parents[2]
CUDA_WORDS = "CUDA out of memory. Tried to allocate 2.00 GiB"
CPU_WORDS = "[enforce fail at alloc_cpu.cpp:124] data. DefaultCPUAllocator: can't allocate memory: you tried to"
ACCUMULATE = {"gradient_accumulation_steps": 4, "optim": "adamw_torch", "max_grad_norm": 1.0}


class Short:
    """A device that has no room for the forward passes of these numbers, counted from 1 over the whole run."""

    def __init__(self, model, fails, error):
        self.calls, self.fails, self.error, self.sizes = 0, set(fails), error, []
        layer = (model.get_base_model() if hasattr(model, "get_base_model") else model).model.layers[1]
        layer.register_forward_pre_hook(self.before, with_kwargs=True)

    def before(self, module, args, kwargs):
        self.calls += 1
        self.sizes.append(args[0].shape[:2].numel())
        if self.calls in self.fails:
            raise self.error


def recovery(**changes):
    told = []
    return Recovery(told.append, **({"layers": 2, "may_recompute": True} | changes)), told


def run(folder, *, fails=(), error=None, packed=True, dropout=0.0, answer=None, evaluate=False, **settings):
    """(trainer after training, what the device saw, the model it trained)."""
    model = build("llama", packed, lora=True, dropout=dropout)
    short = Short(model, fails, error or torch.OutOfMemoryError(CUDA_WORDS))
    trainer = make(StepTrainer, folder, model, samples(), packed=packed, recovery=answer, **(ACCUMULATE | settings))
    trainer.train()
    return trainer, short


def assert_same_weights(mine, theirs, tolerance):
    expected = dict(theirs.model.named_parameters())
    for name, parameter in mine.model.named_parameters():
        gap = (parameter - expected[name]).abs().max() / expected[name].abs().max().clamp(min=1e-9)
        assert gap <= tolerance, name


@pytest.mark.parametrize("error", [torch.OutOfMemoryError(CUDA_WORDS), RuntimeError(CPU_WORDS)], ids=["cuda", "cpu"])
@pytest.mark.parametrize("fails", [[1], [3], [4]], ids=["first row", "a later row", "another step"])
def test_a_step_is_done_again_smaller_and_learns_the_same(tmp_path, fails, error):
    """Rows of 70 tokens, two or three a step: half of a step's gradients added twice would be another model."""
    whole, _ = run(tmp_path / "a", token_budget=70)
    answer, told = recovery()
    mine, short = run(tmp_path / "b", token_budget=70, fails=fails, error=error, answer=answer)
    assert_same_weights(mine, whole, 1e-5)
    assert losses(mine) == pytest.approx(losses(whole), rel=1e-6)
    (problem,) = told
    before = short.sizes[fails[0] - 1]
    assert problem.code == "memory_retry" and problem.severity == "warning"
    assert problem.params["before"] == 70 and 35 >= problem.params["tokens"] >= before // 2 - 1
    assert max(short.sizes[fails[0] :]) <= max(35, 30)  # from then on; no sample is longer than 30
    assert mine.plan == StepPlan(problem.params["tokens"]) and answer.left == 2
    assert not recomputing(mine.model)


def test_with_dropout_the_numbers_of_the_step_are_drawn_again(tmp_path):
    """One sample a row: a row cannot be divided, so the same rows come again, with every layer recomputing."""
    whole, _ = run(tmp_path / "a", token_budget=1, dropout=0.3)
    answer, told = recovery()
    mine, _ = run(tmp_path / "b", token_budget=1, dropout=0.3, fails=[9], answer=answer)
    assert losses(mine) == losses(whole)
    assert_same_weights(mine, whole, 0)
    assert told[0].params["recompute"] == 2 == recomputing(mine.model)


def test_the_second_time_every_layer_recomputes_unless_the_config_says_otherwise(tmp_path):
    for may, depth in ((True, 2), (False, 0)):
        answer, told = recovery(may_recompute=may)
        mine, _ = run(tmp_path / str(may), token_budget=400, fails=[1, 2], answer=answer)
        assert [problem.params["recompute"] for problem in told] == [0, depth]
        assert [problem.params["chunk"] for problem in told] == [CHUNK, 256]
        assert recomputing(mine.model) == depth
        assert told[1].params["tokens"] <= told[0].params["tokens"] / 2 <= 100


def test_after_three_times_the_run_fails_in_words(tmp_path):
    """A run that shrank for ever would crawl; the advice names what to lower."""
    answer, told = recovery()
    with pytest.raises(RunError) as caught:
        run(tmp_path, token_budget=400, fails=range(1, 99), answer=answer)
    assert caught.value.problems[0].code == "oom" and "2.00 GiB" in caught.value.problems[0].params["reason"]
    assert len(told) == 3
    assert "{" not in "".join(map(render, told))


def test_where_nothing_can_be_given_up_it_is_not_tried_again(tmp_path):
    answer, told = recovery(may_recompute=False)
    with pytest.raises(RunError):
        run(tmp_path, token_budget=1, fails=[1, 2], answer=answer)
    assert len(told) == 1  # the head's chunk


@pytest.mark.parametrize("fails", [[1], [3], [6]], ids=["first", "a later one of the step", "another step"])
def test_a_padded_batch_is_divided_and_learns_the_same(tmp_path, fails):
    """Batches of two samples, four a step: those in front of the one that failed have added their gradients."""
    settings = {"packed": False, "token_budget": 60}
    whole, _ = run(tmp_path / "a", **settings)
    answer, told = recovery()
    mine, short = run(tmp_path / "b", fails=fails, answer=answer, **settings)
    assert_same_weights(mine, whole, 1e-5)
    assert losses(mine) == pytest.approx(losses(whole), rel=1e-5)
    assert told[0].params["tokens"] <= 30 and max(short.sizes[fails[0] :]) <= 30
    assert mine.step_rows == whole.step_rows


def test_with_dropout_a_padded_step_is_drawn_again(tmp_path):
    """Nothing but layers that recompute is changed, so the run is the same to the last bit of its losses."""
    settings = {"packed": False, "per_device_train_batch_size": 1, "dropout": 0.3}
    whole, _ = run(tmp_path / "a", **settings)
    answer, _ = recovery()
    mine, _ = run(tmp_path / "b", fails=[7], answer=answer, **settings)
    assert_same_weights(mine, whole, 0)
    assert losses(mine) == pytest.approx(losses(whole), rel=1e-6)  # of a step: added up in another order


def test_a_padded_loss_that_does_not_add_up_is_not_divided(tmp_path):
    """A mean of means, or a router's loss, of halves is not that of the whole."""
    answer, _ = recovery()
    model = build("llama", False, lora=True)
    trainer = make(StepTrainer, tmp_path, model, samples(), packed=False, recovery=answer, token_budget=10)
    ids = torch.ones(2, 30, dtype=torch.long)
    batch = {"input_ids": ids, "labels": ids, "attention_mask": ids}
    assert len(trainer._parts(batch)) == 2 and trainer.tried([batch]) == Attempt(30, False)
    model.get_base_model().config.output_router_logits = True
    assert len(trainer._parts(batch)) == 1 and trainer.tried([batch]) == Attempt(60, False)


# --- measuring


def measured(folder, *, fails=(), packed=True, answer=None):
    model = build("llama", packed, lora=True)
    settings = {"per_device_eval_batch_size": 6, "prediction_loss_only": True, "token_budget": 200}
    trainer = make(StepTrainer, folder, model, samples(), packed=packed, recovery=answer, **settings)
    short = Short(model, fails, torch.OutOfMemoryError(CUDA_WORDS))
    return trainer.evaluate()["eval_loss"], short, trainer


def test_a_shortage_while_measuring_changes_neither_the_figure_nor_the_step(tmp_path):
    expected, *_ = measured(tmp_path)
    answer, told = recovery()
    found, short, trainer = measured(tmp_path, fails=[2], answer=answer)
    assert found == pytest.approx(expected, rel=1e-6)
    assert [problem.code for problem in told] == ["memory_retry_measuring"] and "{" not in render(told[0])
    assert max(short.sizes[2:]) <= short.sizes[1] // 2 + 1
    assert trainer.plan == StepPlan(200) and trainer.measuring_plan.row_tokens < 100


@pytest.mark.parametrize("packed", [True, False])
def test_measuring_that_cannot_be_made_smaller_names_its_key(tmp_path, packed):
    """per_device_train_batch_size, which the advice of training begins with, would change nothing."""
    answer, _ = recovery()
    with pytest.raises(RunError) as caught:
        measured(tmp_path, fails=range(1, 99), packed=packed, answer=answer)
    assert caught.value.problems[0].code == "oom_measuring"
    assert "per_device_eval_batch_size" in render(caught.value.problems[0])


# --- the parts


def test_nothing_of_the_failed_attempt_stays_in_memory():
    """The traceback holds the frames and these hold the tensors (pytorch #18853): a retry would fail like the first."""
    kept = []

    def work():
        tensor = torch.zeros(1000)
        kept.append(weakref.ref(tensor))
        raise torch.OutOfMemoryError(CUDA_WORDS)

    gc.disable()
    try:
        assert attempt(work) == Shortage(CUDA_WORDS)
    finally:
        gc.enable()
    assert kept[0]() is None


def test_what_is_no_shortage_goes_through():
    with pytest.raises(ValueError, match="x"):
        attempt(lambda: (_ for _ in ()).throw(ValueError("x")))
    assert attempt(lambda: 5) == 5
    assert not is_shortage(RuntimeError("shapes do not match")) and not is_shortage(ValueError("out of memory"))
    assert is_shortage(RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"))
    assert is_shortage(MemoryError())


def test_rows_are_halved_from_what_they_held_not_from_what_they_might():
    """A plan of 100,000 tokens with a step of 500: half of the plan would be the same row again."""
    answer, _ = recovery()
    assert answer.lowered(StepPlan(100_000), Attempt(500, True), again=False) == StepPlan(250)
    assert answer.lowered(StepPlan(100_000, 1), Attempt(500, True), again=True) == StepPlan(250, 2, 256)
    assert answer.lowered(StepPlan(600), Attempt(500, False), again=False) == StepPlan(600, 2, 256)
    assert answer.lowered(StepPlan(600, 2, 256), Attempt(500, False), again=True) is None


REAL = """
import resource, sys, tempfile
from pathlib import Path
import torch
from engine.train.trainer import StepTrainer
from tests.unit.test_shortage import recovery
from tests.unit.test_step import build, losses, make, samples

torch.set_num_threads(1)
for limit in (int(sys.argv[1]), None):  # in this order: memory that was had once is not given back
    answer, told = recovery()
    settings = {"per_device_train_batch_size": 1000, "gradient_accumulation_steps": 2, "max_steps": 1}
    settings |= {"token_budget": 200_000, "recovery": answer}
    trainer = make(StepTrainer, Path(tempfile.mkdtemp()), build("llama", True, lora=True), samples(2000), **settings)
    if limit:
        size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (size + (limit << 20), resource.RLIM_INFINITY))
    trainer.train()
    resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    print(losses(trainer)[0], len(told), told[0].params["reason"] if told else "")
"""


@pytest.mark.slow
def test_a_real_shortage_on_a_processor():
    """34,000 tokens in one row under a limit of the kernel: what the system refuses, not what a test raises."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1", "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, "-c", REAL, "110"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    lines = [line.split(maxsplit=2) for line in done.stdout.splitlines() if line[:1].isdigit()]
    (mine, retries, reason), (whole, none) = lines
    assert none == "0" and int(retries) > 0 and "can't allocate memory" in reason
    assert float(mine) == pytest.approx(float(whole), rel=1e-5)
