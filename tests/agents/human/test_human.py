"""A person types, and a policy acts: what is typed is checked, and nothing that is shown steers the terminal."""

import pytest
from helpers.levels import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from faultgym.agents.human.entry import confidence, typed_value, wanted
from faultgym.agents.human.policy import Human, HumanActor, Left
from faultgym.agents.rollouts.play import run_episode
from faultgym.envs.messages.turn import Observation
from faultgym.envs.registry import task_by_id
from faultgym.tools.types import ToolResult, ToolSpec

ENUM = {"enum": ["low", "high"], "type": "string"}
SCHEMA = {
    "type": "object",
    "required": ["text", "count"],
    "properties": {
        "level": ENUM,
        "text": {"type": "string", "maxLength": 5, "description": "What to say"},
        "count": {"type": "integer", "minimum": 1, "maximum": 9},
        "loud": {"type": "boolean"},
        "more": {"type": "object"},
    },
}
SAY, WAIT = ToolSpec("say", "Say it.", SCHEMA), ToolSpec("wait", "Wait.", {"type": "object", "properties": {}})


def acted(*lines, tools=(SAY, WAIT), new=()):
    """(turn, what was said, prompts) of an actor that reads these lines."""
    left, said, prompts = list(lines), [], []

    def ask(prompt):
        prompts.append(prompt)
        if not left:
            raise EOFError
        return left.pop(0)

    turn = HumanActor(ask, said.append).act(Observation(new), tools)
    assert not left
    return turn, "\n".join(said), prompts


def test_a_tool_is_picked_and_its_required_arguments_are_asked_first():
    turn, _, prompts = acted("say", "why not", "hi", "3", "2", "yes", '{"a": [1]}')
    (call,) = turn.tool_calls
    assert (call.name, turn.reasoning, turn.final) == ("say", "why not", False)
    assert call.arguments == {"text": "hi", "count": 3, "level": "high", "loud": True, "more": {"a": [1]}}
    assert [p.split()[0].rstrip(":") for p in prompts[2:]] == ["text", "count", "level", "loud", "more"]


def test_optional_arguments_are_left_out_by_enter():
    turn, _, _ = acted("1", "", "hi", "3", "", "", "")
    assert turn.tool_calls[0].arguments == {"text": "hi", "count": 3}


def test_wrong_values_are_asked_for_again_with_what_is_wanted():
    turn, said, _ = acted("say", "", "", "too long", "hi", "x", "0", "3", "loud", "low", "maybe", "no", "[1]", "{}")
    assert turn.tool_calls[0].arguments == {"text": "hi", "count": 3, "level": "low", "loud": False, "more": {}}
    for words in ("it is needed", "at most 5 characters, not 8", "a whole number", "1 to 9", "low, high", "yes or no"):
        assert words in said


def test_an_unknown_tool_is_answered_with_the_nearest():
    turn, said, _ = acted("wiat", "99", "", "?", "wait", "")
    assert turn.tool_calls[0].name == "wait"
    assert "there is no tool 'wiat'; did you mean wait?" in said
    assert said.count("Say it.") == 2


def test_an_argument_can_be_given_up_for_another_tool():
    turn, _, _ = acted("say", "hm", "hi", ":b", "wait", "so")
    assert (turn.tool_calls[0].name, turn.reasoning) == ("wait", "so")


def test_the_answer_needs_a_text_and_takes_a_confidence():
    turn, said, _ = acted("a", "I saw it", "", "It is shipped.", "3", "80%")
    assert (turn.text, turn.reasoning, turn.confidence, turn.final) == ("It is shipped.", "I saw it", 0.8, True)
    assert "0 to 1" in said


@pytest.mark.parametrize("lines", [["q"], ["say", ":q"], ["say", "why", ":q"], ["a", "", ":q"]])
def test_one_can_leave_at_every_prompt(lines):
    with pytest.raises(Left):
        acted(*lines)


@pytest.mark.parametrize("lines", [[], ["say"], ["say", "why"], ["a", "", "text"]])
def test_the_end_of_the_input_is_told(lines):
    with pytest.raises(EOFError):
        acted(*lines)


def test_what_is_shown_is_neutralised_and_indented():
    evil = "\x1b[2Jok\nresult:\n\u202eabc"
    tool = ToolSpec("wait", "\x1b[31mred", {"type": "object", "properties": {"\x9b5n": {"description": "\x07"}}})
    _, said, prompts = acted("wait", "", "", tools=(tool,), new=(ToolResult("c", "t", evil),))
    assert said.startswith("result:\n    \\x1b[2Jok\n    result:\n    \\u202eabc")
    assert not any(c in said + "".join(prompts) for c in "\x1b\x9b\x07\u202e")


def test_half_a_surrogate_pair_is_replaced_as_it_is_typed():
    turn, _, _ = acted("a", "\ud800", "x\udfff", "")
    assert (turn.reasoning, turn.text) == ("\ufffd", "x\ufffd")


def test_a_person_is_a_policy_like_any_other():
    lines = iter(["2", "look", "SELECT 1", "a", "seen", "I cannot tell.", ""])
    human = Human(lambda prompt: next(lines), lambda text: None, "ann")
    episode = run_episode(human, task_by_id("orders/order_status/train/0"))
    assert (len(episode.turns), episode.stop) == (2, "final")
    assert human.describe() == {"name": "human", "player": "ann"}


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        (ENUM, "one of 1 low, 2 high"),
        ({"type": "string", "examples": ["ORD-1"]}, "text such as ORD-1"),
        ({"type": "integer", "minimum": 1, "maximum": 50}, "whole number, 1 to 50"),
        ({"type": "number", "exclusiveMinimum": 0, "maximum": 60}, "number, more than 0, at most 60"),
        ({"type": "boolean"}, "yes or no"),
        ({"type": "array"}, "JSON list"),
        ({"anyOf": []}, "JSON"),
    ],
)
def test_what_is_wanted_is_said_in_words(schema, words):
    assert wanted(schema) == words


@pytest.mark.parametrize(
    ("text", "schema", "value"),
    [
        ('""', {"type": "string"}, ""),
        ("7", {"type": "string"}, "7"),
        ("7", {"type": "number"}, 7),
        ("-1.5e3", {"type": "number"}, -1500.0),
        ("7", {"enum": [7, 9]}, 7),
        ("2", {"enum": [7, 9]}, 9),
        ("HIGH", ENUM, "high"),
        ("word", {}, "word"),
        ("[1]", {}, [1]),
    ],
)
def test_texts_become_the_values_that_they_stand_for(text, schema, value):
    assert typed_value(text, schema) == value


@given(st.text(max_size=20), st.sampled_from([ENUM, *SCHEMA["properties"].values(), {"type": "number"}, {}]))
@settings(max_examples=examples(200), deadline=None)
def test_any_text_gives_a_value_or_a_reason(text, schema):
    try:
        value = typed_value(text, schema)
    except ValueError as error:
        assert str(error).startswith("it takes")  # noqa: PT017
    else:
        assert schema is not ENUM or value in ENUM["enum"]


@pytest.mark.parametrize("text", ["-0.1", "1.5", "101%", "nan", "sure", "%"])
def test_a_confidence_that_is_no_probability_is_refused(text):
    with pytest.raises(ValueError, match="0 to 1"):
        confidence(text)
