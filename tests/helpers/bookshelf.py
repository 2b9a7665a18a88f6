"""A small suite as a third party would write it: a lending library. The conformance kit is tried on it."""

import random
import sqlite3
from typing import Annotated, Literal

from pydantic import Field
from typing_extensions import TypedDict

from faultgym.envs.judging.answers import Atom
from faultgym.envs.judging.form import AnswerField
from faultgym.envs.judging.goal import Goal
from faultgym.envs.registry import register_suite
from faultgym.envs.suite import Drawn, Entity, EntitySource, FieldHints, Suite, Template
from faultgym.envs.suites.common import (
    DOCUMENT_COLUMNS,
    DOCUMENTS_TABLE,
    Note,
    add_document,
    read_documents,
    record,
    service,
)
from faultgym.envs.worlds.changes import update
from faultgym.envs.worlds.names import Names
from faultgym.tools.channels.http.pages import Cursor, Limit, page
from faultgym.tools.channels.http.service import ServiceError, operation
from faultgym.tools.context import WorldView
from faultgym.tools.declare import identifier


class Book(TypedDict):
    id: str
    title: str
    status: str
    price_cents: int
    version: int


class Page(TypedDict):
    items: list[Book]
    total: int
    next_cursor: str | None


BookId = identifier("BOK", "The book")
COLUMNS = ("id", "title", "status", "price_cents", "version")


@operation("GET", "/v1/books/{book_id}", tables=("books",), versioned=("books", "book_id"))
def get_book(world: WorldView, book_id: BookId) -> Book:
    """Read one book."""
    return record(world, "books", COLUMNS, book_id, "book")


@operation("GET", "/v1/books", tables=("books",), listing=True)
def list_books(
    world: WorldView,
    status: Annotated[Literal["in", "out"] | None, Field(description="Only these")] = None,
    cursor: Cursor | None = None,
    limit: Limit = 20,
) -> Page:
    """List books by id."""
    where, values = ("status = ?", [status]) if status else ("1", [])
    return page(world.db, COLUMNS, "books", where, values, cursor=cursor, limit=limit)


@operation("POST", "/v1/books/{book_id}/lend", tables=("books",), versioned=("books", "book_id"))
def lend_book(world: WorldView, book_id: BookId, note: Note | None = None) -> Book:
    """Lend a book that is in."""
    book = get_book.function(world, book_id)
    if book["status"] == "out":
        raise ServiceError(409, "Conflict", f"book {book_id} is out already")
    world.writable().execute("UPDATE books SET status = 'out', version = version + 1 WHERE id = ?", (book_id,))
    world.effect("lend_book", "books", book_id, status="out")
    return get_book.function(world, book_id)


def build(db: sqlite3.Connection, names: Names) -> None:
    for n in range(30):
        title = f"{names.word().capitalize()} {names.word()}"
        status, price = ("in", "out")[n % 3 == 0], names.rng.randrange(500, 5000)
        db.execute("INSERT INTO books VALUES (?, ?, ?, ?, 1)", (names.identifier("BOK"), title, status, price))
    add_document(db, names.identifier("DOC"), "Lending rules", "policy", "2026-01-05", "A book is lent for 14 days.")


def draw_price(db: sqlite3.Connection, rng: random.Random) -> Drawn:
    book, price = rng.choice(db.execute("SELECT id, price_cents FROM books ORDER BY id").fetchall())
    return Drawn({"book_id": book}, Goal(expected=(Atom("money", str(price)),)))


def solve_price(desk):
    book = yield from desk.read("book", desk.p["book_id"])
    cents = book["price_cents"]
    return desk.answer(f"It costs {cents} cents.", price=cents / 100)


def draw_lend(db: sqlite3.Connection, rng: random.Random) -> Drawn:
    (book,) = rng.choice(db.execute("SELECT id FROM books WHERE status = 'in' ORDER BY id").fetchall())
    return Drawn({"book_id": book}, Goal(changes=(update("books", book, status="out"),)))


def solve_lend(desk):
    yield from desk.write("lend_book", book_id=desk.p["book_id"])
    return desk.answer(f"The book {desk.p['book_id']} is lent.")


TEMPLATES = (
    Template(
        "price",
        "Say what a book costs",
        (
            "What does {book_id} cost?",
            "Tell me the price of {book_id}.",
            "How much is the book {book_id}?",
            "I need the price of {book_id}.",
            "The price of {book_id}, please.",
        ),
        draw_price,
        solve_price,
        answer=(AnswerField("price", "money", "The price of the book", unit="EUR"),),
    ),
    Template(
        "lend",
        "Lend a book",
        (
            "Lend {book_id}.",
            "Please lend the book {book_id}.",
            "Mark {book_id} as lent.",
            "Somebody takes {book_id} home: lend it.",
            "{book_id} goes out today, record it.",
        ),
        draw_lend,
        solve_lend,
    ),
)

SUITE = register_suite(
    Suite(
        name="bookshelf",
        title="A lending library",
        version=1,
        role="You work at the desk of a library.",
        rules=("Amounts are in euro cents.",),
        schema="CREATE TABLE books (id TEXT PRIMARY KEY, title TEXT NOT NULL, status TEXT NOT NULL, "
        "price_cents INTEGER NOT NULL, version INTEGER NOT NULL) WITHOUT ROWID;\n" + DOCUMENTS_TABLE,
        build=build,
        documents=read_documents,
        service=service("Library", [get_book, list_books, lend_book]),
        readable={"books": frozenset(COLUMNS[:4]), "documents": frozenset(DOCUMENT_COLUMNS)},
        writable=frozenset(),
        visible={"books": ("id", ("title", "status", "price_cents"))},
        templates={template.name: template for template in TEMPLATES},
        entities={
            "book": Entity(
                "book",
                "book_id",
                (
                    EntitySource(operation="get_book"),
                    EntitySource(sql="SELECT id, title, status, price_cents FROM books WHERE id = '{id}'"),
                ),
            )
        },
        hints=FieldHints(choices={"status": ("in", "out")}, money=frozenset({"price_cents"})),
        id_prefixes=("BOK", "DOC"),
    )
)
