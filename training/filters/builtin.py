"""The filters that every build applies, by name, for sets of traces that no build is made of.

A build applies them with its own options and over all of its input at once; here they have their defaults.
"""

from __future__ import annotations

from faultgym.agents.traces.trace import Trace
from faultgym.training.filters.contract import DataFilter, TraceTest
from faultgym.training.filters.decontaminate import contamination, held_out, refused
from faultgym.training.filters.dedupe import DedupThresholds, DuplicateGroup, exact_key, group_key, signature
from faultgym.training.filters.registry import DATA_FILTERS
from faultgym.training.filters.rejection import Rejected
from faultgym.training.filters.select import select


def _told(found: object) -> str | None:
    return f"{found.reason}: {found.detail}".rstrip(": ") if isinstance(found, Rejected) else None


def _split(trace: Trace) -> str | None:
    return _told(refused(trace))


def _select(trace: Trace) -> str | None:
    return _told(select(trace))


def _decontaminate(trace: Trace) -> str | None:
    return _told(contamination(trace, held_out(trace.task.suite)))


def _dedupe() -> TraceTest:
    exact: set[bytes] = set()
    groups: dict[bytes, DuplicateGroup] = {}

    def test(trace: Trace) -> str | None:
        example = select(trace)
        if isinstance(example, Rejected):
            return _told(example)
        if (key := exact_key(example)) in exact:
            return "exact_duplicate"
        exact.add(key)
        group = groups.setdefault(group_key(example), DuplicateGroup(DedupThresholds()))
        return group.verdict(signature(example)) or None

    return test


for _name, _filter in {
    "split": DataFilter.of("its task is of a split that is kept for tests", _split, always=True),
    "select": DataFilter.of("it is no proven, economical success", _select, always=True),
    "decontaminate": DataFilter.of("it touches what a test split holds", _decontaminate, always=True),
    "dedupe": DataFilter("it is the same as an earlier one, or nearly", _dedupe, always=True),
}.items():
    DATA_FILTERS.add(_name, _filter)
