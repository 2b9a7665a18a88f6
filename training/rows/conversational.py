"""Examples, pairs and labels as rows that trainers take as they are: TRL's conversational format.

Every row is made of JSON values; its columns are those of its form in `rows/columns.py`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import orjson

from faultgym.core.bank import banked
from faultgym.core.json import JSON
from faultgym.core.text import has_surrogates
from faultgym.training.examples import Origin, PreferencePair, SFTExample
from faultgym.training.rows.columns import ORIGIN, Arguments, Reasoning

_DECIMALS, _WHOLE = 4, 6
"""Digits of a number that ujson writes in full: it writes ten."""


def sft_row(example: SFTExample, *, reasoning: Reasoning = "field", arguments: Arguments = "object") -> JSON:
    """The row of an episode: `messages`, `tools` and where it comes from. For SFT with `assistant_only_loss`.

    Args:
        example: The example.
        reasoning: What becomes of thoughts; see `Reasoning`.
        arguments: Tool arguments as objects or as JSON text; see `Arguments`.

    Example:
        >>> origin = Origin("e1", "orders/order_status/train/0", "orders", "order_status", "train", "expert", "clean")
        >>> messages = ({"role": "user", "content": "Hi"},)
        >>> row = sft_row(SFTExample(messages, (), "no_tool", (), origin, calls=0, optimal=0))
        >>> row["messages"], row["tools"], row["kind"]
        ([{'role': 'user', 'content': 'Hi'}], '[]', 'no_tool')
    """
    return {
        "messages": chat(example.messages, reasoning=reasoning, arguments=arguments),
        "tools": tools_text(example.tools),
        "kind": example.kind,
        "outcome": example.outcome,
        "contracts": list(example.contracts),
        "calls": example.calls,
        "optimal": example.optimal,
        **_origin(example.origin),
    }


def turn_rows(
    example: SFTExample, *, reasoning: Reasoning = "field", arguments: Arguments = "object"
) -> Iterator[JSON]:
    """A row for each assistant turn: `prompt` and `completion`. For SFT with any template; loss on the completion.

    Args:
        example: The example.
        reasoning: As of `sft_row`.
        arguments: As of `sft_row`.
    """
    messages = chat(example.messages, reasoning=reasoning, arguments=arguments)
    tools = tools_text(example.tools)
    turns = [n for n, message in enumerate(messages) if message["role"] == "assistant"]
    for turn, position in enumerate(turns):
        yield {
            "prompt": messages[:position],
            "completion": [messages[position]],
            "tools": tools,
            "kind": example.kind,
            "outcome": example.outcome,
            "contracts": list(example.contracts),
            "turn": turn,
            **_origin(example.origin),
        }


def pair_row(pair: PreferencePair, *, reasoning: Reasoning = "field", arguments: Arguments = "object") -> JSON:
    """The row of a pair: `prompt`, `chosen`, `rejected` and `tools`, for DPO and `orpo_trainer`.

    Args:
        pair: The pair.
        reasoning: As of `sft_row`.
        arguments: As of `sft_row`.
    """
    return {
        "prompt": chat(pair.prompt, reasoning=reasoning, arguments=arguments),
        "chosen": chat(pair.chosen, reasoning=reasoning, arguments=arguments),
        "rejected": chat(pair.rejected, reasoning=reasoning, arguments=arguments),
        "tools": tools_text(pair.tools),
        "kind": pair.kind,
        "contract": pair.contract,
        "margin": pair.margin,
        "fork_step": pair.fork_step,
        "critical_step": pair.critical_step,
        "chosen_id": pair.chosen_id,
        "rejected_id": pair.rejected_id,
        "source": pair.source,
        **_origin(pair.origin),
    }


def label_rows(
    pair: PreferencePair, *, reasoning: Reasoning = "field", arguments: Arguments = "object"
) -> tuple[JSON, JSON]:
    """The two rows of a pair: the chosen completion with `label` true and the rejected one with false, for KTO.

    TRL estimates KTO's KL term from each batch's own completions under other prompts: keep at least two rows in a
    batch, and shuffle the rows before, as the trainer reads them in order.

    Args:
        pair: The pair.
        reasoning: As of `sft_row`.
        arguments: As of `sft_row`.
    """
    prompt = chat(pair.prompt, reasoning=reasoning, arguments=arguments)
    common: JSON = {
        "tools": tools_text(pair.tools),
        "kind": pair.kind,
        "contract": pair.contract,
        "fork_step": pair.fork_step,
        "critical_step": pair.critical_step,
    }
    chosen, rejected = (
        {
            "prompt": prompt,
            "completion": chat(completion, reasoning=reasoning, arguments=arguments),
            "label": label,
            **common,
            "completion_id": completion_id,
            "source": pair.source,
            **_origin(pair.origin),
        }
        for completion, label, completion_id in (
            (pair.chosen, True, pair.chosen_id),
            (pair.rejected, False, pair.rejected_id),
        )
    )
    return chosen, rejected


def chat(messages: Iterable[JSON], *, reasoning: Reasoning = "field", arguments: Arguments = "object") -> list[JSON]:
    r"""Messages in OpenAI's form as chat templates want them; the messages that are given stay unchanged.

    Args:
        messages: Messages whose tool arguments are JSON text.
        reasoning: As of `sft_row`.
        arguments: As of `sft_row`.

    Example:
        >>> chat([{"role": "assistant", "content": "4", "reasoning_content": "2 + 2"}], reasoning="inline")
        [{'role': 'assistant', 'content': '<think>\n2 + 2\n</think>\n\n4'}]
    """
    return [_said(m, reasoning, arguments) if m["role"] == "assistant" else dict(m) for m in messages]


def tools_text(tools: Sequence[JSON]) -> str:
    """The `tools` column: JSON text, `json.loads` of which gives the tools back."""
    return _tools_text(orjson.dumps(list(tools)))


@banked("texts", 512)
def _tools_text(tools: bytes) -> str:
    """A suite has few sets of tools, and each is large: the text is made once."""
    return json.dumps(orjson.loads(tools), ensure_ascii=False, separators=(",", ":"))


def arguments_value(text: str) -> JSON | str:
    """The arguments that JSON text stands for, or the text itself where that would not be exact.

    Text stays when it is no JSON object (a malformed call), when a key stands twice, and when `datasets` would not give
    a value back: its JSON has whole numbers of 64 bits, and reads 0.3 as 0.30000000000000004.

    Example:
        >>> arguments_value('{"total": 240.3}'), arguments_value('{"share": 0.3}')
        ({'total': 240.3}, '{"share": 0.3}')
    """
    value = object_of(text)
    return text if value is None or not survives(value) else value


def object_of(text: str) -> JSON | None:
    """The JSON object that a text stands for; None for another text, or one with a key that stands twice.

    Example:
        >>> object_of('{"share": 0.3}'), object_of('{"a": 1, "a": 2}')
        ({'share': 0.3}, None)
    """
    try:
        value = json.loads(text, object_pairs_hook=_unique)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _said(message: JSON, reasoning: Reasoning, arguments: Arguments) -> JSON:
    said = {key: value for key, value in message.items() if key != "reasoning_content"}
    thought = message.get("reasoning_content")
    if thought and reasoning == "field":
        said["reasoning_content"] = thought
    elif thought and reasoning == "inline":
        said["content"] = f"<think>\n{thought}\n</think>\n\n{said['content']}"
    if calls := said.pop("tool_calls", None):
        said["tool_calls"] = calls if arguments == "text" else [_with_object(call) for call in calls]
    return said


def _with_object(call: JSON) -> JSON:
    function = call["function"]
    return {**call, "function": {**function, "arguments": arguments_value(function["arguments"])}}


def _unique(pairs: list[tuple[str, Any]]) -> JSON:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a key stands twice")
    return value


def survives(value: Any) -> bool:
    """Whether the JSON that `datasets` uses (pandas' ujson) gives the value back as it is."""
    if isinstance(value, str):
        return not has_surrogates(value)
    if value is None or isinstance(value, bool):
        return True
    if isinstance(value, int):
        return -(2**63) <= value < 2**63
    if isinstance(value, float):
        return repr(value) != "-0.0" and (_eighths(value) or _read_back(value) == value)
    if isinstance(value, list):
        return all(map(survives, value))
    return all(survives(key) and survives(item) for key, item in value.items())


def _eighths(value: float) -> bool:
    return abs(value) < 1e12 and (value * 8).is_integer()


def _read_back(value: float) -> float | None:
    """What ujson reads for an amount of money and the like: the whole part, and the digits times a power of ten.

    None where it may write or read a number in another way.
    """
    whole, point, digits = repr(abs(value)).partition(".")
    if not point or len(digits) > _DECIMALS or not (whole + digits).isdigit() or len(whole) > _WHOLE:
        return None
    return math.copysign(float(whole) + float(digits) * float(f"1e-{len(digits)}"), value)


def _origin(origin: Origin) -> JSON:
    return {name: getattr(origin, name) for name in ORIGIN}
