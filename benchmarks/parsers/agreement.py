"""What vLLM reads in a text and what we do, side by side."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from faultgym.agents.models.formats import FORMATS
from faultgym.core.json import JSON
from faultgym.tools.types import ToolSpec

REASONS = (
    ("glm45", "", "vLLM drops a call of a tool that was not offered; the environment answers it"),
    ("minimax_m2", "", "vLLM drops a call of a tool that was not offered; the environment answers it"),
    ("granite", "", "one object after the mark, where vLLM takes a list alone"),
    ("granite-20b-fc", "", "a list after the mark, where vLLM takes one object alone"),
    ("phi4_mini_json", '": [', "vLLM ends the list of calls at the first bracket inside it, and loses the call"),
    ("phi4_mini_json", "", "a call without arguments, which vLLM takes for text"),
    ("qwen3_coder", "<function=", "the bracket of the tag is missing: vLLM makes the rest of the text the call's name"),
    ("gemma4", "<eos>", "a token that ends turns stands inside the call"),
    ("gemma4", "", "the call is cut: vLLM calls with what is there, here it is malformed"),
)
"""(format, what stands in the text, why we read it otherwise)."""


@dataclass(frozen=True)
class Difference:
    """A text that is read otherwise."""

    format: str
    text: str
    ours: list[tuple[str, JSON]]
    theirs: list[Any]
    reason: str


@dataclass(frozen=True)
class Agreement:
    """How many are read alike."""

    texts: dict[str, tuple[int, int]]
    """Format -> (read alike, all)."""
    tests: tuple[int, int]
    """Tests of vLLM whose texts are all read alike, and all that have one."""
    differences: list[Difference]


def compared(recorded: Path, read: Path) -> Agreement:
    """Compare every text.

    Args:
        recorded: What `recording` wrote.
        read: What `readings` wrote.
    """
    counts: dict[str, tuple[int, int]] = {}
    differences: list[Difference] = []
    odd: set[str] = set()
    for row in _rows(read):
        ours = _ours(row)
        theirs = [_good(calls) for _how, calls, _text, _thoughts in row["readings"]]
        same = any(_plain(ours) == _plain(one) for one in theirs)
        alike, texts = counts.get(row["parser"], (0, 0))
        counts[row["parser"]] = alike + same, texts + 1
        if not same:
            odd.add(_key(row))
            differences.append(Difference(row["parser"], row["text"], ours, row["readings"], _reason(row)))
    tests: dict[str, bool] = {}
    for row in _rows(recorded):
        tests[row["test"]] = tests.get(row["test"], True) and _key(row) not in odd
    return Agreement(counts, (sum(tests.values()), len(tests)), differences)


def _rows(path: Path) -> Iterator[JSON]:
    with path.open(encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def _key(row: JSON) -> str:
    return json.dumps([row["parser"], row["text"], row["tools"]], sort_keys=True)


def _ours(row: JSON) -> list[tuple[str, JSON]]:
    """The calls that we would run; those that are malformed, vLLM hands over as text or not at all."""
    tools = tuple(ToolSpec(tool["name"], "", tool["parameters"]) for tool in row["tools"])
    turn = FORMATS[row["parser"]].read(row["text"], tools)
    return [(call.name, call.arguments) for call in turn.tool_calls if call.arguments is not None]


def _good(calls: list[Any]) -> list[tuple[str, JSON]]:
    found = []
    for name, arguments in calls:
        try:
            value = json.loads(arguments or "{}")
        except ValueError:
            continue
        if isinstance(value, dict):
            found.append((name, value))
    return found


def _plain(calls: list[tuple[str, JSON]]) -> str:
    return json.dumps(calls, sort_keys=True)


def _reason(row: JSON) -> str:
    return next((why for name, mark, why in REASONS if name == row["parser"] and mark in row["text"]), "not known yet")
