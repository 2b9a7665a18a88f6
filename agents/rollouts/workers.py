"""A run in several processes of this machine, each of which writes a segment of its own."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import pickle
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess, parent_process
from typing import cast

from faultgym.agents.rollouts.engine import Engine
from faultgym.agents.rollouts.pool import EpisodeShare, RunRefused, Worker, WorkerEnded, rollout_by
from faultgym.agents.rollouts.progress import RunOutcome
from faultgym.agents.rollouts.stop import Stop
from faultgym.agents.storage.store import RunDirectory
from faultgym.core.errors import UserError


class Processes:
    """The crew of worker processes, which write their segments themselves.

    Args:
        run: Not used: each process opens the folder anew.
    """

    def __init__(self, run: RunDirectory):
        pass

    def begin(self, share: EpisodeShare) -> ProcessWorker:
        """See `WorkerBackend`."""
        return ProcessWorker(share)

    def wait(self, workers: Sequence[Worker], seconds: float) -> None:
        """See `WorkerBackend`."""
        wait([cast(ProcessWorker, worker).inbox for worker in workers], seconds)


class ProcessWorker:
    """One process, which tells through a pipe.

    Args:
        share: What the process is given.
    """

    def __init__(self, share: EpisodeShare):
        context = multiprocessing.get_context("spawn")
        self.inbox, outbox = context.Pipe(duplex=False)
        self.process: BaseProcess = context.Process(target=_work, args=(share, outbox), daemon=True, name=share.name)
        with _without_interrupts():
            self.process.start()
        outbox.close()

    def heard(self) -> Iterator[RunOutcome | RunRefused]:
        """See `Worker`."""
        try:
            while self.inbox.poll():
                yield self.inbox.recv()
        except (EOFError, OSError, pickle.UnpicklingError):  # it has closed its end, perhaps in mid-message
            self.process.join()
            self.inbox.close()
            raise WorkerEnded(f"exit code {self.process.exitcode}") from None

    def ask_to_stop(self) -> None:
        """See `Worker`."""
        self.process.terminate()

    def end(self) -> None:
        """See `Worker`."""
        self.process.kill()
        self.process.join()


rollout_in_processes = partial(rollout_by, Processes)
"""Like `rollout`, in worker processes."""


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


def _work(share: EpisodeShare, outbox: Connection) -> None:
    """A worker's whole life."""
    threading.Thread(target=_die_with_parent, daemon=True).start()
    stop = Stop()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # from the terminal it goes to all processes: the parent heeds it
    signal.signal(signal.SIGTERM, lambda number, frame: stop.ask())
    engine = Engine(pickle.loads(share.make_policy)(), share.limits, stop)

    def on_done(outcome: RunOutcome) -> None:
        outbox.send(outcome)

    async def play() -> None:
        with RunDirectory.open(share.directory).writer(share.name) as writer:
            await engine.play_all(share.episodes, writer.append, in_flight=share.in_flight, on_done=on_done)

    try:
        asyncio.run(play())
    except UserError as error:
        outbox.send(RunRefused(str(error)))


def _die_with_parent() -> None:
    """End at once when the parent has died, however that happened: a resume must find no writer left."""
    parent = parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
