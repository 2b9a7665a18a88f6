"""OTLP's JSON: what spans and events of one file hold, with their attributes as plain values.

Source: the OTLP specification's JSON encoding and its file exporter (one `TracesData` or `LogsData` a line).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Annotated, Any, TypeVar

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError

from faultgym.agents.imports.reading import BadRecord, explained
from faultgym.core.json import JSON

DETAILS = "gen_ai.client.inference.operation.details"
"""The event that holds a chat where the span does not."""
FAILED = 2
"""The status code of a span that ended in an error."""


T = TypeVar("T")
_Listed = Annotated[list[T], Field(fail_fast=True)]
"""Stops at its first error: a file of millions of wrong values must not cost gigabytes."""


class _In(BaseModel):
    model_config = ConfigDict(extra="ignore")


class _Pair(_In):
    key: str
    value: dict[str, Any] = {}


class _Event(_In):
    name: str = ""
    attributes: _Listed[_Pair] = []


class _Status(_In):
    code: int | str = 0


_Nanoseconds = Annotated[int, Field(ge=0)]


class _Span(_In):
    trace_id: str = Field("", validation_alias="traceId")
    span_id: str = Field("", validation_alias="spanId")
    name: str = ""
    start: _Nanoseconds = Field(0, validation_alias="startTimeUnixNano")
    attributes: _Listed[_Pair] = []
    events: _Listed[_Event] = []
    status: _Status = _Status()


class _Log(_In):
    trace_id: str = Field("", validation_alias="traceId")
    span_id: str = Field("", validation_alias="spanId")
    event: str = Field("", validation_alias="eventName")
    start: _Nanoseconds = Field(0, validation_alias=AliasChoices("timeUnixNano", "observedTimeUnixNano"))
    attributes: _Listed[_Pair] = []


class _ScopeSpans(_In):
    spans: list[Any] = []


class _ScopeLogs(_In):
    logs: list[Any] = Field([], validation_alias="logRecords")


class _Resource(_In):
    attributes: _Listed[_Pair] = []


class _ResourceSpans(_In):
    resource: _Resource = _Resource()
    scopes: _Listed[_ScopeSpans] = Field([], validation_alias="scopeSpans")


class _ResourceLogs(_In):
    resource: _Resource = _Resource()
    scopes: _Listed[_ScopeLogs] = Field([], validation_alias="scopeLogs")


class _Data(_In):
    spans: _Listed[_ResourceSpans] = Field([], validation_alias="resourceSpans")
    logs: _Listed[_ResourceLogs] = Field([], validation_alias="resourceLogs")


@dataclass(slots=True)
class Record:
    """A span, or an event in the place of one, reduced to what concerns generative AI."""

    trace: str
    span: str
    start: int
    """Nanoseconds since 1970."""
    line: int
    """Of the file, from 1."""
    attributes: dict[str, Any]
    """Its own, those of its details event, and those of its resource that begin with `faultgym.`."""
    failed: bool = False
    events: list[str] = field(default_factory=list)
    """Names of its other events about generative AI."""


def is_otlp(value: Any) -> bool:
    """Whether a value looks like OTLP's JSON, rather than a chat."""
    return isinstance(value, dict) and ("resourceSpans" in value or "resourceLogs" in value)


def records(value: Any, line: int) -> Iterator[Record | BadRecord]:
    """The spans and events about generative AI in one `TracesData` or `LogsData`.

    Args:
        value: JSON values.
        line: The line of the file, from 1, for what is read.

    Yields:
        A record, or the reason why one cannot be read.

    Raises:
        BadRecord: The value is no OTLP JSON at all.
    """
    if not is_otlp(value):
        raise BadRecord("no OTLP JSON: neither resourceSpans nor resourceLogs is there")
    try:
        data = _Data.model_validate(value)
    except ValidationError as error:
        raise explained(error) from None
    for traces in data.spans:
        ours = _ours(traces.resource)
        for span in (span for scope in traces.scopes for span in scope.spans):
            yield from _read(_of_span, span, ours, line)
    for logs in data.logs:
        ours = _ours(logs.resource)
        for log in (log for scope in logs.scopes for log in scope.logs):
            yield from _read(_of_log, log, ours, line)


