"""What an episode cost, what would have been enough, and where the difference went."""

from __future__ import annotations

from dataclasses import dataclass

from faultgym.agents.scripted.reference_run import reference_run
from faultgym.core.json import JSON
from faultgym.envs.cheapest import optimal_calls
from faultgym.envs.intents import intents, lookups
from faultgym.envs.reference_agent.client import MAX_RETRIES
from faultgym.envs.registry import suite_named
from faultgym.envs.worlds.changes import Change
from faultgym.eval.context import ScoringContext
from faultgym.eval.recovery.backoff import too_early
from faultgym.eval.recovery.resolution import ANSWERING, HARMLESS, SHAPES, repeatable, spoilt, tables_of
from faultgym.eval.undone import undone_writes
from faultgym.tools.faults.types import Contract

_PASSING = frozenset({"http_429", "http_503", "http_500", "http_502", "http_504", "timeout", "reset"})
"""Codes of errors that go by themselves."""
_CHANGED = frozenset({"http_409", "http_412"})
"""Codes that say that a row is no longer what was read."""


@dataclass(frozen=True, slots=True)
class Waste:
    """Calls that could not help."""

    redundant_reads: int
    """The same reading again after it had been answered, with nothing changed in its tables."""
    futile_retries: int
    """The same call again after an error that repeating does not cure, too early, or beyond the budget."""
    after_goal: int
    """Calls after the wanted state was reached and every wanted value was read."""


@dataclass(frozen=True, slots=True)
class Efficiency:
    """What an episode cost."""

    calls: int
    turns: int
    tokens: int | None
    """Sampled tokens; None when the server did not return them."""
    seconds: float
    """Virtual seconds."""
    optimal: int
    """Calls that are enough in the same world under the same schedule, as the cheapest way or the episode shows."""
    efficiency: float | None
    """optimal / max(optimal, calls), without the first look at the schema and at the routes; None when the episode did
    not succeed."""
    waste: Waste
    writes: int
    """Calls that changed something."""
    bad_writes: int
    """Those of them that were not wanted, or were done twice."""

    @property
    def retry_waste(self) -> float | None:
        """Futile retries per call; None without calls."""
        return self.waste.futile_retries / self.calls if self.calls else None

    @property
    def integrity(self) -> float | None:
        """1 - bad writes / writes; None without writes."""
        return 1 - self.bad_writes / self.writes if self.writes else None

    def to_record(self) -> JSON:
        """As JSON."""
        fields: JSON = {name: getattr(self, name) for name in self.__slots__}
        return {**fields, "waste": {name: getattr(self.waste, name) for name in Waste.__slots__}}

    @classmethod
    def from_record(cls, record: JSON) -> Efficiency:
        """The counterpart of `to_record`."""
        return cls(**{**record, "waste": Waste(**record["waste"])})


def efficiency(context: ScoringContext) -> Efficiency:
    """The cost of an episode; the ways to do the task are tried once for each task and schedule."""
    calls = len(context.records)
    needed = counted(context)
    optimal = optimal_calls(context.task, context.schedule)
    if context.verdict.success:
        optimal = min(optimal, needed)  # who got there with less has shown that less is enough
    return Efficiency(
        calls=calls,
        turns=len(context.trace.steps),
        tokens=context.trace.tokens,
        seconds=context.trace.seconds,
        optimal=optimal,
        efficiency=path_efficiency(optimal, needed) if context.verdict.success else None,
        waste=Waste(redundant_reads(context), futile_retries(context), calls_after_goal(context)),
        writes=sum(bool(r.effects) for r in context.records),
        bad_writes=bad_writes(context),
    )


def path_efficiency(optimal: int, calls: int) -> float:
    """optimal / max(optimal, calls), and 1 where neither makes a call (Anderson et al. 2018, arXiv 1807.06757).

    Args:
        optimal: Calls that are enough.
        calls: Calls that the agent made.

    Example:
        >>> path_efficiency(2, 8), path_efficiency(2, 1), path_efficiency(0, 0)
        (0.25, 1.0, 1.0)
    """
    longest = max(optimal, calls)
    return optimal / longest if longest else 1.0


def counted(context: ScoringContext) -> int:
    """The calls of an episode that are a cost: all but the first look at the schema and the first at the routes.

    Args:
        context: The episode.
    """
    return len(context.records) - lookups(context.intents, context.records)


def redundant_reads(context: ScoringContext) -> int:
    """Readings that had been answered before, with no write to their tables in between."""
    known: dict[str, frozenset[str]] = {}
    count = 0
    for n, (intent, record) in enumerate(zip(context.intents, context.records, strict=True)):
        written = {e.table for e in record.effects}
        if record.result.code in _CHANGED:
            written |= tables_of(context, n)
        if written:
            known = {exact: tables for exact, tables in known.items() if tables and not tables & written}
        if intent.write or intent.tool == "wait" or intent.target == "issue_token":
            continue
        count += intent.normalized in known
        if record.result.ok and not spoilt(context.events_of(n)):
            known[intent.normalized] = tables_of(context, n)
    return count


