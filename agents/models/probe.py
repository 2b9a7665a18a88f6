"""A short chat whose every part has a word of its own: rendered, it shows what a chat template leaves out.

    render = lambda messages, tools, prompt: ...
    missing(render, ChatParts())        # ["arguments", "thoughts"]

Templates leave things out without a word: tools, calls, results, thoughts. A model that is trained or played under one
of these never sees them, and nothing else tells.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from faultgym.core.errors import UserError
from faultgym.core.json import JSON
from faultgym.tools.types import ToolSpec

Render = Callable[[list[JSON], list[JSON] | None, bool], str]
"""The text of messages with these tools; the last says whether it goes up to where the next turn begins."""

SYSTEM, USER, ANSWER = "zqsystem", "zquser", "zqanswer"
_KEY = "zq_key"
TOOLS = tuple(
    ToolSpec(
        name,
        "Look something up.",
        {"type": "object", "properties": {_KEY: {"type": "string", "description": "What."}}, "required": [_KEY]},
    )
    for name in ("zq_find", "zq_look")
)
TOOLS_LEFT_OUT, NAMES, ARGUMENTS, RESULTS = "tools", "call names", "arguments", "results"
THOUGHTS, BESIDE, ANSWERS = "thoughts", "text beside calls", "answers"
SYSTEMS = "system messages"


@dataclass(frozen=True, slots=True)
class ChatParts:
    """What chats hold beside a user's text and an answer."""

    system: bool = True
    tools: bool = True
    calls: bool = True
    results: bool = True
    several: bool = False
    """Several calls in one turn."""
    beside: bool = False
    """Text beside calls."""
    thoughts: bool = False
    """Thoughts in a field of their own."""
    inline: bool = False
    """Thoughts in the text."""
    as_object: bool = True
    """Arguments that are objects."""
    as_text: bool = False
    """Arguments that are JSON text."""


@dataclass(frozen=True, slots=True)
class Written:
    """Something that the assistant writes."""

    kind: str
    word: str
    turn: int
    """The assistant's, from 0."""


def probe_tools(parts: ChatParts) -> list[JSON] | None:
    """The tools that the chat offers, in OpenAI's form; None for none."""
    return [tool.openai() for tool in TOOLS] if parts.tools else None


def probe_chat(parts: ChatParts) -> list[JSON]:
    """The chat: a question, two turns with calls, an answer.

    Args:
        parts: What it holds.
    """
    chat: list[JSON] = [{"role": "system", "content": SYSTEM}] if parts.system else []
    chat.append({"role": "user", "content": USER})
    for turn in range(2 if parts.calls else 0):
        ids = _ids(parts, turn)
        calls = [_call(parts, turn, number, name) for number, name in enumerate(ids)]
        text = "zqbeside" if parts.beside and not turn else ""
        chat.append(_said(parts, turn, text) | {"tool_calls": calls})
        if parts.results:
            for number, name in enumerate(ids):
                of = {"tool_call_id": ids[name], "name": name}
                chat.append({"role": "tool", **of, "content": _result(turn, number)})
        elif not turn:
            chat.append({"role": "user", "content": _result(turn, 0)})
            break
    return [*chat, _said(parts, len(_turns(chat)), ANSWER)]


def written(parts: ChatParts) -> Iterator[Written]:
    """What the assistant writes in the chat, in its order.

    Args:
        parts: What the chat holds.
    """
    turns = (2 if parts.results else 1) if parts.calls else 0
    for turn in range(turns + 1):
        if parts.thoughts or parts.inline:
            yield Written(THOUGHTS, _thought(turn), turn)
        if turn == turns:
            yield Written(ANSWERS, ANSWER, turn)
            return
        if parts.beside and not turn:
            yield Written(BESIDE, "zqbeside", turn)
        for number, name in enumerate(_ids(parts, turn)):
            yield Written(NAMES, name, turn)
            yield Written(ARGUMENTS, _argument(turn, number), turn)


def read_only(parts: ChatParts) -> Iterator[tuple[str, str]]:
    """(kind, word) of what the assistant reads and never writes.

    Args:
        parts: What the chat holds.
    """
    if parts.system:
        yield SYSTEMS, SYSTEM
    yield "user messages", USER
    for turn in range(2 if parts.calls and parts.results else 0):
        for number in range(len(_ids(parts, turn))):
            yield RESULTS, _result(turn, number)


