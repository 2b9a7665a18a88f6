"""Playing an imported chat against the environment that it names: the proof that it happened so, or where not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from faultgym.agents.imports.imported import ImportedChat
from faultgym.agents.imports.named import NamedTask
from faultgym.agents.traces.replay import near
from faultgym.agents.traces.spec import EpisodeSpec, faults_of
from faultgym.agents.traces.trace import Trace
from faultgym.core.errors import PlanError, TaskError
from faultgym.core.json import JSON
from faultgym.core.text import storable
from faultgym.envs.episode import Episode
from faultgym.envs.messages.turn import Turn
from faultgym.envs.reference.schedule import check_faults, schedule_for
from faultgym.envs.registry import task_by_id
from faultgym.envs.task import Task
from faultgym.tools.faults.layer import FaultSchedule
from faultgym.tools.types import ToolCall

EXPLICIT = "explicit"
"""What a trace says of its faults when the log holds a schedule and not where it came from."""


@dataclass(frozen=True, slots=True)
class Reexecuted:
    """What came of a re-execution: a trace, or the first difference."""

    trace: Trace | None
    difference: str = ""
    """One line for people."""


class _Otherwise(Exception):
    """Something came out otherwise than the log says."""


def reexecute(chat: ImportedChat) -> Reexecuted:
    """Play the chat's turns in a fresh world of the task that the chat names. Never raises for what a log can hold.

    The opening, the tools where the log lists them, every result and the end must be the same. Then the chat is an
    episode like any other, and its trace says that the policy was `imported`.

    Returns:
        The trace, or the first thing that came out otherwise.
    """
    if chat.task is None:
        return Reexecuted(None, "it names no task of faultgym")
    try:
        return Reexecuted(_trace(chat, chat.task))
    except _Otherwise as found:
        return Reexecuted(None, str(found))


def _trace(chat: ImportedChat, named: NamedTask) -> Trace:
    try:
        task = task_by_id(named.task)
    except TaskError as error:
        raise _Otherwise(f"task: {error}") from None
    spec, schedule = _planned(named, task)
    try:
        episode = Episode(task, schedule)
    except Exception as error:  # a schedule is input: a kind may be unknown, a parameter of the wrong type
        raise _Otherwise(f"schedule: {error}") from None
    try:
        _play(chat, named, episode)
        policy: JSON = {"name": "imported", "format": chat.source.format, "model": chat.model}
        return Trace.from_episode(episode, spec, policy, named.limits)
    finally:
        episode.close()


def _planned(named: NamedTask, task: Task) -> tuple[EpisodeSpec, FaultSchedule]:
    """The episode and its schedule. A log that gives both a plan and a schedule must not contradict itself."""
    try:
        faults = check_faults(faults_of("clean" if named.faults is None else named.faults))
        planned = schedule_for(task, faults, named.fault_seed)
    except PlanError as error:
        raise _Otherwise(f"faults: {error}") from None
    schedule = planned if named.schedule is None else named.schedule
    if schedule != planned:
        if named.faults is not None:
            raise _Otherwise("schedule: it is not the one that its faults and fault_seed give")
        faults = EXPLICIT
    return EpisodeSpec(task.id, faults, named.fault_seed, named.policy_seed, named.trial), schedule


def _play(chat: ImportedChat, named: NamedTask, episode: Episode) -> None:
    opening, turns = _split(chat.messages)
    expected = [message.openai() for message in episode.opening.messages]
    _compare("messages", repr(opening), repr([_plain(message) for message in expected]))
    if chat.tools:
        _compare("tools", repr(chat.tools), repr(episode.tools))
    for number, (turn, results) in enumerate(turns):
        where = f"step {number}"
        if episode.stop:
            raise _Otherwise(f"{where}: the episode is over ({episode.stop}), but the log goes on")
        if len(results) < len(turn.tool_calls):
            raise _Otherwise(f"{where}: the log ends before the results of its calls")
        _step(episode, turn, where)
        for call, (said, record) in enumerate(zip(results, episode.turns[-1].calls, strict=True)):
            _compare(f"{where}, call {call}, content", said, storable(record.result.content))
        reason = "" if episode.stop else named.limits.reached(episode)
        if reason:
            episode.finish(reason)
    if not episode.stop:
        raise _Otherwise("stop: the log ends here, but the episode goes on")


def _step(episode: Episode, turn: Turn, where: str) -> None:
    try:
        episode.step(turn)
    except Exception as error:  # as in a replay: what the log made of the schedule is not ours
        raise _Otherwise(f"{where}: {type(error).__name__}: {error}") from None


def _split(messages: Sequence[JSON]) -> tuple[list[JSON], list[tuple[Turn, list[str]]]]:
    """(opening, turns with the results of their calls). Raises _Otherwise where a user speaks in between."""
    starts = [number for number, message in enumerate(messages) if message["role"] == "assistant"]
    turns = []
    for start, end in pairwise([*starts, len(messages)]):
        results = messages[start + 1 : end]
        other = next((m["role"] for m in results if m["role"] != "tool"), "")
        if other:
            raise _Otherwise(f"messages.{start + 1}: a message of the {other} stands after the first turn")
        turns.append((_turn(messages[start]), [message["content"] for message in results]))
    return [_plain(message) for message in messages[: starts[0]]], turns


def _plain(message: JSON) -> JSON:
    return {"role": message["role"], "content": message["content"]}


def _turn(message: JSON) -> Turn:
    calls = tuple(_calls(message.get("tool_calls", [])))
    reasoning = message.get("reasoning_content", "")
    return Turn(message["content"], calls, reasoning, finish_reason="tool_calls" if calls else "stop")


def _calls(asked: Sequence[JSON]) -> Iterator[ToolCall]:
    for call in asked:
        yield ToolCall(call["id"], call["function"]["name"], None, call["function"]["arguments"])


def _compare(what: str, said: Any, got: Any) -> None:
    if said != got:
        shown = near(said, got)
        raise _Otherwise(f"{what}: the log says {shown[0]}, the environment gives {shown[1]}")
