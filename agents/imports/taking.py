"""Log files into a run folder: every chat once, proven where it can be, and every refusal told.

RUN/plan.json                      `{"kind": "imported", ...}`
RUN/traces/segment-import-0.jsonl  the chats; none of them is a trace
RUN/refused.jsonl                  what could not be taken: file, line, reason
RUN/verified/                      a run of its own with the traces that re-execution gave
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, Literal

from faultgym.agents.imports.imported import IMPORT_SCHEMA_VERSION, KIND, ChatSource, ImportedChat
from faultgym.agents.imports.openai_chat import openai_conversation
from faultgym.agents.imports.otel import groups, otel_conversations
from faultgym.agents.imports.otlp import Record, is_otlp, records
from faultgym.agents.imports.reading import BadRecord, LogValue, UnreadableRecord, read_values
from faultgym.agents.imports.reexecute import reexecute
from faultgym.agents.storage.collection import collection
from faultgym.agents.storage.lines import MAX_LINE, encode
from faultgym.agents.storage.store import RunDirectory
from faultgym.agents.traces.schema import SCHEMA_VERSION
from faultgym.agents.traces.versions import OLDEST_VERSION
from faultgym.core.errors import UserError

Format = Literal["auto", "openai", "otel"]
SUFFIXES = (".json", ".jsonl", ".ndjson")
"""Files that are taken from a folder."""
VERIFIED = "verified"


@dataclass(slots=True)
class ImportReport:
    """How many chats an import met."""

    unverified: int = 0
    verified: int = 0
    known: int = 0
    """In the folder already, or twice in the files."""
    refused: int = 0


def log_files(paths: Iterable[Path]) -> list[Path]:
    """The files that the paths name: of a folder, those that end as logs do.

    Raises:
        UserError: A path does not exist, or a folder holds no such file.
    """
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = sorted(p for p in path.iterdir() if p.suffix in SUFFIXES and p.is_file())
            if not inside:
                raise UserError(f"{path} holds no file that ends in {', '.join(SUFFIXES)}; name the files themselves")
            found += inside
        elif path.exists():
            found.append(path)
        else:
            raise UserError(f"{path} does not exist; name a log file, or a folder of them")
    return found


def chats(path: Path, format: Format = "auto") -> Iterator[ImportedChat | UnreadableRecord]:
    """The chats of one file, unverified. Never raises for what a file can hold.

    Memory is that of one record; for OpenTelemetry, that of the file's spans about generative AI, because the
    spans of one chat may stand anywhere in the file.

    Args:
        path: The log file.
        format: `auto` tells the two apart by their records.

    Yields:
        A chat, or a part of the file that cannot be taken, with the reason.
    """
    spans: list[Record] = []
    for found in read_values(path):
        if isinstance(found, UnreadableRecord):
            yield found
            continue
        try:
            if format == "otel" or (format == "auto" and is_otlp(found.value)):
                for each in records(found.value, found.line):
                    if isinstance(each, Record):
                        spans.append(each)
                    else:
                        yield UnreadableRecord(found.file, found.line, str(each))
            else:
                yield _chat(found)
        except BadRecord as error:
            yield UnreadableRecord(found.file, found.line, str(error))
    for group in groups(spans):
        source = ChatSource("otel", str(path), group.line, group.name)
        for conversation in otel_conversations(group):
            try:
                if isinstance(conversation, BadRecord):
                    raise conversation
                yield ImportedChat.of(conversation, source)
            except BadRecord as error:
                yield UnreadableRecord(source.file, source.line, str(error))


def _chat(found: LogValue) -> ImportedChat:
    conversation = openai_conversation(found.value)
    return ImportedChat.of(conversation, ChatSource("openai", found.file, found.line, conversation.name))


def take(
    paths: Iterable[Path],
    out: Path,
    format: Format = "auto",
    on_refused: Callable[[UnreadableRecord], None] | None = None,
) -> ImportReport:
    """Import log files into a folder.

    Args:
        paths: Log files, and folders of them.
        out: The folder, which may hold an earlier import: chats and refusals that are there already are only counted.
        format: `auto` tells the formats apart by their records.
        on_refused: Called with each part of a file that could not be taken.

    Returns:
        How many chats were met, by what became of them.

    Raises:
        UserError: A path does not exist, or the folder holds anything else, is in use, or cannot be written.
    """
    files = log_files(paths)
    with ExitStack() as stack:
        chosen = _Folder(collection(out, KIND, IMPORT_SCHEMA_VERSION), stack)
        proven = _Folder(collection(out / VERIFIED, VERIFIED, SCHEMA_VERSION, OLDEST_VERSION), stack)
        refused = stack.enter_context((out / "refused.jsonl").open("a+b"))
        noted = _noted(refused)
        taken = ImportReport()
        for found in (each for path in files for each in chats(path, format)):
            what = found if isinstance(found, UnreadableRecord) else _taken(found, chosen, proven, taken)
            if what is not None:
                taken.refused += 1
                refusal = {"file": what.file, "line": what.line, "reason": what.reason}
                line = json.dumps(refusal).encode() + b"\n"  # a file's name may hold what UTF-8 has not
                if line not in noted:
                    noted.add(line)
                    refused.write(line)
                if on_refused is not None:
                    on_refused(what)
    return taken


def _noted(refused: BinaryIO) -> set[bytes]:
    """The refusals of imports before, a line each; what a crash cut short at the end is cut off."""
    refused.seek(0)
    lines = refused.readlines()
    if lines and not lines[-1].endswith(b"\n"):
        refused.truncate(sum(map(len, lines[:-1])))
        del lines[-1]
    return set(lines)


class _Folder:
    """A run that is added to: locked, repaired, and with the ids that it holds."""

    def __init__(self, run: RunDirectory, stack: ExitStack) -> None:
        stack.enter_context(run.lock())
        run.repair()
        self.known = run.committed()
        self._writer = stack.enter_context(run.writer("import"))

    def add(self, name: str, line: bytes) -> bool:
        """Store a record of that id unless it is there; False when it is too large to be stored."""
        if name in self.known:
            return True
        if len(line) > MAX_LINE:
            return False
        self._writer.append_line(line)
        self.known.add(name)
        return True


def _taken(chat: ImportedChat, chosen: _Folder, proven: _Folder, taken: ImportReport) -> UnreadableRecord | None:
    """Store one chat, with what re-execution says of it; its trace comes first, so that it is never named in vain."""
    if chat.chat_id in chosen.known:
        taken.known += 1
        return None
    if chat.task is not None:
        result = reexecute(chat)
        found = result.trace
        if found is not None and proven.add(found.episode_id, found.to_line()):
            chat = replace(chat, trace=found.episode_id)
        else:
            chat = replace(chat, difference=result.difference or "its trace is too large to be stored")
    if not chosen.add(chat.chat_id, encode(chat.to_record())):
        return UnreadableRecord(chat.source.file, chat.source.line, f"a chat of more than {MAX_LINE:,} bytes")
    taken.verified += chat.verified
    taken.unverified += not chat.verified
    return None
