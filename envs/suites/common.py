"""What the services of all suites share: documents, the list of routes, and small pieces of routes."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field
from typing_extensions import TypedDict

from faultgym.core.json import JSON
from faultgym.tools.channels.http.service import Operation, Service, ServiceError, operation
from faultgym.tools.context import WorldView
from faultgym.tools.declare import identifier
from faultgym.tools.exchange import Document

DOCUMENTS_TABLE = """
CREATE TABLE documents (id TEXT PRIMARY KEY, title TEXT NOT NULL, kind TEXT NOT NULL, updated TEXT NOT NULL,
    body TEXT NOT NULL, version INTEGER NOT NULL DEFAULT 1);
"""
"""DDL of the documents, which search, SQL and `get_document` all read. Not WITHOUT ROWID: on small pages
that would put most of each text on an overflow page of its own."""
DOCUMENT_COLUMNS = ("id", "title", "kind", "updated", "body")
"""What the SQL tool may see of them."""

if TYPE_CHECKING:
    DocumentId = str
else:
    DocumentId = identifier("DOC", "The document")

Note = Annotated[str, Field(description="Why, in a few words; kept in the log", max_length=500)]
"""The annotation of the `note` that every write takes."""


class DocumentBody(TypedDict):
    """A document in full."""

    id: str
    title: str
    kind: str
    updated: str
    body: str
    version: int


class Route(TypedDict):
    """One route, as the list of routes shows it."""

    name: str
    method: str
    path: str
    takes: list[str]
    summary: str


class Routes(TypedDict):
    """All routes."""

    routes: list[Route]


class Money(TypedDict):
    """An amount as the second version of the API writes it: `{"amount": "41.50", "currency": "EUR"}`."""

    amount: str
    currency: str


def money(cents: int, currency: str) -> Money:
    """An amount as the second version of the API writes it.

    Example:
        >>> money(4150, "EUR")
        {'amount': '41.50', 'currency': 'EUR'}
    """
    sign = "-" if cents < 0 else ""
    return {"amount": f"{sign}{abs(cents) // 100}.{abs(cents) % 100:02d}", "currency": currency}


def euros(cents: int) -> str:
    """`cents` as a document or an answer writes it: `41.50 EUR`."""
    return f"{money(cents, 'EUR')['amount']} EUR"


@operation("GET", "/v1/documents/{document_id}", tables=("documents",))
def get_document(world: WorldView, document_id: DocumentId) -> DocumentBody:
    """Read one of the team's documents in full."""
    columns = (*DOCUMENT_COLUMNS, "version")
    body: DocumentBody = record(world, "documents", columns, document_id, "document")  # type: ignore[assignment]
    return body


def record(world: WorldView, table: str, columns: Sequence[str], key: str, noun: str) -> JSON:
    """The row of a table with this id, by column.

    Args:
        world: The world.
        table: The table: from the suite's code, never from a client.
        columns: The columns, likewise.
        key: The id.
        noun: What a row is, for the message.

    Raises:
        ServiceError: 404: no row has the id.
    """
    row = world.db.execute(f"SELECT {', '.join(columns)} FROM {table} WHERE id = ?", (key,)).fetchone()
    if row is None:
        raise ServiceError(404, "Not Found", f"{noun} {key} does not exist")
    return dict(zip(columns, row, strict=True))


def service(title: str, operations: list[Operation]) -> Service:
    """A service of these operations and the shared ones: `get_document` and `list_routes`."""
    listed: list[Route] = []

    @operation("GET", "/v1/openapi", tool=False)
    def list_routes(world: WorldView) -> Routes:
        """List the routes of this API."""
        return {"routes": listed}

    whole = Service(title, [*operations, get_document, list_routes])
    listed += [
        {
            "name": op.name,
            "method": op.method,
            "path": op.path,
            "takes": [
                name if name in op.declaration.required else f"{name}?"
                for name in op.declaration.schema.get("properties", {})
            ],
            "summary": op.declaration.description,
        }
        for op in whole.operations.values()
    ]
    return whole


def add_document(db: sqlite3.Connection, id: str, title: str, kind: str, updated: str, body: str) -> None:
    """Put a document into a world that is being built."""
    db.execute("INSERT INTO documents VALUES (?, ?, ?, ?, ?, 1)", (id, title, kind, updated, body))


def rows(db: sqlite3.Connection, query: str, *values: Any) -> list[tuple[Any, ...]]:
    """All rows of a query, which says in which order."""
    return db.execute(query, values).fetchall()


def choose(db: sqlite3.Connection, rng: random.Random, query: str, *values: Any) -> tuple[Any, ...]:
    """One row of a query by chance.

    Args:
        db: The world.
        rng: Where chance comes from.
        query: A SELECT that says in which order.
        values: For the placeholders of the query.

    Raises:
        LookupError: The query has no rows: a bug of the generator.
    """
    found = rows(db, query, *values)
    if not found:
        raise LookupError(f"no row in this world for {query!r}")
    return rng.choice(found)


def read_documents(db: sqlite3.Connection) -> list[Document]:
    """All documents of a world, for its search index."""
    found = rows(db, "SELECT id, title, kind, updated, body FROM documents ORDER BY id")
    return [Document(id=i, title=t, kind=k, updated=u, body=b) for i, t, k, u, b in found]
