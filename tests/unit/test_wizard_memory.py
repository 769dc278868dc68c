"""Whether it fits, in the wizard: models and presets for the card, the figure, and what is changed so that it fits."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from engine.config.jobs import load_job
from engine.errors import EXIT_OK
from engine.hardware import GIB
from engine.memory.forecast import Forecast, forecast_job
from engine.memory.forecast import Machine as ForecastMachine
from engine.memory.presets import preset_folder
from engine.memory.recommended import known_model
from engine.wizard.asks.model import confirm
from engine.wizard.memory import Need, Unknown, make_fit, need
from engine.wizard.session import Wizard
from engine.wizard.table import table
from engine.wizard.tasks import LOOKING
from tests.unit.wizards import HereDesk, HubDesk, Script, begun, look, quiet
from tui.plain import run_plain

QWEN = "Qwen/Qwen3-8B"
QWEN_PARAMETERS = 8_190_735_360  # as its publisher states


@pytest.fixture(autouse=True)
def home(private_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No model, run, preset or draft of the person who runs the tests; no network."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def at_card(cwd: Path, free: float, **answers: Any) -> Wizard:
    return begun(cwd, desk=HubDesk(free), **answers)


def known(wizard: Wizard) -> Need:
    found = need(wizard)
    assert isinstance(found, Need)
    return found


def replayed(wizard: Wizard) -> Forecast:
    """What `sft-wizard estimate` says of the files that the wizard writes."""
    desk = HubDesk()
    desk.start(wizard, quiet)
    machine = wizard.found("hardware")
    job = load_job(wizard.folder() / "config.yaml", [], wizard.cwd)
    here = ForecastMachine(machine.hardware, machine.host, trace=None, factor=lambda device, recipe: 1.0)
    return forecast_job(job, here, count=False)


# Models


@pytest.mark.parametrize(("free", "least", "most"), [(23.0, 4e9, 10e9), (75.0, 10e9, 20e9), (11.0, 1e9, 5e9)])
def test_enter_proposes_a_model_that_is_worth_the_card(tmp_path: Path, free: float, least: float, most: float) -> None:
    """On a 24 GB card nobody wants to train 135M parameters: in 16 bits, weights take most of what is free."""
    wizard = at_card(tmp_path, free)
    model = known_model(wizard.value("model"))
    assert model and least < model.parameters < most and not model.gated
    assert model.parameters * 2 < free * GIB
    first = table()["model"].choices(wizard)[0]
    assert first.value == model.name and first.recommended and wizard.default("model").reason.say()
    assert known(wizard).verdict == "fits"


@pytest.mark.parametrize("free", [(), (2.0,)])
def test_without_room_the_built_in_model_stays(tmp_path: Path, free: tuple[float, ...]) -> None:
    """Enter, Enter, Enter works without a GPU and without a network."""
    wizard = begun(tmp_path, *free)
    assert wizard.value("model") == "smollm2-135m"
    assert table()["model"].choices(wizard)[0].value == "smollm2-135m"


def test_the_language_moves_the_models(tmp_path: Path) -> None:
    """A model whose first language is Chinese comes first for a Chinese speaker."""
    wizard = at_card(tmp_path, 75.0)
    english = [choice.value for choice in table()["model"].choices(wizard)]
    wizard.speak("zh")
    chinese = [choice.value for choice in table()["model"].choices(wizard)]
    assert any(name.startswith("mistralai/") for name in english)
    assert not any(name.startswith("mistralai/") for name in chinese)


def test_what_there_is_to_know_of_a_model(tmp_path: Path) -> None:
    """Size, licence, whether it takes a login, and whether it is on this machine already."""
    desk = HubDesk(23.0)
    wizard = begun(tmp_path, desk=desk)
    notes = {choice.value: choice.note.say() for choice in table()["model"].choices(wizard)}
    assert notes[QWEN] == "8.2B parameters, apache-2.0, download 16.4 GB"
    assert notes["meta-llama/Llama-3.1-8B-Instruct"] == "8.0B parameters, llama3.1, login, 16.1 GB"
    cached = [{"name": QWEN, "size": "8.2B", "bytes": 1}, {"name": "a/b", "size": "1.0B", "bytes": 1}]
    wizard.learn(next(request for request in wizard.facts if request.what == "models"), cached)
    choices = table()["model"].choices(wizard)
    notes = {choice.value: choice.note.say() for choice in choices}
    assert notes[QWEN] == "8.2B parameters, apache-2.0, on this machine"
    assert notes["a/b"] == "1.0B parameters, on this machine"
    assert len({choice.value for choice in choices}) == len(choices)


def test_an_answer_stays_a_choice_where_the_card_is_busy_by_now(tmp_path: Path) -> None:
    """A draft of yesterday is not thrown away: the estimate says that it does not fit."""
    wizard = at_card(tmp_path, 75.0, model="Qwen/Qwen3-14B")
    later = begun(tmp_path, desk=HubDesk(7.0))
    later.answers |= wizard.answers
    assert "Qwen/Qwen3-14B" in [choice.value for choice in table()["model"].choices(later)]
    assert later.answer("model", "Qwen/Qwen3-14B") == []


def test_a_model_that_cannot_be_reached_leaves_the_others(tmp_path: Path) -> None:
    """Without a network the step says so, and the built-in model is a row below."""
    wizard = begun(tmp_path, 23.0, model="hub", model_hub="ada/none")
    confirm(wizard)
    look(wizard, HereDesk(23.0))
    assert [problem.code for problem in wizard.problems("model")] == ["model_offline"]
    assert isinstance(need(wizard), Unknown)
    assert wizard.answer("model", "smollm2-135m") == []
    assert wizard.problems("model") == []


def test_a_folder_gives_its_shape(tiny_model: Path) -> None:
    """Parameters as its safetensors headers count them."""
    found = LOOKING["model"](str(tiny_model), {}, quiet)
    wizard = begun(tiny_model.parent, 23.0, model="folder", model_folder=str(tiny_model))
    shape = wizard.shape()
    assert shape is not None and shape.parameters == found["parameters"] and found["unknown"] == []


# The figure


def test_the_figure_is_that_of_estimate(tmp_path: Path) -> None:
    """The wizard, and `sft-wizard estimate` on the files that it writes, must not say two things."""
    wizard = at_card(tmp_path, 23.0)
    found, said = known(wizard), replayed(wizard)
    assert (found.needed, found.verdict) == (said.needed, said.verdict)
    assert said.estimate is not None and found.estimate.parts == said.estimate.parts


def test_the_parts_are_the_whole(tmp_path: Path) -> None:
    """Frozen weights in bfloat16 take two bytes each; what is left of the need is named, none is hidden."""
    found = known(at_card(tmp_path, 23.0, model=QWEN))
    sizes = {part.id: part.size for part in found.parts}
    assert sizes["weights"] == 2 * QWEN_PARAMETERS
    assert sum(sizes.values()) == found.needed
    assert found.verdict == "fits" and found.needed <= 23 * GIB
    assert f"{100 * (1 - found.needed / (23 * GIB)):.0f} % to spare" in found.verdict_line.say()
    assert "cutoff_len = 512" in found.basis[0].say()


def test_the_figure_follows_the_answers(tmp_path: Path) -> None:
    """LoRA's parameters grow with the rank: eight times the rank, eight times of what learns."""
    wizard = at_card(tmp_path, 75.0, model="hub", model_hub=QWEN, train_lora_rank="8")
    before = {part.id: part.size for part in known(wizard).parts}["trained"]
    assert wizard.answer("train.lora_rank", "64") == []
    after = {part.id: part.size for part in known(wizard).parts}["trained"]
    assert after == pytest.approx(8 * before)


