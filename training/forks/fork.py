"""Going back to a step of a stored trace, and going on from there in another way.

The episode is built again by playing the trace's own turns, each of which must come out as the trace says.
Every continuation is an episode of its own: it is played to its end, judged by the same goal, and becomes a
trace whose first messages are those of the forked one, byte for byte.
"""

from __future__ import annotations

from collections.abc import Awaitable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol

import orjson

from faultgym.agents.policy import Actor, Opening, Policy, resume, start
from faultgym.agents.rollouts.play import at_once, latest, next_turn, opening_of, play
from faultgym.agents.traces.chat import chat_messages
from faultgym.agents.traces.plain import plain_step
from faultgym.agents.traces.recorded import recorded_task
from faultgym.agents.traces.spec import EpisodeSpec, faults_of
from faultgym.agents.traces.trace import Trace
from faultgym.core.errors import TraceError
from faultgym.core.hashing import stable_hash
from faultgym.core.json import JSON
from faultgym.envs.cheapest import optimal_calls
from faultgym.envs.episode import Episode, StepRecord
from faultgym.envs.messages.turn import Message, Observation, Turn
from faultgym.envs.task import Task
from faultgym.eval.critical import critical_step
from faultgym.eval.efficiency import path_efficiency
from faultgym.tools.types import ToolSpec, interface
from faultgym.training.forks.waiting import wait_for

SUCCESS_WORTH = 0.5
"""What success is worth by itself; the rest comes with its efficiency."""


class Resumable(Protocol):
    """A policy that can go on from an episode that another policy has begun: a model, given the chat so far."""

    def resume(self, opening: Opening, steps: Sequence[StepRecord]) -> Actor:
        """An actor that has all these steps behind it.

        Args:
            opening: What the episode begins with, and the policy's seed.
            steps: What has happened; the actor's first observation is the last step's results.
        """


class Strayed(Exception):
    """The policy, started anew, does not take the trace's turns, and cannot be brought to the fork."""


@dataclass(frozen=True)
class Continuation:
    """One way in which an episode went on from a fork."""

    trace: Trace
    """The whole episode, with the steps before the fork."""
    step: int
    """Index of the first turn that is its own, from 0."""
    source: str
    """Who went on: a policy's name, or `expert`."""

    @property
    def turn(self) -> Turn:
        """The decision at the fork."""
        return self.trace.steps[self.step].turn

    @cached_property
    def messages(self) -> tuple[JSON, ...]:
        """The messages from the fork on, tool messages among them, in OpenAI's form."""
        return tuple(chat_messages((), self.trace.steps[self.step :]))

    @cached_property
    def worth(self) -> float:
        """The score of the whole episode; see `worth`."""
        return worth(self.trace)

    @property
    def success(self) -> bool:
        """Whether the episode reached its goal, or ended as honestly as it could."""
        return self.trace.verdict is not None and self.trace.verdict.success is True

    @property
    def undecided(self) -> bool:
        """Whether the verdict stays open: then nothing can be learnt from how it ended."""
        return self.trace.verdict is not None and self.trace.verdict.success is None


def worth(trace: Trace) -> float:
    """The score that margins are differences of, in [0, 1].

    0 for a failure; for a success one half, and the other half times its efficiency: the calls that are enough under
    the same schedule over the trace's own.

    Args:
        trace: An episode that has ended.

    Raises:
        TaskError: The task does not exist here.
    """
    if trace.verdict is None or not trace.verdict.success:
        return 0.0
    optimal = optimal_calls(recorded_task(trace), trace.schedule)
    return SUCCESS_WORTH + (1 - SUCCESS_WORTH) * path_efficiency(optimal, trace.calls)


