"""The tools every suite offers: `search`, `sql`, `http` and `wait`, each one typed function."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal
from urllib.parse import parse_qsl, unquote, urlsplit

import orjson
from pydantic import Field

from faultgym.core.values import maker
from faultgym.tools.context import WorldView
from faultgym.tools.exchange import (
    HttpRequest,
    HttpResponse,
    SearchReply,
    SearchRequest,
    SqlReply,
    SqlRequest,
)
from faultgym.tools.faults.types import Site
from faultgym.tools.session import CallOutcome, Session, lower_names

SEARCH_SITE = Site("search", "search", "", listing=True, tables=("documents",))
SQL_READ = Site("sql", "sql", "read")
SQL_WRITE = Site("sql", "sql", "write", write=True)
SHOWN_HEADERS = (
    "content-type", "content-length", "etag", "retry-after", "location", "link", "age", "warning",
    "www-authenticate", "idempotent-replayed", "allow",
)  # fmt: skip
"""The response headers that a model is shown; plain JSON's content type is left out."""
REASONS = {
    200: "OK", 201: "Created", 204: "No Content", 301: "Moved Permanently", 307: "Temporary Redirect",
    308: "Permanent Redirect", 400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found",
    405: "Method Not Allowed", 409: "Conflict", 410: "Gone", 412: "Precondition Failed",
    415: "Unsupported Media Type", 422: "Unprocessable Content", 429: "Too Many Requests",
    500: "Internal Server Error", 502: "Bad Gateway", 503: "Service Unavailable", 504: "Gateway Timeout",
    507: "Insufficient Storage",
}  # fmt: skip


def search(
    session: Session,
    query: Annotated[str, Field(description="Words to look for")],
    kind: Annotated[str | None, Field(description="Only documents of this kind")] = None,
    page: Annotated[int, Field(ge=1, le=1000, description="Page of results, from 1")] = 1,
    size: Annotated[int, Field(ge=1, le=20, description="Results per page")] = 5,
) -> CallOutcome:
    """Search the team's documents. Returns ids, titles and snippets, best match first."""
    world = session.world
    request = SearchRequest(query, {"kind": kind} if kind else {}, page, size)
    reply = session.layer.exchange(world, SEARCH_SITE, request, lambda r: world.index.search(r))
    return CallOutcome(render_search(reply), "search_error" if reply.error else "ok", ("documents",))


def render_search(reply: SearchReply) -> str:
    """A page of hits as the model sees it."""
    if reply.error:
        return f"error: {reply.error}"
    body: dict[str, Any] = {"total": reply.total, "page": reply.page, "pages": reply.pages}
    if reply.timed_out:
        body["timed_out"] = True
    if reply.shards_failed:
        body["shards_failed"] = reply.shards_failed
    body["hits"] = [
        {"id": h.id, "title": h.title, "kind": h.kind, "updated": h.updated, "snippet": h.snippet} for h in reply.hits
    ]
    return orjson.dumps(body).decode()


def sql(
    session: Session,
    query: Annotated[str, Field(description="One SQLite statement; SELECT * FROM schema lists the tables")],
) -> CallOutcome:
    """Run one SQL statement on the team's database."""
    world, layer = session.world, session.layer
    writes = is_write(world, query)
    if layer.armed("sql"):
        site = SQL_WRITE if writes else SQL_READ
        may_write = writes and session.sql_writes
        reply = layer.exchange(world, site, SqlRequest(query), lambda r: run_sql(world, r.statement, may_write))
    elif writes:
        reply = run_sql(world, query, session.sql_writes)
    else:
        reply = world.guarded.run(query, write_allowed=False, now=world.time)
    tables = tuple(reply.tables)
    if len(tables) > 1:
        tables = tuple(sorted(tables))
    if reply.error:
        code = "timeout" if reply.error.startswith("timeout") else "sql_error"
        return CallOutcome(f"error: {reply.error}", code, tables, writes)
    return CallOutcome(render_sql(reply, writes), "ok", tables, writes)


def is_write(world: WorldView, statement: str) -> bool:
    """Whether the statement is meant to change something: by its first word, else by what SQLite makes of it.

    Args:
        world: Where the statement would run; nothing in it is changed.
        statement: One SQLite statement, as a model wrote it.
    """
    word = statement.lstrip(" \t\r\n(")[:7].upper()
    if word.startswith("SELECT"):
        return False
    return word.startswith(("INSERT", "UPDATE", "DELETE", "REPLACE")) or world.guarded.writes(statement)


def run_sql(world: WorldView, statement: str, may_write: bool) -> SqlReply:
    """Run a statement through the guarded door and note what it changed.

    Args:
        world: Where the statement runs.
        statement: One SQLite statement, as a model wrote it.
        may_write: Whether the statement may change the suite's writable tables.

    Returns:
        The rows, or the error that the model reads.
    """
    if not may_write:
        return world.guarded.run(statement, write_allowed=False, now=world.time)
    reply = world.guarded_writable().run(statement, write_allowed=True, now=world.time)
    if reply.changes > 0:
        world.effect("sql:write", ",".join(sorted(reply.tables)), statement, rows=reply.changes)
    return reply


