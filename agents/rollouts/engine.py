"""The rollout engine: many episodes in flight in one process, bounded, seeded, and safe to stop.

Nothing that is stored depends on the order in which episodes happen to run: every seed is a hash of
what it is for. What a policy or the harness breaks is recorded on its trace and never ends the batch.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import orjson

from faultgym.agents.policy import Policy, start
from faultgym.agents.rollouts.plan import RolloutPlan, is_part, plan_difference
from faultgym.agents.rollouts.play import opening_of, play
from faultgym.agents.rollouts.progress import OnProgress, Progress, RunOutcome
from faultgym.agents.rollouts.stop import CURRENT, Sleep, Stop
from faultgym.agents.storage.quarantine import quarantine
from faultgym.agents.storage.store import RunDirectory
from faultgym.agents.traces.parts import HarnessFailure, said
from faultgym.agents.traces.spec import EpisodeSpec
from faultgym.agents.traces.trace import Trace
from faultgym.agents.traces.versions import current_plan
from faultgym.core.errors import HarnessError, UserError
from faultgym.core.json import JSON
from faultgym.envs.episode import Episode
from faultgym.envs.limits import Limits
from faultgym.envs.reference.schedule import schedule_for
from faultgym.envs.registry import task_by_id

IN_FLIGHT = 256
"""Episodes that wait for their policies at the same time."""
ATTEMPTS = 3
"""How often an episode is begun when the harness fails."""
BACKOFF_SECONDS = 1.0
"""Before the second attempt; each further one waits four times as long."""


async def give_way() -> None:
    """Let other tasks of the event loop run: a policy that never waits must not keep them from moving."""
    await asyncio.sleep(0)


@dataclass(frozen=True)
class Engine:
    """One policy under fixed limits, ready to play episodes."""

    policy: Policy
    limits: Limits = field(default_factory=Limits)
    stop: Stop | None = None
    sleep: Sleep = asyncio.sleep
    clock: Callable[[], float] = time.monotonic
    """For the limit in wall seconds only."""

    async def play(self, spec: EpisodeSpec, description: JSON) -> Trace | None:
        """Play one episode, with up to `ATTEMPTS` tries.

        Only a `HarnessError` is worth another attempt: the same seeds and the same code would raise
        anything else again. What a policy or the harness raises is recorded in the trace.

        Args:
            spec: The episode.
            description: What the policy says of itself (`described`).

        Returns:
            The trace; None when a stop was asked for before the episode ended.

        Raises:
            Exception: What kept the episode from beginning, where there can be no trace: the task's id is none.
        """
        CURRENT.set(self.stop)
        for attempt in range(1, ATTEMPTS + 1):
            episode: Episode | None = None
            try:
                task = task_by_id(spec.task)
                schedule = schedule_for(task, spec.faults, spec.fault_seed)
                episode = Episode(task, schedule, answers=spec.answers, reminders=self.limits.reminders)
                actor = start(self.policy, task, schedule, opening_of(episode, spec.policy_seed))
                if not await play(episode, actor, self.limits, stop=self.stop, clock=self.clock):
                    return None
                return Trace.from_episode(episode, spec, description, self.limits)
            except (Exception, asyncio.CancelledError) as error:
                if isinstance(error, asyncio.CancelledError) and _cancelled():
                    raise
                if isinstance(error, HarnessError) and self.stop is not None and self.stop.asked:
                    return None  # another attempt is owed, and it is not made now
                if not isinstance(error, HarnessError) or attempt == ATTEMPTS:
                    return failed_trace(episode, spec, description, self.limits, error, attempt)
                await self._pause(BACKOFF_SECONDS * 4 ** (attempt - 1))
            finally:
                if episode is not None:
                    episode.close()
        raise AssertionError("the last attempt neither ended nor failed")

    async def _pause(self, seconds: float) -> None:
        if self.stop is None:
            await self.sleep(seconds)
        else:
            await self.stop.sleep(seconds, self.sleep)

    async def play_all(
        self,
        specs: Sequence[EpisodeSpec],
        store: Callable[[bytes], None],
        *,
        in_flight: int = IN_FLIGHT,
        on_done: Callable[[RunOutcome], None],
        between: Callable[[], Awaitable[object]] = give_way,
    ) -> None:
        """Play the episodes and hand each one's line to `store` when it is done; a stop ends the batch early.

        Args:
            specs: The episodes, in the order in which they are begun.
            store: Takes a line; raises HarnessError for one that is too long: the trace is then stored without steps.
            in_flight: How many are played at the same time.
            on_done: Called after each episode that was stored.
            between: Awaited before the next episode begins in the place of one that is done.

        Raises:
            UserError: The policy's description is not JSON.
            Exception: What `store` raised, or the policy's `prepare`, which is called first where there is one.
        """
        description = described(self.policy)
        prepare = getattr(self.policy, "prepare", None)
        if prepare is not None and specs:
            prepare()
        source = iter(specs)

        async def lane() -> None:
            for spec in source:
                if self.stop is not None and self.stop.asked:
                    return
                trace = await self.play(spec, description)
                if trace is None:
                    return
                trace = stored(trace, store)
                on_done(RunOutcome.of(trace))
                await between()

        lanes = [asyncio.ensure_future(lane()) for _ in range(min(in_flight, len(specs)))]
        try:
            await asyncio.gather(*lanes)
        finally:
            for task in lanes:
                task.cancel()
            await asyncio.gather(*lanes, return_exceptions=True)


def _cancelled() -> bool:
    """Whether somebody cancels the running task; else the policy's own code let such an error out."""
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0


