"""The proof that no solution is shorter: all sequences of a number of calls, with what an agent can know at each.

Reading is made stronger here than it is: one call shows everything that the database holds, which no statement, route
or search exceeds, and one writing statement makes every wanted change of the tables that SQL may write and shows
everything too. The API's writes are really made, with every combination of the values that the agent knows: those of
the instruction, those of the replies so far and, once it has read everything, all that stand in the wanted changes. A
write that makes a change that is not wanted ends its branch: the verdict fails it, also where it is undone.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

from faultgym.core.json import JSON
from faultgym.envs.judging.goal import Goal, compare
from faultgym.envs.messages.turn import Turn
from faultgym.envs.registry import suite_named
from faultgym.envs.simulation import Simulation
from faultgym.envs.task import Task
from faultgym.envs.worlds.changes import Change, changes
from faultgym.tools.channels.http.service import Operation
from faultgym.tools.types import ToolCall

EVERYTHING = "everything"
"""The call that shows all that there is, in the name of every way to read."""
STATEMENT = "statement"
"""The call that writes all that SQL may write, in the name of every writing statement."""


@dataclass(frozen=True)
class _State:
    """Where a sequence of calls has led."""

    simulation: Simulation
    said: str
    """The instruction and the replies."""
    calls: tuple[str, ...] = ()
    read: bool = False
    written: bool = False


def solution(task: Task, most: int) -> tuple[str, ...] | None:
    """The shortest sequence of at most `most` calls that does the task, by the names of the calls; None without one.

    Args:
        task: The task, with typed tools.
        most: How many calls there may be.
    """
    states = [_State(Simulation(suite_named(task.suite), task), task.instruction)]
    for left in range(most, -1, -1):
        for state in states:
            if _done(task, state):
                return state.calls
        after = (step for state in states for step in _steps(task, state)) if left else ()
        states = list({_merged(step): step for step in after}.values())
    return None


def _merged(state: _State) -> Any:
    """What decides how a sequence can go on: two that have read everything and made the same changes are one."""
    return frozenset(_made(state)), state.read, state.written, "" if state.read else state.said


def _done(task: Task, state: _State) -> bool:
    goal = task.goal
    if goal.kind != "answer":
        return bool(state.calls)  # looked, or met what stands in the way
    made = changes(state.simulation.world)
    facts = state.read or all(atom.found_in(state.said) for atom in goal.expected)
    return facts and not any(compare(_by_api(task, state), made))


def _by_api(task: Task, state: _State) -> Goal:
    """The goal without what a statement has written."""
    writable = suite_named(task.suite).writable
    left = tuple(c for c in task.goal.changes if not (state.written and c.table in writable))
    return replace(task.goal, changes=left)


def _steps(task: Task, state: _State) -> Iterator[_State]:
    suite = suite_named(task.suite)
    if not state.read:
        yield replace(state, calls=(*state.calls, EVERYTHING), read=True)
    if task.sql_writes and not state.written and not any(c.table in suite.writable for c in _made(state)):
        yield replace(state, calls=(*state.calls, STATEMENT), read=True, written=True)
    before = set(_made(state))
    for op in suite.service.operations.values():
        if not op.write or op.name == "issue_token":
            continue
        for arguments in _arguments(op, *_known(task, state)):
            twin = state.simulation.fork()
            reply = twin.step(Turn(tool_calls=(ToolCall("c", op.name, arguments),))).messages[0].content
            after = _State(twin, f"{state.said}\n{reply}", (*state.calls, op.name), state.read, state.written)
            if set(_made(after)) != before and not _spoilt(_by_api(task, state), _made(after)):
                yield after
            else:
                twin.close()


def _spoilt(goal: Goal, made: tuple[Change, ...]) -> bool:
    """Whether something was done that is not wanted; a value that is to be replaced again is not."""
    _, extra, duplicate = compare(goal, made)
    wanted = {(c.table, c.key, name) for c in goal.changes if c.op == "update" for name, _ in c.values}
    passing = (c.op == "update" and all((c.table, c.key, name) in wanted for name, _ in c.values) for c in extra)
    return bool(duplicate) or not all(passing)


def _made(state: _State) -> tuple[Change, ...]:
    return changes(state.simulation.world)


def _known(task: Task, state: _State) -> tuple[list[str], list[str]]:
    """What can be sent: whole texts, and words."""
    texts = [str(value) for value in task.params.values()]
    if state.read:  # of all that there is, only what stands in the wanted changes can make them
        texts += [str(v) for c in task.goal.changes for v in (c.key, *(value for _, value in c.values))]
        said = task.instruction
    else:
        texts += [leaf for block in re.findall(r"\{.*\}", state.said) for leaf in _leaves(json.loads(block))]
        said = state.said
    words = [word for text in (said, *texts) for word in re.findall(r"[\w.-]+", text)]
    return list(dict.fromkeys(texts)), list(dict.fromkeys(words))


def _leaves(value: Any) -> Iterator[str]:
    if isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _leaves(part)
    elif value is not None:
        yield str(value)


def _arguments(op: Operation, texts: list[str], words: list[str]) -> Iterator[JSON]:
    """Every combination of known values that the schema allows."""
    properties = op.declaration.schema["properties"]
    choices = [list(_values(properties[name], texts, words)) for name in op.declaration.required]
    for values in product(*(dict.fromkeys(found) for found in choices)):
        yield dict(zip(op.declaration.required, values, strict=True))


def _values(schema: JSON, texts: list[str], words: list[str]) -> Iterator[str | int]:
    if schema["type"] == "integer":
        yield from (int(word) for word in words if re.fullmatch(r"\d{1,8}", word))
        amounts = (re.fullmatch(r"(\d{1,6})\.(\d\d)", word) for word in words)
        yield from (int(amount[1] + amount[2]) for amount in amounts if amount)
    elif "enum" in schema:
        yield from (word for word in words if word in schema["enum"])
    elif "pattern" in schema:
        yield from (word for word in words if re.fullmatch(schema["pattern"], word) and not word.isdigit())
    else:
        yield from (t for t in texts if schema.get("minLength", 1) <= len(t) <= schema.get("maxLength", 200))
