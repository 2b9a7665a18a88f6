"""The right way on from a fork: the policy's own where it succeeds, the expert's where it does not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from faultgym.agents.policy import Policy
from faultgym.core.json import JSON
from faultgym.envs.reference.continuing import continue_reference
from faultgym.envs.reference.run import closing_turn
from faultgym.eval.context import ScoringContext
from faultgym.eval.efficiency import futile_retries, redundant_reads
from faultgym.eval.modes.classifier import OF_EPISODES, modes_at
from faultgym.training.forks.branch_point import BranchPoint
from faultgym.training.forks.continuation import ReferenceContinuation
from faultgym.training.forks.fork import Continuation, Forks, Turns, decision, is_scripted, same_decision
from faultgym.training.forks.reasoning_style import StyledPolicy
from faultgym.training.forks.sampler import IN_FLIGHT, Sampler
from faultgym.training.forks.waiting import together

Kind = Literal["mixed", "own", "scripted"]
"""`mixed`: the policy's own continuations, the expert's and wrong moves. `own`: the policy's own on both sides, what
its trace did among them. `scripted`: the expert and wrong moves alone."""
Prefer = Literal["own", "best", "expert"]
"""`own`: a model's successful continuation before the expert's, if the decision itself wastes nothing and shows no
failure mode; a script's only if it is as good as the expert's. `best`: anybody's only if it is as good. `expert`: the
expert's, if there is one."""
_EXPERT: JSON = {"name": "expert", "scripted": True}


@dataclass(frozen=True, slots=True)
class Sources:
    """Who makes the continuations, and whose are preferred."""

    policy: Policy | None = None
    """The policy whose traces these are; without it only what they did is known of it."""
    samples: int = 0
    """Continuations that the policy is asked for at each fork."""
    checks: int = 0
    """Further continuations of a chosen decision of a policy that is not scripted; most must succeed."""
    kind: Kind = "mixed"
    prefer: Prefer = "own"
    in_flight: int = IN_FLIGHT
    """Continuations that wait for the policy at the same time."""

    def sampler(self) -> Sampler | None:
        """The policy, ready to be asked; None where no continuation of a policy is wanted.

        A sampler is of one event loop: share it between the traces that are forked at the same time.

        Raises:
            UserError: The policy cannot go on from a fork.
        """
        if self.policy is None or self.kind == "scripted" or not (self.samples or self.checks):
            return None
        return Sampler(self.policy, self.in_flight)


async def branch_points(
    forks: Forks, steps: Sequence[int], sources: Sources, sampler: Sampler | None = None
) -> list[BranchPoint]:
    """These forks with the way that is right there; those where no right way is known are left out.

    The samples of all forks are in flight together, and then those that verify what could be chosen.

    Args:
        forks: The trace.
        steps: The turns before which the trace is forked.
        sources: Who makes the continuations, and whose are preferred.
        sampler: The policy, ready to be asked; None to make one where `sources` asks for samples.

    Raises:
        TraceError: The trace does not come out as stored.
        HarnessError: The policy's server failed.
    """
    sampler = sampler or sources.sampler()
    samples: dict[int, list[Continuation]] = {}
    if sampler is not None and sources.samples:
        samples = await sampler.continuations(forks, steps, sources.samples)
    ats = [_fork(forks, step, samples.get(step, []), sources) for step in steps]
    found = await together(at.decided(sources, sampler) for at in ats)
    return [at for at in found if at is not None]


@dataclass(frozen=True, slots=True)
class _Fork:
    """A fork before it is decided which way is right."""

    forks: Forks
    step: int
    others: tuple[Continuation, ...]
    """How the trace itself and the policy's samples went on."""
    best: Continuation | None
    """The expert's way."""

    async def decided(self, sources: Sources, sampler: Sampler | None) -> BranchPoint | None:
        """The crossing; None where no way is right."""
        refuted: set[object] = set()
        models_first = sources.prefer == "own"
        for made in sorted(self.others, key=lambda c: (models_first and is_scripted(c.trace.policy), -c.worth)):
            if not made.success or decision(made.turn) in refuted or not _sound(made, self.best, sources.prefer):
                continue
            if made is self.best or sampler is None or await sampler.holds(made, sources.checks):
                return BranchPoint(self.forks, self.step, made, self.others)
            refuted.add(decision(made.turn))
        return None if self.best is None else BranchPoint(self.forks, self.step, self.best, self.others)


def _fork(forks: Forks, step: int, samples: Sequence[Continuation], sources: Sources) -> _Fork:
    theirs = sources.kind == "own" and is_scripted(forks.trace.policy)  # a script's trace is nothing of a model's
    own = None if sources.kind == "scripted" or theirs else own_way(forks, step)
    others = ([] if own is None else [own]) + sorted(samples, key=lambda c: (-c.worth, c.trace.episode_id))
    known = own if own is not None and own.success and own.source == "expert" else None
    best = None if sources.kind == "own" else known or expert_way(forks, step)
    return _Fork(forks, step, tuple(others), best)


def _sound(made: Continuation, best: Continuation | None, prefer: Prefer) -> bool:
    """Whether a successful continuation may be chosen before the expert's."""
    if made is best:
        return True
    if not is_scripted(made.trace.policy) and set(modes_at(ScoringContext.of(made.trace), made.step)) - OF_EPISODES:
        return False  # it came right in spite of this turn
    if best is None:
        return True
    if prefer == "expert":
        return False
    if same_decision(made.turn, best.turn):
        return True
    if prefer == "own" and not is_scripted(made.trace.policy):
        return _waste(made, made.step + 1) <= _waste(made, made.step)
    return made.worth >= best.worth and _waste(made) <= _waste(best)


def _waste(made: Continuation, turns: int | None = None) -> int:
    """Calls of the first so many turns that could not help: an early retry that happened to succeed is no example."""
    context = ScoringContext.of(replace(made.trace, steps=made.trace.steps[:turns]))
    return futile_retries(context) + redundant_reads(context)


def expert_way(forks: Forks, step: int) -> Continuation | None:
    """The expert's continuation: with what was read so far or, failing that, reading all of it anew.

    Args:
        forks: The trace.
        step: The turn from which the expert goes on.

    Returns:
        None where the expert does not succeed either.
    """
    actor = StyledPolicy(ReferenceContinuation(forks.task, forks.trace.steps[:step]), forks.state(step))
    made = forks.play(step, actor, _EXPERT, "expert")
    if made.success:
        return made
    twin, answer = continue_reference(forks.state(step), forks.task)
    turns = [*(record.turn for record in twin.turns[step:]), closing_turn(answer, twin.answers)]
    twin.close()
    made = forks.play(step, StyledPolicy(Turns(turns), forks.state(step)), {**_EXPERT, "anew": True}, "expert")
    return made if made.success else None


def own_way(forks: Forks, step: int) -> Continuation | None:
    """How the trace itself went on; a scripted policy's turns in the common reasoning style.

    Args:
        forks: The trace.
        step: The turn from which on the continuation counts.

    Returns:
        None for a script's success that did not end with a final text.
    """
    own = forks.own(step)
    if not is_scripted(forks.trace.policy):
        return own
    if own.trace.stop != "final":
        return own if not own.success else None
    turns = [record.turn for record in forks.trace.steps[step:]]
    description = {**forks.trace.policy, "voiced": True}
    return forks.play(step, StyledPolicy(Turns(turns), forks.state(step)), description, own.source)
