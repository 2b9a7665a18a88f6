"""Values as JSON gives them back, so that a trace equals the one that is read from its record."""

from __future__ import annotations

from dataclasses import replace
from hashlib import blake2b
from typing import Any

import orjson

from faultgym.core.values import shallow
from faultgym.envs.episode import StepRecord
from faultgym.tools.faults.layer import FaultSchedule
from faultgym.tools.faults.types import FaultEvent
from faultgym.tools.toolbox import CallRecord

_FLAT = frozenset({str, int, float, bool, type(None)})


def plain(values: Any) -> Any:
    """The same values as JSON gives them back: lists for tuples, all the way down.

    Args:
        values: A mapping.
    """
    if all(type(value) in _FLAT for value in values.values()):
        return values if type(values) is dict else dict(values)
    return _plain(values)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        items = sorted(value, key=repr) if isinstance(value, set | frozenset) else value
        return [_plain(item) for item in items]
    if type(value) in _FLAT:
        return value
    if hasattr(value, "items"):
        return {str(key): _plain(item) for key, item in value.items()}
    return value.value if hasattr(value, "value") else str(value)


def _is_plain(values: Any) -> bool:
    return type(values) is dict and all(type(value) in _FLAT for value in values.values())


def plain_schedule(schedule: FaultSchedule) -> FaultSchedule:
    """The schedule as a record gives it back."""
    return tuple(f if _is_plain(f.params) else replace(f, params=plain(f.params)) for f in schedule)


def schedule_fingerprint(schedule: FaultSchedule) -> str:
    """A hash of an explicit schedule."""
    entries = [{**shallow(fault), "params": dict(fault.params)} for fault in schedule]
    return blake2b(orjson.dumps(entries, option=orjson.OPT_SORT_KEYS), digest_size=8).hexdigest()


def plain_event(event: FaultEvent) -> FaultEvent:
    """The event as a record gives it back: plain words and JSON values."""
    return replace(event, contract=str(event.contract), detail=plain(event.detail))


def plain_step(step: StepRecord) -> StepRecord:
    """The step as a record gives it back."""
    for record in step.calls:
        if record.effects and not all(_is_plain(effect.values) for effect in record.effects):
            return StepRecord(step.turn, tuple(map(_plain_call, step.calls)), step.digest)
    return step


def _plain_call(record: CallRecord) -> CallRecord:
    effects = tuple(replace(effect, values=plain(effect.values)) for effect in record.effects)
    return replace(record, effects=effects)
