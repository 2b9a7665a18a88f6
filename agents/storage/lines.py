"""A record as one JSON line, and back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import orjson

from faultgym.core.errors import HarnessError, TraceError
from faultgym.core.json import JSON, nearest_json
from faultgym.core.text import has_surrogates

OnError = Callable[[TraceError], None]
"""Takes what would otherwise be raised for a damaged line or file; reading then goes on behind it."""

MAX_LINE = 100_000_000
"""Bytes in one line, newline included. A longer one is refused when written and when read."""

_PREFIX = b'{"episode_id":"'


def encode(record: JSON) -> bytes:
    """One record as one line, newline included: `episode_id` first, the other keys in the given order.

    What JSON in UTF-8 cannot hold is stored as the nearest thing that can be (`nearest_json`), because losing an
    episode would be worse; keys that are not strings become JSON's spelling of them.

    Args:
        record: JSON values, `episode_id` among them.

    Raises:
        HarnessError: There is no `episode_id`, or a value has no JSON form at all.

    Example:
        >>> encode({"success": True, "episode_id": "a1"}).strip()
        b'{"episode_id":"a1","success":true}'
    """
    episode_id = record.get("episode_id")
    if type(episode_id) is not str or not episode_id:
        raise HarnessError(f"a record needs an episode_id that is a string, not {episode_id!r}")
    if next(iter(record)) != "episode_id":
        record = {"episode_id": episode_id, **record}
    try:
        return orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE)
    except TypeError:
        pass
    if has_surrogates(episode_id):
        raise HarnessError(f"the episode_id {episode_id!r} is not valid Unicode")
    try:
        return orjson.dumps(nearest_json(record), option=orjson.OPT_APPEND_NEWLINE | orjson.OPT_NON_STR_KEYS)
    except (TypeError, ValueError) as error:
        raise HarnessError(f"episode {episode_id!r} cannot be stored: {error}") from error


def storable_line(record: JSON | bytes) -> bytes:
    """The line that the store takes, of a record or of a line that is encoded already.

    Args:
        record: JSON values with an `episode_id`, or what `encode` made of them.

    Raises:
        HarnessError: The record cannot be encoded, or is longer than `MAX_LINE`.
    """
    line = record if isinstance(record, bytes) else encode(record)
    if len(line) > MAX_LINE:
        what = f"episode {episode_id_of(line)!r} is {len(line):,} bytes as JSON"
        raise HarnessError(f"{what}; the store takes {MAX_LINE:,}")
    return line


def parse(line: bytes) -> JSON:
    """The record in a line.

    Raises:
        ValueError: The line holds no JSON object with an `episode_id`; the message gives the reason.
    """
    try:
        record = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise ValueError(f"not valid JSON ({error.msg} at column {error.colno})") from error
    if not isinstance(record, dict):
        raise ValueError(f"a JSON object is expected, not {type(record).__name__}")
    episode_id = record.get("episode_id")
    if not isinstance(episode_id, str) or not episode_id:
        raise ValueError("the object has no episode_id that is a string")
    return record


def episode_id_of(line: bytes) -> str:
    """The episode id of a line, without parsing the rest where the line begins and ends as `encode` writes it.

    A NUL byte is what a file system leaves in place of a block that never reached the disk; a line with one, and a line
    whose ends are not ours, is parsed as a whole.

    Raises:
        ValueError: The line holds no record; the message gives the reason.
    """
    if line.startswith(_PREFIX) and line.endswith(b"}\n") and b"\0" not in line:
        end = line.find(b'"', len(_PREFIX))
        raw = line[len(_PREFIX) : end]
        if raw and end > 0 and b"\\" not in raw:
            return raw.decode()
    episode_id: str = parse(line)["episode_id"]
    return episode_id


def damaged(path: Path, number: int, reason: object) -> TraceError:
    """The error for one line that is not a record.

    Args:
        path: The segment.
        number: The line's number, from 1.
        reason: What is wrong with the line.
    """
    return TraceError(f"{path}:{number}: {reason}; delete that line and resume the run: its episode is run again")


def report(on_error: OnError | None, error: TraceError) -> None:
    """Raise the error, or hand it to `on_error`.

    Raises:
        TraceError: The error itself, where `on_error` is None.
    """
    if on_error is None:
        raise error
    on_error(error)
