"""Chats from OpenTelemetry's spans of generative AI: production logs.

A chat is put together from the spans of its model calls: each holds what went in (`gen_ai.input.messages`) and
what came out (`gen_ai.output.messages`), and a call whose input begins with an earlier chat goes on with it.
Spans of tools (`execute_tool`) give the results that no later model call shows.

Source: OpenTelemetry's semantic conventions for generative AI since 1.37. The events for single messages of
the conventions before that are not read.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Annotated, Any

import orjson
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from faultgym.agents.imports.dialect import Dialect, FoundChat, Mark
from faultgym.agents.imports.dialects.otlp import Record, is_otlp, records
from faultgym.agents.imports.named import PREFIX, named_task
from faultgym.agents.imports.normal import (
    Conversation,
    ImportedCall,
    ImportedMessage,
    ImportedResult,
    ListedFunction,
    Part,
    chat_of,
)
from faultgym.agents.imports.reading import BadRecord, LogValue, explained, loads
from faultgym.agents.traces.chat import arguments_text
from faultgym.core.json import JSON
from faultgym.tools.types import ToolSpec

INFERENCE = ("chat", "generate_content", "text_completion")
"""Operations that are model calls."""
INPUT, OUTPUT = "gen_ai.input.messages", "gen_ai.output.messages"
INSTRUCTIONS, TOOLS = "gen_ai.system_instructions", "gen_ai.tool.definitions"
CALL_ID, RESULT = "gen_ai.tool.call.id", "gen_ai.tool.call.result"


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore")
    type: str
    content: Any = None
    id: str | None = None
    name: str = ""
    arguments: Any = None
    response: Any = None
    result: Any = None


class _Message(BaseModel):
    model_config = ConfigDict(extra="ignore")
    role: str
    parts: Annotated[list[_Part], Field(fail_fast=True)]


_MESSAGES = TypeAdapter(Annotated[list[_Message], Field(fail_fast=True)])
_PARTS = TypeAdapter(Annotated[list[_Part], Field(fail_fast=True)])
_DEFINITIONS = TypeAdapter(Annotated[list[ListedFunction], Field(fail_fast=True)])


@dataclass(slots=True)
class _Thread:
    """A chat as far as the spans have told it."""

    parts: list[Part]
    keys: list[Any]
    """What the parts are recognised by when a later model call shows them again."""
    model: str = ""
    tools: tuple[ToolSpec, ...] = ()


@dataclass(slots=True)
class SpanGroup:
    """The spans of one conversation, or of one trace."""

    name: str
    line: int
    """Where its first span stands."""
    records: list[Record] = field(default_factory=list)


def groups(records: Iterable[Record]) -> list[SpanGroup]:
    """The records by conversation, in the order of the file; the spans of one trace belong together."""
    records = list(records)
    conversation: dict[str, str] = {}
    for record in records:
        named = record.attributes.get("gen_ai.conversation.id")
        if isinstance(named, str) and record.trace:
            conversation.setdefault(record.trace, named)
    found: dict[str, SpanGroup] = {}
    for record in records:
        own = record.attributes.get("gen_ai.conversation.id")
        name = own if isinstance(own, str) else conversation.get(record.trace, record.trace or record.span)
        found.setdefault(name, SpanGroup(name, record.line)).records.append(record)
    return list(found.values())


def otel_conversations(group: SpanGroup) -> Iterator[Conversation | BadRecord]:
    """The chats of a group. Never raises for what a span can hold.

    Yields:
        A `Conversation`, or the reason why there is none.
    """
    try:
        records = _merged(group.records)
        threads = _threads(_calls_of(records))
        results = dict(_results(records))
        task = named_task(_about_faultgym(records))
    except BadRecord as error:
        yield error
        return
    if not threads:
        yield BadRecord(_nothing_found(group))
    for thread in threads:
        try:
            parts = [*thread.parts, *_missing(thread.parts, results)]
            yield Conversation(chat_of(parts), thread.tools, thread.model, group.name, task)
        except BadRecord as error:
            yield error


def _nothing_found(group: SpanGroup) -> str:
    if any(record.events for record in group.records):
        return (
            f"trace {group.name:.60}: its messages are in events of the conventions before 1.37, which are not read; "
            "log with OTEL_SEMCONV_STABILITY_OPT_IN=gen_ai_latest_experimental"
        )
    return f"trace {group.name:.60}: no span holds {INPUT} and {OUTPUT}: the contents were not logged"


def _merged(records: list[Record]) -> list[Record]:
    """One record per span: an event beside a span tells more about it."""
    found: dict[tuple[str, str], Record] = {}
    for record in sorted(records, key=lambda r: r.start):
        first = found.setdefault((record.trace, record.span or str(len(found))), record)
        if first is not record:
            first.attributes.update(record.attributes)
            first.failed = first.failed or record.failed
    return list(found.values())


def _calls_of(records: list[Record]) -> list[Record]:
    """The model calls that show their messages; those of whole agents only where there are no others."""
    shown = [r for r in records if OUTPUT in r.attributes or (INPUT in r.attributes and not r.failed)]
    calls = [r for r in shown if r.attributes.get("gen_ai.operation.name", "chat") in INFERENCE]
    return calls or [r for r in shown if r.attributes.get("gen_ai.operation.name") == "invoke_agent"]


def _threads(calls: list[Record]) -> list[_Thread]:
    threads: list[_Thread] = []
    for call in calls:
        attributes = call.attributes
        before = _before(attributes)
        keys = [_key(part) for part in before]
        found = [t for t in threads if t.keys and keys[: len(t.keys)] == t.keys]
        thread = max(found, key=lambda t: len(t.keys)) if found else _Thread([], [])
        if not found:
            threads.append(thread)
        told, so_far = len(thread.keys), thread.parts
        outputs = _checked(_MESSAGES, attributes, OUTPUT)
        for number, choice in enumerate([[message] for message in outputs] or [[]]):
            if number:  # further choices of one call are chats of their own
                thread = _Thread([], [])
                threads.append(thread)
            new = [*before[told:], *_parts(choice, OUTPUT)]
            thread.parts = [*so_far, *new]
            thread.keys = [*keys[:told], *map(_key, new)]
            thread.model = _text_of(attributes, "gen_ai.response.model", "gen_ai.request.model") or thread.model
            thread.tools = thread.tools or _tools(attributes)
    return threads


def _before(attributes: JSON) -> list[Part]:
    """What a model call was given."""
    instructions: list[_Part] = _checked(_PARTS, attributes, INSTRUCTIONS)
    given = _parts(_checked(_MESSAGES, attributes, INPUT), INPUT)
    return [ImportedMessage("system", _joined(instructions)), *given] if instructions else given


def _key(part: Part) -> Any:
    """What stays the same when a message is shown again: reasoning is often left out then."""
    if isinstance(part, ImportedResult):
        return (part.call_id, part.text)
    return (part.role, part.text, tuple((call.id, call.name, _sorted(call.arguments)) for call in part.calls))


def _sorted(arguments: str) -> str:
    try:
        return orjson.dumps(orjson.loads(arguments), option=orjson.OPT_SORT_KEYS).decode()
    except ValueError:
        return arguments


def _checked(adapter: TypeAdapter[Any], attributes: JSON, name: str) -> Any:
    """The attribute, which may be JSON text where structure could not be logged."""
    value = attributes.get(name)
    if value is None:
        return []
    try:
        return adapter.validate_python(loads(value) if isinstance(value, str) else value)
    except ValidationError as error:
        raise explained(error, f"{name}: ") from None
    except BadRecord as error:
        raise BadRecord(f"{name}: {error}") from None


def _parts(messages: list[_Message], where: str) -> list[Part]:
    found: list[Part] = []
    for number, message in enumerate(messages):
        kinds = {part.type for part in message.parts}
        other = kinds - {"text", "reasoning", "tool_call", "tool_call_response"}
        if other:
            raise BadRecord(f"{where}.{number}: only text and calls are read, not {min(other)!r:.60}")
        answers = [part for part in message.parts if part.type == "tool_call_response"]
        found += [
            ImportedResult(p.id or "", p.name, _shown(p.result if p.response is None else p.response)) for p in answers
        ]
        if not answers or kinds - {"tool_call_response"}:
            found.append(_said(message))
    return found


def _said(message: _Message) -> ImportedMessage:
    role = message.role if message.role in ("user", "assistant") else "system"
    reasoning = _joined([part for part in message.parts if part.type == "reasoning"])
    calls = [
        ImportedCall(part.id or "", part.name, _arguments(part.arguments))
        for part in message.parts
        if part.type == "tool_call"
    ]
    return ImportedMessage(role, _joined([p for p in message.parts if p.type == "text"]), reasoning, tuple(calls))


def _joined(parts: list[_Part]) -> str:
    return "".join(_shown(part.content) for part in parts)


def _shown(value: Any) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    return json.dumps(value, ensure_ascii=False)


def _arguments(value: Any) -> str:
    if value is None or value == "":
        return "{}"
    return value if isinstance(value, str) else arguments_text(value) if isinstance(value, dict) else _shown(value)


def _tools(attributes: JSON) -> tuple[ToolSpec, ...]:
    return tuple(listed.spec for listed in _checked(_DEFINITIONS, attributes, TOOLS))


def _text_of(attributes: JSON, *names: str) -> str:
    return next((attributes[name] for name in names if isinstance(attributes.get(name), str)), "")


def _results(records: list[Record]) -> Iterator[tuple[str, ImportedResult]]:
    """Results by call id, from the spans of tools."""
    for record in records:
        call_id = record.attributes.get(CALL_ID)
        if isinstance(call_id, str) and RESULT in record.attributes:
            name = _text_of(record.attributes, "gen_ai.tool.name")
            yield call_id, ImportedResult(call_id, name, _shown(record.attributes[RESULT]))


def _missing(parts: list[Part], results: dict[str, ImportedResult]) -> list[ImportedResult]:
    """The results of the last turn that no model call was shown."""
    given = set()
    for part in reversed(parts):
        if isinstance(part, ImportedMessage):
            return [results[c.id] for c in part.calls if c.id in results and c.id not in given]
        given.add(part.call_id)
    return []


def _about_faultgym(records: list[Record]) -> JSON:
    found: JSON = {}
    for record in records:
        for key, value in record.attributes.items():
            if key.startswith(PREFIX):
                found.setdefault(key, value)
    return found


@dataclass(slots=True)
class _SpanReader:
    """Keeps the spans about generative AI: those of one chat may stand anywhere in a file."""

    spans: list[Record] = field(default_factory=list)

    def take(self, value: LogValue) -> Iterator[FoundChat]:
        for each in records(value.value, value.line):
            if isinstance(each, Record):
                self.spans.append(each)
            else:
                yield FoundChat(value.line, each)

    def end(self) -> Iterator[FoundChat]:
        for group in groups(self.spans):
            yield from (FoundChat(group.line, chat) for chat in otel_conversations(group))


def _mark(value: Any) -> Mark | None:
    return Mark("resourceSpans or resourceLogs") if is_otlp(value) else None


DIALECT = Dialect("OTLP JSON with OpenTelemetry's GenAI spans", _mark, _SpanReader)
