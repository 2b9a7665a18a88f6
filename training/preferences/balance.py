"""Choosing pairs so that no word, length or kind of move is chosen more often than it is rejected.

For a linear classifier that starts from nothing, a shortcut is a feature whose sum over all pairs (chosen minus
rejected) is not zero. The kinds come with their mirror images, so that most sums nearly cancel; what is left is
taken away by leaving out, one after the other, the pairs that pull hardest in the direction of the surplus,
until the surplus is about as small as if a coin had been thrown for each pair. What was left out is counted by kind.

The outcome of a typed answer is a feature of its template too: cancellations end with `done` nearly always, and a
classifier that knows the template by its words would know the outcome. A kind that has no mirror image at all comes
in for one pair in twenty, as nothing can make up for it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from faultgym.training.examples import PairKind, PreferencePair
from faultgym.training.preferences.kinds import LONE, MIRRORS, mirror
from faultgym.training.preferences.outcomes import outcome_in
from faultgym.training.preferences.shortcuts import completion_text, group_of, lengths

COINS = 1.0
"""How large the surplus of a feature may stay, in standard deviations of what a coin for each pair would leave."""
FEWEST = 1 / 3
"""How many pairs of a kind there must be for each of its mirror image."""
MIRROR_WEIGHT = 4.0
"""How much more a kind without its mirror counts than a word without its own."""
_LENGTH_WEIGHT = 2.0
LONE_SHARE = 1 / 20
"""Pairs of kinds without a mirror image, for each of the others."""
OWN = 0.25
"""How hard a pair that rejects the policy's own decision pulls, beside others: a wrong move of a script is left out
before it."""
_WORD = re.compile(r"\w+")
_DIGIT = re.compile(r"\d")

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Surface:
    """What shows of a pair without its prompt."""

    kind: PairKind
    task: str
    features: tuple[tuple[str, float], ...]
    """(feature, chosen minus rejected), sorted; zeros left out."""
    own: bool = False
    """Whether it rejects what the policy itself did: that is what there is to be learned, and goes last."""


def surface(pair: PreferencePair, own: bool = False) -> Surface:
    """The words, lengths, outcome and kind of move in which chosen differs from rejected.

    Args:
        pair: The pair.
        own: Whether the pair rejects what the policy itself did.
    """
    chosen, rejected = completion_text(pair.chosen), completion_text(pair.rejected)
    found: Counter[str] = Counter()
    for text, side, sign in ((chosen, pair.chosen, 1), (rejected, pair.rejected, -1)):
        for word in _WORD.findall(text.lower()):
            found[f"w {word}"] += sign
            if word[-1].isdigit():
                found[f"w {_DIGIT.sub('0', word)}"] += sign
        if outcome := outcome_in(side):
            found[f"t {group_of(pair)} {outcome}"] += sign
    values: dict[str, float] = {name: float(value) for name, value in found.items() if value}
    for n, (a, b) in enumerate(zip(lengths(chosen), lengths(rejected), strict=True)):
        if a != b:
            values[f"l {n}"] = a - b
    if len(chosen) != len(rejected):
        values["l sign"] = 1.0 if len(chosen) > len(rejected) else -1.0
    for here, there in MIRRORS.items():
        if pair.kind in (here, there):
            values[f"m {here}"] = 1.0 if pair.kind == here else -1.0
    return Surface(pair.kind, pair.origin.task, tuple(sorted(values.items())), own)


def balanced(surfaces: Sequence[Surface]) -> list[bool]:
    """Which pairs to keep so that no feature is chosen more often than rejected.

    Args:
        surfaces: The pairs, in an order that depends on them alone: ties go by it.

    Returns:
        For each pair, whether to keep it.

    Example:
        >>> one = Surface("recover_vs_repeat", "a", (("m recover_vs_repeat", 1.0),))
        >>> mirrored = Surface("retry_vs_abandon", "b", (("m recover_vs_repeat", -1.0),))
        >>> kept = balanced([one] * 40 + [mirrored] * 5)
        >>> sum(kept[:40]), sum(kept[40:])
        (6, 5)
    """
    if not surfaces:
        return []
    lone = np.array([s.kind in LONE for s in surfaces])
    kept = _level(surfaces, ~lone)
    if lone.any():
        room = int(LONE_SHARE * kept.sum())
        lone[sorted(np.flatnonzero(lone), key=lambda n: not surfaces[n].own)[:room]] = False
        kept = _level(surfaces, ~lone)
    return _with_mirrors(surfaces, kept)


def _level(surfaces: Sequence[Surface], among: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Which of some pairs to keep so that no feature has more of a surplus than coins would leave."""
    numbers = np.flatnonzero(among)
    kept = among.copy()
    if len(numbers):
        kept[numbers] = _leveled([surfaces[n] for n in numbers])
    return kept


