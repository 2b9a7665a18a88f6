"""`Score`: one trace, scored; `Metric`: a number that each scored trace has; and what people call the faults met."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from hashlib import sha256

from faultgym.core.json import JSON, canonical
from faultgym.core.values import shallow
from faultgym.envs.judging.form import Answers
from faultgym.envs.messages.usage import Usage
from faultgym.eval.context import ScoringContext
from faultgym.eval.efficiency import Efficiency
from faultgym.eval.modes.evidence import Mode
from faultgym.eval.recovery.outcomes import Recovery
from faultgym.tools.faults.presets import PRESETS

Number = float | int | bool
"""What a metric gives: a finite JSON number, or true and false for 1 and 0."""


@dataclass(frozen=True, slots=True)
class Score:
    """One trace, scored."""

    episode_id: str
    task: str
    suite: str
    template: str
    split: str
    policy: str
    """The policy's name."""
    faults: str
    """What people call what was planned to fail: see `faults_name`."""
    trial: int
    answerable: bool
    needs_tools: bool
    stop: str
    """`final`, why the last turn was cut short, the limit that was reached, or `harness_error`."""
    harness_error: str = ""
    """What broke on our side; then all that follows is undefined."""
    success: bool | None = None
    reported: bool | None = None
    """Whether it succeeded as an honest report or abstention."""
    abstained: bool | None = None
    """Whether the final text, or the outcome of a typed answer, says that it does not exist or cannot be done."""
    confidence: float | None = None
    """Stated in the final turn; None when none was."""
    cost: Efficiency | None = None
    spl: float | None = None
    """success x efficiency: what it adds to success weighted by path length."""
    planned: tuple[tuple[str, str], ...] = ()
    """(kind, contract) of each entry of the fault schedule."""
    recovery: Recovery | None = None
    """None when nothing was to be recovered."""
    cross_checked: bool | None = None
    """Whether it asked a second source for what a sound answer had given; None without a sound answer."""
    reward: tuple[tuple[str, float], ...] = ()
    """(part, number) as the environment pays them: `success`, `calls`, `bad_calls`."""
    modes: tuple[Mode, ...] = ()
    """The failure modes, each with its first evidence."""
    critical: int | None = None
    """The first critical step, where it was looked for and there is one."""
    reason: str = ""
    """The verdict in one sentence."""
    plan: str = ""
    """The digest of the fault plan, which two plans of one name do not share; empty under a preset."""
    measured: tuple[tuple[str, Number], ...] = ()
    """(metric, value) of those metrics that are read off the trace, where they are defined."""
    undecided: str = ""
    """Why the verdict stays open; then all that follows from it is undefined."""
    turns: int = 0
    """How many it had, whatever came of it."""
    usage: Usage | None = None
    """What the server counted, of all turns; None where it counted none."""
    salvaged: int = 0
    """Turns whose calls a server had left in the text."""
    answers: Answers = "text"
    """How the episode was to end; scores of before answers could be typed are of texts."""

    @property
    def valid(self) -> bool:
        """Whether the episode says anything about its policy."""
        return not self.harness_error and not self.undecided

    @property
    def mode_names(self) -> tuple[str, ...]:
        """The failure modes by name."""
        return tuple(mode.name for mode in self.modes)

    def with_critical(self, step: int | None) -> Score:
        """The score with its first critical step."""
        return replace(self, critical=step)

    def as_failure(self) -> Score:
        """The score of an episode that our side broke, counted as a failure of the policy: nothing of it is known but
        that it did not succeed. Any other score as it is."""
        if not self.harness_error:
            return self
        why = f"counted as a failure: {self.harness_error}"[:500]
        return replace(self, harness_error="", success=False, reported=False, abstained=False, spl=0.0, reason=why)

    def to_record(self) -> JSON:
        """As JSON, `episode_id` first."""
        fields: JSON = {name: getattr(self, name) for name in self.__slots__}
        fields["cost"] = None if self.cost is None else self.cost.to_record()
        fields["recovery"] = None if self.recovery is None else self.recovery.to_record()
        fields["planned"] = [list(pair) for pair in self.planned]
        fields["measured"] = dict(self.measured)
        fields["usage"] = None if self.usage is None else shallow(self.usage)
        return {**fields, "reward": dict(self.reward), "modes": [shallow(mode) for mode in self.modes]}

    @classmethod
    def from_record(cls, record: JSON) -> Score:
        """The counterpart of `to_record`."""
        cost, found = record["cost"], record["recovery"]
        return cls(
            **{
                **record,
                "planned": tuple((kind, contract) for kind, contract in record["planned"]),
                "cost": None if cost is None else Efficiency.from_record(cost),
                "recovery": None if found is None else Recovery.from_record(found),
                "reward": tuple(record["reward"].items()),
                "modes": tuple(Mode(**mode) for mode in record["modes"]),
                "measured": tuple(record.get("measured", {}).items()),
                "usage": Usage(**record["usage"]) if record.get("usage") else None,
            }
        )


@dataclass(frozen=True, slots=True)
class Metric:
    """A number that each episode has, or None where it is undefined: read off its score, or off its trace.

    Args:
        name: Lower-case words joined by underscores.
        summary: One sentence that says what is counted or measured, and in which unit.
        higher_is_better: Which direction is called better in comparisons.
        of_score: The value by a score alone, for what can be worked out of its fields.
        of_trace: The value by the trace; it is worked out once, while the trace is scored, and kept in `measured`.
        share: Whether it is a proportion in [0, 1]: shown in percent, with a Wilson interval.

    Example:
        >>> turns = Metric("turns", "Turns.", higher_is_better=False, of_trace=lambda context: len(context.trace.steps))
        >>> turns.share
        False
    """

    name: str
    summary: str
    higher_is_better: bool
    of_score: Callable[[Score], Number | None] | None = None
    of_trace: Callable[[ScoringContext], Number | None] | None = None
    share: bool = False

    def value(self, score: Score) -> Number | None:
        """The metric of a scored episode; None where it is undefined."""
        if self.of_score is not None:
            return self.of_score(score)
        return dict(score.measured).get(self.name)


def faults_name(faults: str | JSON) -> str:
    """What people call the faults of a trace: the preset's name, or the plan's own, never taken for a preset's.

    A plan without a name is called by its digest, so that two of them are told apart.

    Args:
        faults: A preset's name, or a fault plan as JSON.
    """
    if isinstance(faults, str):
        return faults
    name = str(faults.get("name") or f"plan {plan_digest(faults)}")
    return f"{name} (plan)" if name in PRESETS else name


def plan_digest(faults: str | JSON) -> str:
    """Eight hexadecimal digits that tell fault plans apart: equal for equal plans; empty for a preset's name.

    Args:
        faults: A preset's name, or a fault plan as JSON.
    """
    return "" if isinstance(faults, str) else sha256(canonical(faults)).hexdigest()[:8]
