"""Calls as tags, one for the call and one for each argument: what the readers of such forms share.

A value says nothing of its type here: the tool's schema does. Without one it stays text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from faultgym.core.json import JSON
from faultgym.tools.types import ToolCall

_NAME = re.compile(r"""[^\s<>{}\[\]"']{1,200}""")


@dataclass(frozen=True, slots=True)
class Tags:
    """How a family writes a call."""

    head: re.Pattern[str]
    """What begins a call, up to where its arguments begin; its group `name` is the tool's."""
    end: re.Pattern[str]
    """What ends a call."""
    argument: re.Pattern[str]
    """One argument, with the groups `name` and `value`."""
    sections: re.Pattern[str]
    """Marks around calls, which belong to no text."""
    whole: str = ">"
    """What a head ends with that is not cut."""
    value: Callable[[re.Match[str]], object] = lambda found: found["value"]
    """What an argument's match stands for."""


def tagged_calls(text: str, tags: Tags) -> tuple[list[str], list[ToolCall]]:
    """(the texts beside the calls, the calls); a call in which something else stands than arguments has none.

    A call without its end reaches to the next one, or to the text's end. Where one of its arguments is cut, it is a
    malformed one: run with those that came before the cut, it would be another call.

    Args:
        text: What the model wrote, without its thoughts.
        tags: How its family writes a call.
    """
    texts: list[str] = []
    calls: list[ToolCall] = []
    at = 0
    for head, inside, behind, ended in _bodies(text, tags):
        texts.append(tags.sections.sub("\n", text[at : head.start()]))
        calls.append(_call(head["name"].strip(), inside, tags, ended or head[0].endswith(tags.whole)))
        at = behind
    texts.append(tags.sections.sub("\n", text[at:]))
    return texts, calls


def _bodies(text: str, tags: Tags) -> Iterator[tuple[re.Match[str], str, int, bool]]:
    """Each call's head, what stands in it, the place behind it, and whether it has its end."""
    head = tags.head.search(text)
    while head is not None:
        following = tags.head.search(text, head.end())
        limit = len(text) if following is None else following.start()
        end = tags.end.search(text, head.end(), limit)
        stop, behind = (limit, limit) if end is None else end.span()
        yield head, text[head.end() : stop], behind, end is not None
        head = following


def _call(name: str, inside: str, tags: Tags, whole: bool) -> ToolCall:
    arguments: JSON = {}
    left: list[str] = []
    at = 0
    for found in tags.argument.finditer(inside):
        left.append(inside[at : found.start()])
        arguments[found["name"].strip()] = tags.value(found)
        at = found.end()
    left.append(inside[at:])
    if not whole or _NAME.fullmatch(name) is None or tags.sections.sub("", "".join(left)).strip():
        return ToolCall("", name if _NAME.fullmatch(name) else "", None, inside.strip() or name)
    return ToolCall("", name, arguments)
