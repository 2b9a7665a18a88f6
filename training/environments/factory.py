"""Environments for trainers that drive the tools themselves: a class whose methods are a task's tools.

    rows = task_rows(RolloutRequest(("orders",), "train", faults=("mild",)))
    GRPOTrainer(
        environment_factory=environments_of(rows), train_dataset=Dataset.from_list(rows),
        reward_funcs=reward_functions(), ...
    )

TRL's `environment_factory`, and what follows its form, takes a class that needs no arguments, calls `reset(**row)`,
and offers every public method to the model: signature and docstring become the schema that the model is shown.
Behind the methods is the same `Episode` as in a rollout: unknown arguments, values of the wrong type and faults
look just so, and nothing that a model can send raises. Where the answer is a text, the verdict needs the final text,
which TRL gives to reward functions and not to environments: so there is no `get_reward`, but `environments.rewards`.
Where answers are typed, `answer` is one of the methods, and the environment gives its reward itself.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import orjson

from faultgym.agents.models.openai import continued
from faultgym.agents.models.reply import numbered
from faultgym.agents.rollouts.play import Budget
from faultgym.agents.traces.parts import HarnessFailure
from faultgym.agents.traces.spec import EpisodeSpec, faults_of
from faultgym.agents.traces.trace import Trace
from faultgym.core.bank import banked
from faultgym.core.errors import PlanError, TaskError, UserError
from faultgym.core.hashing import stable_hash
from faultgym.core.json import JSON
from faultgym.core.text import storable
from faultgym.envs.episode import Episode
from faultgym.envs.judging.answering import open_answer_tool
from faultgym.envs.judging.form import Answers
from faultgym.envs.limits import Limits
from faultgym.envs.messages.turn import CONTEXT_OVERFLOW, Turn
from faultgym.envs.reference.schedule import Faults, check_faults, schedule_for
from faultgym.envs.registry import suite_named, task_by_id
from faultgym.envs.task import Task
from faultgym.tools.types import ToolCall, ToolSpec
from faultgym.training.environments.counts import Counts
from faultgym.training.environments.episode_log import EpisodeLog
from faultgym.training.environments.methods import tool_method
from faultgym.training.environments.reward import Reward

TURN = "turn"
"""Key of an assistant message under which a parser of ours leaves the `Turn` that it read."""
RESERVED = frozenset({"reset", "get_reward"})
"""Method names that have a meaning for trainers: no tool can be called so."""
FAILED = "error: the environment failed; this episode does not count"
OVER = "error: the episode is over"


@dataclass(frozen=True, slots=True)
class EndedEpisode:
    """An episode that is over and was judged."""

    trace: Trace
    counts: Counts
    cut: bool
    """Whether the trainer's limits ended it before the policy did."""


