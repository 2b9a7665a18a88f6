"""How far a run has come, and how its episodes ended."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from faultgym.agents.traces.trace import Trace
from faultgym.core.json import JSON
from faultgym.envs.messages.turn import CUT_SHORT
from faultgym.envs.messages.usage import Usage, summed


@dataclass(frozen=True, slots=True)
class RunOutcome:
    """What is counted of one episode."""

    success: bool | None
    calls: int
    tokens: int
    failure: str = ""
    stop: str = ""
    turns: int = 0
    salvaged: int = 0
    """Turns whose calls a server had left in the text."""
    usage: Usage | None = None

    @classmethod
    def of(cls, trace: Trace) -> RunOutcome:
        """The outcome of a finished episode."""
        failure = trace.harness_error
        return cls(
            None if trace.verdict is None else trace.verdict.success,
            trace.calls,
            trace.tokens or 0,
            f"{trace.task.id}: {failure.type}: {failure.message}" if failure else "",
            trace.stop,
            len(trace.steps),
            sum(step.turn.salvaged for step in trace.steps),
            trace.usage,
        )

    @classmethod
    def of_record(cls, record: JSON) -> RunOutcome:
        """The outcome of an episode that a run's store holds, in any version of the schema."""
        verdict, failure = record.get("verdict"), record.get("harness_error")
        counts, steps = record["counts"], record["steps"]
        return cls(
            None if verdict is None else verdict["success"],
            counts["calls"],
            counts["tokens"] or 0,
            f"{record['task']['id']}: {failure['type']}: {failure['message']}" if failure else "",
            _stop_of(record, steps),
            len(steps),
            sum(bool(step.get("salvaged")) for step in steps),
            summed(Usage(**step["usage"]) for step in steps if step.get("usage")),
        )


def _stop_of(record: JSON, steps: Any) -> str:
    """The stop reason; records before version 4 tell a last turn that was cut short by its finish reason alone."""
    reason = steps[-1]["finish_reason"] if steps and not steps[-1]["calls"] else ""
    stop: str = record["stop"]
    return reason if stop == "final" and reason in CUT_SHORT else stop


@dataclass(slots=True)
class Endings:
    """How episodes ended, as far as that says something of the server and not of the model."""

    episodes: int = 0
    cut: Counter[str] = field(default_factory=Counter)
    """Why the last turn was cut short -> episodes."""
    cut_at_first: Counter[str] = field(default_factory=Counter)
    """The same of those whose first turn was the last."""
    salvaged: int = 0
    """Turns whose calls a server had left in the text."""
    salvaged_episodes: int = 0

    def add(self, stop: str, turns: int, salvaged: int) -> None:
        """Count one episode.

        Args:
            stop: Its stop reason.
            turns: How many it had.
            salvaged: Those whose calls a server had left in the text.
        """
        self.episodes += 1
        if stop in CUT_SHORT:
            self.cut[stop] += 1
            self.cut_at_first[stop] += turns <= 1
        self.salvaged += salvaged
        self.salvaged_episodes += salvaged > 0


@dataclass(slots=True)
class Progress:
    """How far a run has come."""

    planned: int
    before: int = 0
    """Stored before this start."""
    done: int = 0
    """Finished since, failures included."""
    succeeded: int = 0
    failed: int = 0
    """Ended by the harness or by an exception of the policy: never scored."""
    calls: int = 0
    tokens: int = 0
    """Sampled tokens, where they are known."""
    failure: str = ""
    """The last one, in a line."""
    undecided: int = 0
    endings: Endings = field(default_factory=Endings)
    usage: Usage | None = None
    """What servers counted, where they did."""

    @property
    def pending(self) -> int:
        """Episodes still to be run."""
        return self.planned - self.before - self.done

    @property
    def judged(self) -> int:
        """Episodes finished since the start that have a verdict, and not an open one."""
        return self.done - self.failed - self.undecided

    @property
    def success_rate(self) -> float | None:
        """Of the episodes finished since the start; None before there is one."""
        return self.succeeded / self.judged if self.judged else None

    def add(self, outcome: RunOutcome) -> None:
        """Count one finished episode."""
        self.done += 1
        self.succeeded += outcome.success is True
        self.undecided += outcome.success is None and not outcome.failure
        self.calls += outcome.calls
        self.tokens += outcome.tokens
        if outcome.failure:
            self.failed += 1
            self.failure = outcome.failure
        self.usage = summed((self.usage, outcome.usage))
        self.endings.add(outcome.stop, outcome.turns, outcome.salvaged)


OnProgress = Callable[[Progress], None]
