"""The agents' port: the service of each session below its base URL, and nothing else.

    *  /s/{secret}/...    the suite's own routes, in the world of the session that the secret leads to

Whatever else is asked for gets one and the same 404: it does not say which sessions there are. A secret of a session
that was closed answers 410.

A fault that swallows the response closes the connection (`timeout`) or resets it (`reset`); nothing
sleeps. A body that is cut against its Content-Length is really cut.
"""

from __future__ import annotations

from asyncio import CancelledError
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, Unpack
from urllib.parse import quote

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Router

from faultgym.core.errors import UserError
from faultgym.core.json import JSON
from faultgym.envs.episode import Episode
from faultgym.envs.messages.turn import Turn
from faultgym.envs.serving.sessions import SessionError, SessionOptions, Sessions
from faultgym.envs.simulation import StepRecord
from faultgym.envs.suite import Suite
from faultgym.tools.channels.http.service import ServiceError
from faultgym.tools.exchange import HttpRequest, HttpResponse
from faultgym.tools.session import exchange_http, http_site
from faultgym.tools.standard import http_outcome
from faultgym.tools.toolbox import CallRecord
from faultgym.tools.types import ToolCall, ToolResult

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

LARGEST_BODY = 1 << 20
"""Bytes of a request's body: nobody can fill the memory that all sessions share."""
MOST_RECORDS = 10_000
"""Requests of a session that are kept for its verdict."""


