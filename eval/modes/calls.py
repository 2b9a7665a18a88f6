"""Failure modes of single calls: each rule looks at one call and what was known when it was made."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from faultgym.eval.modes.evidence import Mode, ModeContext

Rule = Callable[[ModeContext], Iterator[Mode]]
_FREE = frozenset({"wait", "issue_token", "list_routes"})
"""What may be called at any time without being about anything."""


def unknown_tool(case: ModeContext) -> Iterator[Mode]:
    """The name was not offered at that step."""
    for n, record in enumerate(case.story.records):
        if not case.offered(n):
            yield case.mode("unknown_tool", n, record.call.name, f"{record.call.name!r} was not offered at that step")


def wrong_tool(case: ModeContext) -> Iterator[Mode]:
    """A call on tables that have nothing to do with the task, while nothing had gone wrong yet.

    The tables that matter are those that the expert's calls are about, without faults and under the same
    ones. After a result that looks wrong, looking elsewhere is no mistake.
    """
    useful = case.clean.tables | case.expert.tables
    if not useful or not case.story.task.needs_tools:
        return
    for n, record in enumerate(case.story.records):
        tables = case.tables[n]
        if case.sound(n) and tables and not tables & useful and case.story.intents[n].target not in _FREE:
            what = f"{record.call.name} on {', '.join(sorted(tables))}"
            yield case.mode("wrong_tool", n, what, f"the task is about {', '.join(sorted(useful))}")
        if case.wrong[n]:
            return


def _by_schema(code: str, why: str) -> Rule:
    def rule(case: ModeContext) -> Iterator[Mode]:
        for n, problems in enumerate(case.problems):
            for found, field in problems:
                if found == code and case.offered(n):
                    yield case.mode(code, n, field, f"{field!r} of {case.story.records[n].call.name} {why}")

    return rule


missing_argument = _by_schema("missing_argument", "is required and was not given")
unknown_argument = _by_schema("unknown_argument", "is not among its arguments")
invalid_argument = _by_schema("invalid_argument", "does not fit its schema")


def malformed_call(case: ModeContext) -> Iterator[Mode]:
    """The call did not parse, and not because the token limit cut it."""
    for n, problems in enumerate(case.problems):
        cut = case.story.trace.steps[case.story.steps[n]].turn.finish_reason == "length"
        for found, detail in problems:
            if found == "malformed_call" and not cut:
                yield case.mode("malformed_call", n, case.story.records[n].call.raw[:80], detail)


def hallucinated_argument(case: ModeContext) -> Iterator[Mode]:
    """An identifier or address in no message and no observation, whatever its case, quotes or prefix."""
    for n, values in enumerate(case.named):
        for value in values:
            if not case.known[n].has(value):
                yield case.mode("hallucinated_argument", n, value, f"nothing had mentioned {value}")


def wrong_entity(case: ModeContext) -> Iterator[Mode]:
    """A grounded identifier of a kind that the task addresses, of a record that it has nothing to do with.

    The task's records are those that the expert names, and those that it meets when nothing breaks: what a
    fault shows is of another record may be just that.
    """
    own = case.clean.seen | case.expert.named
    kinds = {i.partition("-")[0] for i in case.clean.named | case.expert.named}
    for n, values in enumerate(case.named):
        for value in values:
            if value.partition("-")[0] in kinds and value not in own and case.known[n].has(value):
                yield case.mode("wrong_entity", n, value, f"the task is not about {value}")
