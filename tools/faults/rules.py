"""The JSON form of a fault plan, where a person's input enters: what is allowed, and on which line it stands."""

from __future__ import annotations

import json
import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

MAX_ORDINAL = 10_000
"""The largest ordinal of a call that a plan may name."""

Ordinal = Annotated[int, Field(ge=1, le=MAX_ORDINAL)]
Seconds = Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)]
Text = Annotated[str, Field(max_length=200)]
How = Literal["nth", "first", "every", "from", "calls", "seconds", "probability"]
HOW: tuple[How, ...] = ("nth", "first", "every", "from", "calls", "seconds", "probability")


class Border(BaseModel):
    """What all parts share: no unknown fields, no silent conversions."""

    model_config = ConfigDict(extra="forbid", strict=True)

    @classmethod
    def names(cls, place: tuple[int | str, ...]) -> list[str]:
        """The fields known at a place inside, for the message about one that is not.

        Args:
            place: Keys and indices that lead to the unknown field, as pydantic's `loc`.
        """
        model: type[BaseModel] = TriggerIn if "trigger" in place[:-1] else cls
        return [field.alias or name for name, field in model.model_fields.items()]


class TriggerIn(Border):
    """`trigger` of a rule."""

    nth: Ordinal | Annotated[list[Ordinal], Field(min_length=1, max_length=1000)] | None = None
    first: Ordinal | None = None
    every: Ordinal | None = None
    from_: Ordinal | None = Field(default=None, alias="from")
    calls: Annotated[list[Ordinal], Field(min_length=2, max_length=2)] | None = None
    seconds: Annotated[list[Seconds], Field(min_length=2, max_length=2)] | None = None
    probability: Annotated[float, Field(gt=0, le=1)] | None = None
    after_write: bool = False

    @model_validator(mode="after")
    def _one(self) -> TriggerIn:
        given = [how for how in HOW if self._given(how) is not None]
        if len(given) != 1:
            raise ValueError(f"a trigger is exactly one of {', '.join(HOW)}; this has {', '.join(given) or 'none'}")
        how, values = self.chosen()
        if how == "calls" and values[0] > values[1]:
            raise ValueError("`calls` is [first, last], and the last is before the first")
        if how == "seconds" and values[0] >= values[1]:
            raise ValueError("`seconds` is [from, to), and that is empty")
        return self

    def _given(self, how: How) -> Any:
        return getattr(self, "from_" if how == "from" else how)

    def chosen(self) -> tuple[How, tuple[float, ...]]:
        """The form that was given, and its numbers: `("nth", (1, 3))`."""
        how = next(how for how in HOW if self._given(how) is not None)
        value = self._given(how)
        return how, tuple(value) if isinstance(value, list) else (value,)


class RuleIn(Border):
    """One of a plan's `rules`."""

    kind: Text
    tool: Text = ""
    route: Text = ""
    channel: Literal["", "http", "sql", "search", "tool"] = ""
    match: dict[Text, Text] = Field(default_factory=dict)
    trigger: TriggerIn
    params: dict[Text, str | int | float | bool] = Field(default_factory=dict)


class PlanIn(Border):
    """A whole plan; its rules are checked one by one, to say which is wrong."""

    version: Literal[1]
    name: Text = ""
    rules: Annotated[list[Any], Field(max_length=1000)]


def rule_lines(text: str) -> list[int]:
    """The line, counted from 1, on which each rule begins.

    Args:
        text: A text that is a valid plan. Of repeated keys `rules`, the last counts, as for the JSON parser.
    """
    decoder = json.JSONDecoder()
    space = re.compile(r"[\s,:]*")
    at = space.match(text, text.index("{") + 1).end()  # type: ignore[union-attr]
    lines: list[int] = []
    while text[at] != "}":
        name, at = decoder.raw_decode(text, at)
        at = space.match(text, at).end()  # type: ignore[union-attr]
        if name != "rules":
            _, at = decoder.raw_decode(text, at)
        else:
            lines = []
            at = space.match(text, at + 1).end()  # type: ignore[union-attr]
            while text[at] != "]":
                lines.append(text.count("\n", 0, at) + 1)
                _, at = decoder.raw_decode(text, at)
                at = space.match(text, at).end()  # type: ignore[union-attr]
            at += 1
        at = space.match(text, at).end()  # type: ignore[union-attr]
    return lines
