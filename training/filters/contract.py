"""The contract of a data filter, which says of each trace whether it may be learned from, or why not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from faultgym.agents.traces.trace import Trace

TraceTest = Callable[[Trace], str | None]
"""Takes a trace; gives None to accept it, else the evidence against it: a short text of what was found."""


@dataclass(frozen=True, slots=True)
class DataFilter:
    """A test by name that traces must stand to be learned from.

    Example:
        >>> def long_episode(trace):
        ...     return f"{len(trace.steps)} turns" if len(trace.steps) > 20 else None
        >>> DataFilter.of("it has more than twenty turns", long_episode).summary
        'it has more than twenty turns'
    """

    summary: str
    """What a rejection means, as a clause about the trace; cards say it."""
    begin: Callable[[], TraceTest]
    """Begins a pass over a set of traces: the test of one pass may remember what it has seen."""
    always: bool = False
    """Whether every build applies it without being asked."""

    @classmethod
    def of(cls, summary: str, test: TraceTest, *, always: bool = False) -> DataFilter:
        """A filter that is a function of the trace alone.

        Args:
            summary: What a rejection means.
            test: The function; defined at the top of a module, so that worker processes can be sent it.
            always: Whether every build applies it without being asked.
        """
        return cls(summary, partial(_itself, test), always)


def _itself(test: TraceTest) -> TraceTest:
    return test
