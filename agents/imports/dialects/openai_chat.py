"""Chat logs in OpenAI's form, with the variants that are around.

`{"messages": [...], "tools": [...]}` is the plain case. Also read: a bare list of messages, `functions` and
`function_call` as they were before tools, content in parts, arguments as an object, calls without ids,
`reasoning_content` and its other names, and a request with its `response` beside it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from faultgym.agents.imports.dialect import Dialect, Mark, each_value
from faultgym.agents.imports.named import named_task
from faultgym.agents.imports.normal import (
    Conversation,
    ImportedCall,
    ImportedMessage,
    ImportedResult,
    ListedFunction,
    Part,
    chat_of,
)
from faultgym.agents.imports.reading import BadRecord, explained, loads
from faultgym.agents.traces.chat import arguments_text
from faultgym.tools.types import ToolSpec


class _In(BaseModel):
    """What is not named here is not ours, and passed over.

    Long lists stop at their first error: a file of millions of wrong values must not cost gigabytes.
    """

    model_config = ConfigDict(extra="ignore")


class _Piece(_In):
    type: str
    text: str | None = None
    refusal: str | None = None
    thinking: str | None = None


class _Function(_In):
    name: Annotated[str, Field(min_length=1)]
    arguments: str | dict[str, Any] | None = None


class _Call(_In):
    id: str | None = None
    type: Literal["function"] | None = "function"
    function: _Function


class _Message(_In):
    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | Annotated[list[_Piece | str], Field(fail_fast=True)] | dict[str, Any] | None = None
    reasoning_content: str | None = None
    reasoning: Any = None
    thinking: Any = None
    refusal: str | None = None
    name: str | None = None
    tool_call_id: str | None = None
    tool_calls: Annotated[list[_Call], Field(fail_fast=True)] | None = None
    function_call: _Function | None = None


class _Tool(_In):
    type: Literal["function"] | None = "function"
    function: ListedFunction


class _Choice(_In):
    message: _Message


class _Response(_In):
    choices: Annotated[list[_Choice], Field(min_length=1, max_length=1)]
    model: str | None = None


class _Record(_In):
    messages: Annotated[list[_Message], Field(min_length=1, fail_fast=True)]
    tools: Annotated[list[_Tool | ListedFunction], Field(fail_fast=True)] | None = None
    functions: Annotated[list[ListedFunction], Field(fail_fast=True)] | None = None
    model: str | None = None
    metadata: dict[str, Any] | None = None
    id: str | int | None = None
    custom_id: str | None = None
    response: _Response | None = None
    choices: Annotated[list[_Choice], Field(min_length=1, max_length=1)] | None = None


def openai_conversation(value: Any) -> Conversation:
    """The chat in one record.

    Args:
        value: JSON values: an object with `messages`, or a bare list of them.

    Raises:
        BadRecord: The record is no chat; the error names the field and the reason.

    Example:
        >>> said = openai_conversation([{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}])
        >>> said.messages[1]
        {'role': 'assistant', 'content': 'Hello'}
    """
    try:
        record = _Record.model_validate(_flattened(value))
    except ValidationError as error:
        raise explained(error) from None
    said = list(record.messages)
    choices = record.choices or (record.response.choices if record.response else [])
    said += [choice.message for choice in choices]
    model = (record.response.model if record.response else None) or record.model or ""
    return Conversation(
        chat_of(list(_parts(said))),
        tool_specs(record.tools or record.functions or []),
        model,
        str(record.custom_id or record.id or ""),
        named_task(record.metadata),
    )


def _flattened(value: Any) -> Any:
    """The record with its request's fields at the top, and texts of JSON read."""
    if isinstance(value, list):
        return {"messages": value}
    if not isinstance(value, dict):
        raise BadRecord(f"a chat is a JSON object or a list of messages, not {type(value).__name__}")
    flat = dict(value)
    for wrapper in ("request", "body"):
        if isinstance(flat.get(wrapper), dict) and "messages" in flat[wrapper]:
            flat = {**flat, **flat[wrapper]}
    if isinstance(flat.get("response"), dict) and isinstance(flat["response"].get("body"), dict):
        flat["response"] = flat["response"]["body"]
    for name in ("messages", "tools", "metadata"):
        if isinstance(flat.get(name), str):
            try:
                flat[name] = loads(flat[name])
            except BadRecord as error:
                raise BadRecord(f"{name}: {error}") from None
    return flat


def _parts(messages: list[_Message]) -> Iterator[Part]:
    for number, message in enumerate(messages):
        text = _text(message.content, f"messages.{number}.content")
        if message.role in ("tool", "function"):
            yield ImportedResult(message.tool_call_id or "", message.name or "", text)
        elif message.role == "assistant":
            yield ImportedMessage("assistant", text or message.refusal or "", _reasoning(message), _calls(message))
        else:
            yield ImportedMessage("user" if message.role == "user" else "system", text)


def _text(content: str | list[_Piece | str] | dict[str, Any] | None, where: str) -> str:
    if content is None or isinstance(content, str):
        return content or ""
    if isinstance(content, dict):
        return orjson.dumps(content).decode()
    texts = []
    for number, piece in enumerate(content):
        text = piece if isinstance(piece, str) else "" if piece.type == "thinking" else piece.text or piece.refusal
        if text is None:
            kind = "" if isinstance(piece, str) else piece.type
            raise BadRecord(f"{where}.{number}: only text is read, not {kind!r:.60}")
        texts.append(text)
    return "".join(texts)


def _reasoning(message: _Message) -> str:
    for given in (message.reasoning_content, message.reasoning, message.thinking):
        if isinstance(given, str) and given:
            return given
    pieces = message.content if isinstance(message.content, list) else []
    return "".join(piece.thinking or "" for piece in pieces if isinstance(piece, _Piece))


def _calls(message: _Message) -> tuple[ImportedCall, ...]:
    calls = [
        ImportedCall(call.id or "", call.function.name, _arguments(call.function)) for call in message.tool_calls or []
    ]
    if message.function_call is not None and not calls:
        calls = [ImportedCall("", message.function_call.name, _arguments(message.function_call))]
    return tuple(calls)


def _arguments(function: _Function) -> str:
    if isinstance(function.arguments, dict):
        return arguments_text(function.arguments)
    return function.arguments or "{}"


def tool_specs(tools: list[_Tool | ListedFunction] | list[ListedFunction]) -> tuple[ToolSpec, ...]:
    """The tools that a log lists."""
    return tuple(tool.function.spec if isinstance(tool, _Tool) else tool.spec for tool in tools)


def _mark(value: Any) -> Mark | None:
    """Plain: other dialects have `messages` too."""
    if isinstance(value, list) and value and all(map(_is_message, value)):
        return Mark("a list of messages", plain=True)
    if not isinstance(value, dict):
        return None
    if "messages" in value:
        return Mark("messages", plain=True)
    for wrapper in ("request", "body"):
        if isinstance(value.get(wrapper), dict) and "messages" in value[wrapper]:
            return Mark(f"{wrapper}.messages", plain=True)
    return None


def _is_message(value: Any) -> bool:
    return isinstance(value, dict) and "role" in value and "messages" not in value


DIALECT = Dialect(
    "OpenAI chat completions: messages with tool_calls", _mark, each_value(openai_conversation), is_item=_is_message
)