class ToolEpisode:
    """One episode at a time, for a trainer that keeps its environments in a pool and resets them.

    `environment_class` adds the tools. All else is private, because every public method is a tool.

    Example:
        >>> task = task_by_id("orders/order_status/train/0")
        >>> [name for name in dir(environment_class(task.suite, task.tools)) if not name.startswith("_")]
        ['http', 'reset', 'search', 'sql', 'wait']
    """

    _suite: str = ""
    _tools: tuple[str, ...] = ()
    _ends: Answers = "text"

    def __init__(
        self, log: EpisodeLog | None = None, limits: Limits | None = None, reward: Reward | None = None
    ) -> None:
        """Hold no episode yet.

        Args:
            log: Stores each episode that ends; None to store none.
            limits: Of every episode; None for the defaults.
            reward: What an episode is worth, where the environment gives its reward itself; None for the defaults.
        """
        self._log = log
        self._limits = limits or Limits()
        self._reward = reward or Reward()
        self._clear()

    def _clear(self) -> None:
        self._spec: EpisodeSpec | None = None
        self._episode: Episode | None = None
        self._budget: Budget | None = None
        self._failure: HarnessFailure | None = None
        self._error: Exception | None = None
        """What kept the episode from beginning."""
        self._over = False
        self._ended: EndedEpisode | None = None
        self._turn: Turn | None = None
        self._by_call = False
        """Whether the trainer calls the methods, so that only it knows which calls of the last message were done."""
        self._answers: list[str] = []
        self._chain: array[int] | None = None

    def reset(
        self, *, task: str, faults: str = "clean", fault_seed: int = 0, answers: Answers | None = None, **_row: object
    ) -> None:
        """Close the episode before, and begin the one that a row names.

        A failure on the harness's side is not raised: the episode is stored as failed, and has no reward.

        Args:
            task: The task's id.
            faults: A preset's name, or a plan as JSON text.
            fault_seed: Fixes when and where the faults strike.
            answers: How the episode ends; None for the way of this class.
            **_row: The row's other columns, passed over.

        Raises:
            TaskError: There is no such task, or the task has other tools, or another way to answer, than this class.
            PlanError: There is no such preset, or the plan is wrong.
        """
        self._close()
        answers = answers or self._ends
        spec = EpisodeSpec(task, faults_from(faults), fault_seed, answers=answers)
        found = task_by_id(task)
        if (found.suite, found.tools) != (self._suite, self._tools):
            raise TaskError(f"task {task} offers other tools than {type(self).__name__} has: see environments_of")
        if answers != self._ends:
            raise TaskError(f"task {task} is to be answered by {answers}, and {type(self).__name__} by {self._ends}")
        self._spec = spec if self._log is None else self._log.counted(spec)
        try:
            schedule = schedule_for(found, spec.faults, spec.fault_seed)
            self._episode = Episode(found, schedule, answers=answers, reminders=self._limits.reminders)
            self._budget = Budget(self._episode, self._limits)
        except Exception as error:  # one world that cannot be made must not end the training
            self._failure, self._error = HarnessFailure.of(error), error

    def _close(self) -> None:
        """Free the episode's world; may be called more than once."""
        if self._episode is not None:
            self._episode.close()
        self._clear()

    def _call(self, name: str, arguments: JSON) -> str:
        """A call as a turn of its own: not every trainer says which calls belong to one turn."""
        self._by_call = True
        return self._take(Turn(tool_calls=(ToolCall("", name, arguments),), finish_reason="tool_calls"))[0]

    def _answer(self, turn: Turn) -> str:
        """The next result of a turn, which is done as a whole when its first one is asked for."""
        if turn is not self._turn:
            self._answers = self._take(turn)[::-1]
        return self._answers.pop() if self._answers else OVER

    def _take(self, turn: Turn) -> list[str]:
        """Do one turn; the texts that its calls are answered with."""
        self._turn = turn
        episode = self._episode
        if self._failure is not None or episode is None or self._budget is None:
            return [FAILED for _ in turn.tool_calls]
        if episode.stop:
            return [OVER for _ in turn.tool_calls]
        if turn.prompt_ids is not None and turn.token_ids is not None:
            new, kept, self._chain = continued(self._chain, list(turn.prompt_ids), turn.token_ids)
            turn = replace(turn, prompt_ids=new, prompt_kept=kept)
        try:
            seen = self._budget.step(replace(turn, tool_calls=numbered(turn.tool_calls, len(episode.turns))))
        except Exception as error:  # what a model sends never raises, so it is ours: recorded, never scored
            self._failure = HarnessFailure.of(error)
            return [FAILED for _ in turn.tool_calls]
        return [storable(message.content) for message in seen.messages]

    def _end(self, completion: Sequence[JSON], step: int = 0) -> EndedEpisode | None:
        """End the episode as the completion ends, judge it and store it; None when the harness failed.

        `completion` is the chat after the prompt, `step` the trainer's. Further calls give the same.
        """
        if self._spec is None:
            raise UserError("an environment was asked for its end before reset() was called")
        if not self._over:
            self._over = True
            cut = self._finish(completion)
            trace = self._trace(self._spec, step)
            counts = None
            if trace.harness_error is None:
                try:
                    counts = Counts.of(trace)
                except Exception as error:  # a rule of ours that breaks costs one episode, not the training
                    self._failure = HarnessFailure.of(error)
                    trace = self._trace(self._spec, step)
            if self._log is not None:
                trace = self._log.append(trace)
            if counts is not None and trace.harness_error is None:
                self._ended = EndedEpisode(trace, counts, cut)
        return self._ended

    @property
    def _stopped(self) -> bool:
        """Whether the episode takes no further turn."""
        return self._failure is not None or self._episode is None or bool(self._episode.stop)

    def _finish(self, completion: Sequence[JSON]) -> bool:
        """Do the last turn, if it was not done; whether the trainer's limits were the end of it."""
        turn = _last_turn(completion)
        if turn is not None and turn is not self._turn and not (turn.tool_calls and self._by_call):
            self._take(turn)
        if self._episode is None or self._failure is not None:
            return True
        if not self._episode.stop:  # as a rollout ends a chat that has no room left
            self._take(Turn(finish_reason=CONTEXT_OVERFLOW))
            return True
        return self._episode.stop != "final" or (turn is not None and turn.finish_reason == "length")

    def _trace(self, spec: EpisodeSpec, step: int) -> Trace:
        policy = {"name": "trainer"} if self._log is None else self._log.policy_at(step)
        if self._episode is None:
            failure = self._failure or HarnessFailure("HarnessError", "the episode was never begun")
            try:
                return Trace.never_begun(spec, policy, self._limits, failure)
            except TaskError as error:  # a consequence of the first error, which is the one to see
                raise self._error or error from None
        return Trace.from_episode(self._episode, spec, policy, self._limits, self._failure)


