"""The tags of Qwen3-Coder and Qwen3.5: `<function=NAME>` and `<parameter=NAME>`; MiMo and Nemotron 3 follow them, and
Seed-OSS with other marks around them.

Sources: the chat templates of Qwen3-Coder, Qwen3.5, Nemotron 3 Nano and Seed-OSS; vLLM's parsers of these names.
"""

from __future__ import annotations

import re
from functools import partial

from faultgym.agents.models.formats.format import Format, Tools
from faultgym.agents.models.formats.scan import turn_of, written
from faultgym.agents.models.formats.tags import Tags, tagged_calls
from faultgym.envs.messages.hermes import split_thoughts
from faultgym.envs.messages.turn import Turn
from faultgym.tools.types import ToolCall

BEGUN = "<function="
THINK = ("<think>", "</think>")
SEED_THINK = ("<seed:think>", "</seed:think>")
_NAMED = r"\s*parameter\s*=\s*(?P<name>[^>]*)>"
TAGS = Tags(
    head=re.compile(r"<function=(?P<name>[^<>\n]*)>?"),
    end=re.compile(r"</function>"),
    argument=re.compile(
        rf"<{_NAMED}(?P<value>.*?)(?:<\s*/\s*parameter\s*>|(?=<{_NAMED.replace('?P<name>', '')}))", re.S
    ),
    sections=re.compile(r"</?(?:seed:)?tool_call>"),
    value=lambda found: found["value"].removeprefix("\n").removesuffix("\n"),
)


def read_tags(text: str, tools: Tools, think: tuple[str, str] = THINK) -> Turn:
    """The turn of a text in Qwen3-Coder's form.

    Args:
        text: What the model wrote.
        tools: Those by whose schemas values are typed.
        think: What begins and what ends thoughts; a call ends them too.

    Example:
        >>> text = "<tool_call>\\n<function=look>\\n<parameter=order>\\n7\\n</parameter>\\n</function>\\n</tool_call>"
        >>> read_tags(text, ()).tool_calls[0].arguments
        {'order': '7'}
    """
    reasoning, rest = thoughts_before(text, think, "<tool_call>", "<seed:tool_call>")
    texts, calls = tagged_calls(rest, TAGS)
    return turn_of(texts, calls, reasoning, tools)


def thoughts_before(text: str, think: tuple[str, str], *marks: str) -> tuple[str, str]:
    """(the thoughts, the rest), where a call ends thoughts that nothing else ends.

    Args:
        text: What the model wrote.
        think: What begins thoughts, and what ends them.
        marks: What begins a call.
    """
    places = [at for mark in marks if (at := text.find(mark)) >= 0]
    call = min(places, default=len(text))
    if text.lstrip().startswith(think[0]) and think[1] not in text[:call]:
        return text[:call].lstrip().removeprefix(think[0]).strip(), text[call:]
    reasoning, rest = split_thoughts(text[:call], think, "")
    return reasoning, rest + text[call:]


def write_tags(
    turn: Turn, marks: tuple[str, str] = ("<tool_call>", "</tool_call>"), think: tuple[str, str] = THINK
) -> str:
    """The turn as Qwen3-Coder writes it.

    Args:
        turn: The turn.
        marks: What stands around a call.
        think: What begins and what ends thoughts.
    """
    thoughts = f"{think[0]}\n{turn.reasoning}\n{think[1]}\n" if turn.reasoning else ""
    calls = [f"{marks[0]}\n{_function(call)}\n{marks[1]}" for call in turn.tool_calls]
    return thoughts + "\n".join([turn.text] * bool(turn.text) + calls)


def _function(call: ToolCall) -> str:
    if call.arguments is None:
        return f"<function={call.name}>\n{call.raw}\n</function>"
    given = "".join(f"<parameter={name}>\n{value_text(v)}\n</parameter>\n" for name, v in call.arguments.items())
    return f"<function={call.name}>\n{given}</function>"


def value_text(value: object) -> str:
    """An argument's value as text: a string as it is, all else as JSON."""
    return value if isinstance(value, str) else written(value)


QWEN3_CODER = Format("qwen3_coder", partial(read_tags, tools=()), write_tags, typed=read_tags, marks=(BEGUN,))
_read_seed = partial(read_tags, think=SEED_THINK)
SEED_OSS = Format(
    "seed_oss",
    partial(_read_seed, tools=()),
    partial(write_tags, marks=("<seed:tool_call>", "</seed:tool_call>"), think=SEED_THINK),
    typed=_read_seed,
    marks=("<seed:tool_call>",),
)
