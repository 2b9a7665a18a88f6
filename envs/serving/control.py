"""The control plane: opens sessions, and says what happened in them. Every request needs the key.

    GET    /openapi.json            the service's OpenAPI document
    POST   /sessions                {"id"?, "task"?, "faults"?, "seed"?, "answers"?} -> base URL, credentials, what to
                                    tell the agent, and the form of its answer;
                                    409: the id is in use; 410: its session is closed
    GET    /sessions/{id}           the task, and what happened: planned and fired faults, effects, virtual time, the
                                    verdict
    POST   /sessions/{id}/wait      {"seconds": n}: lets virtual time pass
    POST   /sessions/{id}/verdict   the agent's final answer -> the verdict; given once.
                                    typed: {"outcome", "fields"?, "message"?}; text: {"text"}
    DELETE /sessions/{id}

An id never returns: once its session is deleted, or evicted because there are too many, it answers 410.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from hashlib import sha256

import orjson
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route, Router

from faultgym.core.errors import UserError
from faultgym.core.json import JSON
from faultgym.envs.episode import Episode
from faultgym.envs.judging.answering import ANSWER, BadAnswer, read_answer
from faultgym.envs.judging.goal import Verdict
from faultgym.envs.messages.turn import Turn
from faultgym.envs.serving.bearer import challenge, sent_token
from faultgym.envs.serving.service import origin_form, read_body, refusal
from faultgym.envs.serving.sessions import SessionError, Sessions, told
from faultgym.envs.serving.wire import Receive, Scope, Send
from faultgym.tools.channels.http.openapi import openapi
from faultgym.tools.types import ToolCall

Endpoint = Callable[[Request], Awaitable[Response]]

SHORTEST_KEY = 16
"""Characters of a key: who can reach the port can try keys as fast as the machine answers."""

REALM = "faultgym control plane"
"""What the key protects, as a refusal names it."""


def new_key() -> str:
    """A key that nobody can guess."""
    return secrets.token_urlsafe(24)


def check_key(key: str) -> str:
    """Check that a key can keep others out, and can be sent in a header.

    Args:
        key: The key.

    Returns:
        The key, unchanged.

    Raises:
        UserError: It is too short, or holds spaces or characters beyond ASCII.

    Example:
        >>> check_key("0123456789abcdef")
        '0123456789abcdef'
    """
    if len(key) < SHORTEST_KEY:
        raise UserError(f"the control key has {len(key)} characters: at least {SHORTEST_KEY} keep others out")
    if not all("!" <= c <= "~" for c in key):
        raise UserError("the control key has a space, or a character that a header cannot carry: use ASCII")
    return key


class ControlApp:
    """The ASGI application of the control plane.

    Args:
        sessions: The sessions that it controls: those of a `ServiceApp`.
        key: What each request has to bring, as `Authorization: Bearer KEY`.

    Raises:
        UserError: The key is too short, or cannot be sent in a header.
    """

    def __init__(self, sessions: Sessions, key: str):
        self._sessions = sessions
        self._key = sha256(check_key(key).encode()).digest()
        # No redirects: they would send a client wherever its own Host header says.
        self._router = Router(
            [
                Route("/openapi.json", _Methods(GET=self._document)),
                Route("/sessions", _Methods(POST=self._open)),
                Route("/sessions/{name}", _Methods(GET=self._show, DELETE=self._close)),
                Route("/sessions/{name}/wait", _Methods(POST=self._wait)),
                Route("/sessions/{name}/verdict", _Methods(POST=self._verdict)),
            ],
            redirect_slashes=False,
            default=_nowhere,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One exchange (ASGI 3); nothing is looked at before the key is."""
        scope = origin_form(scope)
        if scope["type"] == "http":
            sent = Request(scope).headers.get("authorization", "")
            if not self._holds_key(sent):
                error = SessionError(401, "Unauthorized", "send the control key, as `Authorization: Bearer KEY`")
                wrong = "" if sent_token(sent) == "" else "invalid_token"
                await refusal(error, {"www-authenticate": challenge(REALM, wrong)})(scope, receive, send)
                return
        await self._router(scope, receive, send)

    def _holds_key(self, authorization: str) -> bool:
        scheme, _, key = authorization.partition(" ")
        # Digests have one length, so that the time tells nothing of the key's own.
        same = hmac.compare_digest(sha256(key.strip().encode()).digest(), self._key)
        return same and scheme.lower() == "bearer"

    async def _document(self, request: Request) -> Response:
        url = f"{self._sessions.url}/s/{{secret}}"
        return _json(openapi(self._sessions.suite.service, url, secret="The last part of a session's base URL."))

    async def _open(self, request: Request) -> Response:
        return _json(self._sessions.open(await _object(request)), 201)

    async def _show(self, request: Request) -> Response:
        return _json(_state(self._episode(request)))

    async def _wait(self, request: Request) -> Response:
        seconds = (await _object(request)).get("seconds")
        if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds <= 86400:
            raise UserError("`seconds` must be a number above 0, at most 86400")
        episode = self._episode(request)
        episode.world.clock.advance(seconds)
        return _json(_state(episode))

    async def _verdict(self, request: Request) -> Response:
        given = await _object(request)
        episode = self._episode(request)
        if episode.stop:
            raise SessionError(409, "Conflict", "this session has its verdict already: GET /sessions/ID shows it")
        episode.step(_closing(episode, given))
        return _json(_shown(episode.verdict))

    async def _close(self, request: Request) -> Response:
        self._sessions.close(request.path_params["name"])
        return Response(status_code=204)

    def _episode(self, request: Request) -> Episode:
        return self._sessions.named(request.path_params["name"])


