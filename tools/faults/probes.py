"""A small world and requests to it, on which the conformance check tries a kind of fault.

Real backends: a service, a database behind its guarded door, a search engine over four documents; what the tools
would make of their replies stands here as text.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from faultgym.core.bank import banked
from faultgym.core.json import JSON
from faultgym.tools.channels.http.pages import Cursor, Limit, encode_cursor, page
from faultgym.tools.channels.http.service import SERVICE_TABLES, Service, ServiceError, operation
from faultgym.tools.channels.sql.connection import GuardedConnection, write_schema_table
from faultgym.tools.channels.sql.policy import SqlPolicy
from faultgym.tools.context import Clock, Effect, FieldHints, WorldView
from faultgym.tools.declare import identifier
from faultgym.tools.exchange import (
    Document,
    HttpRequest,
    HttpResponse,
    SearchHit,
    SearchReply,
    SearchRequest,
    SqlReply,
    SqlRequest,
)
from faultgym.tools.faults.types import Channel, Site
from faultgym.tools.types import ToolCall, ToolResult

REQUESTS: Mapping[Channel, type] = {"http": HttpRequest, "sql": SqlRequest, "search": SearchRequest, "tool": ToolCall}
"""What passes the fault layer in each channel, on the way to the backend."""
REPLIES: Mapping[Channel, type] = {"http": HttpResponse, "sql": SqlReply, "search": SearchReply, "tool": ToolResult}
"""What passes it on the way back."""

_STATES = ("open", "paid", "shipped")
_COLUMNS = ("id", "name", "status", "total_cents", "currency", "version")
_READABLE = {
    "orders": frozenset(_COLUMNS),
    "remarks": frozenset({"id", "order_id", "body", "created_at"}),
}
_SCHEMA = """
CREATE TABLE orders (id TEXT PRIMARY KEY, name TEXT NOT NULL, status TEXT NOT NULL, total_cents INTEGER NOT NULL,
    currency TEXT NOT NULL, version INTEGER NOT NULL DEFAULT 1) WITHOUT ROWID;
CREATE TABLE remarks (id INTEGER PRIMARY KEY, order_id TEXT NOT NULL REFERENCES orders (id), body TEXT NOT NULL,
    created_at TEXT NOT NULL DEFAULT '');
"""
_DOCUMENTS = [
    Document(
        "DOC-1001",
        title="Refund policy",
        kind="policy",
        body="A refund is due within 14 days of the return. " * 4,
        updated="2026-01-05",
    ),
    Document(
        "DOC-1002",
        title="Late refunds",
        kind="policy",
        body="A refund later than 30 days costs 5 percent.",
        updated="2026-02-01",
    ),
    Document(
        "DOC-1003",
        title="Opening hours",
        kind="note",
        body="The desk is open from 9 to 17 on working days.",
        updated="2026-01-20",
    ),
    Document("DOC-1004", title="Fire drill", kind="note", body="Leave by the north stairs.", updated="2025-11-02"),
]
_TOKEN = {"authorization": "Bearer tok-probe"}


def _order(world: WorldView, order_id: str) -> JSON:
    row = world.db.execute(f"SELECT {', '.join(_COLUMNS)} FROM orders WHERE id = ?", (order_id,)).fetchone()
    if row is None:
        raise ServiceError(404, "Not Found", f"order {order_id} does not exist")
    return dict(zip(_COLUMNS, row, strict=True))


@banked("code", 1)
def service() -> Service:
    """The probe world's routes: a record in two versions, a listing in pages, a write."""
    of_order: Mapping[str, Any] = {"tables": ("orders",), "versioned": ("orders", "order_id")}

    def get_order(world: WorldView, order_id: str) -> JSON:
        """Read an order."""
        return _order(world, order_id)

    def get_order_v2(world: WorldView, order_id: str) -> JSON:
        """Read an order, the newer way."""
        body = _order(world, order_id)
        cents = body.pop("total_cents")
        return {**body, "total": {"amount": f"{cents // 100}.{cents % 100:02d}", "currency": body.pop("currency")}}

    def list_orders(world: WorldView, status: str | None = None, cursor: Any = None, limit: Any = 5) -> JSON:
        """List orders."""
        where, values = ("status = ?", [status]) if status else ("1", [])
        return page(world.db, _COLUMNS, "orders", where, values, cursor=cursor, limit=limit)

    def set_status(world: WorldView, order_id: str, status: str, note: str | None = None) -> JSON:
        """Change the status of an order."""
        _order(world, order_id)
        world.writable().execute("UPDATE orders SET status = ?, version = version + 1 WHERE id = ?", (status, order_id))
        world.effect("set_status", "orders", order_id, status=status)
        return _order(world, order_id)

    for function in (get_order, get_order_v2, set_status):
        function.__annotations__["order_id"] = identifier("ORD", "The order")
    list_orders.__annotations__ |= {"cursor": Cursor | None, "limit": Limit}
    return Service(
        "probes",
        [
            operation("GET", "/v1/orders/{order_id}", successor="get_order_v2", **of_order)(get_order),
            operation("GET", "/v2/orders/{order_id}", **of_order)(get_order_v2),
            operation("GET", "/v1/orders", tables=("orders",), listing=True)(list_orders),
            operation("POST", "/v1/orders/{order_id}/status", **of_order)(set_status),
        ],
    )


