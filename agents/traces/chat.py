"""Steps as an OpenAI-style chat, and back: the messages hold what was said, the rest what they cannot say.

A record stores each thing once. `split_steps` and `join_steps` are each other's inverse.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import msgspec
import orjson

from faultgym.agents.traces.schema import (
    AssistantMessage,
    CallData,
    FunctionData,
    MessageData,
    StepData,
    SystemMessage,
    ToolCallData,
    ToolMessage,
    UserMessage,
)
from faultgym.core.errors import TraceError
from faultgym.core.json import JSON
from faultgym.core.records import restored
from faultgym.core.text import has_surrogates, storable
from faultgym.envs.episode import StepRecord
from faultgym.envs.judging.answering import REMINDER
from faultgym.envs.messages.turn import Message, Turn
from faultgym.envs.messages.usage import Usage
from faultgym.tools.context import Effect
from faultgym.tools.toolbox import CallRecord
from faultgym.tools.types import ToolCall, ToolResult

_SIMPLE = frozenset({str, int, bool, type(None)})
_CONTAINERS = frozenset({dict, list})
_NESTED = _SIMPLE | _CONTAINERS
_SIMPLE_DEPTH = 8
_MAX_DEPTH = 64
# Arguments nested deeper than `toolbox.MAX_DEPTH` are refused before anybody looks at what is down there.
_OPENING: dict[str, type[SystemMessage | UserMessage]] = {"system": SystemMessage, "user": UserMessage}


def arguments_text(arguments: JSON) -> str:
    """The arguments as JSON text, from which `json.loads` gives them back.

    JSON has no half surrogate pairs, NaN or whole numbers beyond 64 bits in orjson's reading of it, so
    those go through the standard library's wider one. What is nested too deep for that is cut.

    Example:
        >>> arguments_text({"order": 7})
        '{"order":7}'
    """
    if _is_simple(arguments, _SIMPLE_DEPTH):
        try:
            return orjson.dumps(arguments).decode()
        except TypeError:
            pass
    try:
        text = json.dumps(arguments, ensure_ascii=False, separators=(",", ":"), default=repr)
    except RecursionError:
        text = json.dumps(_cut(arguments, 0), ensure_ascii=False, separators=(",", ":"), default=repr)
    return json.dumps(json.loads(text), separators=(",", ":")) if has_surrogates(text) else text


def _is_simple(value: Any, depth: int) -> bool:
    """Whether orjson and the standard library write the same text: no floats, and not deep."""
    items = value.values() if type(value) is dict else value
    if _SIMPLE.issuperset(map(type, items)):
        return True
    if not depth or not _NESTED.issuperset(map(type, items)):
        return False
    return all(_is_simple(item, depth - 1) for item in items if type(item) in _CONTAINERS)


def _cut(value: Any, depth: int) -> Any:
    if not isinstance(value, dict | list | tuple):
        return value
    if depth == _MAX_DEPTH:
        return []
    if isinstance(value, dict):
        return {key: _cut(item, depth + 1) for key, item in value.items()}
    return [_cut(item, depth + 1) for item in value]


def call_text(call: ToolCall) -> str:
    """The call's arguments as JSON text: as the model wrote them, where a model did."""
    if call.raw or call.arguments is None:
        return call.raw
    return arguments_text(call.arguments)


def chat_messages(opening: Sequence[Message], steps: Sequence[StepRecord]) -> list[JSON]:
    """The whole chat as OpenAI-style messages: any API and any chat template takes them.

    Args:
        opening: What came before the first turn.
        steps: The turns with their calls and results.
    """
    messages: list[JSON] = msgspec.to_builtins(split_steps(opening, steps)[0])
    return messages


