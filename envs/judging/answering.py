"""The tool `answer`, by which an agent ends an episode: what the model is shown, and how a call of it is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from faultgym.core.bank import banked
from faultgym.core.suggest import did_you_mean
from faultgym.envs.judging.form import OUTCOMES, AnswerField, TypedAnswer, Value, outline
from faultgym.envs.messages.turn import Turn
from faultgym.tools.toolbox import MalformedCall, parse_arguments
from faultgym.tools.types import ToolCall, ToolResult, ToolSpec

ANSWER = "answer"
ANSWERED = "answered"
"""Code of the result of a call of `answer` that ended its episode."""
ACKNOWLEDGED = "The answer was recorded."
NOT_WITH_ANSWER = "error: not done: a call of answer ends the task, so it has to be the only call of its turn"
CALL_ANSWER = f"When you are done, call the tool {ANSWER} once"
"""How the system message of a task with a typed answer begins to say how to end."""
REMINDER = "That is not the end yet: to finish, call the tool answer."
"""What a turn of plain text is answered with where the budget allows for a reminder."""
_OUTCOME: dict[str, Any] = {
    "type": "string",
    "enum": list(OUTCOMES),
    "description": (
        "done: what was asked for is carried out. answered: the question is answered, and nothing had to be changed."
        " not_found: what was asked about does not exist, and you have looked for it. refused: the rules do not allow"
        " what was asked for. unavailable: it cannot be done or found out now, because a system is out of order."
    ),
}
_MESSAGE: dict[str, Any] = {
    "type": "string",
    "description": "What you tell the person who asked, in one or two sentences",
}
DESCRIPTION = "End the task with your answer. Call this once, alone in its turn, when there is nothing left to do."


@banked("code", 1024)
def answer_tool(form: tuple[AnswerField, ...]) -> ToolSpec:
    """The tool as a model is shown it.

    Args:
        form: The task's fields; without any, the tool takes none.

    Example:
        >>> spec = answer_tool((AnswerField("total", "money", "The order's total", unit="EUR"),))
        >>> list(spec.parameters["properties"]), list(spec.parameters["properties"]["fields"]["properties"])
        (['outcome', 'fields', 'message'], ['total'])
    """
    properties = {"outcome": _OUTCOME}
    if form:
        properties["fields"] = {
            "type": "object",
            "properties": {field.name: field.schema for field in form},
            "additionalProperties": False,
            "description": "The values asked for; leave out what you do not have",
        }
    properties["message"] = _MESSAGE
    schema = {"type": "object", "properties": properties, "required": ["outcome"], "additionalProperties": False}
    return ToolSpec(ANSWER, DESCRIPTION, schema)


@banked("code", 1)
def open_answer_tool() -> ToolSpec:
    """The tool for a list of tools that many tasks share: what its fields are, the system message says."""
    spec = answer_tool(())
    fields = {"type": "object", "description": "The values asked for, by the names that the instructions give"}
    first, *rest = spec.parameters["properties"].items()
    return ToolSpec(
        ANSWER, spec.description, {**spec.parameters, "properties": dict([first, ("fields", fields), *rest])}
    )


def closing_rule(form: Sequence[AnswerField]) -> str:
    """What the system message says of the answer, for models that see no schema of a task's own."""
    fields = f" Its fields: {outline(form)}." if form else ""
    return f"{CALL_ANSWER}, with outcome{', fields' if form else ''} and message.{fields}"


class BadAnswer(ValueError):
    """A call of `answer` that does not fit. Data, not a bug: the episode makes a result of it.

    Args:
        code: The code of the result.
        text: What is wrong, for the model.
        field: The argument or the field that it is about; empty where the call did not parse.
    """

    def __init__(self, code: str, text: str, field: str = ""):
        super().__init__(text)
        self.code = code
        self.field = field


def read_answer(call: ToolCall, form: Sequence[AnswerField]) -> TypedAnswer:
    """The answer that a call gives.

    Args:
        call: A call of `answer`.
        form: The task's fields.

    Raises:
        BadAnswer: The call does not fit the form.

    Example:
        >>> call = ToolCall("call_0", "answer", {"outcome": "answered", "fields": {"total": "240.30 EUR"}})
        >>> read_answer(call, (AnswerField("total", "money", "The order's total", unit="EUR"),)).fields
        {'total': '24030'}
    """
    try:
        arguments = parse_arguments(call)
    except MalformedCall as error:
        raise BadAnswer("malformed_call", str(error)) from None
    for name in arguments:
        if name not in ("outcome", "fields", "message"):
            raise BadAnswer("unknown_argument", f"there is no argument {str(name)[:80]!r}; {_takes(form)}", str(name))
    if "outcome" not in arguments:
        raise BadAnswer("missing_argument", f"outcome is missing: one of {', '.join(OUTCOMES)}", "outcome")
    outcome = arguments["outcome"]
    if outcome not in OUTCOMES:
        said = f"outcome is one of {', '.join(OUTCOMES)}, not {repr(outcome)[:80]}"
        raise BadAnswer("invalid_argument", said, "outcome")
    message = arguments.get("message")
    if message is not None and not isinstance(message, str):
        raise BadAnswer("invalid_argument", "message is a text", "message")
    return TypedAnswer(outcome, _fields(arguments.get("fields"), form), message or "")


def answer_in(turn: Turn, form: Sequence[AnswerField]) -> TypedAnswer | None:
    """The answer that a turn gives where answers are typed; None where it gives none, or one that does not fit.

    Args:
        turn: The turn.
        form: The task's fields.

    Example:
        >>> answer_in(Turn(tool_calls=(ToolCall("call_0", "answer", {"outcome": "done"}),)), ()).outcome
        'done'
    """
    call = next((call for call in turn.tool_calls if call.name == ANSWER), None)
    try:
        return None if call is None else read_answer(call, form)
    except BadAnswer:
        return None


def _fields(given: object, form: Sequence[AnswerField]) -> Mapping[str, Value]:
    if given is None:
        return {}
    if not isinstance(given, dict):
        raise BadAnswer("invalid_argument", f"fields is an object: {_takes(form)}", "fields")
    by_name = {field.name: field for field in form}
    found: dict[str, Value] = {}
    for name, value in given.items():
        if name not in by_name:
            near = did_you_mean(str(name), by_name)
            said = f"there is no field {str(name)[:80]!r}; {near or _takes(form)}"
            raise BadAnswer("unknown_argument", said, str(name))
        if value is None:  # left out, as many servers write it
            continue
        try:
            found[name] = by_name[name].normalised(value)
        except ValueError as error:
            raise BadAnswer("invalid_argument", f"the field {name} {error}", name) from None
    return found


def _takes(form: Sequence[AnswerField]) -> str:
    names = ", ".join(field.name for field in form)
    return f"the fields are {names}" if names else "this task's answer takes outcome and message alone"


def not_with_answer(call: ToolCall) -> ToolResult:
    """The result of another call in the turn of the answer: it is not done."""
    return ToolResult(call.id, call.name, NOT_WITH_ANSWER, "not_with_answer")


def refused(call: ToolCall, error: BadAnswer) -> ToolResult:
    """The result of a call of `answer` that does not fit: the episode goes on."""
    return ToolResult(call.id, call.name, f"error: invalid arguments for {ANSWER}: {error}", error.code)
