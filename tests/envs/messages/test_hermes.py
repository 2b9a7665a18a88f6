"""Parsing and writing the Hermes form of an assistant message."""

import string
from dataclasses import replace

import pytest
from helpers.levels import examples
from hypothesis import example, given, settings
from hypothesis import strategies as st

from faultgym.envs.messages.hermes import format_hermes, parse_hermes
from faultgym.envs.messages.turn import Turn
from faultgym.tools.types import ToolCall

CALL = '<tool_call>\n{"name": "sql", "arguments": {"query": "SELECT 1"}}\n</tool_call>'

plain = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="<>"), max_size=20).map(str.strip)
scalars = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | plain
values = st.recursive(
    scalars | st.sampled_from(["</tool_call>", "<tool_call>{}", "<think>"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(plain, inner, max_size=3),
    max_leaves=6,
)
names = st.text(string.ascii_lowercase + "_", min_size=1, max_size=12)
turns = st.builds(
    lambda text, reasoning, calls: Turn(
        text,
        tuple(ToolCall(f"call_{n}", name, arguments) for n, (name, arguments) in enumerate(calls)),
        reasoning,
        finish_reason="tool_calls" if calls else "stop",
    ),
    plain,
    plain,
    st.lists(st.tuples(names, st.dictionaries(plain, values, max_size=3)), max_size=3),
)
fragments = st.sampled_from(
    ["<think>", "</think>", "<tool_call>", "</tool_call>", '{"name": "sql", "arguments": ', "{}", "}", "{", '"x"',
     " ", "\n", "text", "5", '{"name": 5}', "[1]", "\ud800", '"\\u0041"', "null"]
)  # fmt: skip
junk = st.lists(fragments | st.text(max_size=5), max_size=10).map("".join)


@given(turns)
@settings(deadline=None, max_examples=examples(200))
def test_a_turn_comes_back_as_it_was_written(turn):
    assert parse_hermes(format_hermes(turn)) == turn


@given(junk)
@settings(deadline=None, max_examples=examples(500))
@example('<tool_call>{"name":"sql","arguments":"\\u0041"')
@example("<think></think><think>x")
@example('<tool_call>{"name": "sql", "arguments": 5')
def test_any_text_has_a_canonical_form(text):
    turn = parse_hermes(text)
    assert parse_hermes(format_hermes(turn)) == turn


def test_thoughts_text_and_calls_are_told_apart():
    turn = parse_hermes(f"<think>\nfirst look\n</think>\nOne moment.\n{CALL}\n{CALL}")
    assert (turn.reasoning, turn.text) == ("first look", "One moment.")
    assert turn.tool_calls == tuple(ToolCall(f"call_{n}", "sql", {"query": "SELECT 1"}) for n in range(2))


def test_thoughts_may_lack_the_tag_that_the_template_wrote():
    assert parse_hermes("first look</think>done") == Turn("done", reasoning="first look")


def test_thoughts_that_never_end_hold_no_call():
    turn = parse_hermes(f"<think>I might {CALL}")
    assert turn.final
    assert turn.reasoning == f"I might {CALL}"


def test_a_call_that_is_not_closed_counts():
    assert parse_hermes(CALL.removesuffix("</tool_call>")).tool_calls == parse_hermes(CALL).tool_calls


def test_a_call_inside_an_unclosed_one_counts():
    first, second = parse_hermes(f"<tool_call>{{{CALL}").tool_calls
    assert first == ToolCall("call_0", "", None, "{")
    assert replace(second, id="call_0") == parse_hermes(CALL).tool_calls[0]


@pytest.mark.parametrize(
    ("inside", "name", "raw"),
    [
        ("", "", ""),
        ("SELECT 1", "", "SELECT 1"),
        ("[1]", "", "[1]"),
        ('{"arguments": {}}', "", '{"arguments": {}}'),
        ('{"name": 5, "arguments": {}}', "", '{"name": 5, "arguments": {}}'),
        ('{"name": "sql", "arguments": {"query": "SELECT', "sql", '{"query": "SELECT'),
        ('{"name": "sql", "arguments": {"query": NaN}}', "sql", '{"query": NaN}'),
        ('{"name": "sql", "arguments": "{}"}', "sql", '"{}"'),
        ('{"name": "sql", "arguments": [1]}', "sql", "[1]"),
        ('{"name": "sql", "id": 1, "arguments": null}', "sql", "null"),
    ],
)
def test_what_is_no_call_keeps_its_text(inside, name, raw):
    (call,) = parse_hermes(f"<tool_call>{inside}</tool_call>").tool_calls
    assert call == ToolCall("call_0", name, None, raw)


def test_missing_arguments_are_no_arguments():
    assert parse_hermes('<tool_call>{"name": "list_routes"}</tool_call>').tool_calls[0].arguments == {}


def test_deep_and_long_texts_are_parsed_in_one_pass():
    deep = "[" * 10_000
    (call,) = parse_hermes(f'<tool_call>{{"name": "sql", "arguments": {deep}').tool_calls
    assert call.raw == deep
    spaces = " " * 1_000_000
    (call,) = parse_hermes(f'<tool_call>{{"name": "sql", "arguments": {{{spaces}x').tool_calls
    assert call.raw == f"{{{spaces}x"
    long = "x" * 10_000_000
    (call,) = parse_hermes(f'<tool_call>{{"name": "sql", "arguments": {{"query": "{long}"}}}}').tool_calls
    assert call.arguments == {"query": long}


def test_a_closing_tag_inside_an_argument_is_escaped():
    turn = Turn(tool_calls=(ToolCall("call_0", "sql", {"query": "</tool_call>"}),), finish_reason="tool_calls")
    assert parse_hermes(format_hermes(turn)) == turn


def test_arguments_that_are_not_json_cannot_be_written():
    with pytest.raises(ValueError, match="not JSON"):
        format_hermes(Turn(tool_calls=(ToolCall("a", "sql", {"query": {1, 2}}),)))
