"""When two examples are the same, or nearly: what they have in common once names and numbers are taken away.

Three grades, each with its key:

- `exact_key`: word for word the same, but for the ids of calls. One is kept.
- `group_key`: the same task template and the same calls in the same order, with every entity replaced by its kind.
  Such examples teach the same thing; a limited number of them is kept.
- `similarity` of two `signature`s (MinHash, Broder 1997, over shingles of all words): within a group, one of those
  that are nearly the same is kept.

Near duplicates are looked for within a group only. That needs no index over all examples: they are visited group by
group, in the order of their episode ids, so that the result depends neither on the order in which examples came nor
on how many there are, and memory holds one group's kept signatures (at most `DedupThresholds.per_group`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from itertools import accumulate
from typing import TYPE_CHECKING, Any
from zlib import crc32

import numpy as np
import orjson
from numpy.typing import NDArray

from faultgym.core.bank import banked
from faultgym.core.errors import TaskError
from faultgym.core.json import JSON
from faultgym.envs.identifiers import ANY_IDENTIFIER
from faultgym.envs.judging.answering import ANSWER
from faultgym.envs.registry import task_by_id
from faultgym.training.examples import SFTExample

if TYPE_CHECKING:
    from datasketch import MinHash

PERMUTATIONS = 128
"""Length of a signature. The standard error of a similarity is at most 0.5 / sqrt(128) = 0.044."""
SHINGLE = 4
"""Words in a shingle."""

Signature = NDArray[np.uint32]

_ENTITY = re.compile(
    r"(?P<email>[\w.+-]+@[\w-]+(?:\.[\w-]+)+)"
    rf"|{ANY_IDENTIFIER.pattern.replace('(', '(?P<id>', 1)}"
    r"|\b(?P<time>\d{4}-\d\d-\d\dT[\d:.]+Z?)"
    r"|\b(?P<date>\d{4}-\d\d-\d\d)\b"
    r"|\b(?P<number>\d+(?:\.\d+)?)\b"
)
_TABLE = re.compile(r"\b(?:from|join|into|update)\s+([a-z_]+)", re.IGNORECASE)
_VERB = re.compile(r"\s*([a-z]+)", re.IGNORECASE)
_WORD = re.compile(r"<\w+>|\w+")


@dataclass(frozen=True, slots=True)
class DedupThresholds:
    """What counts as too much of the same."""

    near: float = 0.9
    """Estimated Jaccard similarity of the shingles from which on two examples of a group are the same."""
    per_group: int = 64
    """How many examples of one group are kept."""


def exact_key(example: SFTExample) -> bytes:
    """16 bytes that are the same for examples that differ in nothing but the ids of their calls."""
    names: dict[str, int] = {}

    def number(call_id: str) -> int:
        return names.setdefault(call_id, len(names))

    said = [
        (
            m["role"],
            m["content"],
            m.get("reasoning_content", ""),
            [(number(c["id"]), c["function"]) for c in m.get("tool_calls", ())],
            number(m["tool_call_id"]) if "tool_call_id" in m else -1,
        )
        for m in example.messages
    ]
    data = orjson.dumps([said, example.tools], option=orjson.OPT_SORT_KEYS)
    return blake2b(data, digest_size=16).digest()


def group_key(example: SFTExample) -> bytes:
    """16 bytes that are the same for examples of one template, kind and normalised sequence of calls."""
    origin = example.origin
    parts = (origin.suite, origin.template, example.kind, example.contracts, normalised_calls(example))
    return blake2b(orjson.dumps(parts), digest_size=16).digest()


def normalised_calls(example: SFTExample) -> tuple[str, ...]:
    """Each call as its tool, its arguments' names, and their values with entities replaced by their kinds.

    A statement becomes its verb and its tables, a longer text `<text>`: other words for the same make no other
    sequence. A typed answer becomes its outcome and the names of its fields: what it says follows from what was read.
    """
    names = entities(example.origin.task)
    return tuple(
        f"{call['name']} {_answered(call) if example.outcome and call['name'] == ANSWER else _arguments(call, names)}"
        for message in example.messages
        for call in (one["function"] for one in message.get("tool_calls", ()))
    )


def _answered(call: JSON) -> str:
    try:
        value = json.loads(call["arguments"])
        return f"{value['outcome']} {' '.join(sorted(value.get('fields') or {}))}"
    except (ValueError, RecursionError, TypeError, KeyError):
        return "<malformed>"


def _arguments(call: JSON, names: Mapping[str, str]) -> str:
    try:
        value = json.loads(call["arguments"])
    except (ValueError, RecursionError):
        return "<malformed>"
    return orjson.dumps(_shape(value, names), option=orjson.OPT_SORT_KEYS).decode()


def _shape(value: Any, names: Mapping[str, str], depth: int = 0) -> Any:
    if isinstance(value, dict) and depth < 8:
        return {str(key): _shape(item, names, depth + 1) for key, item in value.items()}
    if isinstance(value, list) and depth < 8:
        return [_shape(item, names, depth + 1) for item in value]
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int | float):
        return "<number>"
    if not isinstance(value, str):
        return "<deep>"
    tables = sorted(set(map(str.lower, _TABLE.findall(value))))
    if tables and (verb := _VERB.match(value)):
        return f"{verb[1].lower()} {' '.join(tables)}"
    return "<text>" if len(value.split()) > 3 else normalised(value, names)


def normalised(text: str, names: Mapping[str, str]) -> str:
    """The text with entities, dates and numbers replaced by their kinds.

    Args:
        text: Any text.
        names: Known values -> their kinds, the longest first.

    Example:
        >>> normalised("pay 12.50 to ann@shop.example for the lamp on 2026-01-31", {"lamp": "product"})
        'pay <number> to <email> for the <product> on <date>'
    """
    for value, kind in names.items():
        if value in text:
            text = text.replace(value, f"<{kind}>")
    return _ENTITY.sub(_kind, text)


def _kind(found: re.Match[str]) -> str:
    prefix = found["id"]
    return f"<{prefix}>" if prefix else f"<{found.lastgroup}>"


@banked("tasks", 256)
def entities(task: str) -> Mapping[str, str]:
    """Value -> name, of the values that a task's instruction names, the longest first; none for an unknown task.

    Args:
        task: The task's id.
    """
    try:
        params = task_by_id(task).params
    except TaskError:
        return {}
    values = {str(value): name for name, value in params.items() if len(str(value)) > 2}
    return dict(sorted(values.items(), key=lambda item: (-len(item[0]), item)))


def shingles(example: SFTExample) -> set[int]:
    """32-bit hashes of the runs of `SHINGLE` words in all that was said, called and seen but the system message.

    Identifiers and the task's own values are replaced by their kinds; what was read stays unchanged.
    """
    names = entities(example.origin.task)
    found: set[int] = set()
    for text in _texts(example.messages):
        words = [word.encode("utf-8", "surrogatepass") for word in _WORD.findall(_without_ids(text, names))]
        whole = b" ".join(words)
        starts = [0, *accumulate(len(word) + 1 for word in words)]
        if len(words) <= SHINGLE:
            found.add(crc32(whole))
        else:  # slices of the whole, which no shingle has to be put together for
            found.update([crc32(whole[a : b - 1]) for a, b in zip(starts, starts[SHINGLE:], strict=False)])
    return found


def _without_ids(text: str, names: Mapping[str, str]) -> str:
    for value, kind in names.items():
        if value in text:
            text = text.replace(value, f"<{kind}>")
    return ANY_IDENTIFIER.sub(r"<\1>", text)


def _texts(messages: Iterable[JSON]) -> Iterator[str]:
    for message in messages:
        if message["role"] == "system":
            continue
        yield message["content"]
        if thought := message.get("reasoning_content"):
            yield thought
        for call in message.get("tool_calls", ()):
            yield f"{call['function']['name']} {call['function']['arguments']}"


@banked("code", 1)
def _blank() -> MinHash:
    from datasketch import MinHash

    # The scheme is named, so that another default of a later release cannot change what is kept.
    return MinHash(PERMUTATIONS, seed=1, hashfunc=int, scheme="affine32")


def signature(example: SFTExample) -> Signature:
    """The MinHash signature of an example's shingles; needs datasketch, of the extra `data`.

    Returns:
        `PERMUTATIONS` numbers of 32 bits.
    """
    mine = _blank().copy()
    mine.update_batch(shingles(example))
    values: Signature = mine.hashvalues.astype(np.uint32, copy=False)
    return values


def similarity(a: Signature, b: Signature) -> float:
    """The estimated Jaccard similarity of two examples' shingles, in [0, 1].

    Example:
        >>> similarity(np.array([1, 2, 3, 4], np.uint32), np.array([1, 2, 3, 9], np.uint32))
        0.75
    """
    return float(np.count_nonzero(a == b)) / len(a)


class DuplicateGroup:
    """The kept examples of one group, visited in the order of their episode ids.

    Example:
        >>> group = DuplicateGroup(DedupThresholds(near=0.9, per_group=1))
        >>> first = np.arange(PERMUTATIONS, dtype=np.uint32)
        >>> [group.verdict(first), group.verdict(first), group.verdict(first + PERMUTATIONS)]
        ['', 'near_duplicate', 'group_full']
    """

    def __init__(self, grades: DedupThresholds):
        self.grades = grades
        self._kept: list[Signature] = []

    def verdict(self, mine: Signature) -> str:
        """Empty for an example to keep, which is remembered; else why not: `near_duplicate` or `group_full`.

        Args:
            mine: The example's `signature`.
        """
        if self._kept:
            same = np.count_nonzero(np.stack(self._kept) == mine, axis=1)
            if same.max() >= self.grades.near * PERMUTATIONS:
                return "near_duplicate"
        if len(self._kept) >= self.grades.per_group:
            return "group_full"
        self._kept.append(mine)
        return ""


def deduplicated(examples: Iterable[SFTExample], grades: DedupThresholds | None = None) -> list[SFTExample]:
    """The examples that are kept, by episode id; the same ones for every order of the same examples.

    For lists that fit into memory; `build_sft` does the same from a file. Needs datasketch, of the extra `data`.

    Args:
        examples: The examples, read once.
        grades: What counts as too much of the same; None for the defaults.
    """
    unique: dict[bytes, SFTExample] = {}
    for example in sorted(examples, key=order):
        unique.setdefault(exact_key(example), example)
    groups: dict[bytes, DuplicateGroup] = {}
    kept = []
    for example in unique.values():
        group = groups.setdefault(group_key(example), DuplicateGroup(grades or DedupThresholds()))
        if not group.verdict(signature(example)):
            kept.append(example)
    return kept


def order(example: SFTExample) -> tuple[str, bytes, bytes]:
    """The key that sorts by episode id.

    A server that does not repeat itself can give an id two contents, or only other call ids: the rest of the key tells
    these apart.
    """
    return example.origin.episode_id, exact_key(example), orjson.dumps(example.messages)
