"""What the templates share when a task is drawn: competing candidates, and their order."""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Any

from faultgym.envs.judging.answers import Atom, AtomKind

MAX_DISTRACTORS = 8
"""Competing candidates that a goal names."""


def distractors(kind: AtomKind, right: Any, candidates: Iterable[Any]) -> tuple[Atom, ...]:
    """Atoms for the candidates that are not the right answer, each once and at most `MAX_DISTRACTORS` of them.

    Args:
        kind: The kind of the atoms.
        right: The right value.
        candidates: Values that compete with it; None among them is left out.
    """
    others = dict.fromkeys(str(c) for c in candidates if c is not None and str(c) != str(right))
    return tuple(Atom(kind, text) for text in list(others)[:MAX_DISTRACTORS])


def shuffled(rng: random.Random, items: Iterable[Any]) -> list[Any]:
    """The items in another order; the argument stays as it is."""
    found = list(items)
    rng.shuffle(found)
    return found
