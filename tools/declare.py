"""One declaration for each tool and each route: a typed Python function.

The JSON Schema that the model is shown, the validation of what it sends, and the OpenAPI document
are all read off the function's signature, so they cannot disagree.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass
from typing import Annotated, Any, NotRequired, get_args, get_origin, get_type_hints

from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from faultgym.core.json import JSON


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with one argument."""

    field: str
    """Dotted path of the argument."""
    code: str
    """`missing_argument`, `unknown_argument` or `invalid_argument`."""
    detail: str


class BadArguments(ValueError):
    """Arguments that do not fit the declaration. Data, not a bug: the caller makes a reply of them.

    Args:
        problems: All that is wrong, at least one.
    """

    def __init__(self, problems: list[Problem]):
        super().__init__("; ".join(p.detail for p in problems))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Declaration:
    """What a function takes, in the three forms that are needed."""

    name: str
    _: KW_ONLY
    description: str
    """First paragraph of the docstring."""
    schema: JSON
    """JSON Schema (2020-12) of the parameters."""
    required: tuple[str, ...]
    validator: Any
    """pydantic-core validator: a dict in, a dict out."""

    def check(self, arguments: Mapping[str, Any], *, strict: bool = True) -> dict[str, Any]:
        """Validate arguments.

        Args:
            arguments: What was sent.
            strict: For JSON, where a number written as text is wrong; query strings know text only.

        Returns:
            The arguments by name, without defaults filled in; `ORD-1042` for `1042`, unless declared `as_sent`.

        Raises:
            BadArguments: The arguments do not fit; its `problems` say where.
        """
        try:
            result: dict[str, Any] = self.validator.validate_python(arguments, strict=strict)
        except ValidationError as error:
            problems = error.errors(include_url=False)
            whole = {str(e["loc"][0]): int(e["input"]) for e in problems if _whole(e)}
            if whole:
                return self.check({**arguments, **whole}, strict=strict)
            raise BadArguments([_problem(e, self.schema) for e in problems]) from None
        return result


def declare(
    function: Callable[..., Any],
    *,
    name: str | None = None,
    hidden: int = 1,
    optional: Mapping[str, Any] | None = None,
    as_sent: bool = False,
) -> Declaration:
    """The declaration of a function.

    Args:
        function: Typed in full; the first paragraph of its docstring is the description.
        name: The name, if it is another than the function's.
        hidden: How many of the first parameters are left out: the world or session that the function works on.
        optional: Parameters that the function does not take itself, such as request headers: name -> annotation.
        as_sent: Leave values as they were sent, where they would be brought into their whole form.

    Raises:
        TypeError: A parameter has no annotation: a bug in the suite, met at import.

    Example:
        >>> def wait(session, seconds: float = 1.0) -> None:
        ...     "Wait a while."
        >>> declare(wait).check({"seconds": 2.5})
        {'seconds': 2.5}
    """
    hints = get_type_hints(function, include_extras=True)
    fields: dict[str, Any] = {}
    required = []
    for parameter in list(inspect.signature(function).parameters.values())[hidden:]:
        if parameter.name not in hints:
            raise TypeError(f"{function.__qualname__}: parameter {parameter.name!r} has no annotation")
        hint = hints[parameter.name]
        if parameter.default is parameter.empty:
            fields[parameter.name] = _as_sent(hint) if as_sent else hint
            required.append(parameter.name)
        else:
            hint = _without_none(hint)
            fields[parameter.name] = NotRequired[_as_sent(hint) if as_sent else hint]
    for extra, hint in (optional or {}).items():
        fields[extra] = NotRequired[hint]
    make: Any = TypedDict  # called with fields that only the signature knows
    typed = make("Arguments", fields)
    typed.__pydantic_config__ = ConfigDict(extra="forbid")
    adapter = TypeAdapter(typed)
    schema = _clean(adapter.json_schema())
    schema["additionalProperties"] = False
    return Declaration(
        name or function.__name__,
        description=(inspect.getdoc(function) or "").split("\n\n")[0].replace("\n", " "),
        schema=schema,
        required=tuple(required),
        validator=adapter.validator,
    )


IDENTIFIER_DIGITS = "[0-9]{1,9}"
"""What follows the prefix and the hyphen of an identifier, as a regular expression."""
ANY_IDENTIFIER = re.compile(rf"\b([A-Z]{{2,}})-{IDENTIFIER_DIGITS}\b")
"""An identifier of any suite; the group is its prefix."""


def identifier(prefix: str, description: str) -> Any:
    """The annotation of an identifier such as `ORD-1042`; the bare number is taken as well.

    Args:
        prefix: What stands before the hyphen, in capitals.
        description: What the model reads about the parameter.

    Example:
        >>> def get_order(world, order_id: identifier("ORD", "The order")) -> None:
        ...     "Read an order."
        >>> declare(get_order).check({"order_id": "1042"})
        {'order_id': 'ORD-1042'}
    """

    def whole(value: str) -> str:
        return value if value.startswith(prefix) else f"{prefix}-{value}"

    return Annotated[
        str,
        Field(pattern=rf"^({prefix}-)?{IDENTIFIER_DIGITS}$", description=description, examples=[f"{prefix}-1042"]),
        AfterValidator(whole),
    ]


def _as_sent(hint: Any) -> Any:
    """The annotation without what changes a value."""
    if get_origin(hint) is not Annotated:
        return hint
    base, *extra = get_args(hint)
    return Annotated[(_as_sent(base), *(e for e in extra if not isinstance(e, AfterValidator)))]


def _without_none(hint: Any) -> Any:
    """`X | None = None` means that X may be left out, not that null may be sent."""
    if get_origin(hint) is Annotated:
        base, *extra = get_args(hint)
        return Annotated[(_without_none(base), *extra)]
    rest = [a for a in get_args(hint) if a is not type(None)]
    if type(None) in get_args(hint) and len(rest) == 1:
        return rest[0]
    return hint


def _clean(schema: Any) -> Any:
    """The schema without pydantic's generated titles: noise that a model would pay tokens for."""
    if isinstance(schema, dict):
        return {
            key: _clean(value)
            for key, value in schema.items()
            if not (key == "title" and isinstance(value, str)) or "type" not in schema
        }
    if isinstance(schema, list):
        return [_clean(item) for item in schema]
    return schema


def _whole(error: Any) -> bool:
    """Whether a number such as 113.0 was sent for an integer: to JSON Schema it is one."""
    value = error.get("input")
    return error["type"] == "int_type" and len(error["loc"]) == 1 and isinstance(value, float) and value.is_integer()


def _problem(error: Any, schema: JSON) -> Problem:
    field = ".".join(str(part) for part in error["loc"]) or "arguments"
    kind = error["type"]
    if kind == "missing":
        return Problem(field, "missing_argument", f"`{field}` is missing")
    if kind == "extra_forbidden":
        allowed = ", ".join(f"`{name}`" for name in schema.get("properties", {})) or "none"
        return Problem(field, "unknown_argument", f"unknown argument `{field[:80]}`; allowed: {allowed}")
    got = type(error.get("input")).__name__
    message = error["msg"][0].lower() + error["msg"][1:]
    return Problem(field, "invalid_argument", f"`{field[:80]}`: {message[:300]} (got {got})")
