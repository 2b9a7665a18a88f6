"""The guarded door of a world's database: what it shows, what it refuses, and that it never raises."""

from __future__ import annotations

import sqlite3

import pytest
from helpers.levels import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from faultgym.tools.channels.sql.connection import GuardedConnection, SqlPolicy, real_lock_message, write_schema_table

POLICY = SqlPolicy(
    readable={
        "customers": frozenset({"id", "name"}),
        "orders": frozenset({"id", "customer_id", "total", "note"}),
    },
    writable=frozenset({"orders"}),
)

SCHEMA = """
CREATE TABLE customers (id TEXT PRIMARY KEY, name TEXT, password TEXT);
CREATE TABLE orders (id TEXT PRIMARY KEY, customer_id TEXT REFERENCES customers(id), total REAL, note TEXT);
CREATE TABLE _tokens (token TEXT, scope TEXT);
INSERT INTO customers VALUES ('C1', 'Ada', 'secret-1'), ('C2', 'Bo', 'secret-2');
INSERT INTO _tokens VALUES ('secret-3', 'admin');
"""


def image() -> bytes:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.executescript(SCHEMA)
    rows = [(f"O{n}", f"C{1 + n % 2}", n * 1.5, "note " * 10) for n in range(300)]
    connection.executemany("INSERT INTO orders VALUES (?, ?, ?, ?)", rows)
    write_schema_table(connection, POLICY.readable)
    return connection.serialize()


IMAGE = image()


@pytest.fixture
def world() -> GuardedConnection:
    return GuardedConnection(IMAGE, POLICY)


def read(world: GuardedConnection, statement: str) -> str:
    """The error of a statement, after proving that it changed nothing."""
    before = world.serialize()
    reply = world.run(statement, write_allowed=False)
    assert world.serialize() == before
    assert "secret" not in repr(reply.rows)
    return reply.error


def test_a_select_gives_columns_rows_and_the_tables_it_read(world: GuardedConnection) -> None:
    reply = world.run(
        "SELECT o.id, name FROM orders o JOIN customers c ON c.id = customer_id WHERE o.id = 'O1'",
        write_allowed=False,
    )
    assert (list(reply.columns), list(reply.rows), reply.error) == (["id", "name"], [("O1", "Bo")], "")
    assert reply.tables == {"orders", "customers"}


def test_the_tables_are_the_same_the_second_time_and_in_another_world(world: GuardedConnection) -> None:
    statement = "SELECT count(*) FROM orders WHERE customer_id IN (SELECT id FROM customers)"
    other = GuardedConnection(IMAGE, POLICY)
    replies = [w.run(statement, write_allowed=False) for w in (world, world, other)]
    assert [r.tables for r in replies] == [{"orders", "customers"}] * 3
    assert replies[0] == replies[1] == replies[2]


def test_a_query_of_its_own_is_not_a_table(world: GuardedConnection) -> None:
    reply = world.run(
        "WITH a AS (SELECT id FROM orders), b AS (SELECT 1 FROM a x, a y LIMIT 9) SELECT count(*) FROM b",
        write_allowed=False,
    )
    assert (list(reply.rows), reply.tables) == ([(9,)], {"orders"})


def test_the_schema_table_lists_the_public_columns_and_nothing_else(world: GuardedConnection) -> None:
    reply = world.run("SELECT * FROM schema", write_allowed=False)
    assert {(row[0], row[1]) for row in reply.rows} == {
        (table, column) for table, columns in POLICY.readable.items() for column in columns
    }
    assert ("orders", "customer_id", "TEXT", "references customers.id") in reply.rows


