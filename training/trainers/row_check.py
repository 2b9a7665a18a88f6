"""Rows of data sets from anywhere as templates take them, and what is wrong with them in a sentence each.

Where messages are structs, Arrow gives each the keys of all: a user's message gets `tool_calls: null`, a call every
other call's arguments. Templates ask whether a key is there, so those nulls go before any template sees them.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from faultgym.core.errors import UserError
from faultgym.core.json import JSON
from faultgym.training.rows.conversational import survives
from faultgym.training.rows.rendered import tools_of

CHATS = {
    "messages": ("messages",),
    "turns": ("prompt", "completion"),
    "pairs": ("prompt", "chosen", "rejected"),
    "labels": ("prompt", "completion"),
}
"""Form -> its columns of messages."""
_READ = {"prompt"}
"""Columns that are read and never learned."""


def form_of(rows: Any, wanted: Iterable[str]) -> str:
    """The form of rows, as in `rows.Form`; columns beyond those of a form change nothing.

    Args:
        rows: A `datasets.Dataset`.
        wanted: The forms that come first where several fit.

    Returns:
        The form; empty where the columns fit none.
    """
    names = set(rows.column_names)
    fitting = [form for form, columns in CHATS.items() if names.issuperset(columns)]
    labelled = getattr(rows.features.get("label"), "dtype", "") == "bool"
    fitting = [form for form in fitting if form != ("turns" if labelled else "labels")]
    chats = [form for form in fitting if not all(is_text(rows, column) for column in CHATS[form])]
    if chats:
        return next((form for form in chats if form in wanted), chats[0])
    return "rendered" if fitting else "text" if "text" in names else ""


def is_text(rows: Any, column: str) -> bool:
    """Whether a column holds text.

    Args:
        rows: A `datasets.Dataset`.
        column: Its name.
    """
    return getattr(rows.features[column], "dtype", "") in ("string", "large_string")


def check_columns(rows: Any, form: str, folder: str) -> None:
    """Make sure that the columns of a form hold messages.

    Args:
        rows: A `datasets.Dataset`.
        form: Its form.
        folder: For the message.

    Raises:
        UserError: A column holds text, or anything else that is no list.
    """
    for column in CHATS[form]:
        if is_text(rows, column):
            others = " and ".join(f"`{name}`" for name in CHATS[form] if not is_text(rows, name))
            raise UserError(
                f"{folder}: `{column}` holds text, and {others} messages: it has to be a list of messages too,"
                ' [{"role": "assistant", "content": ...}]'
            )
        kind = rows.features[column]
        if not (isinstance(kind, list) or type(kind).__name__ in ("List", "LargeList", "Sequence", "Json")):
            raise UserError(f"{folder}: `{column}` holds no messages: it has to be a list of them")


@dataclass(frozen=True, slots=True)
class Survey:
    """What was seen in all rows of a data set."""

    parts: frozenset[str]
    """Names of fields of `probe.ChatParts` that are true of one message or another."""
    nulls: bool
    """Whether a message or a call has a key whose value is null, or calls that are an empty list."""


def surveyed(rows: Any, form: str, folder: str) -> Survey:
    """Make sure that each row holds messages, and something that the assistant wrote where it learns.

    Args:
        rows: A `datasets.Dataset`.
        form: Its form.
        folder: For the message.

    Returns:
        What the rows hold.

    Raises:
        UserError: Some hold no such thing; the message says how many, and which is the first.
    """
    wrong: Counter[str] = Counter()
    first: dict[str, int] = {}
    parts: set[str] = set()
    nulls = False
    for number, row in enumerate(rows):
        if tools_of(row):
            parts.add("tools")
        for column in CHATS[form]:
            if problem := _problem(row[column], column):
                wrong[problem] += 1
                first.setdefault(problem, number)
                continue
            for message in row[column]:
                parts |= _parts(message)
                nulls = nulls or _has_null(message)
    if wrong:
        problem, count = wrong.most_common(1)[0]
        where = f"row {first[problem]}" if count == 1 else f"{count} rows, the first of them row {first[problem]},"
        raise UserError(f"{folder}: in {where} {problem}: leave such rows out, nothing can be learned from them")
    return Survey(frozenset(parts), nulls)


def without_nulls(rows: Any, form: str, nulls: bool = True) -> Any:
    """The rows without the keys that are null because Arrow filled them in; messages as JSON values from here on.

    In columns of structs no null can be told from one that was filled in, so all go; in columns of JSON values only
    those of messages and calls, where null means nothing, and none in arguments.

    Args:
        rows: A `datasets.Dataset`.
        form: Its form.
        nulls: Whether there are any in columns of JSON values.
    """
    from datasets import Features, Json, List, Value

    own = Features({column: List(Json()) for column in CHATS[form]})
    filled = {column for column in (*CHATS[form], "tools") if column in rows.column_names and _structs(rows, column)}
    if not filled and not nulls:
        return rows

    def clean(row: JSON) -> JSON:
        found: JSON = {column: [_message(one, column in filled) for one in row[column]] for column in own}
        if "tools" in filled:
            found["tools"] = json.dumps(_without(row["tools"]), ensure_ascii=False)
        return found

    more = {"tools": Value("string")} if "tools" in filled else {}
    return rows.map(clean, features=Features({**rows.features, **own, **more}))


def _problem(messages: Any, column: str) -> str:
    if not messages:
        return f"`{column}` is empty"
    if not all(isinstance(message, dict) and isinstance(message.get("role"), str) for message in messages):
        return f"`{column}` holds messages without a role"
    if column not in _READ and not any(_says(message) for message in messages):
        return f"the assistant says nothing in `{column}`"
    return ""


def _says(message: JSON) -> bool:
    return message["role"] == "assistant" and bool(message.get("content") or message.get("tool_calls"))


def _parts(message: JSON) -> set[str]:
    role, calls = message["role"], message.get("tool_calls") or []
    if role in ("system", "tool"):
        return {"results" if role == "tool" else "system"}
    if role != "assistant":
        return set()
    content = message.get("content") or ""
    found = {"thoughts"} if message.get("reasoning_content") else set()
    if "<think>" in content:
        found.add("inline")
    if calls:
        found |= {"calls"} | ({"several"} if len(calls) > 1 else set()) | ({"beside"} if content else set())
        found |= {"as_text" if isinstance(arguments_of(call), str) else "as_object" for call in calls}
    return found


def arguments_of(call: Any) -> Any:
    """The arguments of a call in OpenAI's form; None where there are none."""
    function = call.get("function") if isinstance(call, dict) else None
    return function.get("arguments") if isinstance(function, dict) else None