def test_the_preset_is_recommended_for_the_job(tmp_path: Path) -> None:
    """The largest whose memory is free may be too much for a large model, and the reason says so."""
    wizard = at_card(tmp_path, 23.0, model="hub", model_hub="Qwen/Qwen2.5-0.5B-Instruct")
    assert wizard.value("preset") == "24gb"
    assert "the job fits with" in wizard.default("preset").reason.say()
    wizard = at_card(tmp_path, 23.0, model="hub", model_hub="Qwen/Qwen2.5-14B-Instruct")
    assert wizard.default("preset").reason.say() == "23 GB are free on Card 0: too little for this job with any preset"


def test_presets_in_a_good_order(tmp_path: Path) -> None:
    """The recommended one, those by memory, that of the processor, the user's own; SAGE's last."""
    folder = preset_folder()
    folder.mkdir(parents=True)
    (folder / "mine.yaml").write_text("memory_gb: 10\nsettings:\n  lora_rank: 4\n")
    names = [choice.value for choice in table()["preset"].choices(at_card(tmp_path, 15.0))]
    assert names[0] == "16gb" and names[1:4] == ["8gb", "12gb", "24gb"]
    assert names[-6:] == ["cpu", "mine", "minimal", "rtx_3060", "rtx_4090", "a100"]