class Forks:
    """A trace, built again: the episode at each of its steps, kept so that each is built once.

    Args:
        trace: The trace to be forked.
        task: Its task; None to look it up.

    Example:
        >>> from faultgym.agents.registry import policy_named
        >>> from faultgym.agents.rollouts.play import run_episode
        >>> from faultgym.envs.registry import task_by_id
        >>> task, expert = task_by_id("orders/order_status/train/0"), policy_named("expert")
        >>> trace = Trace.from_episode(run_episode(expert, task), EpisodeSpec(task.id), expert.describe())
        >>> with Forks(trace) as forks:
        ...     made = forks.play(1, Turns([Turn("No idea.")]), {"name": "guesser"}, "guesser")
        ...     len(forks), forks.own(1).success, made.success
        (2, True, False)
    """

    def __init__(self, trace: Trace, task: Task | None = None):
        """Begin the episode; nothing is played yet.

        Raises:
            TraceError: The trace does not open as its task does.
            TaskError: There is no such task.
        """
        self.trace = trace
        self.task = task or recorded_task(trace)
        first = Episode(self.task, trace.schedule, answers=trace.answers, reminders=trace.limits.reminders)
        if first.opening.messages != trace.opening or interface(first.tools) != interface(trace.tools):
            raise TraceError(f"trace {trace.episode_id} does not open as its task does: of another release?")
        self._at: list[Episode] = [first]

    def __len__(self) -> int:
        """The number of states that can be forked: one before each turn."""
        return len(self.trace.steps)

    def state(self, step: int) -> Episode:
        """The episode before turn `step`, to be looked at and not to be stepped.

        Raises:
            IndexError: The trace has no such turn.
            TraceError: The trace does not come out as stored.
        """
        if not 0 <= step < len(self.trace.steps):
            raise IndexError(f"trace {self.trace.episode_id} has {len(self.trace.steps)} turns: no fork at {step}")
        while len(self._at) <= step:
            number = len(self._at) - 1
            twin = self._at[number].fork()
            twin.step(self.trace.steps[number].turn)
            if plain_step(twin.turns[-1]) != self.trace.steps[number]:
                twin.close()
                raise TraceError(
                    f"trace {self.trace.episode_id} is not what it says: step {number} comes out otherwise"
                )
            self._at.append(twin)
        return self._at[step]

    @cached_property
    def critical(self) -> int | None:
        """The trace's first critical step, looked for once; None where the trace has none (it succeeded, say)."""
        return critical_step(self.trace, self.task, self.state).step

    def fork(self, step: int) -> Episode:
        """An independent copy of the state before turn `step`; raises as `state` does."""
        return self.state(step).fork()

    def prompt(self, step: int) -> tuple[JSON, ...]:
        """The messages before turn `step`."""
        return tuple(chat_messages(self.trace.opening, self.trace.steps[:step]))

    def tools(self, step: int) -> tuple[JSON, ...]:
        """The tools offered at turn `step`, in OpenAI's form."""
        return tuple(spec.openai() for spec in self.trace.tools_at(step))

    def own(self, step: int) -> Continuation:
        """How the trace itself went on."""
        return Continuation(self.trace, step, str(self.trace.policy.get("name", "")))

    def play(self, step: int, actor: Actor, description: JSON, source: str, seed: int = 0) -> Continuation:
        """Let an actor that waits for nothing go on from before turn `step`, within the trace's limits.

        Args:
            step: Index of the first turn that is the actor's, from 0.
            actor: Takes the turns.
            description: What the new trace says of its policy.
            source: Who goes on: a policy's name, or `expert`.
            seed: The policy's seed in the new trace.

        Raises:
            TypeError: The actor waits for something.
            TraceError: The trace does not come out as stored.
        """
        return at_once(self.go_on(step, actor, description, source, seed))

    async def go_on(self, step: int, actor: Actor, description: JSON, source: str, seed: int = 0) -> Continuation:
        """Let an actor go on from before turn `step`, within the trace's limits; see `play`.

        Args:
            step: Index of the first turn that is the actor's, from 0.
            actor: Takes the turns; may wait for a model.
            description: What the new trace says of its policy.
            source: Who goes on: a policy's name, or `expert`.
            seed: The policy's seed in the new trace.

        Raises:
            AssertionError: The new trace does not share its prefix: a bug of ours.
            TraceError: The trace does not come out as stored.
        """
        episode = self.fork(step)
        try:
            await play(episode, actor, replace(self.trace.limits, wall_seconds=None))  # a fork ends the same everywhere
            made = self._trace(episode, step, description, seed)
        finally:
            episode.close()
        if _bytes(made.opening, made.steps[:step]) != _bytes(self.trace.opening, self.trace.steps[:step]):
            raise AssertionError(f"the fork of {self.trace.episode_id} at {step} does not share its prefix")
        return Continuation(made, step, source)

    def sample(self, step: int, policy: Policy, number: int) -> Continuation:
        """The policy's own continuation, from code that is not asynchronous; see `sampled`. `Sampler` has many in
        flight.
        """
        return wait_for(self.sampled(step, policy, number, policy.describe()))

    async def sampled(self, step: int, policy: Policy, number: int, description: JSON) -> Continuation:
        """The policy's own continuation.

        Args:
            step: Index of the first turn that is the policy's, from 0.
            policy: Goes on.
            number: Tells the samples of a fork apart; the number and the fork give the seed.
            description: What the policy says of itself, asked for once: a model's may hash its files.

        Raises:
            Strayed: The policy cannot be brought to the fork.
            TraceError: The trace does not come out as stored.
        """
        seed = stable_hash("fork", self.trace.episode_id, step, number) >> 11
        actor = await resumed(policy, self, step, seed, description)
        return await self.go_on(step, actor, {**description, "sample": number}, policy.name, seed)

    def _trace(self, episode: Episode, step: int, description: JSON, seed: int) -> Trace:
        trace = self.trace
        spec = EpisodeSpec(
            task=trace.task.id,
            faults=faults_of(trace.faults),
            fault_seed=trace.seeds.fault,
            policy_seed=seed,
            trial=trace.trial,
            answers=trace.answers,
        )
        policy = {**description, "fork_of": trace.episode_id, "fork_step": step}
        return Trace.from_episode(episode, spec, policy, trace.limits)

    def close(self) -> None:
        """Free all states."""
        for episode in self._at:
            episode.close()

    def __enter__(self) -> Forks:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _bytes(opening: Sequence[Message], steps: Sequence[StepRecord]) -> bytes:
    return orjson.dumps(chat_messages(opening, steps))


