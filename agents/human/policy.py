"""A person as a policy: picks a tool, fills in its arguments, says why, and answers in the end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from faultgym.agents.human.ending import Ending
from faultgym.agents.human.entry import confidence, typed_value, wanted
from faultgym.agents.policy import Opening
from faultgym.core.json import JSON
from faultgym.core.suggest import did_you_mean
from faultgym.core.text import storable
from faultgym.envs.judging.answering import ANSWER
from faultgym.envs.messages.turn import Message, Observation, Turn
from faultgym.envs.render import neutralised
from faultgym.tools.types import ToolCall, ToolResult, ToolSpec

Ask = Callable[[str], str]
"""Shows a prompt and gives the line that was typed; raises EOFError when there is no more."""
Say = Callable[[str], None]

LEAVE, BACK = ":q", ":b"
"""Typed in place of an argument: to leave, or to go back to the choice of a tool."""


class Left(Exception):
    """Raised when the person leaves before the task is done."""


class _Back(Exception):
    """The person picks again."""


@dataclass(frozen=True)
class Human:
    """The person at the terminal, as a policy like any other, for one episode at a time."""

    ask: Ask
    say: Say
    player: str = ""
    """Who it is, where that is to be kept."""
    name: str = field(default="human", init=False)

    def start(self, opening: Opening) -> HumanActor:
        """An actor that asks the same person."""
        return HumanActor(self.ask, self.say)

    def describe(self) -> JSON:
        """What the trace says of the policy: its name and the player's."""
        return {"name": self.name, "player": self.player}


def _ends(spec: ToolSpec) -> bool:
    """Whether a call of the tool ends the task, as where answers are typed; a task may have its own of that name."""
    return spec.name == ANSWER and "outcome" in spec.parameters.get("properties", {})


class HumanActor:
    """One episode of a person.

    Args:
        ask: Shows a prompt and gives the line that was typed.
        say: Prints a line.
    """

    def __init__(self, ask: Ask, say: Say) -> None:
        self._ask_line = ask
        self._say = say
        self._turns = 0
        self._listed: tuple[str, ...] = ()
        self._ending = Ending(self._ask, say)

    def act(self, observation: Observation, tools: tuple[ToolSpec, ...]) -> Turn:
        """Show what is new and ask for the next turn.

        Raises:
            Left: The person leaves.
            EOFError: The input has ended.
        """
        for message in observation.messages:
            label = message.role if isinstance(message, Message) else "result"
            self._show(label, message.content)
        self._turns += 1
        self._say(f"\nturn {self._turns}")
        if self._listed != tuple(spec.name for spec in tools):
            self._list(tools)
        closing = next((spec for spec in tools if _ends(spec)), None)
        # The result of an answer is heard only where it was not taken: the values are asked for again.
        again = closing if any(isinstance(m, ToolResult) and m.name == ANSWER for m in observation.messages) else None
        while True:
            try:
                return self._turn(tools, closing, again)
            except _Back:
                self._say("  back to the tools")
                again = None

    def _turn(self, tools: tuple[ToolSpec, ...], closing: ToolSpec | None, again: ToolSpec | None) -> Turn:
        if again is not None:
            self._say(f"  the answer was not taken: once more ({BACK} picks another tool)")
        spec = again or self._picked(tools) or closing
        reasoning = self._ask("  why (one line)")
        if spec is None:
            return self._said(reasoning)
        ends = spec is closing
        call = ToolCall(
            f"call_{self._turns}", spec.name, self._ending.arguments(spec) if ends else self._arguments(spec)
        )
        return Turn("", (call,), reasoning, self._sure() if ends else None, finish_reason="tool_calls")

    def _picked(self, tools: tuple[ToolSpec, ...]) -> ToolSpec | None:
        """The tool; None for the answer, also where there is a tool to answer with."""
        names = [spec.name for spec in tools]
        while True:
            text = self._ask("next (a tool's number or name, a to answer, ? for the tools, q to leave)")
            if text in ("q", "quit"):
                raise Left
            if text in ("a", "answer"):
                return None
            if text == "?":
                self._list(tools)
            elif text in names:
                return tools[names.index(text)]
            elif text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= len(tools):
                return tools[int(text[:9]) - 1]
            elif text:
                hint = did_you_mean(text, names)
                self._say(f"  there is no tool {neutralised(text)!r}" + f"; {hint or '? lists them'}")

    def _arguments(self, spec: ToolSpec) -> JSON:
        required = spec.parameters.get("required", ())
        properties: dict[str, JSON] = spec.parameters.get("properties", {})
        first = sorted(properties, key=lambda name: name not in required)
        arguments: JSON = {}
        for name in first:
            value = self._argument(name, properties[name], name in required)
            if value is not None:
                arguments[name] = value[0]
        return arguments

    def _argument(self, name: str, schema: JSON, required: bool) -> tuple[Any] | None:
        """The value, in a tuple; None when it is left out."""
        what = f": {schema['description']}" if "description" in schema else ""
        prompt = f"  {name}{what} ({wanted(schema)}{'' if required else '; Enter leaves it out'})"
        while True:
            text = self._ask(prompt)
            if not text and not required:
                return None
            try:
                if not text:
                    raise ValueError("it is needed")
                return (typed_value(text, schema),)
            except ValueError as error:
                self._say(f"    {error} ({BACK} picks another tool)")

    def _said(self, reasoning: str) -> Turn:
        text = ""
        while not text:
            text = self._ask("  answer (what the user reads)")
        return Turn(text, (), reasoning, self._sure())

    def _sure(self) -> float | None:
        while True:
            try:
                return confidence(self._ask("  how sure are you (0 to 1; Enter leaves it out)"))
            except ValueError as error:
                self._say(f"    {error}")

    def _ask(self, prompt: str) -> str:
        text = storable(self._ask_line(f"{neutralised(prompt)}: ")).strip()
        if text == LEAVE:
            raise Left
        if text == BACK:
            raise _Back
        return text

    def _list(self, tools: tuple[ToolSpec, ...]) -> None:
        self._listed = tuple(spec.name for spec in tools)
        width = max((len(name) for name in self._listed), default=0)
        for number, spec in enumerate(tools, 1):
            self._say(neutralised(f"  {number:2} {spec.name:{width}}  {spec.description}"))
        self._say(f"  within a call: {BACK} goes back to the tools, {LEAVE} leaves, Enter alone leaves out what may be")

    def _show(self, label: str, text: str) -> None:
        """Every line indented, so that no result can pass for one of ours."""
        body = neutralised(text) or "(nothing)"
        self._say("\n".join([f"{label}:", *(f"    {line}" for line in body.split("\n"))]))
