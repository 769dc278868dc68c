"""Which model learns."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.builtin_model import ALIAS, is_builtin
from engine.hardware import GIB
from engine.memory.places import device_of
from engine.memory.recommended import RecommendedModel, known_model, recommended_models
from engine.text import Phrase, verbatim
from engine.wizard.asks.checks import is_given
from engine.wizard.browsing import Wanted
from engine.wizard.device import chosen, machine_of
from engine.wizard.questions import Choice, Default, Question, Request

if TYPE_CHECKING:
    from engine.wizard.session import Wizard

FOLDER, HUB = "folder", "hub"  # answers that lead to a question of their own
MOST_MODELS = 6  # recommended ones: with the built-in one, a folder and a name they are nine, one for each digit


def questions() -> list[Question]:
    """In the order they are asked."""
    return [
        Question(
            "model",
            "model",
            "choice",
            Phrase("Model"),
            Phrase("The small built-in model shows how it works, on any machine. Your own is a folder or a hub name."),
            _first_model,
            _models,
        ),
        Question(
            "model_folder",
            "model",
            "path",
            Phrase("Folder of the model"),
            Phrase("It holds config.json, *.safetensors and the tokenizer's files."),
            lambda wizard: Default(""),
            applies=lambda wizard: bool(wizard.value("model") == FOLDER),
            check=is_given,
            wanted=Wanted(models=True),
        ),
        Question(
            "model_hub",
            "model",
            "text",
            Phrase("Name on the hub"),
            Phrase("owner/name, such as Qwen/Qwen3-0.6B. Enter looks it up there, and says what it is."),
            lambda wizard: Default(""),
            applies=lambda wizard: bool(wizard.value("model") == HUB),
            check=is_given,
        ),
    ]


def model_requests(wizard: Wizard) -> list[Request]:
    """What is to be looked up of the chosen model: here first, then, where it is not here, on the hub."""
    name = wizard.model()
    if not name:
        return []
    here = Request("model", name)
    found = wizard.facts.get(here)
    far = found is not None and not found["here"] and (name in wizard.confirmed or not found.get("known", True))
    return [here, Request("hub", name)] if far else [here]


def confirmed(wizard: Wizard, requests: list[Request]) -> list[Request]:
    """Of these only what needs nobody's consent: the hub is asked after Enter, not while a person looks around."""
    return [request for request in requests if request.what != "hub" or request.subject in wizard.confirmed]


def confirm(wizard: Wizard) -> None:
    """Enter was pressed on the chosen model."""
    wizard.confirmed.add(wizard.model())


def _models(wizard: Wizard) -> tuple[Choice, ...]:
    """For this card first, then the built-in one, those of this machine, and what is typed."""
    recommended, local = _offered(wizard), {model["name"]: model for model in wizard.found("models") or []}
    listed = [one for one in recommended if not is_builtin(one.name)]
    answer = known_model(str(wizard.answers.get("model", "")))
    if answer and not is_builtin(answer.name) and answer not in listed:
        listed.append(answer)  # the machine or the language is another than when it was given
    first = wizard.default("model").value
    choices = [
        Choice(one.name, verbatim(one.name), _note(one, one.name in local), recommended=one.name == first)
        for one in listed
    ]
    size = Phrase("on this machine") if ALIAS in local else Phrase("download 0.1–0.3 GB")
    note = Phrase("135M parameters, {where}", {"where": size})
    builtin = Choice(ALIAS, verbatim(f"SmolLM2-135M-Instruct ({ALIAS})"), note, recommended=first == ALIAS)
    choices.insert(0 if first == ALIAS else len(choices), builtin)
    choices += [
        Choice(name, verbatim(name), Phrase("{size} parameters, on this machine", {"size": model["size"]}))
        for name, model in local.items()
        if name != ALIAS and all(name != one.name for one in listed)
    ]
    return (
        *choices,
        Choice(FOLDER, Phrase("A folder …"), Phrase("a model that lies on this machine")),
        Choice(HUB, Phrase("A name on the hub …"), Phrase("such as Qwen/Qwen3-0.6B")),
    )


def _offered(wizard: Wizard) -> list[RecommendedModel]:
    """The best few models for the machine; none while that is not known."""
    machine = machine_of(wizard)
    if machine is None:
        return []
    key = ("models", wizard.language)  # every default that follows from the model asks for them
    if key not in wizard.reckoned:
        device = device_of(None, machine.hardware, machine.host)[0]
        wizard.reckoned[key] = recommended_models(device.free, wizard.language, device.kind)[:MOST_MODELS]
    found: list[RecommendedModel] = wizard.reckoned[key]
    return found


def _first_model(wizard: Wizard) -> Default:
    offered = _offered(wizard)
    if not offered or is_builtin(offered[0].name):
        return Default(ALIAS, Phrase("runs everywhere and needs no account"))
    card = chosen(wizard)
    free = f"{(card.free if card else 0) / GIB:.0f}"
    return Default(offered[0].name, Phrase("trains well in the {free} GB that are free here", {"free": free}))


def _note(model: RecommendedModel, here: bool) -> Phrase:
    told = {"size": model.size, "licence": model.licence, "bytes": f"{model.bytes / 1e9:.1f}"}
    if here:
        return Phrase("{size} parameters, {licence}, on this machine", told)
    if model.gated:
        return Phrase("{size} parameters, {licence}, login, {bytes} GB", told)
    return Phrase("{size} parameters, {licence}, download {bytes} GB", told)
