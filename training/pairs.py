"""Preference pairs: two continuations of one prefix of a real trace, with outcomes that were tried and not assumed.

| kind | fork | chosen | rejected |
|---|---|---|---|
| recover_vs_repeat | after what repeating does not cure | wait, new token, another way, report | the same call |
| retry_vs_abandon | after one that repeating cures | the same call | giving up, or a detour |
| right_vs_wrong_arguments | before any call | the call | it, wrongly; a call of another task |
| stop_vs_overiterate | when all is known and done | the final text | one more call |
| continue_vs_stop | when something is missing | the next call | a final text |
| answer_vs_fabricate | before the answer | it | the same words with another task's value |
| abstain_vs_bluff | before an honest report or abstention | it | an answer |
| answer_vs_abstain | before the answer | it | a report or abstention |
| no_tool_vs_needless | at the start, where all is said | the answer | a call |
| call_vs_no_call | at the start, where it is not | the first call | a final text |

Chosen is the policy's own decision where it succeeded and is the expert's or as good as that, else the expert's
who has read what the policy has read. Rejected is the policy's own where that turned out worse, or a wrong move
of `rivals.py`. A decision that led to the same score is no pair. The failed trace's first critical step always
gives one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from faultgym.agents.policy import Policy
from faultgym.agents.trace import Trace
from faultgym.envs.continuing import continue_reference
from faultgym.envs.turn import Turn
from faultgym.eval.critical import critical_step
from faultgym.eval.efficiency import futile_retries, redundant_reads
from faultgym.eval.score import faults_name
from faultgym.eval.story import Story
from faultgym.tools.hashing import stable_hash
from faultgym.tools.types import JSON
from faultgym.training.crossing import Crossing
from faultgym.training.examples import Origin, PairKind, PreferencePair
from faultgym.training.fork import Continuation, Forks, Strayed, Turns, same_decision
from faultgym.training.informed import Informed
from faultgym.training.kinds import kind_of
from faultgym.training.rivals import Rival, follower, rivals
from faultgym.training.sayings import outage
from faultgym.training.voice import Voiced

PER_TRACE = 8
"""Pairs that one trace gives at most, beside the one at its critical step."""
_EXPERT: JSON = {"name": "expert", "scripted": True}


@dataclass(frozen=True, slots=True)
class Sources:
    """Who makes continuations beside the expert and the wrong moves."""

    policy: Policy | None = None
    """The policy whose traces these are; without it only what they did is known of it."""
    samples: int = 0
    """Continuations that the policy is asked for at each fork."""
    checks: int = 0
    """Further continuations of a chosen decision of a policy that is not scripted; most must succeed."""


@dataclass(frozen=True, slots=True)
class Found:
    """A pair, and whether it stands at the first critical step of its trace."""

    pair: PreferencePair
    critical: bool = False


@dataclass(frozen=True, slots=True)
class _Wrong:
    """A decision that may turn out worse."""

    at: Crossing
    kind: PairKind
    turn: Turn
    rival: Rival | None = None
    made: Continuation | None = None
    """Where it has been played already."""
    critical: bool = False


def pairs_of(
    trace: Trace, sources: Sources | None = None, *, per_trace: int = PER_TRACE, whole: bool = False
) -> list[Found]:
    """The pairs that a trace gives; none for one that our own side broke.

    They depend on the trace and on `sources` alone. `whole`: trajectories with their tool messages in place of
    single decisions, to be used only with a mask that keeps those out of the loss. Raises TraceError for a
    trace that does not come out as it says.
    """
    if trace.verdict is None or not trace.steps:
        return []
    sources = sources or Sources()
    with Forks(trace) as forks:
        crossings = [at for step in range(len(forks)) if (at := crossing(forks, step, sources)) is not None]
        critical = None if trace.verdict.success else critical_step(trace, forks.task).step
        wrongs = [w for at in crossings for w in _wrongs(at, sources, critical)]
        found: list[Found] = []
        for wrong in _in_turn(wrongs):
            if len(found) >= per_trace and not wrong.critical:
                continue
            pair = _tried(wrong, sources, whole)
            if pair is not None:
                found.append(Found(pair, wrong.critical))
    return found


# ---- the right way ------------------------------------------------------------------------------


def crossing(forks: Forks, step: int, sources: Sources) -> Crossing | None:
    """The fork with the way that is right there; None where nobody knows one."""
    own = _own(forks, step)
    others = ([] if own is None else [own]) + _samples(forks, step, sources)
    if own is not None and own.success and own.source == "expert":
        return Crossing(forks, step, own, tuple(others))
    best = expert_way(forks, step)
    for made in others:
        if made.success and _sound(made, best) and _holds(made, sources):
            return Crossing(forks, step, made, tuple(others))
    return None if best is None else Crossing(forks, step, best, tuple(others))


def _sound(made: Continuation, best: Continuation | None) -> bool:
    """Whether a decision is the expert's, or one that leads as far with as little waste."""
    if best is None or same_decision(made.turn, best.turn):
        return True
    return made.worth >= best.worth and _waste(made) <= _waste(best)


def _waste(made: Continuation) -> int:
    """Calls that could not help: an early retry that happened to succeed is no example."""
    story = Story.of(made.trace)
    return futile_retries(story) + redundant_reads(story)


