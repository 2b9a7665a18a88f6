"""Faults of the SQL tool, with the engine's own messages; schema changes are made on a real copy."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal

from faultgym.tools.channels.sql.connection import real_lock_message
from faultgym.tools.exchange import SqlReply, SqlRequest
from faultgym.tools.faults.kinds import earlier
from faultgym.tools.faults.payload import AIM, always, earlier_values, note_change
from faultgym.tools.faults.registry import kind
from faultgym.tools.faults.scratch import public_columns, run_renamed, tables_in, words
from faultgym.tools.faults.types import REVISION, Contract, FaultContext, ScheduledFault, Site

_LIMIT = re.compile(r"\blimit\b", re.IGNORECASE)
_INSERT = re.compile(r"\s*(?:insert|replace)\s+(?:or\s+\w+\s+)?into\s+\"?(\w+)\"?\s*\(([^()]*)\)", re.IGNORECASE)


def _reads(site: Site) -> bool:
    return site.route == "read"


def _writes(site: Site) -> bool:
    return site.route == "write"


def _statement(context: FaultContext) -> str:
    assert isinstance(context.request, SqlRequest)
    return context.request.statement


def _reply(context: FaultContext) -> SqlReply:
    assert isinstance(context.reply, SqlReply)
    return context.reply


def _says(error: str) -> Callable[[FaultContext], SqlReply]:
    """What gives the same error always."""
    return lambda context: SqlReply(error=error)


# ---- locks and connections -------------------------------------------------------------------------


def _held(context: FaultContext) -> bool:
    return bool(context.world.clock.now < context.state.first_at + float(context.fault.params["seconds"]))


def _locked(context: FaultContext, form: Literal["busy", "locked"]) -> SqlReply:
    tables = tables_in(_statement(context), context.world)
    return SqlReply(error=real_lock_message(form, tables[0] if tables else "schema"))


@kind("sql", "before", Contract.BACKOFF, persists_while=_held, params={"seconds": 5})
def busy(context: FaultContext) -> SqlReply:
    """Another connection holds the database for a few virtual seconds, which the message does not say."""
    return _locked(context, "busy")


@kind("sql", "before", Contract.BACKOFF, persists_while=_held, params={"seconds": 5})
def locked(context: FaultContext) -> SqlReply:
    """Another connection holds the table for a few virtual seconds, which the message does not say."""
    return _locked(context, "locked")


@kind("sql", "before", Contract.REROUTE, targets=_writes, persists_while=always)
def readonly(context: FaultContext) -> SqlReply:
    """The database takes no writes, for ever: the API may, or it is to be reported."""
    return SqlReply(error=real_lock_message("readonly"))


@kind("sql", "before", Contract.RETRY, params={REVISION: 2}, earlier={1: {"act": _says(earlier.CONNECTION_LOST)}})
def connection_lost(context: FaultContext) -> SqlReply:
    """The connection breaks before the statement has run, which nobody says; the same statement again works."""
    return SqlReply(error="connection lost: the server closed the connection unexpectedly")


@kind("sql", "before", Contract.RESTORE, targets=_writes, can_fire=lambda context: bool(context.world.effects))
def serialization_failure(context: FaultContext) -> SqlReply:
    """A later write of a change of several steps is not applied: the change is to be finished or undone."""
    return SqlReply(error="could not serialize access due to concurrent update; this statement was not applied")


# ---- the schema is another -------------------------------------------------------------------------


def _column(context: FaultContext) -> tuple[str, str, str] | None:
    """(table, column, new name) of a column that the statement names, or None."""
    statement, known = _statement(context), public_columns(context.world)
    named, params = words(statement), context.fault.params
    wanted = params.get("table")
    tables = [t for t in tables_in(statement, context.world) if wanted in (None, t)]
    for table in tables:
        columns = [
            c
            for c in dict.fromkeys(named)
            if c in known.get(table, ()) and c != "id" and not c.endswith("_id") and params.get("column") in (None, c)
        ]
        for column in columns:
            noun = table.removesuffix("s")
            forms = (f"{noun}_{column}", f"current_{column}", f"{column}_value")
            new = forms[context.pick(3, column)]
            if new not in known[table]:
                return table, column, new
    return None


def _table(context: FaultContext) -> tuple[str, str, str] | None:
    """(table, "", new name) of a table that the statement names, or None."""
    wanted = context.fault.params.get("table")
    tables = [t for t in tables_in(_statement(context), context.world) if wanted in (None, t)]
    if not tables:
        return None
    forms = (f"{tables[0]}_v2", f"current_{tables[0]}", f"all_{tables[0]}")
    return tables[0], "", forms[context.pick(3)]


def _renamed(context: FaultContext, chosen: tuple[str, str, str] | None) -> SqlReply:
    memory = context.state.memory
    if "renamed" not in memory:
        memory["renamed"] = chosen
    table, column, new = memory["renamed"]
    context.detail.update(table=table, column=column, renamed_to=new)
    reply = run_renamed(context.world, _statement(context), table, column, new)
    context.quiet = not reply.error
    return reply


def _old_name(context: FaultContext) -> SqlRequest:
    """A write under the new name, for the real database, which has the old one."""
    statement = _statement(context)
    if "renamed" not in context.state.memory:
        return SqlRequest(statement)
    table, column, new = context.state.memory["renamed"]
    return SqlRequest(re.sub(rf"\b{new}\b", column or table, statement))


def _on_reads(context: FaultContext) -> bool:
    return _reads(context.site)


@kind(
    "sql",
    "before",
    Contract.REPAIR,
    can_fire=lambda context: _on_reads(context) and _column(context) is not None,
    persists_while=_on_reads,
    rewrite=_old_name,
    params={"table": None, "column": None},
)
def renamed_column(context: FaultContext) -> SqlReply:
    """A column of the statement has another name now: "no such column"; the table `schema` tells it."""
    return _renamed(context, _column(context))


@kind(
    "sql",
    "before",
    Contract.REPAIR,
    can_fire=lambda context: _on_reads(context) and _table(context) is not None,
    persists_while=_on_reads,
    rewrite=_old_name,
    params={"table": None},
)
def missing_table(context: FaultContext) -> SqlReply:
    """A table of the statement has another name now: "no such table"; the table `schema` tells it."""
    return _renamed(context, _table(context))


# ---- the statement is to be changed ----------------------------------------------------------------


def _optional_column(context: FaultContext) -> tuple[str, str] | None:
    """(table, column) of a text column that an INSERT leaves out and whose value nobody misses."""
    match = _INSERT.match(_statement(context))
    if match is None:
        return None
    table, named = match[1], set(words(match[2]))
    rows = context.world.db.execute(
        "SELECT column_name FROM schema WHERE table_name = ? AND type = 'TEXT' AND note = ''", (table,)
    )
    spare = [c for (c,) in rows if c not in named and (c == "note" or re.search(r"_at$|^created|^updated", c))]
    return (table, min(spare, key=lambda c: (c != "note", c))) if spare else None


def _not_named(context: FaultContext) -> bool:
    match = _INSERT.match(_statement(context))
    if match is None or match[1] != context.state.memory["table"]:
        return False
    return context.state.memory["column"] not in words(match[2])


@kind(
    "sql",
    "before",
    Contract.REPAIR,
    targets=_writes,
    can_fire=lambda context: _optional_column(context) is not None,
    persists_while=_not_named,
)
def constraint(context: FaultContext) -> SqlReply:
    """NOT NULL constraint failed for a column that the INSERT leaves out, until it names it."""
    if not context.state.delivered:
        found = _optional_column(context)
        assert found is not None
        context.state.memory["table"], context.state.memory["column"] = found
    memory = context.state.memory
    return SqlReply(error=f"NOT NULL constraint failed: {memory['table']}.{memory['column']}")


def _unlimited(context: FaultContext) -> bool:
    tables = tables_in(_statement(context), context.world)
    return bool(tables) and not _LIMIT.search(_statement(context))


def _still_wide(context: FaultContext) -> bool:
    """Until a changed statement with a LIMIT has passed; then never again."""
    memory, statement = context.state.memory, " ".join(_statement(context).split())
    if memory.get("passed") or not tables_in(statement, context.world):
        return False
    if statement != memory["statement"] and _LIMIT.search(statement):
        memory["passed"] = True
        return False
    return True


def _too_wide(context: FaultContext, text: str) -> SqlReply:
    context.state.memory.setdefault("statement", " ".join(_statement(context).split()))
    return SqlReply(error=text)


@kind("sql", "before", Contract.REPAIR, targets=_reads, can_fire=_unlimited, persists_while=_still_wide, pinned=True)
def interrupted(context: FaultContext) -> SqlReply:
    """The engine stops the statement until it is changed and has a LIMIT."""
    return _too_wide(context, "interrupted: the statement reads too many rows; narrow it, with a LIMIT")


@kind("sql", "before", Contract.REPAIR, targets=_reads, can_fire=_unlimited, persists_while=_still_wide, pinned=True)
def statement_timeout(context: FaultContext) -> SqlReply:
    """The statement is stopped after 30 virtual seconds until it is changed and has a LIMIT."""
    context.world.clock.advance(30.0)
    return _too_wide(
        context, "timeout: the statement was stopped after 30 s; ask for fewer rows or columns, with a LIMIT"
    )


# ---- the rows are not what they should be ----------------------------------------------------------


def _cut_contract(fault: ScheduledFault) -> Contract:
    return Contract.CONTINUE if fault.params.get("marker", True) else Contract.VERIFY


def _several(context: FaultContext) -> bool:
    return len(_reply(context).rows) >= 2 and not _LIMIT.search(_statement(context))


_CAPS = (100, 50, 20, 10, 5, 2, 1)
"""Rows that a server may give at most; the largest that cuts the first result is its cap from then on."""


def _over_cap(context: FaultContext) -> bool:
    return _several(context) and len(_reply(context).rows) > context.state.memory["cap"]


@kind(
    "sql",
    "after",
    Contract.CONTINUE,
    targets=_reads,
    can_fire=_several,
    persists_while=_over_cap,
    pinned=True,
    params={"marker": True, REVISION: 2},
    varies=_cut_contract,
    earlier={1: {"act": earlier.half_of_the_rows, "persists_while": _several}},
)
def row_limit(context: FaultContext) -> SqlReply:
    """One cap on the rows of a statement without a LIMIT, marked or (`marker` false) not; count(*) is true."""
    reply = _reply(context)
    cap = context.state.memory.setdefault("cap", next(n for n in _CAPS if n < len(reply.rows)))
    context.detail.update(true=len(reply.rows), shown=cap)
    return replace(reply, rows=reply.rows[:cap], truncated=reply.truncated or bool(context.fault.params["marker"]))


def _stale(context: FaultContext) -> tuple[int, dict[int, Any]] | None:
    """(row, {position: other value}) of the first row from the salt's on that can be an older one."""
    reply = _reply(context)
    columns = _older_columns if context.fault.revision > 1 else earlier.stale_columns
    for n in range(len(reply.rows)):
        at = (n + context.pick(len(reply.rows))) % len(reply.rows)
        values = columns(context, reply, at)
        if values:
            return at, values
    return None


