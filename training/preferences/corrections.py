"""Examples to imitate that a policy's own episodes give: as they are, or put right from the first error on.

    for one in examples_from(traces, Sources(policy=model, samples=4, checks=3)):
        if isinstance(one, SFTExample):
            row = sft_row(one)

An episode that is no example is forked at its first error: the policy's own successful sample goes on from
there, else the expert. What comes out is a trace like any other, and has to stand what `select` asks of every trace:
replayed, scored, with no more waste than allowed, the part before the fork included.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from faultgym.agents.traces.replay import replay
from faultgym.agents.traces.trace import Trace
from faultgym.core.errors import ServerRefusal
from faultgym.training.examples import SFTExample
from faultgym.training.filters.rejection import Rejected
from faultgym.training.filters.select import MAX_CALL_RATIO, select
from faultgym.training.forks.first_error import CORRECTABLE, first_error
from faultgym.training.forks.fork import Forks
from faultgym.training.forks.positives import Sources, branch_points
from faultgym.training.forks.sampler import Sampler
from faultgym.training.forks.waiting import in_turn
from faultgym.training.preferences.pairs import TOGETHER


def examples_from(
    traces: Iterable[Trace],
    sources: Sources | None = None,
    *,
    max_call_ratio: float = MAX_CALL_RATIO,
    together: int = TOGETHER,
) -> Iterator[SFTExample | Rejected]:
    """An example of each trace, in their order, or the reason why there is none.

    Neither the split nor duplicates nor the mix are looked after here: what comes of test tasks is for the caller to
    keep out (`refused`, `contamination`).

    Args:
        traces: Read one by one, when their turn comes.
        sources: Who makes the continuations; None for the expert alone.
        max_call_ratio: As of `select`.
        together: Traces that are forked at a time where the policy is asked.

    Yields:
        One result for each trace.

    Raises:
        UserError: The policy cannot go on from a fork.
        HarnessError: The policy's server failed.
    """
    sources = sources or Sources()
    sampler = sources.sampler()
    found = (find_example(trace, sources, max_call_ratio=max_call_ratio, sampler=sampler) for trace in traces)
    return in_turn(found, 1 if sampler is None else together)


async def find_example(
    trace: Trace,
    sources: Sources | None = None,
    *,
    max_call_ratio: float = MAX_CALL_RATIO,
    sampler: Sampler | None = None,
) -> SFTExample | Rejected:
    """The example that a trace gives, itself or put right, for code that is asynchronous.

    Args:
        trace: The trace.
        sources: Who makes the continuations; None for the expert alone.
        max_call_ratio: As of `select`.
        sampler: The policy, ready to be asked; None to make one where `sources` asks for samples.

    Returns:
        The example, or the first reason against the trace.

    Raises:
        HarnessError: The policy's server failed.
    """
    found = await put_right(trace, sources, max_call_ratio=max_call_ratio, sampler=sampler)
    return found if isinstance(found, Rejected) else found.example


@dataclass(frozen=True, slots=True)
class PutRight:
    """A trace that is worth imitating."""

    trace: Trace
    """The policy's own as it was, or with another end."""
    example: SFTExample


async def put_right(
    trace: Trace,
    sources: Sources | None = None,
    *,
    max_call_ratio: float = MAX_CALL_RATIO,
    sampler: Sampler | None = None,
) -> PutRight | Rejected:
    """What `find_example` gives, with the trace that the example was made of.

    Args:
        trace: The trace.
        sources: As of `find_example`.
        max_call_ratio: As of `select`.
        sampler: As of `find_example`.
    """
    found = select(trace, max_call_ratio=max_call_ratio)
    if isinstance(found, SFTExample):
        return PutRight(trace, found)
    if found.reason not in CORRECTABLE:
        return found
    if not (proof := replay(trace)).proven:  # a failure is turned away before anybody looks whether it is true
        return Rejected("not_proven", trace.episode_id, proof.reason)
    with Forks(trace) as forks:
        error = first_error(forks, max_call_ratio)
        if error is None:
            return found
        try:
            points = await branch_points(forks, [error.step], sources or Sources(), sampler)
        except ServerRefusal as refusal:
            return Rejected("refused", trace.episode_id, str(refusal)[:500])
        for at in points:
            own = select(at.right.trace, max_call_ratio=max_call_ratio)
            if isinstance(own, SFTExample):
                return PutRight(at.right.trace, own)
    return PutRight(error.trace, error.example)