@pytest.mark.parametrize(
    ("statement", "refused"),
    [
        ("ATTACH ':memory:' AS x", "ATTACH"),
        ("DETACH main", "DETACH"),
        ("PRAGMA table_info(orders)", "PRAGMA"),
        ("/* hi */ PRAGMA user_version = 1", "PRAGMA"),
        ("SELECT * FROM pragma_table_info('_tokens')", "table-valued functions"),
        ("SELECT * FROM pragma_database_list", "table-valued functions"),
        ("SELECT * FROM json_each('[1]')", "table-valued functions"),
        ("VACUUM INTO '/tmp/faultgym-leak'", "VACUUM"),
        ("SELECT load_extension('x')", "function load_extension"),
        ("SELECT readfile('/etc/passwd')", "no such function: readfile"),
        ("SELECT fts3_tokenizer('x')", "function fts3_tokenizer"),
        ("SELECT random()", "function random"),
        ("SELECT randomblob(1000000000)", "function randomblob"),
        ("SELECT zeroblob(1000000000)", "function zeroblob"),
        ("SELECT printf('%.*c', 1000000000, 'x')", "function printf"),
        ("SELECT sql FROM sqlite_master", "use SELECT * FROM schema"),
        ("SELECT count(*) FROM sqlite_master", "use SELECT * FROM schema"),
        ("SELECT * FROM (SELECT 1 FROM main.sqlite_schema)", "use SELECT * FROM schema"),
        ("SELECT * FROM sqlite_temp_master", "use SELECT * FROM schema"),
        ("SELECT 1 WHERE EXISTS (SELECT 1 FROM dbstat)", "system tables"),
        ("BEGIN", "BEGIN"),
        ("SAVEPOINT x", "SAVEPOINT"),
        ("EXPLAIN SELECT 1", "EXPLAIN"),
        ("REINDEX", "REINDEX"),
        ("ANALYZE", "ANALYZE"),
        ("CREATE TEMP TABLE x (a)", "CREATE"),
        ("CREATE VIEW v AS SELECT * FROM _tokens", "CREATE"),
        ("CREATE TRIGGER t AFTER INSERT ON orders BEGIN DELETE FROM _tokens; END", "CREATE"),
        ("DROP TABLE orders", "DROP"),
        ("ALTER TABLE orders RENAME TO x", "ALTER"),
        ("DELETE FROM orders", "only reads"),
        ("WITH x AS (SELECT 1) UPDATE orders SET note = ''", "only reads"),
        ("INSERT INTO orders (id) VALUES ('N') RETURNING id", "only reads"),
        ("WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT n FROM c", "recursive"),
        ("SELECT 1; SELECT 2", "one statement"),
        ("SELECT ?", "unbound parameter"),
        ("SELECT :name", "unbound parameter"),
        ("", "empty statement"),
        (" ; ", "empty statement"),
        ("-- nothing", "empty statement"),
        ("/* nothing", "empty statement"),
        ("SELECT 'a\0b'", "null character"),
        ("SELECT '\ud800'", "unpaired surrogate"),
        ("SELECT nope FROM orders", "no such column: nope"),
        ("SELEC 1", 'near "SELEC": syntax error'),
        ("SELECT CAST(x'ff' AS TEXT)", "UTF-8"),
    ],
)
def test_what_is_not_allowed_is_refused_in_words_that_say_what(
    world: GuardedConnection, statement: str, refused: str
) -> None:
    assert refused in read(world, statement)


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT token FROM {t}",
        "SELECT count(*) FROM {t}",
        "SELECT nope FROM {t}",
        "SELECT * FROM main.{t}",
        "SELECT id, (SELECT max(token) FROM {t}) FROM orders",
        "SELECT id FROM orders WHERE note > (SELECT token FROM {t})",
        "WITH x AS (SELECT * FROM {t}) SELECT * FROM x",
        "SELECT orders.id FROM orders NATURAL JOIN {t}",
        "SELECT id FROM orders UNION SELECT token FROM {t}",
        "INSERT INTO {t} VALUES ('x', 'y')",
        "INSERT INTO orders SELECT token, 'C1', 1, scope FROM {t}",
        "INSERT INTO orders (id) VALUES ('O1') ON CONFLICT (id) DO UPDATE SET note = (SELECT token FROM {t})",
        "INSERT INTO orders (id) VALUES ('N') RETURNING (SELECT token FROM {t})",
        "UPDATE orders SET note = token FROM {t}",
        "UPDATE {t} SET scope = 'x'",
        "DELETE FROM {t}",
        "DELETE FROM orders WHERE id IN (SELECT token FROM {t})",
        "WITH orders AS (SELECT * FROM {t}) SELECT * FROM orders",
    ],
)
def test_a_hidden_table_is_told_from_a_missing_one_by_nothing(world: GuardedConnection, statement: str) -> None:
    for name in ("_tokens", "_TOKENS", '"_tokens"'):
        missing = name.replace("okens", "okenz").replace("OKENS", "OKENZ")
        hidden = world.run(statement.format(t=name), write_allowed=True)
        absent = world.run(statement.format(t=missing), write_allowed=True)
        assert hidden.error.replace("okens", "okenz").replace("OKENS", "OKENZ") == absent.error
        assert "no such table" in hidden.error
        assert hidden.tables == absent.tables


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT password FROM customers",
        'SELECT "password" FROM customers',
        "SELECT * FROM customers",
        "SELECT customers.* FROM customers",
        "SELECT (SELECT password FROM customers LIMIT 1) FROM (SELECT 1 AS password)",
        "SELECT x.* FROM (SELECT * FROM customers) x",
        "SELECT id FROM customers ORDER BY password",
        "SELECT id FROM customers GROUP BY customers.password",
        "SELECT a.id FROM customers a JOIN customers b USING (password)",
        "SELECT a.id FROM customers a NATURAL JOIN customers b",
        "SELECT id FROM customers NATURAL JOIN (SELECT 'secret-1' AS password)",
        "SELECT id FROM customers WHERE ('C1', 'Ada', 'secret-1') IN (SELECT * FROM customers)",
        "SELECT id FROM customers UNION SELECT 1 FROM (SELECT * FROM customers)",
        "SELECT max(password) OVER () FROM customers",
    ],
)
def test_a_hidden_column_is_never_read(world: GuardedConnection, statement: str) -> None:
    assert read(world, statement)


