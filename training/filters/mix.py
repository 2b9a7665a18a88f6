"""How much of what a data set holds: caps for each task and template, then stated shares of the kinds.

All choices go by a hash of the example itself, so they depend neither on the order in which examples come nor on a
random generator. Shares are of examples, not of tokens.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TypeVar

from faultgym.core.errors import UserError
from faultgym.core.hashing import stable_hash
from faultgym.core.json import JSON
from faultgym.training.examples import EXAMPLE_KINDS, ExampleKind, SFTExample
from faultgym.training.filters.dedupe import exact_key, order

K = TypeVar("K", bound=Hashable)

DEFAULT_SHARES: Mapping[ExampleKind, float] = MappingProxyType(
    {"clean": 0.30, "recovery": 0.50, "no_tool": 0.06, "abstention": 0.07, "report": 0.07}
)
"""Half of it is getting past faults, in equal parts of each contract as far as there are examples; a third is what
goes well, so that no fault is expected where there is none; the rest keeps a model from calling, answering or going
on where that would be wrong."""
FLOOR = 0.2
"""How far the share of a kind that is short may fall, as a part of its stated share, before others are cut for it."""


@dataclass(frozen=True, slots=True)
class MixWeights:
    """The stated shares of the kinds."""

    shares: Mapping[ExampleKind, float] = field(default_factory=lambda: DEFAULT_SHARES, hash=False)
    """Of each kind; they add up to 1. Empty: everything is kept."""
    floor: float = FLOOR

    def text(self) -> str:
        """The shares in the form that `parse_mix` takes."""
        return ",".join(f"{kind}={share:g}" for kind, share in self.shares.items()) or "all"


@dataclass(frozen=True, slots=True)
class SampleCaps:
    """The most examples of one task, and of one template."""

    per_task: int = 4
    per_template: int = 1000


@dataclass(frozen=True, slots=True)
class MixReport:
    """What the mix really is."""

    kinds: dict[str, int]
    contracts: dict[str, int]
    """Recoveries by contract; an example that shows two counts for both."""
    templates: dict[str, int]
    left_out: dict[str, int]
    """`task_cap`, `template_cap` and `mix` -> examples."""
    short: tuple[str, ...]
    """Kinds that have less than their stated share, or none at all."""


def parse_mix(text: str) -> MixWeights:
    """The mix in `clean=0.3,recovery=0.5,...` or `all`.

    Args:
        text: Shares of kinds, which are scaled to add up to 1; a kind that is not named gets none. `all` keeps
            everything.

    Raises:
        UserError: There is no such kind, a share is no number from 0 on, or no share is above 0.

    Example:
        >>> parse_mix("clean=1,recovery=3").shares
        {'clean': 0.25, 'recovery': 0.75}
    """
    if text.strip() == "all":
        return MixWeights({}, 0.0)
    shares: dict[ExampleKind, float] = {}
    for part in text.split(","):
        name, _, number = part.partition("=")
        kind = next((k for k in EXAMPLE_KINDS if k == name.strip()), None)
        if kind is None:
            raise UserError(f"--mix: there is no kind {name.strip()!r}; the kinds are {', '.join(EXAMPLE_KINDS)}")
        try:
            share = float(number)
        except ValueError:
            share = math.nan
        if not 0 <= share < math.inf:
            raise UserError(f"--mix: the share of {kind} is a number from 0 on, not {number.strip()!r}")
        shares[kind] = share
    total = sum(shares.values())
    if total <= 0:
        raise UserError("--mix: at least one share must be more than 0")
    return MixWeights({kind: share / total for kind, share in shares.items()})


def quotas(available: Mapping[str, int], mix: MixWeights) -> dict[str, int]:
    """How many examples of each kind are taken.

    As many as possible, so that every kind that is there has its stated share, or all of its examples if these make up
    at least `mix.floor` of that share. Kinds of which there are none do not count.

    Args:
        available: Kind -> how many examples there are.
        mix: The stated shares.

    Returns:
        Kind -> how many to take, without the kinds that get none.

    Example:
        >>> quotas({"clean": 1000, "recovery": 30, "report": 0}, MixWeights({"clean": 0.5, "recovery": 0.5}))
        {'clean': 270, 'recovery': 30}
    """
    if not mix.shares:
        return {kind: count for kind, count in available.items() if count}
    shares = {str(k): s for k, s in mix.shares.items() if s > 0 and available.get(k)}
    if not shares:
        return {}

    def taken(size: float) -> dict[str, float]:
        return {kind: min(float(available[kind]), share * size) for kind, share in shares.items()}

    def holds(size: float) -> bool:
        counts = taken(size)
        total = sum(counts.values()) / sum(shares.values())
        return all(counts[kind] >= mix.floor * share * total * (1 - 1e-9) for kind, share in shares.items())

    low, high = 0.0, max(available[kind] / share for kind, share in shares.items())
    if holds(high):
        low = high
    for _ in range(100):  # what is taken grows with the size, and the smallest share falls: bisection finds the turn
        middle = (low + high) / 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return {kind: max(1, math.floor(count + 1e-6)) for kind, count in taken(low).items()}


def fair(available: Mapping[K, int], total: int) -> dict[K, int]:
    """`total` divided in equal parts, as far as each has so many; what a part lacks goes to the others.

    Args:
        available: Name -> how many there are.
        total: How many are wanted in all.

    Example:
        >>> fair({"RETRY": 1, "BACKOFF": 5, "REAUTH": 9}, 9)
        {'RETRY': 1, 'BACKOFF': 4, 'REAUTH': 4}
    """
    given = dict.fromkeys(available, 0)
    left = min(total, sum(available.values()))
    order = sorted(available, key=lambda name: (available[name], str(name)))
    for position, name in enumerate(order):
        given[name] = min(available[name], left // (len(order) - position))
        left -= given[name]
    return given


def leads(combinations: Mapping[tuple[str, ...], int]) -> dict[tuple[str, ...], str]:
    """For each combination of contracts, the rarest of them, which its examples count for when recoveries are balanced.

    Args:
        combinations: Contracts of an example -> how many examples there are.

    Returns:
        Contracts -> the rarest; empty for no contracts.

    Example:
        >>> leads({("BACKOFF",): 5, ("BACKOFF", "RETRY"): 2})
        {('BACKOFF',): 'BACKOFF', ('BACKOFF', 'RETRY'): 'RETRY'}
    """
    counts: Counter[str] = Counter()
    for contracts, count in combinations.items():
        for contract in contracts:
            counts[contract] += count
    return {c: min(c, key=lambda name: (counts[name], name)) if c else "" for c in combinations}


def rank(seed: int, key: bytes) -> int:
    """Where an example stands in the order in which examples are taken and written; 63 bits.

    Args:
        seed: The build's seed.
        key: The example's `exact_key`, or what stands for it.
    """
    return stable_hash("rank", seed, key.hex()) >> 1


def mixed(
    examples: Iterable[SFTExample], mix: MixWeights | None = None, caps: SampleCaps | None = None, seed: int = 0
) -> tuple[list[SFTExample], MixReport]:
    """The examples of a mix in the order in which they are written, and what the mix is.

    For lists that fit into memory; `build_sft` does the same from a file.

    Args:
        examples: The examples, read once; `deduplicated` before.
        mix: The stated shares; None for the defaults.
        caps: The most examples of one task, and of one template; None for the defaults.
        seed: Fixes which examples are taken.

    Returns:
        (examples, report).
    """
    mix, caps = mix or MixWeights(), caps or SampleCaps()
    ranked = sorted(examples, key=lambda e: (rank(seed, exact_key(e)), order(e)))
    total = len(ranked)
    ranked = _first(ranked, [e.origin.task for e in ranked], lambda _: caps.per_task)
    by_task = len(ranked)
    names = [f"{e.origin.suite}/{e.origin.template}" for e in ranked]
    ranked = _first(ranked, names, lambda _: caps.per_template)
    by_template = len(ranked)
    wanted = quotas(Counter(e.kind for e in ranked), mix)
    lead = leads(Counter(e.contracts for e in ranked if e.kind == "recovery"))
    shown = Counter(lead[e.contracts] for e in ranked if e.kind == "recovery")
    parts = fair(shown, wanted.get("recovery", 0))
    keys = [(str(e.kind), lead[e.contracts] if e.kind == "recovery" else "") for e in ranked]
    chosen = _first(ranked, keys, lambda key: parts.get(key[1], 0) if key[0] == "recovery" else wanted.get(key[0], 0))
    left_out = {
        "task_cap": total - by_task,
        "template_cap": by_task - by_template,
        "mix": by_template - len(chosen),
    }
    return chosen, _report(chosen, mix, left_out)


def _first(examples: Sequence[SFTExample], keys: Sequence[K], limit: Callable[[K], int]) -> list[SFTExample]:
    """The first so many examples of each key."""
    seen: Counter[K] = Counter()
    kept = []
    for example, key in zip(examples, keys, strict=True):
        if seen[key] < limit(key):
            seen[key] += 1
            kept.append(example)
    return kept


def _report(chosen: Sequence[SFTExample], mix: MixWeights, left_out: dict[str, int]) -> MixReport:
    kinds = Counter(str(e.kind) for e in chosen)
    contracts = Counter(c for e in chosen for c in e.contracts if e.kind == "recovery")
    templates = Counter(f"{e.origin.suite}/{e.origin.template}" for e in chosen)
    return mix_report(kinds, contracts, templates, mix, left_out)


def mix_report(
    kinds: Mapping[str, int],
    contracts: Mapping[str, int],
    templates: Mapping[str, int],
    mix: MixWeights,
    left_out: Mapping[str, int],
) -> MixReport:
    """The report on counts; names are sorted, kinds in their own order.

    Args:
        kinds: Examples by kind.
        contracts: Recoveries by contract.
        templates: Examples by template.
        mix: The stated shares, for what is short of them.
        left_out: Examples by why they were left out; zeros are dropped.
    """
    total = sum(kinds.values())
    short = tuple(kind for kind, share in mix.shares.items() if kinds.get(kind, 0) < math.floor(share * total * 0.99))
    return MixReport(
        kinds={kind: kinds.get(kind, 0) for kind in EXAMPLE_KINDS},
        contracts=dict(sorted(contracts.items())),
        templates=dict(sorted(templates.items())),
        left_out={name: count for name, count in left_out.items() if count},
        short=short,
    )


def report_data(report: MixReport) -> JSON:
    """The report as JSON values."""
    return {**{name: getattr(report, name) for name in report.__slots__}, "short": list(report.short)}