def test_a_broken_preset_is_told_and_keeps_nobody(tmp_path: Path) -> None:
    """With its file and line."""
    folder = preset_folder()
    folder.mkdir(parents=True)
    (folder / "mine.yaml").write_text("memory_gb: 10\nsettings:\n  lora_rnak: 4\n")
    wizard = begun(tmp_path)
    noted = wizard.notes("preset")
    assert [(Path(problem.file or "").name, problem.line) for problem in noted] == [("mine.yaml", 3)]
    assert wizard.problems("preset") == [] and wizard.notes("model") == []


# Where there is no figure


@pytest.mark.parametrize("field", ["hidden_size", "num_hidden_layers", "vocab_size"])
def test_a_config_that_lacks_a_field_costs_the_figure_and_nothing_else(
    tmp_path: Path, tiny_model: Path, field: str
) -> None:
    """The wizard goes on, with a sentence why."""
    damaged = tmp_path / "damaged"
    shutil.copytree(tiny_model, damaged)
    config = json.loads((damaged / "config.json").read_text())
    del config[field]
    (damaged / "config.json").write_text(json.dumps(config))
    wizard = begun(tmp_path, 23.0, model="folder", model_folder=str(damaged))
    found = need(wizard)
    assert isinstance(found, Unknown) and field in str(found.problems[0].params) and found.reason.say()
    assert wizard.problems("review") == [] and wizard.value("preset") == "24gb"
    assert not make_fit(wizard).done


def test_an_unknown_architecture_has_a_figure_with_a_caveat(tmp_path: Path, tiny_model: Path) -> None:
    """Read as if it were like Llama, which is said."""
    other = tmp_path / "other"
    shutil.copytree(tiny_model, other)
    config = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps(config | {"model_type": "brandnew"}))
    found = known(begun(tmp_path, 23.0, model="folder", model_folder=str(other)))
    assert any("brandnew" in phrase.say() for phrase in found.basis)


def test_no_model_yet(tmp_path: Path) -> None:
    """Nothing was typed: nothing is reckoned."""
    assert isinstance(need(begun(tmp_path, 23.0, model="hub")), Unknown)
    assert isinstance(need(Wizard(tmp_path)), Unknown)


# Making it fit


def test_what_does_not_fit_is_made_to_fit(tmp_path: Path) -> None:
    """16.4 GB of weights do not go into 9 GB; in 4 bits they do. The files say the same."""
    wizard = at_card(tmp_path, 9.0, model="hub", model_hub=QWEN)
    assert known(wizard).verdict == "no"
    preset = wizard.value("preset")
    done = make_fit(wizard)
    assert done.done and "Approximate, another result" in done.lines[0].say()
    found = known(wizard)
    assert found.verdict == "fits" and wizard.answers["preset"] == preset
    assert wizard.answers["train.quantization_bit"] == 4
    assert not make_fit(wizard).done, "there is nothing left to do"
    said = replayed(wizard)
    assert (said.needed, said.verdict) == (found.needed, "fits")
    settings = yaml.safe_load((wizard.folder() / "configs/train_config.yaml").read_text())
    assert settings["quantization_bit"] == 4


