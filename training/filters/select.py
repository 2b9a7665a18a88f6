"""From a stored trace to an example to imitate, or the reason why not. Nothing is taken on the trace's word.

A trace is replayed, its schedule is drawn again, it is scored, and only then asked what it is an example of.
The reference solution says what it should have cost. A trace that fails a check is counted under its first reason.
"""

from __future__ import annotations

from typing import Literal

from faultgym.agents.traces.plain import plain_schedule
from faultgym.agents.traces.recorded import recorded_task
from faultgym.agents.traces.replay import replay
from faultgym.agents.traces.spec import faults_of
from faultgym.agents.traces.trace import Trace
from faultgym.agents.traces.versions import readable
from faultgym.core.errors import PlanError, TaskError, TraceError
from faultgym.envs.cheapest import optimal_calls
from faultgym.envs.episode import StepRecord
from faultgym.envs.judging.answering import ANSWERED, answer_in
from faultgym.envs.judging.claims import claims_absence
from faultgym.envs.judging.form import Outcome
from faultgym.envs.reference.evidence import GUESSED
from faultgym.envs.reference.run import reference_calls
from faultgym.envs.reference.schedule import schedule_for
from faultgym.envs.registry import suite_named, task_by_id
from faultgym.envs.simulation import closing_text
from faultgym.envs.task import Task
from faultgym.eval.scoring.score import Score, score
from faultgym.tools.faults.plan import same_plan
from faultgym.training.examples import ExampleKind, Origin, SFTExample
from faultgym.training.filters.rejection import Reason, Rejected

MAX_CALL_RATIO = 1.5
"""Calls over those that the reference solution needs, up to which a success is worth imitating."""
SETTLED = frozenset({"recovered", "reported"})
"""Outcomes of a fault that an example may show."""


def read_trace(record: object) -> Trace | Rejected:
    """The trace in a record.

    Args:
        record: What the JSON of a line holds.

    Returns:
        The trace; a rejection where the record is none, or was written by a release with another schema.

    Example:
        >>> read_trace({"episode_id": "a1"}).reason
        'unreadable'
    """
    try:
        return Trace.from_record(record)
    except TraceError as error:
        data = record if isinstance(record, dict) else {}
        other = "schema_version" in data and not readable(data["schema_version"])
        return Rejected("other_schema_version" if other else "unreadable", str(data.get("episode_id", "")), str(error))


def select(trace: Trace, *, max_call_ratio: float = MAX_CALL_RATIO) -> SFTExample | Rejected:
    """The example that a trace is, or why it is none.

    The split of the trace, and what test splits hold, is `decontaminate`'s to judge.

    Args:
        trace: The trace; replayed, so that nothing is taken on its word.
        max_call_ratio: The bound of its calls, as a multiple of what the reference solution needs under the same
            faults.

    Returns:
        The example, or the first reason against it.

    Example:
        >>> from faultgym.agents.registry import policy_named
        >>> from faultgym.agents.rollouts.play import run_episode
        >>> from faultgym.agents.traces.spec import EpisodeSpec
        >>> task, expert = task_by_id("orders/order_status/train/0"), policy_named("expert")
        >>> trace = Trace.from_episode(run_episode(expert, task), EpisodeSpec(task.id), expert.describe())
        >>> example = select(trace)
        >>> example.kind, example.calls, example.optimal
        ('clean', 1, 1)
    """
    if found := _claims(trace):
        return found
    proof = replay(trace)
    if not proof.proven:
        return Rejected("not_proven", trace.episode_id, proof.reason)
    task = recorded_task(trace)
    if found := _schedule(trace, task):
        return found
    scored = score(trace, task)
    return _worth(trace, task, scored, max_call_ratio) or _example(trace, task, scored)


