"""Labelled completions for KTO: pairs taken apart, half of them desirable.

KTO sees one completion at a time, so a completion must not stand under one prompt twice, nor with both labels: one
pair of each prompt is taken, and every label is as frequent as the other by construction.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from hashlib import blake2b

import orjson

from faultgym.core.json import JSON
from faultgym.training.examples import Origin, PairKind, PreferencePair


@dataclass(frozen=True, slots=True)
class Labelled:
    """A completion, and whether it is desirable."""

    prompt: tuple[JSON, ...] = field(hash=False)
    completion: tuple[JSON, ...] = field(hash=False)
    label: bool
    tools: tuple[JSON, ...] = field(hash=False)
    kind: PairKind
    contract: str
    completion_id: str
    """Episode id of the continuation's trace."""
    origin: Origin
    source: str


def prompt_key(pair: PreferencePair) -> bytes:
    """16 bytes that are equal for pairs with the same prompt and tools."""
    return blake2b(orjson.dumps([pair.prompt, pair.tools]), digest_size=16).digest()


def one_per_prompt(pairs: Iterable[PreferencePair]) -> Iterator[PreferencePair]:
    """The first pair of each prompt.

    Args:
        pairs: The pairs; of their prompts 16 bytes each are held in memory.

    Yields:
        The pairs that are kept, in their order.
    """
    seen: set[bytes] = set()
    for pair in pairs:
        key = prompt_key(pair)
        if key not in seen:
            seen.add(key)
            yield pair


def labelled(pairs: Iterable[PreferencePair]) -> Iterator[Labelled]:
    """Two completions of each pair, the desirable one first; `rows.label_rows` makes the same into rows.

    Args:
        pairs: The pairs, of each prompt one (see `one_per_prompt`).
    """
    for p in pairs:
        for completion, label, completion_id in ((p.chosen, True, p.chosen_id), (p.rejected, False, p.rejected_id)):
            yield Labelled(
                prompt=p.prompt,
                completion=completion,
                label=label,
                tools=p.tools,
                kind=p.kind,
                contract=p.contract,
                completion_id=completion_id,
                origin=p.origin,
                source=p.source,
            )