def test_what_only_just_fits_is_called_tight(tmp_path: Path) -> None:
    """Within the error of the figure nobody is promised anything."""
    wizard = at_card(tmp_path, 6.9, model="hub", model_hub=QWEN)
    assert known(wizard).verdict == "no"
    for name, value in {"quantization_bit": 4, "double_quantization": True, "optim": "paged_adamw_8bit"}.items():
        assert wizard.answer(f"train.{name}", value) == []
    found = known(wizard)
    needed, error = found.needed, found.estimate.error * found.estimate.parts.allocated
    spread = replace(wizard.found("hardware").hardware.gpus[0], free=int(needed + error / 2))
    request = next(request for request in wizard.facts if request.what == "hardware")
    machine = wizard.facts[request]
    wizard.learn(request, replace(machine, hardware=replace(machine.hardware, gpus=(spread,))))
    assert known(wizard).verdict == "tight" and known(wizard).verdict_line.say().startswith("Memory: tight")
    assert wizard.default("preset").reason.say().endswith("the job may only just fit")


def test_an_exact_change_is_called_so(tmp_path: Path) -> None:
    """Whoever insists on keeping all activations gets them recomputed where there is no room: the same result."""
    given = {"train_disable_gradient_checkpointing": "yes", "train_cutoff_len": "4096"}
    wizard = at_card(tmp_path, 23.0, model=QWEN, **given)
    assert known(wizard).verdict == "no"
    assert "Exact, the same result" in make_fit(wizard).lines[0].say()
    assert known(wizard).verdict == "fits" and wizard.value("train.disable_gradient_checkpointing") is None
    assert wizard.problems("review") == []


def test_where_nothing_suffices_nothing_is_changed(tmp_path: Path) -> None:
    """4.1 GB are the least that the weights take in 4 bits; smaller models are named."""
    wizard = at_card(tmp_path, 2.5, model="hub", model_hub=QWEN)
    before = dict(wizard.answers)
    told = make_fit(wizard)
    assert not told.done and wizard.answers == before
    assert "No change of the settings suffices" in told.lines[0].say() and "SmolLM2-135M" in told.lines[0].say()


def test_without_bitsandbytes_nothing_is_quantised(tmp_path: Path) -> None:
    """A change that cannot be run is no help."""
    wizard = at_card(tmp_path, 9.0, model="hub", model_hub=QWEN)
    request = next(request for request in wizard.facts if request.what == "hardware")
    wizard.learn(request, replace(wizard.facts[request], quantisable=False))
    assert not make_fit(wizard).done and "train.quantization_bit" not in wizard.answers


# Plain prompts


def prompted(cwd: Path, desk: HereDesk, *lines: Any) -> tuple[int, Script, Wizard]:
    script, wizard = Script(["", *lines]), Wizard(cwd, {"model": "hub", "model_hub": QWEN})
    code = run_plain(wizard, desk, prompts=script, talk=lambda folder: None)
    return code, script, wizard


def test_plain_prompts_ask_whether_to_make_it_fit(tmp_path: Path) -> None:
    """Model, its name, no download now, data and its rare ones, preset, yes, settings, review."""
    code, script, wizard = prompted(tmp_path, HubDesk(9.0), "", "", "", "", "", "", "yes", "", "", "n", "n")
    assert code == EXIT_OK, script.text
    assert "Memory: does not fit" in script.text and "Memory: fits, needs" in script.text
    assert "Make it fit, yes or no [yes]:" in script.said
    assert "weights 15.3 GB" in script.text
    assert wizard.answers["train.quantization_bit"] == 4


def test_plain_prompts_take_a_no(tmp_path: Path) -> None:
    """It is the person's job: asked once at each of the two steps, it starts as it is."""
    lines = ["", "", "", "", "", "", "perhaps", "no", "", "n", "", "n", "n"]
    code, script, wizard = prompted(tmp_path, HubDesk(9.0), *lines)
    assert code == EXIT_OK, script.text
    assert script.said.count("Make it fit, yes or no [yes]:") == 3
    assert not [name for name in wizard.answers if name.startswith("train.")]


def test_plain_prompts_go_back_from_the_question(tmp_path: Path) -> None:
    """`<` leads to the choice of a preset."""
    _code, script, wizard = prompted(tmp_path, HubDesk(9.0), "", "", "", "", "", "", "<", "cpu")
    assert sum(said.startswith("Memory preset, number") for said in script.said) == 2
    assert wizard.answers["preset"] == "cpu"
