"""Log files into a run folder: every chat once, proven where it can be, and every refusal told.

RUN/plan.json                      `{"kind": "imported", ...}`
RUN/traces/segment-import-0.jsonl  the chats; none of them is a trace
RUN/refused.jsonl                  what could not be taken: file, line, reason
RUN/verified/                      a run of its own with the traces that re-execution gave
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from faultgym.agents.imports.chats import chats, log_files
from faultgym.agents.imports.imported import IMPORT_SCHEMA_VERSION, KIND, ImportedChat
from faultgym.agents.imports.reading import UnreadableRecord
from faultgym.agents.imports.reexecute import reexecute
from faultgym.agents.imports.registry import AUTO, DIALECTS
from faultgym.agents.storage.collection import collection
from faultgym.agents.storage.lines import MAX_LINE, encode
from faultgym.agents.storage.store import RunDirectory
from faultgym.agents.traces.schema import SCHEMA_VERSION
from faultgym.agents.traces.versions import OLDEST_VERSION

VERIFIED = "verified"


@dataclass(slots=True)
class ImportReport:
    """How many chats an import met."""

    unverified: int = 0
    verified: int = 0
    known: int = 0
    """In the folder already, or twice in the files."""
    differing: int = 0
    """Of the unverified: those that name a task, and came out otherwise when they were re-executed."""
    refused: int = 0
    empty: int = 0
    """Files that gave no chat at all."""


def take(
    paths: Iterable[Path],
    out: Path,
    format: str = AUTO,
    on_refused: Callable[[UnreadableRecord], None] | None = None,
    on_differing: Callable[[ImportedChat], None] | None = None,
) -> ImportReport:
    """Import log files into a folder.

    Args:
        paths: Log files, and folders of them.
        out: The folder, which may hold an earlier import: chats and refusals that are there already are only counted.
        format: The name of a dialect; `auto` tells each value's by its content.
        on_refused: Called with each part of a file that could not be taken.
        on_differing: Called with each chat that names a task and came out otherwise; its `difference` says where.

    Returns:
        How many chats were met, by what became of them.

    Raises:
        UserError: A path does not exist, there is no such dialect, or the folder holds anything else, is in use, or
            cannot be written.
    """
    if format != AUTO:
        DIALECTS.named(format)  # before a folder is made
    files = log_files(paths)
    with ExitStack() as stack:
        chosen = _Folder(collection(out, KIND, IMPORT_SCHEMA_VERSION), stack)
        proven = _Folder(collection(out / VERIFIED, VERIFIED, SCHEMA_VERSION, OLDEST_VERSION), stack)
        refused = stack.enter_context((out / "refused.jsonl").open("a+b"))
        noted = _noted(refused)
        taken = ImportReport()
        gave: set[Path] = set()
        for path, found in ((file, each) for file in files for each in chats(file, format)):
            if isinstance(found, UnreadableRecord):
                what: UnreadableRecord | None = found
            else:
                what = _taken(found, chosen, proven, taken, on_differing)
                gave.add(path)
            if what is not None:
                taken.refused += 1
                refusal = {"file": what.file, "line": what.line, "reason": what.reason}
                line = json.dumps(refusal).encode() + b"\n"  # a file's name may hold what UTF-8 has not
                if line not in noted:
                    noted.add(line)
                    refused.write(line)
                if on_refused is not None:
                    on_refused(what)
    taken.empty = len(set(files) - gave)
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


def _taken(
    chat: ImportedChat,
    chosen: _Folder,
    proven: _Folder,
    taken: ImportReport,
    on_differing: Callable[[ImportedChat], None] | None,
) -> UnreadableRecord | None:
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
    taken.differing += bool(chat.difference)
    if chat.difference and on_differing is not None:
        on_differing(chat)
    return None
