"""Preference pairs: two continuations of one prefix of a real trace, with outcomes that were tried and not assumed.

| kind | fork | chosen | rejected |
|---|---|---|---|
| recover_vs_repeat | after what repeating does not cure | wait, new token, another way, report | the same call |
| retry_vs_abandon | after one that repeating cures | the same call | giving up, or a detour |
| right_vs_wrong_arguments | before any call | the call | it, wrongly; a call of another task |
| stop_vs_overiterate | when all is known and done | the answer | one more call |
| continue_vs_stop | when something is missing | the next call | an answer |
| answer_vs_fabricate | before the answer | it | the same words with another task's value, or another outcome |
| abstain_vs_bluff | before an honest report or abstention | it | an answer |
| answer_vs_abstain | before the answer | it | a report or abstention |
| answer_vs_text | before a typed answer | it | its message as plain text |
| no_tool_vs_needless | at the start, where all is said | the answer | a call |
| call_vs_no_call | at the start, where it is not | the first call | an answer |

Chosen is the policy's own decision where it succeeded (`positives.Sources` says when that is good enough), else the
expert's who has read what the policy has read. Rejected is the policy's own where every sample of it turned out
worse, or a wrong move of `negative_calls.py`. A decision that led to the same score is no pair. What the policy did
at the first critical step of a failed trace gives one, where a right way on is known and the two decisions are of a
kind.

    for found in pairs_from(traces, Sources(policy=model, samples=4, checks=3), at="critical"):
        row = pair_row(found.pair)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from faultgym.agents.traces.replay import replay
from faultgym.agents.traces.trace import Trace
from faultgym.core.errors import TraceError
from faultgym.core.hashing import stable_hash
from faultgym.core.json import JSON
from faultgym.envs.messages.turn import Turn
from faultgym.envs.reference.run import closing_turn
from faultgym.training.examples import Origin, PairKind, PreferencePair
from faultgym.training.forks.branch_point import BranchPoint
from faultgym.training.forks.first_error import first_error
from faultgym.training.forks.fork import Continuation, Forks, decision, is_scripted, same_decision
from faultgym.training.forks.positives import Sources, branch_points
from faultgym.training.forks.reasoning_style import StyledPolicy, restyled_messages
from faultgym.training.forks.sampler import Sampler
from faultgym.training.forks.waiting import in_turn, wait_for
from faultgym.training.preferences.kinds import LONE, kind_of
from faultgym.training.preferences.negative_answers import outage
from faultgym.training.preferences.negative_calls import NegativeCall, follower, negative_calls

PER_TRACE = 8
"""Pairs that one trace gives at most, beside the one at its critical step."""
TOGETHER = 64
"""Traces that are forked at the same time where a policy is asked for continuations."""

At = Literal["every", "critical", "first_error", "anchored"]
"""`every`: forks at every step. `critical`: at the first critical step alone; a success has none. `first_error`: at the
first error alone (see `forks/first_error.py`), which comes before the critical step where a policy goes on repeating
itself. `anchored`: at the first error, and at every step of a trace that has none, where the policy is right and is to
stay so."""


def stored_at(at: At) -> str:
    """The name of `at` in the options of a build and the inputs of a stage: that of 0.1, whose work can be resumed."""
    return "slip" if at == "first_error" else at


@dataclass(frozen=True, slots=True)
class PairsFound:
    """A pair, and whether it rejects what its trace did at its first critical step."""

    pair: PreferencePair
    critical: bool = False
    own: bool = False
    """Whether it rejects a decision of the trace itself, or a sample of its policy."""


@dataclass(frozen=True, slots=True)
class _Wrong:
    """A decision that may turn out worse."""

    at: BranchPoint
    kind: PairKind
    turn: Turn
    negative: NegativeCall | None = None
    made: Continuation | None = None
    """Where it has been played already."""
    critical: bool = False


def pairs_of(
    trace: Trace,
    sources: Sources | None = None,
    *,
    per_trace: int = PER_TRACE,
    whole: bool = False,
    at: At = "every",
) -> list[PairsFound]:
    """The pairs that a trace gives; none for a trace that our own side broke.

    The pairs depend on the trace and on `sources` alone. All samples of all forks of the trace are in flight together.
    Within a running event loop await `find_pairs`.

    Args:
        trace: The trace; replayed first.
        sources: Who makes the continuations; None for the expert and wrong moves.
        per_trace: Pairs at most, beside the one at the critical step.
        whole: Trajectories with their tool messages in place of single decisions, to be used only with a mask that
            keeps those out of the loss.
        at: Where the trace is forked; see `At`.

    Raises:
        TraceError: The trace does not come out as stored.
        HarnessError: The policy's server failed.
        UserError: The policy cannot go on from a fork.
    """
    return wait_for(find_pairs(trace, sources, per_trace=per_trace, whole=whole, at=at))


def pairs_from(
    traces: Iterable[Trace],
    sources: Sources | None = None,
    *,
    per_trace: int = PER_TRACE,
    whole: bool = False,
    at: At = "every",
    together: int = TOGETHER,
) -> Iterator[PairsFound]:
    """The pairs of many traces, in their order; a trace is read when its turn comes.

    Neither the split nor duplicates nor the balance are looked after here: `faultgym build pairs` does that.

    Args:
        traces: Read one by one.
        sources: As of `pairs_of`.
        per_trace: As of `pairs_of`.
        whole: As of `pairs_of`.
        at: As of `pairs_of`.
        together: Traces that are forked at a time where a policy is asked; they share the room of `sources.in_flight`
            continuations, which keeps a model server busy.

    Yields:
        One pair at a time; raises as `pairs_of` does.
    """
    sources = sources or Sources()
    sampler = sources.sampler()
    found = (find_pairs(t, sources, per_trace=per_trace, whole=whole, at=at, sampler=sampler) for t in traces)
    for some in in_turn(found, 1 if sampler is None else together):
        yield from some


async def find_pairs(
    trace: Trace,
    sources: Sources | None = None,
    *,
    per_trace: int = PER_TRACE,
    whole: bool = False,
    at: At = "every",
    sampler: Sampler | None = None,
) -> list[PairsFound]:
    """What `pairs_of` gives, for code that is asynchronous.

    Args:
        trace: The trace.
        sources: As of `pairs_of`.
        per_trace: As of `pairs_of`.
        whole: As of `pairs_of`.
        at: As of `pairs_of`.
        sampler: The policy, ready to be asked; traces that share a sampler share its room.

    Raises:
        TraceError: The trace does not come out as stored.
        HarnessError: The policy's server failed.
    """
    if trace.verdict is None or trace.verdict.success is None or not trace.steps:
        return []
    sources = sources or Sources()
    if not (proof := replay(trace)).proven:
        raise TraceError(f"trace {trace.episode_id} is not proven: {proof.reason}")
    with Forks(trace) as forks:
        steps = forked_steps(forks, at)
        ats = await branch_points(forks, steps, sources, sampler)
        wrongs = [w for crossing in ats for w in _wrongs(crossing, sources)]
        found: list[PairsFound] = []
        for wrong in _in_turn(wrongs):
            if len(found) >= per_trace and not wrong.critical:
                continue
            pair = _tried(wrong, whole)
            if pair is not None:
                found.append(PairsFound(pair, wrong.critical, wrong.negative is None))
    return found


def forked_steps(forks: Forks, at: At) -> list[int]:
    """The steps at which a trace is forked.

    Args:
        forks: The trace.
        at: Where; see `At`.
    """
    everywhere = list(range(len(forks)))
    if at == "every":
        return everywhere
    if at == "critical":
        return [] if forks.critical is None else [forks.critical]
    error = first_error(forks)
    if error is not None:
        return [error.step]
    right = forks.trace.verdict is not None and forks.trace.verdict.success is True
    return everywhere if at == "anchored" and right else []


def _wrongs(at: BranchPoint, sources: Sources) -> Iterator[_Wrong]:
    """Decisions at a crossing that are not the right one."""
    there = at.forks.trace.steps[at.step].turn if at.step == at.forks.critical else None
    seen = [decision(at.turn)]
    for other in sorted(at.others, key=lambda c: -c.worth):
        if (what := decision(other.turn)) in seen:
            continue
        seen.append(what)  # the best that came of a decision speaks for it
        critical = there is not None and same_decision(there, other.turn)
        if kind := kind_of(at, other.turn):
            yield _Wrong(at, kind, other.turn, made=other, critical=critical)
    if sources.kind == "own":
        return
    for negative in negative_calls(at):
        kind = None if same_decision(negative.turn, at.turn) else kind_of(at, negative.turn)
        if kind is not None:
            yield _Wrong(at=at, kind=kind, turn=negative.turn, negative=negative)


def _in_turn(wrongs: Sequence[_Wrong]) -> Iterator[_Wrong]:
    """The critical one first, then kind after kind in turn, in an order that the trace alone fixes.

    A kind without a mirror image comes last: balance leaves most of it out, and its place would be lost.
    """
    yield from (w for w in wrongs if w.critical)
    queues: dict[PairKind, list[_Wrong]] = {}
    for wrong in wrongs:
        if not wrong.critical:
            queues.setdefault(wrong.kind, []).append(wrong)
    for queue in queues.values():
        queue.sort(key=lambda w: _order(w), reverse=True)
    while any(queues.values()):
        for kind in sorted(queues, key=lambda kind: (kind in LONE, kind)):
            if queues[kind]:
                yield queues[kind].pop()


def _order(wrong: _Wrong) -> tuple[int, str]:
    """What the policy itself did comes first; a queue is emptied from its end."""
    trace = wrong.at.forks.trace
    at = stable_hash("wrong", trace.task.id, trace.seeds.fault, wrong.at.step, repr(wrong.turn))
    return (at if wrong.made is None else -1, repr(wrong.turn))


def _tried(wrong: _Wrong, whole: bool) -> PreferencePair | None:
    """The pair, if the wrong decision does turn out worse."""
    at = wrong.at
    made = wrong.made
    if made is None:
        assert wrong.negative is not None
        actor = StyledPolicy(
            follower(at, wrong.negative, closing_turn(outage(at), at.forks.trace.answers)), at.forks.state(at.step)
        )
        description = {"name": "rival", "scripted": True, "turn": repr(wrong.turn), "then": wrong.negative.then}
        made = at.forks.play(at.step, actor, description, "rival")
    margin = at.right.worth - made.worth
    if margin <= 0 or made.undecided or at.right.undecided:
        return None
    chosen, rejected = _alike(at, made)
    if not whole:
        chosen, rejected = chosen[:1], rejected[:1]
    return PreferencePair(
        prompt=at.forks.prompt(at.step),
        chosen=chosen,
        rejected=rejected,
        tools=at.forks.tools(at.step),
        kind=wrong.kind,
        contract=at.contract,
        margin=round(margin, 6),
        fork_step=at.step,
        chosen_id=at.right.trace.episode_id,
        rejected_id=made.trace.episode_id,
        origin=Origin.of(at.forks.trace),
        source=at.right.source,
        critical_step=at.forks.critical,
    )


def _alike(at: BranchPoint, made: Continuation) -> tuple[tuple[JSON, ...], tuple[JSON, ...]]:
    """Both sides, with thoughts that do not tell which is which.

    A model's own on both sides are as they are. A script's beside anything get the common reasoning style, and so
    does a model's beside a script's: without a thought it would learn not to think, and a model that thinks before
    each call is lost without it. Where the model never thinks, the scripts do not either.
    """
    sides = (at.right, made)
    if not any(is_scripted(side.trace.policy) for side in sides):
        return at.right.messages, made.messages
    models = [side.trace for side in sides if not is_scripted(side.trace.policy)] or [at.forks.trace]
    if any(is_scripted(t.policy) or any(step.turn.reasoning for step in t.steps) for t in models):
        chosen, rejected = (restyled_messages(side.trace.steps, side.step, at.suite) for side in sides)
        return chosen, rejected
    return without_reasoning(at.right.messages), without_reasoning(made.messages)


def without_reasoning(messages: Sequence[JSON]) -> tuple[JSON, ...]:
    """The messages without thoughts.

    Example:
        >>> without_reasoning([{"role": "assistant", "content": "Done.", "reasoning_content": "All is there."}])
        ({'role': 'assistant', 'content': 'Done.'},)
    """
    return tuple({k: v for k, v in m.items() if k != "reasoning_content"} for m in messages)
