"""What every package stands on: text, JSON, suggestions, registries, the bank of caches."""

import json
import math
import sys
import threading
from contextlib import suppress
from importlib import import_module, invalidate_caches
from importlib.metadata import EntryPoint

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faultgym.core import bank, registry
from faultgym.core.errors import UserError
from faultgym.core.files import file_sha256
from faultgym.core.json import canonical, deeper_than
from faultgym.core.registry import Registry
from faultgym.core.text import has_surrogates, joined, storable

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=10,
)


@given(st.text(st.characters(exclude_categories=()), max_size=20))
def test_storable_text_has_the_same_length_and_no_halves(text):
    assert len(storable(text)) == len(text)
    assert not has_surrogates(storable(text))
    assert not has_surrogates(joined(text))


@given(VALUES)
def test_canonical_json_says_the_same_value(value):
    assert json.loads(canonical(value)) == value


@given(st.integers(-(2**52), 2**52))
def test_equal_numbers_have_one_canonical_text(number):
    assert canonical([number, {"a": float(number)}]) == canonical([float(number), {"a": number}])


def test_infinities_stay_what_they_are():
    assert canonical(math.inf) == canonical(None)


@given(VALUES, st.integers(0, 4))
def test_deeper_than_counts_levels(value, levels):
    def depth(one):
        inner = one.values() if isinstance(one, dict) else one if isinstance(one, list) else None
        return 0 if inner is None else 1 + max(map(depth, inner), default=0)

    assert deeper_than(value, levels) == (depth(value) > levels)


def test_depth_is_found_without_recursion():
    value = []
    for _ in range(100_000):
        value = [value]
    assert deeper_than(value, 32)


def test_the_hash_of_a_file_is_of_its_bytes_alone(tmp_path):
    (tmp_path / "a").write_bytes(b"1")
    (tmp_path / "b").write_bytes(b"2")
    assert file_sha256(tmp_path / "a") != file_sha256(tmp_path / "b")
    (tmp_path / "a").write_bytes(b"2")
    assert file_sha256(tmp_path / "a") == file_sha256(tmp_path / "b")


def only_ints(name, entry):
    if not isinstance(entry, int):
        raise UserError(f"number {name!r} is no number")


def numbers() -> Registry[int]:
    found: Registry[int] = Registry("number", "faultgym.test_numbers", check=only_ints)
    found.add("one", 1)
    return found


def test_an_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(UserError, match="there is no number 'onne'; did you mean one"):
        numbers().named("onne")


def test_what_is_registered_must_conform():
    found = numbers()
    with pytest.raises(UserError, match="'two' is no number"):
        found.register("two", "2")
    found.register("two", 2)
    assert list(found) == ["one", "two"]


def test_a_taken_name_is_refused_unless_replaced():
    found = numbers()
    with pytest.raises(UserError, match="already"):
        found.register("one", 11)
    found.register("one", 11, replace=True)
    assert found["one"] == 11


def test_what_others_add_is_not_among_the_built_in():
    found = numbers()
    found.register("two", 2)
    found.register("one", 11, replace=True)
    assert dict(found.own) == {"one": 1}


@pytest.mark.parametrize("imported", [False, True])
@pytest.mark.parametrize("name", ["one", "depth"])
def test_what_an_entry_replaced_for_a_while_returns(name, imported):
    found: Registry[int] = Registry("number", "faultgym.test_numbers", check=only_ints, lazy={"depth": "sys:maxsize"})
    found.add("one", 1)
    if imported:
        assert found[name]
    with found.holding(name, 7):
        assert found[name] == 7
    assert dict(found) == {"one": 1, "depth": sys.maxsize}
    found.register(name, 8, replace=True)
    assert found[name] == 8
    found.unregister(name)
    assert dict(found) == {"one": 1, "depth": sys.maxsize}


def test_a_name_that_was_held_for_a_while_is_gone_afterwards():
    found = numbers()
    with suppress(ZeroDivisionError), found.holding("two", 2):
        assert list(found) == ["one", "two"]
        raise ZeroDivisionError
    assert list(found) == ["one"]


def test_entry_points_extend_a_registry_and_are_checked_when_asked_for(monkeypatch):
    points = [
        EntryPoint("seconds", "faultgym.envs.worlds.world:EPOCH", "faultgym.test_numbers"),
        EntryPoint("depth", "sys:maxsize", "faultgym.test_numbers"),
        EntryPoint("gone", "no_such_module:x", "faultgym.test_numbers"),
    ]
    monkeypatch.setattr(registry, "entry_points", lambda group: [p for p in points if p.group == group])
    found = numbers()
    assert list(found) == ["one", "depth", "gone", "seconds"]
    assert isinstance(found.named("depth"), int)
    with pytest.raises(UserError, match="is no number"):
        found.named("seconds")
    with pytest.raises(UserError, match="no_such_module:x\\) cannot be imported"):
        found.named("gone")


SLOW = """
import threading
begun, go, entries = threading.Event(), threading.Event(), []
def wait():
    begun.set()
    assert go.wait(30)
"""


def test_a_thread_waits_for_the_built_in_entries_that_another_one_is_importing(tmp_path, monkeypatch):
    (tmp_path / "slow_gate.py").write_text(SLOW)
    (tmp_path / "slow_numbers.py").write_text("import slow_gate\nslow_gate.wait()\nslow_gate.entries[0].add('late', 3)")
    monkeypatch.syspath_prepend(str(tmp_path))
    gate = import_module("slow_gate")
    found: Registry[int] = Registry("number", "faultgym.test_numbers", builtin=("slow_numbers",))
    gate.entries.append(found)
    moved = threading.Event()
    real = registry.import_module

    def watched(name):
        if threading.current_thread().name == "second":
            moved.set()
        return real(name)

    monkeypatch.setattr(registry, "import_module", watched)
    seen = {}

    def ask():
        name = threading.current_thread().name
        seen[name] = found.get("late")
        moved.set()

    first, second = (threading.Thread(target=ask, name=name) for name in ("first", "second"))
    first.start()
    assert gate.begun.wait(30)
    moved.clear()
    second.start()
    assert moved.wait(30)  # it has its answer, or waits for the import
    gate.go.set()
    first.join()
    second.join()
    assert seen == {"first": 3, "second": 3}


def test_an_import_that_fails_is_tried_again(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    found: Registry[int] = Registry("number", "faultgym.test_numbers", builtin=("later_numbers",))
    with pytest.raises(ModuleNotFoundError):
        list(found)
    (tmp_path / "later_numbers.py").write_text("")
    invalidate_caches()
    assert list(found) == []


def test_the_bank_is_bounded_and_forgets_by_shelf():
    calls = []

    @bank.banked("texts", 2)
    def seen(number):
        calls.append(number)
        return number

    for number in (1, 2, 3):
        seen(number)
    name = f"{seen.__module__}.{seen.__qualname__}"
    assert bank.contents()[name] == ("texts", 2, 2)
    bank.forget("worlds")
    assert bank.contents()[name][1] == 2
    bank.forget("texts")
    assert bank.contents()[name][1] == 0
