"""Models as the wizard knows them: here, recommended, on a hub that answers, refuses or is not there; and downloads."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.errors import Problem, ProblemError
from engine.messages import render
from engine.models import inspect_model
from engine.text import Phrase
from engine.wizard.asks.model import confirm
from engine.wizard.desk import ProcessDesk, settle
from engine.wizard.facts import about
from engine.wizard.fetching import Downloads, arrived, wanted
from engine.wizard.model_facts import fits_line, traits
from engine.wizard.model_look import family, look, own_template, tuned
from engine.wizard.questions import Request
from engine.wizard.session import Wizard
from tests.unit.fake_hub import FakeHub, until
from tests.unit.test_models import weights
from tests.unit.wizards import HereDesk, Script, begun, machine, quiet
from tests.unit.wizards import look as look_around
from tui.plain import run_plain

LLAMA = {
    "model_type": "llama",
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "vocab_size": 100,
    "max_position_embeddings": 4096,
    "torch_dtype": "float32",
}
CHATML = "{% for message in messages %}<|im_start|>{{ message.role }}{% endfor %}"
NAME = "ada/tiny-chat"


@pytest.fixture(autouse=True)
def alone(private_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No cache, token or hub of the person who runs the tests."""
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_HUB_OFFLINE", "HTTP_PROXY", "HTTPS_PROXY", "http_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(private_home / "hf"))
    monkeypatch.setenv("HF_HUB_CACHE", str(private_home / "hf" / "hub"))
    monkeypatch.setenv("HF_HUB_DISABLE_XET", "1")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(private_home / "hf" / "hub"))


