"""A trace as JSON: the one declaration of a record. The published JSON Schema follows from it.

A record stores each thing once: the messages hold the chat in OpenAI's form, the steps what a chat cannot say.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Raw, UnsetType, field

from faultgym.agents.traces.parts import Fingerprints, HarnessFailure, Seeds, TaskInfo
from faultgym.core.records import Count, Seconds, StoredRecord, declared
from faultgym.envs.judging.form import Answers
from faultgym.envs.judging.goal import Verdict
from faultgym.envs.limits import Limits
from faultgym.envs.messages.usage import Usage
from faultgym.envs.worlds.changes import Change
from faultgym.tools.context import Effect
from faultgym.tools.faults.types import FaultEvent, ScheduledFault
from faultgym.tools.types import ToolSpec

SCHEMA_VERSION = 4
"""Raised with every change to what a record holds or means; `versions` reads the ones before."""


class SystemMessage(StoredRecord, tag_field="role", tag="system"):
    """What the agent is told of its work before it begins."""

    content: str


class UserMessage(StoredRecord, tag_field="role", tag="user"):
    """What the agent is asked."""

    content: str


class FunctionData(StoredRecord):
    """A function as OpenAI's API writes it."""

    name: str
    arguments: str
    """JSON text as the model wrote it, or of the object that a scripted policy gave."""


class ToolCallData(StoredRecord):
    """A call as OpenAI's API writes it."""

    id: str
    type: Literal["function"]
    function: FunctionData


class AssistantMessage(StoredRecord, tag_field="role", tag="assistant"):
    """A turn of the agent; without calls, it is the final one."""

    content: str
    reasoning_content: str = ""
    tool_calls: Annotated[list[ToolCallData], Meta(min_length=1)] = field(default_factory=list)


class ToolMessage(StoredRecord, tag_field="role", tag="tool"):
    """What the agent got back from one call."""

    tool_call_id: str
    name: str
    content: str


MessageData = SystemMessage | UserMessage | AssistantMessage | ToolMessage
FunctionSpec: Any = declared(ToolSpec)


class ToolSpecData(StoredRecord):
    """A tool in the form of OpenAI's `tools` parameter."""

    type: Literal["function"]
    function: FunctionSpec


class ToolsChanged(StoredRecord):
    """Tools that were no longer offered, or that took an argument under another name."""

    step: Count
    """The first step of which this is true."""
    removed: tuple[str, ...]
    renamed: dict[str, dict[str, str]] = field(default_factory=dict)
    """Tool -> the name of an argument before -> its name now."""


EffectData: Any = declared(Effect)
ChangeData: Any = declared(Change, values=dict[str, Any])
_Changes: Any = tuple[ChangeData, ...]
VerdictData: Any = declared(Verdict, missing_changes=_Changes, extra_changes=_Changes, duplicate_changes=_Changes)
TaskData: Any = declared(TaskInfo)
SeedsData: Any = declared(Seeds)
LimitsData: Any = declared(Limits)
FingerprintsData: Any = declared(Fingerprints)
ScheduledFaultData: Any = declared(ScheduledFault)
FaultEventData: Any = declared(FaultEvent)
FailureData: Any = declared(HarnessFailure)
UsageData: Any = declared(Usage)


class CallData(StoredRecord, kw_only=True):
    """What the chat's messages do not say of a call and its result."""

    form: Literal["object", "text", "both"]
    """How the policy gave the arguments."""
    parsed: str = ""
    """With the form `both`: the arguments that counted, where they differ from the text."""
    exact: dict[str, str] = field(default_factory=dict)
    """Texts with half surrogate pairs, as escaped JSON: the messages show U+FFFD instead."""
    code: str
    tables: tuple[str, ...]
    write: bool
    effects: tuple[EffectData, ...]
    faults: tuple[Count, ...]
    """Indices into `events`."""
    at: Seconds
    """Virtual time when it returned."""


class StepData(StoredRecord, kw_only=True):
    """What the chat's messages do not say of a turn."""

    finish_reason: str
    confidence: float | None
    token_ids: tuple[int, ...] | None
    logprobs: tuple[float | None, ...] | None
    """One per sampled token; null for minus infinity."""
    prompt_ids: tuple[int, ...] | UnsetType = UNSET
    """Tokens of the prompt after the first `prompt_kept`, where the server returned them."""
    prompt_kept: Count | UnsetType = UNSET
    """How many tokens of the step before, prompt and sampled, the prompt begins with: fewer than all is drift."""
    extra: str = ""
    """JSON object of what the server's message had beyond the turn, or otherwise: sent back with it."""
    usage: UsageData | UnsetType = UNSET
    """Tokens as the server counted them, where it did."""
    salvaged: bool = False
    """Whether the calls stood in the text or the thoughts of a server that should have read them, and did not."""
    digest: str
    """Of the customer-visible state after the turn."""
    calls: tuple[CallData, ...]


class CountsData(StoredRecord, kw_only=True):
    """Derived from the steps, for those who read records without faultgym."""

    turns: Count
    calls: Count
    tokens: Count | None
    """Sampled tokens; null where the server neither returned nor counted them."""
    seconds: Seconds
    """Virtual seconds."""


class TraceRecord(StoredRecord, kw_only=True):
    """One episode as faultgym stores it: one line of a segment."""

    episode_id: Annotated[str, Meta(min_length=1)]
    """Hash of what defines the episode: task, faults, policy, seeds, trial, limits, versions."""
    schema_version: Literal[4]
    task: TaskData
    faults: str | dict[str, Any]
    """The preset's name, or the plan."""
    policy: dict[str, Any]
    seeds: SeedsData
    trial: Count
    limits: LimitsData
    fingerprints: FingerprintsData
    answers: Answers
    """How the episode ends: by a call of the tool `answer`, or by a turn without calls."""
    messages: tuple[MessageData, ...]
    """The whole chat in OpenAI's form."""
    tools: tuple[ToolSpecData, ...]
    """Offered at the first step."""
    tool_changes: tuple[ToolsChanged, ...]
    steps: tuple[StepData, ...]
    """One for each assistant message, in order."""
    schedule: tuple[ScheduledFaultData, ...]
    """What was planned to fail."""
    events: tuple[FaultEventData, ...]
    """What failed."""
    verdict: VerdictData | None
    stop: str
    """`final`; `length`, `context_overflow` or `content_filter` where the last turn was cut short; a budget's name;
    `left` by a person; or `harness_error`."""
    harness_error: FailureData | None
    counts: CountsData


class TraceLine(TraceRecord, kw_only=True):
    """The same as it is written and read: the tools, most of a line and the same for many, are kept as JSON."""

    tools: Raw  # type: ignore[assignment]
