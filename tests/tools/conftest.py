"""A small shelf of things behind real tools: a real database, a real index, a real service."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

import pytest
from pydantic import Field

from faultgym.core.json import JSON
from faultgym.tools.channels.http.pages import Cursor, Limit, page
from faultgym.tools.channels.http.service import SERVICE_TABLES, Operation, Service, ServiceError, operation
from faultgym.tools.channels.search import SearchIndex
from faultgym.tools.channels.sql.connection import GuardedConnection, write_schema_table
from faultgym.tools.channels.sql.policy import SqlPolicy
from faultgym.tools.context import Clock, Effect, FieldHints
from faultgym.tools.declare import identifier
from faultgym.tools.exchange import Document
from faultgym.tools.faults.layer import FaultLayer
from faultgym.tools.faults.plan import FaultPlan, compile_plan
from faultgym.tools.faults.probes import ProbeWorld
from faultgym.tools.faults.types import FaultEvent
from faultgym.tools.session import Session
from faultgym.tools.toolbox import STANDARD, CallRecord, Toolbox, endpoint_tools
from faultgym.tools.types import ToolCall

STATES = ("new", "lent", "returned")
COLUMNS = ("id", "name", "state", "price_cents", "currency", "version")
SCHEMA = """
CREATE TABLE things (id TEXT PRIMARY KEY, name TEXT NOT NULL, state TEXT NOT NULL, price_cents INTEGER NOT NULL,
    currency TEXT NOT NULL, version INTEGER NOT NULL DEFAULT 1) WITHOUT ROWID;
CREATE TABLE remarks (id INTEGER PRIMARY KEY, thing_id TEXT NOT NULL REFERENCES things (id), body TEXT NOT NULL,
    created_at TEXT NOT NULL DEFAULT '');
