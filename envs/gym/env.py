"""`ToolEnv`: an episode behind Gymnasium's interface."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import gymnasium as gym

from faultgym.core.errors import TaskError
from faultgym.core.suggest import did_you_mean
from faultgym.envs.episode import Episode
from faultgym.envs.gym.spaces import ObservationSpace, TurnSpace
from faultgym.envs.judging.form import ANSWERS, DEFAULT_ANSWERS, Answers
from faultgym.envs.messages.turn import Observation, Turn
from faultgym.envs.reference.schedule import Faults, load_faults, schedule_for
from faultgym.envs.registry import suite_named
from faultgym.envs.render import transcript
from faultgym.envs.simulation import calls_in
from faultgym.envs.suite import Suite
from faultgym.envs.task import Style, Task
from faultgym.tools.faults.layer import FaultSchedule
from faultgym.tools.types import ToolSpec

TASKS_PER_TEMPLATE = 1024
"""How many tasks of each template `reset` draws from when it is not told which task."""


@dataclass(frozen=True, slots=True)
class RewardParts:
    """What a step is worth. By default only the verified end counts."""

    success: float = 1.0
    """Given once, at the end, when the verdict is success."""
    call: float = 0.0
    """Given for each call but the answer; a small negative number rewards short episodes."""
    bad_call: float = 0.0
    """Given for each call that did not fit its tool's declaration."""


BAD_CALLS = frozenset(
    {
        "unknown_tool",
        "malformed_call",
        "missing_argument",
        "unknown_argument",
        "invalid_argument",
        "too_many_calls",
    }
)
"""Result codes of calls that never reached their tool."""


OPTIONS = frozenset({"task", "fault_seed", "schedule"})
"""What `reset(options=...)` takes."""


def _refuse_options(options: Mapping[str, Any]) -> None:
    name = str(next(name for name in options if name not in OPTIONS))
    hint = did_you_mean(name, OPTIONS)
    raise ValueError(
        f"reset() has no option {name!r}{f'; {hint}' if hint else '.'} The options are {', '.join(sorted(OPTIONS))}"
    )


def _no_turn(action: object) -> str:
    """What to do instead of stepping with something that is no turn."""
    text = " For a message as text, wrap the environment in HermesText, or" if isinstance(action, str) else " Give"
    turn = " send Turn(text=...), which ends the episode" if isinstance(action, str) else " a Turn"
    return f"an action is a faultgym.envs.Turn, not {type(action).__name__}.{text}{turn}."


class Snapshot:
    """The state of an environment at one moment; can be restored any number of times, and pickled.

    Args:
        episode: The episode to keep; copied at once.
    """

    __slots__ = ("_episode",)

    def __init__(self, episode: Episode):
        self._episode = episode.fork()

    def episode(self) -> Episode:
        """A fresh copy of the episode as it was."""
        return self._episode.fork()

    def __getstate__(self) -> Episode:
        """The episode, which knows how to be pickled."""
        return self._episode

    def __setstate__(self, state: Episode) -> None:
        """The counterpart of `__getstate__`."""
        self._episode = state