def split_steps(
    opening: Sequence[Message], steps: Sequence[StepRecord], *, clean: bool = False
) -> tuple[list[MessageData], list[StepData]]:
    """Split steps into the messages of a chat and what those do not say.

    Args:
        opening: What came before the first turn.
        steps: The turns.
        clean: Whether no text is known to hold half a surrogate pair: none is looked for then.

    Returns:
        The messages, and one entry for each turn.
    """
    show = _as_it_is if clean else storable
    messages: list[MessageData] = [_OPENING[m.role](content=show(m.content)) for m in opening]
    rest: list[StepData] = []
    for step in steps:
        turn = step.turn
        asked: list[ToolCallData] = []
        calls: list[CallData] = []
        results: list[ToolMessage] = []
        for record in step.calls:
            call = record.call
            text = call_text(call)
            name, call_id, shown = show(call.name), show(call.id), show(text)
            function = FunctionData(name=name, arguments=shown)
            asked.append(ToolCallData(id=call_id, type="function", function=function))
            content = show(record.result.content)
            results.append(ToolMessage(tool_call_id=call_id, name=name, content=content))
            exact = {} if clean else _exact(call, text, record.result.content)
            calls.append(_call_data(record, exact))
        messages.append(
            AssistantMessage(content=show(turn.text), reasoning_content=show(turn.reasoning), tool_calls=asked)
        )
        messages += results
        if not results and step is not steps[-1]:
            messages.append(UserMessage(content=REMINDER))
        rest.append(_step_data(step, tuple(calls), show(turn.finish_reason)))
    return messages, rest


def _as_it_is(text: str) -> str:
    return text


def _step_data(step: StepRecord, calls: tuple[CallData, ...], finish_reason: str) -> StepData:
    turn = step.turn
    return StepData(
        finish_reason=finish_reason,
        confidence=turn.confidence,
        token_ids=turn.token_ids,
        logprobs=turn.logprobs,
        prompt_ids=msgspec.UNSET if turn.prompt_ids is None else turn.prompt_ids,
        prompt_kept=msgspec.UNSET if turn.prompt_ids is None else turn.prompt_kept,
        extra=turn.extra,
        usage=msgspec.UNSET if turn.usage is None else turn.usage,
        salvaged=turn.salvaged,
        digest=step.digest,
        calls=calls,
    )


def _call_data(record: CallRecord, exact: dict[str, str]) -> CallData:
    call = record.call
    return CallData(
        form="text" if call.arguments is None else "both" if call.raw else "object",
        parsed=_parsed(call.raw, call.arguments) if call.arguments is not None and call.raw else "",
        exact=exact,
        code=record.result.code,
        tables=record.tables,
        write=record.write,
        effects=record.effects,
        faults=record.faults,
        at=record.at,
    )


def _exact(call: ToolCall, text: str, content: str) -> dict[str, str]:
    """The texts that cannot be stored as they are, as escaped JSON."""
    parts = {"id": call.id, "name": call.name, "content": content, "arguments": text}
    return {name: json.dumps(value) for name, value in parts.items() if has_surrogates(value)}


def _parsed(raw: str, arguments: JSON) -> str:
    """The arguments as text where they are not those that the text gives; else nothing."""
    try:
        value = msgspec.json.decode(raw)
        # Equal values may still be of other types, `1` and `1.0`: then their texts differ.
        if value == arguments and orjson.dumps(value) == orjson.dumps(arguments):
            return ""
    except (TypeError, ValueError, RecursionError):
        pass
    parsed = arguments_text(arguments)
    return "" if parsed == _reparsed(raw) else parsed


def _reparsed(raw: str) -> str:
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError):
        return ""
    return arguments_text(value) if isinstance(value, dict) else ""


def join_steps(
    messages: Sequence[MessageData], rest: Sequence[StepData]
) -> tuple[tuple[Message, ...], tuple[StepRecord, ...]]:
    """Join messages and what they do not say: the inverse of `split_steps`.

    Args:
        messages: The whole chat.
        rest: One entry for each assistant message, in order.

    Returns:
        The opening and the steps.

    Raises:
        TraceError: The two do not belong together; the error names the message.
    """
    start = next((n for n, m in enumerate(messages) if type(m) is AssistantMessage), len(messages))
    opening = []
    for number, message in enumerate(messages[:start]):
        if isinstance(message, ToolMessage):
            raise TraceError(f"messages.{number}: a result stands before the first turn")
        opening.append(Message(_role(message), message.content))
    steps = []
    position = start
    for number, data in enumerate(rest):
        if position >= len(messages):
            raise TraceError(f"steps.{number}: there is no assistant message for it")
        step, position = _join_step(messages, position, data)
        steps.append(step)
        if not step.calls and number + 1 < len(rest):
            position = _after_reminder(messages, position)
    if position < len(messages):
        raise TraceError(f"messages.{position}: it belongs to none of the {len(rest)} steps")
    return tuple(opening), tuple(steps)