def futile_retries(context: ScoringContext) -> int:
    """Identical calls after an error that repeating does not cure, before a wait is over, or beyond the budget."""
    last: dict[str, int] = {}
    failures: dict[str, int] = {}
    count = 0
    for n, intent in enumerate(context.intents):
        if intent.tool == "wait":
            continue
        if intent.verbatim in last:
            count += _futile(context, last[intent.verbatim], n, failures.get(intent.verbatim, 0))
        failures[intent.verbatim] = failures.get(intent.verbatim, 0) + 1 if _failed(context, n) else 0
        last[intent.verbatim] = n
    return count


def _failed(context: ScoringContext, call: int) -> bool:
    if not context.records[call].result.ok:
        return True
    return any(
        e.contract in (Contract.RETRY, Contract.REROUTE)
        or (e.contract == Contract.REPAIR and e.kind not in SHAPES | ANSWERING)
        for e in context.events_of(call)
    )


def _futile(context: ScoringContext, before: int, now: int, failures: int) -> bool:
    """Whether calling the same again, after the call `before`, could not help."""
    if not failures or any(r.effects for r in context.records[before + 1 : now]):
        return False
    events = [e for e in context.events_of(before) if e.kind not in HARMLESS]
    if not events:
        return context.records[before].result.code not in _PASSING or failures >= MAX_RETRIES
    event = events[-1]
    if repeatable(context, event):
        return failures >= MAX_RETRIES
    if event.contract == Contract.BACKOFF:
        return too_early(context, events, now)
    if event.contract == Contract.REAUTH:
        return all(a.target != "issue_token" for a in context.intents[before + 1 : now])
    if event.contract == Contract.RECONCILE:
        return not context.intents[before].key or context.intents[now].key != context.intents[before].key
    return True


def calls_after_goal(context: ScoringContext) -> int:
    """Calls of later turns than the one in which the goal held: its state, and each of its facts known.

    A fact is known when it was read in so many words, and all that the expert reads has been asked for too: a number
    that happens to stand in another reply is not it. A report, or that there is none, has no such moment.
    """
    goal, verdict = context.task.goal, context.verdict
    if not verdict.success or verdict.reported or not (goal.changes or goal.expected):
        return 0
    reached = 0
    if goal.changes:
        digests = [step.digest for step in context.trace.steps]
        reached = next((n for n, digest in enumerate(digests) if digest == digests[-1]), len(digests))
    if goal.expected:
        known = _known_from(context)
        if known is None:
            return 0
        reached = max(reached, known)
    return sum(step > reached for step in context.steps)


def _known_from(context: ScoringContext) -> int | None:
    """The turn after which the goal's facts were known; None where that cannot be told."""
    at = 0
    missing = set(context.task.goal.expected)
    for n, record in enumerate(context.records):
        found = set() if spoilt(context.events_of(n)) else {a for a in missing if a.found_in(record.result.content)}
        missing -= found
        at = n if found else at
    calls = _covering(context)
    if missing or calls is None:
        return None
    return max((context.steps[n] for n in (at, *calls) if n < len(context.steps)), default=0)


def _covering(context: ScoringContext) -> list[int] | None:
    """For each reading of the expert's, the first call that was answered soundly and gives the same."""
    suite = suite_named(context.task.suite)
    expert = reference_run(context.task).records
    found: list[int] = []
    for record, wanted in zip(expert, intents(suite, expert), strict=True):
        if wanted.write or wanted.tool in ("wait", "search") or not record.tables:
            continue
        tables = wanted.tables | frozenset(record.tables)
        for n, intent in enumerate(context.intents):
            again = n in found and intent.tool != "sql"  # a second page is another call; one statement has it all
            sound = context.records[n].result.ok and not spoilt(context.events_of(n))
            about = tables & tables_of(context, n) and (not wanted.names or wanted.names & intent.names)
            if sound and about and not again and not intent.write and intent.tool != "search":
                found.append(n)
                break
        else:
            return None
    return found


def bad_writes(context: ScoringContext) -> int:
    """Calls whose effects the goal does not want, or wants fewer times; at least 1 where any change is too many.

    A write that was undone later was made all the same.
    """
    verdict = context.verdict
    extra = (*verdict.extra_changes, *verdict.duplicate_changes)
    writing = [n for n, r in enumerate(context.records) if r.effects]
    bad: set[int] = set()
    for change in extra:
        found = [n for n in writing if n not in bad and _made(context, n, change)]
        if found:
            bad.add(found[-1])
    bad.update(undone_writes(context))
    return len(bad) if bad or not extra else min(1, len(writing))


def _made(context: ScoringContext, call: int, change: Change) -> bool:
    """Whether a call's effects can have made a change."""
    for effect in context.records[call].effects:
        tables = effect.table.split(",")
        if change.op == "insert":
            if change.table in tables:
                return True
        elif change.key in effect.key or change.key.rpartition("-")[2] in context.intents[call].names:
            return True
    return False
