"""Kinds that act otherwise than they once did: what is asked of them, and what old schedules still give."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from faultgym.core.errors import PlanError
from faultgym.tools.exchange import HttpResponse
from faultgym.tools.faults.conformance import KindError, check_kind
from faultgym.tools.faults.layer import FaultLayer
from faultgym.tools.faults.plan import FaultPlan, compile_plan
from faultgym.tools.faults.registry import FAULT_KINDS, define_kind
from faultgym.tools.faults.types import Contract, ScheduledFault
from faultgym.tools.types import ToolCall

SEEN = json.loads((Path(__file__).parents[2] / "data" / "revision_1" / "shelf.json").read_text())
"""What the kinds showed in revision 1: kind -> seed -> for each of `CALLS`, the result and the events' details."""
WHOLE = "SELECT id, state, price_cents, version FROM things WHERE state = 'lent'"
CALLS = (
    ("http", {"method": "GET", "path": "/v1/things/THG-104"}),
    ("http", {"method": "GET", "path": "/v1/things", "query": {"limit": 4}}),
    ("http", {"method": "POST", "path": "/v1/things/THG-104/state", "body": {"state": "returned"}}),
    ("sql", {"query": WHOLE}),
    ("sql", {"query": WHOLE}),
    ("search", {"query": "lent thing days"}),
    ("get_thing", {"thing_id": "THG-103"}),
)
REVISED = [name for name, kind in FAULT_KINDS.own.items() if kind.revision > 1]


def shown(at: Any) -> list[Any]:
    """Each call's result, and what was noted of the faults that fired at it."""
    found = []
    for tool, arguments in CALLS:
        before = len(at.layer.events)
        text = at.toolbox.call(ToolCall("c", tool, arguments)).result.content
        found.append([text, [event.detail for event in at.layer.events[before:]]])
    return json.loads(json.dumps(found))


def lasting(kind: str) -> list[dict[str, Any]]:
    return [{"kind": kind, "trigger": {"from": 1}}]


def test_the_revised_kinds_are_those_whose_first_revision_is_stored() -> None:
    assert sorted(REVISED) == sorted(SEEN)


@pytest.mark.parametrize("kind", REVISED)
def test_an_entry_without_a_revision_acts_as_it_did_in_the_first(lab: Any, kind: str) -> None:
    for seed, expected in SEEN[kind].items():
        schedule = compile_plan(FaultPlan.from_rules(lasting(kind)), int(seed))
        at = lab()
        old = tuple(replace(f, params={n: v for n, v in f.params.items() if n != "revision"}) for f in schedule)
        at.layer = at.toolbox.session.layer = FaultLayer(old)
        assert shown(at) == expected
        assert at.toolbox.specs == lab().toolbox.specs


@pytest.mark.parametrize("kind", [k for k in REVISED if k != "wrong_entity"])  # whose new ETag is equal on this shelf
def test_a_new_plan_gives_what_the_kind_does_today(lab: Any, kind: str) -> None:
    at = lab(lasting(kind))
    assert [fault.revision for fault in at.layer.schedule] == [2]
    assert shown(at) != SEEN[kind]["0"]


def test_a_plan_can_ask_for_a_revision_that_is_still_played(lab: Any) -> None:
    at = lab([{"kind": "server_error", "trigger": {"nth": 1}, "params": {"revision": 1}}])
    assert at.get("/v1/things/THG-104").endswith('nothing was done"}')
    with pytest.raises(PlanError, match="server_error can be played in revision 1 or 2, not 3"):
        lab([{"kind": "server_error", "trigger": {"nth": 1}, "params": {"revision": 3}}])


@pytest.mark.parametrize("value", ["1", True, None, 1.0, {}])
def test_what_is_no_revision_is_none_that_is_played(value: Any) -> None:
    fault = ScheduledFault(0, "server_error", params={"revision": value})
    assert not FAULT_KINDS["server_error"].plays(fault.revision)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"params": {"revision": 0}}, "must be a whole number from 1 on"),
        ({"params": {"revision": 1.5}}, "must be a whole number from 1 on"),
        ({"params": {"revision": 2}, "earlier": {2: {}}}, "for revisions before its own"),
        ({"params": {"revision": 2}, "earlier": {1: {"name": "other"}}}, "fields of a Kind"),
    ],
)
def test_a_kind_with_revisions_that_make_no_sense_is_refused(more: Any, message: str) -> None:
    kind = define_kind("http", "before", Contract.RETRY, **more)(too_early)
    with pytest.raises(KindError, match=message):
        check_kind("too_early", kind)


def too_early(context: Any) -> HttpResponse:
    """425: the server is not ready; the same call again works."""
    return HttpResponse(425)