def _after_reminder(messages: Sequence[MessageData], position: int) -> int:
    """The place behind the reminder that a turn without calls was answered with."""
    reminder = messages[position] if position < len(messages) else None
    if not isinstance(reminder, UserMessage) or reminder.content != REMINDER:
        raise TraceError(f"messages.{position}: a turn without calls is the last one, or a reminder follows it")
    return position + 1


def _role(message: MessageData) -> str:
    return str(type(message).__struct_config__.tag)


def _join_step(messages: Sequence[MessageData], position: int, data: StepData) -> tuple[StepRecord, int]:
    turn = messages[position]
    if not isinstance(turn, AssistantMessage):
        raise TraceError(f"messages.{position}: a turn is expected here, not the role {_role(turn)!r}")
    asked, calls = turn.tool_calls, data.calls
    if len(asked) != len(calls):
        raise TraceError(f"messages.{position}: {len(asked)} tool_calls, but its step has {len(calls)} calls")
    end = position + 1
    records = []
    for call, more in zip(asked, calls, strict=True):
        answer = messages[end] if end < len(messages) else None
        if not isinstance(answer, ToolMessage):
            raise TraceError(f"messages.{end}: the result of call {call.id!r} is missing")
        records.append(_join_call(call, answer, more, end))
        end += 1
    logprobs, kept = data.logprobs, data.prompt_kept
    if logprobs is not None and None in logprobs:
        logprobs = tuple(float("-inf") if p is None else p for p in logprobs)
    joined = Turn(
        text=turn.content,
        tool_calls=tuple([record.call for record in records]),
        reasoning=turn.reasoning_content,
        confidence=data.confidence,
        finish_reason=data.finish_reason,
        token_ids=data.token_ids,
        logprobs=logprobs,  # type: ignore[arg-type]
        prompt_ids=None if data.prompt_ids is msgspec.UNSET else data.prompt_ids,
        prompt_kept=0 if kept is msgspec.UNSET else kept,
        extra=data.extra,
        usage=None if data.usage is msgspec.UNSET else restored(Usage, data.usage),
        salvaged=data.salvaged,
    )
    return StepRecord(joined, tuple(records), data.digest), end


def _join_call(asked: ToolCallData, answer: ToolMessage, data: CallData, position: int) -> CallRecord:
    name, call_id, text, content = asked.function.name, asked.id, asked.function.arguments, answer.content
    if answer.tool_call_id != call_id or answer.name != name:
        raise TraceError(f"messages.{position}: it answers another call than {name} {call_id!r}")
    if data.exact:
        parts = {"id": call_id, "name": name, "arguments": text, "content": content}
        parts |= {key: _loaded(value, f"messages.{position}") for key, value in data.exact.items()}
        name, call_id, text, content = parts["name"], parts["id"], parts["arguments"], parts["content"]
    arguments: JSON | None = None
    if data.form != "text":
        arguments = _loaded(data.parsed or text, f"messages.{position - 1}: arguments")
        if not isinstance(arguments, dict):
            raise TraceError(f"messages.{position - 1}: the arguments of {name} are no JSON object")
    call = ToolCall(call_id, name, arguments, "" if data.form == "object" else text)
    return CallRecord(
        call=call,
        result=ToolResult(call_id, name, content, data.code),
        tables=data.tables,
        write=data.write,
        effects=tuple([restored(Effect, effect) for effect in data.effects]) if data.effects else (),
        faults=data.faults,
        at=data.at,
    )


def _loaded(text: str, where: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except (ValueError, RecursionError):  # what the standard library's wider JSON may hold all the same
        pass
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise TraceError(f"{where}: not valid JSON ({error})") from error
