"""A person types, and a policy acts: what is typed is checked, and nothing that is shown steers the terminal."""

import pytest
from helpers.levels import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from faultgym.agents.human.entry import confidence, typed_value, wanted
from faultgym.agents.human.policy import Human, HumanActor, Left
from faultgym.agents.rollouts.play import run_episode
from faultgym.envs.judging.answering import answer_tool
from faultgym.envs.judging.form import AnswerField
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
FORM = (
    AnswerField("level", "enum", "How loud it is", values=("low", "high")),
    AnswerField("total", "money", "The total", unit="EUR"),
    AnswerField("count", "integer", "How many"),
    AnswerField("shelves", "id", "The shelves", unit="SHF", many=True),
)
END = answer_tool(FORM)
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
    assert "there is no tool '99'; ? lists them" in said
    assert said.count("Say it.") == 2


def test_an_argument_can_be_given_up_for_another_tool():
    turn, _, _ = acted("say", "hm", "hi", ":b", "wait", "so")
    assert (turn.tool_calls[0].name, turn.reasoning) == ("wait", "so")


def test_the_answer_needs_a_text_and_takes_a_confidence():
    turn, said, _ = acted("a", "I saw it", "", "It is shipped.", "3", "80%")
    assert (turn.text, turn.reasoning, turn.confidence, turn.final) == ("It is shipped.", "I saw it", 0.8, True)
    assert "0 to 1" in said


def ended(*lines):
    """(arguments of the call of answer, what was said, prompts) of an actor that reads these lines."""
    turn, said, prompts = acted(*lines, tools=(WAIT, END))
    (call,) = turn.tool_calls
    assert (call.name, turn.text) == ("answer", "")
    return call.arguments, said, prompts


@pytest.mark.parametrize("how", ["a", "answer", "2"])
def test_where_answers_are_typed_the_answer_is_filled_in_line_by_line(how):
    lines = (how, "I saw it", "2", "high", "240.30 EUR", "3", "SHF-1, 2", "Done so.", "80%")
    arguments, said, prompts = ended(*lines)
    fields = {"level": "high", "total": "240.30 EUR", "count": 3, "shelves": ["SHF-1", "2"]}
    assert arguments == {"outcome": "answered", "fields": fields, "message": "Done so."}
    assert "    4 refused      the rules do not allow what was asked for" in said.splitlines()
    assert [p.strip() for p in prompts[2:]] == [
        "outcome (its number or name):",
        "level: How loud it is (one of 1 low, 2 high; Enter leaves it out):",
        "total: The total, in EUR, such as 12.50 (number; Enter leaves it out):",
        "count: How many (whole number such as 3; Enter leaves it out):",
        "shelves: The shelves, such as SHF-10422 (one text or several, with commas between them; Enter leaves it out):",
        "message: What you tell the person who asked, in one or two sentences:",
        "how sure are you (0 to 1; Enter leaves it out):",
    ]


def test_a_filled_in_answer_bears_the_reason_and_the_confidence():
    turn, _, _ = acted("a", "I saw it", "done", "", "", "", "", "", "Done.", "", tools=(END,))
    assert (turn.reasoning, turn.confidence, turn.finish_reason) == ("I saw it", None, "tool_calls")
    assert turn.tool_calls[0].arguments == {"outcome": "done", "message": "Done."}


def test_an_outcome_that_goes_with_no_value_asks_for_none():
    arguments, said, _ = ended("a", "", "not_found", "There is none.", "")
    assert arguments == {"outcome": "not_found", "message": "There is none."}
    assert "not_found goes with no value: level, total, count, shelves are left out" in said


def test_a_word_that_is_on_no_list_is_asked_for_again():
    arguments, said, _ = ended("a", "", "", "7", "1", "loud", "1", "", "", "", "Done.", "")
    assert arguments == {"outcome": "done", "fields": {"level": "low"}, "message": "Done."}
    for words in ("it is needed", "it takes done, answered, not_found, refused, unavailable", "it takes low, high"):
        assert words in said


def test_an_answer_that_the_environment_sends_back_is_asked_for_again_and_enter_keeps_a_line():
    typed = iter(
        ["a", "seen", "answered", "low", "12.345", "", "", "So it is.", "", "", "", "", "12.50", "", "", "", ""]
    )
    prompts, said = [], []
    actor = HumanActor(lambda prompt: (prompts.append(prompt), next(typed))[1], said.append)
    first = actor.act(Observation(()), (WAIT, END))
    refused = ToolResult("call_1", "answer", "error: the field total takes an amount of money")
    again = actor.act(Observation((refused,)), (WAIT, END))
    assert first.tool_calls[0].arguments["fields"] == {"level": "low", "total": 12.345}
    fields = {"level": "low", "total": 12.5}
    assert again.tool_calls[0].arguments == {"outcome": "answered", "fields": fields, "message": "So it is."}
    assert "  the answer was not taken: once more (:b picks another tool)" in said
    assert '(number; Enter keeps 12.345; "" leaves it out)' in "".join(prompts)
    assert "next (" not in "".join(prompts[7:])


def test_a_value_that_was_typed_before_can_still_be_left_out_and_a_tool_picked_instead():
    typed = iter(["a", "", "done", "low", "", "", "", "So.", "", ":b", "wait", "look", "a", "", "", '""'] + [""] * 5)
    actor = HumanActor(lambda prompt: next(typed), lambda text: None)
    actor.act(Observation(()), (WAIT, END))
    refused = Observation((ToolResult("call_1", "answer", "error: no"),))
    assert actor.act(refused, (WAIT, END)).tool_calls[0].name == "wait"
    last = actor.act(Observation((ToolResult("call_2", "wait", "ok"),)), (WAIT, END))
    assert last.tool_calls[0].arguments == {"outcome": "done", "message": "So."}


def test_a_task_may_offer_a_tool_of_its_own_that_is_called_answer():
    own = ToolSpec("answer", "Answer the telephone.", {"type": "object", "properties": {}})
    turn, _, _ = acted("1", "it rings", tools=(own,))
    assert (turn.tool_calls[0].name, turn.tool_calls[0].arguments) == ("answer", {})
    assert acted("a", "", "Hello.", "", tools=(own,))[0].text == "Hello."


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
    episode = run_episode(human, task_by_id("orders/order_status/train/0"), answers="text")
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
