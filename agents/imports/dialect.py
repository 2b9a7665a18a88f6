"""What a dialect is: one way in which others write chats down. To add one:

1. Write a file in `agents/imports/dialects/` that ends in `DIALECT = Dialect(...)`. `mark` tells a value of the dialect
   by its content; `reader` gives what turns the values of one file into chats (`each_value` where every value holds
   whole chats, else a `DialectReader`, which may keep values until the file ends).
2. Name it in `_BUILTIN` of `agents/imports/registry.py`. Another package names it in its entry-point group
   `faultgym.dialects` instead.
3. Put a file that the real software wrote into `tests/data/imports/`, with the script that made it beside it, test that
   it is read, and add a line to the table in `docs/other-sources.md`.

Files that are no JSON text (archives, say) are opened by the dialect itself: see `FileForm`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from faultgym.agents.imports.normal import Conversation
from faultgym.agents.imports.reading import BadRecord, LogValue, UnreadableRecord
from faultgym.core.errors import UserError


@dataclass(frozen=True, slots=True)
class Mark:
    """What tells a value's dialect."""

    seen: str
    """As a person would look for it: `resourceSpans`, `messages.3: a tool_use block`."""
    plain: bool = False
    """Whether values of other dialects may have it too: then it counts only where nobody finds a mark of his own."""


@dataclass(frozen=True, slots=True)
class FoundChat:
    """A chat that a file holds, or the reason why there is none."""

    line: int
    """Where it begins, from 1."""
    chat: Conversation | BadRecord


class DialectReader(Protocol):
    """Reads one file. It never raises anything else than `BadRecord` for what a value can hold."""

    def take(self, value: LogValue) -> Iterable[FoundChat]:
        """What can be told as soon as the value is there.

        Raises:
            BadRecord: The value is none of the dialect; it is refused with its line.
        """

    def end(self) -> Iterable[FoundChat]:
        """What could not be told before the whole file was read."""


@dataclass(frozen=True, slots=True)
class FileForm:
    """Files that are no JSON text."""

    suffixes: tuple[str, ...]
    """Files of a folder that end so are taken, such as `.eval`."""
    claims: Callable[[Path], bool]
    """Whether a file is one, by what it holds. Never raises."""
    values: Callable[[Path], Iterator[LogValue | UnreadableRecord]]
    """What the file holds. Never raises for what a file can hold."""


def _no_item(value: Any) -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Dialect:
    """One way of writing chats down."""

    summary: str
    """What is read, in half a sentence: stands in the command line's help."""
    mark: Callable[[Any], Mark | None]
    """What tells that a value is of this dialect, None where it is not. Never raises, whatever the JSON value."""
    reader: Callable[[], DialectReader]
    """What reads a file: a new one each time."""
    is_item: Callable[[Any], bool] = _no_item
    """Whether a value is a piece of a chat, such as one message: a file that is a list of them is one value."""
    file: FileForm | None = None
    """Where files of the dialect are no JSON text."""


Conversations = Conversation | Iterable[Conversation | BadRecord]


def each_value(read: Callable[[Any], Conversations]) -> Callable[[], DialectReader]:
    """The `reader` of a dialect whose every value holds whole chats.

    Args:
        read: Gives the chat in a value, or all that are in it; raises `BadRecord` where it is none.
    """
    return lambda: _EachValue(read)


@dataclass(frozen=True, slots=True)
class _EachValue:
    read: Callable[[Any], Conversations]

    def take(self, value: LogValue) -> Iterator[FoundChat]:
        found = self.read(value.value)
        for chat in [found] if isinstance(found, Conversation) else found:
            yield FoundChat(value.line, chat)

    def end(self) -> Iterable[FoundChat]:
        return ()


def check_dialect(name: str, entry: Dialect) -> None:
    """The conformance check for a dialect of another package: what is no chat is neither claimed nor a reason to fall.

    Args:
        name: What the dialect is registered as; stands in the messages.
        entry: The dialect.

    Raises:
        UserError: It is no `Dialect`, its name is `auto`, `mark` raises or claims an empty value, or its reader raises
            anything else than `BadRecord`.
    """
    if not isinstance(entry, Dialect):
        raise UserError(f"dialect {name!r}: a {type(entry).__name__} is no Dialect (faultgym.agents.imports.dialect)")
    if name == "auto":
        raise UserError("dialect 'auto': that name means that the dialect is told by content; choose another")
    for value in _PROBES:
        try:
            if entry.mark(value) is not None and not value:
                raise UserError(f"dialect {name!r}: mark({value!r}) claims a value that says nothing")
            _read_probe(entry.reader(), LogValue("probe", 1, value))
        except UserError:
            raise
        except Exception as error:
            raise UserError(f"dialect {name!r} raises {type(error).__name__} on {value!r}: {error}") from error


_PROBES: tuple[Any, ...] = (None, True, 7, "text", [], {}, [[]], {"a": [1]}, [{"a": None}])


def _read_probe(reader: DialectReader, value: LogValue) -> None:
    with suppress(BadRecord):
        list(reader.take(value))
    list(reader.end())