def _claims(trace: Trace) -> Rejected | None:
    """What rules a trace out by its own account, before anything is played again."""

    def rejected(reason: Reason, detail: str = "") -> Rejected:
        return Rejected(reason, trace.episode_id, detail)

    if trace.harness_error is not None or trace.verdict is None:
        failure = trace.harness_error
        return rejected("harness_error", "" if failure is None else f"{failure.type}: {failure.message[:200]}")
    try:
        task_by_id(trace.task.id)
    except TaskError as error:
        return rejected("unknown_task", str(error))
    version = suite_named(trace.task.suite).version if trace.task.suite == trace.task.id.partition("/")[0] else None
    if trace.fingerprints.suite != version:
        return rejected("other_suite_version", f"{trace.fingerprints.suite}, and {version} is installed")
    if trace.stop != "final" or not trace.steps or not _closes(trace.steps[-1]):
        return rejected("not_ended", trace.stop)
    if trace.verdict.success is None:
        return rejected("undecided", trace.verdict.reason)
    if not trace.verdict.success:
        return rejected("guessed" if trace.verdict.reason == GUESSED else "failed", trace.verdict.reason)
    return None


def _closes(step: StepRecord) -> bool:
    """Whether a step is plain text, or an answer that was taken."""
    return step.turn.final or any(record.result.code == ANSWERED for record in step.calls)


def _schedule(trace: Trace, task: Task) -> Rejected | None:
    """Whether the faults are those that the trace's own preset and seed give."""
    try:
        own = plain_schedule(schedule_for(task, faults_of(trace.faults), trace.seeds.fault))
    except PlanError as error:
        return Rejected("other_schedule", trace.episode_id, str(error))
    if same_plan(trace.schedule, own):
        return None
    return Rejected("other_schedule", trace.episode_id, f"{len(trace.schedule)} entries, {len(own)} drawn again")


def _worth(trace: Trace, task: Task, scored: Score, max_call_ratio: float) -> Rejected | None:
    """Whether a proven success is one to imitate."""
    cost, text = scored.cost, closing_text(trace.steps)

    def rejected(reason: Reason, detail: str = "") -> Rejected:
        return Rejected(reason, trace.episode_id, detail)

    if cost is None or not scored.success:
        return rejected("failed", scored.reason)
    if not text.strip():
        return rejected("no_text")
    if task.needs_tools and not cost.calls and optimal_calls(task, trace.schedule):  # `cost` calls no more enough
        return rejected("guessed")
    if not task.needs_tools and cost.calls:
        return rejected("needless_calls", f"{cost.calls} calls")
    usual = reference_calls(task, trace.schedule)
    if cost.calls > max_call_ratio * usual:
        return rejected("wasteful", f"{cost.calls} calls, the reference makes {usual}")
    if scored.modes or cost.bad_writes:
        return rejected("bad_habit", ", ".join(scored.mode_names) or f"{cost.bad_writes} writes not asked for")
    deliveries = () if scored.recovery is None else scored.recovery.deliveries
    for delivery in deliveries:
        if delivery.outcome not in SETTLED:
            return rejected("unsettled_fault", f"{delivery.kind}: {delivery.outcome}")
    return None


def _example(trace: Trace, task: Task, scored: Score) -> SFTExample:
    assert scored.cost is not None
    deliveries = () if scored.recovery is None else scored.recovery.deliveries
    contracts = tuple(sorted({d.contract for d in deliveries if d.recovered}))
    return SFTExample(
        messages=tuple(trace.messages),
        tools=tuple(spec.openai() for spec in trace.tools),
        kind=example_kind(trace, task, contracts),
        contracts=contracts,
        origin=Origin.of(trace),
        calls=scored.cost.calls,
        optimal=scored.cost.optimal,
        outcome=outcome_of(trace, task),
    )


def outcome_of(trace: Trace, task: Task) -> Outcome | Literal[""]:
    """The outcome of the answer that ended a trace; empty for a text.

    Args:
        trace: An episode that has ended.
        task: Its task.
    """
    answer = answer_in(trace.steps[-1].turn, task.answer) if trace.answers == "typed" and trace.steps else None
    return "" if answer is None else answer.outcome


def example_kind(trace: Trace, task: Task, contracts: tuple[str, ...]) -> ExampleKind:
    """The kind of example that a verified success is.

    Args:
        trace: The trace, judged a success.
        task: Its task.
        contracts: Those of the faults that the trace recovered from.
    """
    assert trace.verdict is not None
    if not task.needs_tools:
        return "no_tool"
    if trace.verdict.reported:
        outcome = outcome_of(trace, task)
        absent = outcome == "not_found" if outcome else claims_absence(closing_text(trace.steps))
        return "abstention" if absent and task.goal.kind == "abstain" else "report"
    return "recovery" if contracts else "clean"
