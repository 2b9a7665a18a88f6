"""How a reference solution acts: one call at a time, recovering by the contracts.

Everything here works on the text of the results and on what the API documents; nothing looks at the
world, the goal or the fault schedule.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from faultgym.core.json import JSON
from faultgym.envs.identifiers import Identifiers
from faultgym.envs.judging.form import Outcome
from faultgym.envs.reference_agent.choices import Choices
from faultgym.envs.reference_agent.entities import Entity
from faultgym.envs.reference_agent.reading import ToolResponse, read_result, retry_after
from faultgym.envs.task import Task
from faultgym.tools.channels.http.service import Operation, Service
from faultgym.tools.types import ToolCall

MAX_RETRIES = 3
"""How often a call is made that fails for no stated reason."""
WAITS = 4
"""How often it waits for a system that asks for patience."""
ROUTES = "/v1/openapi"
"""Where every service lists its routes."""


@dataclass(frozen=True, slots=True)
class ReferenceStep:
    """One turn of a reference solution: a call and the thought behind it."""

    call: ToolCall
    reasoning: str


@dataclass(frozen=True, slots=True)
class ReferenceAnswer:
    """How a reference solution ends."""

    text: str
    """The final text, or the message of a typed answer; empty where the solution is lost."""
    outcome: Outcome = "answered"
    fields: Mapping[str, Any] = field(default_factory=dict)
    """The values of a typed answer by the names of their fields."""


Steps = Generator[ReferenceStep, str, Any]
"""Yields moves, receives the text of each result."""
Script = Generator[ReferenceStep, Sequence[str], str | ReferenceAnswer]
"""A reference solution: yields moves, receives the results' texts, returns its answer, or the text of one without
fields."""


class SolvableSuite(Protocol):
    """The part of a suite that a reference solution may use: what the API documents, never a world."""

    @property
    def service(self) -> Service:
        """The API."""

    @property
    def entities(self) -> Mapping[str, Entity]:
        """Kinds of records by name, and how they are read."""

    @property
    def identifiers(self) -> Identifiers:
        """What the identifiers of its records look like."""


class SourceFailed(Exception):
    """This source does not answer; another may."""


class RecordNotFound(Exception):
    """A source says that the record does not exist."""


class AllSourcesDown(Exception):
    """Nothing answers: what is left is an honest report."""


class ApiRefused(Exception):
    """The service refuses for a reason of its business, which no other call would change.

    Args:
        status: The HTTP status.
        detail: The service's own words.
    """

    def __init__(self, status: int, detail: str):
        super().__init__(detail)
        self.status = status
        self.detail = detail


class ApiClient:
    """Makes single calls and recovers from what can go wrong with one call.

    Args:
        suite: What the API documents.
        task: The task; its parameters and its system text are read, never its goal.
        tools: Names of the tools offered; the driver keeps the attribute current.
        choices: Which way it goes where there are several; by default the most careful one.
    """

    def __init__(self, suite: SolvableSuite, task: Task, tools: set[str], choices: Choices | None = None):
        self.suite = suite
        self.p = task.params
        """What the instruction names."""
        self.tools = tools
        """Names of the tools offered; the driver keeps it current."""
        self.choices = choices
        """Which way it goes; None for the most careful one everywhere."""
        self.http_down = False
        """Whether the API as a whole has been found out of service."""
        self.done: list[str] = []
        """Writes that succeeded, in words, for an honest report."""
        self._secret = dict(re.findall(r"(client_id|client_secret) (\S+?)[.,]?(?=\s|$)", task.system))
        self._names: dict[tuple[str, str], str] = {}
        self._count = 0
        self._now: datetime | None = None

    # ---- which way ------------------------------------------------------------------------------

    def choose(self, options: int) -> int:
        """Decide where there are several ways.

        Args:
            options: How many there are: 0 is the shortest, the last one the most careful.
        """
        return options - 1 if self.choices is None else self.choices.take(options)

    def brief(self) -> bool:
        """Whether to leave out, here, what only makes sure: decided anew each time."""
        return self.choose(2) == 0

    def look_first(self) -> Steps:
        """Begin with a look at the schema or the routes, on ways that do: it is no cost, and it may meet a fault."""
        looks = ((), (("sql", {"query": "SELECT * FROM schema"}),), (("http", {"method": "GET", "path": ROUTES}),))
        for tool, arguments in () if self.choices is None else looks[self.choices.take(len(looks))]:
            for _ in range(MAX_RETRIES if tool in self.tools else 0):
                seen = yield from self.call(tool, arguments, "See what there is.")
                if not seen.trouble:
                    break

    def trouble(self, what: str, *, write: bool = False) -> None:
        """Meet an error: by default go on; on some ways give up this source, or the task where it is hopeless.

        Args:
            what: The error in words.
            write: Whether something was to be changed, for which there is no other source.

        Raises:
            SourceFailed: Another source is to be tried.
            AllSourcesDown: An honest report is to end it.
        """
        if self.choices is None:
            return
        if self.choices.hopeless and self.brief():
            raise AllSourcesDown(what)
        if not write and self.brief():
            raise SourceFailed(what)

    # ---- one call -------------------------------------------------------------------------------

    def call(self, tool: str, arguments: JSON, reasoning: str) -> Generator[ReferenceStep, str, ToolResponse]:
        """Make one call; a renamed argument is followed once.

        Args:
            tool: The tool.
            arguments: Its arguments under their documented names.
            reasoning: The thought behind the call.

        Yields:
            The call, twice where an argument was renamed; the text of its result is sent back.

        Returns:
            The result, read.

        Raises:
            SourceFailed: The tool is not offered, or no longer.
        """
        for _ in range(2):
            named = {self._names.get((tool, k), k): v for k, v in arguments.items()}
            if tool not in self.tools:
                raise SourceFailed(f"{tool} is not offered")
            self._count += 1
            text = yield ReferenceStep(ToolCall(f"call_{self._count}", tool, named), reasoning)
            seen = read_result(text)
            if "there is no tool" in seen.trouble:
                raise SourceFailed(f"{tool} is no longer offered")
            renamed = re.search(r"unknown argument `(\w+)`.*?now called `(\w+)`", seen.trouble)
            if renamed is None:
                break
            self._names[tool, renamed[1]] = renamed[2]
            reasoning = f"The argument {renamed[1]} is now called {renamed[2]}: the same call with that name."
        self._keep_time(seen)
        return seen

    def _keep_time(self, seen: ToolResponse) -> None:
        moment = re.search(r"it is now (\S+?Z)", seen.text)
        if moment:
            self._now = datetime.fromisoformat(moment[1])

    def wait(self, seconds: float, reasoning: str) -> Steps:
        """Let virtual time pass.

        Args:
            seconds: How long.
            reasoning: The thought behind the call.

        Raises:
            SourceFailed: The tool `wait` is not offered.
        """
        yield from self.call("wait", {"seconds": seconds}, reasoning)

    def request(
        self,
        op: Operation,
        arguments: Mapping[str, Any],
        reasoning: str,
        headers: Mapping[str, str] | None = None,
    ) -> Generator[ReferenceStep, str, ToolResponse]:
        """Call an operation once, through its typed tool if that is offered, else through `http`.

        Args:
            op: The operation.
            arguments: Its arguments by name.
            reasoning: The thought behind the call.
            headers: `idempotency-key` and `if-match`, names in lower case.

        Returns:
            The result, read.

        Raises:
            SourceFailed: Neither tool is offered.
        """
        headers = headers or {}
        if op.name in self.tools:
            extra = {name.replace("-", "_"): value for name, value in headers.items()}
            return (yield from self.call(op.name, {**arguments, **extra}, reasoning))
        rest = dict(arguments)
        path = op.path
        for name in op.path_names:
            path = path.replace("{" + name + "}", str(rest.pop(name)))
        sent: JSON = {"method": op.method, "path": path}
        if headers:
            sent["headers"] = {name.title(): value for name, value in headers.items()}
        if rest:
            sent["body" if op.write else "query"] = rest
        return (yield from self.call("http", sent, reasoning))

    # ---- one operation, until it answers ----------------------------------------------------------

    def operate(
        self, name: str, arguments: Mapping[str, Any], why: str, *, token: str = ""
    ) -> Generator[ReferenceStep, str, ToolResponse]:
        """Call an operation until it answers well.

        Waits, gets a new token and changes the call as the contracts of the faults ask, each a few times at most.

        Args:
            name: The operation.
            arguments: Its arguments by name.
            why: The thought behind the first call.
            token: An idempotency key, for a write.

        Returns:
            The first good result.

        Raises:
            RecordNotFound: A reading operation answers 404.
            SourceFailed: The operation does not come to a good answer, or the API is out of service.
            ApiRefused: The service refuses a write for a reason of its business.
        """
        op = self.suite.service.operations[name]
        if self.http_down:
            raise SourceFailed("the API is out of service")
        headers = {"idempotency-key": token} if token else {}
        arguments = dict(arguments)
        tries = waits = repairs = 0
        reasoning = why
        while True:
            seen = yield from self.request(op, arguments, reasoning, headers)
            if seen.good:
                return seen
            self.trouble(seen.trouble or f"status {seen.status}", write=op.write)
            if op.write and (seen.status >= 500 or _transport(seen)) and self.brief():
                return seen  # it may have been done all the same
            if seen.status in (429, 503):
                waits += 1
                asked = retry_after(seen, self._now)
                if waits > (WAITS if asked is not None else MAX_RETRIES - 1):
                    self.http_down = seen.status == 503 and asked is None
                    raise SourceFailed(f"it keeps answering {seen.status}")
                if asked is not None and self._now is None and not seen.headers["retry-after"].isdigit():
                    asked = yield from self._until(seen)
                pause = asked if asked is not None else 5.0 * 2**waits
                yield from self.wait(pause, f"The answer was {seen.status}: wait {pause:g} s before the next try.")
                reasoning = "The wait is over: the same call again."
            elif seen.status == 401 and not op.public:
                repairs += 1
                if repairs > 4:
                    raise SourceFailed("new tokens are refused")
                yield from self._new_token()
                reasoning = "With the new token: the same call again."
            elif seen.status in (400, 409, 412, 422) or (seen.status == 0 and not _transport(seen)):
                repairs += 1
                if repairs > 4:
                    raise SourceFailed(f"it keeps refusing: {seen.detail}")
                reasoning = yield from self._repair(op, arguments, headers, seen)
            elif seen.status in (403, 404, 405, 410, 301, 302, 307, 308):
                self._give_up(op, seen)
            else:
                tries += 1
                if tries >= MAX_RETRIES:
                    raise SourceFailed(f"it does not answer properly ({seen.trouble})")
                safe = ", under the same idempotency key so that it cannot happen twice" if token else ""
                reasoning = f"That failed ({seen.trouble[:80]}): the same call again{safe}."

    def _until(self, seen: ToolResponse) -> Generator[ReferenceStep, str, float]:
        """Seconds until an HTTP date when the time is not known yet: a short wait tells it."""
        yield from self.wait(1, f"Retry-After is {seen.headers['retry-after']}: see what time it is.")
        return retry_after(seen, self._now) or 60.0

    def _give_up(self, op: Operation, seen: ToolResponse) -> None:
        if seen.status == 404 and not op.write:
            raise RecordNotFound(seen.detail)
        if seen.status in (404, 405) and op.write:
            raise ApiRefused(seen.status, seen.detail)
        raise SourceFailed(f"it answers {seen.status}: {seen.detail[:100]}")

    def _new_token(self) -> Steps:
        why = "The token has expired: get a new one."
        for _ in range(MAX_RETRIES):
            seen = yield from self.request(self.suite.service.operations["issue_token"], self._secret, why)
            if seen.good:
                return
            pause = retry_after(seen, self._now)
            if pause is not None:
                yield from self.wait(pause, f"No token yet ({seen.status}): wait {pause:g} s.")
            why = f"No token yet ({seen.trouble[:60]}): ask again."
        raise SourceFailed("no new token can be had")

    def _repair(
        self, op: Operation, arguments: dict[str, Any], headers: dict[str, str], seen: ToolResponse
    ) -> Generator[ReferenceStep, str, str]:
        """Change the call as the error says; returns the reasoning for the next try."""
        text = seen.text.lower()
        if seen.status in (409, 412) and ("etag" in text or "if-match" in text):
            headers["if-match"] = yield from self._etag(op, arguments)
            return "It has changed meanwhile: send the change again for the ETag just read."
        if seen.status == 422 and "note" in text and "required" in text and "note" not in arguments:
            arguments["note"] = "requested by the user"
            return "A note is required: the same call with one."
        if seen.status in (409, 422) and op.write:
            raise ApiRefused(seen.status, seen.detail)
        bare = {k: self.suite.identifiers.bare(v) for k, v in arguments.items() if isinstance(v, str)}
        if all(arguments[k] == v for k, v in bare.items()):
            raise SourceFailed(f"it refuses: {seen.detail[:100]}")
        arguments.update(bare)
        return f"The error says {seen.detail[:80]!r}: try the number without its prefix."

    def _etag(self, op: Operation, arguments: Mapping[str, Any]) -> Generator[ReferenceStep, str, str]:
        """The current ETag of the row that an operation changes."""
        for reader in self.suite.service.operations.values():
            if not reader.write and reader.versioned and reader.versioned == op.versioned:
                name = reader.versioned[1]
                why = "It was changed by somebody else: read it again."
                try:
                    seen = yield from self.operate(reader.name, {name: arguments[name]}, why)
                except (SourceFailed, RecordNotFound):
                    continue
                return str(seen.headers.get("etag", ""))
        raise SourceFailed("there is no way to read its version")


def _transport(seen: ToolResponse) -> bool:
    return seen.trouble.startswith(("timeout", "reset", "connection"))
