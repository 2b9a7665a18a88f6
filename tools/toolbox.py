"""The tools that an agent is offered in one episode, and the one door through which it calls them.

Whatever a model sends comes back as a result: an unknown tool, text that is not JSON, arguments that
do not fit. Nothing raises for a model's input.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import Annotated, Any

import orjson
from pydantic import Field

from faultgym.core.json import MAX_INTEGER, unfit
from faultgym.core.suggest import did_you_mean
from faultgym.core.values import fast_init, maker
from faultgym.tools.channels.http.service import Operation, Service
from faultgym.tools.context import Effect
from faultgym.tools.declare import BadArguments, Declaration, declare
from faultgym.tools.exchange import HttpRequest
from faultgym.tools.faults.types import Site, offered, removed
from faultgym.tools.session import CallOutcome, Session
from faultgym.tools.standard import http, search, send, sql, wait
from faultgym.tools.types import MAX_ARGUMENTS, MAX_DEPTH, ToolCall, ToolResult, ToolSpec

MAX_CONTENT = 16_000
"""Characters of a result that a model is shown; the rest is cut, with a visible marker."""


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool: its declaration and the function that does it."""

    declaration: Declaration
    run: Callable[..., CallOutcome]
    """Takes the session, then the arguments by name."""
    spec: ToolSpec = field(init=False)

    def __post_init__(self) -> None:
        """Derive the spec once: it is handed out at every step."""
        d = self.declaration
        object.__setattr__(self, "spec", ToolSpec(d.name, d.description, d.schema))

    @property
    def name(self) -> str:
        """The name by which the model calls the tool."""
        return self.declaration.name


@fast_init
@dataclass(frozen=True, slots=True)
class CallRecord:
    """One call as it went: for the trace and the scorer."""

    call: ToolCall
    result: ToolResult
    _: KW_ONLY
    tables: tuple[str, ...] = ()
    write: bool = False
    """Whether the call was meant to change the world."""
    effects: tuple[Effect, ...] = ()
    """The customer-visible writes that it really did."""
    faults: tuple[int, ...] = ()
    """Indices into the episode's fault events."""
    at: float = 0.0
    """Virtual time in seconds when it returned."""


_record, _result = maker(CallRecord), maker(ToolResult)

STANDARD = {f.__name__: Tool(declare(f), f) for f in (search, sql, http, wait)}
"""The standard tools by name."""

_HEADERS = {
    "idempotency_key": Annotated[
        str, Field(max_length=100, description="Any new text; the same again makes a repeat safe")
    ],
    "if_match": Annotated[str, Field(max_length=100, description="The ETag that the change is meant for")],
}


def endpoint_tool(op: Operation) -> Tool:
    """The typed tool of one of the service's operations.

    Args:
        op: The operation. A write also takes an idempotency key, and an ETag where its row has a version.

    Returns:
        A tool that sends the same request as `http` would.
    """
    extra = {}
    if op.write:
        extra["idempotency_key"] = _HEADERS["idempotency_key"]
        if op.versioned is not None:
            extra["if_match"] = _HEADERS["if_match"]

    def run(session: Session, **arguments: Any) -> CallOutcome:
        return send(session, op.name, endpoint_request(op, arguments))

    return Tool(declare(op.function, optional=extra, as_sent=True), run)


def endpoint_request(op: Operation, arguments: Mapping[str, Any]) -> HttpRequest:
    """The HTTP request that a call of the operation's typed tool stands for.

    Args:
        op: The operation.
        arguments: Validated arguments: those in the path are put there, the others go into the body of a write, or
            into the query.

    Raises:
        KeyError: An argument that the path needs is missing.
    """
    rest = dict(arguments)
    headers = {}
    for name in ("idempotency_key", "if_match"):
        if op.write and name in rest:
            headers[name.replace("_", "-")] = rest.pop(name)
    path = op.path
    for name in op.path_names:
        path = path.replace("{" + name + "}", str(rest.pop(name)))
    if op.write:
        return HttpRequest(op.method, path, query={}, headers=headers, body=orjson.dumps(rest))
    return HttpRequest(op.method, path, query={k: str(v) for k, v in rest.items()}, headers=headers)


def endpoint_tools(service: Service) -> dict[str, Tool]:
    """The typed tools of a service by name; an operation with `tool` false has none."""
    return {op.name: endpoint_tool(op) for op in service.operations.values() if op.tool}


