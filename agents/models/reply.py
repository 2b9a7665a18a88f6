"""What a model server says, as a turn: any bytes in, a `ChatResponse` or `UnreadableReply` out.

Only what stands in the reply is taken; a field of the wrong type counts as missing, because a server's
bug in an extra must not cost an episode. Without a message there is nothing to go on: `UnreadableReply`; and a turn
that the server did not bring to its end says nothing of the model, whatever status it comes with.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import repeat
from typing import Any

import orjson

from faultgym.agents.models.finish import finish_named, is_broken_off
from faultgym.agents.models.formats import Format, Tools
from faultgym.agents.models.history import THOUGHTS, asked
from faultgym.agents.models.http_client import Reply
from faultgym.agents.models.replicas import RequestRefused, UnreadableReply, trouble
from faultgym.agents.models.salvage import calls_in_text
from faultgym.core.json import JSON
from faultgym.core.jsontext import json_text
from faultgym.core.text import storable
from faultgym.envs.judging.answering import ANSWER
from faultgym.envs.messages.hermes import split_thoughts
from faultgym.envs.messages.turn import CUT_SHORT, Turn
from faultgym.envs.messages.usage import Usage
from faultgym.tools.toolbox import MalformedCall, parse_arguments
from faultgym.tools.types import ToolCall

_CONFIDENCE = re.compile(
    r"\n?[ \t]*[*_]*confidence[*_]*\s*[:=][*_\s]*([0-9]{1,3}(?:\.[0-9]{1,6})?|\.[0-9]{1,6})\s*(%?)[*_.\s]*$",
    re.IGNORECASE,
)
_MAX_TOKEN = 1 << 31


@dataclass(frozen=True, slots=True)
class ChatResponse:
    """One reply."""

    turn: Turn
    message: JSON
    """The assistant's message as it came, as far as it goes back: see `history.extra_of`."""
    prompt_ids: list[int] | None = None
    """The prompt's token ids, when the server returns them."""


def read_reply(body: bytes, format: Format | None = None, number: int = 0, tools: Tools = ()) -> ChatResponse:
    """The reply in a chat completion's bytes.

    Args:
        body: The reply's.
        format: How the text's tool calls are read; None where those that the server parsed are all.
        number: The turn's, from 0: the ids of calls follow from it.
        tools: Those that were offered, by whose schemas values in a text are typed.

    Raises:
        UnreadableReply: The bytes are no chat completion with a message, or one that the server did not finish.
        RequestRefused: The reply holds an error which says that the request cannot be served.
    """
    try:
        data = orjson.loads(body)
        refuse_error(data)
        choice = data["choices"][0]
        message = choice["message"]
    except (ValueError, LookupError, TypeError) as error:
        shown = body[:200].decode("utf-8", "replace")
        raise UnreadableReply(f"the reply is no chat completion ({type(error).__name__}): {shown!r}") from None
    if not isinstance(message, dict) or not isinstance(choice, dict):
        raise UnreadableReply("the reply's message is no object")
    refuse_error(choice)
    reason = choice.get("finish_reason")
    if is_broken_off(reason):
        raise UnreadableReply(f"the server broke the turn off: finish_reason {reason!r}")
    _refuse_nothing(message, reason, data.get("usage"))
    said = _said(message, format, number, finish_named(reason, False), tools)
    ids = token_ids(choice.get("token_ids"))
    turn = Turn(
        said.text,
        said.calls,
        said.reasoning,
        None,
        finish_named(reason, bool(said.calls)),
        None if ids is None else tuple(ids),
        logprobs(choice.get("logprobs"), ids),
        usage=usage_of(data.get("usage")),
        salvaged=said.salvaged,
    )
    return ChatResponse(turn, said.repeated, token_ids(data.get("prompt_token_ids") or choice.get("prompt_token_ids")))


def refuse_error(part: Any) -> None:
    """Raise what an error object in a reply of status 200 stands for; do nothing where there is none.

    Args:
        part: The reply, or its choice.

    Raises:
        UnreadableReply: Another try may mend it.
        RequestRefused: None would.
    """
    if not isinstance(part, dict):
        return
    error = part.get("error") or (part if part.get("object") == "error" else None)
    if not error:
        return
    code = error.get("code") if isinstance(error, dict) else None
    status = code if isinstance(code, int) and 400 <= code < 600 else 502
    problem = trouble(Reply(status, {}, orjson.dumps({"error": error})))
    if isinstance(problem, RequestRefused):
        raise problem
    raise UnreadableReply(f"the reply holds an error: {problem}")


