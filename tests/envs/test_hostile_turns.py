"""Whatever a model sends: a result comes back, nothing raises, and neither time nor memory runs away."""

from __future__ import annotations

import math
from datetime import datetime

import pytest
from helpers.levels import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from faultgym.envs.gym.env import ToolEnv
from faultgym.envs.intents import intents
from faultgym.envs.messages.turn import Turn, flaw
from faultgym.envs.registry import task_by_id
from faultgym.tools.types import ToolCall, ToolResult

TASKS = (
    "orders/order_status/train/0:http",
    "orders/cancel_order/train/0:tools",
    "orders/write_note/train/0:http",
    "incidents/scale_to_peak/train/0:tools",
    "incidents/sql_note/train/0:http",
)
NASTY = (
    "", "\x00", "\ud800", "\u202e", "a\r\nX-Evil: 1", "../../etc/passwd", "%2e%2e%2f", "٣", "9" * 5000, "x" * 100_000,
    "1e999", "http://[::1", "http://[bad]/v1/orders", "//[", "file:///etc/passwd", "/v1/orders?%", "/v1/orders/1%00",
    "' OR 1=1 --", "SELECT 1; DROP TABLE orders", '"' * 9_000, "(" * 9_000, "title:" * 900, "a~9999999999",
    -1, 0, 2**53, 2**70, 10**400, 1e308, math.inf, -math.inf, math.nan, True, None, [], {}, {"": ""}, {"k" * 99_999: 1},
)  # fmt: skip


def start(task: str, faults: str = "clean") -> ToolEnv:
    env = ToolEnv(task.split("/")[0], faults=faults)
    env.reset(seed=0, options={"task": task})
    return env


def ask(env: ToolEnv, name: str, **arguments: object) -> str:
    (result,) = env.step(Turn(tool_calls=(ToolCall("c", name, arguments),)))[0].messages
    assert isinstance(result, ToolResult)
    return result.content


@pytest.mark.parametrize("faults", ["clean", "hostile"])
@pytest.mark.parametrize("task", TASKS)
def test_every_argument_of_every_tool_takes_any_value(task: str, faults: str) -> None:
    env = start(task, faults)
    plain = {"query": "SELECT 1", "method": "POST", "path": "/v1/token", "seconds": 1}
    for spec in env.tools:
        needed = {name: plain.get(name, "10415") for name in spec.parameters.get("required", [])}
        for name in spec.parameters.get("properties", {}):
            calls = [ToolCall("c", spec.name, {**needed, name: value}) for value in NASTY]
            for first in range(0, len(calls), 16):
                observation = env.step(Turn(tool_calls=tuple(calls[first : first + 16])))[0]
                assert all(len(m.content) < 20_000 for m in observation.messages)
    assert env.episode is not None
    assert intents(env.episode.suite, env.episode.records)
    env.step(Turn("done"))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(), max_size=8), inner, max_size=4)
    ),
    max_leaves=10,
)
names = st.sampled_from(["search", "sql", "http", "wait", "get_order", "SQL", "http\n", "", "\x00", "\ud800"])
fields = st.sampled_from(["query", "method", "path", "headers", "body", "seconds", "page", "kind"])
calls = st.builds(
    ToolCall,
    st.text(st.characters(), max_size=5),
    names,
    st.none() | st.dictionaries(fields | st.text(max_size=5), json_values, max_size=4),
    st.text(st.characters(), max_size=40),
)


@given(st.lists(st.lists(calls, max_size=4), max_size=4))
@settings(deadline=None, max_examples=examples(150))
def test_any_turn_is_answered_call_by_call(turns: list[list[ToolCall]]) -> None:
    env = start(TASKS[0])
    for turn in turns:
        if turn:
            answers = env.step(Turn(tool_calls=tuple(turn)))[0].messages
            assert [m.call_id for m in answers if isinstance(m, ToolResult)] == [c.id for c in turn]


