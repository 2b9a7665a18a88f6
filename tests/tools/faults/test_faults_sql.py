"""Faults of the SQL tool: the engine's messages, how long they last, and what gets past them."""

from __future__ import annotations

from typing import Any

import pytest

from faultgym.tools.faults.types import Contract

READ = "SELECT id, state FROM things WHERE state = 'lent' ORDER BY id"
WRITE = "INSERT INTO remarks (thing_id, body) VALUES ('THG-101', 'seen')"


def once(kind: str, **more: Any) -> list[dict[str, Any]]:
    return [{"kind": kind, "trigger": {"nth": 1}, **more}]


@pytest.mark.parametrize(
    ("kind", "message"), [("busy", "database is locked"), ("locked", "database table is locked: things")]
)
def test_a_lock_is_gone_after_waiting_and_not_before(lab: Any, kind: str, message: str) -> None:
    at = lab(once(kind))
    assert [at.sql(READ), at.sql(READ)] == [f"error: {message}"] * 2
    at.call("wait", seconds=5)
    assert at.sql(READ) == lab().sql(READ)


def test_a_readonly_database_reads_and_never_writes(lab: Any) -> None:
    at = lab(once("readonly"))
    assert [at.sql(WRITE), at.sql(WRITE)] == ["error: attempt to write a readonly database"] * 2
    assert at.sql(READ) == lab().sql(READ)
    assert at.world.effects == []


@pytest.mark.parametrize("statement", [READ, WRITE])
def test_a_lost_connection_loses_nothing_but_the_call(lab: Any, statement: str) -> None:
    at = lab([{"kind": "connection_lost", "trigger": {"first": 2}}])
    assert [at.sql(statement)[:22], at.sql(statement)[:22]] == ["error: connection lost"] * 2
    assert at.sql(statement) == lab().sql(statement)


def test_a_serialization_failure_strikes_only_after_an_earlier_write(lab: Any) -> None:
    at = lab(once("serialization_failure"))
    assert at.sql(WRITE)["changes"] == 1
    assert "this statement was not applied" in at.sql(WRITE)
    assert len(at.world.effects) == 1
    assert at.sql(WRITE)["changes"] == 1
    assert at.events[0].contract == Contract.RESTORE


@pytest.mark.parametrize("seed", range(3))
def test_a_renamed_column_is_found_in_the_schema(lab: Any, seed: int) -> None:
    at = lab(once("renamed_column"), seed)
    assert [at.sql(READ), at.sql(READ)] == ["error: no such column: state"] * 2
    rows = at.sql("SELECT column_name FROM schema WHERE column_name LIKE '%state%'")["rows"]
    (new,) = [row["column_name"] for row in rows]
    assert new != "state"
    found = at.sql(READ.replace("state", new))["rows"]
    assert [row["id"] for row in found] == [row["id"] for row in lab().sql(READ)["rows"]]
    assert len(at.events) == 2


@pytest.mark.parametrize("seed", range(3))
def test_a_missing_table_is_found_in_the_schema_and_can_be_written(lab: Any, seed: int) -> None:
    at = lab(once("missing_table"), seed)
    assert at.sql("SELECT count(*) AS n FROM remarks") == "error: no such table: remarks"
    rows = at.sql("SELECT DISTINCT table_name FROM schema WHERE table_name LIKE '%remarks%'")["rows"]
    (new,) = [row["table_name"] for row in rows]
    assert at.sql(WRITE.replace("remarks", new))["changes"] == 1
    assert at.sql(f"SELECT count(*) AS n FROM {new}")["rows"] == [{"n": 1}]
    assert at.call("sql", query=f"SELECT * FROM {new}").tables == ("remarks",)


def test_a_constraint_fails_until_the_column_is_named(lab: Any) -> None:
    at = lab(once("constraint"))
    assert [at.sql(WRITE), at.sql(WRITE)] == ["error: NOT NULL constraint failed: remarks.created_at"] * 2
    named = "INSERT INTO remarks (thing_id, body, created_at) VALUES ('THG-101', 'seen', '2026-03-02')"
    assert at.sql(named)["changes"] == 1


@pytest.mark.parametrize(("kind", "start"), [("interrupted", "interrupted"), ("statement_timeout", "timeout")])
def test_a_stopped_statement_passes_once_it_is_changed_and_limited(lab: Any, kind: str, start: str) -> None:
    at = lab(once(kind))
    for statement in (READ, READ, READ.replace("id, ", "")):
        assert at.sql(statement).startswith(f"error: {start}")
    assert at.sql("SELECT * FROM schema")["rows"]
    assert at.sql(f"{READ} LIMIT 20")["rows"] == lab().sql(READ)["rows"]
    assert at.sql(READ) == lab().sql(READ)


@pytest.mark.parametrize(("marker", "contract"), [(True, Contract.CONTINUE), (False, Contract.VERIFY)])
def test_a_row_limit_caps_what_has_no_limit_of_its_own(lab: Any, marker: bool, contract: Contract) -> None:
    at = lab(once("row_limit", params={"marker": marker}))
    shown, true = at.sql(READ), lab().sql(READ)["rows"]
    assert shown["rows"] == true[:5]
    assert ("truncated" in shown) == marker
    assert at.sql(f"{READ} LIMIT 50")["rows"] == true
    assert at.sql("SELECT count(*) AS n FROM things WHERE state = 'lent'")["rows"] == [{"n": len(true)}]
    assert at.events[0].contract == contract


def test_a_row_limit_is_the_same_for_every_statement(lab: Any) -> None:
    at = lab(once("row_limit", params={"marker": False}))
    statements = (READ, "SELECT id FROM things", "SELECT id FROM things WHERE id < 'THG-103'")
    shown = [at.sql(statement)["rows"] for statement in statements]
    true = [lab().sql(statement)["rows"] for statement in statements]
    assert [len(rows) for rows in true] == [8, 25, 3]
    assert shown == [rows[:5] for rows in true]


def test_a_row_on_a_stale_replica_has_the_version_before(lab: Any) -> None:
    at = lab(once("stale_replica"))
    statement = "SELECT state, price_cents, version FROM things WHERE id = 'THG-104'"
    assert at.sql(statement)["rows"] == [{"state": "new", "price_cents": 3982, "version": 0}]
    assert at.events[0].detail["version"] == {"true": 1, "shown": 0}


def test_the_first_choice_has_no_earlier_one(lab: Any) -> None:
    at = lab(once("stale_replica"))
    assert at.sql("SELECT state FROM things WHERE id = 'THG-102'")["source"] != "primary"
    at = lab(once("stale_replica"))
    assert at.sql("SELECT state FROM things WHERE id = 'THG-100'")["source"] == "primary"


def test_a_stale_replica_says_what_it_is_and_catches_up(lab: Any) -> None:
    at = lab(once("stale_replica"))
    statement = "SELECT state FROM things WHERE id = 'THG-104'"
    assert at.sql(statement) == {"rows": [{"state": "new"}], "source": "replica (lag 5400 s)"}
    assert at.sql(statement)["source"] != "primary"
    at.call("wait", seconds=600)
    assert at.sql(statement) == {"rows": [{"state": "lent"}], "source": "primary"}


def test_a_replica_with_nothing_to_be_stale_about_is_the_primary(lab: Any) -> None:
    at = lab([{"kind": "stale_replica", "trigger": {"from": 1}}])
    assert at.sql("SELECT count(*) AS n FROM things") == lab().sql("SELECT count(*) AS n FROM things")
