"""Calls that a server has left in a text."""

from dataclasses import replace

import pytest
from helpers.levels import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from faultgym.agents.models.formats import FORMATS
from faultgym.agents.models.salvage import calls_in_text, with_calls_left
from faultgym.envs.messages.turn import Turn
from faultgym.tools.types import ToolCall

CALL = '{"name": "look", "arguments": {"order": "7"}}'
MARKED = sorted({format.name for format in FORMATS.values() if format.marks})


@pytest.mark.parametrize("name", MARKED)
def test_a_call_of_any_known_format_is_read_by_its_mark(name):
    written = FORMATS[name].write(Turn("", (ToolCall("", "look", {"order": "7"}),)))
    if name == "llama4_pythonic":
        written = f"<|python_start|>{written}<|python_end|>"
    if name == "phi4_mini_json":
        written = written.replace("<|tool_call|>", "functools")
    text, calls = calls_in_text(f"I look. {written}" if name != "llama4_pythonic" else written, None)
    assert [(call.name, call.arguments) for call in calls] in (
        [("look", {"order": "7"})],
        [("look", {"order": 7})],
    ), "functiongemma's texts are JSON where they can be"
    assert text in ("I look.", "")


@pytest.mark.parametrize(
    "text",
    [
        CALL,
        f"[{CALL}]",
        f"```json\n{CALL}\n```",
        '{"type": "function", "function": {"name": "look", "parameters": {"order": "7"}}}',
    ],
)
def test_the_bare_json_of_a_call_is_read(text):
    assert calls_in_text(text, None) == ("", (ToolCall("", "look", {"order": "7"}),))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "The order is on its way.",
        '{"name": "Ada", "total": 7}',
        '{"name": "Ada", "arguments": {}, "total": 7}',
        f"Such a call looks like {CALL} here.",
        "[1, 2]",
        "[]",
    ],
)
def test_an_answer_is_no_call(text):
    assert calls_in_text(text, None) is None


@pytest.mark.parametrize("text", ["<tool_call>{oops", "So: [TOOL_CALLS]", '{"order": 7}</tool_call>', "<function=look"])
def test_what_is_marked_and_cannot_be_read_is_a_malformed_call(text):
    _, (call,) = calls_in_text(text, None)
    assert call.arguments is None


def test_the_format_that_is_named_reads():
    assert calls_in_text("[look(order='7')]", None) is None
    assert calls_in_text("[look(order='7')]", "pythonic") == ("", (ToolCall("", "look", {"order": "7"}),))


@settings(deadline=None, max_examples=examples(200))
@given(st.text(max_size=30), st.sampled_from(["", *(mark for name in MARKED for mark in FORMATS[name].marks)]))
def test_no_text_makes_it_raise_and_a_mark_always_gives_a_call(text, mark):
    found = calls_in_text(text + mark, None)
    assert found is None or found[1]
    if mark and "functools" not in mark:
        assert found is not None


def test_a_call_in_thoughts_without_a_text_is_read_and_one_before_an_answer_is_not():
    thoughts = f"I need <tool_call>{CALL}</tool_call>"
    read = with_calls_left(Turn(reasoning=thoughts), "hermes")
    assert [(call.name, call.arguments) for call in read.tool_calls] == [("look", {"order": "7"})]
    assert (read.salvaged, read.finish_reason, read.reasoning) == (True, "tool_calls", thoughts)
    answer = Turn("It has shipped.", reasoning=thoughts)
    assert with_calls_left(answer, "hermes") is answer


def test_a_turn_that_a_server_gives_back_whole_over_one_broken_call_keeps_its_good_ones():
    text, calls = calls_in_text(f"Both. <tool_call>{{oops</tool_call><tool_call>{CALL}</tool_call>", None)
    assert text == "Both."
    assert [(call.name, call.arguments) for call in calls] == [("", None), ("look", {"order": "7"})]


def test_a_format_of_another_package_is_known_by_its_marks_too():
    mine = replace(FORMATS["longcat"], name="mine", marks=("<longcat_tool_call>", "@@call"))
    assert calls_in_text("@@call", None) is None
    with FORMATS.holding("mine", mine):
        assert calls_in_text("@@call", None) == ("", (ToolCall("", "", None, "@@call"),))
    assert calls_in_text("@@call", None) is None
