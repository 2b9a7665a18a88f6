"""The laws of an environment, on the real suites: determinism, independence of forks, dropped steps."""

from __future__ import annotations

import pickle
import random
from dataclasses import replace

import pytest
from helpers.levels import examples
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from faultgym.agents.registry import policy_named
from faultgym.agents.rollouts.play import run_episode
from faultgym.envs.episode import Episode
from faultgym.envs.gym.env import ToolEnv
from faultgym.envs.gym.spaces import TurnSpace
from faultgym.envs.judging.goal import compare
from faultgym.envs.messages.turn import Turn
from faultgym.envs.reference.schedule import schedule_for
from faultgym.envs.registry import suite_named, task_by_id
from faultgym.envs.task import Task
from faultgym.envs.worlds.changes import changes
from faultgym.tools.faults.layer import FaultSchedule
from faultgym.tools.faults.plan import FaultPlan
from faultgym.tools.faults.registry import FAULT_KINDS
from faultgym.tools.types import ToolCall

TASKS = (
    "orders/cancel_order/train/0:tools",
    "orders/write_note/train/0:http",
    "orders/move_tag/train/1:tools",
    "incidents/scale_to_peak/train/0:tools",
    "incidents/sql_note/train/0:http",
)


def writes(task: Task) -> list[Turn]:
    """What the expert does in a clean run, its final text left out: the calls that change something are here."""
    return [step.turn for step in run_episode(policy_named("expert"), task, ()).turns[:-1]]


def turns(task: Task) -> list[Turn]:
    """Random turns, and the expert's, in a fixed order."""
    space = TurnSpace(suite_named(task.suite), seed=1)
    found = [turn for turn in (space.sample() for _ in range(60)) if turn.tool_calls]
    return found + writes(task) * 3


TURNS = {name: turns(task_by_id(name)) for name in TASKS}
triggers = st.one_of(
    st.integers(1, 4).map(lambda n: {"nth": n}),
    st.integers(1, 3).map(lambda n: {"first": n}),
    st.integers(1, 3).map(lambda n: {"from": n}),
    st.just({"probability": 0.4}),
)
rules = st.lists(
    st.fixed_dictionaries({"kind": st.sampled_from(sorted(FAULT_KINDS)), "trigger": triggers}), min_size=1, max_size=5
)


def state(episode: Episode) -> object:
    """All that anybody can see of an episode, and the database's bytes."""
    last = episode.turns[-1].calls if episode.turns else ()
    return (
        len(episode.turns),
        [record.result for record in last],
        episode.world.digest(),
        episode.world.clock.now,
        [(e.kind, e.table, e.key, e.values) for e in episode.world.effects],
        episode.events,
        [spec.name for spec in episode.tools],
        list(episode.world.db.iterdump()) if episode.world.written else [],
    )


class Histories(RuleBasedStateMachine):
    """Environments that fork, go back and travel through pickles, beside the list of turns each has lived through."""

    @initialize(name=st.sampled_from(TASKS), rules=rules, seed=st.integers(0, 5))
    def begin(self, name: str, rules: list[dict[str, object]], seed: int) -> None:
        self.name, self.task = name, task_by_id(name)
        self.schedule: FaultSchedule = schedule_for(self.task, FaultPlan.from_rules(rules), seed)
        env = ToolEnv(self.task.suite)
        env.reset(seed=0, options={"task": self.task, "schedule": self.schedule})
        self.lives: list[tuple[ToolEnv, tuple[int, ...]]] = [(env, ())]
        self.kept: list[tuple[object, tuple[int, ...]]] = []

    def one(self, which: int) -> int:
        return which % len(self.lives)

    @rule(which=st.integers(0, 7), turn=st.integers(0, 199))
    def act(self, which: int, turn: int) -> None:
        n = self.one(which)
        env, past = self.lives[n]
        turn %= len(TURNS[self.name])
        env.step(TURNS[self.name][turn])
        self.lives[n] = (env, (*past, turn))

    @rule(which=st.integers(0, 7))
    def fork(self, which: int) -> None:
        env, past = self.lives[self.one(which)]
        self.lives.append((env.fork(), past))

    @rule(which=st.integers(0, 7), through_pickle=st.booleans())
    def snapshot(self, which: int, through_pickle: bool) -> None:
        env, past = self.lives[self.one(which)]
        taken = env.snapshot()
        self.kept.append((pickle.loads(pickle.dumps(taken)) if through_pickle else taken, past))

    @rule(which=st.integers(0, 7), kept=st.integers(0, 7))
    def restore(self, which: int, kept: int) -> None:
        if self.kept:
            n = self.one(which)
            snapshot, past = self.kept[kept % len(self.kept)]
            self.lives[n][0].restore(snapshot)  # type: ignore[arg-type]
            self.lives[n] = (self.lives[n][0], past)

    @invariant()
    def every_environment_is_as_if_it_had_lived_alone(self) -> None:
        if not hasattr(self, "lives"):
            return
        for env, past in self.lives:
            alone = Episode(self.task, self.schedule)
            for turn in past:
                alone.step(TURNS[self.name][turn])
            assert env.episode is not None
            assert state(env.episode) == state(alone)


