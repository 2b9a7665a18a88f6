"""The expert, and the policies that a sound task must fail: they do nothing, anything, or everything."""

from __future__ import annotations

import json
import random

from faultgym.agents.scripted.script import Script, ScriptContext, Scripted, follow
from faultgym.envs.gym.sampling import arguments_for, some_text, suggestions
from faultgym.envs.judging.answers import read
from faultgym.envs.messages.turn import Turn
from faultgym.envs.reference_agent.reading import read_result
from faultgym.tools.types import ToolCall

RANDOM_TURNS = 8
SPAM_ROWS = 40
"""Rows that `spam` asks for of each table."""


def expert(confidence: float | None = None) -> Scripted:
    """The reference solution, closed loop: sees only texts. States `confidence` when that is given.

    Args:
        confidence: From 0 to 1; stated with the final answer.
    """
    options = {} if confidence is None else {"confidence": confidence}
    return Scripted("expert", lambda stage: follow(stage, confidence=confidence), options)


def null() -> Scripted:
    """Ends at once, without a word."""
    return Scripted("null", _null)


def _null(stage: ScriptContext) -> Script:
    yield from ()
    return Turn()


def rng_policy() -> Scripted:
    """Random calls that fit the tools' schemas, then a random text."""
    return Scripted("random", _random)


def _random(stage: ScriptContext) -> Script:
    rng = random.Random(stage.seed)
    known = suggestions(stage.suite)
    for n in range(rng.randrange(1, RANDOM_TURNS + 1)):
        tool = rng.choice(stage.tools)
        yield from stage.call(ToolCall(f"call_{n}", tool.name, arguments_for(tool, rng, known)), "Try this.")
    return Turn(some_text(rng, 8))


def echo() -> Scripted:
    """Repeats what it was told and the tools it was shown."""
    return Scripted("echo", _echo)


def _echo(stage: ScriptContext) -> Script:
    yield from ()
    tools = json.dumps([spec.openai() for spec in stage.tools])
    return Turn(f"{stage.heard[1]}\n{stage.heard[0]}\n{tools}")


def spam() -> Scripted:
    """Reads all it can and lists every candidate answer: words, numbers, dates, identifiers."""
    return Scripted("spam", _spam)


def _spam(stage: ScriptContext) -> Script:
    found: dict[str, None] = dict.fromkeys(stage.suite.identifiers.found(stage.heard[1]))
    for values in stage.suite.hints.choices.values():
        found.update(dict.fromkeys(values))
    if stage.spec("sql") is not None:
        for n, (table, columns) in enumerate(sorted(stage.suite.readable.items())):
            query = f"SELECT {', '.join(sorted(columns))} FROM {table} LIMIT {SPAM_ROWS}"
            text = yield from stage.call(ToolCall(f"call_{n}", "sql", {"query": query}), "Collect what is there.")
            found.update(dict.fromkeys(_values(text)))
    found.update(dict.fromkeys(map(str, range(32))))
    return Turn("It is one of these: " + ", ".join(found))


def _values(text: str) -> list[str]:
    """The short values in a result, and the numbers and dates in the long ones."""
    data = read_result(text).data
    rows = data.get("rows", []) if isinstance(data, dict) else []
    values: list[str] = []
    for row in rows:
        for name, value in row.items():
            if isinstance(value, int) and name.endswith("_cents"):
                values.append(f"{value / 100:.2f}")
            elif isinstance(value, str) and len(value) > 60:
                facts = read(value)
                values += [str(n) for n in sorted(facts.numbers)] + sorted(facts.dates)
            elif value is not None:
                values.append(str(value))
    return values
