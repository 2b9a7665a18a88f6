"""Faults by HTTP status: what they answer, how long they last, and what gets past them."""

from __future__ import annotations

import re
from email.utils import parsedate_to_datetime
from typing import Any

import pytest

from faultgym.tools.faults.registry import kind_named
from faultgym.tools.faults.types import Contract

PATH = "/v1/things/THG-101"
STATE = f"{PATH}/state"
LENT = {"state": "lent"}


def once(kind: str, **more: Any) -> list[dict[str, Any]]:
    return [{"kind": kind, "trigger": {"nth": 1}, **more}]


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("not_found_moved", "404"),
        ("gone", "410"),
        ("redirect", "30"),
        ("forbidden", "403"),
        ("bad_request", "400"),
        ("unauthorized", "401"),
        ("rate_limited", "429"),
        ("unavailable", "503"),
        ("outage", "503"),
    ],
)
def test_a_lasting_refusal_meets_the_same_call_again(lab: Any, kind: str, status: str) -> None:
    at = lab(once(kind))
    assert all(at.get(PATH).startswith(f"HTTP {status}") for _ in range(4))
    assert [e.kind for e in at.events] == [kind] * 4


@pytest.mark.parametrize("kind", ["server_error", "bad_gateway", "gateway_timeout"])
def test_a_failure_of_the_server_clears_after_its_calls(lab: Any, kind: str) -> None:
    at = lab([{"kind": kind, "trigger": {"first": 2}}])
    assert [at.get(PATH)[:8] for _ in range(4)][2:] == ["HTTP 200"] * 2
    assert len(at.events) == 2


@pytest.mark.parametrize("kind", ["server_error", "bad_gateway", "gateway_timeout", "timeout", "reset"])
def test_no_failure_promises_that_nothing_was_done(lab: Any, kind: str) -> None:
    text = lab(once(kind)).post("/v1/things/THG-101/state", {"state": "lent"})
    assert not re.search("nothing|not reached|not applied|not sent|never|before", text)


def test_a_500_of_a_lost_write_reads_like_one_before_anything_was_done(lab: Any) -> None:
    write = "/v1/things/THG-101/state", {"state": "lent"}
    texts = {lab(once("lost_ack"), seed).post(*write) for seed in range(12)}
    assert lab(once("server_error")).post(*write) in texts


@pytest.mark.parametrize("path", ["/v1/things/THG-101", "/v1/things"])
def test_a_missing_scope_is_told_by_the_route_and_by_no_tool(lab: Any, path: str) -> None:
    text = lab(once("forbidden")).get(path)
    assert "that GET /v1/things" in text
    assert not any(spec.name in text for spec in lab().toolbox.specs if "_" in spec.name)


@pytest.mark.parametrize("kind", ["not_found_moved", "gone", "redirect", "forbidden", "bad_request"])
def test_the_newer_route_is_open_where_the_older_is_closed(lab: Any, kind: str) -> None:
    at = lab(once(kind))
    at.get(PATH)
    assert at.get("/v2/things/THG-101").startswith("HTTP 200")


def test_gone_and_redirect_name_the_path_that_works(lab: Any) -> None:
    at = lab(once("gone"))
    assert 'link: </v2/things/THG-101>; rel="successor-version"' in at.get(PATH)
    at = lab(once("redirect"))
    location = next(line for line in at.get(PATH).splitlines() if line.startswith("location: "))
    assert at.get(location.removeprefix("location: ")).startswith("HTTP 200")


def test_bad_request_names_the_field_and_the_form_that_passes(lab: Any) -> None:
    at = lab(once("bad_request"))
    assert "`thing_id` must be digits only, for instance 101" in at.get(PATH)
    assert at.body("/v1/things/101")["id"] == "THG-101"


def test_a_typed_tool_gets_past_bad_request_with_the_bare_number(lab: Any) -> None:
    at = lab(once("bad_request"))
    assert at.call("set_state", thing_id="THG-101", state="lent").result.code == "http_400"
    assert at.call("set_state", thing_id="101", state="lent").result.code == "ok"
    assert at.world.effects[0].key == "THG-101"


def test_unprocessable_asks_for_a_note_and_takes_it(lab: Any) -> None:
    at = lab(once("unprocessable"))
    for _ in range(2):
        assert '"errors":[{"field":"note","detail":"is required"}]' in at.post(STATE, LENT)
    assert at.post(STATE, {**LENT, "note": "the user asked"}).startswith("HTTP 200")
    assert len(at.world.effects) == 1


def test_a_new_token_gets_past_unauthorized_and_the_old_one_never_does(lab: Any) -> None:
    at = lab(once("unauthorized"))
    at.get(PATH)
    assert at.get("/v2/things/THG-101").startswith("HTTP 401")
    at.post("/v1/token", {"client_id": "desk", "client_secret": "secret"})
    assert at.get(PATH).startswith("HTTP 200")
    old = at.text("http", method="GET", path=PATH, headers={"Authorization": "Bearer tok-desk"})
    assert old.startswith("HTTP 401")