@banked("code", 1)
def _image() -> bytes:
    db = sqlite3.connect(":memory:", isolation_level=None)
    db.executescript(SERVICE_TABLES + _SCHEMA)
    for n in range(12):
        row = (f"ORD-{1001 + n}", f"order {n}", _STATES[n % 3], 4150 + 100 * n, "EUR", 1)
        db.execute("INSERT INTO orders VALUES (?, ?, ?, ?, ?, ?)", row)
    db.execute("INSERT INTO _clients VALUES ('probe', 'secret', 'all')")
    db.execute("INSERT INTO _tokens VALUES ('tok-probe', 'all', 1e9)")
    write_schema_table(db, _READABLE)
    return db.serialize()


class ProbeIndex:
    """A search engine that finds the documents that hold any word of a query.

    Written without tantivy: third parties can check a kind without installing an engine.
    """

    documents: Mapping[str, Document] = {document.id: document for document in _DOCUMENTS}

    def search(self, request: SearchRequest) -> SearchReply:
        """All hits on one page; an error for an empty query, as the real engine gives it."""
        terms = request.query.lower().split()
        if not terms:
            return SearchReply(error="the query has no word to search for")
        found = [d for d in self.documents.values() if any(t in f"{d.title} {d.body}".lower() for t in terms)]
        hits = tuple(
            SearchHit(id=d.id, title=d.title, kind=d.kind, snippet=d.body[:160], score=1.0, updated=d.updated)
            for d in found
        )
        return SearchReply(hits=hits, total=len(hits), page=request.page)


class ProbeWorld:
    """A fresh world for one trial; a `WorldView`."""

    index = ProbeIndex()
    hints = FieldHints({"status": _STATES}, frozenset({"total_cents"}), frozenset({"order_id"}))

    def __init__(self) -> None:
        self.clock = Clock()
        self.effects: list[Effect] = []
        self.guarded = GuardedConnection(_image(), SqlPolicy(_READABLE, writable=frozenset({"remarks"})))

    @property
    def db(self) -> sqlite3.Connection:
        """The trusted door for reading."""
        return self.guarded.raw

    def writable(self) -> sqlite3.Connection:
        """The trusted door for writing."""
        return self.guarded.raw

    def guarded_writable(self) -> GuardedConnection:
        """The untrusted door for writing."""
        return self.guarded

    def effect(self, kind: str, table: str, key: str, **values: Any) -> None:
        """Note a write."""
        self.effects.append(Effect(kind, table, key, values))

    @property
    def now_iso(self) -> str:
        """The virtual time as ISO 8601, UTC."""
        return self.time()

    def time(self) -> str:
        """The virtual time as `now_iso` gives it, for callers that pass the function on."""
        minutes, seconds = divmod(int(self.clock.now), 60)
        return f"2026-03-02T{(9 + minutes // 60) % 24:02d}:{minutes % 60:02d}:{seconds:02d}Z"


@dataclass(frozen=True, slots=True)
class KindProbe:
    """One request at which a kind is tried."""

    name: str
    """For messages: `http GET /v1/orders/ORD-1001`."""
    site: Site
    request: Any
    backend: Callable[[ProbeWorld, Any], Any]
    """The true reply to a request."""


def probes(channel: Channel) -> tuple[KindProbe, ...]:
    """The requests of one channel: reads and writes, found and not found, well and badly formed.

    Example:
        >>> [probe.name for probe in probes("search")][:2]
        ["search 'refund policy'", "search 'opening hours'"]
    """
    return {"http": _http, "sql": _sql, "search": _search, "tool": _tool}[channel]()


