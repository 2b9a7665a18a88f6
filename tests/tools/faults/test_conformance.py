"""The conformance check of fault kinds: the built-in ones pass, and each rule refuses a kind that breaks it."""

from __future__ import annotations

import itertools
import pickle
from collections.abc import Iterator
from dataclasses import replace
from importlib.metadata import EntryPoint
from typing import Any

import pytest

from faultgym.core import registry
from faultgym.core.errors import PlanError, UserError
from faultgym.core.registry import Registry
from faultgym.tools.exchange import HttpResponse
from faultgym.tools.faults.conformance import KindError, check_kind
from faultgym.tools.faults.plan import FaultPlan
from faultgym.tools.faults.presets import TRAIN_KINDS
from faultgym.tools.faults.registry import FAULT_KINDS, define_kind, kind_named
from faultgym.tools.faults.types import Contract, Kind


@define_kind("http", "before", Contract.RETRY)
def too_early(context: Any) -> HttpResponse:
    """425: the server is not ready for the request; the same call again works."""
    return HttpResponse(425, {"content-type": "text/plain"}, b"too early")


@pytest.fixture
def added() -> Iterator[Kind]:
    FAULT_KINDS.register("too_early", too_early)
    yield too_early
    FAULT_KINDS.unregister("too_early")


@pytest.mark.parametrize("name", sorted(FAULT_KINDS.own))
def test_the_built_in_kinds_conform(name: str) -> None:
    check_kind(name, FAULT_KINDS.own[name])


def test_a_kind_added_in_code_is_met_and_changes_no_preset(lab: Any, added: Kind) -> None:
    at = lab([{"kind": "too_early", "trigger": {"nth": 1}}])
    assert at.get("/v1/things/THG-101").startswith("HTTP 425")
    assert at.get("/v1/things/THG-101").startswith("HTTP 200")
    assert [event.contract for event in at.events] == ["RETRY"]
    assert "too_early" not in TRAIN_KINDS
    assert pickle.loads(pickle.dumps(added)) is added


def test_a_kind_found_by_entry_point_is_checked_when_a_plan_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    group = "faultgym.fault_kinds"
    points = [EntryPoint("too_early", f"{__name__}:too_early", group), EntryPoint("too_late", "sys:maxsize", group)]
    monkeypatch.setattr(registry, "entry_points", lambda group: points)
    found: Registry[Kind] = Registry("fault kind", group, check=check_kind, error=PlanError)
    with pytest.raises(UserError, match="'too_late': it is of type int, not a Kind"):
        found.named("too_late")
    assert list(found) == ["too_early", "too_late"]


def test_an_unknown_kind_is_refused_with_the_nearest_names() -> None:
    with pytest.raises(PlanError, match="no fault kind 'timeot'; did you mean timeout"):
        FaultPlan.from_rules([{"kind": "timeot", "trigger": {"nth": 1}}])
    with pytest.raises(PlanError, match="tasks --faults"):
        kind_named("zzzz")


def _raise(*_: Any) -> Any:
    raise ValueError("no such thing")


def _in_place(context: Any) -> HttpResponse:
    context.reply.headers["x"] = "y"
    return HttpResponse(500)


def _moves_time(context: Any) -> bool:
    context.world.clock.advance(1)
    return True


def _unplain(context: Any) -> HttpResponse:
    context.detail["request"] = context.request
    return HttpResponse(500)


_COUNT = itertools.count()
AFTER = replace(too_early, phase="after")
BROKEN = [
    (replace(too_early, name="Too Early"), "words in lower case"),
    (replace(too_early, name="x" * 41), "at most 40 characters"),
    (replace(too_early, summary=""), "summary must be one line"),
    (replace(too_early, summary="a\nb"), "summary must be one line"),
    (replace(too_early, channel="ftp"), "channel must be one of http, sql, search, tool, not 'ftp'"),
    (replace(too_early, phase="during"), "phase must be one of before, after, not 'during'"),
    (replace(too_early, contract="RETRY"), "contract must be a Contract"),
    (replace(too_early, rewrite=lambda c: c.request), "`rewrite` needs the phase `before` and `persists_while`"),
    (replace(too_early, params={"salt": 1}), "the parameter 'salt' must be an identifier other than"),
    (replace(too_early, params={"x": []}), "default of the parameter 'x' must be text"),
    (replace(too_early, params={"x": 0}), "default of the parameter 'x' must be above 0"),
    (replace(too_early, varies=lambda fault: "RETRY"), "`varies` must give a Contract"),
    (replace(too_early, varies=_raise), "`varies` raises ValueError: no such thing"),
    (replace(too_early, targets=lambda site: 1), "ORD-1001: `targets` must give the same truth value"),
    (replace(too_early, targets=_raise), "ORD-1001: `targets` raises ValueError"),
    (replace(too_early, can_fire=lambda context: None), "ORD-1001: `can_fire` must give a truth value, not None"),
    (replace(too_early, can_fire=_raise), "ORD-1001: `can_fire` raises ValueError"),
    (replace(too_early, can_fire=_moves_time), "`can_fire` changes the world or its clock"),
    (replace(AFTER, can_fire=lambda c: c.reply.headers.clear() is None), "`can_fire` changes the request or the reply"),
    (replace(too_early, persists_while=_raise), "`persists_while` raises ValueError"),
    (replace(too_early, persists_while=lambda c: False, rewrite=lambda c: "x"), "`rewrite` must give a HttpRequest"),
    (replace(too_early, persists_while=lambda c: False, rewrite=_raise), "`rewrite` raises ValueError"),
    (replace(too_early, act=_raise), "ORD-1001: `act` raises ValueError: no such thing"),
    (replace(too_early, act=lambda context: "500"), "ORD-1001: `act` must give a HttpResponse, not '500'"),
    (replace(too_early, act=lambda c: HttpResponse(500, {"n": str(next(_COUNT))})), "it is not deterministic"),
    (replace(too_early, act=_unplain), "`detail` must be JSON"),
    (replace(AFTER, act=_in_place), "changes the request or the true reply in place"),
    (replace(AFTER, act=lambda context: context.reply), "`act` changes nothing"),
]


@pytest.mark.parametrize(("broken", "message"), BROKEN, ids=[message for _, message in BROKEN])
def test_a_kind_that_breaks_a_rule_is_refused_with_the_rule_and_the_place(broken: Any, message: str) -> None:
    with pytest.raises(KindError) as caught:
        check_kind(broken.name, broken)
    assert str(caught.value).startswith("fault kind ")
    assert message in str(caught.value)


def test_a_kind_under_another_name_is_refused() -> None:
    with pytest.raises(KindError, match="registered as 'late'"):
        FAULT_KINDS.register("late", too_early)
    assert "late" not in FAULT_KINDS


def test_a_kind_for_routes_of_ones_own_suite_passes_on_its_declaration() -> None:
    elsewhere = replace(too_early, targets=lambda site: site.route == "my_own_route", act=_raise)
    check_kind("too_early", elsewhere)
