"""Steps as an OpenAI-style chat, and back: the messages hold what was said, the rest what they cannot say.

A record stores each thing once. `split_steps` and `join_steps` are each other's inverse.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

import orjson

from faultgym.core.errors import TraceError
from faultgym.core.json import JSON
from faultgym.envs.episode import StepRecord
from faultgym.envs.messages.turn import Message, Turn
from faultgym.tools.context import Effect
from faultgym.tools.toolbox import CallRecord
from faultgym.tools.types import ToolCall, ToolResult

_SURROGATES = re.compile("[\ud800-\udfff]")
_SIMPLE = frozenset({str, int, bool, type(None)})
_MAX_DEPTH = 64
# Arguments nested deeper than `toolbox.MAX_DEPTH` are refused before anybody looks at what is down there.


def arguments_text(arguments: JSON) -> str:
    """The arguments as JSON text, from which `json.loads` gives them back.

    JSON has no half surrogate pairs, NaN or whole numbers beyond 64 bits in orjson's reading of it, so
    those go through the standard library's wider one. What is nested too deep for that is cut.
    """
    if all(type(value) in _SIMPLE for value in arguments.values()):
        try:
            return orjson.dumps(arguments).decode()
        except TypeError:
            pass
    try:
        text = json.dumps(arguments, ensure_ascii=False, separators=(",", ":"), default=repr)
    except RecursionError:
        text = json.dumps(_cut(arguments, 0), ensure_ascii=False, separators=(",", ":"), default=repr)
    if not text.isascii() and _SURROGATES.search(text):
        return json.dumps(json.loads(text), separators=(",", ":"))
    return text


def _cut(value: Any, depth: int) -> Any:
    if not isinstance(value, dict | list | tuple):
        return value
    if depth == _MAX_DEPTH:
        return []
    if isinstance(value, dict):
        return {key: _cut(item, depth + 1) for key, item in value.items()}
    return [_cut(item, depth + 1) for item in value]


def call_text(call: ToolCall) -> str:
    """The call's arguments as JSON text: as the model wrote them, where it wrote them."""
    if call.raw or call.arguments is None:
        return call.raw
    return arguments_text(call.arguments)


def storable(text: str) -> str:
    """The text with half surrogate pairs replaced: neither JSON in UTF-8 nor an API takes them."""
    if text.isascii() or not _SURROGATES.search(text):
        return text
    return _SURROGATES.sub("\ufffd", text)


def chat_messages(opening: Sequence[Message], steps: Sequence[StepRecord]) -> list[JSON]:
    """The whole chat as OpenAI-style messages: any API and any chat template takes them."""
    return split_steps(opening, steps)[0]


def split_steps(opening: Sequence[Message], steps: Sequence[StepRecord]) -> tuple[list[JSON], list[JSON]]:
    """(messages, for each turn what they do not say)."""
    messages: list[JSON] = [{"role": m.role, "content": storable(m.content)} for m in opening]
    rest: list[JSON] = []
    for step in steps:
        turn = step.turn
        said: JSON = {"role": "assistant", "content": storable(turn.text)}
        if turn.reasoning:
            said["reasoning_content"] = storable(turn.reasoning)
        messages.append(said)
        asked: list[JSON] = []
        calls: list[JSON] = []
        for record in step.calls:
            text, call_data = _call_rest(record)
            name, call_id = storable(record.call.name), storable(record.call.id)
            asked.append({"id": call_id, "type": "function", "function": {"name": name, "arguments": text}})
            content = storable(record.result.content)
            messages.append({"role": "tool", "tool_call_id": call_id, "name": name, "content": content})
            calls.append(call_data)
        if asked:
            said["tool_calls"] = asked
        data = {
            "finish_reason": storable(turn.finish_reason),
            "confidence": turn.confidence,
            "token_ids": None if turn.token_ids is None else list(turn.token_ids),
            "logprobs": None if turn.logprobs is None else list(turn.logprobs),
            "digest": step.digest,
            "calls": calls,
        }
        if turn.prompt_ids is not None:
            data["prompt_ids"], data["prompt_kept"] = list(turn.prompt_ids), turn.prompt_kept
        rest.append(data)
    return messages, rest


def _call_rest(record: CallRecord) -> tuple[str, JSON]:
    call = record.call
    text = call_text(call)
    data: JSON = {"form": "text" if call.arguments is None else "both" if call.raw else "object"}
    if call.arguments is not None and call.raw:
        parsed = arguments_text(call.arguments)
        if parsed != _reparsed(call.raw):
            data["parsed"] = parsed
    shown = storable(text)
    exact = {
        name: json.dumps(value)
        for name, value in (("id", call.id), ("name", call.name), ("content", record.result.content))
        if value is not storable(value)
    }
    if shown is not text:
        exact["arguments"] = json.dumps(text)
    if exact:
        data["exact"] = exact
    data["code"] = record.result.code
    data["tables"] = list(record.tables)
    data["write"] = record.write
    data["effects"] = [{"kind": e.kind, "table": e.table, "key": e.key, "values": e.values} for e in record.effects]
    data["faults"] = list(record.faults)
    data["at"] = record.at
    return shown, data


