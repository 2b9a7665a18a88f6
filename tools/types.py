"""The values that cross the border between a policy and its tools.

`ToolSpec` is what a model is shown, `ToolCall` what it asks for, `ToolResult` what it gets back.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from faultgym.core.json import JSON
from faultgym.core.values import fast_init

MAX_ARGUMENTS = 65_536
"""Characters of arguments that a call may have."""
MAX_DEPTH = 32
"""Levels of nesting that arguments may have."""


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """A tool as the model is shown it."""

    name: str
    """Unique among the tools offered in one step."""
    description: str
    """One or two sentences, in the imperative."""
    parameters: JSON = field(hash=False)
    """JSON Schema (2020-12) of the arguments, always an object."""

    def openai(self) -> JSON:
        """The spec in the form of OpenAI's `tools` parameter, which chat templates render too."""
        return {
            "type": "function",
            "function": {
                "name": self.name,
                "description": self.description,
                "parameters": self.parameters,
            },
        }


def interface(specs: Iterable[ToolSpec]) -> list[ToolSpec]:
    """The specs without the descriptions of their parameters: equal for tools that take and do the same.

    Traces of version 0.1 were recorded when some parameters had no description; a replay compares no more than this.
    """
    return [ToolSpec(spec.name, spec.description, _undescribed(spec.parameters)) for spec in specs]


def _undescribed(schema: JSON) -> JSON:
    properties = {
        name: {key: value for key, value in parameter.items() if key != "description"}
        for name, parameter in schema.get("properties", {}).items()
    }
    return {**schema, "properties": properties}


@fast_init
@dataclass(frozen=True, slots=True)
class ToolCall:
    """One call that a policy asks for."""

    id: str
    """Unique within its turn; the result carries it back."""
    name: str
    arguments: JSON | None = field(default=None, hash=False)
    """The parsed arguments, or None when only text is there (`raw`) and it still has to be parsed."""
    raw: str = ""
    """The arguments as the model wrote them, when they came as text."""


@fast_init
@dataclass(frozen=True, slots=True)
class ToolResult:
    """What came back from one call: everything the model sees, and a code for the scorer."""

    call_id: str
    name: str
    content: str
    """What the model sees."""
    code: str = "ok"
    """`ok`, or what went wrong: `unknown_tool`, `malformed_call`, `invalid_argument`, `http_404`,
    `sql_error`, `timeout`, ... For the scorer; the model never sees it."""

    @property
    def ok(self) -> bool:
        """Whether the call did what it says; a 200 with a broken body counts as ok here."""
        return self.code == "ok"

    def openai(self) -> JSON:
        """The result as an OpenAI chat message."""
        return {"role": "tool", "tool_call_id": self.call_id, "name": self.name, "content": self.content}