def _structs(rows: Any, column: str) -> bool:
    """Whether a column is made of structs, which have one set of keys for all."""
    kind = rows.features[column]
    inner = kind[0] if isinstance(kind, list) else getattr(kind, "feature", None)
    return isinstance(inner, dict)


def _has_null(message: JSON) -> bool:
    calls = [call for call in message.get("tool_calls") or () if isinstance(call, dict)]
    functions = [call["function"] for call in calls if isinstance(call.get("function"), dict)]
    return message.get("tool_calls") == [] or any(None in one.values() for one in (message, *calls, *functions))


def _message(message: JSON, filled: bool) -> JSON:
    """A message without nulls; its text is empty where it was null."""
    found: JSON = _without(message) if filled else {name: v for name, v in message.items() if v is not None}
    if message.get("role") == "assistant":
        found.setdefault("content", "")
    if calls := found.pop("tool_calls", None):
        found["tool_calls"] = [_call(call) for call in calls]
    return found


def _call(call: Any) -> Any:
    if not isinstance(call, dict) or not isinstance(call.get("function"), dict):
        return call
    function = {name: value for name, value in call["function"].items() if value is not None}
    arguments = function.get("arguments")
    if isinstance(arguments, dict) and not survives(arguments):
        function["arguments"] = json.dumps(arguments, ensure_ascii=False)
    return {**{name: value for name, value in call.items() if value is not None}, "function": function}


def _without(value: Any) -> Any:
    """The value without keys whose value is null, at any depth; items of lists stay."""
    if isinstance(value, dict):
        return {name: _without(item) for name, item in value.items() if item is not None}
    return [_without(item) for item in value] if isinstance(value, list) else value