def _reparsed(raw: str) -> str:
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError):
        return ""
    return arguments_text(value) if isinstance(value, dict) else ""


def join_steps(messages: Sequence[JSON], rest: Sequence[JSON]) -> tuple[tuple[Message, ...], tuple[StepRecord, ...]]:
    """(opening, steps) from validated messages and what they do not say.

    Raises TraceError that names the message where the two do not belong together.
    """
    start = next((n for n, m in enumerate(messages) if m["role"] == "assistant"), len(messages))
    for number, message in enumerate(messages[:start]):
        if message["role"] == "tool":
            raise TraceError(f"messages.{number}: a result stands before the first turn")
    opening = tuple(Message(m["role"], m["content"]) for m in messages[:start])
    steps = []
    position = start
    for number, data in enumerate(rest):
        if position >= len(messages):
            raise TraceError(f"steps.{number}: there is no assistant message for it")
        step, position = _join_step(messages, position, data)
        steps.append(step)
    if position < len(messages):
        raise TraceError(f"messages.{position}: it belongs to none of the {len(rest)} steps")
    return opening, tuple(steps)


def _join_step(messages: Sequence[JSON], position: int, data: JSON) -> tuple[StepRecord, int]:
    said = messages[position]
    if said["role"] != "assistant":
        raise TraceError(f"messages.{position}: a turn is expected here, not the role {said['role']!r}")
    asked = said.get("tool_calls", [])
    if len(asked) != len(data["calls"]):
        raise TraceError(f"messages.{position}: {len(asked)} tool_calls, but its step has {len(data['calls'])} calls")
    answers = messages[position + 1 : position + 1 + len(asked)]
    pairs = zip(asked, data["calls"], strict=True)
    records = tuple(
        _join_call(call, answer, more, position + n)
        for n, (answer, (call, more)) in enumerate(zip(_padded(answers, len(asked)), pairs, strict=True), 1)
    )
    ids, logprobs = data["token_ids"], data["logprobs"]
    turn = Turn(
        said["content"],
        tuple(r.call for r in records),
        said.get("reasoning_content", ""),
        data["confidence"],
        data["finish_reason"],
        None if ids is None else tuple(ids),
        None if logprobs is None else tuple(float("-inf") if p is None else p for p in logprobs),
        tuple(data["prompt_ids"]) if "prompt_ids" in data else None,
        data.get("prompt_kept", 0),
    )
    return StepRecord(turn, records, data["digest"]), position + 1 + len(asked)


def _padded(answers: Sequence[JSON], count: int) -> Iterator[JSON | None]:
    yield from answers
    yield from [None] * (count - len(answers))


def _join_call(asked: JSON, answer: JSON | None, data: JSON, position: int) -> CallRecord:
    if answer is None or answer["role"] != "tool":
        raise TraceError(f"messages.{position}: the result of call {asked['id']!r} is missing")
    name, text = asked["function"]["name"], asked["function"]["arguments"]
    if (answer["tool_call_id"], answer["name"]) != (asked["id"], name):
        raise TraceError(f"messages.{position}: it answers another call than {name} {asked['id']!r}")
    given = {"id": asked["id"], "name": name, "arguments": text, "content": answer["content"]}
    given |= {key: _loaded(value, f"messages.{position}") for key, value in data.get("exact", {}).items()}
    text = given["arguments"]
    arguments: JSON | None = None
    if data["form"] != "text":
        arguments = _loaded(data.get("parsed", text), f"messages.{position - 1}: arguments")
        if not isinstance(arguments, dict):
            raise TraceError(f"messages.{position - 1}: the arguments of {name} are no JSON object")
    raw = "" if data["form"] == "object" else text
    call = ToolCall(given["id"], given["name"], arguments, raw)
    result = ToolResult(call.id, call.name, given["content"], data["code"])
    effects = tuple(Effect(e["kind"], e["table"], e["key"], e["values"]) for e in data["effects"])
    return CallRecord(
        call,
        result,
        tables=tuple(data["tables"]),
        write=data["write"],
        effects=effects,
        faults=tuple(data["faults"]),
        at=data["at"],
    )


def _loaded(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise TraceError(f"{where}: not valid JSON ({error})") from error
