"""The tags `invoke` and `parameter`: MiniMax M2's, and those of DeepSeek V3.2 and V4 with a mark in each.

Sources: the chat template of MiniMax M2, DeepSeek's encoding of V3.2; vLLM's parsers of these names.
"""

from __future__ import annotations

import re
from functools import partial

import orjson

from faultgym.agents.models.formats.format import Format, Tools
from faultgym.agents.models.formats.qwen import THINK, thoughts_before, value_text
from faultgym.agents.models.formats.scan import turn_of
from faultgym.agents.models.formats.tags import Tags, tagged_calls
from faultgym.agents.models.formats.values import properties
from faultgym.envs.messages.turn import Turn
from faultgym.tools.types import ToolCall

DSML = "｜DSML｜"  # noqa: RUF001 - the model's own characters
_SECTIONS = tuple(f"<{DSML}{name}>" for name in ("function_calls", "tool_calls", "toolcalls", "tool", " calls"))
_MARKS = (*_SECTIONS, f"<{DSML}invoke", f"<{DSML} invoke")
MINIMAX = Tags(
    head=re.compile(r"""<invoke name=["']?(?P<name>[^"'<>\n]*)["']?>?"""),
    end=re.compile(r"</invoke>"),
    argument=re.compile(
        r"""<\s*parameter\s+name\s*=\s*(?P<q>["']?)(?P<name>[^"'>]+)(?P=q)\s*>"""
        r"""(?P<value>.*?)(?:<\s*/\s*parameter\s*>|(?=<\s*parameter\s+name\s*=))""",
        re.S,
    ),
    sections=re.compile(r"</?minimax:tool_call>"),
)


def _dsml_value(found: re.Match[str]) -> object:
    if found["string"] == "true":
        return found["value"]
    try:
        return orjson.loads(found["value"])
    except (ValueError, UnicodeEncodeError):
        return found["value"]


DEEPSEEK = Tags(
    head=re.compile(rf'<{DSML} ?invoke name="(?P<name>[^"<>\n]*)"?>?'),
    end=re.compile(rf"</{DSML} ?(?:invoke|function_calls|tool_calls|calls)>"),
    argument=re.compile(
        rf'<{DSML} ?parameter\s+name="(?P<name>[^"]+)"(?:\s+string="(?P<string>[^"]*)")?\s*>'
        rf"(?P<value>.*?)(?:</{DSML} ?parameter>|(?=<{DSML} ?parameter\s+name=))",
        re.S,
    ),
    sections=re.compile(rf"</?{DSML} ?(?:(?:function_|tool_?)?calls|tool)>"),
    value=_dsml_value,
)


def read_minimax(text: str, tools: Tools) -> Turn:
    """The turn of a text in MiniMax M2's form.

    Args:
        text: What the model wrote.
        tools: Those by whose schemas values are typed.

    Example:
        >>> text = '<minimax:tool_call><invoke name="look"><parameter name="order">7</parameter></invoke>'
        >>> read_minimax(text, ()).tool_calls[0].arguments
        {'order': '7'}
    """
    reasoning, rest = thoughts_before(text, THINK, "<minimax:tool_call>")
    texts, calls = tagged_calls(rest, MINIMAX)
    return turn_of(texts, calls, reasoning, tools)


def read_dsml(text: str, tools: Tools) -> Turn:
    """The turn of a text in the form of DeepSeek V3.2 and V4.

    Args:
        text: What the model wrote.
        tools: Those by whose schemas values are typed.
    """
    reasoning, rest = thoughts_before(text, THINK, *_SECTIONS)
    texts, calls = tagged_calls(rest, DEEPSEEK)
    return turn_of(texts, [_unwrapped(call, tools) for call in calls], reasoning, tools)


def _unwrapped(call: ToolCall, tools: Tools) -> ToolCall:
    """The call whose arguments stand in one argument named `arguments` or `input` that the tool does not have."""
    known = properties(tools, call.name)
    if not known or call.arguments is None or len(call.arguments) != 1:
        return call
    ((name, inner),) = call.arguments.items()
    if name in known or name not in ("arguments", "input"):
        return call
    if isinstance(inner, str):
        try:
            inner = orjson.loads(inner)
        except (ValueError, UnicodeEncodeError):
            return call
    return ToolCall("", call.name, inner) if isinstance(inner, dict) and set(inner) <= set(known) else call


def write_minimax(turn: Turn) -> str:
    """The turn as MiniMax M2 writes it."""
    calls = "".join(
        f'<invoke name="{call.name}">\n'
        + "".join(f'<parameter name="{k}">{value_text(v)}</parameter>\n' for k, v in (call.arguments or {}).items())
        + (call.raw if call.arguments is None else "")
        + "</invoke>\n"
        for call in turn.tool_calls
    )
    return _thoughts(turn) + turn.text + (f"\n<minimax:tool_call>\n{calls}</minimax:tool_call>" if calls else "")


def write_dsml(turn: Turn, section: str = "function_calls") -> str:
    """The turn as DeepSeek V3.2 writes it.

    Args:
        turn: The turn.
        section: What the tag around the calls is named.
    """
    calls = "".join(
        f'<{DSML}invoke name="{call.name}">\n'
        + "".join(_parameter(name, value) for name, value in (call.arguments or {}).items())
        + (call.raw if call.arguments is None else "")
        + f"</{DSML}invoke>\n"
        for call in turn.tool_calls
    )
    return _thoughts(turn) + turn.text + (f"\n\n<{DSML}{section}>\n{calls}</{DSML}{section}>" if calls else "")


def _parameter(name: str, value: object) -> str:
    kind = "true" if isinstance(value, str) else "false"
    return f'<{DSML}parameter name="{name}" string="{kind}">{value_text(value)}</{DSML}parameter>\n'


def _thoughts(turn: Turn) -> str:
    return f"<think>{turn.reasoning}</think>" if turn.reasoning else ""


MINIMAX_M2 = Format(
    "minimax_m2",
    partial(read_minimax, tools=()),
    write_minimax,
    False,
    read_minimax,
    ("<minimax:tool_call>", "<invoke name="),
)
DEEPSEEK_V32 = Format("deepseek_v32", partial(read_dsml, tools=()), write_dsml, False, read_dsml, _MARKS)
DEEPSEEK_V4 = Format(
    "deepseek_v4", partial(read_dsml, tools=()), partial(write_dsml, section="tool_calls"), False, read_dsml, _MARKS
)