def _last_turn(completion: Sequence[JSON]) -> Turn | None:
    """The turn that a completion ends with; None where only the trainer knows whether its calls were done."""
    last = completion[-1] if completion else {}
    if last.get("role") != "assistant":
        return None
    if TURN in last:
        turn: Turn = last[TURN]
        return turn
    if last.get("tool_calls"):
        return None
    content, thoughts = last.get("content"), last.get("reasoning_content")
    return Turn(content if isinstance(content, str) else "", (), thoughts if isinstance(thoughts, str) else "")


def faults_from(text: str) -> Faults:
    """A preset by its name, or a plan from its JSON text.

    Raises:
        PlanError: There is no such preset, or the text is no plan.
    """
    if not text.lstrip().startswith("{"):
        return check_faults(text)
    try:
        return faults_of(orjson.loads(text))
    except orjson.JSONDecodeError as error:
        raise PlanError(f"the fault plan in a row is not valid JSON ({error})") from error


class TypedEpisode(ToolEpisode):
    """An episode that ends with a call of `answer`, and gives its reward itself.

    `environment_class` adds the tools, and `answer` among them.
    """

    _ends: Answers = "typed"

    def get_reward(self) -> float | None:
        """The reward, all parts together; None for an episode that the harness broke.

        Raises:
            UserError: `reset` was not called before.
        """
        ended = self._end(())
        return None if ended is None else self._reward.total(ended.counts)


@banked("tasks", 256)
def environment_class(suite: str, tools: tuple[str, ...], base: type[ToolEpisode] = ToolEpisode) -> type[ToolEpisode]:
    """The class whose methods are these tools of a suite.

    Args:
        suite: The suite's name.
        tools: Names of tools, as `Task.tools` has them.
        base: What the class is derived from; of one with typed answers, `answer` is a method too.

    Returns:
        A subclass of `base`, the same for the same arguments.

    Raises:
        TaskError: There is no such suite, or a tool's name cannot be that of a method.
    """
    suite_named(suite).tools_named(tools)
    for name in tools:
        if name in RESERVED or name.startswith("_") or not name.isidentifier():
            raise TaskError(f"tool {name!r} of suite {suite} cannot be a method: rename it")
    style = "Http" if "http" in tools else "Tools"
    mark = f"{_mark(tools)}{'Typed' if base._ends == 'typed' else ''}"  # trainers tell classes apart by their names
    title = f"{''.join(part.title() for part in suite.split('_'))}{style}{mark}Episode"
    doc = f"Episodes of the suite {suite} with the tools {', '.join(tools)}."
    kind: type[ToolEpisode] = type(title, (base,), {"__doc__": doc, "_suite": suite, "_tools": tools})
    for spec in specs_of(kind):
        setattr(kind, spec.name, tool_method(spec))
    return kind


def _mark(tools: Sequence[str]) -> str:
    return f"{stable_hash('tools', *tools) % 16**6:06x}"


def environment_name(task: Task, answers: Answers) -> str:
    """The name of a task's environment; tasks with the same tools and way to answer have the same one."""
    name = f"{task.suite}-{len(task.tools)}-{_mark(task.tools)}"
    return name if answers == "text" else f"{name}-typed"


def environments_of(rows: Iterable[Mapping[str, object]]) -> dict[str, type[ToolEpisode]]:
    """Environment name -> class, for all that the rows name: what TRL's `environment_factory` takes.

    Args:
        rows: Rows with the column `task`, and `answers` where they are typed, as `task_rows` gives them. Environments
            with typed answers give their reward themselves (`get_reward`), with texts reward functions do.

    Returns:
        The classes, by the names in the rows' column `environment`.

    Raises:
        TaskError: There is no such task, or a tool's name cannot be that of a method.

    Example:
        >>> list(environments_of([{"task": "orders/order_status/train/0", "answers": "typed"}]))
        ['orders-4-eb87ce-typed']
    """
    found = {}
    for row in rows:
        task = task_by_id(str(row["task"]))
        answers: Answers = "typed" if row.get("answers") == "typed" else "text"
        base = ToolEpisode if answers == "text" else TypedEpisode
        found[environment_name(task, answers)] = environment_class(task.suite, task.tools, base)
    return found


def specs_of(kind: type[ToolEpisode]) -> tuple[ToolSpec, ...]:
    """What a rollout shows of the tools of an environment class, in the rollout's order; `answer` without fields."""
    specs = tuple(tool.spec for tool in suite_named(kind._suite).tools_named(kind._tools).values())
    return specs if kind._ends == "text" else (*specs, open_answer_tool())
