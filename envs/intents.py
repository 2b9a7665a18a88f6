"""What a call asks for, whichever way it is sent.

`http` GET /v1/orders/10422, the typed tool `get_order` with "ORD-10422" and a SELECT on that order ask for the
same fact. Scores and continuations of an episode compare calls by this and not by their text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import orjson

from faultgym.core.json import JSON
from faultgym.envs.identifiers import Identifiers
from faultgym.envs.suite import Suite
from faultgym.tools.channels.http.service import ServiceError
from faultgym.tools.standard import split_path
from faultgym.tools.toolbox import CallRecord, MalformedCall, parse_arguments
from faultgym.tools.types import ToolCall

ASIDE = frozenset({"idempotency_key", "if_match", "note"})
"""Arguments that say how a write is sent and not what it writes."""
PAGING = frozenset({"cursor", "limit", "page", "size"})
"""Arguments that say which part of a list is wanted."""

_LITERAL = re.compile(r"'([^']{3,})'")
_WRITES = re.compile(r"[ (]*(insert|update|delete|replace)\b", re.IGNORECASE)
_WORD = re.compile(r"\w+")
_SCHEMA = re.compile(r"\b(?:from\s+(?:schema|sqlite_\w+)|pragma)\b", re.IGNORECASE)
_RENAMED = re.compile(r"unknown argument `(\w+)`.*?now called `(\w+)`")

Renames = Mapping[tuple[str, str], str]
"""(tool, argument) -> the name that the argument had before."""
_NONE: Renames = {}


@dataclass(frozen=True, slots=True)
class CallIntent:
    """What one call is after."""

    tool: str
    target: str
    """The service's operation, or the tool where it is not a request of a known route."""
    normalized: str
    """Equal for calls that are the same in every argument but the idempotency key."""
    semantic: str
    """Equal for calls that want the same thing: without key, precondition, note and page."""
    tables: frozenset[str]
    """The tables it is about, by what it says."""
    names: frozenset[str]
    """Identifiers without their prefix, and other values that it is about, in lower case."""
    write: bool = False
    key: str = ""
    """The idempotency key."""
    paged: bool = False
    """Whether it asks for a further page."""
    verbatim: str = ""
    """Equal for calls that are sent in the same words, the idempotency key apart."""


def intents(suite: Suite, records: Iterable[CallRecord]) -> list[CallIntent]:
    """What each call of one episode asks for.

    Args:
        suite: The suite whose routes and tables the calls are read by.
        records: All calls of the episode, in order. The errors among them tell which arguments were renamed on the way:
            calls under a new name are read as calls under the old one.

    Returns:
        One intent for each call, in the same order.
    """
    records = list(records)
    renamed = renames(records)
    return [intent_of(suite, record.call, renamed) for record in records]


def lookups(found: Iterable[CallIntent], records: Iterable[CallRecord]) -> int:
    """Calls that are no cost: the first look at the schema, and the first at the list of routes, with their tries.

    Args:
        found: What each call of an episode asks for.
        records: The calls.
    """
    count = 0
    left = {"schema", "routes"}
    for intent, record in zip(found, records, strict=True):
        kind = "routes" if intent.target == "list_routes" else "schema" if _asks_schema(intent) else ""
        if kind in left:
            count += 1
            if record.result.ok:
                left.remove(kind)
    return count


def _asks_schema(intent: CallIntent) -> bool:
    return intent.tool == "sql" and _SCHEMA.search(intent.normalized) is not None


def renames(records: Iterable[CallRecord]) -> Renames:
    """The renamed arguments that the errors of an episode have told of.

    Args:
        records: Calls of the episode, with their results.

    Returns:
        (tool, new name) -> the name that the argument had before.
    """
    found: dict[tuple[str, str], str] = {}
    for record in records:
        if record.result.code == "unknown_argument":
            match = _RENAMED.search(record.result.content)
            if match:
                found[record.call.name, match[2]] = match[1]
    return found


def intent_of(suite: Suite, call: ToolCall, renamed: Renames = _NONE) -> CallIntent:
    """What one call asks for; a call that cannot be parsed asks for nothing.

    Args:
        suite: The suite whose routes and tables the call is read by.
        call: The call.
        renamed: What `renames` found; nothing by default.

    Example:
        >>> from faultgym.envs.registry import suite_named
        >>> request = ToolCall("a", "http", {"method": "GET", "path": "/v1/orders/10422"})
        >>> typed = ToolCall("b", "get_order", {"order_id": "ORD-10422"})
        >>> intent_of(suite_named("orders"), request).semantic == intent_of(suite_named("orders"), typed).semantic
        True
    """
    try:
        arguments = parse_arguments(call)
    except MalformedCall:
        raw = f"{call.name} {call.raw}"
        return CallIntent(call.name, call.name, raw, call.name, frozenset(), frozenset(), verbatim=raw)
    return replace(_read(suite, call, arguments, renamed), verbatim=_literal(call.name, arguments))


