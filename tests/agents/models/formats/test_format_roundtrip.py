"""What a format writes it reads; so it does what the models' own chat templates write, and any text at all."""

from dataclasses import replace

import pytest
from helpers.levels import examples
from hypothesis import example, given, settings
from hypothesis import strategies as st

from faultgym.agents.models.formats import FORMATS
from faultgym.agents.models.formats.format import check_format
from faultgym.envs.messages.turn import Turn, flaw
from faultgym.tools.types import ToolCall, ToolSpec

TOOLS = (
    ToolSpec(
        "look",
        "Look.",
        {
            "type": "object",
            "properties": {
                "order": {"type": "integer"},
                "note": {"type": "string"},
                "late": {"type": "boolean"},
                "rate": {"type": "number"},
                "tags": {"type": "array"},
                "body": {"type": "object"},
            },
        },
    ),
    ToolSpec("list.all-routes_2", "List.", {"type": "object", "properties": {}}),
)
NAMES = sorted({format.name for format in FORMATS.values()})
PLAIN = st.text(alphabet=" abcÄ語,.:;!?'\"\\/{}()=%\n\t-0", max_size=30)
MARKED = PLAIN | st.sampled_from(
    ["</tool_call>", "<tool_call>", "[TOOL_CALLS]", "<|call|>", "a ]; b", '"}</x>', "<think>", "</think>", "]", "```"]
)
NO_MARKS = {"qwen3_coder", "seed_oss", "glm45", "minimax_m2", "deepseek_v32", "deepseek_v4", "functiongemma", "gemma4"}
"""Formats that write a text as it is, so that a mark in it would end it."""
OTHERS = {"openai", "deepseek_v3", "deepseek_v31", "kimi_k2"}
"""Formats whose own marks do not stand among `MARKED`, and whose thoughts end with `</think>`."""
BARE = {"xlam", "llama4_pythonic", "pythonic"}
"""Formats whose calls begin where the text does, without a mark."""


def values(strings):
    return st.recursive(
        st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(-1e9, 1e9) | strings,
        lambda inner: (
            st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["a", "b_c", "x"]), inner, max_size=2)
        ),
        max_leaves=5,
    )


def calls(strings, inner):
    given = {
        "order": st.integers(-(2**53), 2**53),
        "note": strings,
        "late": st.booleans(),
        "rate": st.floats(-1e9, 1e9),
        "tags": st.lists(inner, max_size=2),
        "body": st.dictionaries(st.sampled_from(["a", "b_c"]), inner, max_size=2),
    }
    look = st.fixed_dictionaries({}, optional=given).map(lambda arguments: ToolCall("", "look", arguments))
    return look | st.just(ToolCall("", "list.all-routes_2", {}))


def turns(name):
    own = [*FORMATS[name].marks, "</tool_call>", "<|tool_call_end|>", "<|tool_calls_section_end|>"]
    strings = PLAIN if name in NO_MARKS else MARKED | st.sampled_from(own).map("a {} b".format)
    said = st.text(alphabet="abcÄ語 ,.!?", max_size=20).map(str.strip)
    return st.builds(
        lambda text, called, thoughts: Turn(
            text, tuple(called), thoughts, finish_reason="tool_calls" if called else "stop"
        ),
        said,
        st.lists(calls(strings, strings if name == "gemma4" else values(strings)), max_size=3),
        said,
    )


def meaning(turn):
    return turn.text, turn.reasoning, [(call.name, call.arguments) for call in turn.tool_calls]


@pytest.mark.parametrize("name", NAMES)
def test_what_a_format_writes_it_reads(name):
    format = FORMATS[name]
    python = name in ("llama4_pythonic", "pythonic", "lfm2", "olmo3")

    @settings(deadline=None, max_examples=examples(60))
    @given(turns(name))
    def check(turn):
        if python:  # a Python name has no hyphen
            turn = replace(
                turn, tool_calls=tuple(ToolCall("", c.name.replace("-", "_"), c.arguments) for c in turn.tool_calls)
            )
        assert meaning(format.read(format.write(turn), TOOLS)) == meaning(turn)

    check()


WORDS = (
    "<tool_call> </tool_call> <function= <parameter= </parameter> </function> <arg_key> </arg_key> <arg_value>"
    " </arg_value> <invoke name= </invoke> [ARGS] [CALL_ID] [THINK] [/THINK] <escape> <|channel|> <|message|> <|end|>"
    " <|call|> <|start|>assistant to=functions.look [look( look(a= { } [ ] ( ) : , ; ' \" \\ 1e999 0x - <think>"
    " </think> ```json call:look{ > = \ud800 \x00"
)
PIECES = [
    *sorted({mark for format in FORMATS.values() for mark in format.marks}),
    *WORDS.split(" "),
    '{"name": "look", "arguments": {"a": 1}}',
    "\n",
]


@settings(deadline=None, max_examples=examples(400))
@given(st.lists(st.sampled_from(PIECES) | st.text(max_size=4), max_size=14).map("".join), st.sampled_from(NAMES))
@example("[look(a=1e999)]", "pythonic")
@example("[look(a='" + "\\", "lfm2")
def test_no_text_makes_a_format_raise(text, name):
    for tools in ((), TOOLS):
        turn = FORMATS[name].read(text, tools)
        assert isinstance(turn, Turn)
        assert not flaw(turn)
        assert bool(turn.tool_calls) == (turn.finish_reason == "tool_calls")


@pytest.mark.parametrize("name", NAMES)
def test_long_and_deep_texts_are_read_in_one_pass(name):
    format = FORMATS[name]
    for mark in (*format.marks, "<tool_call>", "[look(a=", '{"name": "look", "arguments": ', "<parameter=a>"):
        for deep in ("[", '{"a":', "(", "-", mark):
            assert isinstance(format.read(mark + deep * 20_000, TOOLS), Turn)


@pytest.mark.parametrize("name", NAMES)
def test_the_built_in_formats_conform(name):
    check_format(name, FORMATS[name])
