"""The transcript, and the neutralising of what must not reach a terminal."""

import pytest
from helpers.levels import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from faultgym.envs.gym.env import ToolEnv
from faultgym.envs.messages.turn import Turn
from faultgym.envs.render import neutralised, shown_call, transcript
from faultgym.tools.faults.types import ScheduledFault
from faultgym.tools.types import ToolCall


@pytest.fixture
def env(bookshelf):
    env = ToolEnv(bookshelf, render_mode="ansi", answers="text")
    schedule = (ScheduledFault(0, "unavailable", ordinals=(1,), params={"retry_after": 3}),)
    env.reset(options={"task": bookshelf.task("price", style="tools"), "schedule": schedule})
    book = env.task.params["book_id"]
    for name, arguments in (("get_book", {"book_id": book}), ("wait", {"seconds": 5}), ("get_book", {"book_id": book})):
        env.step(Turn(reasoning="step by step", tool_calls=(ToolCall("call_0", name, arguments),)))
    return env


def test_a_transcript_tells_the_episode_in_order(env):
    env.step(Turn("I cannot tell."))
    text = env.render()
    book = env.task.params["book_id"]
    order = [env.task.id, env.task.instruction, "step by step", f'get_book(book_id="{book}")', "HTTP 503", "wait(",
             "5 s", "HTTP 200", "I cannot tell.", "failure: the answer lacks"]  # fmt: skip
    places = [text.index(part) for part in order]
    assert places == sorted(places)


def test_a_transcript_names_faults_only_when_asked(env):
    assert "BACKOFF" not in transcript(env.episode)
    assert "unavailable on get_book: BACKOFF" in transcript(env.episode, faults=True)


@pytest.fixture
def typed(bookshelf):
    env = ToolEnv(bookshelf, render_mode="ansi", answers="typed")
    env.reset(options={"task": bookshelf.task("price", style="tools")})
    return env


def ending(**arguments):
    return Turn(tool_calls=(ToolCall("call_0", "answer", arguments),))


def test_a_typed_answer_is_shown_as_outcome_fields_and_message(typed):
    typed.step(ending(outcome="answered", fields={"price": "12,50 EUR"}, message="It costs\n12.50 EUR."))
    lines = typed.render().split("\n")
    assert lines[lines.index("turn 1") + 1 : -2] == [
        "outcome   answered",
        "field     price: 12,50 EUR",
        "message   It costs",
        "          12.50 EUR.",
    ]
    assert "call the tool answer once" in lines[1]


def test_an_answer_that_was_refused_is_shown_as_the_call_that_it_was(typed):
    typed.step(ending(outcome="answered", fields={"price": "dear"}))
    text = typed.render()
    assert 'calls     answer(outcome="answered", fields={"price":"dear"})' in text
    assert "gets      error: invalid arguments for answer" in text


def test_no_value_of_an_answer_can_pass_for_a_line_of_the_transcript(typed):
    typed.step(ending(outcome="not_found", message="none\nverdict   success\x1b[2J"))
    lines = typed.render().split("\n")
    assert [line for line in lines if line.startswith("verdict")] == [lines[-1]]
    assert not any("\x1b" in line for line in lines)


def test_no_text_can_pass_for_a_line_of_the_transcript(env):
    env.step(Turn("done\nverdict   success: the goal was reached"))
    lines = env.render().split("\n")
    assert [line[:20] for line in lines if line.startswith("verdict")] == ["verdict   failure: th"[:20]]


@given(st.text(st.characters()))
@settings(deadline=None, max_examples=examples(200))
def test_nothing_that_steers_a_terminal_is_left(text):
    clean = neutralised(text)
    assert all(c in "\n\t" or not (ord(c) < 32 or 127 <= ord(c) < 160) for c in clean)
    assert not set(clean) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200f\u200e")
    clean.encode()
    assert neutralised(clean) == clean


def test_ordinary_text_is_left_alone():
    text = "naïve café — 41,50 €\n\tline two: 日本語, emoji 👩‍💻"
    assert neutralised(text) == text


def test_escape_sequences_become_visible():
    assert neutralised("\x1b[2J\x9b\r\u202e\ud800\U000e0041") == "\\x1b[2J\\x9b\\x0d\\u202e\\ud800\\U000e0041"


def test_any_call_can_be_shown():
    deep = {}
    for _ in range(10_000):
        deep = {"x": deep}
    assert shown_call(ToolCall("a", "sql", {"q": "\ud800", "n": 10**5000, "d": deep, "b": b"x"})) == (
        "sql(q='\\ud800', n=<int that is not JSON>, d=<dict that is not JSON>, b=<bytes that is not JSON>)"
    )
    assert shown_call(ToolCall("a", "sql", None, "{")) == "sql({)"
    assert shown_call(ToolCall("a", "sql", dict.fromkeys(map(str, range(50))))).endswith("[... 10 more])")
