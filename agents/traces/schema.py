"""A trace as JSON: one declaration for the validation of records and for the published JSON Schema."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired, TypeVar

from pydantic import ConfigDict, Field, TypeAdapter, with_config
from typing_extensions import TypedDict

from faultgym.core.json import JSON

SCHEMA_VERSION = 1
"""Raised with every change to what a record holds or means."""
SCHEMA_ID = f"urn:faultgym:trace:{SCHEMA_VERSION}"

T = TypeVar("T", bound=type)


def _declared(declaration: T) -> T:
    config = ConfigDict(extra="forbid", strict=True, use_attribute_docstrings=True)
    return with_config(config)(declaration)


Count = Annotated[int, Field(ge=0)]
Seconds = Annotated[float, Field(ge=0)]


@_declared
class FunctionData(TypedDict):
    """A function as OpenAI's API writes it."""

    name: str
    arguments: str
    """JSON text as the model wrote it, or of the object that a scripted policy gave."""


@_declared
class ToolCallData(TypedDict):
    """A call as OpenAI's API writes it."""

    id: str
    type: Literal["function"]
    function: FunctionData


@_declared
class TextMessage(TypedDict):
    """What the agent is told before it begins."""

    role: Literal["system", "user"]
    content: str


@_declared
class AssistantMessage(TypedDict):
    """A turn of the agent; without calls, it is the final one."""

    role: Literal["assistant"]
    content: str
    reasoning_content: NotRequired[str]
    tool_calls: NotRequired[Annotated[list[ToolCallData], Field(min_length=1)]]


@_declared
class ToolMessage(TypedDict):
    """What the agent got back from one call."""

    role: Literal["tool"]
    tool_call_id: str
    name: str
    content: str


MessageData = Annotated[TextMessage | AssistantMessage | ToolMessage, Field(discriminator="role")]


@_declared
class FunctionSpec(TypedDict):
    """A tool's name, description and JSON Schema of its arguments."""

    name: str
    description: str
    parameters: dict[str, Any]


@_declared
class ToolSpecData(TypedDict):
    """A tool in the form of OpenAI's `tools` parameter."""

    type: Literal["function"]
    function: FunctionSpec


@_declared
class ToolsRemoved(TypedDict):
    """Tools that were no longer offered."""

    step: Count
    """The first step without them."""
    removed: list[str]


@_declared
class TaskData(TypedDict):
    """Which task it was."""

    id: str
    suite: str
    template: str
    split: str
    index: Count
    style: Literal["http", "tools"]
    phrasing: Count
    answerable: bool
    needs_tools: bool


@_declared
class SeedsData(TypedDict):
    """Where randomness came from."""

    world: Count
    fault: Count
    policy: Count


@_declared
class FingerprintsData(TypedDict):
    """What must be the same for a replay to be possible."""

    package: str
    """Version of faultgym."""
    suite: int
    """Version of the suite."""
    world: str
    """Hash of the database as it was built."""
    schedule: str
    """Hash of the schedule."""


@_declared
class LimitsData(TypedDict):
    """The budgets; null is no limit."""

    turns: Count | None
    calls: Count | None
    tokens: Count | None
    virtual_seconds: Seconds | None
    wall_seconds: Seconds | None


@_declared
class ScheduledFaultData(TypedDict):
    """One entry of the explicit schedule: what was planned."""

    id: Count
    kind: str
    tool: str
    route: str
    match: list[Annotated[list[str], Field(min_length=2, max_length=2)]]
    """(argument, text) pairs."""
    ordinals: list[Count]
    onward: Count
    seconds: Annotated[list[float], Field(min_length=2, max_length=2)] | None
    after_write: bool
    params: dict[str, Any]


@_declared
class FaultEventData(TypedDict):
    """A fault that really fired."""

    fault: Count
    """The id of the schedule's entry."""
    kind: str
    contract: str
    channel: str
    tool: str
    route: str
    write: bool
    tables: list[str]
    step: Count
    call: Count
    at: Seconds
    detail: dict[str, Any]


@_declared
class EffectData(TypedDict):
    """A customer-visible write that really happened."""

    kind: str
    table: str
    key: str
    values: dict[str, Any]