def _leveled(surfaces: Sequence[Surface]) -> npt.NDArray[np.bool_]:
    rows, columns, values, weights = _matrix(surfaces)
    scale = np.sqrt(weights / np.bincount(columns, values**2, len(weights)))
    surplus = np.bincount(columns, values, len(weights))
    spared = np.where([s.own for s in surfaces], OWN, 1.0)
    kinds = np.unique([s.kind for s in surfaces], return_inverse=True)[1]
    kept = np.ones(len(surfaces), dtype=bool)
    while True:
        size = scale * surplus
        excess = np.sign(size) * np.maximum(0.0, np.abs(size) - COINS)
        pull = np.bincount(rows, values * (scale * excess)[columns], len(surfaces))
        plenty = np.bincount(kinds[kept], minlength=kinds.max() + 1)[kinds]
        # Of a rare kind less is left out than of a frequent one.
        pull = np.where(kept, pull * np.sqrt(plenty) * spared, 0.0)
        worst = np.argsort(-pull, kind="stable")[: max(1, int(kept.sum()) // 500)]
        worst = worst[pull[worst] > 1e-9]
        if not len(worst):
            return kept
        kept[worst] = False
        gone = np.isin(rows, worst)
        surplus -= np.bincount(columns[gone], values[gone], len(weights))


def _with_mirrors(surfaces: Sequence[Surface], kept: npt.NDArray[np.bool_]) -> list[bool]:
    """What is kept, without what a kind has beyond a few times its mirror image."""
    found = Counter(s.kind for s, k in zip(surfaces, kept, strict=True) if k)
    room = {kind: int(found[mirror(kind)] / FEWEST) if mirror(kind) != kind else count for kind, count in found.items()}
    keep = [False] * len(surfaces)
    for n in sorted(range(len(surfaces)), key=lambda n: not surfaces[n].own):
        if kept[n] and room[surfaces[n].kind] > 0:
            keep[n] = True
            room[surfaces[n].kind] -= 1
    return keep


def _matrix(surfaces: Sequence[Surface]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], Floats, Floats]:
    """(row, column, value) of each entry, and the weight of each column.

    What only one task has is left out: it tells nothing of other tasks.
    """
    first: dict[str, str] = {}
    shared = {name for s in surfaces for name, _ in s.features if first.setdefault(name, s.task) != s.task}
    names = {name: n for n, name in enumerate(sorted(shared))}
    entries = [(row, names[n], v) for row, s in enumerate(surfaces) for n, v in s.features if n in names]
    rows = np.array([e[0] for e in entries], dtype=np.int64)
    columns = np.array([e[1] for e in entries], dtype=np.int64)
    values = np.array([e[2] for e in entries], dtype=np.float64)
    special = {"m": MIRROR_WEIGHT**2, "l": _LENGTH_WEIGHT**2}
    weights = np.array([special.get(name[0], 1.0) for name in names], dtype=np.float64)
    return rows, columns, values, weights
