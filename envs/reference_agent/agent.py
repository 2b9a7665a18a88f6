"""What a template's `solve` works with: reads, lists, look-ups and writes that recover by themselves.

A template says what to do and not how to recover.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Mapping
from typing import Any

from faultgym.core.bank import banked
from faultgym.envs.judging.form import Outcome
from faultgym.envs.reference_agent.client import (
    AllSourcesDown,
    RecordNotFound,
    ReferenceAnswer,
    ReferenceStep,
    SourceFailed,
)
from faultgym.envs.reference_agent.entities import Entity, EntitySource
from faultgym.envs.reference_agent.reading import FieldMissing, ToolResponse, pick
from faultgym.envs.reference_agent.sql_client import Rows, SqlClient
from faultgym.tools.channels.http.service import Operation, response_type


class ReferenceAgent(SqlClient):
    """Where a template's `solve` works: every call recovers by itself, or raises what ends in an honest report."""

    def read(self, entity: str, key: str, *, why: str = "") -> Generator[ReferenceStep, str, dict[str, Any] | None]:
        """Read a record, from one source after another; a reply that looks wrong is checked with the next one.

        Args:
            entity: The kind of record, as the suite names it.
            key: Its identifier.
            why: The thought behind the first call.

        Returns:
            The record under the field names of the first source, the last doubtful one where no reply looks right; None
            when two sources, or the only one that answers, do not know it.

        Raises:
            AllSourcesDown: No source answers.
        """
        kind = self.suite.entities[entity]
        why = why or f"Look up {entity} {key}."
        absent, doubtful, failures = 0, None, []
        first = len(kind.sources) - 1 - self.choose(len(kind.sources))
        for source in (*kind.sources[first:], *kind.sources[:first]):
            try:
                record = yield from self._from_source(kind, source, key, why)
            except RecordNotFound:
                absent += 1
                if absent == 2 or self.brief():
                    return None
                why = f"Not found there: make sure with another source before saying that {key} does not exist."
                continue
            except SourceFailed as failure:
                failures.append(str(failure))
                why = f"That way is closed ({failure}): try another source for {key}."
                continue
            doubt = record.pop("_doubt", "")
            if not doubt or self.brief():
                return record
            doubtful = record
            why = f"That looks wrong ({doubt}): check it with another source."
        if doubtful is not None:
            return doubtful
        if absent:
            return None
        raise AllSourcesDown(failures[-1] if failures else "no source answers")

    def _from_source(
        self, kind: Entity, source: EntitySource, key: str, why: str
    ) -> Generator[ReferenceStep, str, dict[str, Any]]:
        fields = _fields(self.suite.service.operations[kind.sources[0].operation])
        if source.sql:
            rows = yield from self.sql(source.sql.format(id=key), why=why)
            if not rows:
                raise RecordNotFound(key)
            return dict(rows[0])
        seen = yield from self.operate(source.operation, {kind.parameter: key}, why)
        return _record(seen, fields, kind.parameter, key)

    def make_sure(
        self, entity: str, key: str, *, why: str = ""
    ) -> Generator[ReferenceStep, str, dict[str, Any] | None]:
        """Read a record only to make sure that it is there, which brief ways leave out.

        Args:
            entity: The kind of record, as the suite names it.
            key: Its identifier.
            why: The thought behind the first call.

        Returns:
            As `read`; an empty record where it was left out.

        Raises:
            AllSourcesDown: No source answers.
        """
        return {} if self.brief() else (yield from self.read(entity, key, why=why))

    def list(
        self, operation: str, filters: Mapping[str, Any], sql: str = "", *, why: str = ""
    ) -> Generator[ReferenceStep, str, Rows]:
        """All items of a listing by id, duplicates dropped.

        Args:
            operation: The listing.
            filters: Its arguments by name.
            sql: A statement that selects the same rows, `id` among their columns, with the filters' names in braces; if
                given, the listing is checked against it.
            why: The thought behind the first call.

        Returns:
            The items; with `sql`, those of both, and the database's values where the two differ.

        Raises:
            AllSourcesDown: The listing does not answer and there is no `sql`, or the database does not answer and the
                listing is not known to be whole.
        """
        why = why or "List them."
        listed: Rows | None = None
        way = self.choose(3) if sql else 2
        if way == 0:
            return (yield from self._from_database(sql.format(**filters), why))
        later = self.suite.service.operations[operation].successor
        if later and self.brief():
            operation = later
        try:
            listed, whole = yield from self._pages(operation, filters, why)
        except (SourceFailed, RecordNotFound) as failure:
            why, whole = f"The listing fails ({failure}): ask the database.", False
        else:
            why = "Make sure that the list is whole: ask the database too."
        if not sql or (way == 1 and listed is not None):
            if listed is None:
                raise AllSourcesDown("the listing does not answer")
            return listed
        try:
            rows = yield from self.sql(sql.format(**filters), why=why)
        except SourceFailed as failure:
            if listed is not None and whole:
                return listed
            raise AllSourcesDown(str(failure)) from None
        if listed is None:
            return rows
        found = {str(item["id"]): item for item in listed}
        for row in rows:  # the database's values have the documented names and units
            found[str(row["id"])] = {**found.get(str(row["id"]), {}), **row}
        return [found[k] for k in sorted(found)]

    def _from_database(self, statement: str, why: str) -> Generator[ReferenceStep, str, Rows]:
        try:
            return (yield from self.sql(statement, why=why))
        except SourceFailed as failure:
            raise AllSourcesDown(str(failure)) from None

    def _pages(
        self, operation: str, filters: Mapping[str, Any], why: str
    ) -> Generator[ReferenceStep, str, tuple[Rows, bool]]:
        """All pages; and whether they add up to the total that the service states."""
        items: dict[str, dict[str, Any]] = {}
        query = {**filters, "limit": 50}
        cursors = set()
        while True:
            seen = yield from self.operate(operation, query, why)
            body = seen.data
            rows = next((v for v in (body.get("items"), *body.values()) if isinstance(v, list)), [])
            items.update((str(row.get("id")), row) for row in rows if isinstance(row, dict))
            cursor = body.get("next_cursor")
            if not cursor or cursor in cursors:
                return [items[k] for k in sorted(items)], len(items) == body.get("total")
            cursors.add(cursor)
            query["cursor"] = cursor
            why = f"{len(items)} so far, and there is a next page: read it."

    def document(
        self, query: str, *, title: str = "", kind: str = "", why: str = ""
    ) -> Generator[ReferenceStep, str, str | None]:
        """The current full text of a document; None when there is none.

        Args:
            query: Words to search for.
            title: What the title must contain; empty for the first hit.
            kind: Only documents of this kind; empty for any.
            why: The thought behind the first call.

        Raises:
            AllSourcesDown: A document is found, and no source gives its text.
            SourceFailed: Search does not find the title, and the database does not answer.
        """
        why = why or f"Search the documents for {query!r}."
        way = self.choose(3) if title else 2
        if way == 0:
            text = yield from self._titled(title, why)
            if text is not None or self.brief():
                return text
        attempts = ((query, 1), (title or query, 1), (" ".join(query.split()[:2]), 1), (query, 2))
        for words, page in dict.fromkeys(attempts):
            hits, why_next = yield from self._search(words, kind, page, why)
            for hit in hits:
                if title and title.casefold() not in str(hit.get("title", "")).casefold():
                    continue
                if way == 1:
                    return str(hit.get("snippet", "")).strip("… ")
                found = yield from self.read("document", str(hit["id"]), why=f"Open {hit['id']}, {hit['title']!r}.")
                if found is not None:
                    return str(found["body"])
            why = why_next
        return (yield from self._titled(title, "Search does not give it: ask the database.")) if title else None

    def _titled(self, title: str, why: str) -> Generator[ReferenceStep, str, str | None]:
        quoted = title.replace("'", "''")
        rows = yield from self.sql(f"SELECT body FROM documents WHERE title = '{quoted}'", why=why)
        return str(rows[0]["body"]) if rows else None

    def _search(self, words: str, kind: str, page: int, why: str) -> Generator[ReferenceStep, str, tuple[Rows, str]]:
        arguments: dict[str, Any] = {"query": words}
        if kind:
            arguments["kind"] = kind
        if page > 1:
            arguments["page"] = page
        for _ in range(3):
            try:
                seen = yield from self.call("search", arguments, why)
            except SourceFailed:
                return [], "Search is gone."
            data = seen.data if isinstance(seen.data, dict) else {}
            if seen.trouble or ((data.get("timed_out") or data.get("shards_failed")) and not self.brief()):
                why = "The search was not complete: the same search again."
                if seen.trouble:
                    arguments["query"] = f"{words} {kind}".strip()
                continue
            break
        hits = data.get("hits", [])
        return hits, "The right document is not among the hits: search with other words."

    def write(
        self, operation: str, *, why: str = "", **arguments: Any
    ) -> Generator[ReferenceStep, str, dict[str, Any]]:
        """Change something, once, under an idempotency key.

        Args:
            operation: The operation that writes.
            why: The thought behind the first call.
            arguments: The operation's arguments.

        Returns:
            The body of the answer; empty where that is no object.

        Raises:
            ApiRefused: The service refuses for a reason of its business.
            AllSourcesDown: The operation does not come to an answer.
        """
        why = why or f"Now {operation.replace('_', ' ')}."
        key = "-".join(["desk", operation, *filter(self.suite.identifiers.matches, arguments.values())])
        try:
            seen = yield from self.operate(operation, arguments, why, token=key[:100])
        except SourceFailed as failure:
            raise AllSourcesDown(f"{operation.replace('_', ' ')} fails: {failure}") from None
        self.done.append(operation.replace("_", " "))
        return dict(seen.data) if isinstance(seen.data, dict) else {}

    def answer(self, text: str, outcome: Outcome | None = None, **fields: Any) -> ReferenceAnswer:
        """The answer to the task.

        Args:
            text: What the person reads.
            outcome: By default `done` where something was written, else `answered`.
            fields: The values of a typed answer.
        """
        return ReferenceAnswer(text, outcome or ("done" if self.done else "answered"), fields)

    def absent(self, entity: str, key: str) -> ReferenceAnswer:
        """An honest abstention.

        Args:
            entity: The kind of record.
            key: The identifier that no source knows.
        """
        return ReferenceAnswer(f"There is no {entity} {key}: it was not found in the records.", "not_found")

    def report(self, reason: str) -> ReferenceAnswer:
        """An honest report of what could not be done, without a value that was not seen.

        Args:
            reason: What failed; digits are left out, so that the report states no number.
        """
        about = ", ".join(filter(self.suite.identifiers.matches, self.p.values()))
        done = f" Done before that: {', '.join(self.done)}." if self.done else " Nothing was changed."
        return ReferenceAnswer(
            f"I could not complete this{f' for {about}' if about else ''}: the system is unavailable"
            f" ({_plain(reason)}).{done}",
            "unavailable",
        )


