"""The chats that log files hold, in whatever dialect each of their values is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from faultgym.agents.imports.dialect import DialectReader, FileForm, FoundChat
from faultgym.agents.imports.imported import ChatSource, ImportedChat
from faultgym.agents.imports.reading import BadRecord, LogValue, UnreadableRecord, read_values
from faultgym.agents.imports.registry import AUTO, DIALECTS, dialect_of, is_one_chat, seen
from faultgym.core.errors import UserError

SUFFIXES = (".json", ".jsonl", ".ndjson")
"""Files that are taken from a folder, beside those of the dialects' own forms."""


def log_files(paths: Iterable[Path]) -> list[Path]:
    """The files that the paths name: of a folder, those that end as logs do.

    Raises:
        UserError: A path does not exist, or a folder holds no such file.
    """
    suffixes = (*SUFFIXES, *(suffix for form in _forms().values() for suffix in form.suffixes))
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = sorted(p for p in path.iterdir() if p.suffix in suffixes and p.is_file())
            if not inside:
                raise UserError(f"{path} holds no file that ends in {', '.join(suffixes)}; name the files themselves")
            found += inside
        elif path.exists():
            found.append(path)
        else:
            raise UserError(f"{path} does not exist; name a log file, or a folder of them")
    return found


def chats(path: Path, format: str = AUTO) -> Iterator[ImportedChat | UnreadableRecord]:
    """The chats of one file, unverified. Never raises for what a file can hold.

    Memory is that of one value, but for the dialects whose chats are spread over a file (spans): those keep what
    concerns them until its end.

    Args:
        path: The log file.
        format: The name of a dialect; `auto` tells each value's by its content.

    Yields:
        A chat, or a part of the file that cannot be taken, with the reason. One of either, at least.

    Raises:
        UserError: There is no dialect of that name.
    """
    if format != AUTO:
        DIALECTS.named(format)
    readers: dict[str, DialectReader] = {}
    counts: Counter[str] = Counter()
    silent = True
    last = ""
    for name, value in _values(path, format):
        if isinstance(value, UnreadableRecord):
            silent = False
            yield value
            continue
        try:
            name = name or dialect_of(value.value)
            reader = readers.setdefault(name, DIALECTS.named(name).reader())
            counts[name] += 1
            last = seen(value.value)
            for found in reader.take(value):
                silent = False
                yield _imported(found, name, path)
        except BadRecord as error:
            silent = False
            yield UnreadableRecord(value.file, value.line, str(error))
    for name, reader in readers.items():
        for found in reader.end():
            silent = False
            yield _imported(found, name, path)
    if silent:
        read = ", ".join(f"{count} read as {name}" for name, count in counts.items())
        what = f"no chat in it: {read}, the last of them {last}" if counts else "no chat in it: an empty list"
        yield UnreadableRecord(str(path), 1, what)


def _forms() -> dict[str, FileForm]:
    return {name: dialect.file for name, dialect in DIALECTS.items() if dialect.file is not None}


def _values(path: Path, format: str) -> Iterator[tuple[str, LogValue | UnreadableRecord]]:
    """What a file holds, each with the name of its dialect where the file itself or the user tells it."""
    forced = "" if format == AUTO else format
    forms = _forms() if not forced else {forced: form} if (form := DIALECTS[forced].file) is not None else {}
    for name, form in forms.items():
        if path.is_file() and form.claims(path):
            yield from ((name, value) for value in form.values(path))
            return
    yield from ((forced, value) for value in read_values(path, is_one_chat))


def _imported(found: FoundChat, dialect: str, path: Path) -> ImportedChat | UnreadableRecord:
    try:
        if isinstance(found.chat, BadRecord):
            raise found.chat
        return ImportedChat.of(found.chat, ChatSource(dialect, str(path), found.line, found.chat.name))
    except BadRecord as error:
        return UnreadableRecord(str(path), found.line, str(error))
