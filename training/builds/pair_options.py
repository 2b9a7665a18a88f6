"""What a data set of preference pairs is made by, and what was made of what."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from faultgym.agents.registry import policy_named
from faultgym.core.json import JSON
from faultgym.training.builds.pair_index import Choice
from faultgym.training.filters.rejection import mostly
from faultgym.training.forks.positives import Kind, Prefer, Sources
from faultgym.training.preferences.audit import Audit
from faultgym.training.preferences.pairs import PER_TRACE, At, stored_at
from faultgym.training.rows.columns import Reasoning

PairForm = Literal["pairs", "labels"]
UNBALANCED: tuple[At, ...] = ("critical", "first_error")
"""Forks that show only what the policy gets wrong: balancing them against their mirror images would leave nothing of
that. They are kept as they are, and the audit says what is one-sided."""
VERBS: dict[PairForm, str] = {"pairs": "pairs", "labels": "kto"}


@dataclass(frozen=True, slots=True)
class PairOptions:
    """What a data set of pairs is made by; the same options and traces give the same bytes."""

    policy: str = ""
    """Whose traces these are, by name; empty when nobody is asked for more than the traces hold."""
    samples: int = 0
    """Continuations that it is asked for at each fork."""
    checks: int = 0
    """Further continuations that verify a chosen decision of it."""
    reasoning: Reasoning = "field"
    seed: int = 0
    per_trace: int = PER_TRACE
    source: Kind = "mixed"
    """Who makes the continuations; see `ways`."""
    prefer: Prefer = "own"
    at: At = "every"
    """Where traces are forked; see `pairs`."""
    policies: tuple[str, ...] = ()
    """Whose traces are forked; see `TraceCheck.policies`."""
    filters: tuple[str, ...] = ()
    """Names of further data filters that a trace must stand before it is forked."""

    def sources(self) -> Sources:
        """The sources of these options, with the policy that is named.

        Raises:
            UserError: There is no such policy, or the policy cannot go on from a fork.
        """
        policy = policy_named(self.policy) if self.policy else None
        found = Sources(policy=policy, samples=self.samples, checks=self.checks, kind=self.source, prefer=self.prefer)
        found.sampler()
        return found

    def command(self) -> dict[str, object]:
        """The options as the command line would give them.

        Returns:
            Option -> value, where the value is not the default.

        Example:
            >>> PairOptions(samples=4, policies=("expert",)).command()
            {'samples': 4, 'from': ('expert',)}
        """
        shown = {"field": "keep"}.get(self.reasoning, self.reasoning)
        values = {name: (getattr(self, name), getattr(PairOptions(), name)) for name in _ON_COMMAND_LINE}
        values["reasoning"] = (shown, "keep")
        values["from"] = (self.policies, ())
        values["filter"] = (self.filters, ())
        return {name: value for name, (value, default) in values.items() if value != default}

    def to_record(self) -> JSON:
        """The options as JSON, under the names that 0.1 gave them."""
        found = {name: getattr(self, name) for name in self.__slots__} | {"at": stored_at(self.at)}
        if not self.filters:  # no key where there is none: builds that 0.1 began can be resumed
            del found["filters"]
        return found


_ON_COMMAND_LINE = ("policy", "samples", "checks", "source", "prefer", "at", "seed")


@dataclass(frozen=True, slots=True)
class PairReport:
    """What was made of what."""

    traces: int
    rejected: dict[str, int]
    """Traces that were not forked, by reason."""
    choice: Choice
    rows: int
    audit: Audit

    @property
    def passed(self) -> bool:
        """Whether the balance audit held, and at least one row is left."""
        return self.audit.passed and self.rows > 0

    @property
    def left_out(self) -> dict[str, int]:
        """Pairs by kind that were left out, so that no shortcut is left."""
        return {kind: n - self.choice.kept[kind] for kind, n in self.choice.found.items() if n > self.choice.kept[kind]}

    def lines(self) -> Iterator[str]:
        """The report for people, line by line."""
        c = self.choice
        yield f"{self.traces} traces: {sum(c.found.values())} pairs, {sum(c.kept.values())} in the data set"
        if self.rejected:
            yield "not forked: " + ", ".join(f"{n} {name}" for name, n in self.rejected.items())
        yield f"against what a failed trace did at its first critical step: {c.critical}"
        yield f"equal to another pair: {c.duplicates}"
        if c.contradicted:
            yield f"left out, rejecting what another pair chooses: {c.contradicted}"
        if c.same_prompt:
            yield f"left out, with the prompt of another: {c.same_prompt}"
        if self.left_out:
            yield "left out in all, by kind: " + ", ".join(f"{n} {kind}" for kind, n in self.left_out.items())
        yield from self.audit.lines()
        if not self.rows:
            yield "No pairs are left: fork traces with faults, of more tasks and of more than one policy."
            yield from filter(None, [mostly(self.rejected, self.traces)])

    def to_record(self) -> JSON:
        """The report as JSON."""
        choice = {name: getattr(self.choice, name) for name in Choice.__slots__}
        return {
            "traces": self.traces,
            "rejected": self.rejected,
            "choice": choice,
            "rows": self.rows,
            "audit": self.audit.to_record(),
        }

    @classmethod
    def from_record(cls, record: JSON) -> PairReport:
        """The report that `to_record` made a record of.

        Raises:
            KeyError: A field is missing.
        """
        return cls(**{**record, "choice": Choice(**record["choice"]), "audit": Audit.from_record(record["audit"])})
