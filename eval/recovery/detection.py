"""Whether an agent checks what it has read: right where a reply was false, an expense where it was true."""

from __future__ import annotations

from faultgym.eval.context import ScoringContext
from faultgym.eval.recovery.resolution import tables_of


def cross_checked(context: ScoringContext) -> bool | None:
    """Whether a second source was asked for what a sound reply had given already.

    A second source is another tool or route that is about the same tables, and about something that the
    first call named.

    Returns:
        The answer; None where no reading was answered soundly, so that there was nothing to doubt.
    """
    sound = [n for n, r in enumerate(context.records) if r.result.ok and not r.faults and _reads(context, n)]
    if not sound:
        return None
    return any(_checks(context, first, later) for first in sound for later in range(first + 1, len(context.records)))


def _reads(context: ScoringContext, call: int) -> bool:
    intent = context.intents[call]
    return (
        not intent.write and intent.tool not in ("wait", "search") and bool(intent.names and tables_of(context, call))
    )


def _checks(context: ScoringContext, first: int, later: int) -> bool:
    one, two = context.intents[first], context.intents[later]
    if two.target == one.target or not _reads(context, later):
        return False
    return tables_of(context, later) <= tables_of(context, first) and bool(one.names & two.names)
