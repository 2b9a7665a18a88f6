"""A record is declared once: what does not have its shape is refused with the field, the reason and the value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import msgspec
import pytest

from faultgym.core.records import StoredRecord, declared, explained, restored


@dataclass(frozen=True, slots=True)
class Point:
    x: int
    y: float | None
    tags: tuple[str, ...] = ()


PointData: Any = declared(Point)


class Left(StoredRecord, tag_field="side", tag="left"):
    n: int


class Right(StoredRecord, tag_field="side", tag="right"):
    n: int = 3


class Whole(StoredRecord, kw_only=True):
    point: PointData
    word: Literal["a", "b"]
    side: Left | Right
    more: str | dict[str, Any] = ""


GOOD: dict[str, Any] = {"point": {"x": 1, "y": None, "tags": ["t"]}, "word": "a", "side": {"side": "right"}}


def test_a_dataclass_survives_its_record():
    point = Point(1, 0.5, ("a", "b"))
    assert restored(Point, msgspec.json.decode(msgspec.json.encode(point), type=PointData)) == point


def test_what_has_the_shape_is_not_complained_of():
    assert msgspec.to_builtins(msgspec.convert(GOOD, Whole))["word"] == "a"
    assert explained(GOOD, Whole) == ""


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"word": "c"}, "word: one of 'a', 'b' is expected, not 'c'"),
        ({"point": {"x": -1, "y": None, "tags": []}}, "point.x: at least 0 is expected, not -1"),
        ({"point": {"x": True, "y": None, "tags": []}}, "point.x: a whole number is expected, not True"),
        ({"point": {"x": 1, "y": "u", "tags": []}}, "point.y: a number is expected, not 'u'"),
        ({"point": {"x": 1, "y": None}}, "point.tags: field required"),
        ({"point": {"x": 1, "y": None, "tags": [1, 2]}}, "point.tags.0: a string is expected, not 1 (and 1 more)"),
        ({"point": {"x": 1, "y": None, "tags": [], "z": 3}}, "point.z: there is no such field, not 3"),
        ({"side": {"side": "up"}}, "side.side: one of 'left', 'right' is expected, not 'up'"),
        ({"side": {"side": "left"}}, "side.n: field required"),
        ({"more": 3}, "more: a string or an object is expected, not 3"),
        ({"extra": 1}, "extra: there is no such field, not 1"),
    ],
)
def test_the_field_the_reason_and_the_value_are_named(change, words):
    wrong = {**GOOD, **change}
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(wrong, Whole)
    assert explained(wrong, Whole) == words