def _refuse_nothing(message: JSON, reason: Any, usage: Any) -> None:
    """Raise for a message without anything in it that nothing was counted for: what was behind the server has died."""
    counted = isinstance(usage, dict) and any(isinstance(n, int) and n > 0 for n in usage.values())
    if counted or finish_named(reason, False) in CUT_SHORT or message.get("content") is not None:
        return
    if not any(message.get(name) for name in ("tool_calls", "function_call", "refusal", *THOUGHTS)):
        raise UnreadableReply("the reply's message is empty, and no token was counted for it")


@dataclass(frozen=True, slots=True)
class _Said:
    """A message taken apart."""

    text: str
    calls: tuple[ToolCall, ...]
    reasoning: str
    repeated: JSON
    """The message as it came, as far as it goes back."""
    salvaged: bool = False


def _said(message: JSON, format: Format | None, number: int, finish: str, tools: Tools) -> _Said:
    """The message, taken apart; its finish reason may promise calls, or say that it was cut."""
    promised, cut = finish == "tool_calls", finish in CUT_SHORT
    content = _text(message.get("content"))
    listed = _asked_for(message)
    calls = numbered(map(_call, listed), number)
    thoughts = next((storable(v) for name in THOUGHTS if isinstance(v := message.get(name), str) and v), "")
    repeated = _repeated(message, content)
    text, inside = content, ""
    if calls:
        repeated["tool_calls"] = [_signed(call, given) for call, given in zip(calls, listed, strict=True)]
    elif format is not None:
        read = format.read(content, tools)
        text, inside = read.text, read.reasoning
        calls = numbered(read.tool_calls, number, format.own_ids)
        if calls and not format.repeats_text:
            repeated |= {"content": text or None, "tool_calls": list(map(asked, calls))}
            repeated |= {THOUGHTS[0]: inside} if inside else {}
    if not inside and "</think>" in text:
        inside, text = split_thoughts(text)
    drafts = "" if cut else thoughts or inside  # of thoughts that were cut off nobody knows whether they were meant
    if not calls and (left := _left_in(text, drafts, format, promised)) is not None:
        text, calls = left[0].strip(), numbered(left[1], number)
        repeated |= {"content": text or None, "tool_calls": list(map(asked, calls))}
        return _Said(text, calls, thoughts or inside, repeated, True)
    return _Said(text.strip(), calls, thoughts or inside, repeated)


def _asked_for(message: JSON) -> list[Any]:
    """The calls that the server read; some still give a single one under the name that came before `tool_calls`."""
    listed = _listed(message.get("tool_calls"))
    single = message.get("function_call")
    return listed or ([{"function": single}] if isinstance(single, dict) and single.get("name") else [])


def _repeated(message: JSON, content: str) -> JSON:
    """The message without its calls and without what says nothing: fields that are null, or empty lists.

    A content of null is given back beside calls only: alone it is refused.
    """
    own = ("tool_calls", "function_call")
    kept = {name: value for name, value in message.items() if value is not None and value != [] and name not in own}
    null = message.get("content") is None and bool(_asked_for(message))
    if not isinstance(message.get("content"), list):
        kept["content"] = None if null else content
    return {**kept, "role": "assistant"}


def _signed(call: ToolCall, given: Any) -> JSON:
    """The call as a request repeats it, with the further fields that the server gave it."""
    mine = asked(call)
    if not isinstance(given, dict) or not isinstance(given.get("function"), dict):
        return mine
    more = {name: value for name, value in given.items() if name not in mine and value is not None}
    inside = {name: v for name, v in given["function"].items() if name not in mine["function"] and v is not None}
    return {**mine, **more, "function": {**mine["function"], **inside}}


def _left_in(
    text: str, thoughts: str, format: Format | None, promised: bool
) -> tuple[str, tuple[ToolCall, ...]] | None:
    """(the text, the calls) where the server has left calls in the text, or in thoughts that end without a text."""
    name = None if format is None else format.name
    found = calls_in_text(text, None)
    if found is None and not text.strip() and thoughts:
        inside = calls_in_text(thoughts, name)
        found = None if inside is None else ("", inside[1])
    if found is None and promised:  # of a call that nobody can read, it is told
        return "", (ToolCall("", "", None, text.strip() or thoughts),)
    return found


def _text(content: Any) -> str:
    """A message's text; some servers give it in parts."""
    if isinstance(content, str):
        return storable(content)
    parts = [part.get("text") for part in _listed(content) if isinstance(part, dict)]
    return storable("".join(part for part in parts if isinstance(part, str)))


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _call(data: Any) -> ToolCall:
    function = data.get("function") if isinstance(data, dict) else None
    if not isinstance(function, dict):
        return ToolCall("", "", None, json_text(data, ""))
    name, arguments = function.get("name"), function.get("arguments")
    name = name if isinstance(name, str) else ""
    if isinstance(arguments, dict):
        return ToolCall("", name, arguments)
    if arguments is None or arguments == "":
        return ToolCall("", name, {})
    return ToolCall("", name, None, arguments if isinstance(arguments, str) else json_text(arguments, ""))


