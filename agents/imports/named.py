"""The task of faultgym that a log names, so that it can be re-executed.

In a chat log, `metadata` holds it: `{"faultgym": {"task": "orders/order_status/test/3", "faults": "mild",
"fault_seed": 7}}`, or the same with flat keys such as `faultgym.task`. Spans have these as attributes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import msgspec
import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from faultgym.agents.imports.reading import BadRecord, explained, loads
from faultgym.agents.traces.schema import ScheduledFaultData
from faultgym.agents.traces.trace import NO_LIMITS
from faultgym.core.json import JSON
from faultgym.core.records import explained as explained_record
from faultgym.core.records import restored
from faultgym.core.values import shallow
from faultgym.envs.judging.form import Answers
from faultgym.envs.limits import Limits
from faultgym.tools.faults.layer import FaultSchedule
from faultgym.tools.faults.types import ScheduledFault

PREFIX = "faultgym."
Seed = Annotated[int, Field(ge=0, lt=2**53)]


@dataclass(frozen=True, slots=True)
class NamedTask:
    """The episode that a log names: what playing its turns again takes."""

    task: str
    """The task's id."""
    faults: str | JSON | None = None
    """A preset's name, or a plan as JSON values; None where only a schedule is given, or nothing."""
    fault_seed: int = 0
    policy_seed: int = 0
    trial: int = 0
    schedule: FaultSchedule | None = None
    """The explicit schedule, where the log holds it."""
    limits: Limits = NO_LIMITS
    """Only those that follow from the calls alone."""
    answers: Answers | None = None
    """How the episode ends; None where the log does not say: then its last turn tells."""

    def data(self) -> JSON:
        """The same as JSON values, in the form that `named_task` reads."""
        limits = shallow(self.limits)
        # What logs did not say from the first on is left out where it is not said: the ids of chats hang on this.
        kept = ("turns", "calls", "virtual_seconds", *(["reminders"] if self.limits.reminders else []))
        return {
            "task": self.task,
            "faults": self.faults,
            "fault_seed": self.fault_seed,
            "policy_seed": self.policy_seed,
            "trial": self.trial,
            "schedule": None if self.schedule is None else orjson.loads(orjson.dumps(self.schedule)),
            "limits": {name: limits[name] for name in kept},
            **({} if self.answers is None else {"answers": self.answers}),
        }


class _LimitsIn(BaseModel):
    model_config = ConfigDict(extra="ignore")
    turns: Annotated[int, Field(ge=1)] | None = None
    calls: Annotated[int, Field(ge=1)] | None = None
    virtual_seconds: Annotated[float, Field(ge=0)] | None = None
    reminders: Annotated[int, Field(ge=0)] = 0


class _NamedIn(BaseModel):
    model_config = ConfigDict(extra="ignore")
    task: Annotated[str, Field(min_length=1, max_length=200)]
    faults: str | dict[str, Any] | None = None
    fault_seed: Seed = 0
    policy_seed: Seed = 0
    trial: Seed = 0
    schedule: list[Any] | None = None
    limits: _LimitsIn | None = None
    answers: Answers | None = None


def named_task(metadata: Mapping[str, Any] | None) -> NamedTask | None:
    """What the metadata names; None when they name no task of faultgym.

    Args:
        metadata: A log's, with the key `faultgym` or with keys that begin with `faultgym.`.

    Raises:
        BadRecord: A value cannot be; the error names the field.

    Example:
        >>> named_task({"faultgym.task": "orders/order_status/test/3", "faultgym.fault_seed": 7}).fault_seed
        7
    """
    data = _given(metadata or {})
    if "task" not in data:
        return None
    try:
        named = _NamedIn.model_validate(data)
    except ValidationError as error:
        raise explained(error, "metadata.faultgym.") from None
    return NamedTask(
        task=named.task,
        faults=named.faults,
        fault_seed=named.fault_seed,
        policy_seed=named.policy_seed,
        trial=named.trial,
        schedule=None if named.schedule is None else _schedule(named.schedule),
        limits=NO_LIMITS if named.limits is None else Limits(**named.limits.model_dump()),
        answers=named.answers,
    )


def _given(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """The keys about faultgym, from whichever form; JSON texts are read."""
    whole = _unpacked(metadata.get("faultgym"), "{")
    data: dict[str, Any] = dict(whole) if isinstance(whole, dict) else {}
    for key, value in metadata.items():
        if key.startswith(PREFIX):
            name = key.removeprefix(PREFIX)
            data[name] = _unpacked(value, "{" if name in ("faults", "limits") else "[" if name == "schedule" else "")
    return data


def _unpacked(value: Any, begins: Literal["{", "[", ""]) -> Any:
    if begins and isinstance(value, str) and value.lstrip().startswith(begins):
        try:
            return loads(value)
        except BadRecord as error:
            raise BadRecord(f"metadata.faultgym: {error}") from None
    return value


def _schedule(data: list[Any]) -> FaultSchedule:
    try:
        found = msgspec.convert(data, _Schedule)
    except msgspec.ValidationError as error:
        raise BadRecord(f"metadata.faultgym.{explained_record(data, _Schedule, prefix='schedule') or error}") from None
    return tuple(restored(ScheduledFault, fault) for fault in found)


_Schedule = tuple[ScheduledFaultData, ...]