def expert_way(forks: Forks, step: int) -> Continuation | None:
    """The expert's continuation, if it succeeds: with what was read so far or, failing that, reading it anew."""
    actor = Voiced(Informed(forks.task, forks.trace.steps[:step]), forks.state(step))
    made = forks.play(step, actor, _EXPERT, "expert")
    if made.success:
        return made
    twin, text = continue_reference(forks.state(step))
    turns = [*(record.turn for record in twin.turns[step:]), Turn(text)]
    twin.close()
    made = forks.play(step, Voiced(Turns(turns), forks.state(step)), {**_EXPERT, "anew": True}, "expert")
    return made if made.success else None


def _own(forks: Forks, step: int) -> Continuation | None:
    """How the trace itself went on; a scripted policy's turns in the common voice."""
    own = forks.own(step)
    if not is_scripted(forks.trace.policy):
        return own
    if own.trace.stop != "final":
        return own if not own.success else None
    turns = [record.turn for record in forks.trace.steps[step:]]
    description = {**forks.trace.policy, "voiced": True}
    return forks.play(step, Voiced(Turns(turns), forks.state(step)), description, own.source)


def is_scripted(description: JSON) -> bool:
    """Whether a policy's description says that it plays a script: then it is deterministic."""
    return bool(description.get("scripted"))


def _samples(forks: Forks, step: int, sources: Sources) -> list[Continuation]:
    """The policy's own samples, best first; none where it cannot be brought to the fork."""
    if sources.policy is None:
        return []
    try:
        made = [forks.sample(step, sources.policy, n) for n in range(sources.samples)]
    except Strayed:
        return []
    return sorted(made, key=lambda c: (-c.worth, c.trace.episode_id))


def _holds(made: Continuation, sources: Sources) -> bool:
    """Whether most further continuations of a policy's decision succeed too."""
    if sources.policy is None or not sources.checks or is_scripted(sources.policy.describe()):
        return True
    if made.turn.final:
        return made.success
    with Forks(made.trace) as forks:
        good = sum(forks.sample(made.step + 1, sources.policy, n).success for n in range(sources.checks))
    return 2 * good > sources.checks


# ---- the wrong ones -----------------------------------------------------------------------------


def _wrongs(at: Crossing, sources: Sources, critical: int | None) -> Iterator[_Wrong]:
    """Decisions at a crossing that are not the right one."""
    for other in at.others[::-1]:
        kind = None if same_decision(other.turn, at.turn) else kind_of(at, other.turn)
        if kind is not None:
            first = other is at.others[0] and at.step == critical
            yield _Wrong(at, kind, other.turn, made=other, critical=first)
    for rival in rivals(at):
        kind = None if same_decision(rival.turn, at.turn) else kind_of(at, rival.turn)
        if kind is not None:
            yield _Wrong(at, kind, rival.turn, rival)


def _in_turn(wrongs: Sequence[_Wrong]) -> Iterator[_Wrong]:
    """The critical one first, then kind after kind in turn, in an order that the trace alone fixes."""
    yield from (w for w in wrongs if w.critical)
    queues: dict[PairKind, list[_Wrong]] = {}
    for wrong in wrongs:
        if not wrong.critical:
            queues.setdefault(wrong.kind, []).append(wrong)
    for queue in queues.values():
        queue.sort(key=lambda w: _order(w), reverse=True)
    while any(queues.values()):
        for kind in sorted(queues):
            if queues[kind]:
                yield queues[kind].pop()


def _order(wrong: _Wrong) -> tuple[int, str]:
    """What the policy itself did comes first; a queue is emptied from its end."""
    trace = wrong.at.forks.trace
    at = stable_hash("wrong", trace.task.id, trace.seeds.fault, wrong.at.step, repr(wrong.turn))
    return (at if wrong.made is None else -1, repr(wrong.turn))


def _tried(wrong: _Wrong, sources: Sources, whole: bool) -> PreferencePair | None:
    """The pair, if the wrong decision does turn out worse."""
    at = wrong.at
    made = wrong.made
    if made is None:
        assert wrong.rival is not None
        actor = Voiced(follower(at, wrong.rival, outage(at)), at.forks.state(at.step))
        description = {"name": "rival", "scripted": True, "turn": repr(wrong.turn), "then": wrong.rival.then}
        made = at.forks.play(at.step, actor, description, "rival")
    margin = at.right.worth - made.worth
    if margin <= 0:
        return None
    chosen, rejected = at.right.messages, made.messages
    if is_scripted(at.right.trace.policy) != is_scripted(made.trace.policy):
        chosen, rejected = without_reasoning(chosen), without_reasoning(rejected)
    if not whole:
        chosen, rejected = chosen[:1], rejected[:1]
    return PreferencePair(
        at.forks.prompt(at.step),
        chosen,
        rejected,
        at.forks.tools(at.step),
        wrong.kind,
        at.contract,
        round(margin, 6),
        at.step,
        at.right.trace.episode_id,
        made.trace.episode_id,
        origin_of(at.forks.trace),
        at.right.source,
    )


def without_reasoning(messages: Sequence[JSON]) -> tuple[JSON, ...]:
    """The messages without thoughts: those of a script and a model would tell the one from the other."""
    return tuple({k: v for k, v in m.items() if k != "reasoning_content"} for m in messages)


def origin_of(trace: Trace) -> Origin:
    """Where what is made from a trace comes from."""
    t = trace.task
    name = str(trace.policy.get("name", ""))
    return Origin(trace.episode_id, t.id, t.suite, t.template, t.split, name, faults_name(trace.faults))