def test_a_name_that_shadows_a_hidden_table_is_the_models_own(world: GuardedConnection) -> None:
    reply = world.run("WITH _tokens AS (SELECT 1 AS token) SELECT token FROM _tokens", write_allowed=False)
    assert list(reply.rows) == [(1,)]


def test_a_statement_that_trusted_code_has_prepared_is_still_refused(world: GuardedConnection) -> None:
    statement = "SELECT token FROM _tokens"
    assert world.raw.execute(statement).fetchall() == [("secret-3",)]
    for text in (statement, f"/* guarded */ {statement}", f"/* guarded */ /* guarded */ {statement}"):
        assert read(world, text) == "no such table: _tokens"
    assert world.raw.execute(statement).fetchall() == [("secret-3",)]


def test_the_trusted_door_keeps_its_rights_after_a_guarded_statement(world: GuardedConnection) -> None:
    world.run("SELECT * FROM nope", write_allowed=False)
    assert world.raw.execute("PRAGMA user_version").fetchone() == (0,)
    world.raw.execute("INSERT INTO _tokens VALUES (?, 'x')", ("t" * 100_000,))
    assert world.raw.execute("SELECT count(*) FROM orders, orders, orders LIMIT 1").fetchone() == (27_000_000,)


def test_a_write_counts_its_rows_and_returns_them(world: GuardedConnection) -> None:
    reply = world.run(
        "INSERT INTO orders (id, customer_id) VALUES ('N1', 'C1'), ('N2', 'C2') RETURNING id", write_allowed=True
    )
    assert (reply.changes, list(reply.rows), reply.tables) == (2, [("N1",), ("N2",)], {"orders"})
    changed = world.run("UPDATE orders SET note = '' RETURNING id", write_allowed=True)
    assert (changed.changes, len(changed.rows), changed.truncated) == (302, 50, True)
    assert world.run("DELETE FROM orders WHERE id = 'nope'", write_allowed=True).changes == 0


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE customers SET name = 'x'",
        "INSERT INTO schema VALUES ('a', 'b', 'c', 'd')",
        "UPDATE sqlite_master SET sql = ''",
        "INSERT INTO orders (id) VALUES ('N1'), ('O1')",
        "INSERT OR FAIL INTO orders (id) VALUES ('N1'), ('O1')",
        "INSERT OR ROLLBACK INTO orders (id) VALUES ('N1'), ('O1')",
        "UPDATE orders SET id = 'same'",
        "INSERT INTO orders SELECT a.id || b.id || c.id, 'C1', 1, a.note FROM orders a, orders b, orders c",
    ],
)
def test_a_write_that_fails_leaves_nothing_behind(world: GuardedConnection, statement: str) -> None:
    before = list(world.raw.iterdump())
    assert world.run(statement, write_allowed=True).error
    assert list(world.raw.iterdump()) == before
    assert not world.raw.in_transaction