"""
READABLE = {
    "things": frozenset(COLUMNS),
    "remarks": frozenset({"id", "thing_id", "body", "created_at"}),
}
DOCUMENTS = [
    Document(
        "DOC-1", title="Lending rules", kind="rule", body="A thing may be lent for 14 days. " * 4, updated="2026-01-05"
    ),
    Document(
        "DOC-2",
        title="Late returns",
        kind="rule",
        body="A late thing costs 30 cents a day, lent or not.",
        updated="2026-02-01",
    ),
    Document(
        "DOC-3",
        title="Opening hours",
        kind="note",
        body="The shelf is open from 9 to 17 on working days.",
        updated="2026-01-20",
    ),
    Document("DOC-4", title="Fire drill", kind="note", body="Leave by the north stairs.", updated="2025-11-02"),
]
ThingId = identifier("THG", "The thing")
Note = Annotated[str, Field(max_length=200)]


def _thing(world: Any, thing_id: str) -> JSON:
    row = world.db.execute(f"SELECT {', '.join(COLUMNS)} FROM things WHERE id = ?", (thing_id,)).fetchone()
    if row is None:
        raise ServiceError(404, "Not Found", f"thing {thing_id} does not exist")
    return dict(zip(COLUMNS, row, strict=True))


OF_THING: Mapping[str, Any] = {"tables": ("things",), "versioned": ("things", "thing_id")}


def _get_thing(world: Any, thing_id: ThingId) -> JSON:  # type: ignore[valid-type]
    """Read a thing."""
    return _thing(world, str(thing_id))


def _get_thing_v2(world: Any, thing_id: ThingId) -> JSON:  # type: ignore[valid-type]
    """Read a thing, the newer way."""
    body = _thing(world, str(thing_id))
    cents = body.pop("price_cents")
    return {**body, "price": {"amount": f"{cents // 100}.{cents % 100:02d}", "currency": body.pop("currency")}}


def _list_things(world: Any, state: str | None = None, cursor: Cursor | None = None, limit: Limit = 10) -> JSON:
    """List things."""
    where, values = ("state = ?", [state]) if state else ("1", [])
    return page(world.db, COLUMNS, "things", where, values, cursor=cursor, limit=limit)


def _set_state(world: Any, thing_id: ThingId, state: str, note: Note | None = None) -> JSON:  # type: ignore[valid-type]
    """Change the state of a thing."""
    _thing(world, str(thing_id))
    world.writable().execute("UPDATE things SET state = ?, version = version + 1 WHERE id = ?", (state, thing_id))
    world.effect("set_state", "things", str(thing_id), state=state)
    return _thing(world, str(thing_id))


def _operation(function: Callable[..., Any], method: str, path: str, **more: Any) -> Operation:
    function.__name__ = function.__name__.lstrip("_")
    return operation(method, path, **more)(function)


SERVICE = Service(
    "shelf",
    [
        _operation(_get_thing, "GET", "/v1/things/{thing_id}", successor="get_thing_v2", **OF_THING),
        _operation(_get_thing_v2, "GET", "/v2/things/{thing_id}", **OF_THING),
        _operation(_list_things, "GET", "/v1/things", tables=("things",), listing=True),
        _operation(_set_state, "POST", "/v1/things/{thing_id}/state", **OF_THING),
    ],
)


def _image() -> bytes:
    db = sqlite3.connect(":memory:", isolation_level=None)
    db.executescript(SERVICE_TABLES + SCHEMA)
    for n in range(25):
        row = (f"THG-{100 + n}", f"thing {n}", STATES[n % 3], 4150 + 100 * n, "EUR", 1)
        db.execute("INSERT INTO things VALUES (?, ?, ?, ?, ?, ?)", row)
    db.execute("INSERT INTO _clients VALUES ('desk', 'secret', 'all')")
    db.execute("INSERT INTO _tokens VALUES ('tok-desk', 'all', 100000.0)")
    write_schema_table(db, READABLE)
    return db.serialize()


class Shelf(ProbeWorld):
    """The world: its own database from the start, which is all that these tests need."""

    index = SearchIndex(DOCUMENTS)
    hints = FieldHints({"state": STATES}, frozenset({"price_cents"}), writes={"THG": "return {id}"})

    def __init__(self) -> None:
        self.clock = Clock()
        self.effects: list[Effect] = []
        self.guarded = GuardedConnection(IMAGE, SqlPolicy(READABLE, writable=frozenset({"remarks"})))


IMAGE = _image()
TOOLS = {**STANDARD, **endpoint_tools(SERVICE)}


class Lab:
    """An agent's session at the shelf under some fault rules."""

    def __init__(self, rules: Sequence[JSON] = (), seed: int = 0) -> None:
        self.world = Shelf()
        self.layer = FaultLayer(compile_plan(FaultPlan.from_rules(rules), seed))
        session = Session(self.world, SERVICE, self.layer, token="tok-desk", sql_writes=True)
        self.toolbox = Toolbox(TOOLS, session)

    @property
    def events(self) -> list[FaultEvent]:
        return self.layer.events

    def call(self, tool: str, **arguments: Any) -> CallRecord:
        return self.toolbox.call(ToolCall("c", tool, arguments))

    def text(self, tool: str, **arguments: Any) -> str:
        return self.call(tool, **arguments).result.content

    def get(self, path: str, **query: Any) -> str:
        return self.text("http", method="GET", path=path, **({"query": query} if query else {}))

    def body(self, path: str, **query: Any) -> Any:
        return json.loads(self.get(path, **query).partition("\n\n")[2])

    def post(self, path: str, body: JSON, **headers: str) -> str:
        return self.text("http", method="POST", path=path, body=body, headers=headers)

    def sql(self, statement: str) -> Any:
        text = self.text("sql", query=statement)
        return text if text.startswith("error") else json.loads(text)

    def search(self, query: str) -> Any:
        return json.loads(self.text("search", query=query))


@pytest.fixture(scope="session")
def lab() -> type[Lab]:
    """Makes a session at the shelf under fault rules."""
    return Lab