def _plain(reason: str) -> str:
    return re.sub(r"\d+", "", reason).strip()[:120]


@banked("code", 1024)
def _fields(op: Operation) -> tuple[tuple[str, bool], ...]:
    """The documented fields of an operation's body, each with whether it may be null."""
    hints = getattr(response_type(op), "__annotations__", {})
    return tuple((name, "None" in str(hint)) for name, hint in hints.items())


def _record(seen: ToolResponse, fields: tuple[tuple[str, bool], ...], parameter: str, key: str) -> dict[str, Any]:
    """The body under its documented names; `_doubt` says what looks wrong with it. Raises `SourceFailed`."""
    data = seen.data
    record: dict[str, Any] = {}
    for name, nullable in fields:
        try:
            record[name] = pick(data, name)
        except FieldMissing:
            raise SourceFailed(f"{name} is not in the answer") from None
        if record[name] is None and not nullable:
            raise SourceFailed(f"{name} is null in the answer")
    about = str(record.get(parameter, record.get("id", key)))  # what an order has may have an id of its own
    if "age" in seen.headers or "warning" in seen.headers:
        record["_doubt"] = "it is a stale copy"
    elif "amounts_in" in data:
        record["_doubt"] = f"its amounts are in {data['amounts_in']}"
    elif about != key:
        record["_doubt"] = f"it is about {about}"
    else:
        record["_doubt"] = _money_doubt(record)
    return record


def _money_doubt(record: Mapping[str, Any]) -> str:
    """Whether an amount does not fit the amounts that it is made of."""
    for name, value in record.items():
        parts = [v for v in record.values() if isinstance(v, list) and v and isinstance(v[0], dict)]
        if not name.endswith("_cents") or not isinstance(value, int):
            continue
        for rows in parts:
            amounts = [
                r.get("quantity", 1) * next(v for k, v in r.items() if k.endswith("_cents") and isinstance(v, int))
                for r in rows
                if any(k.endswith("_cents") and isinstance(v, int) for k, v in r.items())
            ]
            if amounts and sum(amounts) != value:
                return f"{name} does not fit its parts"
    return ""
