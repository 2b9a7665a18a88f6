"""A run by several workers: each plays a share of what is owed; whoever dies is replaced.

What a worker is (a process, an actor on another machine) its crew knows. The pool holds the run's lock and
takes its account from the store alone: the replacement of a dead worker plays what the store does not hold of
its share. So nothing is lost, and nothing is there twice.
"""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from faultgym.agents.policy import Policy
from faultgym.agents.rollouts.engine import IN_FLIGHT, described, opened, pending
from faultgym.agents.rollouts.plan import RolloutPlan
from faultgym.agents.rollouts.progress import OnProgress, Progress, RunOutcome
from faultgym.agents.rollouts.stop import Stop
from faultgym.agents.storage.store import RunDirectory
from faultgym.agents.traces.spec import EpisodeSpec
from faultgym.core.errors import HarnessError, UserError
from faultgym.envs.limits import Limits

RESTARTS = 2
"""How often a share is begun again without one more episode stored before it is given up."""
POLL_SECONDS = 0.2
"""How soon the pool notices that a stop was asked for."""


@dataclass(frozen=True, slots=True)
class EpisodeShare:
    """What one worker is given."""

    directory: str
    name: str
    """Of its writer."""
    episodes: tuple[EpisodeSpec, ...]
    limits: Limits
    make_policy: bytes
    """Pickled: makes the policy when called. A policy itself may hold closures and connections."""
    in_flight: int


@dataclass(frozen=True, slots=True)
class RunRefused:
    """Input or a disk that a worker cannot use: the whole run ends with it."""

    reason: str


class WorkerEnded(Exception):
    """Raised when the worker is there no more, done or not; the message says how it ended."""


class Worker(Protocol):
    """A worker as the pool sees it."""

    def heard(self) -> Iterator[RunOutcome | RunRefused]:
        """What has come from the worker since the last call; what is told is stored by then.

        Raises:
            WorkerEnded: The worker is there no more, and all it sent has been given.
        """

    def ask_to_stop(self) -> None:
        """Let the worker end after the current step of each running episode."""

    def end(self) -> None:
        """End the worker at once, where there still is one."""


class WorkerBackend(Protocol):
    """Where workers come from."""

    def begin(self, share: EpisodeShare) -> Worker:
        """A worker that plays the share."""

    def wait(self, workers: Sequence[Worker], seconds: float) -> None:
        """Return when one of the workers has something to tell, or when the time is over.

        Args:
            workers: Those that run.
            seconds: The longest wait.
        """


def rollout_by(
    crew: Callable[[RunDirectory], WorkerBackend],
    plan: RolloutPlan,
    make_policy: Callable[[], Policy],
    directory: str | os.PathLike[str],
    *,
    workers: int,
    in_flight: int = IN_FLIGHT,
    resume: bool = False,
    retry_errors: bool = False,
    stop: Stop | None = None,
    on_progress: OnProgress | None = None,
) -> Progress:
    """Like `rollout`, by several workers of a crew.

    Args:
        crew: Makes the backend that the workers come from, given the run's folder.
        plan: The episodes and their limits.
        make_policy: Makes the policy, in each worker; picklable, such as `partial(policy_named, "expert")`.
        directory: The run's folder.
        workers: How many at most.
        in_flight: Episodes that each worker plays at the same time.
        resume: Whether a run that was started in the folder is continued.
        retry_errors: Whether episodes that ended in harness errors are played again.
        stop: Ends the run, once asked for, after the current step of each running episode.
        on_progress: Called after each episode.

    Returns:
        How far the run came.

    Raises:
        UserError: `make_policy` cannot be pickled, or what `rollout` raises.
        HarnessError: Workers died again and again: what the others had to do is done then, and a resume runs the rest.
    """
    description = described(make_policy())
    try:
        pickled = pickle.dumps(make_policy)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise UserError(
            f"what makes policy {description.get('name')} cannot be sent to workers ({error}): "
            "define it in a module, or use one process"
        ) from error
    with opened(plan, description, directory, resume=resume, retry_errors=retry_errors) as (run, todo):
        progress = Progress(len(plan.episodes), len(plan.episodes) - len(todo))
        shares = [
            EpisodeShare(os.fspath(directory), f"w{n}", tuple(todo[n::workers]), plan.limits, pickled, in_flight)
            for n in range(min(workers, len(todo)))
        ]
        Pool(crew(run), run, progress, stop or Stop(), on_progress).play(shares)
        left = len(pending(run, plan, description))
        progress.done = progress.planned - progress.before - left
    return progress


@dataclass(slots=True)
class _Post:
    """A share, and who plays it now."""

    share: EpisodeShare
    worker: Worker
    restarts: int = 0
    told: bool = False
    """Whether the worker was told to stop."""


class Pool:
    """The workers of one run.

    Args:
        crew: Where workers come from.
        run: The run's folder, whose lock is held.
        progress: Counts what the workers tell.
        stop: Passed on to the workers once asked for.
        on_progress: Called after each episode.
    """

    def __init__(
        self, crew: WorkerBackend, run: RunDirectory, progress: Progress, stop: Stop, on_progress: OnProgress | None
    ):
        self.crew = crew
        self.run = run
        self.progress = progress
        self.stop = stop
        self.on_progress = on_progress
        self.posts: list[_Post] = []
        self.given_up: list[str] = []

    def play(self, shares: Sequence[EpisodeShare]) -> None:
        """Play the shares to their end, or until a stop is asked for; dead workers are replaced.

        Raises:
            UserError: A worker refused the run.
            HarnessError: A share was given up, because its workers died `RESTARTS` + 1 times without an episode done.
        """
        try:
            for share in shares:
                self.posts.append(_Post(share, self.crew.begin(share)))
            while self.posts:
                if self.stop.asked:
                    self._tell()
                self.crew.wait([post.worker for post in self.posts], POLL_SECONDS)
                for post in list(self.posts):
                    self._hear(post)
        finally:
            for post in self.posts:
                post.worker.end()
        if self.given_up:
            raise HarnessError("; ".join(self.given_up) + ": resume the run to try them again")

    def _tell(self) -> None:
        for post in self.posts:
            if not post.told:
                post.told = True
                post.worker.ask_to_stop()

    def _hear(self, post: _Post) -> None:
        """Take what the worker has sent; when it has ended, see to what it left."""
        try:
            for message in post.worker.heard():
                if isinstance(message, RunRefused):
                    raise UserError(message.reason)
                self.progress.add(message)
                post.restarts = 0
                if self.on_progress is not None:
                    self.on_progress(self.progress)
        except WorkerEnded as ended:
            self.posts.remove(post)
            if not self.stop.asked:
                self._replace(post, ended)

    def _replace(self, post: _Post, ended: WorkerEnded) -> None:
        left = self._left(post.share)
        if not left:
            return
        if post.restarts >= RESTARTS:
            self.given_up.append(
                f"worker {post.share.name} died {RESTARTS + 1} times ({ended}) "
                f"without an episode done; {len(left)} of its episodes are owed"
            )
            return
        # The first one last: if it is what kills its worker, the others shall be done before.
        share = replace(post.share, episodes=left[1:] + left[:1])
        self.posts.append(_Post(share, self.crew.begin(share), post.restarts + 1))

    def _left(self, share: EpisodeShare) -> tuple[EpisodeSpec, ...]:
        policy = described(pickle.loads(share.make_policy)())
        return tuple(pending(self.run, RolloutPlan(share.episodes, share.limits), policy))
