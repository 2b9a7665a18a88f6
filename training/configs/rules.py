"""What a setting may be: one rule for each, for the configurations of training runs and of loops.

Values come from YAML files, command lines and code; a message names the setting, the value, and what is allowed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal

from faultgym.core.errors import UserError

_WORDS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
_KINDS: Mapping[str, type] = {"bool": bool, "text": str, "map": Mapping}


@dataclass(frozen=True, slots=True)
class SettingRule:
    """What a setting may be."""

    kind: Literal["int", "float", "bool", "text", "list", "map"] = "text"
    """`list`: a tuple of texts. `map`: settings of its own."""
    low: float = -math.inf
    high: float = math.inf
    above: bool = False
    """Whether `low` itself is too low."""
    choices: tuple[str, ...] = ()
    optional: bool = False
    """Whether it may be None."""
    filled: bool = False
    """Whether a text, or a list, must hold something."""

    @property
    def allowed(self) -> str:
        """In words."""
        if self.choices:
            return f"one of {', '.join(choice or 'nothing' for choice in self.choices)}"
        words = {"bool": "true or false", "list": "names, separated by commas", "text": "a text"}
        if self.kind == "map":
            return "settings, such as {learning_rate: 1e-4}"
        if self.kind in words:
            return words[self.kind] + (", not empty" if self.filled else "")
        what = "a whole number" if self.kind == "int" else "a number"
        bound = "" if self.low == -math.inf else f" above {self.low:g}" if self.above else f" from {self.low:g}"
        return what + bound + ("" if self.high == math.inf else f" to {self.high:g}")

    def holds(self, value: Any) -> bool:
        """Whether the value is allowed."""
        if value is None:
            return self.optional
        if self.choices:
            return value in self.choices
        if self.filled and not value:
            return False
        if self.kind in _KINDS:
            return isinstance(value, _KINDS[self.kind])
        if self.kind == "list":
            return isinstance(value, tuple) and all(isinstance(one, str) and one for one in value)
        if isinstance(value, bool) or not isinstance(value, int if self.kind == "int" else (int, float)):
            return False
        return math.isfinite(value) and (value > self.low if self.above else value >= self.low) and value <= self.high


def number(low: float, high: float = math.inf, *, above: bool = False, optional: bool = False) -> SettingRule:
    """A number within bounds."""
    return SettingRule("float", low, high, above, optional=optional)


def whole(low: int, high: float = math.inf, *, optional: bool = False) -> SettingRule:
    """A whole number within bounds."""
    return SettingRule("int", low, high, optional=optional)


def check(rule: SettingRule, name: str, value: Any) -> None:
    """Raise UserError when the value is not allowed."""
    if not rule.holds(value):
        near = nearest(value, rule.choices) if isinstance(value, str) else ""
        raise UserError(f"{name}: {value!r} is not allowed{near}; it has to be {rule.allowed}")


def check_names(values: Iterable[str], known: Iterable[str]) -> None:
    """Raise UserError for the name of a setting that there is not."""
    names = sorted(known)
    for name in values:
        if name not in names:
            raise UserError(f"unknown setting {name!r}{nearest(name, names)}; there are {', '.join(names)}")


def nearest(word: str, known: Iterable[str]) -> str:
    """A hint at what was meant, or nothing."""
    close = get_close_matches(word, list(known), 1)
    return f" (did you mean {close[0]!r}?)" if close else ""


def converted(rule: SettingRule, value: Any) -> Any:
    """A value as YAML and command lines give it (1e-4 is a text in YAML) as what the setting holds."""
    if rule.optional and isinstance(value, str) and value.lower() in {"", "none", "null", "auto"}:
        return None
    if rule.kind == "list" and isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip() and part.strip() != "none")
    if rule.kind == "list" and isinstance(value, Sequence):
        return tuple(str(part) if isinstance(part, Path) else part for part in value)
    if rule.kind == "text":
        return str(value) if isinstance(value, Path) else value
    if isinstance(value, str):
        try:
            if rule.kind == "bool":
                return _WORDS[value.lower()]
            return int(value) if rule.kind == "int" else float(value) if rule.kind == "float" else value
        except (ValueError, KeyError):
            return value  # the check names it
    if rule.kind == "int" and isinstance(value, float) and value.is_integer():
        return int(value)
    return value
