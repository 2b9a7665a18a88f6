"""GLM's tags: `<tool_call>NAME<arg_key>KEY</arg_key><arg_value>VALUE</arg_value></tool_call>`.

Sources: the chat templates of GLM 4.5 to 4.7; vLLM's parsers `glm45` and `glm47`.
"""

from __future__ import annotations

import re
from functools import partial

from faultgym.agents.models.formats.format import Format, Tools
from faultgym.agents.models.formats.qwen import THINK, thoughts_before, value_text
from faultgym.agents.models.formats.scan import turn_of
from faultgym.agents.models.formats.tags import Tags, tagged_calls
from faultgym.envs.messages.turn import Turn
from faultgym.tools.types import ToolCall

TAGS = Tags(
    head=re.compile(r"<tool_call>(?P<name>[^<]*)"),
    end=re.compile(r"</tool_call>"),
    argument=re.compile(r"<arg_key>(?P<name>.*?)</arg_key>\s*<arg_value>(?P<value>.*?)</arg_value>", re.S),
    sections=re.compile(r"</tool_call>"),
    whole="",
)


def read_glm(text: str, tools: Tools) -> Turn:
    """The turn of a text in GLM's form.

    Args:
        text: What the model wrote.
        tools: Those by whose schemas values are typed.

    Example:
        >>> text = "<tool_call>look<arg_key>order</arg_key><arg_value>7</arg_value></tool_call>"
        >>> read_glm(text, ()).tool_calls[0].arguments
        {'order': '7'}
    """
    reasoning, rest = thoughts_before(text, THINK, "<tool_call>")
    texts, calls = tagged_calls(rest, TAGS)
    return turn_of(texts, calls, reasoning, tools)


def write_glm(turn: Turn) -> str:
    """The turn as GLM 4.5 writes it."""
    thoughts = f"<think>{turn.reasoning}</think>\n" if turn.reasoning else ""
    return thoughts + "\n".join([turn.text] * bool(turn.text) + [_call(call) for call in turn.tool_calls])


def _call(call: ToolCall) -> str:
    if call.arguments is None:
        return f"<tool_call>{call.name}\n{call.raw}</tool_call>"
    given = "".join(
        f"<arg_key>{name}</arg_key>\n<arg_value>{value_text(value)}</arg_value>\n"
        for name, value in call.arguments.items()
    )
    return f"<tool_call>{call.name}\n{given}</tool_call>"


GLM = Format("glm45", partial(read_glm, tools=()), write_glm, False, read_glm, ("<arg_key>",))
