"""A suite's service over a real socket: the same routes, pipeline and faults as in process.

One world for each session id. An outside client is given a base URL such as `/s/alice`; what it does
there never touches another session. An ASGI application on Starlette's router; `faultgym serve` runs it on uvicorn.

    GET    /openapi.json          the service's OpenAPI document
    POST   /sessions              {"id"?, "task"?, "faults"?, "seed"?} -> base URL and credentials;
                                  409: the id is in use; 410: its session is closed
    GET    /sessions/{id}         what happened: faults fired, effects, virtual time
    POST   /sessions/{id}/wait    {"seconds": n}: lets virtual time pass
    DELETE /sessions/{id}
    *      /s/{id}/...            the service; an unknown id opens a session with the defaults

An id never returns: once its session is deleted, or evicted because there are too many, it answers 410.

A fault that swallows the response closes the connection (`timeout`) or resets it (`reset`); nothing
sleeps. A body that is cut against its Content-Length is really cut.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import suppress
from dataclasses import asdict
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, Router

from faultgym.core.errors import UserError
from faultgym.core.hashing import stable_hash
from faultgym.core.json import JSON
from faultgym.envs.episode import Episode
from faultgym.envs.reference.schedule import Faults, check_faults, schedule_for
from faultgym.envs.registry import task_by_id
from faultgym.envs.suite import Suite
from faultgym.envs.worlds.world import CLIENT_ID
from faultgym.tools.channels.http.openapi import openapi
from faultgym.tools.channels.http.service import ServiceError
from faultgym.tools.exchange import HttpRequest, HttpResponse
from faultgym.tools.faults.plan import FaultPlan
from faultgym.tools.session import exchange_http, http_site

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Endpoint = Callable[[Request], Awaitable[Response]]

MAX_SESSIONS = 1000
"""Sessions kept; beyond it the one unused for longest is closed."""


LONGEST_ID = 100
"""Characters of a session id."""


class SessionError(UserError):
    """A request that no session can answer, with the HTTP status that says why.

    Args:
        status: The HTTP status.
        title: The status in words, as problem+json has it.
        detail: What is wrong, and what to do.
    """

    def __init__(self, status: int, title: str, detail: str):
        super().__init__(detail)
        self.status = status
        self.title = title


class ServiceApp:
    """The ASGI application of one suite.

    Args:
        suite: The suite whose service is offered.
        faults: What breaks in sessions that do not say: a preset or a plan.
        split: Where sessions without a task take theirs from.
        seed: What the tasks of such sessions, and the schedules of faults, are drawn by.
        max_sessions: How many sessions are kept, at least 1; beyond that number the one unused for longest is closed.

    Raises:
        UserError: `max_sessions` is less than 1.
        PlanError: `faults` names no preset.

    Example:
        >>> from faultgym.envs.registry import suite_named
        >>> app = ServiceApp(suite_named("orders"))
        >>> session = app.open({"id": "alice", "task": "orders/order_status/train/0"})
        >>> session["base_url"], app.episode("alice").calls
        ('/s/alice', 0)
    """

    def __init__(
        self,
        suite: Suite,
        *,
        faults: Faults = "clean",
        split: str = "dev",
        seed: int = 0,
        max_sessions: int = MAX_SESSIONS,
    ):
        if max_sessions < 1:
            raise UserError(f"max_sessions must be at least 1, not {max_sessions}: a session is closed to open another")
        self.suite = suite
        self.max_sessions = max_sessions
        self.faults = check_faults(faults)
        self.split = split
        self.seed = seed
        self._sessions: OrderedDict[str, Episode] = OrderedDict()
        self._closed: set[str] = set()
        self._named = 0
        """How many ids were given by number so far."""
        # A bare router: Starlette's middleware would wrap `send`, and with it the transport.
        self._router = Router(
            [
                Route("/openapi.json", self._document),
                Route("/sessions", _answer(self._post_session), methods=["POST"]),
                Route("/sessions/{name}", _answer(self._get_session), methods=["GET"]),
                Route("/sessions/{name}", _answer(self._delete_session), methods=["DELETE"]),
                Route("/sessions/{name}/wait", _answer(self._wait), methods=["POST"]),
            ]
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One exchange (ASGI 3)."""
        if scope["type"] == "http" and scope["path"].startswith("/s/"):
            await self._service(scope, receive, send)
        else:
            await self._router(scope, receive, send)

    def _document(self, request: Request) -> Response:
        return JSONResponse(openapi(self.suite.service, "/s/default"))

    async def _service(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The suite's own routes, below `/s/{session}`."""
        request = Request(scope, receive)
        name, _, path = scope["path"].removeprefix("/s/").partition("/")
        try:
            episode = self.episode(name)
        except UserError as error:
            await _refusal(error)(scope, receive, send)
            return
        headers = {k.lower(): v for k, v in request.headers.items()}
        wanted = HttpRequest(
            request.method, f"/{path}", query=dict(request.query_params), headers=headers, body=await request.body()
        )
        site = http_site(self.suite.service, "http", wanted)
        response = exchange_http(episode.world, self.suite.service, episode.layer, site, wanted)
        episode.layer.call += 1
        await _send(response, send)

    async def _post_session(self, request: Request) -> Response:
        return JSONResponse(self.open(await _object(request)), 201)

    async def _get_session(self, request: Request) -> Response:
        return JSONResponse(_state(self._known(request)))

    async def _wait(self, request: Request) -> Response:
        episode = self._known(request)
        seconds = (await _object(request)).get("seconds")
        if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds <= 86400:
            raise UserError("`seconds` must be a number above 0, at most 86400")
        episode.world.clock.advance(seconds)
        return JSONResponse(_state(episode))

    async def _delete_session(self, request: Request) -> Response:
        self._known(request)
        self._close(request.path_params["name"])
        return Response(status_code=204)

    def _close(self, name: str) -> None:
        self._sessions.pop(name).close()
        self._closed.add(name)

    def _known(self, request: Request) -> Episode:
        name = request.path_params["name"]
        self._check_open(name)
        if name not in self._sessions:
            raise UserError(f"there is no session {name[:LONGEST_ID]!r}: POST /sessions opens one")
        return self._sessions[name]

    def _check_open(self, name: str) -> None:
        if name in self._closed:
            raise SessionError(410, "Gone", f"the session {name!r} is closed, and its id never returns: open another")

    def _new_name(self, wanted: object) -> str:
        """The id of a session to be opened; raises `UserError` for one that cannot be."""
        if wanted is None or wanted == "":
            while True:
                self._named += 1
                name = f"session-{self._named}"
                if name not in self._sessions and name not in self._closed:
                    return name
        name = str(wanted)
        if "/" in name or len(name) > LONGEST_ID:
            raise UserError(f"a session id has no slash and at most {LONGEST_ID} characters")
        self._check_open(name)
        if name in self._sessions:
            raise SessionError(409, "Conflict", f"the session id {name!r} is in use: choose another, or DELETE it")
        return name

    def _faults(self, wanted: object) -> Faults:
        """A preset by name, a plan as a client sends it, or the default; raises `PlanError`."""
        if wanted is None:
            return self.faults
        if isinstance(wanted, str):
            return check_faults(wanted)
        return FaultPlan.from_json(orjson.dumps(wanted).decode(), "faults")

    def episode(self, name: str) -> Episode:
        """The episode of a session; an unknown id opens a session with the defaults.

        Args:
            name: The session's id.

        Raises:
            UserError: The id is empty, holds a slash or is too long.
            SessionError: The session was closed, and its id never returns.
        """
        if not name:
            raise UserError("the path is /s/ID/..., with the id of a session")
        if name not in self._sessions:
            self.open({"id": name})
        self._sessions.move_to_end(name)
        return self._sessions[name]

    def open(self, wanted: JSON) -> JSON:
        """Open a session.

        Args:
            wanted: Any of `id` (by default the next number), `task` (an id; by default drawn from the split), `faults`
                (a preset's name, or a plan as JSON) and `seed` (a whole number).

        Returns:
            The session's id, base URL, task, instruction and credentials.

        Raises:
            UserError: The id holds a slash or is too long, the seed is no whole number, the task is of another suite.
            SessionError: The id is in use, or of a session that was closed.
            TaskError: The task does not exist.
            PlanError: The preset does not exist, or the plan does not hold for this suite.
        """
        faults = self._faults(wanted.get("faults"))
        seed = wanted.get("seed", self.seed)
        if not isinstance(seed, int):
            raise UserError("`seed` must be a whole number")
        name = self._new_name(wanted.get("id"))
        if wanted.get("task"):
            task = task_by_id(str(wanted["task"]))
            if task.suite != self.suite.name:
                raise UserError(f"task {task.id} is not of the suite served here, {self.suite.name}")
        else:
            names = [n for n in self.suite.names(self.split) if not self.suite.templates[n].faults]
            number = stable_hash("session", self.seed, name)
            task = self.suite.task(names[number % len(names)], self.split, number // len(names) % 1024)
        episode = Episode(task, schedule_for(task, faults, seed))
        self._sessions[name] = episode
        while len(self._sessions) > self.max_sessions:
            self._close(next(iter(self._sessions)))
        return {
            "id": name,
            "base_url": f"/s/{name}",
            "task": task.id,
            "instruction": task.instruction,
            "client_id": CLIENT_ID,
            "client_secret": episode.world.image.secret,
            "access_token": episode.world.image.token,
        }


def _answer(endpoint: Endpoint) -> Endpoint:
    """The endpoint, its refusals as problem+json."""

    async def answered(request: Request) -> Response:
        try:
            return await endpoint(request)
        except UserError as error:
            return _refusal(error)

    return answered


def _refusal(error: UserError) -> Response:
    """A refusal as problem+json: 400, or the status that it bears."""
    status, title = (error.status, error.title) if isinstance(error, SessionError) else (400, "Bad Request")
    refusal = ServiceError(status, title, str(error)).response()
    return Response(refusal.body, refusal.status, dict(refusal.headers))


def _state(episode: Episode) -> JSON:
    """What has happened in a session."""
    world = episode.world
    return {
        "task": episode.task.id,
        "now": world.now_iso,
        "requests": episode.calls,
        "planned": [asdict(fault) for fault in episode.schedule],
        "fired": [asdict(event) for event in episode.events],
        "effects": [asdict(effect) for effect in world.effects],
        "digest": world.digest(),
    }


async def _object(request: Request) -> JSON:
    try:
        value = orjson.loads(await request.body() or b"{}")
    except orjson.JSONDecodeError as error:
        raise UserError(f"the body is not valid JSON: {error}") from None
    if not isinstance(value, dict):
        raise UserError("the body must be a JSON object")
    return value


async def _send(response: HttpResponse, send: Send) -> None:
    if response.status == 0:
        transport = getattr(getattr(send, "__self__", None), "transport", None)
        if transport is not None:
            transport.abort() if response.transport.startswith("reset") else transport.close()
            return
        response = HttpResponse(504, {"content-type": "text/plain"}, response.transport.encode())
    names = {"content-length": str(len(response.body)), **response.headers}
    headers = [(n.encode("latin-1"), v.encode("latin-1", "replace")) for n, v in names.items()]
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    # uvicorn raises when a body is shorter than its Content-Length, and then closes the connection:
    # that is the very fault.
    with suppress(RuntimeError):
        await send({"type": "http.response.body", "body": response.body})
