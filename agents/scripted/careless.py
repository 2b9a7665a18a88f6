"""Policies that know one reaction only: repeat, give up, believe, or hurry.

They follow the reference solutions, which are written for an agent that recovers: theirs lacks some of that.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from typing import Any

from faultgym.agents.scripted.marks import looks_wrong
from faultgym.agents.scripted.script import Script, ScriptContext, Scripted
from faultgym.core.json import JSON
from faultgym.envs.reference_agent.agent import ReferenceAgent
from faultgym.envs.reference_agent.client import (
    AllSourcesDown,
    ApiRefused,
    RecordNotFound,
    ReferenceAnswer,
    ReferenceStep,
    SourceFailed,
)
from faultgym.envs.reference_agent.reading import ToolResponse, read_result
from faultgym.envs.reference_agent.sql_client import Rows
from faultgym.tools.types import ToolCall

REPEATS = 4
"""How often `repeater` makes a call again."""
MOST_PAGES = 8
APOLOGY = ReferenceAnswer("I am sorry, something went wrong and I was unable to do this.", "unavailable")
"""How `quitter` ends."""
_UNREADABLE = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""What a script meets that goes on with a body in a shape it does not know."""


class GaveUp(Exception):
    """Raised when nothing else is tried; no reference solution catches this, so that none finds another way."""


class BelievingAgent(ReferenceAgent):
    """Takes what a list or a statement gives for all there is: counts nothing, and looks for no other copy."""

    def sql(self, statement: str, *, check: bool = False, why: str = "") -> Generator[ReferenceStep, str, Rows]:
        """The rows as they come, from whichever copy.

        Args:
            statement: What the database is asked.
            check: Not used: this agent checks nothing.
            why: What the agent says of the call.

        Raises:
            SourceFailed: The database does not answer, or refuses the statement.
        """
        seen, _ = yield from self._run(statement, why or "Ask the database.")
        return list(seen.data.get("rows", [])) if isinstance(seen.data, dict) else []

    def _pages_as_they_come(
        self, operation: str, filters: Mapping[str, Any], why: str
    ) -> Generator[ReferenceStep, str, Rows]:
        """The items of all pages, doubled ones twice, without a look at the total. Raises `AllSourcesDown`."""
        items: Rows = []
        query = {**filters, "limit": 50}
        for _ in range(MOST_PAGES):
            try:
                seen = yield from self.operate(operation, query, why or "List them.")
            except (SourceFailed, RecordNotFound) as failure:
                raise AllSourcesDown(str(failure)) from None
            items.extend(seen.data["items"])
            if not seen.data.get("next_cursor"):
                break
            query["cursor"] = seen.data["next_cursor"]
        return items


class StubbornAgent(BelievingAgent):
    """Only repeats: no wait, no other way, no new token, no changed call, no key, no second source."""

    repeats = REPEATS

    def call(self, tool: str, arguments: JSON, reasoning: str) -> Generator[ReferenceStep, str, ToolResponse]:
        """Make a call, and again for as long as what comes back looks wrong.

        Args:
            tool: The tool's name.
            arguments: The call's.
            reasoning: What the agent says of the first try.

        Returns:
            The last response.
        """
        for n in range(self.repeats + 1):
            self._count += 1
            text = yield ReferenceStep(ToolCall(f"call_{self._count}", tool, dict(arguments)), reasoning)
            if not looks_wrong(text):
                break
            reasoning = f"That did not work ({looks_wrong(text)[:60]}): the same again, number {n + 1}."
        return read_result(text)

    def operate(
        self, name: str, arguments: Mapping[str, Any], why: str, *, token: str = ""
    ) -> Generator[ReferenceStep, str, ToolResponse]:
        """The answer of an operation, if one comes in a few tries.

        Args:
            name: The operation's.
            arguments: The operation's.
            why: What the agent says of the call.
            token: Not used: this agent fetches no new one.

        Raises:
            RecordNotFound: A read was answered with 404.
            ApiRefused: A write was answered with 409 or 422.
            GaveUp: Anything else went wrong.
        """
        op = self.suite.service.operations[name]
        seen = yield from self.request(op, arguments, why)
        if seen.good:
            return seen
        if seen.status == 404 and not op.write:
            raise RecordNotFound(seen.detail)
        if op.write and seen.status in (409, 422):
            raise ApiRefused(seen.status, seen.detail)
        raise GaveUp(seen.trouble)

    def _run(self, statement: str, why: str) -> Generator[ReferenceStep, str, tuple[ToolResponse, str]]:
        seen = yield from self.call("sql", {"query": statement}, why)
        if seen.trouble:
            raise GaveUp(seen.trouble)
        return seen, statement

    def read(self, entity: str, key: str, *, why: str = "") -> Generator[ReferenceStep, str, dict[str, Any] | None]:
        """The record as the first source gives it; None where that source has none.

        Args:
            entity: A key of the suite's entities.
            key: The record's identifier.
            why: What the agent says of the call.

        Raises:
            GaveUp: The tries were all in vain.
        """
        kind = self.suite.entities[entity]
        source = kind.sources[0]
        try:
            if source.sql:
                rows = yield from self.sql(source.sql.format(id=key), why=why)
                return dict(rows[0]) if rows else None
            seen = yield from self.operate(source.operation, {kind.parameter: key}, why or f"Look up {key}.")
        except RecordNotFound:
            return None
        return dict(seen.data)

    def list(
        self, operation: str, filters: Mapping[str, Any], sql: str = "", *, why: str = ""
    ) -> Generator[ReferenceStep, str, Rows]:
        """The pages as they come.

        Args:
            operation: The listing's name.
            filters: The listing's arguments.
            sql: Not used: this agent asks no second source.
            why: What the agent says of the calls.

        Raises:
            AllSourcesDown: There is no such listing.
            GaveUp: The tries were all in vain.
        """
        return (yield from self._pages_as_they_come(operation, filters, why))

    def document(
        self, query: str, *, title: str = "", kind: str = "", why: str = ""
    ) -> Generator[ReferenceStep, str, str | None]:
        """The body of the first document of that title among the hits of one search; None where there is none.

        Args:
            query: What is searched for.
            title: Part of the document's title, in any case; empty for any.
            kind: The kind of document; empty for any.
            why: What the agent says of the search.

        Raises:
            GaveUp: The tries were all in vain.
        """
        arguments = {"query": query, "kind": kind} if kind else {"query": query}
        seen = yield from self.call("search", arguments, why or f"Search the documents for {query!r}.")
        if seen.trouble:
            raise GaveUp(seen.trouble)
        hits = seen.data.get("hits", []) if isinstance(seen.data, dict) else []
        for hit in hits:
            if title.casefold() in str(hit["title"]).casefold():
                found = yield from self.read("document", str(hit["id"]), why=f"Open {hit['id']}.")
                return None if found is None else str(found["body"])
        return None


