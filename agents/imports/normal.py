"""One form for chats from anywhere: the messages of a trace's record, every call with its one result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

import orjson
from pydantic import BaseModel, ConfigDict, Field

from faultgym.agents.imports.named import NamedTask
from faultgym.agents.imports.reading import BadRecord
from faultgym.agents.traces.chat import arguments_text
from faultgym.core.json import JSON, deeper_than
from faultgym.tools.types import MAX_DEPTH, ToolSpec


class ListedFunction(BaseModel):
    """A function as logs of either form list it among the tools."""

    model_config = ConfigDict(extra="ignore")
    name: Annotated[str, Field(min_length=1)]
    description: str | None = None
    parameters: dict[str, Any] | None = None

    @property
    def spec(self) -> ToolSpec:
        """The tool; one without parameters takes none."""
        return ToolSpec(self.name, self.description or "", self.parameters or {"type": "object", "properties": {}})


@dataclass(frozen=True, slots=True)
class ImportedCall:
    """A call as an assistant asked for it."""

    id: str
    """Empty where the log has none."""
    name: str
    arguments: str
    """JSON text, as far as the log holds any."""


@dataclass(frozen=True, slots=True)
class ImportedMessage:
    """A message of a system, a user or an assistant."""

    role: str
    text: str
    reasoning: str = ""
    calls: tuple[ImportedCall, ...] = ()


@dataclass(frozen=True, slots=True)
class ImportedResult:
    """The result of one call."""

    call_id: str
    """Empty where the log has none: then the name tells, or the order."""
    name: str
    text: str


Part = ImportedMessage | ImportedResult


@dataclass(frozen=True, slots=True)
class Conversation:
    """One chat of a log, in our form."""

    messages: tuple[JSON, ...]
    """As in a trace's record."""
    tools: tuple[ToolSpec, ...] = ()
    """What was offered; empty where the log does not say."""
    model: str = ""
    name: str = ""
    """Its id in the log, where it has one."""
    task: NamedTask | None = None
    """The task of faultgym that it names."""


def arguments_object(text: str) -> tuple[JSON, str | None]:
    """Arguments for a log that holds them as an object, and their text where the object does not give it back.

    Args:
        text: The arguments as a model wrote them, which may be no JSON at all.

    Returns:
        (the object, empty where there is none; the text, None where `arguments_text` gives it back)

    Example:
        >>> arguments_object('{"order":7}'), arguments_object('{"order": 7}'), arguments_object("7")
        (({'order': 7}, None), ({'order': 7}, '{"order": 7}'), ({}, '7'))
    """
    try:
        value = orjson.loads(text)
    except ValueError:
        return {}, text
    if not isinstance(value, dict) or deeper_than(value, MAX_DEPTH):
        return {}, text
    return value, None if arguments_text(value) == text else text


def chat_of(parts: Sequence[Part]) -> tuple[JSON, ...]:
    """The parts as messages: results in the order of their calls, and ids where there were none.

    Only the last turn may lack results: a log can end before they came.

    Args:
        parts: Messages and results, in the order of the log.

    Raises:
        BadRecord: A result belongs to no call, a call has no result, or there is no turn; the error names the message.
    """
    messages: list[JSON] = []
    turn = _Turn()
    asked = 0
    for number, part in enumerate(parts):
        if isinstance(part, ImportedResult):
            turn.answer(part, number)
            continue
        messages += turn.results(whole=True)
        turn = _Turn(number, _with_ids(part.calls, asked, number))
        asked += len(part.calls)
        messages.append(_message(part, turn.calls))
    messages += turn.results(whole=False)
    if not any(message["role"] == "assistant" for message in messages):
        raise BadRecord("messages: there is no turn of an assistant")
    return tuple(messages)


def _with_ids(calls: Sequence[ImportedCall], before: int, number: int) -> tuple[ImportedCall, ...]:
    named = tuple(
        call if call.id else ImportedCall(f"call_{before + n}", call.name, call.arguments)
        for n, call in enumerate(calls)
    )
    ids = [call.id for call in named]
    if len(set(ids)) < len(ids):
        twice = next(i for i in ids if ids.count(i) > 1)
        raise BadRecord(f"messages.{number}: two calls have the id {twice!r:.60}")
    return named


def _message(part: ImportedMessage, calls: Sequence[ImportedCall]) -> JSON:
    message: JSON = {"role": part.role, "content": part.text}
    if part.role == "assistant" and part.reasoning:
        message["reasoning_content"] = part.reasoning
    if calls:
        message["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in calls
        ]
    return message


@dataclass(slots=True)
class _Turn:
    """The calls of one message, and the results so far."""

    number: int = 0
    calls: tuple[ImportedCall, ...] = ()
    given: dict[str, str] = field(default_factory=dict)

    def answer(self, part: ImportedResult, number: int) -> None:
        """Take a result."""
        call = next((call for call in self.calls if call.id not in self.given and _fits(part, call)), None)
        if call is None:
            what = part.call_id or part.name or "without an id"
            raise BadRecord(f"messages.{number}: the result {what!r:.60} belongs to no call of the turn before it")
        self.given[call.id] = part.text

    def results(self, *, whole: bool) -> list[JSON]:
        """The results as messages; only the log's end may lack some, and then they end at the first gap."""
        messages: list[JSON] = []
        for call in self.calls:
            if call.id not in self.given:
                if whole:
                    raise BadRecord(f"messages.{self.number}: the call {call.id!r:.60} has no result")
                break
            content = self.given[call.id]
            messages.append({"role": "tool", "tool_call_id": call.id, "name": call.name, "content": content})
        return messages


def _fits(part: ImportedResult, call: ImportedCall) -> bool:
    if part.call_id:
        return part.call_id == call.id
    return part.name in ("", call.name)
