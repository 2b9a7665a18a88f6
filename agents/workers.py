"""A run in several processes: each plays a share of what is owed and writes a segment of its own.

The parent holds the run's lock, writes nothing, and takes its account from the store alone. A worker that
dies is replaced, and the new one plays what the store does not hold of its share; so nothing is lost, and
nothing is there twice.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess, parent_process

from faultgym.agents.limits import Limits
from faultgym.agents.plan import RolloutPlan
from faultgym.agents.policy import Policy
from faultgym.agents.rollout import (
    IN_FLIGHT,
    Engine,
    OnProgress,
    Outcome,
    Progress,
    described,
    opened,
    owed,
)
from faultgym.agents.spec import EpisodeSpec
from faultgym.agents.stop import Stop
from faultgym.agents.store import RunDirectory
from faultgym.tools.errors import HarnessError, UserError

RESTARTS = 2
"""How often a share is begun again without one more episode stored before it is given up."""
POLL_SECONDS = 0.2
"""How soon the parent notices that a stop was asked for."""


@dataclass(frozen=True, slots=True)
class Share:
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
class Refused:
    """Input or a disk that a worker cannot use: the whole run ends with it."""

    reason: str


@dataclass(slots=True)
class Worker:
    """A worker as the parent sees it."""

    share: Share
    process: BaseProcess
    inbox: Connection
    restarts: int = 0
    told: bool = False
    """Whether it was told to stop."""


def rollout_in_processes(
    plan: RolloutPlan,
    make_policy: Callable[[], Policy],
    directory: str | os.PathLike[str],
    *,
    workers: int,
    in_flight: int = IN_FLIGHT,
    resume: bool = False,
    stop: Stop | None = None,
    on_progress: OnProgress | None = None,
) -> Progress:
    """Like `rollout`, in so many worker processes; `in_flight` counts for each of them.

    `make_policy` is called in each of them, and must be picklable: `partial(policy_named, "expert")`. Raises
    UserError when it is not, HarnessError when workers die again and again: what the others had to do
    is done then, and a resume runs the rest.
    """
    description = described(make_policy())
    try:
        pickled = pickle.dumps(make_policy)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise UserError(
            f"what makes policy {description.get('name')} cannot be sent to worker processes ({error}): "
            "define it in a module, or use one worker"
        ) from error
    with opened(plan, description, directory, resume=resume) as (run, todo):
        progress = Progress(len(plan.episodes), len(plan.episodes) - len(todo))
        shares = [
            Share(os.fspath(directory), f"w{n}", tuple(todo[n::workers]), plan.limits, pickled, in_flight)
            for n in range(min(workers, len(todo)))
        ]
        _Pool(run, progress, stop or Stop(), on_progress).play(shares)
        left = len(owed(run, plan, description))
        progress.done = progress.planned - progress.before - left
    return progress


class _Pool:
    """The workers of one run."""

    def __init__(self, run: RunDirectory, progress: Progress, stop: Stop, on_progress: OnProgress | None):
        self.run = run
        self.progress = progress
        self.stop = stop
        self.on_progress = on_progress
        self.workers: list[Worker] = []
        self.given_up: list[str] = []

    def play(self, shares: Sequence[Share]) -> None:
        """Play the shares to their end, or until a stop is asked for."""
        try:
            for share in shares:
                self.workers.append(_start(share))
            while self.workers:
                if self.stop.asked:
                    self._tell()
                wait([w.inbox for w in self.workers], POLL_SECONDS)
                for worker in list(self.workers):
                    self._hear(worker)
        finally:
            for worker in self.workers:
                worker.process.kill()
                worker.process.join()
        if self.given_up:
            raise HarnessError("; ".join(self.given_up) + ": resume the run to try them again")

    def _tell(self) -> None:
        for worker in self.workers:
            if not worker.told:
                worker.told = True
                worker.process.terminate()

    def _hear(self, worker: Worker) -> None:
        """Take what the worker has sent; when it has ended, see to what it left."""
        try:
            while worker.inbox.poll():
                message = worker.inbox.recv()
                if isinstance(message, Refused):
                    raise UserError(message.reason)
                self.progress.add(message)
                worker.restarts = 0
                if self.on_progress is not None:
                    self.on_progress(self.progress)
        except (EOFError, OSError, pickle.UnpicklingError):  # it has closed its end, perhaps in mid-message
            self._bury(worker)

    def _bury(self, worker: Worker) -> None:
        worker.process.join()
        worker.inbox.close()
        self.workers.remove(worker)
        left = () if self.stop.asked else self._left(worker.share)
        if not left:
            return
        if worker.restarts >= RESTARTS:
            self.given_up.append(
                f"worker {worker.share.name} died {RESTARTS + 1} times (exit code {worker.process.exitcode}) "
                f"without an episode done; {len(left)} of its episodes are owed"
            )
            return
        # The first one last: if it is what kills its worker, the others shall be done before.
        again = _start(replace(worker.share, episodes=left[1:] + left[:1]))
        again.restarts = worker.restarts + 1
        self.workers.append(again)

    def _left(self, share: Share) -> tuple[EpisodeSpec, ...]:
        policy = described(pickle.loads(share.make_policy)())
        return tuple(owed(self.run, RolloutPlan(share.episodes, share.limits), policy))


def _start(share: Share) -> Worker:
    context = multiprocessing.get_context("spawn")
    inbox, outbox = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(share, outbox), daemon=True, name=share.name)
    with _without_interrupts():
        process.start()
    outbox.close()
    return Worker(share, process, inbox)


@contextmanager
def _without_interrupts() -> Iterator[None]:
    """Start a child that Ctrl-C in the terminal does not reach: the parent tells it when to stop.

    The first start of all brings a tracker of multiprocessing's own to life, which unblocks the
    signal again: it is woken before.
    """
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _work(share: Share, outbox: Connection) -> None:
    """A worker's whole life."""
    import asyncio

    threading.Thread(target=_die_with_parent, daemon=True).start()
    stop = Stop()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # from the terminal it goes to all processes: the parent heeds it
    signal.signal(signal.SIGTERM, lambda number, frame: stop.ask())
    engine = Engine(pickle.loads(share.make_policy)(), share.limits, stop)

    def on_done(outcome: Outcome) -> None:
        outbox.send(outcome)

    async def play() -> None:
        with RunDirectory.open(share.directory).writer(share.name) as writer:
            await engine.play_all(share.episodes, writer.append, in_flight=share.in_flight, on_done=on_done)

    try:
        asyncio.run(play())
    except UserError as error:
        outbox.send(Refused(str(error)))


def _die_with_parent() -> None:
    """End at once when the parent has died, however that happened: a resume must find no writer left."""
    parent = parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
