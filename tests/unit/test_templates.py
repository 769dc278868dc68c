from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from engine.data.chat_template import chat_template_for
from engine.data.conversation import Conversation, Origin, Sample, Turn
from engine.data.encode import Encoder
from engine.data.options import EncodeOptions
from engine.data.segments import chat_messages
from engine.data.template_files import _others
from engine.data.templates import load_template, prepare_tokenizer, render_text, shipped, stop_token_ids
from engine.errors import ConfigError
from tests.unit.tiny_tokenizer import tiny_tokenizer

LLAMA3_TOKENS = ("<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>")
TWO_TURNS = (Turn("user", "Q1"), Turn("assistant", "A1"), Turn("user", "Q2"), Turn("assistant", "A2"))
ALPACA_SYSTEM = (
    "Below is an instruction that describes a task. Write a response that appropriately completes the request.\n\n"
)
# By hand from the slots of LLaMA-Factory 0.9.5, with ⟨bos⟩ and ⟨eos⟩ for the tokenizer's own tokens.
RENDERED = {
    "qwen": "<|im_start|>system\nSYS<|im_end|>\n"
    "<|im_start|>user\nQ1<|im_end|>\n<|im_start|>assistant\nA1<|im_end|>\n"
    "<|im_start|>user\nQ2<|im_end|>\n<|im_start|>assistant\nA2<|im_end|>\n",
    "chatml": "<|im_start|>system\nSYS<|im_end|>\n"
    "<|im_start|>user\nQ1<|im_end|>\n<|im_start|>assistant\nA1<|im_end|>\n"
    "<|im_start|>user\nQ2<|im_end|>\n<|im_start|>assistant\nA2<|im_end|>\n",
    "llama3": "⟨bos⟩<|start_header_id|>system<|end_header_id|>\n\nSYS<|eot_id|>"
    "<|start_header_id|>user<|end_header_id|>\n\nQ1<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\nA1<|eot_id|>"
    "<|start_header_id|>user<|end_header_id|>\n\nQ2<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\nA2<|eot_id|>",
    "default": "System: SYS⟨eos⟩\nHuman: Q1⟨eos⟩\nAssistant:A1⟨eos⟩\nHuman: Q2⟨eos⟩\nAssistant:A2⟨eos⟩\n",
    "alpaca": "SYS### Instruction:\nQ1\n\n### Response:\nA1⟨eos⟩\n\n### Instruction:\nQ2\n\n### Response:\nA2⟨eos⟩\n\n",
}
DEFAULT_SYSTEMS = {
    "qwen": "You are Qwen, created by Alibaba Cloud. You are a helpful assistant.",
    "chatml": "",
    "llama3": "",
    "default": "",
    "alpaca": ALPACA_SYSTEM,
}


def tokenizer_for(name, **names):
    if name == "llama3":
        tokenizer = tiny_tokenizer(LLAMA3_TOKENS, bos_token=LLAMA3_TOKENS[0], eos_token="<|eot_id|>")
    else:
        tokenizer = tiny_tokenizer(eos_token="<|endoftext|>", **names)
    prepare_tokenizer(tokenizer, load_template(name))
    return tokenizer


def codes(error):
    return [problem.code for problem in error.value.problems]


def test_every_template_of_the_first_release_is_there():
    assert set(shipped()) >= set(RENDERED)


def test_the_docs_name_every_template():
    families = {}
    for name in shipped():
        families.setdefault(load_template(name).family, []).append(name)
    rows = [f"| {family}.yaml | {', '.join(names)} |" for family, names in sorted(families.items())]
    text = (Path(__file__).parents[2] / "docs" / "templates.md").read_text(encoding="utf-8")
    assert "\n".join(["|---|---|", *rows, ""]) in text


def test_no_name_of_llamafactory_is_unheard_of():
    """121 names of 0.9.5 and the 19 that it dropped: shipped, or refused with a reason of their own."""
    refused = {name for code in ("media", "removed") for name in _others()[code]}
    assert not refused & set(shipped())
    assert len(refused) + len(shipped()) == 121 + 19
    assert all(replacement in shipped() for replacement in _others()["removed"].values())


