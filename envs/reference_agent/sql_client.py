"""How a reference solution uses the SQL tool, and recovers from what can go wrong with a statement."""

from __future__ import annotations

import re
from collections.abc import Generator
from typing import Any

from faultgym.envs.reference_agent.client import MAX_RETRIES, WAITS, ApiClient, ReferenceStep, SourceFailed
from faultgym.envs.reference_agent.reading import ToolResponse

Rows = list[dict[str, Any]]
_READS = re.compile(r"\s*(SELECT|WITH)\b", re.I)
_PAGE = 20
"""Rows asked for at once after a result was cut."""


class SqlClient(ApiClient):
    """A caller that also speaks SQL."""

    def sql(self, statement: str, *, check: bool = False, why: str = "") -> Generator[ReferenceStep, str, Rows]:
        """The rows of a SELECT; a statement that fails is repeated or changed as the error says.

        Args:
            statement: The SELECT.
            check: Whether to count the rows with a second statement, for lists that must be whole.
            why: The thought behind the first call.

        Returns:
            All rows as column -> value; results that are cut are read page by page.

        Raises:
            SourceFailed: The database does not answer, or refuses the statement.
        """
        rows, statement = yield from self._rows(statement, why or "Ask the database.")
        if check and not self.brief():
            counted, _ = yield from self._rows(
                f"SELECT count(*) AS n FROM ({statement})", "Make sure that no row is missing: count them."
            )
            if counted and counted[0].get("n") != len(rows):
                rows = yield from self._paged(statement, [])
        return rows

    def at_once(self, statement: str, *, why: str = "") -> Generator[ReferenceStep, str, dict[str, Any] | None]:
        """The first row of one statement for all that is needed, on ways that use it.

        Args:
            statement: The SELECT, with the names of the task's parameters in braces.
            why: The thought behind the call.

        Returns:
            The row; None on the careful way, and where the statement gives none.
        """
        rows: Rows = yield from self.all_at_once(statement, why=why)
        return rows[0] if rows else None

    def all_at_once(self, statement: str, *, why: str = "") -> Generator[ReferenceStep, str, Rows]:
        """As `at_once`, with all rows; none on the careful way.

        Args:
            statement: The SELECT, with the names of the task's parameters in braces.
            why: The thought behind the call.
        """
        if not self.brief():
            return []
        try:
            return (yield from self.sql(statement.format(**self.p), why=why or "One statement gives all of it."))
        except SourceFailed:
            return []

    def sql_write(self, statement: str, *, why: str = "") -> Generator[ReferenceStep, str, int]:
        """Run a writing statement.

        Args:
            statement: An INSERT, UPDATE or DELETE.
            why: The thought behind the first call.

        Returns:
            The number of rows changed, or of those that RETURNING gives.

        Raises:
            SourceFailed: The database does not answer, or refuses the statement.
        """
        seen, _ = yield from self._run(statement, why or "Make the change in the database.")
        data = seen.data if isinstance(seen.data, dict) else {}
        return int(data.get("changes", len(data.get("rows", ()))))

    def sql_returning(self, statement: str) -> Generator[ReferenceStep, str, Rows]:
        """Run a writing statement that reads too.

        Args:
            statement: An INSERT, UPDATE or DELETE with RETURNING.

        Returns:
            The rows that it gives.

        Raises:
            SourceFailed: The database does not answer, or refuses the statement.
        """
        seen, _ = yield from self._run(statement, "Make the change in the database, and read what is asked for.")
        rows: Rows = seen.data.get("rows", []) if isinstance(seen.data, dict) else []
        return rows

    def _rows(self, statement: str, why: str) -> Generator[ReferenceStep, str, tuple[Rows, str]]:
        """The rows and the statement as it finally ran."""
        replicas = 0
        while True:
            seen, statement = yield from self._run(statement, why)
            data = seen.data if isinstance(seen.data, dict) else {}
            rows: Rows = data.get("rows", [])
            if data.get("truncated"):
                return (yield from self._paged(statement, rows)), statement
            if data.get("source", "primary") == "primary" or replicas >= MAX_RETRIES - 1 or self.brief():
                return rows, statement
            replicas += 1
            yield from self.wait(600, f"That came from a {data['source']}: it may be old. Wait, and ask again.")
            why = "Ask again, to see whether the primary answers now."

    def _paged(self, statement: str, rows: Rows) -> Generator[ReferenceStep, str, Rows]:
        """All rows of a result that is cut, page by page."""
        rows = list(rows)
        while True:
            page = f"SELECT * FROM ({statement.rstrip('; ')}) LIMIT {_PAGE} OFFSET {len(rows)}"
            seen, _ = yield from self._run(page, f"There are more rows: go on after row {len(rows)}.")
            more = seen.data.get("rows", []) if isinstance(seen.data, dict) else []
            rows.extend(more)
            if not more or (len(more) < _PAGE and not seen.data.get("truncated")):
                return rows

    def _run(self, statement: str, why: str) -> Generator[ReferenceStep, str, tuple[ToolResponse, str]]:
        """Run a statement until it works; returns the result and the statement as it finally ran."""
        tries = waits = repairs = 0
        while True:
            seen = yield from self.call("sql", {"query": statement}, why)
            if not seen.trouble:
                return seen, statement
            self.trouble(seen.trouble, write=not _READS.match(statement))
            trouble = seen.trouble.lower()
            if "locked" in trouble or "busy" in trouble:
                waits += 1
                if waits > WAITS:
                    raise SourceFailed("the database stays locked")
                yield from self.wait(5.0 * 2**waits, "The database is locked by somebody else: wait.")
                why = "The same statement again."
            elif "connection" in trouble or "serialize" in trouble:
                tries += 1
                if tries >= MAX_RETRIES:
                    raise SourceFailed("the database connection keeps failing")
                why = f"It was not done ({seen.trouble[:60]}): the same statement again."
            elif "readonly" in trouble or "read-only" in trouble:
                raise SourceFailed("the database is read only")
            else:
                repairs += 1
                changed = None if repairs > 4 else (yield from self._mend(statement, seen.trouble))
                if changed is None or changed == statement:
                    raise SourceFailed(f"the database refuses: {seen.trouble[:100]}")
                statement = changed
                why = f"The error was {seen.trouble[:80]!r}: the statement, changed accordingly."

    def _mend(self, statement: str, trouble: str) -> Generator[ReferenceStep, str, str | None]:
        """The statement, changed as the error says; None when nothing helps."""
        column = re.search(r"no such column: (?:\w+\.)?(\w+)", trouble)
        if column:
            names = yield from self._schema("column_name", column[1], _tables(statement))
            return _with_column(statement, column[1], names[0]) if names else None
        table = re.search(r"no such table: (\w+)", trouble)
        if table:
            names = yield from self._schema("table_name", table[1])
            return re.sub(rf"\b{table[1]}\b", names[0], statement) if names else None
        missing = re.search(r"NOT NULL constraint failed: \w+\.(\w+)", trouble)
        if missing:
            return _with_insert_column(statement, missing[1])
        if not _READS.match(statement):
            return f"{statement.rstrip('; ')};"  # nothing in it fits the error: once more, written otherwise
        if re.search(r"\bLIMIT\b", statement, re.I):
            return None
        return f"{statement.rstrip('; ')} LIMIT {2 * _PAGE}"

    def _schema(
        self, column: str, name: str, tables: list[str] | None = None
    ) -> Generator[ReferenceStep, str, list[str]]:
        """Names in the schema, of these tables or of all, that stand for one that is no longer there."""
        query = f"SELECT DISTINCT {column} FROM schema WHERE {column} LIKE '%{name}%'"
        if tables:
            query += f" AND table_name IN ({', '.join(map(repr, tables))})"
        seen, _ = yield from self._run(query, f"{name} is not known here any more: look at the schema.")
        rows = seen.data.get("rows", []) if isinstance(seen.data, dict) else []
        return sorted((str(r[column]) for r in rows if r.get(column) != name), key=len)


def _tables(statement: str) -> list[str]:
    """The tables that a statement names."""
    return sorted(set(re.findall(r"\b(?:FROM|JOIN|INTO|UPDATE)\s+(\w+)", statement, re.I)))


def _with_column(statement: str, old: str, new: str) -> str:
    """The statement with a column renamed, its result still under the old name."""
    head, sep, tail = statement.partition(" FROM ")
    head = re.sub(rf"\b{old}\b(?! AS)", f"{new} AS {old}", head)
    head = re.sub(rf"\(([^()]*?){new} AS {old}([^()]*?)\)", rf"(\1{new}\2)", head)
    return head + sep + re.sub(rf"\b{old}\b", new, tail)


def _with_insert_column(statement: str, column: str) -> str | None:
    """An INSERT that also names `column`."""
    match = re.fullmatch(r"(\s*INSERT INTO \w+ ?\()([^()]*)(\) VALUES \()(.*)(\)\s*;?\s*)", statement, re.I | re.S)
    if match is None:
        return None
    return f"{match[1]}{match[2]}, {column}{match[3]}{match[4]}, 'desk'{match[5]}"
