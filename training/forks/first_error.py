"""The first error: the turn up to which an episode was worth imitating, and which was not.

The critical step is where success was lost for good. A policy that repeats a failing call until its turns are used
up loses it with the last repetition, as the expert would have found a way after each of the others; what there is to
be learned, it should have done at the first. So the error is looked for with the eyes of `select`: the last step at
which the episode, if the expert goes on from there, is still an example to imitate.
"""

from __future__ import annotations

from dataclasses import dataclass

from faultgym.agents.traces.trace import Trace
from faultgym.training.examples import SFTExample
from faultgym.training.filters.rejection import Rejected
from faultgym.training.filters.select import MAX_CALL_RATIO, select
from faultgym.training.forks.fork import Forks
from faultgym.training.forks.positives import expert_way

CORRECTABLE = frozenset(
    {"not_ended", "failed", "no_text", "guessed", "needless_calls", "wasteful", "bad_habit", "unsettled_fault"}
)
"""Reasons for which a proven trace is no example, and that a better turn would have removed."""


@dataclass(frozen=True, slots=True)
class FirstError:
    """Where an episode went wrong, and the expert's way on from there."""

    step: int
    trace: Trace
    """The episode before the step, and then the expert."""
    example: SFTExample
    """The same, which is worth imitating as a whole."""

    @classmethod
    def at(cls, forks: Forks, step: int, max_call_ratio: float) -> FirstError | None:
        """The first error, supposed to be at a step.

        Args:
            forks: The trace that went wrong.
            step: The turn that is replaced by the expert's.
            max_call_ratio: As of `select`.

        Returns:
            None where what the expert makes of the beginning is no example.

        Raises:
            TraceError: The trace does not come out as stored.
        """
        way = expert_way(forks, step)
        example = None if way is None else select(way.trace, max_call_ratio=max_call_ratio)
        return cls(step, way.trace, example) if way is not None and isinstance(example, SFTExample) else None


def first_error(forks: Forks, max_call_ratio: float = MAX_CALL_RATIO) -> FirstError | None:
    """The first error of a trace that is no example.

    Found by bisection: what is wrong with a beginning stays wrong with every longer one.

    Args:
        forks: The trace.
        max_call_ratio: As of `select`.

    Returns:
        None where the trace has no error that a better turn would have removed, or no beginning of it is worth
        imitating.

    Raises:
        TraceError: The trace does not come out as stored.
    """
    found = select(forks.trace, max_call_ratio=max_call_ratio)
    if not isinstance(found, Rejected) or found.reason not in CORRECTABLE:
        return None
    last = len(forks) - 1 if forks.critical is None else forks.critical
    low, high = FirstError.at(forks, 0, max_call_ratio), last + 1
    while low is not None and high - low.step > 1:
        middle = (low.step + high) // 2
        tried = FirstError.at(forks, middle, max_call_ratio)
        low, high = (low, middle) if tried is None else (tried, high)
    return low
