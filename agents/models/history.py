"""What an assistant's turn is in the chat that goes back to a server: built here for every turn, whoever took it.

A turn that is live, one of a stored trace, and one before a fork become the same message, byte for byte. What a
server's message had beyond what a turn says (signatures, details of thoughts, the field that thoughts stood in) is the
turn's `extra`, and goes back as it came.
"""

from __future__ import annotations

import re
from typing import Any

import orjson

from faultgym.agents.traces.chat import call_text
from faultgym.core.json import JSON
from faultgym.core.text import storable
from faultgym.envs.messages.turn import Turn
from faultgym.tools.types import ToolCall

THOUGHTS = ("reasoning_content", "reasoning")
"""Names under which servers give thoughts apart from the text; the first is that of turns which no server took."""
_THOUGHTS_IN, _FIELDS, _CALLS = "thoughts_in", "fields", "calls"
"""Parts of an `extra`: the name that the thoughts had, where it was another than the first; fields of the message; and
further fields of each call, or null for a message whose calls stand in its text."""
_NAME = re.compile(r"[\w.:/-]{1,128}")
_UNNAMED = "unnamed"


def called(name: str) -> str:
    """The name of a tool as every server takes it in a history: some refuse spaces, and all an empty one.

    Example:
        >>> called("get_order"), called("get order"), called("")
        ('get_order', 'get_order', 'unnamed')
    """
    if _NAME.fullmatch(name):
        return storable(name)
    return re.sub(r"[^\w.:/-]", "_", storable(name))[:128] or _UNNAMED


def asked(call: ToolCall) -> JSON:
    """The call as a history holds it. Servers parse the arguments again, so those are the text of an object.

    Example:
        >>> asked(ToolCall("a", "look", None, '{"order": 7'))["function"]["arguments"]
        '{"unparsed":"{\\\\"order\\\\": 7"}'
    """
    text = storable(call_text(call))
    if not _is_object(text):
        text = orjson.dumps({"unparsed": text}).decode()
    return {"id": storable(call.id), "type": "function", "function": {"name": called(call.name), "arguments": text}}


def _is_object(text: str) -> bool:
    try:
        return isinstance(orjson.loads(text), dict)
    except ValueError:
        return False


def assistant_message(turn: Turn) -> JSON:
    """The message of a turn, as the next request repeats it.

    Args:
        turn: Any policy's. An `extra` that is no JSON object counts for nothing.

    Example:
        >>> assistant_message(Turn("", (ToolCall("a", "look", {"order": 7}),)))["content"] is None
        True
        >>> assistant_message(Turn("Done.", reasoning="All is there.", extra='{"thoughts_in":"reasoning"}'))
        {'role': 'assistant', 'content': 'Done.', 'reasoning': 'All is there.'}
    """
    extra = _loaded(turn.extra)
    message = _plain(turn, extra.get(_THOUGHTS_IN, THOUGHTS[0]))
    for name, value in extra.get(_FIELDS, {}).items():
        if value is None and name != "content":
            message.pop(name, None)
        else:
            message[name] = value
    calls = extra.get(_CALLS, ())
    if calls is None:
        message.pop("tool_calls", None)
    for call, more in zip(message.get("tool_calls", ()), calls or (), strict=False):
        inside = {**call["function"], **more.get("function", {})}
        call.update({**more, "function": inside})
    return message


def extra_of(turn: Turn, message: JSON) -> str:
    """The `extra` with which `assistant_message` gives a message back, but for the order of its fields.

    Args:
        turn: What was read in the message.
        message: With the calls of the turn, or with none, and without fields that are null.

    Returns:
        JSON text; empty where the turn says it all.
    """
    name = next((name for name in THOUGHTS if turn.reasoning and message.get(name) == turn.reasoning), THOUGHTS[0])
    own = _plain(turn, name)
    extra: JSON = {} if name == THOUGHTS[0] else {_THOUGHTS_IN: name}
    names = [*message, *(field for field in own if field not in message)]
    fields = {n: message.get(n) for n in names if n not in own or own[n] != message.get(n)}
    fields.pop("tool_calls", None)
    if fields:
        extra[_FIELDS] = fields
    own_calls, calls = own.get("tool_calls", []), message.get("tool_calls", [])
    if own_calls and not calls:
        extra[_CALLS] = None
    elif own_calls != calls:
        extra[_CALLS] = [_beyond(a, b) for a, b in zip(own_calls, calls, strict=True)]
    return orjson.dumps(extra).decode() if extra else ""


def _plain(turn: Turn, thoughts_in: str) -> JSON:
    """The message of a turn without an `extra`; null beside calls, for some servers refuse an empty text."""
    message: JSON = {"role": "assistant", "content": storable(turn.text) or (None if turn.tool_calls else "")}
    if turn.reasoning:
        message[thoughts_in] = storable(turn.reasoning)
    if turn.tool_calls:
        message["tool_calls"] = list(map(asked, turn.tool_calls))
    return message


def _loaded(extra: str) -> JSON:
    """The parts of an `extra` that are what they should be: it may come from a file that anybody wrote."""
    try:
        value = orjson.loads(extra or "{}")
    except ValueError:
        return {}
    if not isinstance(value, dict):
        return {}
    fields, calls, name = value.get(_FIELDS), value.get(_CALLS, ()), value.get(_THOUGHTS_IN)
    found: JSON = {_FIELDS: fields} if isinstance(fields, dict) else {}
    if isinstance(name, str):
        found[_THOUGHTS_IN] = name
    if calls is None or isinstance(calls, list):
        found[_CALLS] = calls and [_further(call) for call in calls]
    return found


def _further(call: Any) -> JSON:
    if not isinstance(call, dict):
        return {}
    return {name: v for name, v in call.items() if name != "function" or isinstance(v, dict)}


def _beyond(own: JSON, call: JSON) -> JSON:
    """What a call of a message has otherwise than the turn's."""
    extra = {name: value for name, value in call.items() if name != "function" and own.get(name) != value}
    inside = {name: v for name, v in call["function"].items() if own["function"].get(name) != v}
    return {**extra, "function": inside} if inside else extra