def missing(render: Render, parts: ChatParts) -> list[str]:
    """The kinds of parts that a template leaves out of the chat.

    Args:
        render: Renders with the template.
        parts: What the chat holds.

    Raises:
        UserError: The template refuses the chat; the message says at which part.
    """
    refused = refused_part(render, parts)
    if refused:
        raise UserError(f"it refuses {refused}")
    chat, tools = probe_chat(parts), probe_tools(parts)
    text, prompt = render(chat, tools, False), render(_up_to_turn(chat, 0), tools, True)
    found = [TOOLS_LEFT_OUT] if parts.tools and not all(w in prompt for t in TOOLS for w in (t.name, _KEY)) else []
    found += [kind for kind, word in read_only(parts) if word not in text]
    found += [one.kind for one in written(parts) if place_of(text, one, parts) < 0]
    if parts.as_text and any(f'\\"{one.word}' in text for one in written(parts) if one.kind == ARGUMENTS):
        found.append(ARGUMENTS + " that are JSON text (they come out as text within text)")
    return list(dict.fromkeys(found))


def place_of(text: str, one: Written, parts: ChatParts) -> int:
    """Where in the rendered chat a word of the assistant's stands; -1 where it does not.

    Args:
        text: The rendered chat.
        one: The word. Names of tools stand in the list of tools and in results too, so they are looked for in their
            own turn alone.
        parts: What the chat holds.
    """
    before = [_result(one.turn - 1, number) for number in range(len(_ids(parts, one.turn - 1)))] if one.turn else []
    start = max(text.find(word) for word in (USER, *before))
    end = text.find(_result(one.turn, 0)) if parts.calls else -1
    return text.find(one.word, max(start, 0), end if end >= 0 else len(text))


def refused_part(render: Render, parts: ChatParts) -> str:
    """The first part at which a template raises, and its words; empty where it takes them all.

    Args:
        render: Renders with the template.
        parts: What the chat holds.
    """
    plain = ChatParts(False, False, False, False, as_object=parts.as_object)
    steps = ("system", "tools", "calls", "results", "as_text", "several", "beside", "thoughts", "inline")
    names = {"system": SYSTEMS, "several": "several calls in one turn", "as_text": "arguments that are JSON text"}
    names |= {"calls": "calls", "beside": BESIDE, "inline": THOUGHTS}
    if parts.calls and not parts.as_object:
        names["calls"] = names["as_text"]
    elif parts.calls:
        names["calls"] = "calls whose arguments are objects"
    so_far = plain
    for step in ("", *steps):
        if step and not getattr(parts, step):
            continue
        so_far = replace(so_far, **{step: True}) if step else plain
        try:
            render(probe_chat(so_far), probe_tools(so_far), False)
        except Exception as error:  # templates raise whatever they like
            return f"{names.get(step, step) if step else 'a user text and an answer'} ({_words(error)})"
    return ""


def _words(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]


def _up_to_turn(chat: Sequence[JSON], turn: int) -> list[JSON]:
    """The chat before a turn of the assistant's."""
    return list(chat[: _turns(chat)[turn]])


def _turns(chat: Sequence[JSON]) -> list[int]:
    return [n for n, message in enumerate(chat) if message["role"] == "assistant"]


def _said(parts: ChatParts, turn: int, text: str) -> JSON:
    thought = _thought(turn)
    if parts.inline and (turn == 1 or not parts.thoughts):
        return {"role": "assistant", "content": f"<think>\n{thought}\n</think>\n\n{text}"}
    return {"role": "assistant", "content": text, **({"reasoning_content": thought} if parts.thoughts else {})}


def _thought(turn: int) -> str:
    return f"zqthought{'abc'[turn]}"


def _result(turn: int, number: int) -> str:
    return f"zqresult{'abc'[turn]}{'ab'[number]}"


def _argument(turn: int, number: int) -> str:
    return f"zqargument{'ab'[turn]}{'ab'[number]}"


def _ids(parts: ChatParts, turn: int) -> dict[str, str]:
    """Name of the tool -> id of its call, of a turn's calls; nine letters and digits, as some templates insist."""
    names = [tool.name for tool in TOOLS]
    called = names if parts.several and not turn else [names[turn]]
    return {name: f"zqcall{turn}{number}0" for number, name in enumerate(called)}


def _call(parts: ChatParts, turn: int, number: int, name: str) -> JSON:
    arguments = {_KEY: _argument(turn, number)}
    text = parts.as_text and (turn > 0 or not parts.as_object)
    written = json.dumps(arguments) if text else arguments
    call = {"name": name, "arguments": written}
    return {"type": "function", "id": _ids(parts, turn)[name], "function": call}
