"""Which model is in use, where it comes from, and what became of each round.

The registry is a view that follows from the rounds' decisions and from the rollbacks, each of which is a file that is
written once, whole. So it can be made again at any time, and a torn one loses nothing.

Versions are numbered like the rounds that made them; 0 is the model that the loop began with.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from faultgym.core.errors import UserError
from faultgym.core.files import atomic_file
from faultgym.core.json import JSON

REGISTRY = "registry.json"
DECISION = "decision.json"
ROLLBACKS = "rollbacks"
SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Version:
    """One model that was in use."""

    number: int
    parent: int | None
    """The version that it was trained from; None for the first."""
    trained: str
    """The folder that training goes on from, relative to the loop's; for version 0 what the user calls it."""
    served: str
    """The folder that a policy loads, relative to the loop's; for version 0 what the user calls it."""
    sha256: str
    """Of its weights; empty for version 0."""

    def to_record(self) -> JSON:
        """The fields as JSON."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class ModelRegistry:
    """The versions, and what happened to them in turn."""

    current: int
    versions: tuple[Version, ...]
    history: tuple[JSON, ...] = field(hash=False)
    """`{"round": 3, "promoted": true, "from": 1, "to": 3, "why": ...}` and `{"rollback": 1, "after_round": 3}`."""

    @property
    def rounds(self) -> int:
        """The number of rounds that have been decided."""
        return sum("round" in event for event in self.history)

    @property
    def model(self) -> Version:
        """The version in use."""
        return self.version(self.current)

    def version(self, number: int) -> Version:
        """The version of a number.

        Raises:
            UserError: There is none of that number.
        """
        for one in self.versions:
            if one.number == number:
                return one
        there = ", ".join(str(one.number) for one in self.versions)
        raise UserError(f"there is no version {number}: this loop has the versions {there}")

    def lineage(self, number: int) -> list[int]:
        """A version and what it was trained from, back to the first.

        Raises:
            UserError: There is none of that number.
        """
        found = [number]
        while (parent := self.version(found[-1]).parent) is not None:
            found.append(parent)
        return found

    def to_record(self) -> JSON:
        """The registry as JSON."""
        return {
            "schema": SCHEMA,
            "current": self.current,
            "lineage": self.lineage(self.current),
            "versions": [one.to_record() for one in self.versions],
            "history": list(self.history),
        }

    def describe(self) -> Iterator[str]:
        """The registry for people, line by line."""
        yield f"in use: version {self.current} ({self.model.served})"
        yield f"made from: {' <- '.join(map(str, self.lineage(self.current)))}"
        for event in self.history:
            if "rollback" in event:
                yield f"after round {event['after_round']}: rolled back to version {event['rollback']}"
            else:
                what = f"version {event['to']} promoted" if event["promoted"] else f"version {event['from']} kept"
                yield f"round {event['round']}: {what}: {event['why']}"


def read_registry(folder: Path, model: str, until: int | None = None) -> ModelRegistry:
    """The registry as the decisions and rollbacks give it.

    Args:
        folder: The loop's folder.
        model: What the user calls the model that the loop began with.
        until: The last round that counts; None for the last before which all rounds are decided.

    Raises:
        UserError: A decision or a rollback cannot be read.

    Example:
        >>> read_registry(Path("no-such-loop"), "smollm2").model.served
        'smollm2'
    """
    versions = [Version(number=0, parent=None, trained=model, served=model, sha256="")]
    history: list[JSON] = []
    current = 0
    for number in range(1, 1 + (_decided(folder) if until is None else until)):
        path = folder / "rounds" / f"{number:02d}" / DECISION
        if path.is_file():
            decision = _read(path)
            event = {name: decision[name] for name in ("round", "promoted", "from", "to", "why")}
            if decision["promoted"]:
                made = decision["candidate"]
                versions.append(
                    Version(
                        number=number,
                        parent=decision["from"],
                        trained=made["trained"],
                        served=made["served"],
                        sha256=made["sha256"],
                    )
                )
                current = number
            history.append(event)
        for back in _rollbacks(folder, number):
            current = int(back["rollback"])
            history.append(back)
    return ModelRegistry(current, tuple(versions), tuple(history))


def write_registry(folder: Path, registry: ModelRegistry) -> bool:
    """Write the registry down, if what is there is anything else.

    Args:
        folder: The loop's folder.
        registry: What is written to `registry.json`.

    Returns:
        Whether the file was written.
    """
    path = folder / REGISTRY
    wanted = orjson.dumps(registry.to_record(), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    if path.is_file() and path.read_bytes() == wanted:
        return False
    with atomic_file(path) as file:
        file.write(wanted)
    return True


def note_rollback(folder: Path, registry: ModelRegistry, to: int) -> None:
    """Write down that an earlier version is in use again.

    Args:
        folder: The loop's folder.
        registry: The registry before.
        to: The version's number.

    Raises:
        UserError: There is no such version, or no round has ended yet.
    """
    registry.version(to)
    after = registry.rounds
    if after == 0:
        raise UserError("no round has ended yet: version 0 is in use, and there is no other")
    place = folder / ROLLBACKS
    place.mkdir(exist_ok=True)
    number = 1 + len(_rollbacks(folder, after))
    with atomic_file(place / f"{after:02d}-{number}.json") as file:
        file.write(orjson.dumps({"rollback": to, "after_round": after}, option=orjson.OPT_APPEND_NEWLINE))


def decided_after(folder: Path, number: int) -> int | None:
    """The first round after this one that has a decision; None where there is none.

    Args:
        folder: The loop's folder.
        number: The round, from 1.
    """
    names = [path.parent.name for path in (folder / "rounds").glob(f"[0-9]*/{DECISION}")]
    return min((int(name) for name in names if name.isdigit() and int(name) > number), default=None)


def _decided(folder: Path) -> int:
    """How many rounds from the first on have a decision."""
    number = 0
    while (folder / "rounds" / f"{number + 1:02d}" / DECISION).is_file():
        number += 1
    return number


def _rollbacks(folder: Path, after: int) -> list[JSON]:
    found = sorted((folder / ROLLBACKS).glob(f"{after:02d}-*.json"), key=lambda p: int(p.stem.partition("-")[2]))
    return [_read(path) for path in found]


def _read(path: Path) -> Any:
    try:
        return orjson.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise UserError(
            f"{path} cannot be read ({error}): put it back from a copy; the registry rests on it"
        ) from error
