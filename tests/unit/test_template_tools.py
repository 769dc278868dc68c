"""Tools, thoughts and added tokens, beyond what the recorded tokens of test_llamafactory_templates.py show."""

from __future__ import annotations

import json
from datetime import date

import pytest

from engine.data.chat_template import chat_template_for, renders_as
from engine.data.conversation import Conversation, Turn
from engine.data.encode import render_prompt
from engine.data.options import EncodeOptions
from engine.data.segments import AutoSegmenter, NamedSegmenter, chat_messages
from engine.data.templates import (
    load_template,
    prepare_tokenizer,
    read_new_special_tokens,
    render_text,
    shipped,
    template_sha256,
)
from engine.data.tools import DIALECTS
from engine.errors import ConfigError, Problem
from tests.unit.tiny_tokenizer import CHATML, tiny_tokenizer

WEATHER = {
    "name": "get_weather",
    "description": "The weather",
    "parameters": {"type": "object", "properties": {"city": {"type": "string", "enum": ["Oslo", 7]}}},
}
CALL = '{"name": "get_weather", "arguments": {"city": "Oslo"}}'
ASKED = Turn("user", "Weather?")
CALLED = (ASKED, Turn("function", CALL), Turn("observation", "rain"), Turn("assistant", "It rains."))
TOOLS = Conversation(CALLED, tools=json.dumps([WEATHER]))
# As Qwen 2.5's own: tools in the system turn, calls as JSON in XML.
HERMES = (
    "{% if tools %}{{ '<|im_start|>system\\n' + (tools | tojson) + '<|im_end|>\\n' }}{% endif %}"
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' + m.content }}"
    "{% for c in m.tool_calls or [] %}{{ '<tool_call>' + (c.function | tojson) + '</tool_call>' }}{% endfor %}"
    "{{ '<|im_end|>\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
OPTIONS = EncodeOptions(4096)


def prepared(name, **changes):
    template, tokenizer = load_template(name, **changes), tiny_tokenizer(bos_token=None, eos_token="<|endoftext|>")
    prepare_tokenizer(tokenizer, template, resize_vocab=True)
    return tokenizer, template


def code(error):
    return error.value.problems[0].code


def reason(conversation, name="qwen"):
    (result,) = NamedSegmenter(*prepared(name), OPTIONS)([conversation])
    assert isinstance(result, Problem)
    assert result.code == "tools_unreadable"
    return result.params["reason"]


@pytest.mark.parametrize(
    ("tools", "call", "said"),
    [
        ("[{", CALL, "not JSON"),
        ("{}", CALL, "not a JSON list"),
        ("[1]", CALL, "not a JSON list"),
        ("[" * 100_000, CALL, "not JSON"),
        ("", '{"name": "f"', "not JSON"),
        ("", "[1]", 'not an object with a "name"'),
        ("", '{"arguments": {}}', 'not an object with a "name"'),
        ("", '{"name": "f"}', 'not an object with a "name"'),
    ],
)
def test_rows_whose_tools_cannot_be_read_say_why(tools, call, said):
    assert said in reason(Conversation((ASKED, Turn("function", call)), tools=tools))


@pytest.mark.parametrize(
    ("name", "tools", "call", "said"),
    [
        ("default", '[{"name": "f"}]', CALL, "lacks 'parameters'"),
        ("glm4", "", f"[{CALL}, {CALL}]", "one call at a time"),
        ("glm4_moe", "", '{"name": "f", "arguments": "text"}', "arguments of f are not a JSON object"),
        ("qwen3_5", "", '{"name": "f", "arguments": [1]}', "arguments of f are not a JSON object"),
    ],
)
def test_what_a_dialect_cannot_write_is_a_reason_too(name, tools, call, said):
    assert said in reason(Conversation((ASKED, Turn("function", call)), tools=tools), name)


def test_rows_around_an_unreadable_one_are_kept():
    broken = Conversation((ASKED, Turn("function", "{")))
    plain = Conversation((ASKED, Turn("assistant", "Rain.")))
    segment = NamedSegmenter(*prepared("qwen"), OPTIONS)
    first, middle, last = segment([plain, broken, plain])
    assert first == last == segment([plain])[0]
    assert middle.code == "tools_unreadable"


def test_choices_that_are_not_text_are_written_as_text():
    text = DIALECTS["default"].describe(json.dumps([WEATHER]), date.today())
    assert "should be one of [Oslo, 7]" in text


def test_only_dated_dialects_change_from_day_to_day():
    days = [date(2026, 1, 2), date(2026, 1, 3)]
    for name in shipped():
        template = load_template(name)
        texts = [str(template.turns(TOOLS, today=day)) for day in days]
        assert (texts[0] != texts[1]) == template.dated, name
        assert ("02 Jan 2026" in texts[0]) == template.dated
    assert load_template("llama3").dated
    assert load_template("qwen", tool_format="llama3").dated


def test_another_tool_format_loses_the_end_mark_and_says_so():
    tokenizer = tiny_tokenizer(eos_token="<|endoftext|>")
    template = load_template("qwen", tool_format="glm4")
    notes = prepare_tokenizer(tokenizer, template)
    assert "tool_format_end" in [note.code for note in notes]
    assert "tool_format_end" not in [note.code for note in prepare_tokenizer(tokenizer, load_template("qwen"))]
    text = render_text(tokenizer, template, TOOLS)
    assert 'get_weather\n{"city": "Oslo"}<|im_end|><|im_start|>user\n<tool_response>' in text
    with pytest.raises(ConfigError) as error:
        load_template("qwen", tool_format="qwenn")
    assert code(error) == "unknown_tool_format"


def test_strict_fills_the_number_of_the_exchange_as_llamafactory_does():
    talk = Conversation((ASKED, Turn("assistant", "a"), Turn("user", "{{idx}} {{idx}}"), Turn("assistant", "{{idx}}")))
    tokenizer, template = prepared("chatml")
    kept = render_text(tokenizer, template, talk)
    filled = render_text(tokenizer, template, talk, EncodeOptions(0, strict=True))
    assert filled == kept.replace("{{idx}} {{idx}}", "1 {{idx}}")


def test_special_tokens_in_texts_may_be_split():
    tokenizer, template = prepared("chatml")
    talk = Conversation((Turn("user", "x<|im_end|>"), Turn("assistant", "y")))
    ((source, target),) = NamedSegmenter(tokenizer, template, EncodeOptions(9, split_special_tokens=True))([talk])[
        0
    ].pairs
    assert not {tokenizer.eos_token_id} & {*source, *target}  # LLaMA-Factory splits the template's own marks as well
    text = "<|im_start|>user\nx<|im_end|><|im_end|>\n<|im_start|>assistant\n"
    assert tokenizer.decode(source) == text
    ((source, _),) = NamedSegmenter(tokenizer, template, EncodeOptions(9))([talk])[0].pairs
    assert source.count(tokenizer.eos_token_id) == 2
    assert tokenizer.decode(source) == text


def test_a_chat_template_gets_tools_and_calls():
    tokenizer = tiny_tokenizer(chat_template=HERMES, eos_token="<|im_end|>")
    (segments,) = AutoSegmenter(tokenizer, OPTIONS)([TOOLS])
    (_, call), (_, answer) = segments.pairs
    written = tokenizer.decode(call)
    assert json.loads(written.split("<tool_call>")[1].split("</tool_call>")[0]) == json.loads(CALL)
    assert tokenizer.decode(answer) == "It rains.<|im_end|>\n"
    ids = [token for pair in segments.pairs for side in pair for token in side]
    tools = [{"type": "function", "function": WEATHER}]
    assert tokenizer.decode(ids) == tokenizer.apply_chat_template(chat_messages(TOOLS), tools=tools, tokenize=False)

    (prompt,) = AutoSegmenter(tokenizer, OPTIONS).prompts([TOOLS])
    ((source, target),) = prompt.pairs
    assert (source + target, tokenizer.decode(target)) == (ids, "It rains.<|im_end|>\n")


def test_a_chat_template_that_leaves_tools_out_is_not_trained_with_them():
    tokenizer = tiny_tokenizer(chat_template=CHATML, eos_token="<|im_end|>")
    segment = AutoSegmenter(tokenizer, OPTIONS)
    broken = Conversation((ASKED, Turn("function", "{")))
    plain = Conversation((ASKED, Turn("assistant", "Rain.")))
    dropped, unreadable, kept = segment([TOOLS, broken, plain])
    assert (dropped.code, unreadable.code) == ("chat_template_ignores_tools", "tools_unreadable")
    assert len(kept.pairs) == 1
    assert [result.code for result in segment.prompts([TOOLS, broken])] == [dropped.code, unreadable.code]


def test_a_chat_template_is_told_not_to_think():
    own = (
        CHATML
        + "{% if add_generation_prompt and enable_thinking is defined and not enable_thinking %}quiet {% endif %}"
    )
    tokenizer = tiny_tokenizer(chat_template=own, eos_token="<|im_end|>")
    talk = Conversation((ASKED,))
    for thinking, end in ((True, "assistant\n"), (None, "assistant\n"), (False, "quiet ")):
        options = EncodeOptions(4096, enable_thinking=thinking)
        (prompt,) = AutoSegmenter(tokenizer, options).prompts([talk])
        assert tokenizer.decode(prompt.pairs[0][0]).endswith(end)
        assert render_prompt(tokenizer, None, talk, options) == prompt.pairs[0][0]


def test_added_tokens_come_in_the_order_of_llamafactory():
    # tokenizer.add_tokens(add_tokens), (add_special_tokens), then the template's end of text and its stop words.
    tokenizer = tiny_tokenizer(eos_token="<|endoftext|>")
    size = len(tokenizer)
    notes = prepare_tokenizer(
        tokenizer,
        load_template("llama3"),
        resize_vocab=True,
        add_tokens=["<a>", "<|im_end|>"],
        add_special_tokens=["<b>"],
    )
    added = ["<a>", "<b>", "<|eot_id|>", "<|eom_id|>"]
    assert [tokenizer.convert_tokens_to_ids(token) for token in added] == list(range(size, size + 4))
    (note,) = [note for note in notes if note.code == "tokens_added"]
    assert note.params == {"count": 4, "tokens": added}
    assert tokenizer.eos_token == "<|eot_id|>"
    special = {str(token) for token in tokenizer.added_tokens_decoder.values() if token.special}
    assert set(added) - special == {"<a>"}


def test_nothing_is_added_unless_asked_for():
    tokenizer = tiny_tokenizer(("<s>",))
    with pytest.raises(ConfigError) as error:
        prepare_tokenizer(tokenizer, load_template("default"))
    assert code(error) == "tokenizer_without_eos"
    prepare_tokenizer(tokenizer, load_template("default"), resize_vocab=True)
    assert tokenizer.eos_token == "<|endoftext|>"


def test_marks_that_are_looked_up_must_be_there():
    tokenizer = tiny_tokenizer(eos_token="<|endoftext|>")
    with pytest.raises(ConfigError) as error:
        prepare_tokenizer(tokenizer, load_template("yuan"), resize_vocab=True)
    assert code(error) == "template_needs_markers"
    assert error.value.problems[0].params["list"] == "<sep>"
    prepare_tokenizer(tokenizer, load_template("yuan"), resize_vocab=True, add_special_tokens=["<sep>"])


def test_new_special_tokens_are_read_in_their_order(tmp_path):
    file = tmp_path / "tokens.yaml"
    file.write_text("<z>: last letter\n<a>: first letter\n", encoding="utf-8")
    assert list(read_new_special_tokens(file).items()) == [("<z>", "last letter"), ("<a>", "first letter")]
    for text in ("- <z>", "", "a: [", "\x00"):
        file.write_text(text, encoding="utf-8")
        with pytest.raises(ConfigError) as error:
            read_new_special_tokens(file)
        assert code(error) == "special_tokens_file"


def test_templates_are_told_apart_in_the_record_of_a_run():
    assert len({template_sha256(name) for name in ("qwen3", "qwen3_nothink", "qwen")}) == 3
    assert template_sha256("auto") is None


SAVED = (
    "qwen3",
    "deepseekr1",
    "glm4",
    "glm4_7",
    "gemma",
    "gemma2",
    "llama2",
    "mistral",
    "chatglm3",
    "seed_oss",
    "gpt_oss",
)


@pytest.mark.parametrize("name", SAVED)
@pytest.mark.parametrize("thinking", [True, False, None])
@pytest.mark.parametrize("preserve", [False, True])
def test_saved_chat_template_of_every_kind(name, thinking, preserve):
    """Fused system prompts, thoughts, ends that no answer carries: rendered as the prompts of this tool are."""
    tokenizer = tiny_tokenizer(
        ("<s>", "</s>", "[gMASK]", "sop", "<|system|>", "<|user|>", "<|assistant|>"), bos_token="<s>"
    )
    tokenizer.add_tokens(["<|observation|>"], special_tokens=True)
    template, options = load_template(name), EncodeOptions(0, enable_thinking=thinking, preserve_thinking=preserve)
    prepare_tokenizer(tokenizer, template, resize_vocab=True)
    tokenizer.chat_template = None
    tokenizer.chat_template = chat_template_for(tokenizer, template, options)
    thought, plain = Turn("assistant", "why".join(template.thought_words) + "\nIt's {{so}}"), Turn("assistant", "\nNo")
    for system in ("", "S'y\\s\n{{ 1 }}"):
        for turns in ((), (plain, ASKED), (thought, ASKED), (plain, ASKED, thought), (thought, ASKED, plain, ASKED)):
            talk = Conversation((ASKED, *turns), system)
            for asked in (
                talk,
                Conversation((*talk.turns, thought), system),
                Conversation((*talk.turns, plain), system),
            ):
                if len(asked.turns) > 1 and asked.turns[-1].role == asked.turns[-2].role:
                    continue
                asks = asked.turns[-1].role == "user"
                text = tokenizer.apply_chat_template(chat_messages(asked), tokenize=False, add_generation_prompt=asks)
                assert text == render_text(tokenizer, template, asked, options)


def test_a_saved_chat_template_is_known_again():
    tokenizer, template = prepared("qwen3")
    for options in (OPTIONS, EncodeOptions(0, enable_thinking=False), EncodeOptions(0, preserve_thinking=True)):
        tokenizer.chat_template = None
        assert not renders_as(tokenizer, template)
        tokenizer.chat_template = chat_template_for(tokenizer, template, options)
        assert renders_as(tokenizer, template)
        assert not renders_as(tokenizer, load_template("qwen"))
        assert chat_template_for(tokenizer, template, options) is None


def test_whoever_renders_may_ask_for_no_thought():
    tokenizer, template = prepared("qwen3")
    tokenizer.chat_template = chat_template_for(tokenizer, template, OPTIONS)
    messages = [{"role": "user", "content": "Q"}]
    texts = [
        tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True, enable_thinking=thinking)
        for thinking in (True, False)
    ]
    assert texts[0].endswith("<|im_start|>assistant\n")
    assert texts[1] == texts[0] + "<think>\n\n</think>\n\n"
