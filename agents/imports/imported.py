"""`ImportedChat`: a chat from elsewhere. It is no `Trace`: nothing in it is proven until it has been re-executed."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Literal

import msgspec
import orjson

from faultgym.agents.imports.named import NamedTask, named_task
from faultgym.agents.imports.normal import Conversation
from faultgym.agents.imports.reading import BadRecord
from faultgym.agents.traces.schema import MessageData, ToolSpecData
from faultgym.core.errors import TraceError
from faultgym.core.json import JSON
from faultgym.core.records import StoredRecord, declared, explained, restored
from faultgym.core.values import shallow
from faultgym.tools.types import ToolSpec

KIND = "imported"
"""Stands in every record and in the run's plan, so that nobody takes it for a trace."""
IMPORT_SCHEMA_VERSION = 1
"""Raised with every change to what a record holds or means."""


@dataclass(frozen=True, slots=True)
class ChatSource:
    """Where a chat comes from."""

    format: str
    """The name of its dialect."""
    file: str
    line: int
    """Where it begins, from 1."""
    name: str = ""
    """Its id there, where it has one."""


@dataclass(frozen=True, slots=True)
class ImportedChat:
    """One chat of a log."""

    chat_id: str
    """Hash of what was said, offered and named: the same chat in two files is one."""
    source: ChatSource
    model: str
    """As the log names it; empty where it does not."""
    messages: tuple[JSON, ...]
    """As in a trace's record."""
    tools: tuple[ToolSpec, ...]
    """What was offered; empty where the log does not say."""
    task: NamedTask | None = None
    """The task of faultgym that it names."""
    trace: str = ""
    """Id of the trace that re-execution gave; empty: unverified."""
    difference: str = ""
    """The first thing that came out otherwise when it was re-executed."""

    @property
    def verified(self) -> bool:
        """Whether re-execution proved every result."""
        return bool(self.trace)

    @classmethod
    def of(cls, conversation: Conversation, source: ChatSource) -> ImportedChat:
        """The chat, unverified.

        Args:
            conversation: What was read of the chat.
            source: Where the chat comes from.

        Raises:
            BadRecord: A value is one that JSON readers do not agree on, such as a whole number of more than 64 bits.
        """
        c = conversation
        tools = [spec.openai() for spec in c.tools]
        named = None if c.task is None else c.task.data()
        parts = [IMPORT_SCHEMA_VERSION, c.messages, tools, named, c.model]
        try:
            data = orjson.dumps(parts, option=orjson.OPT_SORT_KEYS)
        except TypeError as error:  # a whole number of more than 64 bits
            raise BadRecord(f"it cannot be stored: {error}") from None
        chat_id = f"{KIND}-{blake2b(data, digest_size=12).hexdigest()}"
        return cls(chat_id=chat_id, source=source, model=c.model, messages=c.messages, tools=c.tools, task=c.task)

    def to_record(self) -> JSON:
        """The chat as JSON values. The store knows records by `episode_id`."""
        return {
            "episode_id": self.chat_id,
            "kind": KIND,
            "schema_version": IMPORT_SCHEMA_VERSION,
            "verified": self.verified,
            "source": shallow(self.source),
            "model": self.model,
            "messages": list(self.messages),
            "tools": [spec.openai() for spec in self.tools],
            "task": None if self.task is None else self.task.data(),
            "trace": self.trace,
            "difference": self.difference,
        }

    @classmethod
    def from_record(cls, record: Any) -> ImportedChat:
        """The chat that a record holds.

        Raises:
            TraceError: The record is no imported chat; the error names the field and the reason.
        """
        try:
            data = msgspec.convert(record, _Data)
            named = named_task({"faultgym": data.task}) if data.task is not None else None
        except msgspec.ValidationError as error:
            raise TraceError(f"imported chat: {explained(record, _Data) or error}") from None
        except ValueError as error:
            raise TraceError(f"imported chat: {error}") from None
        return cls(
            chat_id=data.episode_id,
            source=restored(ChatSource, data.source),
            model=data.model,
            messages=tuple(msgspec.to_builtins(data.messages)),
            tools=tuple(restored(ToolSpec, tool.function) for tool in data.tools),
            task=named,
            trace=data.trace,
            difference=data.difference,
        )


_SourceData: Any = declared(ChatSource)


class _Data(StoredRecord, kw_only=True):
    episode_id: str
    kind: Literal["imported"]
    schema_version: Literal[1]
    verified: bool
    source: _SourceData
    model: str
    messages: list[MessageData]
    tools: list[ToolSpecData]
    task: dict[str, Any] | None
    trace: str
    difference: str
