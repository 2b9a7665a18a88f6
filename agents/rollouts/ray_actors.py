"""A run on a Ray cluster: each actor plays a share, and hands over its traces; the driver alone writes.

A trace counts once it is in the driver's store, in the segment of the share it belongs to. So the machines need
no file system in common, and a node that is lost takes with it only what was not done yet, which another actor
plays. Whoever is thought dead and is not can write nothing.
"""

from __future__ import annotations

import asyncio
import logging
import os
import pickle
import signal
import socket
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

from faultgym.agents.policy import Policy
from faultgym.agents.rollouts.engine import Engine, give_way
from faultgym.agents.rollouts.plan import RolloutPlan
from faultgym.agents.rollouts.pool import EpisodeShare, RunRefused, Worker, WorkerEnded, rollout_by
from faultgym.agents.rollouts.progress import Progress, RunOutcome
from faultgym.agents.rollouts.stop import Stop
from faultgym.agents.storage.lines import storable_line
from faultgym.agents.storage.store import RunDirectory
from faultgym.core.errors import UserError

DELIVERY_BYTES = 4 << 20
"""Of lines that are handed over at a time, but for a last one that is longer."""
MOST_WAITING = 32 << 20
"""Bytes of lines that an actor keeps for the driver before it begins further episodes."""
DELIVERY_SECONDS = 1.0
"""After which an actor that has nothing to hand over says so."""

KNOCK_SECONDS = 5.0
"""How long a cluster's address may take to take a connection."""


@dataclass(frozen=True, slots=True)
class TraceBatch:
    """What an actor hands over at a time."""

    done: tuple[tuple[bytes, RunOutcome], ...] = ()
    """The line for the store, and what the progress display needs of it."""
    refused: str = ""
    over: bool = False
    """Whether nothing comes after it."""


class Player:
    """The actor: plays its share in its event loop, and hands over when asked.

    Args:
        share: The episodes, and what plays them.
    """

    def __init__(self, share: EpisodeShare):
        self.share = share
        self.stop = Stop()
        self._done: deque[tuple[bytes, RunOutcome]] = deque()
        self._waiting = 0
        self._playing: asyncio.Task[None] | None = None
        self._something = asyncio.Event()
        self._room = asyncio.Event()

    async def take(self) -> TraceBatch:
        """What has been done since the last call; waits up to `DELIVERY_SECONDS` for something.

        Raises:
            Exception: What the policy's making raised, but for a `UserError`, which the batch tells.
        """
        if self._playing is None:
            self._playing = asyncio.ensure_future(self._play())
            self._playing.add_done_callback(lambda task: self._something.set())
        try:
            async with asyncio.timeout(DELIVERY_SECONDS):
                await self._something.wait()
        except TimeoutError:
            return TraceBatch()
        taken, size = [], 0
        while self._done and size < DELIVERY_BYTES:
            taken.append(self._done.popleft())
            size += len(taken[-1][0])
        self._waiting -= size
        self._room.set()
        over = not self._done and self._playing.done()
        if not self._done and not over:
            self._something.clear()
        refused = ""
        if over:
            try:
                self._playing.result()
            except UserError as error:
                refused = str(error)
        return TraceBatch(tuple(taken), refused, over)

    async def ask_to_stop(self) -> None:
        """See `Worker`."""
        self.stop.ask()

    async def _play(self) -> None:
        share = self.share
        engine = Engine(pickle.loads(share.make_policy)(), share.limits, self.stop)
        line = b""

        def store(record: bytes) -> None:
            nonlocal line
            line = storable_line(record)

        def on_done(outcome: RunOutcome) -> None:
            self._done.append((line, outcome))
            self._waiting += len(line)
            self._something.set()

        await engine.play_all(
            share.episodes, store, in_flight=share.in_flight, on_done=on_done, between=self._until_there_is_room
        )

    async def _until_there_is_room(self) -> None:
        await give_way()
        while self._waiting > MOST_WAITING:
            self._room.clear()
            await self._room.wait()


