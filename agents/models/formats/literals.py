"""Python calls out of a text, `look(order=7, tags=["a"])`, read without Python: no text makes this slow or deep."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any

from faultgym.agents.models.formats.values import in_64_bits
from faultgym.core.json import JSON

_DEEP = 64
_TRIES = 64
_QUOTE = re.compile("['\"]")
_SPACE = re.compile(r"\s*")
_CALL = re.compile(r"([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)\s*\(")
_KEYWORD = re.compile(r"([A-Za-z_]\w*)\s*=(?!=)")
_STRING = re.compile(
    r'([rRuUfF]{0,2})("""(?:\\.|(?!""").)*"""|\'\'\'(?:\\.|(?!\'\'\').)*\'\'\'|"(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])*\')',
    re.DOTALL,
)
_NUMBER = re.compile(r"[+-]?\s*(0[xX][\da-fA-F_]+|(?:\d[\d_]*(?:\.[\d_]*)?|\.\d[\d_]*)(?:[eE][+-]?\d+)?)(?![\w.])")
_NAME = re.compile(r"(?:True|False|None|true|false|null)(?!\w)")
_NAMES = {"True": True, "true": True, "False": False, "false": False, "None": None, "null": None}
_ESCAPE = re.compile(r"\\(\n|x[\da-fA-F]{2}|u[\da-fA-F]{4}|U[\da-fA-F]{8}|[0-7]{1,3}|.)", re.DOTALL)
_ESCAPED = dict(zip("abfnrtv\\'\"\n", "\a\b\f\n\r\t\v\\'\"", strict=False)) | {"\n": ""}
_CLOSING = {"[": "]", "(": ")", "{": "}"}


class NotLiteral(ValueError):
    """Here stands no call with literals as its arguments."""


class Literals:
    """Reads calls and literals one after the other; `at` is the place that was reached.

    Args:
        text: What is read.
        at: Where to begin.
    """

    def __init__(self, text: str, at: int = 0):
        self.text = text
        self.at = at

    def call(self) -> tuple[str, JSON]:
        """(the name, the arguments) of the call at this place.

        Raises:
            NotLiteral: There is none, an argument has no name or comes twice, or a value is no literal.
        """
        head = self._take(_CALL)
        if head is None:
            raise NotLiteral(f"no call at {self.at}")
        arguments: JSON = {}
        while not self.skip(")"):
            keyword = self._take(_KEYWORD)
            if keyword is None or keyword[1] in arguments:
                raise NotLiteral(f"no argument at {self.at}")
            arguments[keyword[1]] = self.value()
            if not self.skip(",") and not self._ahead(")"):
                raise NotLiteral(f"no comma at {self.at}")
        return head[1], arguments

    def value(self, depth: int = 0) -> Any:
        """The literal at this place; tuples and sets are lists, as JSON has neither.

        Args:
            depth: How deep in another one.

        Raises:
            NotLiteral: There is none, or it is nested too deep.
        """
        if depth > _DEEP:
            raise NotLiteral("nested too deep")
        if self._ahead("{"):
            return self._braces(depth)
        if self._ahead("[") or self._ahead("("):
            return self._items(depth)
        parts = []
        while (found := self._take(_STRING)) is not None:
            parts.append(_string(found[1].lower(), found[2]))
        if parts:
            return "".join(parts)
        if (name := self._take(_NAME)) is not None:
            return _NAMES[name[0]]
        if (number := self._take(_NUMBER)) is not None:
            return _number(number[0])
        raise NotLiteral(f"no literal at {self.at}")

    def skip(self, mark: str) -> bool:
        """Whether the mark stands at this place, after white space; it is passed over."""
        found = self._ahead(mark)
        if found:
            self.at += len(mark)
        return found

    def _ahead(self, mark: str) -> bool:
        found = _SPACE.match(self.text, self.at)
        if found is not None:
            self.at = found.end()
        return self.text.startswith(mark, self.at)

    def _take(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        self._ahead("")
        found = pattern.match(self.text, self.at)
        if found is not None:
            self.at = found.end()
        return found

    def _items(self, depth: int) -> Any:
        bracket = self.text[self.at]
        close = _CLOSING[bracket]
        self.at += 1
        items: list[Any] = []
        comma = True
        while not self.skip(close):
            if not comma:
                raise NotLiteral(f"no comma at {self.at}")
            items.append(self.value(depth + 1))
            comma = self.skip(",")
        return items[0] if bracket == "(" and len(items) == 1 and not comma else items

    def _braces(self, depth: int) -> Any:
        self.at += 1
        found: JSON = {}
        items: list[Any] = []
        comma = True
        while not self.skip("}"):
            if not comma:
                raise NotLiteral(f"no comma at {self.at}")
            item = self.value(depth + 1)
            if self.skip(":"):
                found[_key(item)] = self.value(depth + 1)
            else:
                items.append(item)
            comma = self.skip(",")
        if found and items:
            raise NotLiteral("neither a dict nor a set")
        return items or found


def requoted(text: str, at: int = 0) -> Iterator[tuple[str, int]]:
    """The readings of a text whose first broken string holds quotes of its own kind, `cmd='sed -n '1,9p' f.py'`.

    Args:
        text: What could not be read.
        at: Where to begin.

    Yields:
        (the text with the quotes inside that string escaped, how many characters that added), for each quote that may
        end it.
    """
    while (start := _first(text, at)) >= 0:
        found = _STRING.match(text, start)
        if found is None:
            return
        at = found.end()
        if not _closes(text, at):
            break
    else:
        return
    quote = text[start]
    places = [m.start() for m in re.finditer(rf"\\.|{quote}", text[start + 1 :], re.DOTALL) if m[0] == quote]
    for place in places[:_TRIES]:
        end = start + 1 + place
        if _closes(text, end + 1):
            inside = re.sub(rf"(\\.)|{quote}", lambda m: m[1] or f"\\{quote}", text[start + 1 : end], flags=re.DOTALL)
            yield text[: start + 1] + inside + text[end:], len(inside) - (end - start - 1)


def _first(text: str, at: int) -> int:
    found = _QUOTE.search(text, at)
    return -1 if found is None else found.start()


def _closes(text: str, at: int) -> bool:
    return text[at:].lstrip()[:1] in (",", ")", "]", "}", ":")


def _key(value: Any) -> str:
    if isinstance(value, str):
        return value
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, (int, float)):
        return str(value)
    raise NotLiteral("a key that JSON does not have")


def _string(prefix: str, quoted: str) -> str:
    edge = 3 if quoted.startswith(('"""', "'''")) and len(quoted) >= 6 else 1
    inside = quoted[edge:-edge]
    if "f" in prefix and ("{" in inside or "}" in inside):
        raise NotLiteral("a string with values in it")
    return inside if "r" in prefix else _ESCAPE.sub(_escape, inside)


def _escape(found: re.Match[str]) -> str:
    code = found[1]
    if code in _ESCAPED:
        return _ESCAPED[code]
    if code[0] in "xuU" and len(code) > 1:
        number = int(code[1:], 16)
        return chr(number) if number < 0x110000 else found[0]
    if code[0] in "01234567":
        return chr(int(code, 8))
    return found[0]


def _number(text: str) -> int | float:
    text = re.sub(r"[\s_]", "", text)
    try:
        if "x" in text.lower():
            return in_64_bits(int(text, 16))
        if re.fullmatch(r"[+-]?\d+", text):
            return in_64_bits(int(text))
        value = float(text)
    except ValueError as error:
        raise NotLiteral(str(error)) from None
    if not math.isfinite(value):
        raise NotLiteral("a number beyond all floats")
    return value
