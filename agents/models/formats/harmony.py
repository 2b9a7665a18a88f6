"""Harmony, gpt-oss' form: messages with a channel each, and a recipient where they are calls.

openai-harmony reads tokens of a vocabulary that it downloads; this reads the text, special tokens included.
Source: OpenAI's description of the format; vLLM's parser `openai`.
"""

from __future__ import annotations

import re

from faultgym.agents.models.formats.format import Format
from faultgym.agents.models.formats.scan import arguments_text, turn_of
from faultgym.core.jsontext import after_space, value_at
from faultgym.envs.messages.hermes import split_thoughts
from faultgym.envs.messages.turn import Turn
from faultgym.tools.types import ToolCall

START, CHANNEL, MESSAGE = "<|start|>", "<|channel|>", "<|message|>"
_ENDS = re.compile(r"<\|(?:end|call|return|endoftext)\|>")
_BREAK = re.compile(r"<\|(?:end|call|return|endoftext|start|channel)\|>")
_RECIPIENT = re.compile(r"\bto=([^\s<]+)")
_CHANNEL = re.compile(r"<\|channel\|>\s*(\w+)")


def parse_harmony(text: str) -> Turn:
    """Messages such as `<|channel|>commentary to=functions.look <|constrain|>json<|message|>{...}<|call|>`.

    Example:
        >>> text = '<|channel|>commentary to=functions.look <|constrain|>json<|message|>{"order": 7}<|call|>'
        >>> parse_harmony(text).tool_calls[0].arguments
        {'order': 7}
    """
    if MESSAGE not in text and CHANNEL not in text:
        reasoning, rest = split_thoughts(text, calls="")
        return turn_of(_ENDS.sub("", rest), (), reasoning)
    thoughts: list[str] = []
    texts: list[str] = []
    calls: list[ToolCall] = []
    at = 0
    while (mark := text.find(MESSAGE, at)) >= 0:
        head, begin = text[at:mark], mark + len(MESSAGE)
        recipient, channel = _RECIPIENT.search(head), _CHANNEL.search(head)
        end = _BREAK.search(text, begin)
        stop = len(text) if end is None else end.start()
        at = stop if end is None else _over(end)
        if recipient is not None and recipient[1] not in ("assistant", "user"):
            call, at = _call(recipient[1].removeprefix("functions."), text, begin, stop, at)
            calls.append(call)
        elif channel is not None and channel[1] == "analysis":
            thoughts.append(text[begin:stop].strip())
        else:
            texts.append(text[begin:stop])
    left = _ENDS.sub("", text[at:])
    recipient = _RECIPIENT.search(left)
    if recipient is not None and (CHANNEL in left or START in left):
        calls.append(ToolCall("", recipient[1].removeprefix("functions."), None, left.strip()))
    elif CHANNEL not in left:
        texts.append(left.removeprefix(START).removeprefix("assistant") if START in left else left)
    return turn_of(texts, calls, "\n".join(filter(None, thoughts)))


def _call(name: str, text: str, begin: int, stop: int, behind: int) -> tuple[ToolCall, int]:
    """(the call, the place behind it); a mark inside its JSON is part of it."""
    found = value_at(text, begin)
    if found is not None and isinstance(found[0], dict):
        end = _BREAK.match(text, after_space(text, found[1]))
        if end is not None or not text[found[1] :].strip():
            return ToolCall("", name, found[0]), len(text) if end is None else _over(end)
    body = text[begin:stop].strip()
    return (ToolCall("", name, None, body) if body else ToolCall("", name, {})), behind


def _over(end: re.Match[str]) -> int:
    return end.start() if _ENDS.match(end[0]) is None else end.end()


def write_harmony(turn: Turn) -> str:
    """The turn as gpt-oss writes it: its first message without the head that the prompt ends with."""
    messages = []
    if turn.reasoning:
        messages.append(f"{CHANNEL}analysis{MESSAGE}{turn.reasoning}<|end|>")
    if turn.text:
        channel = "commentary" if turn.tool_calls else "final"
        messages.append(f"{CHANNEL}{channel}{MESSAGE}{turn.text}" + ("<|end|>" if turn.tool_calls else "<|return|>"))
    messages.extend(
        f"{CHANNEL}commentary to=functions.{call.name} <|constrain|>json{MESSAGE}{arguments_text(call)}<|call|>"
        for call in turn.tool_calls
    )
    return f"{START}assistant".join(messages)


HARMONY = Format("openai", parse_harmony, write_harmony, False, marks=(f"{CHANNEL}commentary to=", " to=functions."))
