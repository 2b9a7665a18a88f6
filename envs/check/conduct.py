"""Rules about how an environment behaves."""

from __future__ import annotations

import pickle
import re
import warnings
from collections.abc import Iterable
from itertools import product
from typing import Any

import gymnasium as gym
from gymnasium.utils.env_checker import check_env as gymnasium_check

from faultgym.envs.check.probes import hostile_answers, hostile_endings, hostile_turns, mixed, reads, writes
from faultgym.envs.check.report import Subject, Violation, require
from faultgym.envs.episode import Episode
from faultgym.envs.gym.env import ToolEnv
from faultgym.envs.judging.form import ANSWERS, DEFAULT_ANSWERS, Answers
from faultgym.envs.messages.turn import Observation, Turn
from faultgym.envs.render import transcript
from faultgym.envs.task import Task
from faultgym.envs.worlds.changes import visible_rows
from faultgym.tools.faults.registry import FAULT_KINDS
from faultgym.tools.faults.types import Contract, ScheduledFault
from faultgym.tools.toolbox import MAX_CONTENT
from faultgym.tools.types import ToolCall, ToolResult

MARKER = 100
"""Characters by which a cut result may exceed the cap: the marker that says so."""


def gymnasium_is_content(subject: Subject) -> None:
    """Gymnasium's own checker finds nothing, not even to warn of."""
    for faults in subject.faults:
        env = subject.env(faults)
        env.spec = gym.envs.registration.EnvSpec(
            "Check-v0", entry_point=lambda faults=faults, **more: _with_mode(subject.env(faults), **more)
        )
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            gymnasium_check(env)
        require(not caught, "; ".join(str(w.message) for w in caught))


def _with_mode(env: ToolEnv, render_mode: str | None = None) -> ToolEnv:
    env.render_mode = render_mode
    return env


def _begun(subject: Subject, task: Task, faults: Any, seed: int = 3, answers: Answers = DEFAULT_ANSWERS) -> ToolEnv:
    env = subject.env(faults, answers)
    env.reset(seed=seed, options={"task": task, "fault_seed": seed})
    return env


def _trail(env: ToolEnv, turns: Iterable[Turn]) -> list[str]:
    """All that each turn gives back, and the state after it, as text."""
    trail = []
    for turn in turns:
        step = env.step(turn)
        episode = env.episode
        assert episode is not None
        trail.append(repr((step, episode.world.digest(), episode.world.clock.now, episode.events)))
    return trail


