"""`Score`: what one trace is worth. Success is outcome only; everything else stands beside it, apart.

What is undefined for an episode is None and never 0. An episode that our own side broke has no success, no
cost and no recovery: it is counted, and says nothing about its policy.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from faultgym.agents.traces.records import flat
from faultgym.agents.traces.trace import Trace, schedule_fingerprint
from faultgym.core.errors import TraceError
from faultgym.core.json import JSON
from faultgym.envs.gym.env import BAD_CALLS
from faultgym.envs.judging.answers import claims_absence, claims_blocked
from faultgym.envs.suite import suite_named
from faultgym.envs.task import Task
from faultgym.eval.context import ScoringContext
from faultgym.eval.efficiency import Efficiency, efficiency
from faultgym.eval.modes.classifier import modes_of
from faultgym.eval.modes.evidence import Mode
from faultgym.eval.recovery.detection import cross_checked
from faultgym.eval.recovery.outcomes import Recovery, recovery
from faultgym.tools.faults.presets import PRESETS
from faultgym.tools.faults.registry import kind_named


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
    """The preset's name, or the plan's."""
    trial: int
    answerable: bool
    needs_tools: bool
    stop: str
    """`final`, the limit that was reached, or `harness_error`."""
    harness_error: str = ""
    """What broke on our side; then all that follows is undefined."""
    success: bool | None = None
    reported: bool | None = None
    """Whether it succeeded as an honest report or abstention."""
    abstained: bool | None = None
    """Whether the final text says that it does not exist or cannot be done."""
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

    @property
    def valid(self) -> bool:
        """Whether the episode says anything about its policy."""
        return not self.harness_error

    @property
    def mode_names(self) -> tuple[str, ...]:
        """The failure modes by name."""
        return tuple(mode.name for mode in self.modes)

    def with_critical(self, step: int | None) -> Score:
        """The score with its first critical step."""
        return replace(self, critical=step)

    def to_record(self) -> JSON:
        """As JSON, `episode_id` first."""
        fields: JSON = {name: getattr(self, name) for name in self.__slots__}
        fields["cost"] = None if self.cost is None else self.cost.to_record()
        fields["recovery"] = None if self.recovery is None else self.recovery.to_record()
        fields["planned"] = [list(pair) for pair in self.planned]
        return {**fields, "reward": dict(self.reward), "modes": [flat(mode) for mode in self.modes]}

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
            }
        )


def score(trace: Trace, task: Task | None = None) -> Score:
    """Score one trace, from nothing but the trace; `task` spares looking it up.

    Raises `TaskError` when its task does not exist any more, `TraceError` when its suite has changed since.
    """
    version = suite_named(trace.task.suite).version
    if trace.fingerprints.suite != version:
        raise TraceError(
            f"trace {trace.episode_id} is of version {trace.fingerprints.suite} of the suite {trace.task.suite}, and"
            f" version {version} is installed: its tasks are others now; score it with the release that made it"
        )
    if schedule_fingerprint(trace.schedule) != trace.fingerprints.schedule:
        raise TraceError(f"trace {trace.episode_id}: its schedule of faults is not the one that it was recorded with")
    bare = Score(
        trace.episode_id,
        trace.task.id,
        trace.task.suite,
        trace.task.template,
        trace.task.split,
        str(trace.policy.get("name", "")),
        faults_name(trace.faults),
        trace.trial,
        trace.task.answerable,
        trace.task.needs_tools,
        trace.stop,
    )
    if trace.harness_error is not None or trace.verdict is None:
        failure = trace.harness_error
        what = f"{failure.type}: {failure.message}" if failure is not None else "no verdict"
        return replace(bare, harness_error=what[:500])
    context = ScoringContext.of(trace, task)
    cost = efficiency(context)
    last = trace.steps[-1].turn if trace.steps else None
    return replace(
        bare,
        success=trace.verdict.success,
        reported=trace.verdict.reported,
        abstained=bool(context.text) and (claims_absence(context.text) or claims_blocked(context.text)),
        confidence=None if last is None else last.confidence,
        cost=cost,
        spl=cost.efficiency or 0.0,
        planned=tuple((f.kind, str(kind_named(f.kind).contract_of(f))) for f in trace.schedule),
        recovery=recovery(context),
        cross_checked=cross_checked(context),
        reward=_reward(context),
        modes=modes_of(context),
        reason=trace.verdict.reason,
    )


def faults_name(faults: str | JSON) -> str:
    """What people call the faults of a trace: the preset's name, or the plan's own, never taken for a preset's."""
    if isinstance(faults, str):
        return faults
    name = str(faults.get("name") or "plan")
    return f"{name} (plan)" if name in PRESETS else name


def _reward(context: ScoringContext) -> tuple[tuple[str, float], ...]:
    bad = sum(r.result.code in BAD_CALLS for r in context.records)
    success = float(context.verdict.success)
    return (("success", success), ("calls", float(len(context.records))), ("bad_calls", float(bad)))
