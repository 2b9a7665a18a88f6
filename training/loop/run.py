"""A loop as a whole: begun, gone on with, looked at, rolled back. One process at a time works on it."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import orjson

from faultgym import __version__
from faultgym.agents.models.local import identity
from faultgym.agents.rollouts.plan import plan_difference
from faultgym.agents.storage.store import exclusive
from faultgym.core.errors import UserError
from faultgym.core.json import JSON
from faultgym.training.loop.config import LoopConfig
from faultgym.training.loop.ledger import write_page
from faultgym.training.loop.models import check_model, with_port
from faultgym.training.loop.registry import (
    DECISION,
    ModelRegistry,
    decided_after,
    note_rollback,
    read_registry,
    write_registry,
)
from faultgym.training.loop.rollouts import write_json
from faultgym.training.loop.round import LoopCallbacks, Round, folder_of

ASKED = "loop.json"
SCHEMA = 1
_LEFT_BEHIND = frozenset({"lock", f".{ASKED}.tmp"})
"""What a process that was killed before it had begun leaves in the folder."""


@dataclass(frozen=True, slots=True)
class Loop:
    """What a loop's folder says of the loop."""

    folder: Path
    config: LoopConfig
    base: JSON
    """What identifies the model that it began with."""


def run_loop(
    folder: Path, config: LoopConfig, *, resume: bool = False, watching: LoopCallbacks | None = None
) -> ModelRegistry:
    """Do the rounds that are still to be done; needs the extras `data` and `train`.

    What was stopped, by Ctrl-C, `kill -9` or a full disk, is resumed.

    Args:
        folder: The loop's folder.
        config: What the loop is asked to do.
        resume: Whether the folder holds the loop already.
        watching: Who hears how far the loop is; None for nobody.

    Returns:
        The versions after the last round.

    Raises:
        UserError: The folder holds something else, the loop to resume was asked for other things, another process works
            on it, or something is wrong in a round that a person can put right.
        KeyboardInterrupt: The loop was stopped.
    """
    watching = watching or LoopCallbacks()
    folder = Path(os.path.abspath(folder))  # stages and builds remember paths, and may be resumed from elsewhere
    if not resume:
        _refuse_used(folder)
    elif not (folder / ASKED).is_file():
        raise UserError(f"there is no loop in {folder} to resume: leave --resume out to begin one")
    folder.mkdir(parents=True, exist_ok=True)
    with exclusive(folder):
        loop = _resumed(folder, config) if resume else _begun(folder, config)
        for doubt in () if resume else config.doubts():
            watching.say(f"note: {doubt}")
        rounds = range(1, loop.config.rounds + 1)
        for number in rounds:
            _set_aside_damaged(folder, number, watching)
        write_registry(folder, read_registry(folder, loop.config.model))
        for number in rounds:
            registry = read_registry(folder, loop.config.model, until=number - 1)
            if not (folder_of(folder, number) / DECISION).is_file():
                watching.say(f"round {number} of {loop.config.rounds}, from version {registry.current}")
                _tell(
                    Round(
                        loop=folder,
                        number=number,
                        config=loop.config,
                        start=registry.model,
                        base=loop.base,
                        watching=watching,
                    ).run(),
                    watching,
                )
                write_page(folder, number)
            else:
                _write_page_again(folder, number, watching)
            write_registry(folder, read_registry(folder, loop.config.model))
        return read_registry(folder, loop.config.model)


def _write_page_again(folder: Path, number: int, watching: LoopCallbacks) -> None:
    """Of a round that ended before: what its page is made from is not made again, and may be damaged by now."""
    try:
        write_page(folder, number)
    except UserError as error:
        watching.say(f"note: the page of round {number} stays as it is: {error}")


def _tell(decision: JSON, watching: LoopCallbacks) -> None:
    what = f"version {decision['to']} promoted" if decision["promoted"] else f"version {decision['from']} kept"
    watching.say(f"round {decision['round']}: {what}: {decision['why']}")