async def resumed(policy: Policy, forks: Forks, step: int, seed: int, description: JSON) -> Actor:
    """An actor of the policy that has the trace's turns before `step` behind it.

    A policy that is `Resumable` is given the turns; any other is started anew and shown the same messages, and has to
    take the same turns by itself.

    Args:
        policy: Goes on.
        forks: The trace.
        step: Index of the first turn that is the policy's, from 0.
        seed: The policy's seed.
        description: What the policy says of itself.

    Raises:
        Strayed: The policy takes another turn than the trace.
    """
    first = forks.state(0)
    opening = opening_of(first, seed)
    steps = forks.trace.steps[:step]
    if not _same_server(description, forks.trace.policy):  # its own signatures mean nothing to another model
        steps = tuple([replace(s, turn=replace(s.turn, extra="")) if s.turn.extra else s for s in steps])
    found = resume(policy, forks.task, first.schedule, opening, steps)
    if found is not None:
        return found
    actor = start(policy, forks.task, first.schedule, opening)
    for number, record in enumerate(steps):
        state = forks.state(number)
        turn = await next_turn(actor, latest(state), state.tools)
        if not same_decision(turn, record.turn):
            raise Strayed(f"{policy.name} takes another turn {number} than {forks.trace.episode_id}")
    return actor


def _same_server(one: JSON, other: JSON) -> bool:
    """Whether two descriptions are of one model that is spoken to in one way, whatever it is told."""
    return all(one.get(name) == other.get(name) for name in ("kind", "model", "format"))


def same_decision(one: Turn, other: Turn) -> bool:
    """Whether two turns do the same: the same calls with the same arguments, or the same final text.

    Args:
        one: A turn.
        other: A turn; thoughts and call ids may differ.

    Example:
        >>> same_decision(Turn("Done.", reasoning="All is there."), Turn("Done."))
        True
    """
    return decision(one) == decision(other)


def decision(turn: Turn) -> tuple[object, ...]:
    """What a turn does, without what was thought: comparable.

    Example:
        >>> decision(Turn("Done."))
        ('text', 'Done.')
    """
    if turn.final:
        return ("text", turn.text)
    return tuple((c.name, c.raw, repr(sorted((c.arguments or {}).items()))) for c in turn.tool_calls)


def is_scripted(description: JSON) -> bool:
    """Whether a policy's description says that the policy plays a script, and so is deterministic."""
    return bool(description.get("scripted"))


class Turns:
    """An actor that takes given turns, then lets another actor go on."""

    def __init__(self, turns: Sequence[Turn], then: Actor | None = None):
        self._turns: Iterator[Turn] = iter(turns)
        self._then = then

    def act(self, observation: Observation, tools: tuple[ToolSpec, ...]) -> Turn | Awaitable[Turn]:
        """The next given turn; after the last one what the other actor does, or an empty final text.

        Args:
            observation: Passed to the other actor.
            tools: Passed to the other actor.
        """
        turn = next(self._turns, None)
        if turn is not None:
            return turn
        return Turn() if self._then is None else self._then.act(observation, tools)