def _http() -> tuple[KindProbe, ...]:
    def answer(world: ProbeWorld, request: HttpRequest) -> HttpResponse:
        return service().handle(world, request)

    def probe(method: str, path: str, route: str, **more: Any) -> KindProbe:
        request = HttpRequest(method, path, **{"headers": _TOKEN, **more})
        op = service().operations.get(route)
        site = Site("http", "http")
        if op is not None:
            write = op.write and op.name != "issue_token"
            site = Site(
                channel="http", tool="http", route=op.name, write=write, listing=op.listing, successor=op.successor,
                versioned=op.versioned, tables=op.tables, path=op.path,
            )  # fmt: skip
        query = "&".join(f"{name}={value}" for name, value in request.query.items())
        return KindProbe(f"http {method} {path}{'?' if query else ''}{query}", site, request, answer)

    lent = {"cursor": encode_cursor("ORD-1003"), "limit": "3"}
    return (
        probe("GET", "/v1/orders/ORD-1001", "get_order"),
        probe("GET", "/v1/orders/1002", "get_order"),
        probe("GET", "/v1/orders/ORD-9999", "get_order"),
        probe("GET", "/v1/orders/ORD-1001", "get_order", headers={}),
        probe("GET", "/v2/orders/ORD-1001", "get_order_v2"),
        probe("GET", "/v1/orders", "list_orders"),
        probe("GET", "/v1/orders", "list_orders", query=lent),
        probe("GET", "/v1/orders", "list_orders", query={"status": "none such"}),
        probe("POST", "/v1/orders/ORD-1001/status", "set_status", body=b'{"status": "paid"}'),
        probe("POST", "/v1/orders/ORD-1001/status", "set_status", body=b"{"),
        probe("POST", "/v1/token", "issue_token", body=b'{"client_id": "probe", "client_secret": "secret"}'),
        probe("GET", "/nothing/here", ""),
    )


def _sql() -> tuple[KindProbe, ...]:
    def answer(world: ProbeWorld, request: SqlRequest) -> SqlReply:
        reply = world.guarded.run(request.statement, write_allowed=True, now=world.time)
        if reply.changes > 0:
            world.effect("sql:write", "remarks", request.statement)
        return reply

    def probe(statement: str, write: bool = False) -> KindProbe:
        site = Site("sql", "sql", "write" if write else "read", write=write)
        return KindProbe(f"sql {statement!r}", site, SqlRequest(statement), answer)

    insert = "INSERT INTO remarks (order_id, body) VALUES ('ORD-1001', 'seen')"
    return (
        probe("SELECT id, status, total_cents FROM orders WHERE status = 'paid'"),
        probe("SELECT status FROM orders WHERE id = 'ORD-1001' LIMIT 1"),
        probe("SELECT count(*) FROM orders"),
        probe("SELECT id FROM orders WHERE id = 'ORD-9999'"),
        probe("SELECT * FROM schema"),
        probe("SELECT nothing FROM nowhere"),
        probe("not SQL"),
        probe(insert, write=True),
        probe(insert, write=True),
        probe("UPDATE orders SET status = 'open'", write=True),
    )


def _search() -> tuple[KindProbe, ...]:
    site = Site("search", "search", "", listing=True, tables=("documents",))
    requests = (
        SearchRequest("refund policy"),
        SearchRequest("opening hours", {"kind": "note"}),
        SearchRequest("policy refund", page=2),
        SearchRequest("unheard-of"),
        SearchRequest(""),
    )
    return tuple(KindProbe(f"search {r.query!r}", site, r, lambda world, r: world.index.search(r)) for r in requests)


_RESULTS = {
    "get_order": ("ok", 'HTTP 200 OK\n\n{"id":"ORD-1001","status":"paid","version":1}'),
    "list_orders": ("ok", 'HTTP 200 OK\n\n{"items":[{"id":"ORD-1001"},{"id":"ORD-1002"}],"total":2}'),
    "sql": ("ok", '{"rows":[{"id":"ORD-1001","status":"paid"}],"source":"primary"}'),
    "search": ("ok", '{"total":1,"page":1,"pages":1,"hits":[{"id":"DOC-1001","snippet":"A refund"}]}'),
    "wait": ("ok", "waited 5 s; it is now 2026-03-02T09:00:05Z"),
    "http": ("http_404", "HTTP 404 Not Found\n\n{}"),
}


def _tool() -> tuple[KindProbe, ...]:
    def answer(world: ProbeWorld, call: ToolCall) -> ToolResult:
        code, content = _RESULTS.get(call.name, ("unknown_tool", f"error: there is no tool {call.name!r}"))
        return ToolResult(call.id, call.name, content, code)

    def probe(name: str, arguments: JSON | None, raw: str = "") -> KindProbe:
        call = ToolCall("call_0", name, arguments, raw)
        return KindProbe(f"tool {name or '(no name)'} {arguments or raw}", Site("tool", name), call, answer)

    return (
        probe("get_order", {"order_id": "ORD-1001"}),
        probe("list_orders", {}),
        probe("sql", {"query": "SELECT status FROM orders WHERE id = 'ORD-1001'"}),
        probe("search", {"query": "refund"}),
        probe("http", {"method": "GET", "path": "/v1/orders/ORD-9999"}),
        probe("sql", None, '{"query": "SELECT 1"}'),
        probe("sql", None, "not JSON"),
        probe("wait", {"seconds": 5}),
        probe("no_such_tool", {}),
        probe("", None, "text that is no call"),
    )