def numbered(calls: Iterable[ToolCall], number: int, own: str = "") -> tuple[ToolCall, ...]:
    """The calls, with ids that depend on the turn's number and their place alone.

    A server's own are random, which would make no two traces equal; and they may come twice or not at
    all. Nine letters and digits: some chat templates take nothing else.

    Args:
        calls: A turn's calls.
        number: The turn's, from 0.
        own: The ids that stay: a regular expression, for those that the model itself writes.

    Example:
        >>> [call.id for call in numbered([ToolCall("", "look", {}), ToolCall("", "look", {})], 3)]
        ['t0003c000', 't0003c001']
    """
    turn = f"t{number % 10000:04d}c"
    found: dict[str, ToolCall] = {}
    for n, call in enumerate(calls):
        kept = bool(own) and re.fullmatch(own, call.id) is not None and call.id not in found
        given = call.id if kept else f"{turn}{n:03d}"
        found[given] = ToolCall(given, call.name, call.arguments, call.raw)
    return tuple(found.values())


def usage_of(value: Any) -> Usage | None:
    """What the server counted, under any of the names that servers have for it; None where it counted nothing.

    Args:
        value: A reply's `usage`.

    Example:
        >>> usage_of({"prompt_tokens": 9, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 4}})
        Usage(prompt=9, cached=4, completion=3, reasoning=0)
    """
    if not isinstance(value, dict):
        return None
    read, written = _part(value, "prompt_tokens_details"), _part(value, "completion_tokens_details")
    prompt = _count(value, "prompt_tokens", "input_tokens")
    completion = _count(value, "completion_tokens", "output_tokens")
    if not prompt and not completion:
        return None
    cached = _count(read, "cached_tokens") or _count(value, "prompt_cache_hit_tokens", "cache_read_input_tokens")
    reasoning = _count(written, "reasoning_tokens") or _count(value, "reasoning_tokens")
    return Usage(prompt, min(cached, prompt), completion, min(reasoning, completion))


def _part(value: JSON, name: str) -> JSON:
    found = value.get(name)
    return found if isinstance(found, dict) else {}


def _count(value: JSON, *names: str) -> int:
    counts = (value.get(name) for name in names)
    return next((n for n in counts if type(n) is int and 0 <= n < _MAX_TOKEN), 0)


def token_ids(value: Any) -> list[int] | None:
    """Token ids; None when the value is no list of them."""
    if not isinstance(value, list) or not all(map(isinstance, value, repeat(int))):
        return None
    if value and (min(value) < 0 or max(value) >= _MAX_TOKEN or bool in set(map(type, value))):
        return None
    return value


def logprobs(value: Any, ids: list[int] | None) -> tuple[float, ...] | None:
    """The sampled tokens' natural logarithms; None unless there is exactly one number for each token.

    Args:
        value: A choice's `logprobs`, in OpenAI's form.
        ids: The sampled tokens, where the server returned them.
    """
    content = value.get("content") if isinstance(value, dict) else None
    if not isinstance(content, list) or (ids is not None and len(ids) != len(content)):
        return None
    try:
        found = tuple([float(token["logprob"]) for token in content])
    except (TypeError, ValueError, LookupError):
        return None
    return found if all(p <= 0.001 for p in found) else None


def with_confidence(turn: Turn) -> Turn:
    """The final turn with its stated confidence, which is taken out of its text where the text ends with one.

    A call of `answer` is left as it was sent; its message, or the text beside it, may end with a confidence.

    Example:
        >>> turn = with_confidence(Turn("It has shipped. Confidence: 80%"))
        >>> turn.text, turn.confidence
        ('It has shipped.', 0.8)
    """
    last = next((text for text in (_message(turn), turn.text) if _CONFIDENCE.search(text[-80:])), "")
    found = _CONFIDENCE.search(last[-80:])
    if found is None or not (turn.final or _answer(turn)):
        return turn
    stated = float(found[1]) / (100 if found[2] or float(found[1]) > 1 else 1)
    if not 0 <= stated <= 1:
        return turn
    if not turn.final:
        return replace(turn, confidence=stated)
    text = turn.text[: max(0, len(turn.text) - 80) + found.start()].rstrip()
    return replace(turn, text=text, confidence=stated)


def _answer(turn: Turn) -> ToolCall | None:
    """The call of `answer` in a turn."""
    return next((call for call in turn.tool_calls if call.name == ANSWER), None)


def _message(turn: Turn) -> str:
    """What a call of `answer` tells the person; empty where there is none that parses."""
    call = _answer(turn)
    try:
        message = parse_arguments(call).get("message") if call is not None else None
    except MalformedCall:
        message = None
    return message if isinstance(message, str) else ""
