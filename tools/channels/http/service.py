"""A small REST service over a world: routes declared as typed functions, and the one pipeline they share.

The pipeline, in order: route, bearer token, parameters, idempotency key, If-Match, the route's
function inside a savepoint, ETag. Errors are problem+json (RFC 9457). The same `Service.handle`
answers an agent's calls in process and an outside client's over a socket.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass
from typing import Annotated, Any, get_type_hints

import orjson
from pydantic import Field
from typing_extensions import TypedDict

from faultgym.core.json import JSON
from faultgym.core.values import maker
from faultgym.tools.context import WorldView
from faultgym.tools.declare import BadArguments, Declaration, declare
from faultgym.tools.exchange import HttpRequest, HttpResponse

MAX_KEY_LENGTH = 255
"""Characters of an idempotency key: the service keeps each one."""
TOKEN_SECONDS = 3600
"""Lifetime of a bearer token in virtual seconds."""

SERVICE_TABLES = """
CREATE TABLE _clients (id TEXT PRIMARY KEY, secret TEXT NOT NULL, scope TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE _tokens (token TEXT PRIMARY KEY, scope TEXT NOT NULL, expires REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE _idempotency (key TEXT PRIMARY KEY, request TEXT NOT NULL, status INTEGER NOT NULL,
    body BLOB NOT NULL) WITHOUT ROWID;
"""
"""The service's own state: in the world's database, out of the SQL tool's sight."""


class ServiceError(Exception):
    """A refusal that the client sees as problem+json.

    Args:
        status: The HTTP status, 400 or above.
        title: The kind of problem, such as `Not Found`.
        detail: What is wrong this time, and what the client can do.
        headers: Response headers beside the content type.
        more: Further members of the problem's JSON, such as `errors`.
    """

    def __init__(self, status: int, title: str, detail: str, *, headers: Mapping[str, str] | None = None, **more: Any):
        super().__init__(detail)
        self.status = status
        self.headers = headers or {}
        self.body: JSON = {"type": "about:blank", "title": title, "status": status, "detail": detail, **more}

    def response(self) -> HttpResponse:
        """The refusal as a response."""
        return HttpResponse(
            self.status, {"content-type": "application/problem+json", **self.headers}, orjson.dumps(self.body)
        )


_response = maker(HttpResponse)


@dataclass(frozen=True, slots=True, eq=False)
class Operation:
    """One route: a typed function and what the pipeline has to know of it. Equal to itself alone, as a function is."""

    name: str
    """The operationId, and the name of the typed tool."""
    _: KW_ONLY
    method: str
    path: str
    """With parameters in braces: `/v1/orders/{order_id}`."""
    function: Callable[..., Any]
    """Takes the world, then the parameters by name; returns the body, or raises `ServiceError`."""
    declaration: Declaration
    tables: tuple[str, ...] = ()
    """The tables whose facts it gives or changes; for the scorer."""
    status: int = 200
    public: bool = False
    """Whether it needs no token."""
    versioned: tuple[str, str] | None = None
    """(table, parameter with its id): the row whose version is the ETag that If-Match is held against."""
    successor: str = ""
    """The operation of a newer version that gives the same."""
    listing: bool = False
    """Whether it answers with a page of `items`."""
    tool: bool = True
    """Whether a typed tool is made of it."""

    @property
    def write(self) -> bool:
        """Whether the operation changes the world."""
        return self.method != "GET"

    @property
    def path_names(self) -> tuple[str, ...]:
        """The names of the path's parameters."""
        return tuple(part[1:-1] for part in self.path.split("/") if part.startswith("{"))


def operation(method: str, path: str, **more: Any) -> Callable[[Callable[..., Any]], Operation]:
    """Declare the decorated function as a route.

    Args:
        method: `GET`, or a method that writes.
        path: With parameters in braces: `/v1/orders/{order_id}`.
        more: Further fields of `Operation`.

    Raises:
        TypeError: A parameter of the function has no annotation.

    Example:
        >>> @operation("GET", "/v1/ping", public=True)
        ... def ping(world) -> dict:
        ...     "Say that the service is there."
        ...     return {"pong": True}
        >>> ping.name, ping.write
        ('ping', False)
    """

    def wrap(function: Callable[..., Any]) -> Operation:
        return Operation(
            function.__name__, method=method, path=path, function=function, declaration=declare(function), **more
        )

    return wrap


class Service:
    """The routes of one suite. Holds no state: that is in the world.

    Args:
        title: For the OpenAPI document.
        operations: The routes; `issue_token` is added to them.

    Example:
        >>> from faultgym.tools.faults.probes import ProbeWorld, service
        >>> service().handle(ProbeWorld(), HttpRequest("GET", "/v1/orders/ORD-1001")).status  # no token is sent
        401
    """

    def __init__(self, title: str, operations: list[Operation]):
        self.title = title
        self.operations = {op.name: op for op in [*operations, issue_token]}
        self._routes: dict[tuple[str, int], list[tuple[tuple[str, ...], Operation]]] = {}
        for op in self.operations.values():
            parts = tuple(op.path.split("/"))
            self._routes.setdefault((op.method, len(parts)), []).append((parts, op))
        self._found: dict[tuple[str, str], tuple[Operation, dict[str, str]]] = {}

    def route(self, method: str, path: str) -> tuple[Operation, dict[str, str]]:
        """The operation that a request is for, and its path parameters by name.

        Args:
            method: The HTTP method, in capitals.
            path: The path alone, without query and escapes.

        Raises:
            ServiceError: 404 for an unknown path, 405 for one that takes other methods.
        """
        found = self._found.get((method, path))
        if found is None:
            found = self._search(method, path)
            if len(self._found) > 4096:
                self._found.clear()
            self._found[method, path] = found
        return found

    def _search(self, method: str, path: str) -> tuple[Operation, dict[str, str]]:
        parts = path.split("/")
        for pattern, op in self._routes.get((method, len(parts)), ()):
            if all(p == q or (p[:1] == "{" and q) for p, q in zip(pattern, parts, strict=True)):
                return op, {p[1:-1]: q for p, q in zip(pattern, parts, strict=True) if p[:1] == "{"}
        allowed = sorted(
            m
            for (m, n), routes in self._routes.items()
            for pattern, _ in routes
            if n == len(parts) and all(p == q or (p[:1] == "{" and q) for p, q in zip(pattern, parts, strict=True))
        )
        if allowed:
            raise ServiceError(
                405,
                "Method Not Allowed",
                f"{path} takes {', '.join(allowed)}",
                headers={"allow": ", ".join(allowed)},
            )
        raise ServiceError(404, "Not Found", f"no route {method} {path[:200]}")

    def handle(self, world: WorldView, request: HttpRequest) -> HttpResponse:
        """Answer one request. Never raises for what a client can cause.

        Args:
            world: What the routes read and change.
            request: The request; header names in lower case.

        Returns:
            The operation's body with its status, or the refusal as problem+json.

        Raises:
            sqlite3.OperationalError: A route's own SQL is wrong; a full database is answered with 507.
        """
        try:
            op, path = self.route(request.method, request.path)
            if not op.public:
                authorize(world, request)
            arguments = _arguments(op, path, request)
            if op.write:
                return _write(world, op, arguments, request)
            body = op.function(world, **arguments)
        except ServiceError as error:
            return error.response()
        except sqlite3.OperationalError as error:
            if "full" not in str(error):
                raise
            return ServiceError(507, "Insufficient Storage", "there is no room for more").response()
        return _response(op.status, _headers(op, body), orjson.dumps(body))


def _headers(op: Operation, body: JSON) -> dict[str, str]:
    headers = {"content-type": "application/json"}
    if op.versioned is not None:
        headers["etag"] = f'"{body["version"]}"'
    return headers


def authorize(world: WorldView, request: HttpRequest) -> None:
    """Let a request pass only with a token that is still valid.

    Args:
        world: Holds the tokens, and the time that they are held against.
        request: The request; header names in lower case.

    Raises:
        ServiceError: 401.
    """
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    row = None
    if scheme.lower() == "bearer":
        row = world.db.execute("SELECT expires FROM _tokens WHERE token = ?", (token.strip(),)).fetchone()
    if row is not None and row[0] > world.clock.now:
        return
    what = "the token has expired" if row else "a valid bearer token is needed"
    raise unauthorized(what)


def unauthorized(what: str) -> ServiceError:
    """The 401 of this service; also what the fault of that name answers.

    Args:
        what: What is wrong with the token, without a full stop.
    """
    return ServiceError(
        401,
        "Unauthorized",
        f"{what}: get a new one with POST /v1/token",
        headers={"www-authenticate": 'Bearer error="invalid_token"'},
    )


def _arguments(op: Operation, path: dict[str, str], request: HttpRequest) -> dict[str, Any]:
    """The operation's validated arguments from path, query and JSON body; raises `ServiceError`."""
    try:
        if not op.write:
            if len(request.query) == 0:
                return op.declaration.check(path, strict=False)
            return op.declaration.check({**request.query, **path}, strict=False)
        return op.declaration.check({**_json_body(request), **path})
    except BadArguments as error:
        errors = [{"field": p.field, "detail": p.detail} for p in error.problems]
        if op.write:
            raise ServiceError(422, "Unprocessable Content", str(error), errors=errors) from None
        raise ServiceError(400, "Bad Request", str(error), errors=errors) from None


def _json_body(request: HttpRequest) -> JSON:
    kind = request.headers.get("content-type", "application/json").split(";")[0].strip().lower()
    if request.body and kind != "application/json":
        raise ServiceError(415, "Unsupported Media Type", f"send application/json, not {kind[:80]}")
    try:
        body = orjson.loads(request.body or b"{}")
    except orjson.JSONDecodeError as error:
        raise ServiceError(400, "Bad Request", f"the body is not valid JSON: {error}") from None
    if not isinstance(body, dict):
        raise ServiceError(400, "Bad Request", f"the body must be a JSON object, not {type(body).__name__}")
    return body


def _write(world: WorldView, op: Operation, arguments: dict[str, Any], request: HttpRequest) -> HttpResponse:
    """Run a writing operation: idempotency, precondition, savepoint."""
    key = request.headers.get("idempotency-key", "")
    if len(key) > MAX_KEY_LENGTH:
        raise ServiceError(400, "Bad Request", f"the Idempotency-Key is longer than {MAX_KEY_LENGTH} characters")
    fingerprint = f"{op.name} {orjson.dumps(arguments, option=orjson.OPT_SORT_KEYS).decode()}"
    if key:
        row = world.db.execute("SELECT request, status, body FROM _idempotency WHERE key = ?", (key,)).fetchone()
        if row is not None:
            if row[0] != fingerprint:
                raise ServiceError(
                    422,
                    "Idempotency key reused",
                    "this Idempotency-Key was used for another request: use a new one",
                )
            return HttpResponse(
                row[1], {"content-type": "application/json", "idempotent-replayed": "true"}, bytes(row[2])
            )
    if op.versioned is not None:
        check_precondition(world, op, arguments, request)
    db = world.writable()
    mark = len(world.effects)
    db.execute("SAVEPOINT operation")
    try:
        body = op.function(world, **arguments)
        payload = orjson.dumps(body)
        if key:
            db.execute("INSERT INTO _idempotency VALUES (?, ?, ?, ?)", (key, fingerprint, op.status, payload))
    except (ServiceError, sqlite3.Error):
        if db.in_transaction:  # a full database has rolled back by itself
            db.execute("ROLLBACK TO operation")
        del world.effects[mark:]
        raise
    finally:
        if db.in_transaction:
            db.execute("RELEASE operation")
    return HttpResponse(op.status, _headers(op, body), payload)


def row_version(world: WorldView, op: Operation, arguments: Mapping[str, Any]) -> int | None:
    """The version of the row that an operation is about, or None when there is no such row.

    Args:
        world: Where the row is.
        op: The operation; None is also given where its rows have no version.
        arguments: The operation's validated arguments.
    """
    if op.versioned is None or op.versioned[1] not in arguments:
        return None
    table, name = op.versioned
    row = world.db.execute(f"SELECT version FROM {table} WHERE id = ?", (arguments[name],)).fetchone()
    return None if row is None else int(row[0])


def check_precondition(world: WorldView, op: Operation, arguments: Mapping[str, Any], request: HttpRequest) -> None:
    """Let a request pass only if its If-Match, where it has one, names the row's version (RFC 9110, 13.1.1).

    Args:
        world: Where the row is.
        op: The operation that is to change the row.
        arguments: The operation's validated arguments.
        request: The request; header names in lower case.

    Raises:
        ServiceError: 412, when the row has another version. A row that does not exist passes.
    """
    wanted = request.headers.get("if-match", "").strip()
    if not wanted or wanted == "*":
        return
    version = row_version(world, op, arguments)
    if version is not None and f'"{version}"' not in [w.strip() for w in wanted.split(",")]:
        raise ServiceError(
            412,
            "Precondition Failed",
            f"the resource has changed: its ETag is no longer {wanted[:80]}; read it again and use the new ETag",
        )


def _token_text(world: WorldView, client: str) -> str:
    count = world.db.execute("SELECT count(*) FROM _tokens").fetchone()[0]
    return f"tok-{client}-{count + 1}"


class Token(TypedDict):
    """A bearer token, and for how many seconds it is valid."""

    access_token: str
    token_type: str
    expires_in: int


@operation("POST", "/v1/token", public=True, status=201)
def issue_token(
    world: WorldView,
    client_id: Annotated[str, Field(description="The client's id")],
    client_secret: Annotated[str, Field(description="The client's secret")],
) -> Token:
    """Get a new bearer token for the API."""
    row = world.db.execute("SELECT secret, scope FROM _clients WHERE id = ?", (client_id,)).fetchone()
    if row is None or row[0] != client_secret:
        raise ServiceError(401, "Unauthorized", "client_id or client_secret is wrong")
    token = _token_text(world, client_id)
    world.writable().execute("INSERT INTO _tokens VALUES (?, ?, ?)", (token, row[1], world.clock.now + TOKEN_SECONDS))
    return {"access_token": token, "token_type": "Bearer", "expires_in": TOKEN_SECONDS}


def response_type(op: Operation) -> Any:
    """The annotation of the operation's body, for the OpenAPI document."""
    return get_type_hints(op.function).get("return", JSON)