def _literal(name: str, arguments: JSON) -> str:
    rest = {n: v for n, v in arguments.items() if n != "idempotency_key"}
    headers = rest.get("headers")
    if isinstance(headers, dict):
        rest["headers"] = {n: v for n, v in headers.items() if n.lower() != "idempotency-key"}
    return f"{name} {_text(rest)}"


def _read(suite: Suite, call: ToolCall, arguments: JSON, renamed: Renames) -> CallIntent:
    if renamed:
        arguments = {renamed.get((call.name, name), name): value for name, value in arguments.items()}
    if call.name == "http":
        return _request(suite, call.name, arguments)
    if call.name in suite.service.operations:
        return _operation(suite, call.name, call.name, arguments)
    if call.name == "sql":
        return _statement(suite, str(arguments.get("query", "")))
    tables = frozenset({"documents"}) if call.name == "search" else frozenset[str]()
    return _aim(suite, call.name, call.name, arguments, tables, write=False)


def _request(suite: Suite, tool: str, arguments: JSON) -> CallIntent:
    """A request in the form of the `http` tool."""
    path, inside = split_path(str(arguments.get("path", "")))
    method = str(arguments.get("method", ""))
    values = {
        **{name: value for name, value in inside.items() if value},
        **_mapping(arguments, "query"),
        **_mapping(arguments, "body"),
    }
    for name, value in _mapping(arguments, "headers").items():
        clean = name.lower().replace("-", "_")
        if clean in ASIDE:
            values[clean] = value
    try:
        op, from_path = suite.service.route(method, path)
    except ServiceError:
        return _aim(suite, tool, tool, {"method": method, "path": path, **values}, frozenset(), write=False)
    return _operation(suite, tool, op.name, {**values, **from_path})


def _mapping(arguments: JSON, name: str) -> Mapping[str, Any]:
    value = arguments.get(name)
    return value if isinstance(value, dict) else {}


def _operation(suite: Suite, tool: str, name: str, values: JSON) -> CallIntent:
    op = suite.service.operations[name]
    return _aim(suite, tool, name, values, frozenset(op.tables), write=op.write and name != "issue_token")


def _statement(suite: Suite, statement: str) -> CallIntent:
    """A SQL statement; a table counts by its name, also where a fault has lengthened it."""
    text = " ".join(statement.split()).rstrip("; ")
    lowered = text.lower()
    words = {w.lower() for w in _WORD.findall(text)}
    tables = frozenset(
        t
        for t in suite.readable
        if t in lowered and any(w == t or w.startswith(f"{t}_") or w.endswith(f"_{t}") for w in words)
    )
    names = suite.identifiers.numbers(text) | {verbatim.casefold() for verbatim in _LITERAL.findall(text)}
    return CallIntent(
        "sql", "sql", f"sql {text}", f"sql {text}", tables, frozenset(names), _WRITES.match(text) is not None
    )


def _aim(suite: Suite, tool: str, target: str, values: JSON, tables: frozenset[str], *, write: bool) -> CallIntent:
    rule = suite.identifiers
    plain = {name: _plain(rule, value) for name, value in values.items()}
    semantic = {n: v for n, v in plain.items() if n not in ASIDE and n not in PAGING}
    normalized = {n: v for n, v in plain.items() if n != "idempotency_key"}
    return CallIntent(
        tool,
        target,
        f"{target} {_text(normalized)}",
        f"{target} {_text(semantic)}",
        tables,
        frozenset(_names(rule, semantic.values())),
        write,
        str(plain.get("idempotency_key", "")),
        bool(plain.get("cursor")) or str(plain.get("page", "1")) != "1",
    )


def _plain(rule: Identifiers, value: Any) -> Any:
    """Identifiers without their prefix, numbers as text: a path knows no other."""
    if isinstance(value, str):
        return rule.bare(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    return value


def _text(values: JSON) -> str:
    return orjson.dumps(values, option=orjson.OPT_SORT_KEYS, default=repr).decode()


def _names(rule: Identifiers, values: Iterable[Any]) -> set[str]:
    names: set[str] = set()
    for value in values:
        text = value if isinstance(value, str) else _text({"": value})
        names |= rule.numbers(text)
        if isinstance(value, str) and len(value) >= 3:
            names.add(value.casefold())
    return names
