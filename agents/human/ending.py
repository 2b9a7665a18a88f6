"""The call of `answer` as a person fills it in: how the task ends, its values, what the person who asked is told."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from faultgym.agents.human.entry import EMPTY, typed_value, wanted
from faultgym.core.json import JSON
from faultgym.envs.judging.form import EMPTY_HANDED
from faultgym.tools.types import ToolSpec

_EXAMPLES = {"integer": "such as 3", "number": "such as 12.5"}
"""For fields whose description gives no example of its own."""


class Ending:
    """The form of one episode's answer, filled in line by line.

    What was typed is kept: an answer that the environment sends back is asked for again, and Enter keeps a line.

    Args:
        ask: Shows a prompt and gives the line that was typed, without the space around it.
        say: Prints a line.
    """

    def __init__(self, ask: Callable[[str], str], say: Callable[[str], None]) -> None:
        self._ask = ask
        self._say = say
        self._typed: dict[str, str] = {}

    def arguments(self, spec: ToolSpec) -> JSON:
        """What the call is to say: outcome, fields and message, as far as they were given.

        Values are sent as they are typed; whether one is of its kind, the environment says.

        Args:
            spec: The tool `answer`.
        """
        properties = spec.parameters["properties"]
        outcome = self._outcome(properties["outcome"])
        arguments: JSON = {"outcome": outcome}
        form: dict[str, JSON] = properties.get("fields", {}).get("properties", {})
        if form and outcome in EMPTY_HANDED:
            self._say(
                f"    {outcome} goes with no value: {', '.join(form)} {'is' if len(form) == 1 else 'are'} left out"
            )
        else:
            fields = {name: value for name, schema in form.items() if (value := self._field(name, schema)) is not None}
            arguments |= {"fields": fields} if fields else {}
        message = self._line("message", "  message: " + properties["message"]["description"], needed=True)
        return {**arguments, "message": message}

    def _outcome(self, schema: JSON) -> str:
        """The outcome, from a menu that says what each means."""
        meanings = dict(re.findall(r"(\w+): (.+?)\.(?: |$)", schema.get("description", "")))
        width = max(map(len, schema["enum"]))
        self._say("  how does it end?")
        for number, name in enumerate(schema["enum"], 1):
            self._say(f"    {number} {name:{width}}  {meanings.get(name, '')}".rstrip())
        while True:
            text = self._line("outcome", "  outcome", "its number or name", needed=True)
            try:
                self._typed["outcome"] = str(typed_value(text, schema))
                return self._typed["outcome"]
            except ValueError as error:
                self._refuse("outcome", error)

    def _field(self, name: str, schema: JSON) -> Any:
        """The value of a field; None when it is left out."""
        while True:
            text = self._line(f"fields.{name}", f"  {name}: {schema['description']}", _kind(schema))
            try:
                return _value(text, schema) if text else None
            except ValueError as error:
                self._refuse(f"fields.{name}", error)

    def _refuse(self, name: str, error: ValueError) -> None:
        del self._typed[name]
        self._say(f"    {error}")

    def _line(self, name: str, prompt: str, takes: str = "", *, needed: bool = False) -> str:
        """A line; Enter gives what was typed there before. Empty when it is left out."""
        while True:
            before = self._typed.get(name, "")
            keeps = f"Enter keeps {before}" if before else ""
            leaves = "" if needed else f"{EMPTY if before else 'Enter'} leaves it out"
            hints = "; ".join(filter(None, (takes, keeps, leaves)))
            text = self._ask(prompt + (f" ({hints})" if hints else "")) or before
            text = "" if text == EMPTY else text
            self._typed[name] = text
            if text or not needed:
                return text
            self._say("    it is needed")


def _kind(schema: JSON) -> str:
    """What kind of value a field takes, with an example where its description has none."""
    if schema.get("type") == "array":
        return f"one {_kind(schema['items'])} or several, with commas between them"
    example = "" if " such as " in schema.get("description", "") else _EXAMPLES.get(str(schema.get("type")), "")
    return " ".join(filter(None, (wanted(schema), example)))


def _value(text: str, schema: JSON) -> Any:
    """What a field's text stands for; the text itself where its form is the environment's to read: `240.30 EUR`.

    Raises:
        ValueError: The text is none of the listed values; the message says which there are.
    """
    if schema.get("type") == "array":
        parts = (part.strip() for part in text.split(";" if ";" in text else ","))
        return [_value(part, schema["items"]) for part in parts if part]
    if "enum" in schema:
        return typed_value(text, schema)
    if schema.get("type") in ("integer", "number"):
        try:
            return typed_value(text, schema)
        except ValueError:
            return text
    return text
