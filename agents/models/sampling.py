"""How a model policy samples and what it is told, as options after its name: `?temperature=0.7&prompt=best`."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, TypeVar
from urllib.parse import parse_qsl

from faultgym.agents.models.formats import FORMATS
from faultgym.agents.models.prompts import prompt_description
from faultgym.core.errors import UserError
from faultgym.core.json import JSON

GUIDES = ("none", "tags", "required")


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the next token is chosen. What is None is left to the server."""

    temperature: float = 0.0
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    max_tokens: int = 1024
    """Tokens of one turn."""
    seeded: bool = True
    """Whether each turn is sampled from a seed that follows from the episode's."""

    def data(self) -> JSON:
        """What is sent with each request, but for the seed."""
        return {f.name: v for f in fields(self) if f.name != "seeded" and (v := getattr(self, f.name)) is not None}


@dataclass(frozen=True, slots=True)
class PromptOptions:
    """What the model is told, and how it is understood."""

    prompt: str = "plain"
    """A system prompt's name, or the path of a file: added to the task's system message."""
    confidence: bool = False
    """Whether the model is asked how sure it is of its final answer."""
    format: str = "server"
    """`server` when it parses the tool calls, else how the model writes them: a key of `FORMATS`."""
    guided: str = "none"
    """`tags`: what stands in `<tool_call>` tags follows the tool's schema; `required`: every turn is a call."""

    def data(self) -> JSON:
        """What a policy says of it. Raises UserError for a prompt that is not there."""
        said = {"format": self.format, "guided": self.guided, "confidence": self.confidence}
        return {"prompt": prompt_description(self.prompt), **said}


T = TypeVar("T")


def options(query: str) -> dict[str, str]:
    """The options in `a=1&b=2`. Raises UserError for one that comes twice, or without `=`."""
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query))
    except ValueError:
        raise UserError(f"policy options are written name=value&name=value, not {query!r}") from None
    if len(dict(pairs)) < len(pairs):
        raise UserError(f"a policy option is given twice in {query!r}")
    return dict(pairs)


def known_options(given: Mapping[str, str], *kinds: type[Any]) -> None:
    """Raises UserError with the nearest name when an option is a field of none of the dataclasses."""
    names = [f.name for kind in kinds for f in fields(kind)]
    for name in given:
        if name not in names:
            near = difflib.get_close_matches(name, names, 1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(names)}"
            raise UserError(f"there is no policy option {name!r}; {hint}")


def filled(kind: type[T], given: Mapping[str, str]) -> T:
    """The dataclass with those of its fields that are given. Raises UserError for a value it cannot take."""
    values: dict[str, Any] = {}
    for f in fields(kind):  # type: ignore[arg-type]
        if f.name in given:
            values[f.name] = _typed(f.name, given[f.name], str(f.type))
    made = kind(**values)
    if isinstance(made, PromptOptions):
        _one_of("format", made.format, ("server", *FORMATS))
        _one_of("guided", made.guided, GUIDES)
    return made


def _typed(name: str, text: str, wanted: str) -> Any:
    try:
        if wanted.startswith("bool"):
            return {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}[text.lower()]
        if wanted.startswith("int"):
            number: float = int(text)
        elif wanted.startswith("float"):
            number = float(text)
        else:
            return text
        if not 0 <= number < float("inf"):
            raise ValueError
        return number
    except (KeyError, ValueError):
        kind = "yes or no" if wanted.startswith("bool") else "a number that is not negative"
        raise UserError(f"policy option {name} takes {kind}, not {text!r}") from None


def _one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise UserError(f"policy option {name} is one of {', '.join(allowed)}, not {value!r}")
