"""The tools of a trace as JSON, and back: most of a line, and the same for all episodes of a suite and style."""

from __future__ import annotations

import msgspec

from faultgym.agents.traces.schema import ToolSpecData
from faultgym.core.bank import banked
from faultgym.core.records import restored
from faultgym.tools.types import ToolSpec

_DECODER = msgspec.json.Decoder(tuple[ToolSpecData, ...])


class _Same:
    """Tools as a key of a cache: the very same objects, for equal ones (`1` and `1.0`) may be written differently."""

    __slots__ = ("hash", "tools")

    def __init__(self, tools: tuple[ToolSpec, ...]) -> None:
        self.tools = tools
        self.hash = hash(tuple(map(id, tools)))

    def __hash__(self) -> int:
        return self.hash

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, _Same) or len(self.tools) != len(other.tools):
            return False
        return all(a is b for a, b in zip(self.tools, other.tools, strict=True))


def tools_json(tools: tuple[ToolSpec, ...]) -> msgspec.Raw:
    """The tools as JSON in the form of OpenAI's `tools` parameter."""
    return _tools_json(_Same(tools))


@banked("code", 64)
def _tools_json(same: _Same) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode([spec.openai() for spec in same.tools]))


@banked("code", 64)
def tools_of(data: bytes) -> tuple[ToolSpec, ...]:
    """The tools in a JSON text.

    Raises:
        msgspec.ValidationError: The text does not hold a list of tools.
    """
    return tuple(restored(ToolSpec, tool.function) for tool in _DECODER.decode(data))
