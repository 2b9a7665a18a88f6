"""Settings as frozen pydantic dataclasses: the types of their fields say what is allowed, one place says it to people.

Values come from YAML files, command lines and code, so that texts stand for numbers (1e-4 is a text in YAML), for
true and false, and for lists (`a,b`). A message names the setting, the value, and what is allowed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import fields
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BeforeValidator, ConfigDict, Field, ValidationError

from faultgym.core.errors import UserError
from faultgym.core.json import JSON
from faultgym.core.settings import refusal

T = TypeVar("T")
SETTINGS = ConfigDict(extra="forbid", allow_inf_nan=False)
"""For `pydantic.dataclasses.dataclass(config=...)`."""
_ABSENT = frozenset({"", "none", "null", "auto"})


def refusing(kind: type[T]) -> type[T]:
    """Make a pydantic dataclass raise UserError that names the setting, the value and what is allowed.

    Args:
        kind: The dataclass, changed in place.

    Returns:
        The dataclass.
    """
    made = kind.__init__

    @wraps(made)
    def init(self: T, *args: Any, **settings: Any) -> None:
        try:
            made(self, *args, **settings)
        except ValidationError as error:
            raise UserError(refusal(error, kind)) from None

    setattr(kind, "__init__", init)  # noqa: B010 - mypy lets no method be assigned
    return kind


def as_record(settings: Any) -> JSON:
    """The fields of a dataclass of settings as JSON gives them back: a list for each tuple.

    Args:
        settings: The dataclass; values that are dataclasses are left as they are.
    """
    values = {one.name: getattr(settings, one.name) for one in fields(settings)}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}


def _no_truth(value: Any) -> Any:
    """True is 1 for Python, and no number for people."""
    if isinstance(value, bool):
        raise AssertionError("it is no number")  # a ValueError would be shown as it is, without what is allowed
    return value


def _or_none(value: Any) -> Any:
    return None if isinstance(value, str) and value.strip().lower() in _ABSENT else value


def _text(value: Any) -> Any:
    return str(value) if isinstance(value, (Path, str)) else value


def names_of(value: Any) -> Any:
    """`a,b`, or several such texts, as separate names; `none` for no names at all.

    Args:
        value: A text is split at commas; of a sequence each item is taken as it is; all else is left to pydantic to
            refuse.

    Example:
        >>> names_of("orders, incidents"), names_of("none"), names_of(["a,b"])
        (('orders', 'incidents'), (), ('a,b',))
    """
    if isinstance(value, str):
        return tuple(name for part in value.split(",") if (name := part.strip()) not in ("", "none"))
    return tuple(map(_text, value)) if isinstance(value, Sequence) else value


def _separate(value: Any) -> Any:
    """Names that are given several times, or with commas, or both."""
    return ",".join(map(str, value)) if isinstance(value, (list, tuple)) else value


Name = Annotated[str, Field(min_length=1)]
Text = Annotated[str, BeforeValidator(_text)]
FilledText = Annotated[str, Field(min_length=1), BeforeValidator(_text)]
Names = Annotated[tuple[Name, ...], BeforeValidator(names_of)]
FilledNames = Annotated[tuple[Name, ...], Field(min_length=1), BeforeValidator(names_of)]
SeparateNames = Annotated[tuple[Name, ...], BeforeValidator(names_of), BeforeValidator(_separate)]
NoTruth = BeforeValidator(_no_truth)
"""In `Annotated`, behind the bounds of a number: true and false are none."""
OrNone = BeforeValidator(_or_none)
"""In `Annotated`: `none`, `auto` and the empty text stand for None."""


def read_yaml(path: Path) -> dict[str, Any]:
    """The settings in a YAML file; none for an empty file.

    Args:
        path: The file, in UTF-8.

    Raises:
        UserError: The file cannot be read, is no YAML, or holds anything but a mapping of names.
    """
    import yaml

    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    except yaml.YAMLError as error:
        raise UserError(f"{path} is no YAML: {error}") from error
    if found is None:
        return {}
    if not isinstance(found, dict) or not all(isinstance(name, str) for name in found):
        raise UserError(f"{path} holds no settings: it needs lines such as `learning_rate: 1e-4`")
    return found


def settings(texts: Iterable[str]) -> dict[str, Any]:
    """What the texts of `--set key=value` say; of a name that comes twice the last value holds.

    Args:
        texts: One `key=value` each.

    Returns:
        Name -> value, as text.

    Raises:
        UserError: A text has no `=` or no name.

    Example:
        >>> settings(["learning_rate=1e-4", "seed = 3"])
        {'learning_rate': '1e-4', 'seed': '3'}
    """
    found: dict[str, Any] = {}
    for text in texts:
        name, mark, value = text.partition("=")
        if not mark or not name.strip():
            raise UserError(f"--set {text}: write it as key=value, such as --set learning_rate=1e-4")
        found[name.strip()] = value.strip()
    return found
