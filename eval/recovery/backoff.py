"""Whether the agent waited as long as it was asked to."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime

from faultgym.envs.reference_agent.reading import read_result, retry_after
from faultgym.eval.context import ScoringContext
from faultgym.tools.faults.types import Contract, FaultEvent

ANY_WAIT = 1.0
"""Seconds that count as a wait where no time was asked for."""
_SLACK = 1e-6
"""Seconds by which a call may come too early: floating-point sums of waits."""
_NOW = re.compile(r"it is now (\S+?Z)")


def due(context: ScoringContext, event: FaultEvent) -> float:
    """The virtual time before which no further call should come.

    A Retry-After gives that time. A lock does not say how long it is held: then any wait will do.

    Args:
        context: The episode.
        event: The fault that asked for the wait.

    Returns:
        Virtual seconds since the episode began.
    """
    result = context.records[event.call].result.content
    seen = read_result(result)
    moment = _NOW.search(result)
    pause = retry_after(seen, datetime.fromisoformat(moment[1]) if moment else None)
    return event.at + (ANY_WAIT if pause is None else pause)


def too_early(context: ScoringContext, events: Sequence[FaultEvent], call: int) -> bool:
    """Whether a later call of the same thing came before the time that the reply before it asked for.

    Args:
        context: The episode.
        events: The faults that asked for waits, in order.
        call: Index of the later call.
    """
    before = [e for e in events if e.call < call]
    return bool(before) and context.begun(call) < due(context, before[-1]) - _SLACK


def patient(context: ScoringContext, events: Sequence[FaultEvent]) -> bool | None:
    """Whether every later call of the same target kept the wait.

    Args:
        context: The episode.
        events: The faults of one delivery, in order.

    Returns:
        The answer; None when no later call came, or no wait was asked for.
    """
    first = events[0]
    if first.contract != Contract.BACKOFF:
        return None
    target = context.intents[first.call].target
    later = [n for n in range(first.call + 1, len(context.records)) if context.intents[n].target == target]
    if not later:
        return None
    return not any(too_early(context, events, n) for n in later)
