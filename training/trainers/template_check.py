"""Whether a run's chat template shows all that its rows hold, and learns what the assistant writes and nothing else.

Found out on a short chat of the same parts before anything is trained: a template that drops calls, tools, results or
thoughts does so without a word, and what it marks as the assistant's may be off by a header.
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterator
from dataclasses import dataclass, fields, replace
from itertools import chain
from typing import TYPE_CHECKING, Any

from faultgym.agents.models.probe import (
    ANSWER,
    BESIDE,
    THOUGHTS,
    USER,
    ChatParts,
    Written,
    missing,
    place_of,
    probe_chat,
    probe_tools,
    read_only,
    written,
)
from faultgym.core.errors import UserError
from faultgym.core.json import JSON
from faultgym.training.rows.conversational import object_of
from faultgym.training.rows.rendered import common_start, with_template
from faultgym.training.rows.templates import template_names
from faultgym.training.trainers.masks import scored
from faultgym.training.trainers.row_check import arguments_of

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_COLUMNS = ("messages", "prompt", "completion", "chosen", "rejected")
_SPARED = {THOUGHTS, BESIDE}
"""What may be left out with a warning: the calls and answers that are learned stay whole."""
_SHORTEST = 3
"""Characters of a header's end by which it is known at the beginning of what is learned."""


@dataclass(frozen=True)
class WithObjects:
    """A tokenizer's `apply_chat_template` for templates that take arguments as objects alone."""

    tokenizer: Any

    def __call__(self, conversation: Any, *more: Any, **named: Any) -> Any:
        """As the tokenizer's own, after arguments that are the JSON text of an object have become that object.

        Args:
            conversation: The messages.
            *more: Passed on.
            **named: Passed on.
        """
        own = type(self.tokenizer).apply_chat_template
        return own(self.tokenizer, [_with_objects(message) for message in conversation], *more, **named)


def _with_objects(message: JSON) -> JSON:
    if not message.get("tool_calls"):
        return message
    return {**message, "tool_calls": [_with_object(call) for call in message["tool_calls"]]}


def _with_object(call: JSON) -> JSON:
    text = arguments_of(call)
    value = object_of(text) if isinstance(text, str) else None
    return call if value is None else {**call, "function": {**call["function"], "arguments": value}}


def fitted(rows: Any, tokenizer: PreTrainedTokenizerBase, names: Collection[str]) -> tuple[Any, list[str]]:
    """Rows that a chat template can write, after it was found to lose nothing of them.

    Args:
        rows: A `datasets.Dataset` of a form with messages.
        tokenizer: Made to turn arguments that are text into objects where its template takes no text.
        names: Those fields of `ChatParts` that are true of the rows.

    Returns:
        The rows, and what a person should know. Calls that are no JSON cannot be written by a template that takes
        objects alone: their rows are left out.

    Raises:
        UserError: As of `check_template`; or no row is left.
    """
    parts = ChatParts(**{field.name: field.name in names for field in fields(ChatParts)})
    objects = replace(parts, as_object=True, as_text=False)
    if not parts.as_text or not _problems(tokenizer, parts)[0] or _problems(tokenizer, objects)[0]:
        return rows, check_template(tokenizer, parts if parts.as_text else objects)
    tokenizer.apply_chat_template = WithObjects(tokenizer)
    written = [number for number, row in enumerate(rows) if not any(map(_unwritable, _calls(row)))]
    left_out = len(rows) - len(written)
    if not written:
        raise UserError("every row holds calls whose arguments are no JSON, and the chat template takes objects alone")
    said = check_template(tokenizer, objects)
    if left_out:
        left = "1 row was" if left_out == 1 else f"{left_out} rows were"
        said.append(f"{left} left out: their calls are no JSON, and the chat template takes arguments as objects alone")
    return rows.select(written), said


def _calls(row: JSON) -> Iterator[Any]:
    for message in chain.from_iterable(row.get(column) or () for column in _COLUMNS):
        yield from message.get("tool_calls") or ()


def _unwritable(call: Any) -> bool:
    text = arguments_of(call)
    return isinstance(text, str) and object_of(text) is None


def check_template(tokenizer: PreTrainedTokenizerBase, parts: ChatParts) -> list[str]:
    """Make sure that the tokenizer's chat template loses nothing of such chats.

    Args:
        tokenizer: With the template that is learned under.
        parts: What the chats hold.

    Returns:
        What a person should know, a sentence each: thoughts, or text beside calls, that the template leaves out.

    Raises:
        UserError: Something else is left out, or the loss misses the assistant's words or falls on others; the message
            says which, and names templates that would do.
    """
    problems, spared = _problems(tokenizer, parts)
    if problems:
        raise UserError(
            f"the chat template of {tokenizer.name_or_path or 'the tokenizer'} {' and '.join(problems)}, and a model"
            f" would be trained on the rest without a word: {_cure(tokenizer, parts)}"
        )
    return [_advice(tokenizer, parts, kind) for kind in spared]


