"""Every kind of fault: the expert gets past it, and repeating the call does not where repeating is wrong."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from faultgym.agents.registry import policy_named
from faultgym.agents.rollouts.play import run_episode
from faultgym.envs.episode import Episode, run_reference
from faultgym.envs.messages.turn import Turn
from faultgym.envs.reference.run import sites
from faultgym.envs.reference.schedule import schedule_for
from faultgym.envs.registry import suite_named
from faultgym.envs.task import Task
from faultgym.tools.faults.layer import FaultSchedule
from faultgym.tools.faults.plan import FaultPlan
from faultgym.tools.faults.registry import FAULT_KINDS, kind_named
from faultgym.tools.faults.types import Contract, Kind
from faultgym.tools.types import ToolCall

SUITES = ("orders", "incidents")
PER_SUITE = 8
"""Tasks of each suite on which a kind is tried, once it has fired there."""
REPEATS = 6
ONCE = ("lost_ack", "serialization_failure")
"""What would leave no way past if it came again and again."""
REPEATING_IS_RIGHT = {
    "slow": "nothing has failed",
    "serialization_failure": "finishing the change is one of its two right moves",
    "lost_ack": "under the same idempotency key; without it, see below",
}


def trigger(kind: Kind) -> dict[str, int]:
    """As hard as it may come: kinds that clear by themselves strike twice, the others stay."""
    if kind.name in ONCE:
        return {"first": 1}
    if kind.contract is Contract.RETRY:
        return {"first": 2}
    return {"from": 1} if kind.persists_while is None or kind.name == "outage" else {"nth": 1}


def aimed(kind: Kind, task: Task) -> FaultSchedule:
    """A schedule that strikes the first place that the reference solution visits and the kind suits."""
    found = [site for site in sites(task) if site.channel == kind.channel and kind.targets(site)]
    if not found or task.faults:
        return ()
    rule: dict[str, object] = {"kind": kind.name, "trigger": trigger(kind)}
    if found[0].channel == "http" and found[0].route:
        rule["route"] = found[0].route
    elif found[0].channel == "tool":
        rule["tool"] = found[0].tool
    return schedule_for(task, FaultPlan.from_rules([rule]))


def struck(kind: Kind) -> Iterator[tuple[Task, FaultSchedule, Episode]]:
    """Tasks on which the kind really fires, with the expert's episode."""
    expert = policy_named("expert")
    for name in SUITES:
        suite = suite_named(name)
        fired = 0
        for template in suite.names("dev"):
            task = suite.task(template, "dev", 0)
            schedule = aimed(kind, task)
            if schedule and fired < PER_SUITE:
                episode = run_episode(expert, task, schedule)
                if episode.events:
                    fired += 1
                    yield task, schedule, episode


def without_key(call: ToolCall) -> ToolCall:
    """The call without what makes a repeat of it safe."""
    arguments = {k: v for k, v in (call.arguments or {}).items() if k not in ("idempotency_key", "headers")}
    return ToolCall(call.id, call.name, arguments)


def repeating(task: Task, schedule: FaultSchedule, *, keys: bool = True) -> Episode:
    """What the expert does where nothing fails, each call repeated until it answers as it does there, with a text."""
    clean, solved = run_reference(task)
    answer = solved.text
    episode = Episode(task, schedule, answers="text")
    for record in clean.records:
        call = record.call if keys else without_key(record.call)
        for _ in range(REPEATS):
            if episode.step(Turn("", (call,))).messages[0].content == record.result.content:
                break
        else:
            answer = "I am sorry, I was not able to do this."
            break
    episode.step(Turn(answer))
    return episode


@pytest.mark.parametrize("name", list(FAULT_KINDS))
def test_the_expert_gets_past(name: str) -> None:
    tried = list(struck(kind_named(name)))
    assert tried, f"{name} never fired"
    for task, schedule, episode in tried:
        assert episode.verdict is not None
        assert episode.verdict.success, f"{task.id} under {schedule}: {episode.verdict.reason}"


@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n, k in FAULT_KINDS.items() if n not in REPEATING_IS_RIGHT])
def test_repeating_the_call_helps_where_the_contract_is_retry_and_nowhere_else(name: str) -> None:
    kind = kind_named(name)
    for task, schedule, _ in struck(kind):
        ended = repeating(task, schedule)
        assert ended.verdict is not None
        assert ended.verdict.success == (kind.contract is Contract.RETRY), task.id


def test_repeating_a_lost_write_without_its_key_does_it_twice() -> None:
    ended = [repeating(task, schedule, keys=False) for task, schedule, _ in struck(kind_named("lost_ack"))]
    assert any(e.verdict is not None and e.verdict.duplicate_changes for e in ended)


@pytest.mark.parametrize("name", ["stale_value", "wrong_entity", "unit_swap", "missing_rows", "stale_replica"])
def test_believing_a_silent_fault_fails_somewhere(name: str) -> None:
    trusting = policy_named("trusting")
    ended = [run_episode(trusting, task, schedule) for task, schedule, _ in struck(kind_named(name))]
    assert not all(e.verdict is not None and e.verdict.success for e in ended)