class FaintAgent(StubbornAgent):
    """Gives up at the first thing that looks wrong."""

    repeats = 0


class TrustingAgent(BelievingAgent):
    """Recovers from what is announced, and believes everything else."""

    def read(self, entity: str, key: str, *, why: str = "") -> Generator[ReferenceStep, str, dict[str, Any] | None]:
        """The record of the first source that answers, whatever the record looks like; None where that source has none.

        Args:
            entity: A key of the suite's entities.
            key: The record's identifier.
            why: What the agent says of the call.

        Raises:
            AllSourcesDown: No source answers.
        """
        kind = self.suite.entities[entity]
        why = why or f"Look up {entity} {key}."
        for source in kind.sources:
            try:
                record = yield from self._from_source(kind, source, key, why)
            except RecordNotFound:
                return None
            except SourceFailed as failure:
                why = f"That way is closed ({failure}): try another source for {key}."
                continue
            record.pop("_doubt", None)
            return record
        raise AllSourcesDown("no source answers")

    def list(
        self, operation: str, filters: Mapping[str, Any], sql: str = "", *, why: str = ""
    ) -> Generator[ReferenceStep, str, Rows]:
        """The pages as they come; the database only when the listing fails.

        Args:
            operation: The listing's name.
            filters: The listing's arguments, and what fills the braces of `sql`.
            sql: The statement that gives the same rows; empty where there is none.
            why: What the agent says of the calls.

        Raises:
            AllSourcesDown: The listing fails, and there is no statement.
        """
        try:
            return (yield from self._pages_as_they_come(operation, filters, why))
        except AllSourcesDown:
            if not sql:
                raise
        return (yield from self.sql(sql.format(**filters), why="The listing fails: ask the database."))


def _with(
    agent: type[ReferenceAgent],
    report: Callable[[ScriptContext, ReferenceAnswer], ReferenceAnswer],
    *,
    waits: bool = True,
) -> Callable[[ScriptContext], Script]:
    """A script that follows the reference solution with this kind of agent."""

    def script(stage: ScriptContext) -> Script:
        stage.reference.desk = agent(stage.suite, stage.task, set())
        text: str | None = None
        while True:
            try:
                move = stage.next(text)
            except GaveUp as failure:
                return stage.closing(report(stage, stage.reference.desk.report(str(failure))))
            except _UNREADABLE:
                return stage.closing(report(stage, stage.reference.desk.report("the answer cannot be read")))
            if isinstance(move, ReferenceAnswer):
                return stage.closing(report(stage, move))
            if move.call.name == "wait" and not waits:
                text = "no need to wait"
                continue
            text = yield from stage.call(move.call, move.reasoning)

    return script


def _as_it_is(stage: ScriptContext, answer: ReferenceAnswer) -> ReferenceAnswer:
    return answer


def _with_apology(stage: ScriptContext, answer: ReferenceAnswer) -> ReferenceAnswer:
    """The answer, unless anything looked wrong on the way."""
    return APOLOGY if any(looks_wrong(result) for result in stage.results) else answer


def repeater() -> Scripted:
    """After any trouble makes the same call again, a few times, then reports or answers from what it has."""
    return Scripted("repeater", _with(StubbornAgent, _as_it_is))


def quitter() -> Scripted:
    """Apologises at the first error."""
    return Scripted("quitter", _with(FaintAgent, _with_apology))


def trusting() -> Scripted:
    """Believes every answer that is not an error; never asks a second source."""
    return Scripted("trusting", _with(TrustingAgent, _as_it_is))


def impatient() -> Scripted:
    """The expert without patience: never waits before it tries again."""
    return Scripted("impatient", _with(ReferenceAgent, _as_it_is, waits=False))