def model(folder: Path, *, template: str = CHATML, **config: Any) -> Path:
    """A folder that can be told from a real model only by its size."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(LLAMA | config))
    (folder / "tokenizer.json").write_text("{}")
    (folder / "tokenizer_config.json").write_text(json.dumps({"chat_template": template} if template else {}))
    weights(folder / "model.safetensors", {"a": ("F32", [250, 4], 4000)})
    return folder


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    """With one model that anyone may have, and one that asks for consent."""
    models = {NAME: model(tmp_path / "there"), "ada/shy-7b": model(tmp_path / "shy")}
    with FakeHub(models, {"ada/shy-7b"}).open() as opened:
        monkeypatch.setenv("HF_ENDPOINT", opened.url)
        yield opened


def find(what: str, subject: str) -> Any:
    return ProcessDesk().find(Request(what, subject), quiet)


def typed(cwd: Path, name: str = NAME) -> Wizard:
    """A wizard in which this name was typed, and nothing was looked up."""
    wizard = Wizard(cwd)
    wizard.learn(Request("hardware"), machine(23.0))
    assert wizard.answer("model", "hub") == wizard.answer("model_hub", name) == []
    return wizard


def refused(subject: str) -> Problem:
    with pytest.raises(ProblemError) as caught:
        find("hub", subject)
    (problem,) = caught.value.problems
    return problem


# What a model is


def test_a_folder_tells_everything_itself(tmp_path: Path) -> None:
    """Parameters, context, type of numbers, licence, template and kind, without a network."""
    folder = model(tmp_path / "mine-instruct")
    (folder / "README.md").write_text("---\nlanguage: en\nlicense: apache-2.0\n---\n# license: no\n")
    wizard = begun(tmp_path, model="folder", model_folder=str(folder))
    assert [(name.say(), value.say()) for name, value in traits(wizard)] == [
        ("Size", "0M parameters"),
        ("Context", "4096 tokens"),
        ("Licence", "apache-2.0"),
        ("Kind", "instruct (llama)"),
        ("Template", "its own (ChatML)"),
        ("Stored", "fp32, 0.0 GB, here"),
    ]
    assert (fits := fits_line(wizard)) is not None and fits.say().startswith("Memory: fits")
    assert wizard.answer("train.template", "llama3") == []
    assert dict((name.say(), value.say()) for name, value in traits(wizard))["Template"] == "llama3, as you set it"
    assert about(wizard, "model")[1].say() == "Size: 0M parameters"


def test_a_model_without_a_template_says_where_one_is_chosen(tmp_path: Path) -> None:
    """A base model: nothing says how a conversation is written."""
    wizard = begun(tmp_path, model="folder", model_folder=str(model(tmp_path / "tiny-base", template="")))
    told = {name.say(): value.say() for name, value in traits(wizard)}
    assert told["Template"] == "none: see Settings" and told["Kind"] == "base (llama)"
    assert told["Licence"] == "not stated"


def test_a_recommended_model_is_known_without_a_network(tmp_path: Path) -> None:
    """Moving through the list asks nobody."""
    found = look("Qwen/Qwen3-8B")
    assert (
        not found["here"] and found["shape"] and found["licence"] == "apache-2.0" and found["parameters"] == 8190735360
    )
    wizard = begun(tmp_path, 23.0)
    told = {name.say(): value.say() for name, value in traits(wizard)}
    assert told["Stored"] == "bf16, 16.4 GB download" and told["Template"] == "its own (qwen3)"
    assert wizard.problems("model") == []
    assert wizard.answer("model", "meta-llama/Llama-3.1-8B-Instruct") == []
    look_around(wizard, HereDesk(23.0))
    assert dict((name.say(), value.say()) for name, value in traits(wizard))["Licence"] == "llama3.1, hub login"


@pytest.mark.parametrize(
    ("name", "talks", "kind"),
    [
        ("Qwen/Qwen3-8B-Base", True, False),
        ("google/gemma-3-1b-pt", True, False),
        ("google/gemma-3-1b-it", False, True),
        ("mistralai/Mistral-7B-Instruct-v0.3", False, True),
        ("Qwen/Qwen3-8B", True, True),
        ("EleutherAI/pythia-1b", False, None),
        ("me/database-7b", False, None),
    ],
)
def test_base_or_instruct(name: str, talks: bool, kind: bool | None) -> None:
    """By the name first: some base models bring a chat template as well."""
    assert tuned(name, talks) is kind


@pytest.mark.parametrize(
    ("file", "said"),
    [
        ("chat_template.jinja", CHATML),
        ("tokenizer_config.json", json.dumps({"chat_template": CHATML})),
        ("tokenizer_config.json", json.dumps({"chat_template": [{"name": "default", "template": CHATML}]})),
        ("chat_template.json", json.dumps({"chat_template": CHATML})),
    ],
)
def test_a_template_lies_in_one_of_several_places(tmp_path: Path, file: str, said: str) -> None:
    """As transformers has stored it over the years."""
    (tmp_path / file).write_text(said)
    assert family(own_template(tmp_path)) == "ChatML"
    assert own_template(tmp_path / "none") == family("") == ""


def test_a_config_that_says_anything_costs_nothing(tmp_path: Path) -> None:
    """Half a character, control codes: the answer has to survive the way to the wizard and be drawn."""
    folder = model(tmp_path / "odd", model_type="\ud83d\x1b]0;t\x07" + "x" * 500, torch_dtype="\ud83d")
    found = find("model", str(folder))
    wizard = typed(tmp_path)
    assert wizard.answer("model", "folder") == wizard.answer("model_folder", str(folder)) == []
    wizard.learn(Request("model", str(folder)), found)
    assert wizard.shape() is not None and len(traits(wizard)) == 6
    assert "\x1b" not in "".join(value.say() for _name, value in traits(wizard))


# The hub


def test_the_hub_is_asked_after_enter_only(tmp_path: Path, hub: FakeHub) -> None:
    """A name that is typed says nothing until it is meant; then it says all."""
    wizard, desk = typed(tmp_path), ProcessDesk()
    settle(wizard, "model", desk, quiet)
    assert hub.asked == [] and [line.say() for line in about(wizard, "model")] == [
        "Not on this machine. Enter looks it up on the hub."
    ]
    confirm(wizard)
    settle(wizard, "model", desk, quiet)
    told = {name.say(): value.say() for name, value in traits(wizard)}
    assert told == {
        "Size": "0M parameters",
        "Context": "4096 tokens",
        "Licence": "mit",
        "Kind": "instruct (llama)",
        "Stored": "fp32, 0.0 GB download",
        "Template": "its own (ChatML)",
    }
    assert wizard.shape() is not None and wizard.problems("model") == []


def test_a_draft_with_a_hub_name_asks_nobody_on_its_first_step(tmp_path: Path, hub: FakeHub) -> None:
    """Nothing on the network at the start."""
    wizard = typed(tmp_path)
    for step in ("hardware", "model"):
        settle(wizard, step, ProcessDesk(), quiet)
    assert hub.asked == []


def test_a_gated_model_says_how_to_get_in(hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a token; with one that was not let in; with one that was."""
    problem = refused("ada/shy-7b")
    assert problem.code == "model_gated"
    assert f"{hub.url}/ada/shy-7b" in render(problem) and "hf auth login" in render(problem)
    monkeypatch.setenv("HF_TOKEN", "hf_other")
    assert "same account" in render(refused("ada/shy-7b"))
    monkeypatch.setenv("HF_TOKEN", hub.token)
    assert find("hub", "ada/shy-7b")["gated"] is True


