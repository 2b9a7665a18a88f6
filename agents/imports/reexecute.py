"""Playing an imported chat against the environment that it names: the proof that it happened so, or where not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
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
from faultgym.envs.judging.answering import ANSWER, REMINDER
from faultgym.envs.judging.form import Answers
from faultgym.envs.limits import Limits
from faultgym.envs.messages.turn import Message, Turn
from faultgym.envs.reference.schedule import check_faults, schedule_for
from faultgym.envs.registry import suite_named, task_by_id
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
    episode like any other, and its trace says that the policy was `imported`. A chat whose last turn calls `answer`
    has a typed answer, whatever the log says of results after it; any other ends with a text, unless its log says
    otherwise.

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
    asked = next((message["content"] for message in chat.messages if message["role"] == "user"), "")
    task = suite_named(task.suite).as_worded(task, asked)
    turns = _turns(chat.messages)
    answers = named.answers or _answers(task, turns)
    spec, schedule = _planned(named, task, answers)
    limits = named.limits
    if answers == "typed":  # a log from elsewhere may show reminders and say nothing of a limit
        limits = replace(limits, reminders=max(limits.reminders, sum(turn.reminded for turn in turns)))
    try:
        episode = Episode(task, schedule, answers=answers, reminders=limits.reminders)
    except Exception as error:  # a schedule is input: a kind may be unknown, a parameter of the wrong type
        raise _Otherwise(f"schedule: {error}") from None
    try:
        _compare_opening(chat, episode)
        _play(turns, limits, episode)
        policy: JSON = {"name": "imported", "format": chat.source.format, "model": chat.model}
        return Trace.from_episode(episode, spec, policy, limits)
    finally:
        episode.close()


def _answers(task: Task, turns: Sequence[_LoggedTurn]) -> Answers:
    """How a chat ends whose log does not say: by the call of its last turn."""
    own = ANSWER in task.tools  # a tool of the task's that is only called so
    return "typed" if not own and any(call.name == ANSWER for call in turns[-1].turn.tool_calls) else "text"


def _planned(named: NamedTask, task: Task, answers: Answers) -> tuple[EpisodeSpec, FaultSchedule]:
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
    return EpisodeSpec(task.id, faults, named.fault_seed, named.policy_seed, named.trial, answers), schedule


def _compare_opening(chat: ImportedChat, episode: Episode) -> None:
    start = next(number for number, message in enumerate(chat.messages) if message["role"] == "assistant")
    expected = [message.openai() for message in episode.opening.messages]
    _compare("messages", repr([_plain(m) for m in chat.messages[:start]]), repr([_plain(m) for m in expected]))
    if chat.tools:
        _compare("tools", repr(chat.tools), repr(episode.tools))


def _play(turns: Sequence[_LoggedTurn], limits: Limits, episode: Episode) -> None:
    for number, logged in enumerate(turns):
        where = f"step {number}"
        if episode.stop:
            raise _Otherwise(f"{where}: the episode is over ({episode.stop}), but the log goes on")
        _step(episode, logged.turn, where)
        records = episode.turns[-1].calls
        # What came of the answer itself many logs do not hold: nobody was there any more to read it.
        if len(logged.results) < len(records) and episode.answer is None:
            raise _Otherwise(f"{where}: the log ends before the results of its calls")
        for call, (said, record) in enumerate(zip(logged.results, records, strict=False)):
            _compare(f"{where}, call {call}, content", said, storable(record.result.content))
        if not (logged.turn.tool_calls or episode.stop or logged.reminded) and number + 1 < len(turns):
            raise _Otherwise(f"{where}: the environment asks for the call of {ANSWER}, but the log does not")
        reason = "" if episode.stop else limits.reached(episode)
        if reason:
            episode.finish(reason)
    if not episode.stop:
        raise _Otherwise("stop: the log ends here, but the episode goes on")


def _step(episode: Episode, turn: Turn, where: str) -> None:
    try:
        episode.step(turn)
    except Exception as error:  # as in a replay: what the log made of the schedule is not ours
        raise _Otherwise(f"{where}: {type(error).__name__}: {error}") from None


@dataclass(frozen=True, slots=True)
class _LoggedTurn:
    """A turn, and what the log says came of it."""

    turn: Turn
    results: tuple[str, ...]
    """Of its calls, in their order; the last turn's may be lacking."""
    reminded: bool
    """Whether the log goes on with the request to call `answer`."""


def _turns(messages: Sequence[JSON]) -> list[_LoggedTurn]:
    """The turns of a chat. Raises _Otherwise where somebody else speaks in between."""
    starts = [number for number, message in enumerate(messages) if message["role"] == "assistant"]
    turns = []
    for start, end in pairwise([*starts, len(messages)]):
        after = [_plain(message) for message in messages[start + 1 : end]]
        reminded = after == [Message("user", REMINDER).openai()] and not messages[start].get("tool_calls")
        other = next((m["role"] for m in after if m["role"] != "tool"), "")
        if other and not reminded:
            raise _Otherwise(f"messages.{start + 1}: a message of the {other} stands after the first turn")
        results = () if reminded else tuple(message["content"] for message in after)
        turns.append(_LoggedTurn(_turn(messages[start]), results, reminded))
    return turns


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