def test_conflict_really_moves_the_etag_and_takes_the_one_read_afterwards(lab: Any) -> None:
    at = lab(once("conflict"))
    before = at.get(PATH)
    assert at.post(STATE, LENT).startswith("HTTP 409")
    assert at.post(STATE, LENT, **{"If-Match": '"1"'}).startswith("HTTP 412")
    assert 'etag: "1"' in before
    assert 'etag: "2"' in at.get(PATH)
    assert at.post(STATE, LENT, **{"If-Match": '"2"'}).startswith("HTTP 200")
    assert len(at.world.effects) == 1


@pytest.mark.parametrize("kind", ["rate_limited", "unavailable"])
@pytest.mark.parametrize("seed", range(4))
def test_waiting_as_long_as_asked_gets_past_and_less_does_not(lab: Any, kind: str, seed: int) -> None:
    at = lab(once(kind, params={"retry_after": 40}), seed)
    at.call("wait", seconds=3.5)
    header = _retry_after(at.get(PATH))
    assert header == 40 or header == 44
    at.call("wait", seconds=30)
    assert not at.get(PATH).startswith("HTTP 200")
    at.call("wait", seconds=10)
    assert at.get(PATH).startswith("HTTP 200")


def _retry_after(text: str) -> float:
    value = next(line for line in text.splitlines() if line.startswith("retry-after: "))[13:]
    if value.isdigit():
        return int(value)
    moment = parsedate_to_datetime(value)
    return moment.hour * 3600 + moment.minute * 60 + moment.second - 9 * 3600


def test_retry_after_comes_in_both_forms_and_counts_down(lab: Any) -> None:
    forms = set()
    for seed in range(12):
        at = lab(once("rate_limited"), seed)
        first = at.get(PATH)
        at.call("wait", seconds=10)
        forms.add("GMT" in first)
        if "GMT" not in first:
            assert (_retry_after(first), _retry_after(at.get(PATH))) == (30, 20)
    assert forms == {True, False}


def test_an_outage_closes_every_route_from_its_call_on_and_leaves_sql_open(lab: Any) -> None:
    at = lab([{"kind": "outage", "trigger": {"nth": 2}}])
    assert at.get(PATH).startswith("HTTP 200")
    token = {"client_id": "desk", "client_secret": "secret"}
    for text in (at.get(PATH), at.post("/v1/token", token), at.post(STATE, LENT), at.get("/nowhere")):
        assert text.startswith("HTTP 503")
        assert "retry-after" not in text
    assert at.sql("SELECT state FROM things WHERE id = 'THG-101'")["rows"]


def test_an_outage_of_some_seconds_ends_with_them(lab: Any) -> None:
    at = lab([{"kind": "outage", "trigger": {"seconds": [0, 100]}}])
    assert at.get(PATH).startswith("HTTP 503")
    at.call("wait", seconds=100)
    assert at.get(PATH).startswith("HTTP 200")


@pytest.mark.parametrize(("kind", "start"), [("timeout", "error: timeout"), ("reset", "error: reset")])
def test_a_lost_request_was_never_done_and_works_again(lab: Any, kind: str, start: str) -> None:
    at = lab(once(kind))
    assert at.post(STATE, LENT).startswith(start)
    assert at.world.effects == []
    assert at.post(STATE, LENT).startswith("HTTP 200")


def test_lost_ack_applies_the_write_and_hides_it_in_three_ways(lab: Any) -> None:
    seen = set()
    for seed in range(16):
        at = lab(once("lost_ack"), seed)
        seen.add(at.post(STATE, LENT, **{"Idempotency-Key": "k"})[:10])
        assert len(at.world.effects) == 1
        assert at.post(STATE, LENT, **{"Idempotency-Key": "k"}).startswith("HTTP 200")
        assert len(at.world.effects) == 1
    assert len(seen) == 3


def test_lost_ack_leaves_a_refused_write_alone(lab: Any) -> None:
    at = lab(once("lost_ack"))
    assert at.post("/v1/things/THG-999/state", LENT).startswith("HTTP 404")
    assert at.events == []


def test_slow_only_takes_time(lab: Any) -> None:
    at = lab(once("slow", params={"seconds": 12.5}))
    assert at.get(PATH) == lab().get(PATH)
    assert at.world.clock.now == 12.5


def test_an_empty_response_is_a_200_without_a_body_once(lab: Any) -> None:
    at = lab(once("empty_response"))
    assert at.get(PATH) == "HTTP 200 OK\ncontent-length: 0\n\n"
    assert at.body(PATH)["id"] == "THG-101"


def test_faults_with_a_successor_never_strike_where_there_is_none(lab: Any) -> None:
    at = lab([{"kind": kind, "trigger": {"from": 1}} for kind in ("not_found_moved", "gone", "redirect")])
    assert at.get("/v2/things/THG-101").startswith("HTTP 200")


def test_each_event_carries_the_contract_of_its_kind(lab: Any) -> None:
    at = lab(once("rate_limited"))
    at.get(PATH)
    assert at.events[0].contract == kind_named("rate_limited").contract == Contract.BACKOFF
    assert (at.events[0].route, at.events[0].tool, at.events[0].tables) == ("get_thing", "http", ("things",))
