"""The outcome of the typed answer that a decision gives."""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from faultgym.core.json import JSON
from faultgym.envs.judging.answering import ANSWER


def outcome_in(completion: Sequence[JSON]) -> str:
    """The outcome of the typed answer that a decision gives; empty where it gives none.

    Args:
        completion: The decision, in OpenAI's form with arguments as JSON text; what follows it does not count.

    Example:
        >>> call = {"function": {"name": "answer", "arguments": '{"outcome": "done"}'}}
        >>> outcome_in([{"role": "assistant", "content": "", "tool_calls": [call]}])
        'done'
    """
    for call in completion[0].get("tool_calls", ()) if completion else ():
        if call["function"]["name"] == ANSWER:
            try:
                return str(orjson.loads(call["function"]["arguments"])["outcome"])
            except (ValueError, TypeError, KeyError):
                return ""
    return ""