def test_a_misspelt_name_is_told_apart_and_the_right_one_named(hub: FakeHub) -> None:
    """The hub says 401 to both when nobody is logged in."""
    problem = refused("Qwen/Qwen3-8b-instruct-zzz")
    assert problem.code.startswith("model_unknown")
    problem = refused("qwen/qwen3-8B")
    assert problem.code == "model_unknown_near" and "Did you mean Qwen/Qwen3-8B" in render(problem)
    assert "hf auth login" in render(problem)
    problem = refused("Qwen3-0.6B")
    assert problem.code == "model_missing_near" and "Qwen/Qwen3-0.6B" in render(problem)


def test_a_hub_that_is_not_reached_names_proxy_and_mirror(monkeypatch: pytest.MonkeyPatch) -> None:
    """Offline by will, by accident, and a hub that is down are three things."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}"
    monkeypatch.setenv("HF_ENDPOINT", url)
    problem = refused("ada/none")
    assert problem.code == "model_unreachable"
    assert url in render(problem) and "HTTPS_PROXY" in render(problem) and "HF_ENDPOINT" in render(problem)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert refused("ada/none").code == "model_offline"


def test_a_hub_that_is_down_gives_its_status(hub: FakeHub) -> None:
    """Not a problem of the name."""
    hub.status = 503
    problem = refused(NAME)
    assert problem.code == "model_unreachable" and "503" in render(problem)


# The download


def test_a_download_tells_its_bytes_and_is_found_afterwards(tmp_path: Path, hub: FakeHub) -> None:
    """What the list then says is that it is here; Start finds it too."""
    wizard, desk = typed(tmp_path), ProcessDesk()
    confirm(wizard)
    settle(wizard, "model", desk, quiet)
    assert wanted(wizard) == NAME
    seen: list[tuple[str, int, int]] = []
    desk.download(NAME, lambda what, done, total: seen.append((what.say(), done, total)))
    size = sum(file.stat().st_size for file in hub.models[NAME].iterdir())
    assert seen[-1] == (f"Fetching {NAME} from the hub", size, size)
    arrived(wizard)
    settle(wizard, "model", desk, quiet)
    assert wanted(wizard) == "" and wizard.found("model")["here"] is True
    assert NAME in [choice["name"] for choice in wizard.found("models")]


def test_a_download_is_stopped_and_gone_on_with(hub: FakeHub, private_home: Path) -> None:
    """What has arrived is not fetched again, and nothing is left running."""
    weights(hub.models[NAME] / "model.safetensors", {"a": ("F32", [1_000_000, 4], 16_000_000)})
    hub.pace = 11_000_000  # huggingface_hub writes 10 MiB at once
    ended: list[str] = []
    downloads = Downloads(ProcessDesk(), ended.append)
    downloads.begin(NAME)
    until(lambda: downloads.now and downloads.now.done >= 10_000_000)
    downloads.stop()
    assert downloads.now is None and not downloads.running
    until(lambda: not downloads.fetcher._fetching)  # type: ignore[attr-defined]
    before = hub.sent
    hub.go.set()
    downloads.begin(NAME)
    until(lambda: ended == [NAME])
    assert downloads.now is not None and downloads.now.state == "done", downloads.now
    (snapshot,) = (private_home / "hf" / "hub").glob("models--*/snapshots/*")
    assert inspect_model(snapshot).bytes == 16_000_000
    assert hub.sent - before < 6_000_000


def test_a_download_that_is_refused_says_why(hub: FakeHub) -> None:
    """The line keeps what went wrong; the next try is a key away."""
    ended = threading.Event()
    downloads = Downloads(ProcessDesk(), lambda name: ended.set())
    downloads.begin("ada/shy-7b")
    assert ended.wait(30) and downloads.now is not None
    assert downloads.now.state == "failed" and downloads.now.problems[0].code == "model_gated"


class Held:
    """A fetcher that waits until it is stopped, and another that is done at once."""

    def __init__(self) -> None:
        self.began: list[str] = []
        self.stopped = 0
        self.free = threading.Event()
        self.late: list[Callable[[], None]] = []

    def download(self, name: str, progress: Any) -> None:
        self.began.append(name)
        progress(Phrase("Fetching"), len(self.began), 10)
        self.free.wait(20)
        progress(Phrase("Fetching"), 9, 10)

    def stop_download(self) -> None:
        self.stopped += 1


def test_another_download_takes_the_place_of_the_first() -> None:
    """What the first still says is not taken for the second's."""
    held = Held()
    downloads = Downloads(held)
    downloads.begin("a/one")
    until(lambda: held.began == ["a/one"])
    downloads.begin("a/one")
    downloads.begin("a/two")
    until(lambda: held.began == ["a/one", "a/two"])
    assert held.stopped == 1 and downloads.running == "a/two"
    downloads.stop()
    held.free.set()
    assert downloads.now is None and held.stopped == 2


