"""What an episode's reward is counted from."""

from __future__ import annotations

from dataclasses import dataclass

from faultgym.agents.traces.trace import Trace
from faultgym.envs.gym.env import BAD_CALLS
from faultgym.eval.context import ScoringContext
from faultgym.eval.modes.course import repeated_broken_call
from faultgym.eval.modes.evidence import ModeContext


@dataclass(frozen=True, slots=True)
class Counts:
    """The verdict, and how often it was called well or badly."""

    success: bool | None
    """None where the verdict stays open."""
    calls: int
    bad_calls: int
    """Calls that never reached their tool: unknown, malformed, or with arguments that do not fit."""
    repeated_calls: int
    """Calls repeated after an error that repeating does not answer: the failure mode `repeated_broken_call`."""

    @classmethod
    def of(cls, trace: Trace) -> Counts:
        """The counts of a trace that was judged; all of them follow from the trace."""
        return cls(
            None if trace.verdict is None else trace.verdict.success,
            trace.calls,
            sum(record.result.code in BAD_CALLS for record in trace.records),
            sum(1 for _ in repeated_broken_call(ModeContext(ScoringContext.of(trace)))),
        )
