"""Whether an agent checks what it has read: right where a reply was false, an expense where it was true."""

from __future__ import annotations

from faultgym.eval.context import ScoringContext
from faultgym.eval.recovery.resolution import tables_of


def cross_checked(story: ScoringContext) -> bool | None:
    """Whether a second source was asked for what a sound reply had given already.

    A second source is another tool or route that is about the same tables, and about something that the
    first call named. None where no reading was answered soundly, so that there was nothing to doubt.
    """
    sound = [n for n, r in enumerate(story.records) if r.result.ok and not r.faults and _reads(story, n)]
    if not sound:
        return None
    return any(_checks(story, first, later) for first in sound for later in range(first + 1, len(story.records)))


def _reads(story: ScoringContext, call: int) -> bool:
    aim = story.intents[call]
    return not aim.write and aim.tool not in ("wait", "search") and bool(aim.names and tables_of(story, call))


def _checks(story: ScoringContext, first: int, later: int) -> bool:
    one, two = story.intents[first], story.intents[later]
    if two.target == one.target or not _reads(story, later):
        return False
    return tables_of(story, later) <= tables_of(story, first) and bool(one.names & two.names)
