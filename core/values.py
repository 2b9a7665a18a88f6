"""A faster `__init__` for the frozen values that every step makes."""

from __future__ import annotations

from dataclasses import MISSING, fields
from typing import Any, TypeVar

T = TypeVar("T")


def fast_init(cls: type[T]) -> type[T]:
    """Give a dataclass an `__init__` that writes its slots directly.

    A frozen dataclass sets each field through `object.__setattr__`, by name; the slot's own descriptor
    takes half the time. Fields, defaults, equality and frozenness stay as they are; `__post_init__` is not called.

    Args:
        cls: A dataclass with slots.

    Returns:
        The same class.

    Raises:
        AttributeError: The class has no slots.
    """
    space: dict[str, Any] = {"_missing": MISSING}
    parameters, body = [], []
    for f in fields(cls):  # type: ignore[arg-type]
        space[f"_set_{f.name}"] = getattr(cls, f.name).__set__
        value = f.name
        if f.kw_only and "*" not in parameters:
            parameters.append("*")
        if f.default_factory is not MISSING:
            space[f"_make_{f.name}"] = f.default_factory
            parameters.append(f"{f.name}=_missing")
            value = f"_make_{f.name}() if {f.name} is _missing else {f.name}"
        elif f.default is not MISSING:
            space[f"_default_{f.name}"] = f.default
            parameters.append(f"{f.name}=_default_{f.name}")
        else:
            parameters.append(f.name)
        body.append(f"    _set_{f.name}(self, {value})\n")
    exec(f"def __init__(self, {', '.join(parameters)}):\n{''.join(body)}", space)
    made = space["__init__"]
    made.__qualname__ = f"{cls.__qualname__}.__init__"
    made.__annotations__ = dict(getattr(cls.__init__, "__annotations__", {}))
    setattr(cls, "__init__", made)  # noqa: B010 - mypy lets no method be assigned
    return cls


def shallow(value: Any) -> dict[str, Any]:
    """The fields of a slotted dataclass by name: `asdict` without its deep copies.

    Args:
        value: An instance. Slots that a base class declares are left out.
    """
    return {name: getattr(value, name) for name in value.__slots__}