def render_sql(reply: SqlReply, writes: bool) -> str:
    """Rows, or the number of rows changed, as JSON that the model sees.

    Args:
        reply: A reply without an error.
        writes: Whether the statement was a write; with no columns, the number of changed rows is shown.
    """
    if writes and not reply.columns:
        return orjson.dumps({"changes": reply.changes, "source": reply.source}).decode()
    columns = reply.columns
    body: dict[str, Any] = {"rows": [dict(zip(columns, row, strict=True)) for row in reply.rows]}
    if reply.truncated:
        body["truncated"] = f"only the first {len(reply.rows)} rows are shown: narrow the query"
    body["source"] = reply.source
    return orjson.dumps(body).decode()


Scalar = str | int | float | bool
_request = maker(HttpRequest)


def http(
    session: Session,
    method: Annotated[Literal["GET", "POST", "PUT", "PATCH", "DELETE"], Field(description="HTTP method")],
    path: Annotated[str, Field(description="Path such as /v1/token", max_length=2000)],
    query: Annotated[dict[str, Scalar] | None, Field(description="Query parameters")] = None,
    headers: Annotated[
        dict[str, str] | None,
        Field(description="Such as Idempotency-Key, If-Match; the token is added for you"),
    ] = None,
    body: Annotated[dict[str, Any] | None, Field(description="JSON body")] = None,
) -> CallOutcome:
    """Send a request to the team's REST API. GET /v1/openapi lists the routes."""
    request = http_request(method, path, query or {}, headers or {}, body)
    return send(session, "http", request)


def http_request(
    method: str,
    path: str,
    query: Mapping[str, Scalar],
    headers: Mapping[str, str],
    body: dict[str, Any] | None,
) -> HttpRequest:
    """The request of an `http` call; a query inside the path counts, a host is ignored.

    Args:
        method: The HTTP method.
        path: The path, or a whole URL.
        query: Query parameters; where the path holds the same name, the value given here counts.
        headers: Header names in any case.
        body: The JSON object to send; None for no body.

    Example:
        >>> http_request("GET", "/v1/orders?limit=5", {"paid": True}, {}, None).query
        {'limit': '5', 'paid': 'true'}
    """
    clean = {name: _query_text(value) for name, value in query.items()} if query else {}
    if "?" in path or "://" in path or "%" in path or "#" in path:
        path, inside = split_path(path)
        clean = {**inside, **clean}
    return _request(
        method,
        path,
        query=clean,
        headers=lower_names(headers) if headers else {},
        body=b"" if body is None else orjson.dumps(body),
    )


def split_path(path: str) -> tuple[str, dict[str, str]]:
    """Split a URL into its path, without escapes, and the query inside it; never raises.

    Example:
        >>> split_path("/v1/orders?status=paid%20late")
        ('/v1/orders', {'status': 'paid late'})
    """
    try:
        parts = urlsplit(path)
    except ValueError:  # a host in brackets that is no address: not this API
        return path, {}
    return unquote(parts.path), dict(parse_qsl(parts.query, keep_blank_values=True))


def _query_text(value: Scalar) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def send(session: Session, tool: str, request: HttpRequest) -> CallOutcome:
    """Send the request and show the response as text.

    Args:
        session: What the tools work on.
        tool: The tool that the model called.
        request: The HTTP request that the call stands for.

    Returns:
        The response as `render_http` shows it, or an error where none arrived; with the code `http_STATUS` from 300 on.
    """
    return http_outcome(*session.send(tool, request))


def http_outcome(response: HttpResponse, site: Site) -> CallOutcome:
    """What a call of `http` gives back for a response.

    Args:
        response: The response as the faults left it.
        site: Where the request passed them.
    """
    if response.status == 0:
        return CallOutcome(f"error: {response.transport}", response.transport.split(":")[0], site.tables, site.write)
    code = "ok" if response.status < 300 else f"http_{response.status}"
    return CallOutcome(render_http(response), code, site.tables, site.write)


def render_http(response: HttpResponse) -> str:
    """A response as the model sees it: status line, the headers that matter, body."""
    head = f"HTTP {response.status} {REASONS.get(response.status, '')}".rstrip()
    for name, value in response.headers.items():
        if name in SHOWN_HEADERS and value not in ("application/json", "application/problem+json"):
            head += f"\n{name}: {value}"
    return f"{head}\n\n{response.body.decode('utf-8', 'replace')}"


def wait(
    session: Session, seconds: Annotated[float, Field(gt=0, le=86400, description="How long to wait")]
) -> CallOutcome:
    """Wait before the next call, for instance as long as Retry-After asks."""
    session.world.clock.advance(seconds)
    return CallOutcome(f"waited {seconds:g} s; it is now {session.world.now_iso}")
