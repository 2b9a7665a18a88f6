"""Failure modes of an episode's course: what is repeated, what goes in circles, what goes on too long."""

from __future__ import annotations

from collections.abc import Iterator

from faultgym.envs.messages.turn import CUT_SHORT
from faultgym.eval.efficiency import counted
from faultgym.eval.modes.evidence import Mode, ModeContext
from faultgym.eval.recovery.resolution import spoilt
from faultgym.tools.faults.types import Contract

ROUNDS = 3
"""Rounds that make a circle."""
LONGEST = 6
"""Calls of the longest circle that is looked for."""
MAX_RETRIES = 3
"""How often a call may be made that fails as if by accident, when that was no accident."""
MORE_LOOKS = 3
"""Calls after the goal holds that the expert does not make and that are not yet too many."""
TIMES_USUAL = 3

_TIMELESS = frozenset({"wait", "issue_token"})
"""Targets whose repetition always changes something: the time, or the token."""
_ACCIDENTS = frozenset({"http_500", "http_502", "http_504", "timeout", "reset", "connection", "search_error"})
"""Result codes that look as if the same call might work."""
_REPEATABLE = frozenset({Contract.RETRY, Contract.RESTORE})


def repeated_broken_call(context: ModeContext) -> Iterator[Mode]:
    """The same call after an error that repeating does not answer, with nothing done in between.

    What is done in between: a wait, any change, a new token, or a success on the same tables. A failure
    that looks like an accident, or an outage, may be tried `MAX_RETRIES` times even where that cannot help; a write
    that may have been done only under its idempotency key. What a turn could not know yet is no mistake: the failure
    of a call of the same turn, or that of the new token, the write or the wait that it sends before the call.
    """
    scoring = context.scoring
    tries: dict[str, int] = {}
    last: dict[str, int] = {}
    for n, intent in enumerate(scoring.intents):
        key = context.sent[n]
        m = last.get(key)
        last[key] = n
        if m is None or scoring.records[m].result.ok or _acted(context, m, n):
            tries[key] = 1
            continue
        tries[key] += 1
        contracts = {event.contract for event in scoring.events_of(m)}
        blind = Contract.RECONCILE in contracts and intent.write and not intent.key
        hopeful = scoring.records[m].result.code in _ACCIDENTS or Contract.REPORT in contracts
        if contracts & _REPEATABLE or (not blind and hopeful and tries[key] <= MAX_RETRIES):
            continue
        what = scoring.records[m].result.content.split("\n")[0][:80]
        yield context.mode("repeated_broken_call", n, key, f"the same call as call {m}, which gave {what!r}")


def _acted(context: ModeContext, first: int, last: int) -> bool:
    """Whether something was done between two calls that may make the second one go otherwise, or was sent to do so.

    Results of the second call's own turn were not known when it was sent: there, having tried is enough.
    """
    scoring = context.scoring
    if scoring.steps[first] == scoring.steps[last]:
        return True
    for n in range(first + 1, last):
        record, intent = scoring.records[n], scoring.intents[n]
        unknown = scoring.steps[n] == scoring.steps[last]
        if record.effects or (unknown and intent.write):
            return True
        if (unknown or record.result.ok) and (intent.target in _TIMELESS or context.tables[n] & context.tables[first]):
            return True
    return False


def redundant_call(context: ModeContext) -> Iterator[Mode]:
    """The same call after a success, with no reason to think that it would go otherwise.

    Reasons are a change to the tables it reads, a wait, any result in between, or of the first call itself, that
    looks wrong, and a reply that a fault had made false: another record's, an older one's, one with rows missing.
    """
    scoring = context.scoring
    last: dict[str, int] = {}
    for n, intent in enumerate(scoring.intents):
        key = context.keys[n]
        m = last.get(key)
        last[key] = n
        if m is None or intent.target in _TIMELESS or not context.sound(n):
            continue
        if (
            any(context.wrong[m:n])
            or spoilt(scoring.events_of(m))
            or not scoring.records[m].result.ok
            or context.pauses(m, n)
            or _changed(context, m, n)
        ):
            continue
        yield context.mode("redundant_call", n, key, f"call {m} was the same and had answered")


def _changed(context: ModeContext, first: int, last: int) -> bool:
    """Whether a row of the tables that the first call read was changed between the two."""
    for record in context.scoring.records[first + 1 : last]:
        for effect in record.effects:
            if set(effect.table.split(",")) & context.tables[first]:
                return True
    return False


def loop(context: ModeContext) -> Iterator[Mode]:
    """A circle of two or more calls, gone round three times, with the same answers and no change."""
    scoring = context.scoring
    marks = [
        None if a.target in _TIMELESS or r.effects else (key, r.result.content)
        for a, r, key in zip(scoring.intents, scoring.records, context.keys, strict=True)
    ]
    for size in range(2, LONGEST + 1):
        for start in range(len(marks) - size * ROUNDS + 1):
            first = marks[start : start + size]
            rounds = marks[start : start + size * ROUNDS]
            if None not in first and len(set(first)) > 1 and rounds == first * ROUNDS:
                names = " -> ".join(scoring.records[start + k].call.name for k in range(size))
                at = start + size * ROUNDS - 1
                yield context.mode("loop", at, names, f"calls {start} to {at} go round {ROUNDS} times")
                return


def over_iteration(context: ModeContext) -> Iterator[Mode]:
    """The budget was used up, or far more was called than needed, or long after the goal held.

    Calls that another rule names as needless repetition are left out of the count, and so is the first look at the
    schema and at the routes.
    """
    stop, calls = context.scoring.trace.stop, len(context.scoring.records)
    if stop not in ("", "final", "harness_error", *CUT_SHORT):
        yield context.mode("over_iteration", calls - 1 if calls else None, stop, f"the episode ran into its {stop}")
        return
    if next(loop(context), None) is not None or not context.scoring.task.needs_tools:
        return
    named = {m.call for rule in (repeated_broken_call, redundant_call) for m in rule(context)}
    own, usual = counted(context.scoring) - len(named), len(context.expert.records)
    if usual and own > TIMES_USUAL * usual:
        yield context.mode("over_iteration", calls - 1, str(calls), f"{calls} calls where the expert makes {usual}")
        return
    late, expected = (
        _after_goal(context, named),
        len(context.expert.records) - max(context.expert.writes, default=-1) - 1,
    )
    if late > expected + MORE_LOOKS:
        yield context.mode("over_iteration", calls - 1, str(late), f"{late} calls after the goal held")


def _after_goal(context: ModeContext, named: set[int | None]) -> int:
    """Calls after the wanted changes had been made; 0 where none were wanted or not just those were made."""
    verdict = context.scoring.verdict
    if (
        not context.scoring.task.goal.changes
        or verdict.missing_changes
        or verdict.extra_changes
        or verdict.duplicate_changes
    ):
        return 0
    last = max((n for n, r in enumerate(context.scoring.records) if r.effects), default=-1)
    return sum(n > last and n not in named for n in range(len(context.scoring.records)))