class Actors:
    """The crew of actors on the cluster that this process is connected to.

    Args:
        run: The run's folder, which the driver alone writes.
    """

    def __init__(self, run: RunDirectory):
        import ray

        self.run = run
        # Spread over the nodes; the pool replaces what is lost, so Ray itself repeats nothing.
        options = {"num_cpus": 1, "max_restarts": 0, "max_task_retries": 0, "scheduling_strategy": "SPREAD"}
        self.player: Any = ray.remote(**options)(Player)

    def begin(self, share: EpisodeShare) -> ActorWorker:
        """See `WorkerBackend`."""
        return ActorWorker(self.player, self.run, share)

    def wait(self, workers: Sequence[Worker], seconds: float) -> None:
        """See `WorkerBackend`."""
        import ray

        ray.wait([cast(ActorWorker, worker).next for worker in workers], timeout=seconds)


class ActorWorker:
    """One actor, and the writer of its segment.

    Args:
        player: The actor class, as Ray knows it.
        run: The run's folder.
        share: What the actor is given.
    """

    def __init__(self, player: Any, run: RunDirectory, share: EpisodeShare):
        self.writer = run.writer(share.name)
        self.actor = player.remote(share)
        self.next = self.actor.take.remote()
        """The delivery to come."""
        self.begun = False
        """Whether it has ever answered: it may still wait for a node with room."""

    def heard(self) -> Iterator[RunOutcome | RunRefused]:
        """See `Worker`."""
        import ray

        while ray.wait([self.next], timeout=0)[0]:
            try:
                delivery: TraceBatch = ray.get(self.next)
            except ray.exceptions.RayError as error:
                self.end()
                raise WorkerEnded(_reason(error)) from error
            self.begun = True
            for line, outcome in delivery.done:
                self.writer.append_line(line)
                yield outcome
            if delivery.refused:
                yield RunRefused(delivery.refused)
            if delivery.over:
                self.end()
                raise WorkerEnded("done")
            self.next = self.actor.take.remote()

    def ask_to_stop(self) -> None:
        """See `Worker`."""
        import ray

        if self.begun:
            self.actor.ask_to_stop.remote()
        else:
            ray.kill(self.actor)

    def end(self) -> None:
        """See `Worker`."""
        import ray

        ray.kill(self.actor)
        self.writer.close()


def _reason(error: Exception) -> str:
    """The line of a Ray error that says most: the last one of a task's traceback, the first of what Ray says."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    return lines[-1] if "Traceback" in str(error) else lines[0]


def rollout_on_ray(
    plan: RolloutPlan,
    make_policy: Callable[[], Policy],
    directory: str | os.PathLike[str],
    *,
    workers: int | None = None,
    **how: Any,
) -> Progress:
    """Like `rollout_by`, by actors of a Ray cluster.

    The cluster is the one that this process is connected to, else the one that RAY_ADDRESS names, else one on this
    machine, for the time of the run.

    Args:
        plan: The episodes and their limits.
        make_policy: Makes the policy, in each actor; picklable.
        directory: The run's folder.
        workers: How many actors; by default one for each node with a CPU.
        how: The other arguments of `rollout_by`.

    Raises:
        UserError: Ray does not come up, or what `rollout_by` raises.
        HarnessError: What `rollout_by` raises.
    """
    with connected() as nodes:
        return rollout_by(Actors, plan, make_policy, directory, workers=workers or max(1, nodes), **how)


@contextmanager
def connected() -> Iterator[int]:
    """The number of nodes with a CPU, of a cluster that stays connected while the context lasts.

    Raises:
        UserError: Ray does not come up.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    import ray

    ours = not ray.is_initialized()
    if ours:
        address = os.environ.get("RAY_ADDRESS", "")
        where = f"the Ray cluster at RAY_ADDRESS={address}" if address else "Ray on this machine"
        try:
            _knock(address)
            with _signals_kept():
                ray.init(logging_level=logging.ERROR, log_to_driver=False)
        except (OSError, RuntimeError, ValueError) as error:
            raise UserError(f"{where} is not to be had: {str(error).splitlines()[0]}") from error
    try:
        yield sum(1 for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU", 0) >= 1)
    finally:
        if ours:
            ray.shutdown()


def _knock(address: str) -> None:
    """Raises OSError where nobody listens: Ray itself would try for minutes."""
    host, _, port = address.rpartition(":")
    if host and "/" not in host and port.isdigit():
        socket.create_connection((host, int(port)), KNOCK_SECONDS).close()


@contextmanager
def _signals_kept() -> Iterator[None]:
    """Ray takes SIGTERM for itself when it is connected to, and never gives it back."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)