def failed_trace(
    episode: Episode | None, spec: EpisodeSpec, description: JSON, limits: Limits, error: BaseException, attempts: int
) -> Trace:
    """The trace of an episode that the harness ended, perhaps before the episode began.

    Args:
        episode: The episode as far as it came; None where it could not be made.
        spec: What was planned.
        description: What the policy says of itself.
        limits: The budgets of the run.
        error: What ended the episode; raised again where there can be no trace, as of a task's id that is none.
        attempts: How often the episode was begun.
    """
    failure = HarnessFailure.of(error, attempts)
    try:
        if episode is None:
            return Trace.never_begun(spec, description, limits, failure)
        return Trace.from_episode(episode, spec, description, limits, failure)
    except Exception:  # a consequence of the first error, which is the one to see
        raise error from None


def stored(trace: Trace, store: Callable[[bytes], None]) -> Trace:
    """Store the trace; one that is too large to be stored loses its steps, never its place.

    Args:
        trace: The trace.
        store: Takes its line; raises HarnessError where the line is too long.

    Returns:
        The trace as it was stored.
    """
    try:
        try:
            line = trace.to_line()
        except Exception as error:  # arguments that are no JSON: whatever else is there is kept
            raise HarnessError(f"the trace cannot be written as JSON: {said(error)}") from error
        store(line)
        return trace
    except HarnessError as error:
        failure = HarnessFailure.of(error)
        trace = replace(trace, steps=(), events=(), verdict=None, stop="harness_error", harness_error=failure)
        store(trace.to_line())
        return trace


def described(policy: Policy) -> JSON:
    """What the policy says of itself, as JSON gives it back.

    Raises:
        UserError: The description is not JSON.
    """
    try:
        description: JSON = orjson.loads(orjson.dumps(policy.describe()))
    except TypeError as error:
        raise UserError(f"policy {policy.name}: what describe() gives is not JSON ({error})") from error
    return description


