"""Statements built to burn time or memory: refused, at little cost, with the database as it was."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from faultgym.tools.channels.sql.connection import GuardedConnection, SqlPolicy

pytestmark = pytest.mark.slow

POLICY = SqlPolicy({"orders": frozenset({"id", "total", "note"})}, writable=frozenset({"orders"}))


def image() -> bytes:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.execute("CREATE TABLE orders (id TEXT PRIMARY KEY, total REAL, note TEXT)")
    rows = [(f"O{n}", n * 1.5, "note " * 10) for n in range(300)]
    connection.executemany("INSERT INTO orders VALUES (?, ?, ?)", rows)
    return connection.serialize()


IMAGE = image()


@pytest.fixture
def world() -> GuardedConnection:
    return GuardedConnection(IMAGE, POLICY)


LONG = "replace(replace(replace('aaaaaaaaaaaaaaaa','a','aaaaaaaaaaaaaaaa'),'a','aaaaaaa'),'a','aaaa')"


def chain(levels: int, names: int) -> str:
    """Common table expressions, each of which names the one before `names` times."""
    later = "".join(
        f", c{n} AS (SELECT 1 FROM {', '.join(f'c{n - 1} x{i}' for i in range(names))})" for n in range(1, levels)
    )
    return f"WITH c0 AS (SELECT id FROM orders){later} SELECT count(*) FROM c{levels - 1}"


def nest(levels: int, names: int) -> str:
    """Subqueries, each of which names its inner column `names` times."""
    query = "SELECT total AS a FROM orders"
    for _ in range(levels):
        query = f"SELECT {'+'.join(['a'] * names)} AS a FROM ({query})"
    return query


BOMBS = [
    "SELECT count(*) FROM orders a, orders b, orders c, orders d",
    "SELECT a.id FROM orders a, orders b, orders c ORDER BY a.note || b.note || c.note",
    "SELECT count(*) FROM orders a, orders b, orders c GROUP BY a.note || b.id || c.id",
    "SELECT DISTINCT a.id FROM orders a, orders b, orders c, orders d",
    "WITH x AS MATERIALIZED (SELECT a.note || b.note FROM orders a, orders b, orders c) SELECT count(*) FROM x",
    "SELECT group_concat(a.note || b.note) FROM orders a, orders b",
    f"SELECT hex({LONG}) || hex({LONG})",
    f"SELECT replace({LONG}, 'a', {LONG})",
    f"WITH s (a) AS MATERIALIZED (SELECT {LONG}) SELECT count(instr(a, a || 'b')) FROM s, orders, orders b, orders c",
    f"WITH s (a) AS MATERIALIZED (SELECT {LONG}) SELECT a || b.id || c.id FROM s, orders b, orders c ORDER BY 1",
    f"SELECT id FROM orders WHERE {LONG} LIKE {LONG}",
    chain(30, 2),
    chain(5, 40),
    nest(14, 2),
    nest(4, 90),
    "INSERT INTO orders SELECT a.id || b.id || c.id, 1, a.note FROM orders a, orders b, orders c",
    "SELECT total IN (" + ",".join(["total"] * 390) + ") AS b FROM orders WHERE b IN (" + "b," * 390 + "b)",
    "SELECT " + "(" * 2_000,
    "SELECT " + "1+" * 300 + "1",
    "SELECT 1" + " UNION SELECT 1" * 30,
    "SELECT '" + "x" * 100_000 + "'",
]


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_bomb_is_refused_and_the_door_still_works(world: GuardedConnection, bomb: str) -> None:
    before = world.serialize()
    assert world.run(bomb, write_allowed=True).error
    assert world.serialize() == before
    assert not world.run("SELECT 1", write_allowed=False).error


def test_no_bomb_makes_the_process_grow() -> None:
    """In a process of its own, whose peak is the bombs' own; the allowance is 64 MB each."""
    program = (
        "import resource, sys, test_sql_bombs as t\n"
        "world = t.GuardedConnection(t.IMAGE, t.POLICY)\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "before = peak()\n"
        "assert all(world.run(bomb, write_allowed=True).error for bomb in t.BOMBS)\n"
        "print((peak() - before) // (2**20 if sys.platform == 'darwin' else 2**10))\n"
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=True)
    assert int(done.stdout) < 160


def test_a_common_query_over_a_whole_table_is_no_bomb(world: GuardedConnection) -> None:
    correlated = "SELECT id FROM orders o WHERE total > (SELECT avg(total) FROM orders p WHERE p.note = o.note)"
    layered = (
        "WITH big AS (SELECT id, total, note FROM orders WHERE total > 10),"
        " small AS (SELECT id, total, note FROM orders WHERE total <= 10),"
        " both AS (SELECT b.id, b.total, s.total AS other FROM big b JOIN small s ON s.note = b.note)"
        " SELECT id, count(*), sum(total), sum(other) FROM both WHERE total > 20 GROUP BY id ORDER BY sum(total)"
    )
    for statement in (correlated, layered):
        assert not world.run(statement, write_allowed=False).error