class ToolEnv(gym.Env[Observation, Turn]):
    """One suite's tasks as a Gymnasium environment.

    An action is a `Turn`, an observation the messages that are new. An episode terminates with the first turn that
    calls no tool or, where answers are typed, with a call of the tool `answer`; budgets are wrappers and truncate.
    `info` holds `task` (its id), `turn`, `calls`, and at the end `success` and `reason`.

    `reset(options=...)` takes `task` (a `Task` or its id), `fault_seed` (int) and `schedule` (an
    explicit schedule, as a trace stores it). Without a task one is drawn from the split.

    Args:
        suite: A suite, or the name of a registered one.
        faults: The name of a preset, a plan, or the path of a plan in JSON.
        split: Where `reset` draws tasks from.
        style: The style of the tasks that `reset` draws; by default each has its own.
        answers: How an episode ends: `typed`, by a call of the tool `answer`, or `text`, by a turn without calls.
        reminders: How often a turn without calls is answered with the request to call `answer`, before such a turn
            ends the episode; of typed answers only.
        reward: What a step is worth; by default 1.0 for success and nothing else.
        render_mode: None, or `ansi` for a transcript.

    Raises:
        TaskError: The suite or the split does not exist.
        PlanError: The preset or the plan does not exist, or the plan cannot be read.
        ValueError: The render mode, or the kind of answers, is another one.

    Example:
        >>> env = ToolEnv("orders", faults="rough")
        >>> observation, info = env.reset(options={"task": "orders/order_status/train/0"})
        >>> [message.role for message in observation.messages]
        ['system', 'user']
        >>> _, reward, terminated, truncated, info = env.step(Turn("I do not know."))
        >>> reward, terminated, truncated, info["success"]
        (0.0, True, False, False)
        >>> env.close()
    """

    metadata: dict[str, Any] = {"render_modes": ["ansi"], "render_fps": 1}  # noqa: RUF012 - as Gymnasium declares it

    def __init__(
        self,
        suite: str | Suite,
        *,
        faults: Faults | Path = "clean",
        split: str = "train",
        style: Style | None = None,
        answers: Answers = DEFAULT_ANSWERS,
        reminders: int = 0,
        reward: RewardParts | None = None,
        render_mode: str | None = None,
    ):
        if render_mode not in (None, "ansi"):
            raise ValueError(f"render_mode is 'ansi' or None, not {render_mode!r}")
        if answers not in ANSWERS:
            raise ValueError(f"answers is {' or '.join(map(repr, ANSWERS))}, not {answers!r}")
        self.suite = suite_named(suite) if isinstance(suite, str) else suite
        self.faults = load_faults(faults)
        self.split = split
        self.style = style
        self.answers = answers
        self.reminders = reminders
        self.reward = reward or RewardParts()
        self.render_mode = render_mode
        self._templates = self.suite.names(split)
        self.action_space = TurnSpace(self.suite)
        self.observation_space = ObservationSpace()
        self.episode: Episode | None = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Begin an episode. The same seed gives the same task under the same faults.

        Args:
            seed: Seeds the environment's generator; None goes on with its state, or seeds a new one from the system.
            options: See the class; none by default.

        Returns:
            The first observation (system message and instruction), and `info`.

        Raises:
            TaskError: The task does not exist, or is of another suite.
            PlanError: A rule of the plan is aimed at a route or tool that the suite lacks.
            ValueError: An option is unknown.
        """
        if seed is not None or self._np_random is None:
            super().reset(seed=seed)
        options = options or {}
        if not options.keys() <= OPTIONS:
            _refuse_options(options)
        task = options.get("task")
        if isinstance(task, str):
            task = self.suite.task_by_id(task)
        fault_seed = options.get("fault_seed", 0)
        if task is None:
            drawn = self.np_random.integers(0, (len(self._templates), TASKS_PER_TEMPLATE, 2**31))
            task = self.suite.task(self._templates[drawn[0]], self.split, int(drawn[1]), self.style)
            fault_seed = options.get("fault_seed", int(drawn[2]))
        elif task.suite != self.suite.name:
            raise TaskError(f"task {task.id} is of suite {task.suite}, not of {self.suite.name}")
        schedule: FaultSchedule | None = options.get("schedule")
        if schedule is None:
            schedule = schedule_for(task, self.faults, fault_seed, suite=self.suite)
        if self.episode is not None:
            self.episode.close()
        self.episode = Episode(task, schedule, suite=self.suite, answers=self.answers, reminders=self.reminders)
        return self.episode.opening, {"task": task.id, "turn": 0, "calls": 0}

    def step(self, action: Turn) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Take one turn.

        Args:
            action: The turn; one without calls ends the episode.

        Returns:
            The results of the calls, the reward, whether the episode terminated, False for truncated, and `info`.

        Raises:
            gymnasium.error.ResetNeeded: The episode has ended, or none has begun.
            gymnasium.error.InvalidAction: The action is no `Turn`.
        """
        episode = self.episode
        if episode is None or episode.stop:
            raise gym.error.ResetNeeded("the episode is over or has not begun: call reset() first")
        if type(action) is not Turn and not isinstance(action, Turn):
            raise gym.error.InvalidAction(_no_turn(action))
        observation = episode.step(action)
        reward = 0.0
        parts = self.reward
        if parts.call or parts.bad_call:
            calls = calls_in(episode.turns[-1:])
            bad = sum(c.result.code in BAD_CALLS for c in calls)
            reward += parts.call * len(calls) + parts.bad_call * bad
        info = {"task": episode.task.id, "turn": len(episode.turns), "calls": episode.layer.call}
        verdict = episode.verdict
        if verdict is None:
            return observation, reward, False, False, info
        info["success"], info["reason"] = verdict.success, verdict.reason
        return observation, reward + parts.success * bool(verdict.success), True, False, info

    def render(self) -> str | None:
        """The transcript so far in render mode `ansi` (empty before the first reset); None without a render mode."""
        if self.render_mode is None:
            return None
        return transcript(self.episode) if self.episode is not None else ""

    def close(self) -> None:
        """Free what the episode holds; further calls change nothing."""
        if self.episode is not None:
            self.episode.close()

    @property
    def task(self) -> Task:
        """The current task.

        Raises:
            gymnasium.error.ResetNeeded: No episode has begun.
        """
        return self._running().task

    @property
    def tools(self) -> tuple[ToolSpec, ...]:
        """The tools offered at this step.

        Raises:
            gymnasium.error.ResetNeeded: No episode has begun.
        """
        return self._running().tools

    def fork(self) -> Self:
        """Return an independent environment of the same class in exactly this state.

        Raises:
            gymnasium.error.ResetNeeded: No episode has begun.
        """
        twin = copy.copy(self)
        twin.action_space, twin.observation_space = TurnSpace(self.suite), ObservationSpace()
        twin._np_random = None
        if self._np_random is not None:
            twin.np_random = gym.utils.seeding.np_random(0)[0]
            twin.np_random.bit_generator.state = self._np_random.bit_generator.state
        twin.episode = self._running().fork()
        return twin

    def snapshot(self) -> Snapshot:
        """The state of the episode, for `restore`.

        Raises:
            gymnasium.error.ResetNeeded: No episode has begun.
        """
        return Snapshot(self._running())

    def restore(self, snapshot: Snapshot) -> None:
        """Return to the state of a snapshot, which stays usable."""
        self.episode = snapshot.episode()

    def _running(self) -> Episode:
        if self.episode is None:
            raise gym.error.ResetNeeded("no episode has begun: call reset() first")
        return self.episode
