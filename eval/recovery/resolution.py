"""Which later call resolves a fault: the one that gives what the faulted call was after."""

from __future__ import annotations

import re
from collections.abc import Iterable

from faultgym.envs.intents import CallIntent
from faultgym.envs.reference.run import BLOCKING
from faultgym.eval.context import ScoringContext
from faultgym.tools.faults.types import Contract, FaultEvent

SHAPES = frozenset({"renamed_field", "type_drift", "nested_field", "null_field", "extra_noise"})
"""Kinds that change a reply's form: the system has answered all the same."""
ANSWERING = frozenset({"renamed_column", "missing_table"})
"""Kinds that go on firing on the repaired call too, and then let the true reply through."""
HARMLESS = frozenset({"slow"})
"""Kinds with nothing to recover from, but for a deadline."""
_ANSWERED = (Contract.VERIFY, Contract.CONTINUE, Contract.IGNORE)
_LISTS = frozenset({"missing_rows"})
_REFUSED = frozenset({"http_409", "http_412", "http_422"})


def tables_of(context: ScoringContext, call: int) -> frozenset[str]:
    """The tables that a call was about, by what it said and by what it got.

    Args:
        context: The episode.
        call: Index of the call.
    """
    return context.intents[call].tables | frozenset(context.records[call].tables)


def answered(context: ScoringContext, call: int, event: FaultEvent) -> bool:
    """Whether a later call got an answer that this fault has not spoilt, nor another fault as badly.

    A record that truly does not exist is an answer. To cross-check a doubtful reply, one that is
    doubtful itself will not do.

    Args:
        context: The episode.
        call: Index of the later call.
        event: The fault.
    """
    code = context.records[call].result.code
    if code not in ("ok", "http_404"):
        return False
    for other in context.events_of(call):
        if other.kind in HARMLESS or (other.kind in ANSWERING and code == "ok"):
            continue
        if other.fault == event.fault:
            return False
        if other.contract not in _ANSWERED and other.kind not in SHAPES:
            return False
        if other.contract == event.contract == Contract.VERIFY:
            return False
    return True


def spoilt(events: Iterable[FaultEvent]) -> bool:
    """Whether a reply that looks like a success is not to be relied on, or cannot be read.

    Args:
        events: The faults that fired on its call.
    """
    return any(e.kind not in HARMLESS | ANSWERING and e.contract != Contract.IGNORE for e in events)


def repeatable(context: ScoringContext, event: FaultEvent) -> bool:
    """Whether making the same call again is right, up to a budget.

    A broken body does not say whether it will stay broken: it may be asked for again as well.

    Args:
        context: The episode.
        event: The fault that hit the call.
    """
    if event.contract in (Contract.RETRY, Contract.REPORT, Contract.RESTORE):
        return True
    return event.contract == Contract.REROUTE and context.records[event.call].result.ok


def same_thing(context: ScoringContext, first: int, later: int) -> bool:
    """Whether two calls are about the same thing: for grouping the deliveries of one lasting fault.

    Args:
        context: The episode.
        first: Index of the earlier call.
        later: Index of the later call.
    """
    one, two = context.intents[first], context.intents[later]
    if one.semantic == two.semantic:
        return True
    tables = tables_of(context, first) & tables_of(context, later)
    if not tables or one.write != two.write:
        return False
    return not one.names or not two.names or bool(one.names & two.names)


def serves(context: ScoringContext, first: int, later: int, event: FaultEvent) -> bool:
    """Whether a later call, that was answered, gives what the faulted call was after.

    Args:
        context: The episode.
        first: Index of the faulted call.
        later: Index of the other call.
        event: The fault.
    """
    one, two = context.intents[first], context.intents[later]
    if two.tool == "wait":
        return False
    of_lists = event.contract == Contract.CONTINUE or event.kind in _LISTS
    if of_lists and two.target == one.target and two.paged:
        return False
    if one.semantic == two.semantic:
        return True
    tables = tables_of(context, first)
    if not tables:
        return two.target == one.target
    if not tables & tables_of(context, later):
        return False
    if one.write != two.write:
        return False
    if one.tool == "search" or not one.names:
        return True
    return bool(one.names & two.names) or _mentions(context.records[later].result.content, one)


def _mentions(content: str, intent: CallIntent) -> bool:
    return any(name.isdigit() and re.search(rf"(?<!\d){name}(?!\d)", content) for name in intent.names)


def passed(context: ScoringContext, first: int, event: FaultEvent) -> int | None:
    """The first later call for the same thing that got past a refusal, and met an outage behind it.

    Args:
        context: The episode.
        first: Index of the refused call.
        event: The fault.

    Returns:
        Index of the call; None when there is none.
    """
    if context.records[first].result.ok:
        return None
    for later in range(first + 1, len(context.records)):
        behind = context.events_of(later)
        past = any(e.kind in BLOCKING for e in behind) and all(e.fault != event.fault for e in behind)
        if past and serves(context, first, later, event):
            return later
    return None


def resolving_read(context: ScoringContext, first: int, event: FaultEvent) -> int | None:
    """The first later call that gives the fact.

    Args:
        context: The episode.
        first: Index of the faulted call.
        event: The fault.

    Returns:
        Index of the call; None when there is none.
    """
    for later in range(first + 1, len(context.records)):
        if serves(context, first, later, event) and answered(context, later, event):
            return later
    return None


def resolving_write(context: ScoringContext, first: int, event: FaultEvent) -> int | None:
    """The first later call after which the agent knows that the write is done.

    Such a call is the write itself, answered; a refusal because it is done already; or, where the reply alone was
    lost, a reading of the rows.

    Args:
        context: The episode.
        first: Index of the faulted call.
        event: The fault.

    Returns:
        Index of the call; None when there is none.
    """
    applied = bool(context.records[first].effects)
    for later in range(first + 1, len(context.records)):
        intent, record = context.intents[later], context.records[later]
        if not serves(context, first, later, event):
            looked = applied and not intent.write and _looks_at(context, first, later)
            if looked and answered(context, later, event):
                return later
            continue
        if answered(context, later, event) and record.result.ok:
            return later
        if applied and record.result.code in _REFUSED and not record.faults:
            return later
        if record.effects and not applied:
            applied = True
    return None


def _looks_at(context: ScoringContext, first: int, later: int) -> bool:
    """Whether a call reads the rows that a write was about."""
    one, two = context.intents[first], context.intents[later]
    effects = {e.table for e in context.records[first].effects}
    if not (tables_of(context, first) | effects) & tables_of(context, later):
        return False
    return not one.names or bool(one.names & two.names) or _mentions(context.records[later].result.content, one)


def served_before(context: ScoringContext, first: int, event: FaultEvent) -> bool:
    """Whether an earlier call had given the same already; a search hit is not the document itself.

    Args:
        context: The episode.
        first: Index of the faulted call.
        event: The fault.
    """
    one = context.intents[first]
    return any(
        (context.intents[n].semantic == one.semantic or context.intents[n].names & one.names)
        and serves(context, first, n, event)
        and answered(context, n, event)
        for n in range(first)
    )