def test_listing_names_reads_no_yaml():
    script = "import yaml; yaml.safe_load = None\nfrom engine.data.templates import shipped\nprint(len(shipped()))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert int(done.stdout) == len(shipped())


@pytest.mark.parametrize("name", sorted(RENDERED))
def test_rendering_and_default_system(name):
    template, tokenizer = load_template(name), tokenizer_for(name)
    text = RENDERED[name].replace("⟨bos⟩", tokenizer.bos_token or "").replace("⟨eos⟩", tokenizer.eos_token)

    assert render_text(tokenizer, template, Conversation(TWO_TURNS, "SYS")) == text
    assert template.default_system == DEFAULT_SYSTEMS[name]
    # A question ends with the header of the answer that is to come.
    question = Conversation((*TWO_TURNS, Turn("user", "Q3")), "SYS")
    assert render_text(tokenizer, template, question).endswith(template.generation_prompt[0])


@pytest.mark.parametrize("name", [None, "auto"])
def test_auto_has_no_slots(name):
    assert load_template(name) is None


def test_content_that_looks_like_a_placeholder_stays():
    talk = Conversation((Turn("user", "{{content}} {{idx}}"), Turn("assistant", "{{content}}")))
    assert render_text(tokenizer_for("default"), load_template("default"), talk) == (
        "Human: {{content}} {{idx}}<|endoftext|>\nAssistant:{{content}}<|endoftext|>\n"
    )


@pytest.mark.parametrize(
    ("name", "code", "said"),
    [
        ("qwenn", "unknown_template_near", "qwen"),
        ("Llama3", "unknown_template_near", "llama3"),
        ("nothing-like-it-0000", "unknown_template", "chatml"),
        ("llama", "template_ambiguous", "llama2 or llama3"),
        ("chatglm", "template_ambiguous", "chatglm3 or glm4"),
        ("qwen2_vl", "template_for_media", "text only"),
        ("chatglm2", "template_removed", "chatglm3"),
    ],
)
def test_unknown_names_get_a_way_on(name, code, said):
    from engine.data.template_messages import TEMPLATE_MESSAGES
    from engine.messages import fill

    with pytest.raises(ConfigError) as error:
        load_template(name)
    assert codes(error) == [code]
    problem = error.value.problems[0]
    message = TEMPLATE_MESSAGES[code]
    words = fill(message.text, problem) + fill(message.hint, problem)
    assert name in words
    assert said in words


def test_template_of_another_family_is_refused_and_the_vocabulary_stays():
    tokenizer = tiny_tokenizer(eos_token="<|im_end|>")
    size = len(tokenizer)
    with pytest.raises(ConfigError) as error:
        prepare_tokenizer(tokenizer, load_template("llama3"))
    assert codes(error) == ["template_needs_new_tokens"]
    assert error.value.problems[0].params["tokens"] == ["<|eot_id|>"]
    usable = error.value.problems[0].params["usable"]
    assert set(RENDERED) - {"llama3"} | {"auto", "vicuna"} <= set(usable)
    assert not set(usable) & {"llama3", "gemma", "glm4", "chatglm3"}
    assert len(tokenizer) == size
    assert tokenizer.eos_token == "<|im_end|>"


def test_stop_word_that_the_template_never_writes_may_be_missing():
    tokenizer = tiny_tokenizer(LLAMA3_TOKENS, eos_token="<|end_header_id|>")
    prepare_tokenizer(tokenizer, load_template("llama3"))
    assert tokenizer.eos_token == "<|eot_id|>"
    assert stop_token_ids(tokenizer, load_template("llama3")) == [tokenizer.eos_token_id]


def test_end_and_padding_tokens_are_set_and_said():
    tokenizer = tiny_tokenizer(eos_token="<|endoftext|>")
    notes = prepare_tokenizer(tokenizer, load_template("qwen"))
    assert (tokenizer.eos_token, tokenizer.pad_token) == ("<|im_end|>", "<|im_end|>")
    assert [note.code for note in notes] == ["eos_replaced", "pad_is_eos"]
    assert prepare_tokenizer(tokenizer, load_template("qwen")) == []


