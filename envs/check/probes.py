"""What the rules send: calls that reach every route, table and document, and turns that mean harm."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Any

from faultgym.core.bank import banked
from faultgym.core.json import JSON
from faultgym.envs.gym.sampling import arguments_for
from faultgym.envs.identifiers import declared_prefix
from faultgym.envs.judging.answering import ANSWER
from faultgym.envs.messages.turn import Turn
from faultgym.envs.suite import Suite
from faultgym.envs.task import Task
from faultgym.envs.worlds.world import WorldImage, world_image
from faultgym.tools.channels.http.service import Operation
from faultgym.tools.toolbox import endpoint_request
from faultgym.tools.types import ToolCall, ToolSpec


@banked("worlds", 64)
def identifiers(suite: Suite, image: WorldImage) -> dict[str, list[str]]:
    """All identifiers in the world's readable tables, by prefix.

    Args:
        suite: The suite, for the tables and the form of its identifiers.
        image: The world.

    Returns:
        Prefix -> identifiers, both sorted.
    """
    rule = suite.identifiers
    found: dict[str, set[str]] = {}
    for table, columns in suite.readable.items():
        for row in image.reader.raw.execute(f"SELECT {', '.join(sorted(columns))} FROM {table}"):
            for value in row:
                if rule.matches(value):
                    found.setdefault(rule.prefix(value), set()).add(value)
    return {prefix: sorted(values) for prefix, values in sorted(found.items())}


def reads(task: Task, suite: Suite, seed: int = 0) -> list[ToolCall]:
    """Calls that read: every reading route, every table, and a search, as far as the task offers them.

    Args:
        task: The task, for its world and its tools.
        suite: The task's suite.
        seed: What the arguments are drawn by.
    """
    image = world_image(suite, task.split, task.world_seed)
    rng = random.Random(seed)
    calls = [_route_call(op, suite, task, rng) for op in suite.service.operations.values() if not op.write]
    statements = [f"SELECT {', '.join(sorted(c))} FROM {t} LIMIT 50" for t, c in sorted(suite.readable.items())]
    calls += [_call("sql", {"query": text}) for text in ("SELECT * FROM schema", *statements)]
    titles = [document.title for document in suite.documents(image.reader.raw)][:3]
    calls += [_call("search", {"query": title, "size": 20}) for title in titles]
    return [call for call in calls if call.name in task.tools]


def writes(task: Task, suite: Suite, seed: int = 0, each: int = 4) -> list[ToolCall]:
    """Calls that write, some of them with success: every writing route, as far as the task offers it.

    Args:
        task: The task, for its world and its tools.
        suite: The task's suite.
        seed: What the arguments are drawn by.
        each: How many calls for each route.
    """
    rng = random.Random(seed)
    operations = [op for op in suite.service.operations.values() if op.write]
    calls = [_route_call(op, suite, task, rng) for op in operations for _ in range(each)]
    return [call for call in calls if call.name in task.tools]


def mixed(task: Task, suite: Suite, seed: int = 0, count: int = 24) -> list[Turn]:
    """Turns that read, write and wait in a random order, one or two calls in each.

    Args:
        task: The task, for its world and its tools.
        suite: The task's suite.
        seed: What calls and order are drawn by.
        count: How many turns.
    """
    rng = random.Random(seed)
    calls = reads(task, suite, seed) + writes(task, suite, seed) + [_call("wait", {"seconds": 2.5})]
    chosen = [rng.sample(calls, rng.choice((1, 1, 2))) for _ in range(count)]
    return [Turn(tool_calls=tuple(ToolCall(f"call_{n}", c.name, c.arguments) for n, c in enumerate(turn)))
            for turn in chosen]  # fmt: skip


def _route_call(op: Operation, suite: Suite, task: Task, rng: random.Random) -> ToolCall:
    arguments = _with_known(op, suite, world_image(suite, task.split, task.world_seed), rng)
    if "http" not in task.tools:
        return _call(op.name, arguments)
    request = endpoint_request(op, arguments)
    sent: JSON = {"method": op.method, "path": request.path}
    if request.query:
        sent["query"] = dict(request.query)
    if op.write:
        path_names = op.path_names
        sent["body"] = {name: value for name, value in arguments.items() if name not in path_names}
    return _call("http", sent)


def _with_known(op: Operation, suite: Suite, image: WorldImage, rng: random.Random) -> JSON:
    """Arguments that fit the route, with identifiers of the world."""
    declaration = op.declaration
    arguments = arguments_for(ToolSpec(op.name, "", declaration.schema), rng, {})
    arguments.pop("cursor", None)
    known = identifiers(suite, image)
    for name, part in declaration.schema.get("properties", {}).items():
        prefix = declared_prefix(part)
        if name in arguments and prefix in known:
            arguments[name] = rng.choice(known[prefix])
    return arguments


def _call(name: str, arguments: JSON) -> ToolCall:
    return ToolCall("call_0", name, arguments)


def hostile_turns(tools: Sequence[str]) -> Iterator[tuple[str, Turn]]:
    """What a confused or hostile model may send.

    Args:
        tools: The names of the tools that are offered; the first is also called many times at once.

    Yields:
        What is wrong, in words, and the turn.
    """
    for what, name in (
        ("a tool that does not exist", "delete_everything"),
        ("an empty name", ""),
        ("a name of 10 MB", "x" * 10_000_000),
        ("a name with half a surrogate pair", "sql\udc80"),
        ("a name that steers terminals", "\x1b[2Jsql"),
    ):
        yield what, Turn(tool_calls=(ToolCall("call_0", name, {"query": "SELECT 1"}),))
    payloads, texts = list(_hostile_arguments()), list(_hostile_texts())
    for tool in tools:
        for what, arguments in payloads:
            yield f"{what} for {tool}", Turn(tool_calls=(ToolCall("call_0", tool, arguments),))
        for what, raw in texts:
            yield f"{what} for {tool}", Turn(tool_calls=(ToolCall("call_0", tool, None, raw),))
    yield "50 calls in a turn", Turn(tool_calls=tuple(ToolCall(f"call_{n}", tools[0], {}) for n in range(50)))
    yield "the same id twice", Turn(tool_calls=(ToolCall("", tools[0], {}), ToolCall("", tools[0], {})))
    yield (
        "half surrogate pairs in text and thoughts",
        Turn("\ud800", (ToolCall("\ud800", tools[0], {}),), "\udfff", finish_reason="\ud800"),
    )


def hostile_endings() -> Iterator[tuple[str, Turn]]:
    """Final texts that are no answer.

    Yields:
        What is wrong, in words, and the turn.
    """
    yield "an empty turn", Turn()
    yield "an answer of 10 MB", Turn("not 5.00 EUR " * 800_000)
    yield "an answer of half a surrogate pair", Turn("\ud800")
    yield "an answer of control characters", Turn("\x00\x1b]0;x\x07\u202e")
    yield "a confidence that is no number", Turn("no", confidence=float("nan"))


def hostile_answers() -> Iterator[tuple[str, Turn]]:
    """Calls of `answer` that are well formed and no answer.

    Yields:
        What is wrong, in words, and the turn.
    """
    for what, message in (
        ("a message of 10 MB", "not 5.00 EUR " * 800_000),
        ("a message of half a surrogate pair", "\ud800"),
        ("a message of control characters", "\x00\x1b]0;x\x07\u202e"),
    ):
        yield what, Turn("", (ToolCall("call_0", ANSWER, {"outcome": "answered", "message": message}),))
    yield "two answers in a turn", Turn("", (ToolCall("", ANSWER, {"outcome": "answered"}),) * 2)


def _hostile_arguments() -> Iterator[tuple[str, dict[Any, Any]]]:
    deep: dict[str, Any] = {}
    for _ in range(10_000):
        deep = {"query": deep}
    own: dict[str, Any] = {}
    own["query"] = own
    yield "no arguments", {}
    yield "unknown arguments", {"no_such_argument": 1, "\ud800": 2}
    yield "an argument of 10 MB", {"query": "x" * 10_000_000}
    yield "50,000 arguments", dict.fromkeys(map(str, range(50_000)))
    yield "arguments 10,000 levels deep", deep
    yield "arguments that hold themselves", own
    yield "half a surrogate pair", {"query": "SELECT '\ud800'", "path": "/v1/\udfff", "method": "GET"}
    yield "a number of 5,000 digits", {"query": 10**5_000, "seconds": 10**5_000}
    yield "numbers that are none", {"seconds": float("nan"), "page": float("inf")}
    yield "a negative wait", {"seconds": -1}
    yield "names that are no text", {1: 2, None: 3}
    yield "values that are not JSON", {"query": b"SELECT 1", "path": {1, 2}}
    yield "a null byte", {"query": "SELECT '\x00'", "path": "/v1/\x00", "method": "GET"}


def _hostile_texts() -> Iterator[tuple[str, str]]:
    yield "nothing", ""
    yield "text that is not JSON", "SELECT 1"
    yield "JSON that is cut", '{"query": "SELECT'
    yield "double-encoded JSON", '"{\\"query\\": \\"SELECT 1\\"}"'
    yield "a list", '["SELECT 1"]'
    yield "null", "null"
    yield "NaN", '{"seconds": NaN}'
    yield "a number of 400 digits", f'{{"seconds": {"9" * 400}}}'
    yield "text of 10 MB", f'{{"query": "{"x" * 10_000_000}"}}'
    yield "text 10,000 levels deep", '{"query": ' + "[" * 10_000
    yield "text with half a surrogate pair", '{"query": "\ud800"}'
