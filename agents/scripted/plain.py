"""The expert, and the policies that a sound task must fail: they do nothing, anything, or everything.

Where the answer is typed, they claim to have answered, by a call like any other agent.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Sequence
from typing import Any

from faultgym.agents.scripted.guesses import fits
from faultgym.agents.scripted.script import Script, ScriptContext, Scripted, follow
from faultgym.envs.gym.sampling import arguments_for, some_text, suggestions
from faultgym.envs.judging.answering import ANSWER
from faultgym.envs.judging.answers import read
from faultgym.envs.judging.form import MAX_VALUES, Outcome
from faultgym.envs.reference_agent.client import ReferenceAnswer
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
    return stage.closing(ReferenceAnswer(""))


def rng_policy() -> Scripted:
    """Random calls that fit the tools' schemas, then a random text: of an answer's values, one in five may be right."""
    return Scripted("random", _random)


def _random(stage: ScriptContext) -> Script:
    rng = random.Random(stage.seed)
    claims: Sequence[Outcome] = ("done", "answered")
    known = suggestions(stage.suite)
    for n in range(rng.randrange(1, RANDOM_TURNS + 1)):
        tool = rng.choice([spec for spec in stage.tools if spec.name != ANSWER])
        yield from stage.call(ToolCall(f"call_{n}", tool.name, arguments_for(tool, rng, known)), "Try this.")
    return stage.closing(ReferenceAnswer(some_text(rng, 8), rng.choice(claims)))


def echo() -> Scripted:
    """Repeats what it was told and the tools it was shown, as values what the instruction names."""
    return Scripted("echo", _echo)


def _echo(stage: ScriptContext) -> Script:
    yield from ()
    tools = json.dumps([spec.openai() for spec in stage.tools])
    text = f"{stage.heard[1]}\n{stage.heard[0]}\n{tools}"
    return stage.closing(ReferenceAnswer(text, "answered", _first(stage, _values_of(stage, stage.task.instruction))))


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
    text = "It is one of these: " + ", ".join(found)
    return stage.closing(ReferenceAnswer(text, "answered", _all(stage, found)))


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


def _values_of(stage: ScriptContext, text: str) -> list[str]:
    """The identifiers, dates, amounts and numbers of a text; a status among those listed may be right by luck."""
    facts = read(text)
    amounts = [f"{cents / 100:.2f}" for cents in sorted(facts.cents)]
    numbers = [str(number) for number in sorted(facts.numbers)]
    return [*stage.suite.identifiers.found(text), *sorted(facts.dates), *amounts, *numbers]


def _first(stage: ScriptContext, values: Iterable[str]) -> dict[str, Any]:
    """For each field of the answer the first of the values that it takes, where one does."""
    firsts = ((field, next((v for v in values if fits(field, v)), None)) for field in stage.task.answer)
    return {field.name: [value] if field.many else value for field, value in firsts if value is not None}


def _all(stage: ScriptContext, values: Iterable[str]) -> dict[str, Any]:
    """For each field of the answer all values that it takes, as many as it takes."""
    found = {field.name: [v for v in values if fits(field, v)][:MAX_VALUES] for field in stage.task.answer}
    return {name: values for name, values in found.items() if values}