def _older_columns(context: FaultContext, reply: SqlReply, at: int) -> dict[int, Any]:
    """Position -> the value that it had in an older copy of the row."""
    row = dict(zip(reply.columns, reply.rows[at], strict=True))
    values = earlier_values(row, context.world.hints, context.fault.params.get("field"))
    return {i: values[name] for i, name in enumerate(reply.columns) if name in values}


def _lagging(context: FaultContext) -> bool:
    return _held(context) and _stale(context) is not None


@kind(
    "sql",
    "after",
    Contract.VERIFY,
    visible=False,
    targets=_reads,
    can_fire=lambda context: _stale(context) is not None,
    persists_while=_lagging,
    pinned=True,
    params={"seconds": 600, **AIM, REVISION: 2},
    earlier={1: {}},
)
def stale_replica(context: FaultContext) -> SqlReply:
    """A row is an older one, its version too; the sign: `source` is a replica that lags; it catches up in 600 s."""
    reply, found = _reply(context), _stale(context)
    assert found is not None
    at, values = found
    row = reply.rows[at]
    for i, shown in values.items():
        if reply.columns[i] == "version":
            context.detail["version"] = {"true": row[i], "shown": shown}
        else:
            note_change(context, at, reply.columns[i], row[i], shown)
    rows = list(reply.rows)
    rows[at] = tuple(values.get(i, v) for i, v in enumerate(row))
    return replace(reply, rows=rows, source="replica (lag 5400 s)")