@contextmanager
def opened(
    plan: RolloutPlan, policy: JSON, directory: str | os.PathLike[str], *, resume: bool, retry_errors: bool = False
) -> Iterator[tuple[RunDirectory, list[EpisodeSpec]]]:
    """The run's folder, locked and repaired, and the episodes that the run still owes.

    Args:
        plan: The episodes and their limits.
        policy: What the policy says of itself.
        directory: The run's folder.
        resume: Whether the folder holds the run already; otherwise the run is created.
        retry_errors: Whether episodes that ended in harness errors are owed again: their records are set aside.

    Raises:
        UserError: A run is there and `resume` is not asked for, there is none to resume, the run was started with
            another plan that this one does not merely add to (the message says what differs), or another process uses
            the folder.
        TraceError: The run's store is damaged.
    """
    wanted = plan.data(policy)
    if resume:
        run = RunDirectory.open(directory)
        stored_plan = current_plan(run.plan)
        difference = plan_difference(_asked_alike(stored_plan, wanted), wanted)
        grown = bool(difference) and is_part(stored_plan, plan, policy)
        if difference and not grown:
            raise UserError(
                f"{run.path} was started with another plan: {difference}; resume it with what it was started "
                "with, or choose another folder"
            )
    else:
        run, grown = RunDirectory.create(directory, wanted), False
    with run.lock():
        run.repair()
        if grown:
            run.replan(wanted)
        if retry_errors:
            quarantine(run, broken_by_harness)
        yield run, pending(run, plan, policy)


def _asked_alike(stored: JSON, wanted: JSON) -> JSON:
    """The stored plan with the policy's text as it is given now, where both texts name the same policy: a server's
    address is no part of it."""
    asked = stored.get("asked")
    if stored.get("policy") != wanted["policy"] or not isinstance(asked, dict) or not wanted["asked"]:
        return stored
    given = wanted["asked"].get("policy")
    return stored if given is None else {**stored, "asked": {**asked, "policy": given}}


def broken_by_harness(record: JSON) -> bool:
    """Whether the record's episode ended in a harness error."""
    return record.get("harness_error") is not None


def pending(run: RunDirectory, plan: RolloutPlan, policy: JSON) -> list[EpisodeSpec]:
    """The planned episodes that the run's store does not hold, in the plan's order.

    Raises:
        UserError: The plan names an episode twice.
        TraceError: A line of the store is damaged.
    """
    committed = run.committed()
    return [spec for spec, name in zip(plan.episodes, plan.ids(policy), strict=True) if name not in committed]


async def rollout(
    plan: RolloutPlan,
    policy: Policy,
    directory: str | os.PathLike[str],
    *,
    in_flight: int = IN_FLIGHT,
    resume: bool = False,
    retry_errors: bool = False,
    stop: Stop | None = None,
    on_progress: OnProgress | None = None,
    sleep: Sleep = asyncio.sleep,
) -> Progress:
    """Run the plan's episodes into a run folder.

    The stored records are the same, byte for byte once compacted, for any `in_flight` and after any
    number of stops and resumes (unless `wall_seconds` ended an episode). Memory is that of the
    episodes in flight.

    Args:
        plan: The episodes and their limits.
        policy: Plays all of them.
        directory: The run's folder.
        in_flight: Episodes that are played at the same time.
        resume: Whether a run that was started in the folder is continued.
        retry_errors: Whether episodes that ended in harness errors are played again.
        stop: Ends the run, once asked for, after the current step of each running episode.
        on_progress: Called after each episode.
        sleep: Waits so many seconds between the attempts of an episode.

    Returns:
        How far the run came.

    Raises:
        UserError: The folder, the plan or the disk cannot be used, or the policy cannot be described or prepared.

    Example:
        >>> import tempfile
        >>> from faultgym.agents.registry import policy_named
        >>> plan = RolloutPlan((EpisodeSpec("orders/order_status/train/0"),))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     progress = asyncio.run(rollout(plan, policy_named("expert"), f"{folder}/run"))
        >>> progress.done, progress.success_rate
        (1, 1.0)
    """
    engine = Engine(policy, plan.limits, stop, sleep)
    with opened(plan, described(policy), directory, resume=resume, retry_errors=retry_errors) as (run, todo):
        progress = Progress(len(plan.episodes), len(plan.episodes) - len(todo))

        def on_done(outcome: RunOutcome) -> None:
            progress.add(outcome)
            if on_progress is not None:
                on_progress(progress)

        with run.writer("main") as writer:
            await engine.play_all(todo, writer.append, in_flight=in_flight, on_done=on_done)
    return progress