async def _nowhere(scope: Scope, receive: Receive, send: Send) -> None:
    """What no route of the control plane is for."""
    error = SessionError(
        404, "Not Found", "there are /sessions, /sessions/ID, its /wait and /verdict, and /openapi.json"
    )
    await refusal(error)(scope, receive, send)


class _Methods:
    """What one path takes: an endpoint for each method. Refusals, that of another method too, are problem+json."""

    def __init__(self, **endpoints: Endpoint):
        self._endpoints = endpoints

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            response = await self._answered(request)
        except UserError as error:
            response = refusal(error)
        except ClientDisconnect:
            return
        await response(scope, receive, send)

    async def _answered(self, request: Request) -> Response:
        endpoint = self._endpoints.get("GET" if request.method == "HEAD" else request.method)
        if endpoint is not None:
            return await endpoint(request)
        error = SessionError(
            405, "Method Not Allowed", f"{request.url.path} takes {' and '.join(self._endpoints)}, not {request.method}"
        )
        return refusal(error, {"allow": ", ".join(self._endpoints)})


def _closing(episode: Episode, given: JSON) -> Turn:
    """The turn that ends the session with what its agent answered.

    Raises:
        UserError: It is no answer of the kind that ends this session; the session goes on.
    """
    if not episode.typed:
        if not isinstance(given.get("text"), str):
            raise UserError("this session ends with a text: `text` must be the agent's final answer, a string")
        return Turn(given["text"])
    if "text" in given:
        raise UserError("this session's answer is typed: send `outcome`, `fields` and `message`, not `text`")
    call = ToolCall("answer", ANSWER, given)
    try:
        read_answer(call, episode.task.answer)
    except BadAnswer as error:
        raise UserError(str(error)) from None
    return Turn("", (call,))


def _state(episode: Episode) -> JSON:
    """What has happened in a session."""
    world = episode.world
    return {
        **told(episode),
        "now": world.now_iso,
        "requests": episode.calls,
        "planned": [asdict(fault) for fault in episode.schedule],
        "fired": [asdict(event) for event in episode.events],
        "effects": [asdict(effect) for effect in world.effects],
        "digest": world.digest(),
        "verdict": _shown(episode.verdict),
    }


def _shown(verdict: Verdict | None) -> JSON | None:
    return None if verdict is None else asdict(verdict)


def _json(value: JSON | None, status: int = 200) -> Response:
    # Sets have no form in JSON; in the order of their names they are the same each time.
    return Response(orjson.dumps(value, default=sorted), status, media_type="application/json")


async def _object(request: Request) -> JSON:
    try:
        value = orjson.loads(await read_body(request) or b"{}")
    except orjson.JSONDecodeError as error:
        raise UserError(f"the body is not valid JSON: {error}") from None
    if not isinstance(value, dict):
        raise UserError("the body must be a JSON object")
    return value