def _read(
    of: Callable[[Any, JSON, int], Record | None], value: Any, ours: JSON, line: int
) -> Iterator[Record | BadRecord]:
    try:
        found = of(value, ours, line)
    except ValidationError as error:
        yield explained(error, "span: ")
    except BadRecord as error:
        yield error
    else:
        if found is not None:
            yield found


def _ours(resource: _Resource) -> dict[str, Any]:
    attributes = plain_attributes(resource.attributes)
    return {key: value for key, value in attributes.items() if key.startswith("faultgym.")}


def _of_log(value: Any, ours: JSON, line: int) -> Record | None:
    log = _Log.model_validate(value)
    attributes = plain_attributes(log.attributes)
    if DETAILS not in (log.event, attributes.get("event.name")):
        return None
    return Record(log.trace_id, log.span_id, log.start, line, {**ours, **attributes})


def _of_span(value: Any, ours: JSON, line: int) -> Record | None:
    span = _Span.model_validate(value)
    attributes = plain_attributes(span.attributes)
    for event in span.events:
        if event.name == DETAILS:
            attributes.update(plain_attributes(event.attributes))
    names = [event.name for event in span.events if event.name.startswith("gen_ai.") and event.name != DETAILS]
    if not names and not any(key.startswith("gen_ai.") for key in attributes):
        return None
    failed = span.status.code in (FAILED, "STATUS_CODE_ERROR") or "error.type" in attributes
    return Record(span.trace_id, span.span_id, span.start, line, {**ours, **attributes}, failed, names)


def plain_attributes(pairs: list[_Pair]) -> dict[str, Any]:
    """Attributes by key; of a key that comes twice, the last one counts.

    Raises:
        BadRecord: A value is none of OTLP's; the error names the attribute.
    """
    return {pair.key: plain_value(pair.value, pair.key) for pair in pairs}


def plain_value(value: Any, key: str) -> Any:
    """The value of an `AnyValue`: 64-bit integers come as text, bytes stay base64.

    Args:
        value: OTLP's JSON, such as `{"intValue": "7"}`.
        key: The attribute's, for the error.

    Raises:
        BadRecord: The value is none of OTLP's.

    Example:
        >>> plain_value({"intValue": "7"}, "turns")
        7
    """
    if not isinstance(value, dict) or len(value) > 1:
        raise BadRecord(f"attribute {key!r:.60}: not a value of OTLP's JSON")
    for kind, inner in value.items():
        if kind in ("stringValue", "bytesValue") and isinstance(inner, str):
            return inner
        if kind == "boolValue" and isinstance(inner, bool):
            return inner
        if kind in ("intValue", "doubleValue") and isinstance(inner, str | int | float):
            return _number(kind, inner, key)
        if kind in ("arrayValue", "kvlistValue") and isinstance(inner, dict):
            return _container(kind, inner.get("values", []), key)
        raise BadRecord(f"attribute {key!r:.60}: {kind!r:.40} cannot hold {inner!r:.40}")
    return None


def _number(kind: str, value: str | float, key: str) -> int | float:
    try:
        return int(value) if kind == "intValue" else float(value)
    except (ValueError, OverflowError):
        raise BadRecord(f"attribute {key!r:.60}: {value!r:.40} is no {kind}") from None


def _container(kind: str, values: Any, key: str) -> Any:
    if not isinstance(values, list):
        raise BadRecord(f"attribute {key!r:.60}: the values of {kind} are no list")
    if kind == "arrayValue":
        return [plain_value(item, key) for item in values]
    if not all(isinstance(item, dict) and isinstance(item.get("key"), str) for item in values):
        raise BadRecord(f"attribute {key!r:.60}: a kvlistValue holds pairs of key and value")
    return {item["key"]: plain_value(item.get("value", {}), key) for item in values}