def test_a_disk_that_is_too_small_is_told_before_anything_is_fetched(
    hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cache that fills up in the middle of the night."""
    from engine import model_hub

    monkeypatch.setattr(model_hub, "free_bytes", lambda folder: 1000)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", hub.url)
    monkeypatch.setattr("huggingface_hub.hf_api.constants.ENDPOINT", hub.url)
    with pytest.raises(ProblemError) as caught:
        model_hub.download(NAME, quiet)
    (problem,) = caught.value.problems
    assert problem.code == "download_no_room" and "HF_HOME" in render(problem)


# Plain prompts


def test_plain_prompts_ask_whether_to_download_now(tmp_path: Path, hub: FakeHub) -> None:
    """Asked once, for a model that is known to be there; no is the default."""

    class Real(HereDesk):
        process = ProcessDesk()

        def find(self, request: Request, progress: Any) -> Any:
            return (self.process if request.what in ("model", "hub") else super()).find(request, progress)

        def download(self, name: str, progress: Any) -> None:
            self.process.download(name, progress)

    wizard, script = Wizard(tmp_path, {"model": "hub", "model_hub": NAME}), Script(["", "", "", "y", EOFError])
    run_plain(wizard, Real(), prompts=script)
    assert any("Download it now" in said for said in script.said)
    assert f"Fetching {NAME} from the hub: 100 %" in script.text and wizard.found("model")["here"]
    refusing = Script(["", "", "ada/none-at-all", "ada/shy-7b", "smollm2-135m", EOFError])
    run_plain(Wizard(tmp_path, {"model": "hub", "model_hub": NAME}), Real(), prompts=refusing)
    assert "has no model ada/none-at-all" in refusing.text