def test_rows_stop_at_the_row_cap_and_at_the_byte_cap(world: GuardedConnection) -> None:
    many = world.run("SELECT id FROM orders", write_allowed=False)
    assert (len(many.rows), many.truncated) == (50, True)
    exact = world.run("SELECT id FROM orders LIMIT 50", write_allowed=False)
    assert (len(exact.rows), exact.truncated) == (50, False)
    wide = world.run("SELECT replace(note, 'note', note) FROM orders", write_allowed=False)
    assert wide.truncated
    assert 0 < sum(len(row[0]) for row in wide.rows) <= POLICY.max_bytes


def test_the_beginning_of_one_row_wider_than_the_cap_is_shown(world: GuardedConnection) -> None:
    wide = "replace(replace(note, 'note', note), 'note', note || note || note)"
    reply = world.run(f"SELECT {wide} FROM orders", write_allowed=False)
    assert reply.truncated
    assert [len(row[0]) for row in reply.rows] == [POLICY.max_bytes]


def test_blobs_and_infinities_come_as_text(world: GuardedConnection) -> None:
    reply = world.run("SELECT x'0a1b', 1e999, -1e999, NULL, 1, 0.5", write_allowed=False)
    assert list(reply.rows) == [("x'0a1b'", "Inf", "-Inf", None, 1, 0.5)]


def test_the_clock_is_the_callers_and_its_time_zone_is_utc(world: GuardedConnection) -> None:
    statement = (
        "SELECT date('now'), datetime('NOW', '+1 day', 'localtime'), strftime('%Y'), CURRENT_TIMESTAMP,"
        " date('2024-02-28', '+2 days'), time(x'6e6f77'), julianday('2000-01-01')"
    )
    reply = world.run(statement, write_allowed=False, now=lambda: "2031-05-06T07:08:09Z")
    assert list(reply.rows) == [
        (
            "2031-05-06",
            "2031-05-07 07:08:09",
            "2031",
            "2031-05-06 07:08:09",
            "2024-03-01",
            "07:08:09",
            2451544.5,
        )
    ]
    assert list(world.run("SELECT date('now')", write_allowed=False).rows) == [(None,)]


def test_closing_is_not_mistaken_for_a_models_mistake(world: GuardedConnection) -> None:
    world.close()
    with pytest.raises(sqlite3.ProgrammingError):
        world.run("SELECT 1", write_allowed=False)


@pytest.mark.parametrize("kind", ["busy", "locked", "readonly"])
def test_lock_messages_are_the_engines_own(kind: str) -> None:
    expected = {
        "busy": "database is locked",
        "locked": "database table is locked: orders",
        "readonly": "attempt to write a readonly database",
    }
    assert real_lock_message(kind, "orders") == expected[kind]  # type: ignore[arg-type]


WORDS = (
    "SELECT INSERT UPDATE DELETE FROM WHERE INTO VALUES SET WITH AS RECURSIVE UNION ORDER BY LIMIT ( ) , ; *"
    " orders customers _tokens schema sqlite_master id name total note password token count max 'x' \"id\" `id`"
    " [id] 1 -1 1e999 x'ff' ? :a = || -- /* */ PRAGMA ATTACH RETURNING id OR FAIL REPLACE NULL CASE WHEN"
)
FRAGMENTS = st.sampled_from([*WORDS.split(), "\0", "\ud800", "😀", "'", '"'])


@settings(deadline=None, max_examples=examples(300))
@given(st.one_of(st.text(), st.lists(FRAGMENTS, max_size=14).map(" ".join)))
def test_no_text_raises_or_changes_a_database_that_is_only_read(text: str) -> None:
    world = GuardedConnection(IMAGE, POLICY)
    for prefix in ("", "SELECT ", "DELETE FROM orders WHERE "):
        read(world, prefix + text)
    world.close()


@settings(deadline=None, max_examples=examples(150))
@given(st.lists(FRAGMENTS, max_size=10).map(" ".join))
def test_no_write_touches_what_is_not_writable(text: str) -> None:
    world = GuardedConnection(IMAGE, POLICY)
    untouched = ("SELECT * FROM customers", "SELECT * FROM _tokens", "SELECT * FROM schema")
    before = [world.raw.execute(query).fetchall() for query in untouched]
    for prefix in ("INSERT INTO orders ", "UPDATE ", "DELETE FROM ", "REPLACE INTO "):
        world.run(prefix + text, write_allowed=True)
    assert [world.raw.execute(query).fetchall() for query in untouched] == before
    world.close()