@_declared
class CallData(TypedDict):
    """What the chat's messages do not say of a call and its result."""

    form: Literal["object", "text", "both"]
    """How the policy gave the arguments."""
    parsed: NotRequired[str]
    """With the form `both`: the arguments that counted, where they differ from the text."""
    exact: NotRequired[dict[str, str]]
    """Texts with half surrogate pairs, as escaped JSON: the messages show U+FFFD instead."""
    code: str
    tables: list[str]
    write: bool
    effects: list[EffectData]
    faults: list[Count]
    """Indices into `events`."""
    at: Seconds
    """Virtual time when it returned."""


@_declared
class StepData(TypedDict):
    """What the chat's messages do not say of a turn."""

    finish_reason: str
    confidence: float | None
    token_ids: list[int] | None
    logprobs: list[float | None] | None
    """One per sampled token; null for minus infinity."""
    prompt_ids: NotRequired[list[int]]
    """Tokens of the prompt after the first `prompt_kept`, where the server returned them."""
    prompt_kept: NotRequired[Count]
    """How many tokens of the step before, prompt and sampled, the prompt begins with: fewer than all is drift."""
    digest: str
    """Of the customer-visible state after the turn."""
    calls: list[CallData]


@_declared
class ChangeData(TypedDict):
    """A customer-visible difference to the world as it was built."""

    op: Literal["insert", "update", "delete"]
    table: str
    key: str
    values: dict[str, Any]


@_declared
class VerdictData(TypedDict):
    """How the episode ended, and why it counts as it does."""

    success: bool
    reported: bool
    missing_atoms: list[str]
    rivals: list[str]
    missing_changes: list[ChangeData]
    extra_changes: list[ChangeData]
    duplicate_changes: list[ChangeData]
    reason: str


@_declared
class FailureData(TypedDict):
    """What broke on our side; the episode says nothing about its policy."""

    type: str
    message: str
    where: list[str]
    """The last places of the traceback, innermost last."""
    attempts: Annotated[int, Field(ge=1)]


@_declared
class CountsData(TypedDict):
    """Derived from the steps, for those who read records without faultgym."""

    turns: Count
    calls: Count
    tokens: Count | None
    """Sampled tokens; null where the server did not return them."""
    seconds: Seconds
    """Virtual seconds."""


@_declared
class TraceData(TypedDict):
    """One episode as faultgym stores it: one line of a segment."""

    episode_id: Annotated[str, Field(min_length=1)]
    """Hash of what defines the episode: task, faults, policy, seeds, trial, limits, versions."""
    schema_version: Literal[1]
    task: TaskData
    faults: str | dict[str, Any]
    """The preset's name, or the plan."""
    policy: dict[str, Any]
    seeds: SeedsData
    trial: Count
    limits: LimitsData
    fingerprints: FingerprintsData
    messages: list[MessageData]
    """The whole chat in OpenAI's form."""
    tools: list[ToolSpecData]
    """Offered at the first step."""
    tool_changes: list[ToolsRemoved]
    steps: list[StepData]
    """One for each assistant message, in order."""
    schedule: list[ScheduledFaultData]
    events: list[FaultEventData]
    verdict: VerdictData | None
    stop: str
    """`final`, a budget's name, `left` by a person, or `harness_error`."""
    harness_error: FailureData | None
    counts: CountsData


RECORD: TypeAdapter[TraceData] = TypeAdapter(TraceData)
MESSAGES: TypeAdapter[list[MessageData]] = TypeAdapter(list[MessageData])


def trace_schema() -> JSON:
    """The JSON Schema (2020-12) of a record."""
    head = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": SCHEMA_ID,
        "title": "faultgym trace",
    }
    schema = _untitled(RECORD.json_schema())
    return {**head, **{name: value for name, value in schema.items() if name != "title"}}


def _untitled(schema: Any) -> Any:
    """Without pydantic's generated titles, and without `discriminator`, which is OpenAPI's."""
    if isinstance(schema, list):
        return [_untitled(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        name: _untitled(value)
        for name, value in schema.items()
        if not (name == "title" and isinstance(value, str))
        and not (name == "discriminator" and "propertyName" in value)
    }