Histories.TestCase.settings = settings(
    deadline=None, max_examples=examples(40), stateful_step_count=12, suppress_health_check=list(HealthCheck)
)
TestHistories = Histories.TestCase


@pytest.mark.parametrize("name", TASKS)
def test_an_empty_schedule_and_one_that_never_fires_equal_the_bare_tools(name: str) -> None:
    task = task_by_id(name)
    never = FaultPlan.from_rules([{"kind": kind, "trigger": {"nth": 10_000}} for kind in sorted(FAULT_KINDS)])
    bare, armed = Episode(task), Episode(task, schedule_for(task, never))
    for turn in TURNS[name]:
        bare.step(turn)
        armed.step(turn)
        assert state(bare) == state(armed)


ALL = [
    task
    for name in ("orders", "incidents")
    for split in ("train", "unseen_compositions")
    for task in suite_named(name).tasks(split, 1)
]


def replayed(task: Task, schedule: FaultSchedule, script: list[Turn]) -> Episode:
    episode = Episode(task, schedule)
    for turn in script:
        episode.step(turn)
    return episode


@pytest.mark.parametrize("policy", ["expert", "partial_goal", "collateral_write", "ignored_evidence"])
def test_dropping_a_step_that_serves_the_goal_never_raises_success(policy: str) -> None:
    checked = 0
    for task in ALL:
        for faults in ("clean", "rough"):
            schedule = schedule_for(task, faults)
            whole = run_episode(policy_named(policy), task, schedule)
            script = [step.turn for step in whole.turns]
            assert whole.verdict is not None
            for n in serving(task, schedule, script):
                dropped = replayed(task, schedule, script[:n] + script[n + 1 :])
                assert dropped.verdict is not None
                assert dropped.verdict.success <= whole.verdict.success, (task.id, n)
                checked += 1
    assert checked > 5


def serving(task: Task, schedule: FaultSchedule, script: list[Turn]) -> list[int]:
    """The turns after which less is missing than before."""
    episode = Episode(task, schedule)
    missing, found = len(task.goal.changes), []
    for n, turn in enumerate(script[:-1]):
        episode.step(turn)
        now = len(compare(task.goal, changes(episode.world))[0])
        if now < missing:
            found.append(n)
        missing = now
    return found


@pytest.mark.parametrize("task", ALL, ids=lambda t: f"{t.suite}-{t.template}")
def test_the_order_and_names_of_arguments_and_call_ids_decide_nothing(task: Task) -> None:
    whole = run_episode(policy_named("expert"), task, ())
    rng = random.Random(task.id)
    script = []
    for step in whole.turns:
        calls = []
        for call in step.turn.tool_calls:
            names = list(call.arguments or {})
            rng.shuffle(names)
            calls.append(ToolCall("", call.name, {name: (call.arguments or {})[name] for name in names}))
        script.append(replace(step.turn, tool_calls=tuple(calls), reasoning=""))
    assert replayed(task, (), script).verdict == whole.verdict
