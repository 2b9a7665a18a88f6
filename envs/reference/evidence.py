"""Whether an agent could know what it answered: by what it saw, held against rival worlds.

An answer was guessed if there is a rival world, in which another answer is right, where every call of the agent
would have come to the same result under the same faults. A value that the agent only wrote itself, a search for
something else, a call that failed or was refused, and a part of a list all show nothing of the difference; a sum
that SQL worked out shows it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import orjson

from faultgym.envs.judging.answering import ANSWER
from faultgym.envs.judging.goal import looked_up
from faultgym.envs.reference.rivals import CleanPlay, clean_play, in_world, rivals
from faultgym.envs.reference_agent.reading import read_result
from faultgym.envs.simulation import StepRecord, calls_in
from faultgym.envs.suite import Suite
from faultgym.envs.task import Task
from faultgym.envs.worlds.world import WorldImage, world_image
from faultgym.tools.faults.layer import FaultLayer, FaultSchedule
from faultgym.tools.faults.registry import kind_at
from faultgym.tools.faults.types import Contract
from faultgym.tools.toolbox import CallRecord
from faultgym.tools.types import ToolCall

GUESSED = "the answer was guessed: had the right one been another, nothing that was seen would have been different"
_NEVER_DONE = frozenset({"not_with_answer", "too_many_calls"})
"""Codes of calls that reached no tool."""
_TELLTALE = ("etag:", "content-length:", "age:")
"""Headers that are different for other contents without showing any of it."""


def could_know(suite: Suite, task: Task, schedule: FaultSchedule, steps: Sequence[StepRecord]) -> bool:
    """Whether what an agent saw could have told it the right answer.

    Args:
        suite: The task's suite.
        task: The task; one that needs no tool is answered from its text.
        schedule: The faults of the episode.
        steps: The turns of the episode, in the world that the task begins with.
    """
    if not task.needs_tools:
        return True
    records = calls_in(steps)
    base = clean_play(suite, task)
    if base.read and base.read <= {record.result.content for record in records}:  # all that the reference went by
        return True
    found = rivals(suite, task)
    if not found:
        return looked_up(task.goal, records) if task.goal.kind == "abstain" else _was_shown(task, base, records)
    image = world_image(suite, task.split, task.world_seed)
    seen = list(_shown(suite, task, image, schedule, steps))
    lies = any(kind_at(fault.kind, fault.revision).contract_of(fault) == Contract.VERIFY for fault in schedule)
    true = list(_shown(suite, task, image, (), steps)) if lies else seen
    for statements in found:
        rival = image.altered(statements)
        there = _shown(suite, task, rival, schedule, steps)
        known = any(_tells(*results) for results in zip(seen, there, true, strict=True))
        rival.reader.close()
        if not known:
            return False
    return True


def _was_shown(task: Task, base: CleanPlay, records: Sequence[CallRecord]) -> bool:
    """Where no world has another answer, such as the text of a route: whether a result gave it.

    Args:
        task: The task.
        base: What the reference read.
        records: The agent's calls.
    """
    told = [record for record in records if record.call.name != ANSWER and record.result.code == "ok"]
    if not base.read or not base.read.isdisjoint(record.result.content for record in told):
        return True
    return bool(task.goal.expected) and all(
        # what the agent wrote itself comes back without telling it anything
        any(_names(record.result.content, fact.text) and not _names(repr(record.call.arguments), fact.text)
            for record in told)
        for fact in task.goal.expected
    )  # fmt: skip


def _names(text: str, fact: str) -> bool:
    """Whether a text has a fact by itself, and not within a longer word or number."""
    return re.search(rf"(?<![\w.]){re.escape(fact)}(?!\w|\.\d)", text) is not None


def _tells(seen: str, there: str, true: str) -> bool:
    """Whether a result is different in the rival world, and not only in what a fault made untrue.

    Args:
        seen: The result.
        there: The result in the rival world, under the same faults.
        true: The result without faults.
    """
    if seen in (there, true):
        return seen != there
    shown, other, real = ({*_leaves(read_result(text).data)} for text in (seen, there, true))
    if {place for place, _ in shown} != {place for place, _ in real}:  # of another shape: nothing can be compared
        return True
    return bool((shown & real) - other)


def _leaves(value: Any, place: str = "") -> Iterator[tuple[str, str]]:
    """The single values of a JSON document, each with its place."""
    if isinstance(value, dict):
        for name, item in value.items():
            yield from _leaves(item, f"{place}/{name}")
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from _leaves(item, f"{place}/{number}")
    else:
        yield place, repr(value)


def _shown(
    suite: Suite, task: Task, image: WorldImage, schedule: FaultSchedule, steps: Sequence[StepRecord]
) -> Iterator[str]:
    """What the calls of an episode come to in a world, each as far as it shows contents."""
    simulation = in_world(suite, task, image, FaultLayer(schedule))
    for number, step in enumerate(steps):
        simulation.layer.step = number
        for record in step.calls:
            if record.call.name == ANSWER or record.result.code in _NEVER_DONE:
                continue
            content = simulation.toolbox.call(_whole(record.call)).result.content
            simulation.world.clock.now = max(simulation.world.clock.now, record.at)
            yield _contents(content)
    simulation.close()


def _whole(call: ToolCall) -> ToolCall:
    """The call with its body as an object: a client that is no tool of ours has sent it as text."""
    body = call.arguments.get("body") if call.name == "http" and call.arguments else None
    if not isinstance(body, str):
        return call
    try:
        sent = orjson.loads(body)
    except orjson.JSONDecodeError:
        return call
    return replace(call, arguments={**(call.arguments or {}), "body": sent})


def _contents(text: str) -> str:
    if not text.startswith("HTTP "):
        return text
    head, gap, body = text.partition("\n\n")
    return "\n".join(line for line in head.split("\n") if not line.startswith(_TELLTALE)) + gap + body