def _same(first: list[str], second: list[str], where: str) -> None:
    for number, (a, b) in enumerate(zip(first, second, strict=True)):
        if a != b:
            at = next((n for n, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
            raise Violation(
                f"{where}, step {number}: ...{a[max(at - 40, 0) : at + 80]} is not ...{b[max(at - 40, 0) : at + 80]}"
            )


def same_seed_same_episode(subject: Subject) -> None:
    """The same seed and the same actions give byte-equal observations, infos, digests and faults."""
    for faults in subject.faults:
        for seed in range(4):
            first, second = subject.env(faults), subject.env(faults)
            for _ in range(2):
                require(repr(first.reset(seed=seed)) == repr(second.reset(seed=seed)), f"reset(seed={seed}) differs")
            turns = mixed(first.task, subject.suite, seed)
            _same(_trail(first, turns), _trail(second, turns), f"{first.task.id} under {faults}")


def forks_are_independent(subject: Subject) -> None:
    """A fork continues as its original would have, and neither ever affects the other."""
    for faults in subject.faults:
        for task in subject.tasks:
            turns, other = (mixed(task, subject.suite, seed, 12) for seed in (1, 2))
            alone, env = (_begun(subject, task, faults) for _ in range(2))
            expected = _trail(alone, turns)
            _same(expected[:6], _trail(env, turns[:6]), f"{task.id} before the fork")
            twin, astray = env.fork(), env.fork()
            _trail(astray, other)
            _same(expected[6:], _trail(twin, turns[6:]), f"the fork of {task.id}")
            _same(expected[6:], _trail(env, turns[6:]), f"{task.id} after its forks went on")


def snapshots_restore_exactly(subject: Subject) -> None:
    """A snapshot, also one that was pickled, brings back exactly the state it was taken of."""
    for faults in subject.faults:
        for task in subject.one_of_each_style:
            turns = mixed(task, subject.suite, 3, 12)
            env = _begun(subject, task, faults)
            _trail(env, turns[:6])
            snapshot = env.snapshot()
            expected = _trail(env, turns[6:])
            for again in (snapshot, snapshot, pickle.loads(pickle.dumps(snapshot))):
                env.restore(again)
                _same(expected, _trail(env, turns[6:]), f"{task.id} restored")


def reads_change_nothing(subject: Subject) -> None:
    """Reading never changes the world, not by a byte."""
    for task in subject.tasks:
        env = _begun(subject, task, "clean")
        episode = _episode(env)
        before, digest = episode.world.serialize(), episode.world.digest()
        for seed in range(2):
            for call in reads(task, subject.suite, seed):
                env.step(Turn(tool_calls=(call,)))
                same = episode.world.serialize() == before and episode.world.digest() == digest
                require(same, f"{task.id}: {call.name} {call.arguments} changed the world")


def changes_are_logged(subject: Subject) -> None:
    """Every change that a customer can see is in the effect log and changes the digest."""
    suite = subject.suite
    for task in subject.one_of_each_style:
        env = _begun(subject, task, "clean")
        world = _episode(env).world
        for call in [c for seed in range(4) for c in writes(task, suite, seed)]:
            before = [visible_rows(world.db, suite, table) for table in suite.visible]
            count, digest = len(world.effects), world.digest()
            env.step(Turn(tool_calls=(call,)))
            if before != [visible_rows(world.db, suite, table) for table in suite.visible]:
                require(len(world.effects) > count, f"{call.name} {call.arguments} is not in the effect log")
                require(world.digest() != digest, f"{call.name} {call.arguments} does not change the digest")


def hostile_turns_are_answered(subject: Subject) -> None:
    """Whatever a model sends is answered, call by call; nothing raises, and nothing odd counts as success."""
    for task, answers in product(subject.one_of_each_style, ANSWERS):
        env = _begun(subject, task, "clean", answers=answers)
        for what, turn in hostile_turns([spec.name for spec in _episode(env).tools]):
            results = _answers(env, turn, what)
            require(len(results) == len(turn.tool_calls), f"{what}: {len(results)} answers")
            require(all(r.content for r in results), f"{what}: an empty answer")
        transcript(_episode(env))
        _answers(env.fork(), Turn("I do not know."), "a final turn after all that")
        for what, turn in (*hostile_endings(), *(hostile_answers() if answers == "typed" else ())):
            env.reset(options={"task": task})
            _answers(env, turn, what)
            verdict = _episode(env).verdict
            refused = verdict is None and bool(turn.tool_calls)
            require(refused or (verdict is not None and not verdict.success), f"{what}: counts as success on {task.id}")


def _answers(env: ToolEnv, turn: Turn, what: str) -> list[ToolResult]:
    try:
        observation = env.step(turn)[0]
    except Exception as error:  # whatever it is, it is the finding
        raise Violation(f"{what}: raised {type(error).__name__}: {str(error)[:200]}") from error
    require(observation in env.observation_space, f"{what}: the answer is not in the observation space")
    return [message for message in observation.messages if isinstance(message, ToolResult)]


def results_are_capped(subject: Subject) -> None:
    """No result is longer than the cap, and one that was cut says so."""
    for task in subject.tasks:
        env = _begun(subject, task, "clean")
        for call in (*reads(task, subject.suite), ToolCall("call_0", "x" * 10**6, {})):
            (result,) = _answers(env, Turn(tool_calls=(call,)), call.name)
            require(len(result.content) <= MAX_CONTENT + MARKER, f"{call.name}: {len(result.content)} characters")


def _labels() -> re.Pattern[str]:
    """What would give a fault away: our own words for it, as far as no real system uses them."""
    names = [name for name in FAULT_KINDS if "_" in name]
    contracts = [contract.value for contract in Contract]
    return re.compile(rf"\b(?:{'|'.join([*names, *contracts])}|(?i:faultgym))\b")


def faults_bear_no_label(subject: Subject) -> None:
    """No observation and no info gives a fault's name or contract away."""
    pattern = _labels()
    for task in subject.one_of_each_style:
        require(not pattern.search(task.system), f"{task.id}: the system message says {pattern.pattern}")
        calls = reads(task, subject.suite) + writes(task, subject.suite, each=1)
        for number, (name, found) in enumerate(FAULT_KINDS.items()):
            env = subject.env()
            schedule = (ScheduledFault(number, name, onward=1, params=found.params),)
            env.reset(seed=0, options={"task": task, "schedule": schedule})
            for call in calls:
                observation, _, _, _, info = env.step(Turn(tool_calls=(call,)))
                text = f"{_text(observation)} { {k: v for k, v in info.items() if k != 'task'} }"
                match = pattern.search(text)
                require(match is None, f"under {name}, {call.name} {call.arguments} shows {match and match[0]!r}")


def _text(observation: Observation) -> str:
    return "\n".join(message.content for message in observation.messages)


def episodes_end_once(subject: Subject) -> None:
    """A final turn terminates, with a verdict; stepping on or before a reset raises `ResetNeeded`."""
    env = subject.env()
    _require_reset(env, "before the first reset")
    for task in subject.tasks:
        env.reset(seed=0, options={"task": task})
        _, reward, terminated, truncated, info = env.step(Turn("I do not know."))
        require(terminated and not truncated, f"{task.id}: a final turn does not terminate")
        require({"success", "reason"} <= info.keys(), f"{task.id}: no verdict at the end")
        require(reward == env.reward.success * bool(info["success"]), f"{task.id}: the reward is not the verdict's")
        _require_reset(env, f"after the end of {task.id}")


def _require_reset(env: ToolEnv, when: str) -> None:
    try:
        env.step(Turn("x"))
    except gym.error.ResetNeeded:
        return
    raise Violation(f"a step {when} does not raise ResetNeeded")


def closing_is_idempotent(subject: Subject) -> None:
    """Closing works at any time, twice, and a reset opens the environment again."""
    env = subject.env()
    env.close()
    for task in subject.one_of_each_style:
        env.reset(seed=0, options={"task": task})
        for call in writes(task, subject.suite):
            env.step(Turn(tool_calls=(call,)))
        env.close()
        env.close()
    env.reset(seed=0)


def _episode(env: ToolEnv) -> Episode:
    assert env.episode is not None
    return env.episode
