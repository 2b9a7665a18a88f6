"""The agents' port: the service of each session below its base URL, and nothing else.

    *  /s/{secret}/...    the suite's own routes, in the world of the session that the secret leads to

Whatever else is asked for gets one and the same 404: it does not say which sessions there are. A secret of a session
that was closed answers 410.

What differs from a call in process is what real clients need: HEAD beside each GET, the headers that `Wire` makes, the
challenges of `bearer`. A fault that swallows the response leaves the client without one (`timeout`) or resets the
connection (`reset`), and a body that is cut against its Content-Length is really cut. In real time a delay is really
waited; in virtual time nothing sleeps.
"""

from __future__ import annotations

from asyncio import CancelledError
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Unpack

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Router

from faultgym.core.errors import UserError
from faultgym.core.json import JSON
from faultgym.envs.episode import Episode
from faultgym.envs.messages.turn import Turn
from faultgym.envs.serving.bearer import with_challenge
from faultgym.envs.serving.sessions import SessionError, SessionOptions, Sessions
from faultgym.envs.serving.wire import Receive, Scope, Send, Wire
from faultgym.envs.simulation import StepRecord
from faultgym.envs.suite import Suite
from faultgym.envs.worlds.world import EPOCH
from faultgym.tools.channels.http.service import ServiceError
from faultgym.tools.exchange import HttpRequest, HttpResponse
from faultgym.tools.session import exchange_http, http_site
from faultgym.tools.standard import http_outcome
from faultgym.tools.toolbox import CallRecord
from faultgym.tools.types import ToolCall, ToolResult

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
            headers=_headers(request),
            body=body,
        )
        clock = episode.world.clock
        began = clock.now
        response = self._exchanged(episode, wanted)
        late = 0.0
        if self.sessions.real_time:  # the delay is waited, and real time brings it
            late, clock.now = clock.now - began, began
        wire = Wire(
            f"/s/{place}",
            now=EPOCH + timedelta(seconds=began + late),
            real_time=self.sessions.real_time,
            late=late,
            head=request.method == "HEAD",
        )
        await wire.send(response, receive, send)

    def _exchanged(self, episode: Episode, request: HttpRequest) -> HttpResponse:
        """The response as the faults leave it; the exchange is kept as a call of the tool `http`."""
        service, layer, world = self.sessions.suite.service, episode.layer, episode.world
        events, effects = len(layer.events), len(world.effects)
        head = request.method == "HEAD"
        asked = replace(request, method="GET") if head else request
        site = http_site(service, "http", asked)
        layer.step = len(episode.turns)
        response = with_challenge(service.title, request, exchange_http(world, service, layer, site, asked))
        layer.call += 1
        if len(episode.turns) < MOST_RECORDS and not episode.stop:
            call = ToolCall(f"call_{layer.call}", "http", _arguments(request))
            outcome = http_outcome(replace(response, body=b"") if head else response, site)
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


def _headers(request: Request) -> dict[str, str]:
    """The headers by name; what was sent more than once is one list (RFC 9110, 5.3)."""
    found: dict[str, str] = {}
    for name, value in request.headers.items():
        found[name] = f"{found[name]}, {value}" if name in found else value
    return found


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