def _problems(tokenizer: PreTrainedTokenizerBase, parts: ChatParts) -> tuple[list[str], list[str]]:
    """(what makes a template unfit, the kinds that are left out and may be)."""
    render = _Render(tokenizer)
    try:
        left_out = missing(render, parts)
    except UserError as error:
        return [str(error).removeprefix("it ")], []
    lost = [kind for kind in left_out if kind not in _SPARED]
    problems = [f"leaves out {_listed(lost)}"] if lost else []
    if not lost:
        problems = [f"is wrong about the loss: {_listed(found)}"] if (found := loss_problems(tokenizer, parts)) else []
    return problems, [kind for kind in left_out if kind in _SPARED]


@dataclass(frozen=True, slots=True)
class _Render:
    tokenizer: Any

    def __call__(self, messages: list[JSON], tools: list[JSON] | None, prompt: bool) -> str:
        text: str = self.tokenizer.apply_chat_template(
            messages, tools=tools, add_generation_prompt=prompt, tokenize=False
        )
        return text


def loss_problems(tokenizer: PreTrainedTokenizerBase, parts: ChatParts) -> list[str]:
    """What is wrong with where the loss falls; a phrase each.

    Args:
        tokenizer: Its template leaves nothing out that cannot be spared.
        parts: What the chats hold.
    """
    render, chat, tools = _Render(tokenizer), probe_chat(parts), probe_tools(parts)
    text = render(chat, tools, False)
    try:
        mask = scored(tokenizer, chat, tools).mask
    except UserError as error:
        return [str(error)]
    learned = _learned(tokenizer, text, mask)
    words = [(one, at) for one in written(parts) if (at := place_of(text, one, parts)) >= 0]
    problems = [f"it misses {one.kind}" for one, at in words if not all(learned[at : at + len(one.word)])]
    others = [f"it falls on {kind}" for kind, word in read_only(parts) if any(_flags(learned, text, word))]
    problems += others
    if not others:
        first = next(n for n, message in enumerate(chat) if message["role"] == "assistant")
        problems += _edges(text, render(chat[:first], tools, True), learned, words)
    return list(dict.fromkeys(problems))


def _edges(text: str, prompt: str, learned: bytearray, words: list[tuple[Written, int]]) -> Iterator[str]:
    """What is wrong about where the loss begins and ends in each turn."""
    begin, header = len(common_start(prompt, text)), prompt.rpartition(USER)[2].partition("<think>")[0].rstrip()
    after = text.rindex(ANSWER) + len(ANSWER)
    end = text[after:].strip()
    for turn in range(words[-1][0].turn + 1):
        places = [(at, at + len(one.word)) for one, at in words if one.turn == turn]
        start = learned.rfind(0, 0, places[0][0]) + 1
        if _headed(text[start : places[0][0]].lstrip(), header):
            yield "it falls on the header before a turn"
        if not turn and text[begin:start].strip():
            yield "it misses the beginning of a turn"
        following = next((at for one, at in words if one.turn > turn), len(text))
        closed = text.find(end, places[-1][1], following) if end else len(text)
        if (closed >= 0 and not all(learned[places[-1][1] : closed + len(end)])) or not end:
            yield "it misses the end of a turn, and a model would not learn to stop"


def _headed(begun: str, header: str) -> bool:
    """Whether what is learned begins with a header, or with the end of one."""
    least = min(_SHORTEST, len(header))
    return bool(header) and any(begun.startswith(header[n:]) for n in range(len(header) - least + 1))


def _learned(tokenizer: Any, text: str, mask: list[int]) -> bytearray:
    """1 for each character of the text that is in a learned token."""
    found = bytearray(len(text))
    places = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
    for (start, end), one in zip(places, mask, strict=False):
        found[start:end] = bytes([one]) * (end - start)
    return found


def _flags(learned: bytearray, text: str, word: str) -> bytearray:
    at = text.find(word)
    return learned[at : at + len(word)] if at >= 0 else bytearray()


def _cure(tokenizer: PreTrainedTokenizerBase, parts: ChatParts) -> str:
    """Which templates would do for this tokenizer."""
    fitting = []
    for name in template_names():
        other = copy.copy(tokenizer)
        vars(other).pop("apply_chat_template", None)  # of the other one
        try:
            if not _problems(with_template(other, name), parts)[0]:
                fitting.append(name)
        except Exception:  # a template that this tokenizer cannot even write
            continue
    if fitting:
        return f"name one that keeps them with --template, such as {' or '.join(fitting[:4])}"
    return "no template that is known by name keeps them with this tokenizer's end of turn, so mend this one"


def _advice(tokenizer: PreTrainedTokenizerBase, parts: ChatParts, kind: str) -> str:
    """What to say of something that is left out and may be."""
    said = f"the chat template leaves out {kind}, which are not learned"
    if kind != THOUGHTS or not parts.thoughts:
        return said
    inline = replace(parts, thoughts=False, inline=True)
    try:
        kept = THOUGHTS not in missing(_Render(tokenizer), inline)
    except UserError:
        kept = False
    if kept:
        return f"{said}: build the data set with --reasoning inline, which puts them into the text"
    return f"{said}, nor would they be with --reasoning inline"


def _listed(words: list[str]) -> str:
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last
