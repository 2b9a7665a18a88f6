"""Faults of the SQL tool, with the engine's own messages; schema changes are made on a real copy."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any, Literal

from faultgym.tools.exchange import SqlReply, SqlRequest
from faultgym.tools.faults.payload import AIM, always, other_value
from faultgym.tools.faults.registry import kind
from faultgym.tools.faults.scratch import public_columns, run_renamed, tables_in, words
from faultgym.tools.faults.types import Contract, Hit, ScheduledFault, Site
from faultgym.tools.sql import real_lock_message

_LIMIT = re.compile(r"\blimit\b", re.IGNORECASE)
_INSERT = re.compile(r"\s*(?:insert|replace)\s+(?:or\s+\w+\s+)?into\s+\"?(\w+)\"?\s*\(([^()]*)\)", re.IGNORECASE)


def _reads(site: Site) -> bool:
    return site.route == "read"


def _writes(site: Site) -> bool:
    return site.route == "write"


def _statement(hit: Hit) -> str:
    assert isinstance(hit.request, SqlRequest)
    return hit.request.statement


def _reply(hit: Hit) -> SqlReply:
    assert isinstance(hit.reply, SqlReply)
    return hit.reply


# ---- locks and connections -------------------------------------------------------------------------


def _held(hit: Hit) -> bool:
    return bool(hit.world.clock.now < hit.state.first_at + float(hit.fault.params["seconds"]))


def _locked(hit: Hit, form: Literal["busy", "locked"]) -> SqlReply:
    tables = tables_in(_statement(hit), hit.world)
    return SqlReply(error=real_lock_message(form, tables[0] if tables else "schema"))


@kind("sql", "before", Contract.BACKOFF, lasting=_held, params={"seconds": 5})
def busy(hit: Hit) -> SqlReply:
    """Another connection holds the database for a few virtual seconds, which the message does not say."""
    return _locked(hit, "busy")


@kind("sql", "before", Contract.BACKOFF, lasting=_held, params={"seconds": 5})
def locked(hit: Hit) -> SqlReply:
    """Another connection holds the table for a few virtual seconds, which the message does not say."""
    return _locked(hit, "locked")


@kind("sql", "before", Contract.REROUTE, suits=_writes, lasting=always)
def readonly(hit: Hit) -> SqlReply:
    """The database takes no writes, for ever: the API may, or it is to be reported."""
    return SqlReply(error=real_lock_message("readonly"))


@kind("sql", "before", Contract.RETRY)
def connection_lost(hit: Hit) -> SqlReply:
    """The connection breaks before the statement is sent; the same statement again works."""
    return SqlReply(error="connection lost: the server closed it before the statement was sent")


@kind("sql", "before", Contract.RESTORE, suits=_writes, applies=lambda hit: bool(hit.world.effects))
def serialization_failure(hit: Hit) -> SqlReply:
    """A later write of a change of several steps is not applied: the change is to be finished or undone."""
    return SqlReply(error="could not serialize access due to concurrent update; this statement was not applied")


# ---- the schema is another -------------------------------------------------------------------------


def _column(hit: Hit) -> tuple[str, str, str] | None:
    """(table, column, new name) of a column that the statement names, or None."""
    statement, known = _statement(hit), public_columns(hit.world)
    named, params = words(statement), hit.fault.params
    wanted = params.get("table")
    tables = [t for t in tables_in(statement, hit.world) if wanted in (None, t)]
    for table in tables:
        columns = [
            c
            for c in dict.fromkeys(named)
            if c in known.get(table, ()) and c != "id" and not c.endswith("_id") and params.get("column") in (None, c)
        ]
        for column in columns:
            noun = table.removesuffix("s")
            forms = (f"{noun}_{column}", f"current_{column}", f"{column}_value")
            new = forms[hit.pick(3, column)]
            if new not in known[table]:
                return table, column, new
    return None


def _table(hit: Hit) -> tuple[str, str, str] | None:
    """(table, "", new name) of a table that the statement names, or None."""
    wanted = hit.fault.params.get("table")
    tables = [t for t in tables_in(_statement(hit), hit.world) if wanted in (None, t)]
    if not tables:
        return None
    forms = (f"{tables[0]}_v2", f"current_{tables[0]}", f"all_{tables[0]}")
    return tables[0], "", forms[hit.pick(3)]


def _renamed(hit: Hit, chosen: tuple[str, str, str] | None) -> SqlReply:
    memory = hit.state.memory
    if "renamed" not in memory:
        memory["renamed"] = chosen
    table, column, new = memory["renamed"]
    hit.detail.update(table=table, column=column, renamed_to=new)
    reply = run_renamed(hit.world, _statement(hit), table, column, new)
    hit.quiet = not reply.error
    return reply


def _old_name(hit: Hit) -> SqlRequest:
    """A write under the new name, for the real database, which has the old one."""
    statement = _statement(hit)
    if "renamed" not in hit.state.memory:
        return SqlRequest(statement)
    table, column, new = hit.state.memory["renamed"]
    return SqlRequest(re.sub(rf"\b{new}\b", column or table, statement))


def _on_reads(hit: Hit) -> bool:
    return _reads(hit.site)


@kind(
    "sql",
    "before",
    Contract.REPAIR,
    applies=lambda hit: _on_reads(hit) and _column(hit) is not None,
    lasting=_on_reads,
    rewrite=_old_name,
    params={"table": None, "column": None},
)
def renamed_column(hit: Hit) -> SqlReply:
    """A column of the statement has another name now: "no such column"; the table `schema` tells it."""
    return _renamed(hit, _column(hit))


@kind(
    "sql",
    "before",
    Contract.REPAIR,
    applies=lambda hit: _on_reads(hit) and _table(hit) is not None,
    lasting=_on_reads,
    rewrite=_old_name,
    params={"table": None},
)
def missing_table(hit: Hit) -> SqlReply:
    """A table of the statement has another name now: "no such table"; the table `schema` tells it."""
    return _renamed(hit, _table(hit))


# ---- the statement is to be changed ----------------------------------------------------------------


def _optional_column(hit: Hit) -> tuple[str, str] | None:
    """(table, column) of a text column that an INSERT leaves out and whose value nobody misses."""
    match = _INSERT.match(_statement(hit))
    if match is None:
        return None
    table, named = match[1], set(words(match[2]))
    rows = hit.world.db.execute(
        "SELECT column_name FROM schema WHERE table_name = ? AND type = 'TEXT' AND note = ''", (table,)
    )
    spare = [c for (c,) in rows if c not in named and (c == "note" or re.search(r"_at$|^created|^updated", c))]
    return (table, min(spare, key=lambda c: (c != "note", c))) if spare else None


def _not_named(hit: Hit) -> bool:
    match = _INSERT.match(_statement(hit))
    if match is None or match[1] != hit.state.memory["table"]:
        return False
    return hit.state.memory["column"] not in words(match[2])


@kind(
    "sql",
    "before",
    Contract.REPAIR,
    suits=_writes,
    applies=lambda hit: _optional_column(hit) is not None,
    lasting=_not_named,
)
def constraint(hit: Hit) -> SqlReply:
    """NOT NULL constraint failed for a column that the INSERT leaves out, until it names it."""
    if not hit.state.delivered:
        found = _optional_column(hit)
        assert found is not None
        hit.state.memory["table"], hit.state.memory["column"] = found
    memory = hit.state.memory
    return SqlReply(error=f"NOT NULL constraint failed: {memory['table']}.{memory['column']}")


def _unlimited(hit: Hit) -> bool:
    tables = tables_in(_statement(hit), hit.world)
    return bool(tables) and not _LIMIT.search(_statement(hit))


def _still_wide(hit: Hit) -> bool:
    """Until a changed statement with a LIMIT has passed; then never again."""
    memory, statement = hit.state.memory, " ".join(_statement(hit).split())
    if memory.get("passed") or not tables_in(statement, hit.world):
        return False
    if statement != memory["statement"] and _LIMIT.search(statement):
        memory["passed"] = True
        return False
    return True


def _too_wide(hit: Hit, text: str) -> SqlReply:
    hit.state.memory.setdefault("statement", " ".join(_statement(hit).split()))
    return SqlReply(error=text)


@kind("sql", "before", Contract.REPAIR, suits=_reads, applies=_unlimited, lasting=_still_wide, pinned=True)
def interrupted(hit: Hit) -> SqlReply:
    """The engine stops the statement until it is changed and has a LIMIT."""
    return _too_wide(hit, "interrupted: the statement reads too many rows; narrow it, with a LIMIT")


@kind("sql", "before", Contract.REPAIR, suits=_reads, applies=_unlimited, lasting=_still_wide, pinned=True)
def statement_timeout(hit: Hit) -> SqlReply:
    """The statement is stopped after 30 virtual seconds until it is changed and has a LIMIT."""
    hit.world.clock.advance(30.0)
    return _too_wide(hit, "timeout: the statement was stopped after 30 s; ask for fewer rows or columns, with a LIMIT")


# ---- the rows are not what they should be ----------------------------------------------------------


def _cut_contract(fault: ScheduledFault) -> Contract:
    return Contract.CONTINUE if fault.params.get("marker", True) else Contract.VERIFY


def _several(hit: Hit) -> bool:
    return len(_reply(hit).rows) >= 2 and not _LIMIT.search(_statement(hit))


@kind(
    "sql",
    "after",
    Contract.CONTINUE,
    suits=_reads,
    applies=_several,
    lasting=_several,
    pinned=True,
    params={"marker": True},
    varies=_cut_contract,
)
def row_limit(hit: Hit) -> SqlReply:
    """A statement without a LIMIT gives half of its rows, marked or (`marker` false) not; count(*) is true."""
    reply = _reply(hit)
    rows = reply.rows[: len(reply.rows) // 2]
    hit.detail.update(true=len(reply.rows), shown=len(rows))
    return replace(reply, rows=rows, truncated=reply.truncated or bool(hit.fault.params["marker"]))


def _stale(hit: Hit) -> tuple[int, dict[int, Any]] | None:
    """(row, {position: other value}) of the first row from the salt's on that can be an older one."""
    reply, hints = _reply(hit), hit.world.hints
    aim = hit.fault.params.get("field")
    for n in range(len(reply.rows)):
        at = (n + hit.pick(len(reply.rows))) % len(reply.rows)
        values = {
            i: shown
            for i, (name, value) in enumerate(zip(reply.columns, reply.rows[at], strict=True))
            if aim in (None, name) and (shown := other_value(name, value, hints)) is not None
        }
        if values:
            return at, values
    return None


def _lagging(hit: Hit) -> bool:
    return _held(hit) and _stale(hit) is not None


@kind(
    "sql",
    "after",
    Contract.VERIFY,
    visible=False,
    suits=_reads,
    applies=lambda hit: _stale(hit) is not None,
    lasting=_lagging,
    pinned=True,
    params={"seconds": 600, **AIM},
)
def stale_replica(hit: Hit) -> SqlReply:
    """A row has earlier values; the sign: `source` is a replica that lags; it catches up in 600 s."""
    reply, found = _reply(hit), _stale(hit)
    assert found is not None
    at, values = found
    row = reply.rows[at]
    hit.detail["changes"] = [
        {"record": at, "field": reply.columns[i], "true": row[i], "shown": v} for i, v in values.items()
    ]
    rows = list(reply.rows)
    rows[at] = tuple(values.get(i, v) for i, v in enumerate(row))
    return replace(reply, rows=rows, source="replica (lag 5400 s)")
