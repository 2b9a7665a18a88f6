"""Failure modes of single calls: each rule looks at one call and what was known when it was made."""

from __future__ import annotations

import re
from collections.abc import Iterator

from faultgym.eval.modes.evidence import Mode, ModeContext, Rule
from faultgym.tools.toolbox import MalformedCall

_FREE = frozenset({"wait", "issue_token", "list_routes"})
"""What may be called at any time without being about anything."""
_LONG = re.compile(r"[a-z]{5,}")
"""Words that say what a text is about."""


def unknown_tool(context: ModeContext) -> Iterator[Mode]:
    """The name was not offered at that step."""
    for n, record in enumerate(context.scoring.records):
        if not context.offered(n):
            yield context.mode(
                "unknown_tool", n, record.call.name, f"{record.call.name!r} was not offered at that step"
            )


def wrong_tool(context: ModeContext) -> Iterator[Mode]:
    """A call on tables that have nothing to do with the task, while nothing had gone wrong yet.

    The tables that matter are those that the expert's calls are about, without faults and under the same
    ones, and those of the records that they or the instruction name. Before a change, its rules may be looked up. After
    a result that looks wrong, looking elsewhere is no mistake.
    """
    useful = context.clean.tables | context.expert.tables | context.clean.records_in
    if not useful or not context.scoring.task.needs_tools:
        return
    for n, record in enumerate(context.scoring.records):
        tables = context.tables[n]
        apart = tables and not tables & useful and context.scoring.intents[n].target not in _FREE
        if context.sound(n) and apart and not _looks_up_rules(context, n):
            what = f"{record.call.name} on {', '.join(sorted(tables))}"
            yield context.mode("wrong_tool", n, what, f"the task is about {', '.join(sorted(useful))}")
        if context.wrong[n]:
            return


def _looks_up_rules(context: ModeContext, call: int) -> bool:
    """Whether a call searches for what the messages speak of, where something is to be changed."""
    record, goal = context.scoring.records[call], context.scoring.task.goal
    if record.call.name != "search" or not (goal.changes or goal.kind == "report"):
        return False
    told = {word for m in context.scoring.trace.opening for word in _LONG.findall(m.content.casefold())}
    arguments = context.arguments[call]
    sent = "" if isinstance(arguments, MalformedCall) else " ".join(map(str, arguments.values()))
    return bool(told.intersection(_LONG.findall(sent.casefold())))


def _by_schema(code: str, why: str, summary: str) -> Rule:
    def rule(context: ModeContext) -> Iterator[Mode]:
        for n, problems in enumerate(context.problems):
            for found, field in problems:
                if found == code and context.offered(n):
                    yield context.mode(code, n, field, f"{field!r} of {context.scoring.records[n].call.name} {why}")

    rule.__name__, rule.__doc__ = code, summary
    return rule


missing_argument = _by_schema("missing_argument", "is required and was not given", "A required argument was left out.")
unknown_argument = _by_schema(
    "unknown_argument", "is not among its arguments", "An argument that the tool does not have."
)
invalid_argument = _by_schema(
    "invalid_argument", "does not fit its schema", "An argument of the wrong type, or outside what is allowed."
)


def malformed_call(context: ModeContext) -> Iterator[Mode]:
    """The call did not parse, and not because the token limit cut it."""
    for n, problems in enumerate(context.problems):
        cut = context.scoring.trace.steps[context.scoring.steps[n]].turn.finish_reason == "length"
        for found, detail in problems:
            if found == "malformed_call" and not cut:
                yield context.mode("malformed_call", n, context.scoring.records[n].call.raw[:80], detail)


def hallucinated_argument(context: ModeContext) -> Iterator[Mode]:
    """An identifier or address in no message and no observation, whatever its case, quotes or prefix."""
    for n, values in enumerate(context.named):
        for value in values:
            if not context.known[n].has(value):
                yield context.mode("hallucinated_argument", n, value, f"nothing had mentioned {value}")


def wrong_entity(context: ModeContext) -> Iterator[Mode]:
    """A grounded identifier of a kind that the task addresses, of a record that it has nothing to do with.

    The task's records are those that the expert names, and those that it meets when nothing breaks: what a
    fault shows is of another record may be just that.
    """
    own = context.clean.seen | context.expert.named
    kinds = {i.partition("-")[0] for i in context.clean.named | context.expert.named}
    for n, values in enumerate(context.named):
        for value in values:
            if value.partition("-")[0] in kinds and value not in own and context.known[n].has(value):
                yield context.mode("wrong_entity", n, value, f"the task is not about {value}")
