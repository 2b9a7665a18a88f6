"""Log files that nobody vouches for, read value by value: what cannot be read is refused, and the rest goes on."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import orjson
from pydantic import ValidationError

from faultgym.core.json import deeper_than
from faultgym.core.settings import explained as explanation

MAX_LINE = 100_000_000
"""Bytes of one line of a JSONL file."""
MAX_DOCUMENT = 200_000_000
"""Bytes of a file that is one JSON document and has to be read as a whole."""
MAX_NESTING = 100
"""Levels of lists and objects in one record."""

_SNIFFED = 1 << 16
_UTF8_MARK = b"\xef\xbb\xbf"
_SPACE = " \t\r\n"


class BadRecord(ValueError):
    """A record that is no chat. Data, not a bug: what reads a file turns the error into an `UnreadableRecord`."""


@dataclass(frozen=True, slots=True)
class UnreadableRecord:
    """A part of a file that could not be taken."""

    file: str
    line: int
    """Where it begins, from 1."""
    reason: str

    def __str__(self) -> str:
        """One line for people."""
        return f"{self.file}:{self.line}: {self.reason}"


@dataclass(frozen=True, slots=True)
class LogValue:
    """One value of a file."""

    file: str
    line: int
    """Where it begins, from 1."""
    value: Any


def loads(data: bytes | str) -> Any:
    """The JSON value in the data.

    Raises:
        BadRecord: There is none, or the value is nested deeper than `MAX_NESTING`; the error gives the reason.
    """
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise BadRecord(f"not valid JSON ({error.msg} at column {error.colno})") from None
    openings = data.count("[") + data.count("{") if isinstance(data, str) else data.count(b"[") + data.count(b"{")
    if openings > MAX_NESTING and deeper_than(value, MAX_NESTING):
        raise BadRecord(f"nested deeper than {MAX_NESTING} levels")
    return value


def explained(error: ValidationError, prefix: str = "") -> BadRecord:
    """The first thing that a declaration found wrong, as `field: reason`.

    Args:
        error: What pydantic raised.
        prefix: Stands before the field.
    """
    return BadRecord(f"{prefix}{explanation(error, value_chars=60)}")


def _never(values: list[Any]) -> bool:
    return False


def read_values(path: Path, is_one_chat: Callable[[list[Any]], bool] = _never) -> Iterator[LogValue | UnreadableRecord]:
    """The JSON values of a file: a line each, the elements of one list, or one document. Never raises.

    Memory is that of one line, or of the document.

    Args:
        path: The file.
        is_one_chat: Whether the elements of a list belong together: then the list is one value.

    Yields:
        A value, or a part of the file that cannot be read, with the reason.
    """
    name = str(path)
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # before it is opened: a named pipe would hang us
            yield UnreadableRecord(name, 1, "not a regular file")
            return
        with path.open("rb") as file:
            problem = _not_text(file.read(_SNIFFED))
            if problem:
                yield UnreadableRecord(name, 1, problem)
                return
            lines = _is_lines(file)
            file.seek(0)
            yield from _lines(file, name) if lines else _document(file, name, is_one_chat)
    except OSError as error:
        yield UnreadableRecord(name, 1, f"cannot be read ({error.strerror})")


def _not_text(head: bytes) -> str:
    if head.startswith(b"\x1f\x8b"):
        return "compressed with gzip; unpack it first"
    if head.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in head:
        return "not UTF-8 text"
    return "" if head.strip() else "the file is empty"


def _is_lines(file: BinaryIO) -> bool:
    """Whether the file has a value on each line, rather than one over many lines."""
    first, second = _two_lines(file)
    if _parses(first):
        return first.startswith(b"{") or bool(second)
    return (first.startswith(b"{") and first.endswith(b"}")) or (second.startswith(b"{") and _parses(second))


def _two_lines(file: BinaryIO) -> tuple[bytes, bytes]:
    file.seek(0)
    found: list[bytes] = []
    while len(found) < 2 and (line := file.readline(MAX_LINE)):
        if line := line.removeprefix(_UTF8_MARK).strip():
            found.append(line)
    first, second = [*found, b"", b""][:2]
    return first, second


def _parses(line: bytes) -> bool:
    try:
        orjson.loads(line)
    except orjson.JSONDecodeError:
        return False
    return True


def _lines(file: BinaryIO, name: str) -> Iterator[LogValue | UnreadableRecord]:
    number = 0
    while line := file.readline(MAX_LINE + 1):
        number += 1
        if len(line) > MAX_LINE:
            yield UnreadableRecord(name, number, f"longer than {MAX_LINE:,} bytes")
            while line and not line.endswith(b"\n"):
                line = file.readline(_SNIFFED)
            continue
        if number == 1:
            line = line.removeprefix(_UTF8_MARK)
        if line := line.strip():
            yield _parsed(line, name, number)


def _parsed(data: bytes | str, name: str, number: int) -> LogValue | UnreadableRecord:
    try:
        return LogValue(name, number, loads(data))
    except BadRecord as error:
        return UnreadableRecord(name, number, str(error))


def _document(
    file: BinaryIO, name: str, is_one_chat: Callable[[list[Any]], bool]
) -> Iterator[LogValue | UnreadableRecord]:
    data = file.read(MAX_DOCUMENT + 1)
    if len(data) > MAX_DOCUMENT:
        yield UnreadableRecord(
            name, 1, f"one JSON document of more than {MAX_DOCUMENT:,} bytes; write one record on each line"
        )
        return
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        yield UnreadableRecord(name, data.count(b"\n", 0, error.start) + 1, "not UTF-8 text")
        return
    if not text.lstrip().startswith("["):
        try:
            yield LogValue(name, 1, loads(text))
        except BadRecord as bad:
            yield UnreadableRecord(name, _error_line(text), str(bad))
        return
    found = list(_elements(text, name))
    values = [each.value for each in found if isinstance(each, LogValue)]
    if len(values) == len(found) and is_one_chat(values):
        yield LogValue(name, 1, values)
    else:
        yield from found


def _error_line(text: str) -> int:
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError as error:
        return error.lineno
    return 1


def _elements(text: str, name: str) -> Iterator[LogValue | UnreadableRecord]:
    """The elements of a list, each with its line. What follows a broken one cannot be told apart any more."""
    decoder = json.JSONDecoder()
    position, line, counted = text.index("[") + 1, 1, 0
    while True:
        while position < len(text) and text[position] in _SPACE + ",":
            position += 1
        line += text.count("\n", counted, position)
        counted = position
        if text[position : position + 1] == "]":
            return
        try:
            end = decoder.raw_decode(text, position)[1]
        except RecursionError:
            yield UnreadableRecord(
                name, line, f"nested deeper than {MAX_NESTING} levels; the rest of the file is not read"
            )
            return
        except ValueError as error:  # also for a number of thousands of digits
            where = error.lineno if isinstance(error, json.JSONDecodeError) else line
            yield UnreadableRecord(name, where, f"not valid JSON ({error}); the rest of the file is not read")
            return
        yield _parsed(text[position:end], name, line)
        position = end
