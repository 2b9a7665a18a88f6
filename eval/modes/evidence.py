"""What the rules for failure modes look at: an episode, the expert's own run, and what was known at each call."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import orjson

from faultgym.agents.scripted.marks import looks_wrong
from faultgym.agents.scripted.reference_run import ReferenceRun, reference_run
from faultgym.core.json import JSON
from faultgym.envs.identifiers import EMAIL, declared_prefix
from faultgym.envs.intents import ASIDE, CallIntent, Renames, intent_of, renames
from faultgym.envs.judging.answering import ANSWER, BadAnswer, read_answer
from faultgym.envs.registry import suite_named
from faultgym.envs.suite import Suite
from faultgym.envs.task import Task
from faultgym.eval.context import ScoringContext
from faultgym.tools.declare import BadArguments
from faultgym.tools.toolbox import CallRecord, MalformedCall, Tool, parse_arguments
from faultgym.tools.types import ToolCall

_BARE = re.compile(r"(?<![\w.-])\d{3,9}(?![\w.-])")
_WORD = re.compile(r"\w+")
POSTAL = re.compile(r"\b\d{1,5} (?:[^\W\d_]+ ){1,4}?[^\W\d_]+, \d{4,6} [^\W\d_]+(?:[ -][^\W\d_]+)?")
"""A postal address: number and street, code and town."""


@dataclass(frozen=True, slots=True)
class Mode:
    """One failure mode of an episode, with the place that shows it first."""

    name: str
    step: int
    """Index of the turn, from 0."""
    call: int | None
    """Index of the call in the episode, from 0; None where it is the final text."""
    value: str
    """What is wrong: a name, an argument, a value of the text, a number of calls."""
    why: str
    """One sentence for people."""


@dataclass(frozen=True, slots=True)
class Known:
    """What the agent had been told at some point."""

    identifiers: frozenset[str]
    bare: frozenset[str]
    """Numbers that stood alone: an identifier without its prefix may be among them."""
    emails: frozenset[str]
    words: frozenset[str] = frozenset()
    """Every word and number, where a postal address is asked after."""

    def has(self, value: str) -> bool:
        """Whether an identifier or address had been told, in any spelling; the prefix may be left out.

        Of a postal address each word and number has to have been told.
        """
        if "@" in value:
            return value.casefold() in self.emails
        if POSTAL.fullmatch(value):
            return self.words.issuperset(_WORD.findall(value.casefold()))
        digits = value.rpartition("-")[2]
        return value.upper() in self.identifiers or digits in self.bare


@dataclass(frozen=True)
class ModeContext:
    """An episode made ready for the rules."""

    scoring: ScoringContext

    @cached_property
    def suite(self) -> Suite:
        """The suite of the task."""
        return suite_named(self.scoring.task.suite)

    @cached_property
    def clean(self) -> ReferenceRun:
        """The expert's run without faults."""
        return reference_run(self.scoring.task)

    @cached_property
    def expert(self) -> ReferenceRun:
        """The expert's run under the same schedule."""
        return reference_run(self.scoring.task, self.scoring.schedule)

    @cached_property
    def final(self) -> bool:
        """Whether the agent ended the episode itself."""
        return self.scoring.trace.stop == "final"

    @cached_property
    def failed(self) -> bool:
        """Whether the episode ended without success; an open verdict is no failure."""
        return self.scoring.verdict.success is False

    @property
    def last_step(self) -> int:
        """Index of the last turn."""
        return max(0, len(self.scoring.trace.steps) - 1)

    @cached_property
    def wrong(self) -> tuple[str, ...]:
        """For each call, what its result's text shows to be wrong."""
        return tuple(looks_wrong(record.result.content) for record in self.scoring.records)

    @cached_property
    def arguments(self) -> tuple[JSON | MalformedCall, ...]:
        """For each call, its arguments, or why it has none."""
        return tuple(_arguments(record.call) for record in self.scoring.records)

    @cached_property
    def literal(self) -> tuple[CallIntent, ...]:
        """For each call, what it is after by the names of its own arguments, whatever errors have told of new ones."""
        records = self.scoring.records
        return tuple(intent_of(self.suite, r.call) for r in records) if renames(records) else self.scoring.intents

    @cached_property
    def tables(self) -> tuple[frozenset[str], ...]:
        """For each call, the suite's tables that it was about."""
        readable = frozenset(self.suite.readable)
        both = zip(self.scoring.records, self.literal, strict=True)
        return tuple((frozenset(record.tables) | intent.tables) & readable for record, intent in both)

    @cached_property
    def problems(self) -> tuple[tuple[tuple[str, str], ...], ...]:
        """For each call, (code, field) of what does not fit its tool's declaration."""
        tools = self.suite.tools(self.scoring.task)
        found: list[tuple[tuple[str, str], ...]] = []
        renamed: Renames = {}
        for record, arguments in zip(self.scoring.records, self.arguments, strict=True):
            if self.answering(record):
                found.append(tuple(_answer_problems(record.call, self.scoring.task)))
            else:
                found.append(tuple(_problems(tools.get(record.call.name), arguments, renamed)))
            renamed = {**renamed, **renames([record])}
        return tuple(found)

    def answering(self, record: CallRecord) -> bool:
        """Whether a call was meant to end the episode with a typed answer.

        Args:
            record: The call.
        """
        return record.call.name == ANSWER and self.scoring.trace.answers == "typed"

    @cached_property
    def working(self) -> tuple[int, ...]:
        """The indexes of the calls that were no attempt to end the episode."""
        return tuple(n for n, record in enumerate(self.scoring.records) if not self.answering(record))

    @cached_property
    def _offers(self) -> tuple[frozenset[str], ...]:
        """For each turn, the names of the tools that were offered."""
        trace = self.scoring.trace
        return tuple(frozenset(spec.name for spec in trace.tools_at(step)) for step in range(len(trace.steps)))

    def offered(self, call: int) -> bool:
        """Whether the tool of a call was offered at its step.

        Args:
            call: Index of the call in the episode, from 0.
        """
        return self.scoring.records[call].call.name in self._offers[self.scoring.steps[call]]

    def sound(self, call: int) -> bool:
        """Whether a call was offered and fitted the declaration of its tool.

        Args:
            call: Index of the call in the episode, from 0.
        """
        return self.offered(call) and not self.problems[call]

    @cached_property
    def keys(self) -> tuple[str, ...]:
        """For each call, a text that is equal for equal calls, whichever way they were sent."""
        return tuple(
            intent.normalized if self.sound(n) else sent
            for n, (intent, sent) in enumerate(zip(self.scoring.intents, self.sent, strict=True))
        )

    @cached_property
    def sent(self) -> tuple[str, ...]:
        """For each call, a text that is equal for calls that were written the same, but for the idempotency key."""
        both = zip(self.scoring.records, self.arguments, strict=True)
        return tuple(_written(record.call, arguments) for record, arguments in both)

    @cached_property
    def known(self) -> tuple[Known, ...]:
        """For each call, what had been told before the turn that made it."""
        scoring, rule = self.scoring, self.suite.identifiers
        ids: set[str] = set()
        bare: set[str] = set()
        emails: set[str] = set()
        every: set[str] = set()
        postal = any(POSTAL.fullmatch(value) for values in self.named for value in values)

        def learn(text: str) -> None:
            if postal:
                every.update(_WORD.findall(text.casefold()))
            ids.update(rule.found_in_any_case(text))
            bare.update(_BARE.findall(text))
            if "@" in text:
                emails.update(e.casefold() for e in EMAIL.findall(text))

        for text in scoring.told:
            learn(text)
        result, learnt = [], 0
        for n, step in enumerate(scoring.steps):
            while learnt < n and scoring.steps[learnt] < step:
                learn(scoring.records[learnt].result.content)
                learnt += 1
            result.append(Known(frozenset(ids), frozenset(bare), frozenset(emails), frozenset(every)))
        return tuple(result)

    @cached_property
    def named(self) -> tuple[tuple[str, ...], ...]:
        """For each call, the identifiers and addresses in its arguments, identifiers with their prefix."""
        return tuple(tuple(self._named(n)) if self.sound(n) else () for n in range(len(self.scoring.records)))

    def _named(self, call: int) -> Iterable[str]:
        arguments = self.arguments[call]
        if isinstance(arguments, MalformedCall):
            return ()
        text = "\n".join(_texts({n: v for n, v in arguments.items() if n not in ASIDE and n != "headers"}))
        found = dict.fromkeys([*self.suite.identifiers.found(text), *EMAIL.findall(text), *POSTAL.findall(text)])
        target, tool = self.literal[call].target, self.scoring.records[call].call.name
        found.update(dict.fromkeys(_with_prefix(self.suite, target, tool, arguments)))
        return found

    def pauses(self, first: int, last: int) -> bool:
        """Whether the agent waited between two calls.

        Args:
            first: Index of the earlier call.
            last: Index of the later call.
        """
        return any(r.call.name == "wait" and r.result.ok for r in self.scoring.records[first + 1 : last])

    def mode(self, name: str, call: int | None, value: str, why: str) -> Mode:
        """The failure mode at a call, or at the end.

        Args:
            name: The mode's name.
            call: Index of the call; None for the end of the episode.
            value: What is wrong; cut to 200 characters.
            why: One sentence for people.
        """
        step = self.last_step if call is None else self.scoring.steps[call]
        return Mode(name=name, step=step, call=call, value=value[:200], why=why)


