"""Records of earlier versions of the schema, brought to today's when they are read.

Version 1 (faultgym 0.1) called the facts that an answer lacks `missing_atoms`, and the competing candidates that it
asserts `rivals`, and counted no tokens of an episode whose chat outgrew the model's context. Version 2 knew no other
answers than texts. Version 3 called the end `final` also where the last turn was cut short.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from faultgym.agents.traces.schema import SCHEMA_VERSION
from faultgym.core.json import JSON
from faultgym.envs.messages.turn import CONTEXT_OVERFLOW, CUT_SHORT

OLDEST_VERSION = 1
"""The first schema version that is still read."""


def readable(version: object) -> bool:
    """Whether records of this schema version can be read; False for what is no whole number."""
    return type(version) is int and OLDEST_VERSION <= version <= SCHEMA_VERSION


def current_plan(plan: JSON) -> JSON:
    """A run's plan as today's faultgym would have written it, so that an old run can be resumed.

    Returns:
        The plan with today's schema version; the plan itself where its version cannot be read.
    """
    version = plan.get("schema_version")
    if not readable(version):
        return plan
    if version in (1, 2):
        plan = {
            **plan,
            "limits": _with(plan.get("limits"), reminders=0),
            "asked": _with(plan.get("asked"), answers="text"),
        }
    return {**plan, "schema_version": SCHEMA_VERSION}


def _with(value: Any, **more: Any) -> Any:
    """The object with further fields at its end; what is no object stays as it is."""
    return {**value, **more} if isinstance(value, dict) else value


def upgraded(record: JSON) -> JSON:
    """The record in today's schema; the same object where nothing has to change.

    Args:
        record: A record whose version is `readable`. It is not changed.
    """
    while record["schema_version"] != SCHEMA_VERSION:
        record = _STEPS[record["schema_version"]](record)
    return record


def _from_1(record: JSON) -> JSON:
    names = {"missing_atoms": "missing_facts", "rivals": "distractors"}
    verdict = _renamed(record.get("verdict"), names)
    return {**record, "schema_version": 2, "verdict": verdict, "counts": _counted(record)}


def _from_2(record: JSON) -> JSON:
    return {**record, "schema_version": 3, "answers": "text", "limits": _with(record.get("limits"), reminders=0)}


def _from_3(record: JSON) -> JSON:
    steps = record.get("steps")
    last = steps[-1] if isinstance(steps, list) and steps else None
    reason = last.get("finish_reason") if isinstance(last, dict) and not last.get("calls") else None
    cut = record.get("stop") == "final" and reason in CUT_SHORT
    return {**record, "schema_version": 4, **({"stop": reason} if cut else {})}


def _renamed(value: Any, names: dict[str, str]) -> Any:
    """The object with other names for some of its fields, in the same order; what is no object stays as it is."""
    if not isinstance(value, dict):
        return value
    return {names.get(name, name): item for name, item in value.items()}


def _counted(record: JSON) -> Any:
    """The counts with the tokens of the turns that were played, where the last one was not."""
    counts, steps = record.get("counts"), record.get("steps")
    if not (isinstance(counts, dict) and "tokens" in counts and counts["tokens"] is None and isinstance(steps, list)):
        return counts
    if not (steps and all(isinstance(step, dict) for step in steps)):
        return counts
    played = [step.get("token_ids") for step in steps if step.get("finish_reason") != CONTEXT_OVERFLOW]
    if len(played) == len(steps) or not played or not all(isinstance(ids, list) for ids in played):
        return counts
    return {**counts, "tokens": sum(map(len, played))}


_STEPS: dict[int, Callable[[JSON], JSON]] = {1: _from_1, 2: _from_2, 3: _from_3}
