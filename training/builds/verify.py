"""Pieces of runs to what comes of their lines: here, or in processes of their own."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait as wait_for_end
from typing import Any, Protocol, TypeVar

from faultgym.core.errors import HarnessError, UserError
from faultgym.training.builds.inputs import Chunk
from faultgym.training.filters.rejection import Rejected

E = TypeVar("E")
E_co = TypeVar("E_co", covariant=True)
PENDING = 3
"""Pieces that each worker has waiting, so that it is never idle and nothing piles up."""


class ChunkCheck(Protocol[E_co]):
    """What turns the lines of a chunk into entries of an index; pickled when worker processes are used."""

    def chunk(self, chunk: Chunk, seed: int) -> Sequence[E_co | Rejected]:
        """What comes of each line, in their order.

        Args:
            chunk: The lines to be read.
            seed: The build's seed.
        """


def verified(
    chunks: Iterator[tuple[int, Chunk]], check: ChunkCheck[E], seed: int, workers: int
) -> Iterator[tuple[int, Sequence[E | Rejected]]]:
    """What was found in each chunk, in the order in which chunks are finished.

    Args:
        chunks: (number, chunk); drawn from only as fast as workers need them.
        check: Turns lines into entries; pickled where there is more than one worker.
        seed: The build's seed.
        workers: Processes; 1 for this process alone.

    Yields:
        (number, entries and rejections).

    Raises:
        UserError: The check cannot be pickled, because of a data filter that is no function of a module.
        HarnessError: A worker died; what was yielded before is done.
    """
    if workers == 1:
        for number, chunk in chunks:
            yield number, check.chunk(chunk, seed)
        return
    try:
        pickle.dumps(check)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise UserError(
            f"a data filter cannot be sent to worker processes ({error}): define it at the top of a module, or take"
            " one worker"
        ) from error
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, _begin, (check, seed)) as pool:
        pending: dict[Future[Sequence[E | Rejected]], int] = {}
        try:
            for number, chunk in chunks:
                pending[pool.submit(_work, chunk)] = number
                if len(pending) >= workers * PENDING:
                    yield from _finished(pending)
            while pending:
                yield from _finished(pending)
        except BrokenProcessPool as error:
            raise HarnessError("a worker process died (out of memory?): resume the build with fewer workers") from error
        finally:
            pool.shutdown(cancel_futures=True)


def _finished(
    pending: dict[Future[Sequence[E | Rejected]], int],
) -> Iterator[tuple[int, Sequence[E | Rejected]]]:
    done, _ = wait(pending, return_when=FIRST_COMPLETED)
    for future in done:
        yield pending.pop(future), future.result()


_mine: tuple[ChunkCheck[Any], int]
"""What a worker process was told."""


def _begin(check: ChunkCheck[Any], seed: int) -> None:
    global _mine
    _mine = (check, seed)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what Ctrl-C means
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A parent that was killed tells nobody: without this its workers would wait for it forever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait_for_end([parent.sentinel])
        os._exit(1)


def _work(chunk: Chunk) -> Sequence[Any]:
    check, seed = _mine
    return check.chunk(chunk, seed)