def test_ten_thousand_calls_in_one_turn_are_answered_and_few_are_done() -> None:
    env = start(TASKS[0])
    many = tuple(ToolCall("same", "sql", {"query": "SELECT 1"}) for _ in range(10_000))
    codes = [m.code for m in env.step(Turn(tool_calls=many))[0].messages if isinstance(m, ToolResult)]
    assert (codes.count("ok"), codes.count("too_many_calls")) == (16, 9_984)


def test_virtual_time_stops_before_dates_do() -> None:
    env = start(TASKS[0])
    assert env.episode is not None
    env.episode.world.clock.advance(1e300)
    text = ask(env, "wait", seconds=86_400)
    assert datetime.fromisoformat(text.rpartition(" ")[2]).year < 9_999


def test_rows_that_double_at_each_statement_soon_find_the_database_full() -> None:
    env = start("orders/write_note/train/0:http")
    double = "INSERT INTO order_notes (order_id, author, text, channel) SELECT order_id, author, text, channel FROM"
    answers = [ask(env, "sql", query=f"{double} order_notes") for _ in range(20)]
    assert "database or disk is full" in answers[-1]
    assert env.episode is not None
    assert len(env.episode.world.serialize()) < 1_000_000
    assert "HTTP 200" in ask(env, "http", method="GET", path="/v1/openapi")


def test_a_fork_has_no_more_room_than_its_original() -> None:
    env = start("orders/write_note/train/0:http")
    grow = "INSERT INTO order_notes (order_id, author, text, channel) SELECT order_id, author, text, channel FROM"
    for _ in range(6):
        ask(env, "sql", query=f"{grow} order_notes")
    fork = env.fork()
    for _ in range(3):
        query = f"{grow} order_notes"
        assert ask(env, "sql", query=query) == ask(fork, "sql", query=query)


def test_a_long_idempotency_key_is_refused_and_not_kept() -> None:
    env = start(TASKS[0])
    assert env.episode is not None
    secret = env.episode.world.image.secret
    body = {"client_id": "desk", "client_secret": secret}
    headers = {"Idempotency-Key": "k" * 60_000}
    assert "HTTP 400" in ask(env, "http", method="POST", path="/v1/token", headers=headers, body=body)


def test_a_world_without_room_answers_507() -> None:
    env = start("orders/write_note/train/0:http")
    assert env.episode is not None
    db = env.episode.world.writable()
    db.execute(f"PRAGMA max_page_count = {db.execute('PRAGMA page_count').fetchone()[0]}")
    body = {"text": "x" * 200, "channel": "email"}
    order = str(task_by_id("orders/write_note/train/0:http").params["order_id"])
    for _ in range(40):
        text = ask(env, "http", method="POST", path=f"/v1/orders/{order}/notes", body=body)
        if "HTTP 507" in text:
            return
    raise AssertionError(text)


BAD_TURNS = {
    "text": Turn(None),  # type: ignore[arg-type]
    "reasoning": Turn(reasoning=5),  # type: ignore[arg-type]
    "finish_reason": Turn(finish_reason=None),  # type: ignore[arg-type]
    "tool_calls is a list": Turn("", [ToolCall("c", "sql")]),  # type: ignore[arg-type]
    "holds a dict": Turn("", ({"name": "sql"},)),  # type: ignore[arg-type]
    "id, name": Turn("", (ToolCall(5, "sql"),)),  # type: ignore[arg-type]
    "arguments of a tool call are a list": Turn("", (ToolCall("c", "sql", [1]),)),  # type: ignore[arg-type]
    "confidence": Turn(confidence=math.nan),
    "token_ids": Turn(token_ids=("a",)),  # type: ignore[arg-type]
    "logprobs": Turn(logprobs=(-math.inf,)),
}


@pytest.mark.parametrize("what", BAD_TURNS)
def test_a_turn_of_the_wrong_types_is_told_apart(what: str) -> None:
    assert what in flaw(BAD_TURNS[what])
    assert not flaw(Turn("x", (ToolCall("c", "sql", {"a": math.nan}),), "r", 0.5, "stop", (1,), (-0.5,)))
