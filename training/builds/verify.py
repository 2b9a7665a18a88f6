"""Lines of a store to entries of an index or reasons why not: here, or in processes of their own."""

from __future__ import annotations

import multiprocessing
import os
import re
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from multiprocessing.connection import wait as wait_for_end

from faultgym.agents.scripted.reference_run import reference_run
from faultgym.agents.storage.lines import parse
from faultgym.agents.traces.trace import Trace
from faultgym.core.errors import HarnessError, TaskError
from faultgym.envs.caches import forget_tasks
from faultgym.training.builds.index import Entry
from faultgym.training.builds.inputs import Chunk
from faultgym.training.examples import SFTExample
from faultgym.training.filters.decontaminate import NGRAM, TASKS, HeldOut, contamination, held_out, refused
from faultgym.training.filters.select import MAX_CALL_RATIO, Rejected, read_trace, select

Found = list[Entry | Rejected]
PENDING = 3
"""Pieces that each worker has waiting, so that it is never idle and nothing piles up."""


@dataclass(frozen=True, slots=True)
class Check:
    """What a trace must stand."""

    waste: float = MAX_CALL_RATIO
    """Calls over those of the reference solution."""
    ngram: int = NGRAM
    test_tasks: int = TASKS
    """Test tasks of each template and split whose words are compared."""
    policies: tuple[str, ...] = ()
    """Names of policies, `*` and `?` in them as in file names: only their traces are taken. Empty for all."""
    held: Mapping[str, HeldOut] = field(default_factory=dict, hash=False)
    """What is known of test splits already, by suite; the rest is found out when it is needed."""

    def example(self, line: bytes) -> SFTExample | Rejected:
        """The example in a line of a store, or why there is none. Never raises for what a line can hold."""
        try:
            record = parse(line)
        except ValueError as error:
            return Rejected("unreadable", "", str(error))
        trace = read_trace(record)
        if isinstance(trace, Rejected):
            return trace
        try:
            if found := self.foreign(trace) or refused(trace):
                return found
            example = select(trace, waste=self.waste)
            if isinstance(example, Rejected):
                return example
            return contamination(trace, self.held_out(trace.task.suite)) or example
        except Exception as error:  # one task whose solution breaks must not keep all others from being used
            return Rejected("not_checked", trace.episode_id, f"{type(error).__name__}: {error}")

    def foreign(self, trace: Trace) -> Rejected | None:
        """Whether a trace is of a policy that was not asked for."""
        name = str(trace.policy.get("name", ""))
        if not self.policies or any(fnmatchcase(name, wanted) for wanted in self.policies):
            return None
        return Rejected("other_policy", trace.episode_id, name)

    def held_out(self, suite: str) -> HeldOut:
        """What the test splits of a suite hold."""
        known = self.held.get(suite)
        return known if known is not None else held_out(suite, self.ngram, self.test_tasks)

    def chunk(self, chunk: Chunk, seed: int) -> Found:
        """What comes of each line of a chunk, in their order."""
        found: Found = []
        for line in chunk.read():
            if line.isspace():
                continue
            example = self.example(line)
            found.append(example if isinstance(example, Rejected) else Entry.of(example, seed))
        forget_tasks()  # most come once: kept, those of 65,000 tasks would be a few hundred MiB
        reference_run.cache_clear()
        return found


def policy_names(given: Sequence[str]) -> tuple[str, ...]:
    """What people name policies by, as traces name them: `openai:MODEL@URL?option=value` is `openai:MODEL` there."""
    return tuple(sorted({re.split(r"@http|\?[a-z_]+=", name, maxsplit=1)[0] for name in given}))


def known_test_splits(suites: set[str], check: Check) -> dict[str, HeldOut]:
    """What the test splits of these suites hold, where `check` does not know; suites that do not exist are left out."""
    known = dict(check.held)
    for suite in sorted(suites - known.keys()):
        with suppress(TaskError):
            known[suite] = held_out(suite, check.ngram, check.test_tasks)
    forget_tasks()
    return known


def verified(chunks: Iterator[tuple[int, Chunk]], check: Check, seed: int, workers: int) -> Iterator[tuple[int, Found]]:
    """(number, what was found) of each chunk, in whatever order they are finished.

    Raises HarnessError when a worker dies: what was yielded before is done.
    """
    if workers == 1:
        for number, chunk in chunks:
            yield number, check.chunk(chunk, seed)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, _begin, (check, seed)) as pool:
        pending: dict[Future[Found], int] = {}
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


def _finished(pending: dict[Future[Found], int]) -> Iterator[tuple[int, Found]]:
    done, _ = wait(pending, return_when=FIRST_COMPLETED)
    for future in done:
        yield pending.pop(future), future.result()


_mine: tuple[Check, int]
"""What a worker process was told."""


def _begin(check: Check, seed: int) -> None:
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


def _work(chunk: Chunk) -> Found:
    check, seed = _mine
    return check.chunk(chunk, seed)
