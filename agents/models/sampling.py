"""How a model policy samples and what it is told, as options after its name: `?temperature=0.7&prompt=best`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import parse_qsl

from pydantic import AfterValidator, Field, TypeAdapter, ValidationError

from faultgym.agents.models.auto import AUTO
from faultgym.agents.models.formats import FORMATS
from faultgym.agents.models.prompts import prompt_description
from faultgym.core.errors import UserError
from faultgym.core.json import JSON
from faultgym.core.settings import explained
from faultgym.core.suggest import did_you_mean

Count = Annotated[int, Field(ge=0)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]


SERVER = "server"
"""Asks the server to read the calls."""


def _format(name: str) -> str:
    if name not in (SERVER, AUTO) and name not in FORMATS:
        raise ValueError(f"it is one of {SERVER}, {AUTO}, {', '.join(FORMATS)}")
    return name


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the next token is chosen. What is None is left to the server."""

    temperature: NotNegative | None = 0.0
    top_p: NotNegative | None = None
    top_k: Count | None = None
    min_p: NotNegative | None = None
    max_tokens: Count | None = 1024
    """Tokens of one turn."""
    max_completion_tokens: Count | None = None
    """The same by the name that newer hosted models want, in place of `max_tokens`."""
    seeded: bool = True
    """Whether each turn is sampled from a seed that follows from the episode's."""

    def data(self) -> JSON:
        """What is sent with each request, but for the seed."""
        sent = {f.name: v for f in fields(self) if f.name != "seeded" and (v := getattr(self, f.name)) is not None}
        if self.max_completion_tokens is not None:
            sent.pop("max_tokens", None)
        return sent

    @property
    def most(self) -> int | None:
        """Tokens of one turn, by either name; None where that is left to the server."""
        return self.max_tokens if self.max_completion_tokens is None else self.max_completion_tokens


@dataclass(frozen=True, slots=True)
class PromptOptions:
    """What the model is told, and how its text is understood."""

    prompt: str = "plain"
    """A system prompt's name, or the path of a file: added to the task's system message."""
    confidence: bool = False
    """Whether the model is asked how sure it is of its final answer."""
    format: Annotated[str, AfterValidator(_format)] = SERVER
    """`server` when it parses the tool calls, else how the model writes them: a key of `FORMATS`, or `auto` for what
    its chat template tells."""
    guided: Literal["none", "tags", "required"] = "none"
    """`tags`: what stands in `<tool_call>` tags follows the tool's schema; `required`: every turn is a call."""

    def data(self) -> JSON:
        """What a policy says of its prompt and format.

        Raises:
            UserError: There is no such prompt.
        """
        said = {"format": self.format, "guided": self.guided, "confidence": self.confidence}
        return {"prompt": prompt_description(self.prompt), **said}


T = TypeVar("T")


def options(query: str) -> dict[str, str]:
    """The options in `a=1&b=2`.

    Raises:
        UserError: An option comes twice, or without `=`.

    Example:
        >>> options("temperature=0.7&prompt=best")
        {'temperature': '0.7', 'prompt': 'best'}
    """
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query))
    except ValueError:
        raise UserError(f"policy options are written name=value&name=value, not {query!r}") from None
    if len(dict(pairs)) < len(pairs):
        raise UserError(f"a policy option is given twice in {query!r}")
    return dict(pairs)


def known_options(given: Mapping[str, str], *kinds: type[Any]) -> None:
    """Check that each option is a field of one of the dataclasses.

    Args:
        given: Name -> text.
        kinds: The dataclasses.

    Raises:
        UserError: An option is none; the message gives the nearest name.
    """
    names = [f.name for kind in kinds for f in fields(kind)]
    for name in given:
        if name not in names:
            hint = did_you_mean(name, names) or f"there are {', '.join(names)}"
            raise UserError(f"there is no policy option {name!r}; {hint}")


def filled(kind: type[T], given: Mapping[str, str]) -> T:
    """The dataclass with those of its fields that are given as texts.

    Args:
        kind: The dataclass.
        given: Name -> text; names that are no field of the dataclass are passed over. `-` stands for None.

    Raises:
        UserError: A field does not take its value.

    Example:
        >>> filled(Sampling, {"temperature": "0.7", "prompt": "best"}).temperature
        0.7
    """
    names = {f.name for f in fields(kind)}  # type: ignore[arg-type]
    try:
        values = {name: None if text == "-" else text for name, text in given.items() if name in names}
        return TypeAdapter(kind).validate_python(values)
    except ValidationError as error:
        raise UserError(f"policy option {explained(error, names)}") from None
