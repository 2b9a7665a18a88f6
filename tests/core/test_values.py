"""The faster `__init__` changes nothing but its speed."""

from __future__ import annotations

import pickle
from dataclasses import FrozenInstanceError, dataclass, field, replace

import pytest

from faultgym.core.values import fast_init


@dataclass(frozen=True, slots=True)
class Plain:
    a: int
    b: str = "b"
    c: list[int] = field(default_factory=list)


@fast_init
@dataclass(frozen=True, slots=True)
class Quick:
    a: int
    b: str = "b"
    c: list[int] = field(default_factory=list)


def test_arguments_and_defaults_are_the_dataclass_s() -> None:
    assert repr(Quick(1)) == repr(Plain(1)).replace("Plain", "Quick")
    assert Quick(1, c=[2]) == Quick(1, "b", [2])


def test_a_default_list_is_not_shared() -> None:
    assert Quick(1).c is not Quick(1).c


def test_it_stays_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        Quick(1).a = 2  # type: ignore[misc]


def test_replace_and_pickle_still_work() -> None:
    value = replace(Quick(1), b="x")
    assert pickle.loads(pickle.dumps(value)) == value == Quick(1, "x")


def test_a_missing_argument_is_an_error() -> None:
    with pytest.raises(TypeError, match="a"):
        Quick()  # type: ignore[call-arg]
