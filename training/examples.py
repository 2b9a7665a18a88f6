"""What is learned from: one supervised example, one preference pair, one labelled completion.

Plain data made from traces; how they become rows for a trainer is `training/rows`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from faultgym.agents.traces.trace import Trace
from faultgym.core.json import JSON
from faultgym.envs.judging.form import Outcome
from faultgym.eval.scoring.record import faults_name

ExampleKind = Literal["clean", "recovery", "no_tool", "abstention", "report"]
"""A success without faults; one past faults; an answer that needed no tool; an honest "there is none";
an honest report of an outage."""
EXAMPLE_KINDS: tuple[ExampleKind, ...] = ("clean", "recovery", "no_tool", "abstention", "report")

PairKind = Literal[
    "recover_vs_repeat",
    "retry_vs_abandon",
    "right_vs_wrong_arguments",
    "stop_vs_overiterate",
    "continue_vs_stop",
    "answer_vs_fabricate",
    "abstain_vs_bluff",
    "answer_vs_abstain",
    "answer_vs_text",
    "no_tool_vs_needless",
    "call_vs_no_call",
]
"""Each kind beside its mirror image, so that no shortcut wins: repeating is right after a 500, calling is
right where something must be looked up, answering is right where the record is there. Plain text in place of a typed
answer (`answer_vs_text`) is never right."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an example comes from."""

    episode_id: str
    task: str
    suite: str
    template: str
    split: str
    policy: str
    faults: str
    """Name of the preset, or `plan`."""

    @classmethod
    def of(cls, trace: Trace) -> Origin:
        """The origin of what is made from a trace."""
        return cls(
            episode_id=trace.episode_id,
            task=trace.task.id,
            suite=trace.task.suite,
            template=trace.task.template,
            split=trace.task.split,
            policy=str(trace.policy.get("name", "")),
            faults=faults_name(trace.faults),
        )


@dataclass(frozen=True, slots=True)
class SFTExample:
    """One verified episode to imitate."""

    messages: tuple[JSON, ...] = field(hash=False)
    """OpenAI's form; `tool_calls[].function.arguments` is JSON text; reasoning in `reasoning_content`."""
    tools: tuple[JSON, ...] = field(hash=False)
    """The tools offered at the first step, in OpenAI's form."""
    kind: ExampleKind
    contracts: tuple[str, ...]
    """Recovery contracts of the faults that were recovered from, sorted."""
    origin: Origin
    calls: int
    optimal: int
    """Calls that are enough under the same schedule."""
    outcome: Outcome | Literal[""] = ""
    """Of the answer, where answers are typed; empty for a text."""


@dataclass(frozen=True, slots=True)
class PreferencePair:
    """Two continuations of one byte-identical prefix with verified different outcomes."""

    prompt: tuple[JSON, ...] = field(hash=False)
    """The messages up to the fork."""
    chosen: tuple[JSON, ...] = field(hash=False)
    rejected: tuple[JSON, ...] = field(hash=False)
    tools: tuple[JSON, ...] = field(hash=False)
    kind: PairKind
    contract: str
    """The contract of the fault at the fork; empty when there is none."""
    margin: float
    """Difference of the two continuations' scores, in (0, 1]."""
    fork_step: int
    """Index of the turn at which they part, from 0."""
    chosen_id: str
    """Episode id of the chosen continuation's trace."""
    rejected_id: str
    origin: Origin
    """Of the trace that was forked."""
    source: str
    """Who made the chosen continuation: the policy's own sample, or `expert`."""
    critical_step: int | None = None
    """The first critical step of the forked trace, from 0; None where it has none: it succeeded, or no step decided.
    The pair stands there when `fork_step` is the same."""


def example_record(example: SFTExample) -> JSON:
    """An example as JSON values."""
    data = {name: getattr(example, name) for name in example.__slots__}
    return {**data, "origin": {name: getattr(example.origin, name) for name in Origin.__slots__}}


def example_of(record: JSON) -> SFTExample:
    """The example that `example_record` made a record of.

    Example:
        >>> origin = Origin("e1", "orders/order_status/train/0", "orders", "order_status", "train", "expert", "clean")
        >>> example = SFTExample((), (), "clean", (), origin, calls=1, optimal=1)
        >>> example_of(example_record(example)) == example
        True
    """
    tuples = {name: tuple(record[name]) for name in ("messages", "tools", "contracts")}
    return SFTExample(**{**record, **tuples, "origin": Origin(**record["origin"])})


def pair_record(pair: PreferencePair) -> JSON:
    """A pair as JSON values."""
    record = {name: getattr(pair, name) for name in pair.__slots__}
    record["origin"] = {name: getattr(pair.origin, name) for name in Origin.__slots__}
    return record


def pair_of(record: JSON) -> PreferencePair:
    """The pair that `pair_record` made a record of."""
    messages = {name: tuple(record[name]) for name in ("prompt", "chosen", "rejected", "tools")}
    return PreferencePair(**{**record, **messages, "origin": Origin(**record["origin"])})
