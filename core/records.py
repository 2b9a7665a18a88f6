"""Records: what is stored as JSON, declared once, read strictly, and refused in words.

A record's shape is a `StoredRecord`. Where a part of it is one of our frozen dataclasses, `declared` makes that part's
shape out of the dataclass's own fields, so that no field is listed twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from types import UnionType
from typing import Annotated, Any, NamedTuple, Union, get_args, get_origin, get_type_hints

import msgspec
from msgspec import inspect as shapes

Count = Annotated[int, msgspec.Meta(ge=0)]
Seconds = Annotated[float, msgspec.Meta(ge=0)]


class StoredRecord(msgspec.Struct, forbid_unknown_fields=True, gc=False, omit_defaults=True):
    """A JSON object with exactly these fields; a field with a default is left out where it has that value."""


class RecordProblem(NamedTuple):
    """One thing that is wrong with a record."""

    field: str
    """Where, with dots: `steps.0.calls.1.code`."""
    reason: str
    value: Any = msgspec.NODEFAULT
    """What stands there; `NODEFAULT` where nothing does."""

    def __str__(self) -> str:
        """`field: reason, not VALUE`."""
        got = "" if self.value is msgspec.NODEFAULT else f", not {self.value!r:.80}"
        return f"{self.field}: {self.reason}{got}" if self.field else f"{self.reason}{got}"


def declared(cls: type, **other: Any) -> Any:
    """The shape of a dataclass as a record: all of its fields, none missing and none more.

    Numbers that the dataclass gives as `int` or `float` are counts and times: they must not be negative.

    Args:
        cls: The dataclass.
        other: Field -> its type in the record, where that differs from the type in the dataclass.

    Returns:
        A struct whose values `restored` turns into those of the dataclass.

    Raises:
        TypeError: The class is no dataclass.
    """
    hints = get_type_hints(cls, include_extras=True)
    parts = [(f.name, other.get(f.name) or _stored(hints[f.name])) for f in fields(cls)]
    made = msgspec.defstruct(cls.__name__, parts, forbid_unknown_fields=True, frozen=True, gc=False)
    made.__doc__ = cls.__doc__
    _SOURCES[made] = cls
    return made


_SOURCES: dict[type, type] = {}


def structs_of(shape: Any) -> dict[type, type]:
    """Every struct that is part of a shape.

    Args:
        shape: A type as msgspec decodes it: a struct, or a list, mapping or union of some.

    Returns:
        Struct -> the class that declares its fields: itself, or the dataclass that `declared` took.
    """
    found: dict[type, type] = {}
    pending = [shapes.type_info(shape)]
    while pending:
        one = pending.pop()
        if isinstance(one, shapes.StructType) and one.cls not in found:
            found[one.cls] = _SOURCES.get(one.cls, one.cls)
            pending += [field.type for field in one.fields]
        pending += [*getattr(one, "types", ()), *getattr(one, "item_types", ())]
        pending += [getattr(one, name) for name in ("item_type", "value_type") if hasattr(one, name)]
    return found


def _stored(hint: Any) -> Any:
    """The type as a record has it: counts and times for plain numbers."""
    if hint in (int, float):
        return Count if hint is int else Seconds
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return Union[tuple(map(_stored, inner))]  # noqa: UP007 - of a tuple that is made here
    if origin is tuple:
        return tuple[tuple(part if part is ... else _stored(part) for part in inner)]  # type: ignore[misc]
    return dict[str, Any] if origin is Mapping else hint


def restored(cls: type, value: Any) -> Any:
    """The dataclass's value that a struct holds.

    Args:
        cls: The dataclass.
        value: A value of the struct `declared(cls)`.
    """
    return cls(**msgspec.structs.asdict(value))


def explained(value: Any, shape: Any, *, prefix: str = "") -> str:
    """What is wrong with a value that does not have a record's shape: `field: reason, not VALUE (and 2 more)`.

    Args:
        value: Decoded JSON.
        shape: The type that the value should have, as msgspec decodes it.
        prefix: The place of the value, before the names of its fields.

    Returns:
        The first problem and the number of further ones; empty where nothing is wrong.

    Example:
        >>> class Point(StoredRecord):
        ...     x: int
        >>> explained({"x": "one", "y": 2}, Point)
        "x: a whole number is expected, not 'one' (and 1 more)"
    """
    found = list(problems(value, shapes.type_info(shape), prefix))
    if not found:
        return ""
    return f"{found[0]} (and {len(found) - 1} more)" if len(found) > 1 else str(found[0])


@dataclass(frozen=True, slots=True)
class _Plain:
    types: tuple[type, ...]
    reason: str


_PLAIN: dict[type, _Plain] = {
    shapes.StrType: _Plain((str,), "a string is expected"),
    shapes.IntType: _Plain((int,), "a whole number is expected"),
    shapes.FloatType: _Plain((int, float), "a number is expected"),
    shapes.BoolType: _Plain((bool,), "true or false is expected"),
    shapes.NoneType: _Plain((type(None),), "null is expected"),
}


def problems(value: Any, shape: shapes.Type, where: str = "") -> Iterator[RecordProblem]:
    """All that is wrong with a value, in the order of the declaration.

    Args:
        value: Decoded JSON.
        shape: The type that the value should have, as `msgspec.inspect.type_info` gives it.
        where: The place of the value, before the names of its fields.

    Yields:
        The problems, those of inner values under their full path.
    """
    if isinstance(shape, shapes.AnyType):
        return
    if type(shape) in _PLAIN:
        yield from _plain(value, shape, where)
    elif isinstance(shape, shapes.LiteralType):
        if not any(value == one and type(value) is type(one) for one in shape.values):
            yield RecordProblem(where, f"one of {', '.join(map(repr, shape.values))} is expected", value)
    elif isinstance(shape, shapes.StructType):
        yield from _object(value, shape, where)
    elif isinstance(shape, shapes.UnionType):
        yield from _union(value, shape, where)
    elif isinstance(shape, shapes.DictType):
        if isinstance(value, dict):
            for key, item in value.items():
                yield from problems(item, shape.value_type, _below(where, key))
        else:
            yield RecordProblem(where, "an object is expected", value)
    elif isinstance(shape, shapes.VarTupleType | shapes.ListType | shapes.TupleType):
        yield from _list(value, shape, where)


def _plain(value: Any, shape: Any, where: str) -> Iterator[RecordProblem]:
    plain = _PLAIN[type(shape)]
    if not isinstance(value, plain.types) or (isinstance(value, bool) and bool not in plain.types):
        yield RecordProblem(where, plain.reason, value)
    elif (least := getattr(shape, "ge", None)) is not None and value < least:
        yield RecordProblem(where, f"at least {least} is expected", value)
    elif len(value) < (least := getattr(shape, "min_length", None) or 0) if isinstance(value, str) else False:
        yield RecordProblem(where, f"at least {least} characters are expected", value)


def _list(value: Any, shape: Any, where: str) -> Iterator[RecordProblem]:
    if not isinstance(value, list | tuple):
        yield RecordProblem(where, "a list is expected", value)
        return
    kinds = shape.item_types if isinstance(shape, shapes.TupleType) else [shape.item_type] * len(value)
    if len(value) != len(kinds) or len(value) < (getattr(shape, "min_length", None) or 0):
        least = len(kinds) if isinstance(shape, shapes.TupleType) else shape.min_length
        yield RecordProblem(where, f"a list of {least} is expected", value)
        return
    for number, (item, kind) in enumerate(zip(value, kinds, strict=True)):
        yield from problems(item, kind, _below(where, number))


def _object(value: Any, shape: shapes.StructType, where: str) -> Iterator[RecordProblem]:
    if not isinstance(value, dict):
        yield RecordProblem(where, "an object is expected", value)
        return
    known = {field.encode_name for field in shape.fields}
    if shape.tag_field is not None:
        known.add(shape.tag_field)
        if shape.tag_field not in value:
            yield RecordProblem(_below(where, shape.tag_field), "field required")
        elif value[shape.tag_field] != shape.tag:
            yield RecordProblem(_below(where, shape.tag_field), f"{shape.tag!r} is expected", value[shape.tag_field])
    for field in shape.fields:
        if field.encode_name in value:
            yield from problems(value[field.encode_name], field.type, _below(where, field.encode_name))
        elif field.required:
            yield RecordProblem(_below(where, field.encode_name), "field required")
    if shape.forbid_unknown_fields:
        for name in value:
            if name not in known:
                yield RecordProblem(_below(where, name), "there is no such field", value[name])


def _union(value: Any, shape: shapes.UnionType, where: str) -> Iterator[RecordProblem]:
    """What is wrong by the one alternative that is meant, as far as the value shows which."""
    if any(not any(problems_found) for problems_found in ([*problems(value, one, where)] for one in shape.types)):
        return
    tagged = [one for one in shape.types if isinstance(one, shapes.StructType) and one.tag_field is not None]
    if isinstance(value, dict) and tagged:
        name = str(tagged[0].tag_field)
        meant = [one for one in tagged if value.get(name) == one.tag]
        if not meant:
            tags = ", ".join(repr(one.tag) for one in tagged)
            got = value.get(name, msgspec.NODEFAULT)
            reason = "field required" if got is msgspec.NODEFAULT else f"one of {tags} is expected"
            yield RecordProblem(_below(where, name), reason, got)
            return
        yield from problems(value, meant[0], where)
        return
    real = [one for one in shape.types if not isinstance(one, shapes.NoneType)]
    if len(real) == 1:
        yield from problems(value, real[0], where)
    else:
        words = dict.fromkeys(next(problems(msgspec.NODEFAULT, one)).reason.split(" is expected")[0] for one in real)
        yield RecordProblem(where, f"{' or '.join(words)} is expected", value)


def _below(where: str, part: object) -> str:
    return f"{where}.{part}" if where else str(part)