class Toolbox:
    """The tools offered in one episode, and the one door through which they are called.

    Args:
        tools: The tools by name.
        session: What they work on.

    Example:
        >>> from faultgym.tools.faults.layer import FaultLayer
        >>> from faultgym.tools.faults.probes import ProbeWorld, service
        >>> toolbox = Toolbox(STANDARD, Session(ProbeWorld(), service(), FaultLayer()))
        >>> toolbox.call(ToolCall("call_0", "sql", {"query": "SELECT count(*) AS n FROM orders"})).result.content
        '{"rows":[{"n":12}],"source":"primary"}'
    """

    __slots__ = ("session", "tools")

    def __init__(self, tools: Mapping[str, Tool], session: Session):
        self.tools = tools
        self.session = session

    @property
    def specs(self) -> tuple[ToolSpec, ...]:
        """What is offered now: a tool that a fault has removed is gone, an argument has the name that it has now."""
        specs = tuple(tool.spec for tool in self.tools.values())
        layer = self.session.layer
        return offered(specs, layer.events) if layer.armed("tool") else specs

    def _offered(self) -> list[str]:
        """The names of the tools that no fault has removed."""
        gone = removed(self.session.layer.events)
        return [name for name in self.tools if name not in gone]

    def call(self, call: ToolCall) -> CallRecord:
        """Do one call. Never raises for what a model can send.

        Args:
            call: What the policy asks for, with parsed arguments or their text.

        Returns:
            The record of the call; its result is what the model sees, an error included.
        """
        layer, world = self.session.layer, self.session.world
        events, effects = len(layer.events), len(world.effects)
        outcome = _UNSET
        result: ToolResult | None = None
        if layer.armed("tool"):
            site = Site("tool", call.name)

            def backend(c: ToolCall) -> ToolResult:
                nonlocal outcome
                outcome = self._run(c)
                return ToolResult(c.id, c.name, outcome.content, outcome.code)

            result = layer.exchange(world, site, call, backend)
        else:
            outcome = self._run(call)
        if result is None:
            result = _result(call.id, call.name, outcome.content, outcome.code)
        if len(result.content) > MAX_CONTENT:
            result = ToolResult(result.call_id, result.name, capped(result.content), result.code)
        layer.call += 1
        return _record(
            call,
            result,
            tables=outcome.tables,
            write=outcome.write,
            effects=tuple(world.effects[effects:]) if len(world.effects) > effects else (),
            faults=tuple(range(events, len(layer.events))) if len(layer.events) > events else (),
            at=world.clock.now,
        )

    def refuse(self, call: ToolCall, limit: int) -> CallRecord:
        """Answer a call that is one too many in its turn, without doing it.

        Args:
            call: The call.
            limit: Calls allowed in one turn, for the message.
        """
        self.session.layer.call += 1
        text = f"error: not done: at most {limit} calls in one turn"
        return CallRecord(call, ToolResult(call.id, call.name, text, "too_many_calls"), at=self.session.world.clock.now)

    def _run(self, call: ToolCall) -> CallOutcome:
        tool = self.tools.get(call.name)
        if tool is None:
            if call.arguments is None and not call.name:  # text in call tags that is no call
                return CallOutcome(
                    "error: this is no call: it takes a JSON object with a name and arguments", "malformed_call"
                )
            return unknown_tool(call.name, self._offered())
        try:
            arguments = parse_arguments(call)
            checked = tool.declaration.check(arguments)
        except MalformedCall as error:
            return CallOutcome(f"error: {error}", "malformed_call")
        except BadArguments as error:
            return CallOutcome(f"error: invalid arguments for {call.name}: {error}", error.problems[0].code)
        return tool.run(self.session, **checked)


_UNSET = CallOutcome("")


def unknown_tool(name: str, offered: Sequence[str]) -> CallOutcome:
    """The result of a call to a tool that is not among those offered.

    Args:
        name: The name that was called.
        offered: The names of the tools that are offered; the nearest is named.
    """
    near = did_you_mean(name, offered)
    hint = f"; {near}" if near else "."
    return CallOutcome(
        f"error: there is no tool {name[:80]!r}{hint} The tools are: {', '.join(offered)}", "unknown_tool"
    )


def capped(content: str) -> str:
    """The content, cut at `MAX_CONTENT` characters with a marker that says how much is missing."""
    if len(content) <= MAX_CONTENT:
        return content
    return f"{content[:MAX_CONTENT]}\n[cut: {len(content) - MAX_CONTENT:,} more characters]"


class MalformedCall(ValueError):
    """Arguments that are not a JSON object within the limits. Data, not a bug: the toolbox makes a result of them."""


def parse_arguments(call: ToolCall) -> dict[str, Any]:
    """The call's arguments as a clean dict.

    Args:
        call: The call; where its arguments are None, `raw` is parsed, and empty text is `{}`.

    Raises:
        MalformedCall: The arguments are no JSON object, or one beyond the limits.

    Example:
        >>> parse_arguments(ToolCall("call_0", "sql", raw='{"query": "SELECT 1"}'))
        {'query': 'SELECT 1'}
    """
    arguments = call.arguments
    if arguments is None:
        arguments = _parse_text(call.raw)
    for name, value in arguments.items():
        if type(value) is str and name.isascii() and value.isascii():
            if len(value) > MAX_ARGUMENTS:
                raise MalformedCall(f"the arguments are too long: at most {MAX_ARGUMENTS:,} characters")
        elif type(value) is not int or not -MAX_INTEGER <= value <= MAX_INTEGER:
            problem = unfit(arguments, levels=MAX_DEPTH, size=MAX_ARGUMENTS)
            if problem:
                raise MalformedCall(f"the arguments {problem}")
            break
    return arguments


def _parse_text(raw: str) -> dict[str, Any]:
    if len(raw) > MAX_ARGUMENTS:
        raise MalformedCall(f"the arguments are too long: {len(raw):,} characters, at most {MAX_ARGUMENTS:,}")
    try:
        value = orjson.loads(raw or "{}")
    except (orjson.JSONDecodeError, UnicodeEncodeError) as error:
        raise MalformedCall(f"the arguments are not valid JSON: {error}") from None
    if isinstance(value, str):
        raise MalformedCall("the arguments are double-encoded: send the JSON object itself, not a string of it")
    if not isinstance(value, dict):
        raise MalformedCall(f"the arguments must be a JSON object, not {type(value).__name__}")
    return value