def test_tokenizer_without_an_end_token():
    tokenizer = tiny_tokenizer()
    assert prepare_tokenizer(tokenizer, load_template("default"))[0].code == "eos_set"
    assert tokenizer.eos_token == "<|endoftext|>"
    with pytest.raises(ConfigError) as error:
        prepare_tokenizer(tiny_tokenizer(("<s>",)), load_template("default"))
    assert codes(error) == ["tokenizer_without_eos"]


def test_auto_stops_at_what_the_chat_template_writes_after_an_answer():
    # Many base models end text with one token and chats with another.
    tokenizer = tiny_tokenizer(eos_token="<|endoftext|>")
    assert stop_token_ids(tokenizer, None) == sorted(
        tokenizer.convert_tokens_to_ids(token) for token in ("<|endoftext|>", "<|im_end|>")
    )


CONVERSATIONS = [
    Conversation(turns, system)
    for system in ("", "S'y\\s\n{{ 1 }}")
    for turns in (TWO_TURNS[:1], TWO_TURNS[:2], TWO_TURNS[:3], TWO_TURNS)
]


@pytest.mark.parametrize("name", sorted(RENDERED))
def test_saved_chat_template_writes_what_training_saw(name):
    template, tokenizer = load_template(name), tokenizer_for(name)
    tokenizer.chat_template = None
    tokenizer.chat_template = chat_template_for(tokenizer, template)
    for talk in CONVERSATIONS:
        asks = len(talk.turns) % 2 == 1
        text = tokenizer.apply_chat_template(chat_messages(talk), tokenize=False, add_generation_prompt=asks)
        assert text == render_text(tokenizer, template, talk)
    # Without an answer to come, the header of one must not stand there.
    question = tokenizer.apply_chat_template([{"role": "user", "content": "Q"}], tokenize=False)
    assert not question.endswith(template.generation_prompt[0])
    assert question + template.generation_prompt[0] == render_text(
        tokenizer, template, Conversation((Turn("user", "Q"),))
    )


def test_saved_chat_template_escapes_its_literals():
    template = replace(load_template("chatml"), default_system="it's a \\n {{ trap }} {% x %}\r\nline")
    tokenizer = tokenizer_for("chatml")
    tokenizer.chat_template = chat_template_for(tokenizer, template)
    text = tokenizer.apply_chat_template([{"role": "user", "content": "Q"}], tokenize=False, add_generation_prompt=True)
    assert text == render_text(tokenizer, template, Conversation((Turn("user", "Q"),)))


def test_own_chat_template_is_kept_only_where_it_renders_the_same():
    tokenizer = tokenizer_for("chatml")
    assert chat_template_for(tokenizer, load_template("chatml")) is None
    assert chat_template_for(tokenizer, load_template("qwen")) is not None  # its default system prompt is missing
    assert chat_template_for(tokenizer, None) is None


def test_saved_chat_template_refuses_roles_it_cannot_write():
    from jinja2 import TemplateError

    tokenizer = tokenizer_for("qwen")
    tokenizer.chat_template = chat_template_for(tokenizer, load_template("qwen"))
    with pytest.raises(TemplateError, match="tool"):
        tokenizer.apply_chat_template([{"role": "tool", "content": "42"}], tokenize=False)


@pytest.mark.model
@pytest.mark.parametrize("name", ["chatml", "qwen"])
def test_saved_chat_template_gives_the_training_ids(name, builtin_model):
    from transformers import AutoTokenizer

    tokenizer, template = AutoTokenizer.from_pretrained(builtin_model), load_template(name)
    prepare_tokenizer(tokenizer, template)
    tokenizer.chat_template = chat_template_for(tokenizer, template)
    for talk in (talk for talk in CONVERSATIONS if len(talk.turns) % 2 == 0):
        encoded = Encoder(tokenizer, template, EncodeOptions(2048)).encode_all([Sample(talk, Origin("here", 0, 0))])
        ids = tokenizer.apply_chat_template(chat_messages(talk), tokenize=True, return_dict=True)["input_ids"]
        assert encoded.row(0)[0].tolist() == ids


def test_no_heavy_import_before_a_worker_needs_it():
    script = (
        "import sys, engine.data.encode, engine.data.chat_template, engine.data.token_cache as _\n"
        "engine.data.templates.load_template('qwen')\n"
        "print([name for name in ('torch', 'transformers', 'tokenizers', 'pyarrow') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