class ServiceApp:
    """The ASGI application that agents reach.

    Args:
        suite: The suite whose service is offered.
        options: Those of `Sessions`, each with its default there.

    Raises:
        PlanError: `faults` names no preset.
        UserError: `max_sessions` is below 1.

    Example:
        >>> from faultgym.envs.registry import suite_named
        >>> app = ServiceApp(suite_named("orders"))
        >>> session = app.open({"id": "alice", "task": "orders/order_status/train/0"})
        >>> session["base_url"].startswith("/s/"), app.sessions.named("alice").calls
        (True, 0)
    """

    def __init__(self, suite: Suite, **options: Unpack[SessionOptions]):
        self.sessions = Sessions(suite, **options)
        self._idle = Router()
        """Answers what is no request: the server's start and end, and web sockets, which it refuses."""

    def open(self, wanted: JSON | None = None) -> JSON:
        """Open a session in process, as `POST /sessions` of the control plane does.

        Args:
            wanted: Any of `id`, `task`, `faults`, `seed` and `answers`, as `Sessions.open` takes them; none by default.

        Returns:
            What `Sessions.open` gives: base URL, credentials, what to tell the agent, and the form of its answer.

        Raises:
            UserError: No such session can be opened; the message says why.
        """
        return self.sessions.open(wanted or {})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One exchange (ASGI 3)."""
        if scope["type"] != "http":
            await self._idle(scope, receive, send)
            return
        request = Request(origin_form(scope), receive)
        place, _, rest = request.scope["path"].removeprefix("/s/").partition("/")
        try:
            episode = self.sessions.reached(place if request.scope["path"].startswith("/s/") else "")
            body = await read_body(request)
            episode = self.sessions.reached(place)  # it may have been closed while the body came
        except UserError as error:
            await refusal(error)(scope, receive, send)
            return
        except ClientDisconnect:
            return
        wanted = HttpRequest(
            request.method,
            f"/{rest}",
            query=dict(request.query_params),
            headers={k.lower(): v for k, v in request.headers.items()},
            body=body,
        )
        await _send(self._exchanged(episode, wanted), f"/s/{place}", send)

    def _exchanged(self, episode: Episode, request: HttpRequest) -> HttpResponse:
        """The response as the faults leave it; the exchange is kept as a call of the tool `http`."""
        service, layer, world = self.sessions.suite.service, episode.layer, episode.world
        events, effects = len(layer.events), len(world.effects)
        site = http_site(service, "http", request)
        layer.step = len(episode.turns)
        response = exchange_http(world, service, layer, site, request)
        layer.call += 1
        if len(episode.turns) < MOST_RECORDS and not episode.stop:
            call = ToolCall(f"call_{layer.call}", "http", _arguments(request))
            outcome = http_outcome(response, site)
            record = CallRecord(
                call,
                ToolResult(call.id, call.name, outcome.content, outcome.code),
                tables=outcome.tables,
                write=outcome.write,
                effects=tuple(world.effects[effects:]),
                faults=tuple(range(events, len(layer.events))),
                at=world.clock.now,
            )
            episode.turns.append(StepRecord(Turn("", (call,)), (record,), world.digest()))
        return response


def origin_form(scope: Scope) -> Scope:
    """The scope with the path alone, where the client named scheme and host in its request line too.

    Servers have to take such a target (RFC 9112, 3.2.2), and not all of them take it apart.

    Args:
        scope: Of ASGI.

    Example:
        >>> origin_form({"type": "http", "path": "http://elsewhere/s/x"})["path"]
        '/s/x'
    """
    path = scope.get("path", "")
    if not path.lower().startswith(("http://", "https://")):
        return scope
    return {**scope, "path": "/" + path.partition("://")[2].partition("/")[2]}


def _arguments(request: HttpRequest) -> JSON:
    """The request as the arguments of the tool `http`, without what only says who asks."""
    arguments: JSON = {"method": request.method, "path": request.path}
    if request.query:
        arguments["query"] = dict(request.query)
    if request.body:
        arguments["body"] = request.body.decode("utf-8", "replace")
    return arguments


async def read_body(request: Request) -> bytes:
    """The body of a request.

    Args:
        request: The request, whose body was not read yet.

    Raises:
        SessionError: It is larger than `LARGEST_BODY`, or the server stops before all of it came.
        ClientDisconnect: The client has gone before all of it came.
    """
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > LARGEST_BODY:
                raise SessionError(413, "Content Too Large", f"a body has at most {LARGEST_BODY:,} bytes")
    except CancelledError:  # how a server that stops ends what still waits for a client
        raise SessionError(503, "Service Unavailable", "the server stops") from None
    return bytes(body)


def refusal(error: UserError, headers: Mapping[str, str] | None = None) -> Response:
    """A refusal as problem+json: 400, or the status that it bears.

    Args:
        error: What is wrong.
        headers: Further headers of the response.
    """
    status, title = (error.status, error.title) if isinstance(error, SessionError) else (400, "Bad Request")
    response = ServiceError(status, title, str(error), headers=headers).response()
    return Response(response.body, response.status, dict(response.headers))


async def _send(response: HttpResponse, base: str, send: Send) -> None:
    """Send what the faults left of a response, and break the connection where they do."""
    exchange = getattr(send, "__self__", None)
    if not hasattr(exchange, "transport"):  # in process there is no connection to break
        exchange = None
    if response.status == 0:
        if exchange is not None:
            _break(exchange, reset=response.transport.startswith("reset"))
            return
        response = HttpResponse(504, {"content-type": "text/plain"}, response.transport.encode())
    names = {"content-length": str(len(response.body)), **response.headers}
    headers = [(n.encode("latin-1"), _value(n, v, base).encode("latin-1", "replace")) for n, v in names.items()]
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    cut = exchange is not None and int(names["content-length"]) > len(response.body)
    await send({"type": "http.response.body", "body": response.body, "more_body": cut})
    if cut:
        _break(exchange)


def _break(exchange: Any, *, reset: bool = False) -> None:
    """Break the connection of one of uvicorn's exchanges, on purpose.

    uvicorn tells only the last request of a connection that it is gone, and would report the response of any other as
    an error of ours: one that never began, or is shorter than its Content-Length.
    """
    exchange.disconnected = True
    exchange.transport.abort() if reset else exchange.transport.close()


def _value(name: str, value: str, base: str) -> str:
    """A header's value as it goes over the wire: the service's own paths lie below the base URL, and are escaped.

    The service works on paths without escapes; a line break in one must not end the header.
    """
    if name == "location" and value.startswith("/"):
        return base + quote(value, safe="/?&=%+")
    if name == "link" and value.startswith("</"):
        path, _, rest = value[1:].partition(">")
        return f"<{base}{quote(path, safe='/?&=%+')}>{rest}"
    return value