def opened(folder: Path) -> Loop:
    """The loop in a folder.

    Raises:
        UserError: There is no loop, or its settings cannot be read.
    """
    path = folder / ASKED
    if not path.is_file():
        raise UserError(f"there is no loop in {folder}: {path} does not exist")
    try:
        asked = orjson.loads(path.read_bytes())
        config = {"answers": "text", **asked["config"]}  # loops that began before answers could be typed
        return Loop(folder, LoopConfig.of(config), asked["base"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is damaged ({error}): put it back from a copy, or begin another loop") from error


def status(folder: Path) -> ModelRegistry:
    """The versions of a loop, and what happened to them.

    Raises:
        UserError: There is no loop in the folder, or a file of it cannot be read.
    """
    return read_registry(folder, opened(folder).config.model)


def rollback(folder: Path, to: int, say: LoopCallbacks | None = None) -> ModelRegistry:
    """Put an earlier version in use again; a round that was under way began from another version, and is set aside.

    Args:
        folder: The loop's folder.
        to: The version's number.
        say: Who hears what is set aside; None for nobody.

    Returns:
        The versions after the rollback.

    Raises:
        UserError: There is no such version, the version is in use already, no round has ended yet, a round lacks its
            decision, or another process works on the loop.
    """
    loop = opened(folder)
    with exclusive(folder):
        registry = read_registry(folder, loop.config.model)
        if registry.current == to:
            raise UserError(f"version {to} is in use already")
        registry.version(to)
        if later := decided_after(folder, registry.rounds + 1):
            raise UserError(
                f"round {registry.rounds + 1} has no decision, and round {later} has one: make it again first, with"
                f" `faultgym loop run --out {folder} --resume`"
            )
        _set_aside_unfinished(folder, registry.rounds + 1, say or LoopCallbacks())
        note_rollback(folder, registry, to)
        registry = read_registry(folder, loop.config.model)
        write_registry(folder, registry)
        return registry


# ---- beginning and going on -----------------------------------------------------------------------


def _refuse_used(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder} is a file: a loop needs a folder of its own")
    found = {entry.name for entry in folder.iterdir()} if folder.is_dir() else set()
    if ASKED in found:
        raise UserError(f"{folder} holds a loop already: go on with --resume, or choose another folder")
    if found - _LEFT_BEHIND:
        raise UserError(f"{folder} is not empty: it holds {min(found - _LEFT_BEHIND)}; choose another folder")


def _begun(folder: Path, config: LoopConfig) -> Loop:
    _refuse_used(folder)  # two processes may have come this far with one folder
    check_model(config)
    config = with_port(config)
    base = identity(config.model)
    asked = {"schema": SCHEMA, "faultgym": __version__, "base": base, "config": config.to_record()}
    write_json(folder / ASKED, asked)
    return Loop(folder, config, base)


def _resumed(folder: Path, config: LoopConfig) -> Loop:
    before = opened(folder)
    config = with_port(config if config.port else replace(config, port=before.config.port))
    if difference := config.difference(before.config.to_record()):
        raise UserError(
            f"the loop in {folder} was begun with other settings: {difference}. Resume it with what it was begun with,"
            " or begin another one in another folder"
        )
    if difference := plan_difference(before.base, identity(config.model)):
        raise UserError(
            f"the model {config.model} is another one than the loop in {folder} was begun with ({difference}): put it"
            " back, or begin another loop"
        )
    if before.config.to_record() != config.to_record():
        record: JSON = orjson.loads((folder / ASKED).read_bytes())
        write_json(folder / ASKED, {**record, "config": config.to_record()})
    return Loop(folder, config, before.base)


def _set_aside_damaged(folder: Path, number: int, watching: LoopCallbacks) -> None:
    """A decision that cannot be read is made again: all that it rests on is there."""
    path = folder_of(folder, number) / DECISION
    with suppress(OSError):
        try:
            orjson.loads(path.read_bytes())
        except ValueError:
            aside = _free(path, "damaged")
            os.rename(path, aside)
            watching.say(f"{path} is damaged: it is now {aside.name}, and is made again")


def _set_aside_unfinished(folder: Path, number: int, watching: LoopCallbacks) -> None:
    path = folder_of(folder, number)
    if path.is_dir():
        aside = _free(path, "abandoned")
        os.rename(path, aside)
        watching.say(f"round {number} was under way: it is now {aside}, and begins anew")


def _free(path: Path, word: str) -> Path:
    number = 1
    while (aside := path.with_name(f"{path.name}.{word}-{number}")).exists():
        number += 1
    return aside
