"""The laws of the fault layer, over all kinds."""

from __future__ import annotations

from typing import Any

import pytest
from helpers.levels import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from faultgym.tools.faults.registry import FAULT_KINDS

CALLS: list[tuple[str, dict[str, Any]]] = [
    ("http", {"method": "GET", "path": "/v1/things/THG-103"}),
    ("http", {"method": "GET", "path": "/v1/things", "query": {"limit": 3}}),
    ("http", {"method": "POST", "path": "/v1/things/THG-103/state", "body": {"state": "lent"}}),
    ("get_thing_v2", {"thing_id": "THG-104"}),
    ("set_state", {"thing_id": "105", "state": "new", "note": "so asked"}),
    ("sql", {"query": "SELECT id, state, price_cents FROM things WHERE state = 'lent' LIMIT 4"}),
    ("sql", {"query": "SELECT state FROM things"}),
    ("sql", {"query": "INSERT INTO remarks (thing_id, body) VALUES ('THG-103', 'seen')"}),
    ("search", {"query": "lent thing"}),
    ("wait", {"seconds": 7}),
    ("nothing", {}),
]
scripts = st.lists(st.sampled_from(CALLS), max_size=8)
rules = st.lists(
    st.builds(
        lambda kind, trigger: {"kind": kind, "trigger": trigger},
        st.sampled_from(sorted(FAULT_KINDS)),
        st.sampled_from([{"nth": 1}, {"from": 2}, {"every": 2}, {"probability": 0.5}, {"seconds": [5, 50]}]),
    ),
    max_size=5,
)


def play(at: Any, script: list[tuple[str, dict[str, Any]]]) -> list[str]:
    return [at.text(tool, **arguments) for tool, arguments in script]


@settings(deadline=None, max_examples=examples(30))
@given(script=scripts)
def test_rules_that_never_fire_equal_the_bare_tools(lab: Any, script: Any) -> None:
    never = [{"kind": kind, "trigger": {"nth": 9999}} for kind in FAULT_KINDS]
    bare, armed = lab(), lab(never)
    assert play(armed, script) == play(bare, script)
    assert armed.world.effects == bare.world.effects
    assert armed.events == []


@settings(deadline=None, max_examples=examples(40))
@given(rules=rules, script=scripts, seed=st.integers(0, 9))
def test_the_same_rules_and_calls_give_the_same_bytes_and_events(lab: Any, rules: Any, script: Any, seed: int) -> None:
    one, two = lab(rules, seed), lab(rules, seed)
    assert play(one, script) == play(two, script)
    assert one.events == two.events


@settings(deadline=None, max_examples=examples(40))
@given(rules=rules, before=scripts, after=scripts)
def test_a_copy_and_its_original_never_affect_one_another(lab: Any, rules: Any, before: Any, after: Any) -> None:
    straight, forked = lab(rules), lab(rules)
    play(straight, before)
    play(forked, before)
    copy, events = forked.layer.copy(), list(forked.events)
    replay = lab(rules)
    play(replay, before)
    play(forked, after)
    assert copy.events == events
    replay.layer = replay.toolbox.session.layer = copy
    assert play(replay, after) == play(straight, after)
    assert copy.events == straight.events


@pytest.mark.parametrize("name", sorted(FAULT_KINDS))
def test_every_kind_says_in_one_line_what_it_does(name: str) -> None:
    assert FAULT_KINDS[name].summary.endswith((".", "for ever"))
    assert len(FAULT_KINDS[name].summary) <= 120


@pytest.mark.parametrize("trigger", [{"every": 2}, {"probability": 1}])
def test_the_hundredth_call_still_meets_a_fault_without_end(lab: Any, trigger: Any) -> None:
    at = lab([{"kind": "server_error", "trigger": trigger}])
    codes = [at.call("get_thing", thing_id="THG-101").result.code for _ in range(100)]
    assert codes[99] == "http_500"