Rule = Callable[[ModeContext], Iterable[Mode]]
"""What raises a failure mode: given an ended episode, a mode for each place that shows it, the first one first."""


def _arguments(call: ToolCall) -> JSON | MalformedCall:
    try:
        return parse_arguments(call)
    except MalformedCall as error:
        return error


def _problems(tool: Tool | None, arguments: JSON | MalformedCall, renamed: Renames) -> Iterator[tuple[str, str]]:
    if tool is None:
        return
    if isinstance(arguments, MalformedCall):
        yield "malformed_call", str(arguments)
        return
    try:
        tool.declaration.check({renamed.get((tool.name, n), n): v for n, v in arguments.items()})
    except BadArguments as error:
        yield from ((p.code, p.field) for p in error.problems)


def _answer_problems(call: ToolCall, task: Task) -> Iterator[tuple[str, str]]:
    try:
        read_answer(call, task.answer)
    except BadAnswer as error:
        yield error.code, error.field or str(error)


def _written(call: ToolCall, arguments: JSON | MalformedCall) -> str:
    if isinstance(arguments, MalformedCall):
        return f"{call.name} {call.raw or call.arguments!r}"
    rest = {name: value for name, value in arguments.items() if name != "idempotency_key"}
    if isinstance(rest.get("headers"), dict):
        rest["headers"] = {n: v for n, v in rest["headers"].items() if n.lower() != "idempotency-key"} or None
    return f"{call.name} {orjson.dumps(rest, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS).decode()}"


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for name, item in value.items():
            if name not in ASIDE:
                yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, str):
        yield value


def _with_prefix(suite: Suite, target: str, tool: str, arguments: JSON) -> Iterator[str]:
    """Identifiers that were given as bare numbers, by what the operation takes there."""
    op = suite.service.operations.get(target)
    if op is None:
        return
    values: JSON = dict(arguments)
    if tool == "http":
        path = str(arguments.get("path", "")).partition("?")[0]
        values = dict(zip(op.path.split("/"), path.split("/"), strict=False))
        values = {n[1:-1]: v for n, v in values.items() if n[:1] == "{"}
        values.update(arguments.get("query") or {}, **(arguments.get("body") or {}))
    for name, part in op.declaration.schema.get("properties", {}).items():
        prefix = declared_prefix(part)
        if prefix and str(values.get(name, "")).isdigit():
            yield f"{prefix}-{values[name]}"
