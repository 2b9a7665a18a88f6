"""Trajectories in ATIF, the Agent Trajectory Interchange Format of Harbor.

A trajectory is a list of steps, each of the system, a user or the agent; a step of the agent holds its calls and what
came of them. Trajectories of subagents stand inside their parent's and are chats of their own.

Source: Harbor's RFC 0001 and the models of `harbor` 0.26.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from faultgym.agents.imports.dialect import Dialect, Mark, each_value
from faultgym.agents.imports.named import named_task
from faultgym.agents.imports.normal import (
    Conversation,
    ImportedCall,
    ImportedMessage,
    ImportedResult,
    ListedFunction,
    Part,
    chat_of,
)
from faultgym.agents.imports.reading import BadRecord, explained
from faultgym.agents.traces.chat import arguments_text

_MARK = "ATIF-"
_READ = "ATIF-v1."
"""Versions of this kind only add fields to those before."""
_MAX_SUBAGENTS = 1_000


class _In(BaseModel):
    model_config = ConfigDict(extra="ignore")


class _Piece(_In):
    type: str
    text: str | None = None


_Content = str | Annotated[list[_Piece], Field(fail_fast=True)]


class _Call(_In):
    tool_call_id: str
    function_name: Annotated[str, Field(min_length=1)]
    arguments: dict[str, Any]
    extra: dict[str, Any] | None = None


class _Result(_In):
    source_call_id: str | None = None
    content: _Content | None = None


class _Observation(_In):
    results: Annotated[list[_Result], Field(fail_fast=True)]


class _Step(_In):
    source: Literal["system", "user", "agent"]
    message: _Content
    reasoning_content: str | None = None
    tool_calls: Annotated[list[_Call], Field(fail_fast=True)] | None = None
    observation: _Observation | None = None


class _Tool(_In):
    function: ListedFunction


class _Agent(_In):
    name: str
    model_name: str | None = None
    tool_definitions: Annotated[list[_Tool | ListedFunction], Field(fail_fast=True)] | None = None


class _Trajectory(_In):
    trajectory_id: str | None = None
    session_id: str | None = None
    agent: _Agent
    steps: Annotated[list[_Step], Field(min_length=1, fail_fast=True)]
    extra: dict[str, Any] | None = None


def atif_conversations(value: Any) -> Iterator[Conversation | BadRecord]:
    """The chats of a trajectory: its own, then those of its subagents. Never raises for what a file can hold.

    Args:
        value: JSON values.

    Yields:
        A `Conversation`, or the reason why there is none.

    Example:
        >>> asked = {"step_id": 1, "source": "user", "message": "Hi"}
        >>> said = {"step_id": 2, "source": "agent", "message": "Hello"}
        >>> run = {"schema_version": "ATIF-v1.8", "agent": {"name": "a", "version": "1"}, "steps": [asked, said]}
        >>> next(atif_conversations(run)).messages[1]
        {'role': 'assistant', 'content': 'Hello'}
    """
    waiting = [value]
    for number, each in enumerate(waiting):
        try:
            yield _conversation(each)
        except BadRecord as error:
            yield BadRecord(f"a subagent's trajectory: {error}") if number else error
        inside = each.get("subagent_trajectories") if isinstance(each, dict) else None
        if isinstance(inside, list):
            waiting += inside[: _MAX_SUBAGENTS - len(waiting)]


def _conversation(value: Any) -> Conversation:
    seen = value.get("schema_version") if isinstance(value, dict) else type(value).__name__
    if not (isinstance(seen, str) and seen.startswith(_READ)):
        raise BadRecord(f"schema_version: {seen!r:.60} is not read; {_READ}0 to {_READ}8 are")
    try:
        run = _Trajectory.model_validate(value)
    except ValidationError as error:
        raise explained(error) from None
    return Conversation(
        chat_of(list(_parts(run.steps))),
        tuple(
            tool.function.spec if isinstance(tool, _Tool) else tool.spec for tool in run.agent.tool_definitions or []
        ),
        run.agent.model_name or run.agent.name,
        run.trajectory_id or run.session_id or "",
        named_task(run.extra),
    )


def _parts(steps: Sequence[_Step]) -> Iterator[Part]:
    for number, step in enumerate(steps):
        where = f"steps.{number}"
        text = _text(step.message, f"{where}.message")
        results = step.observation.results if step.observation else []
        shown = [
            (result.source_call_id, _text(result.content, f"{where}.observation.results.{n}.content"))
            for n, result in enumerate(results)
        ]
        if step.source != "agent":
            yield ImportedMessage(step.source, text)
        else:
            yield ImportedMessage("assistant", text, step.reasoning_content or "", tuple(_calls(step)))
        if step.source == "agent" and step.tool_calls:
            yield from _results(step.tool_calls, shown, number, last=number + 1 == len(steps))
        else:  # the agent acted by its text, or something happened: a chat shows that as a user's message
            yield from (ImportedMessage("user", content) for _, content in shown if content)


def _text(content: _Content | None, where: str) -> str:
    if content is None or isinstance(content, str):
        return content or ""
    for number, piece in enumerate(content):
        if piece.type != "text":
            raise BadRecord(f"{where}.{number}: only text is read, not {piece.type!r:.60}")
    return "".join(piece.text or "" for piece in content)


def _calls(step: _Step) -> Iterator[ImportedCall]:
    for call in step.tool_calls or []:
        about = (call.extra or {}).get("faultgym")
        written = about.get("arguments") if isinstance(about, dict) else None
        text = written if isinstance(written, str) else arguments_text(call.arguments)
        yield ImportedCall(call.tool_call_id, call.function_name, text)


def _results(
    calls: Sequence[_Call], shown: Sequence[tuple[str | None, str]], number: int, *, last: bool
) -> Iterator[ImportedResult]:
    """The results of a step's calls.

    Those that name no call are given to the calls that none names, in their order; fewer results than such calls stand
    for all of them, as the one screen that an agent's commands share, and go to the last. A call of which a step shows
    nothing has an empty result, but in the last step, which may have ended before it came.
    """
    ids = [call.tool_call_id for call in calls]
    found = {call_id: text for call_id, text in shown if call_id}
    unknown = next((call_id for call_id in found if call_id not in ids), None)
    if unknown is not None:
        raise BadRecord(f"steps.{number}.observation: the result {unknown!r:.60} belongs to no call of its step")
    left = [call_id for call_id in ids if call_id not in found]
    unnamed = [text for call_id, text in shown if not call_id]
    if unnamed and not left:
        raise BadRecord(f"steps.{number}.observation: more results than calls")
    if len(unnamed) == len(left):
        found |= dict(zip(left, unnamed, strict=True))
    elif unnamed:
        found |= dict.fromkeys(left, "") | {left[-1]: "\n".join(unnamed)}
    if not last:
        found = dict.fromkeys(ids, "") | found
    for call in calls:
        if call.tool_call_id in found:
            yield ImportedResult(call.tool_call_id, call.function_name, found[call.tool_call_id])


def _mark(value: Any) -> Mark | None:
    version = value.get("schema_version") if isinstance(value, dict) else None
    return Mark(f"schema_version {version}") if isinstance(version, str) and version.startswith(_MARK) else None


DIALECT = Dialect("Harbor's trajectories, ATIF v1.0 to v1.8", _mark, each_value(atif_conversations))
