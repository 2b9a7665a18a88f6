"""Malformed bodies and bodies of another shape or meaning."""

from __future__ import annotations

import json
from typing import Any

import pytest

from faultgym.tools.faults.types import Contract

PATH = "/v1/things/THG-104"
NEWER = "/v2/things/THG-104"
LIST = "/v1/things"
MALFORMED = (
    "truncated_json",
    "partial_chunk",
    "invalid_json",
    "html_for_json",
    "wrong_content_type",
    "double_encoded",
    "bom_or_mojibake",
    "duplicate_keys",
)
SHAPES = ("renamed_field", "type_drift", "nested_field", "null_field", "extra_noise")
MEANINGS = ("stale_value", "wrong_entity", "unit_swap")


def once(kind: str, **more: Any) -> list[dict[str, Any]]:
    return [{"kind": kind, "trigger": {"nth": 1}, **more}]


def strict(text: str) -> Any:
    """The body as a careful client reads it: JSON, declared as such, each key once."""

    def pairs(found: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(found)) != len(found):
            raise ValueError("a key twice")
        return dict(found)

    def constant(name: str) -> Any:
        raise ValueError(name)

    head, _, body = text.partition("\n\n")
    assert head.startswith("HTTP 200")
    value = json.loads(body, object_pairs_hook=pairs, parse_constant=constant)
    if "content-type" in head or not isinstance(value, dict):
        raise ValueError("not a JSON object")
    return value


@pytest.mark.parametrize("path", [PATH, LIST])
@pytest.mark.parametrize("kind", MALFORMED)
@pytest.mark.parametrize("seed", range(3))
def test_a_malformed_body_is_no_json_and_clears(lab: Any, kind: str, path: str, seed: int) -> None:
    at = lab(once(kind), seed)
    with pytest.raises(ValueError):  # noqa: PT011
        strict(at.get(path))
    assert strict(at.get(path)) == lab().body(path)
    assert [e.contract for e in at.events] == [Contract.RETRY]


@pytest.mark.parametrize("kind", MALFORMED)
def test_a_malformed_body_scheduled_onward_stays_on_its_route(lab: Any, kind: str) -> None:
    at = lab([{"kind": kind, "trigger": {"from": 1}}])
    for _ in range(3):
        with pytest.raises(ValueError):  # noqa: PT011
            strict(at.get(PATH))
    assert strict(at.get(NEWER))["id"] == "THG-104"
    assert {e.contract for e in at.events} == {Contract.REROUTE}


@pytest.mark.parametrize("kind", MALFORMED)
def test_a_write_never_gets_a_malformed_body(lab: Any, kind: str) -> None:
    at = lab([{"kind": kind, "trigger": {"from": 1}}])
    assert strict(at.post(f"{PATH}/state", {"state": "lent"}))["state"] == "lent"


@pytest.mark.parametrize("kind", SHAPES + MEANINGS)
@pytest.mark.parametrize("seed", range(3))
def test_a_changed_body_is_valid_json_stays_on_its_route_and_is_true_elsewhere(lab: Any, kind: str, seed: int) -> None:
    at = lab(once(kind), seed)
    shown = [strict(at.get(PATH)) for _ in range(3)]
    assert shown[0] == shown[1] == shown[2] != lab().body(PATH)
    assert at.body(NEWER) == lab().body(NEWER)
    assert at.sql("SELECT state FROM things WHERE id = 'THG-104'") == lab().sql(
        "SELECT state FROM things WHERE id = 'THG-104'"
    )


@pytest.mark.parametrize("kind", [*SHAPES, "stale_value", "unit_swap", "missing_rows"])
def test_a_listing_can_be_changed_too(lab: Any, kind: str) -> None:
    at = lab(once(kind))
    assert strict(at.get(LIST)) != lab().body(LIST)


@pytest.mark.parametrize("kind", ["stale_value", "null_field", "renamed_field", "duplicate_keys"])
def test_a_rule_can_aim_at_a_field(lab: Any, kind: str) -> None:
    at = lab(once(kind, params={"field": "price_cents"}))
    text = at.get(PATH)
    detail = at.events[0].detail
    fields = [c["field"] for c in detail["changes"]] if "changes" in detail else list(detail["renamed"])
    assert fields == ["price_cents"]
    assert '"state":"lent"' in text


def test_a_rule_aimed_at_a_field_that_is_not_there_never_fires(lab: Any) -> None:
    at = lab(once("stale_value", params={"field": "nothing"}))
    assert at.get(PATH) == lab().get(PATH)
    assert at.events == []


def test_a_renamed_field_keeps_its_value_under_a_name_that_holds_the_old_one(lab: Any) -> None:
    at = lab(once("renamed_field"))
    body = at.body(PATH)
    ((old, new),) = at.events[0].detail["renamed"].items()
    assert old in new
    assert body[new] == lab().body(PATH)[old]
    assert old not in body


def test_type_drift_gives_an_amount_in_its_currency_with_the_unit_beside_it(lab: Any) -> None:
    body = lab(once("type_drift")).body(PATH)
    assert (body["price"], body["unit"], body["version"]) == ("45.50", "EUR", 1)


def test_a_page_for_json_is_titled_by_what_it_says(lab: Any) -> None:
    page = lab(once("html_for_json")).get(PATH)
    assert "<title>Scheduled maintenance</title>" in page
    assert "<h1>Scheduled maintenance</h1>" in page


def test_extra_noise_stands_before_the_fields_and_leaves_them_visible(lab: Any) -> None:
    at = lab(once("extra_noise"))
    text = at.get(PATH)
    assert 4_000 < len(text) < 16_000
    assert text.endswith(lab().get(PATH).partition("\n\n")[2][1:])


def test_a_stale_value_is_an_earlier_choice_and_its_age_shows(lab: Any) -> None:
    at = lab(once("stale_value"))
    text = at.get(PATH)
    assert 'age: 86400\nwarning: 110 - "response is stale"' in text
    assert strict(text)["state"] == "new"
    assert {"record": "THG-104", "field": "state", "true": "lent", "shown": "new"} in at.events[0].detail["changes"]


def test_a_stale_value_has_the_version_and_the_etag_of_its_copy(lab: Any) -> None:
    at = lab(once("stale_value"))
    text = at.get(PATH)
    assert ('etag: "0"' in text, strict(text)["version"]) == (True, 0)
    assert 'etag: "1"' in lab().get(PATH)
    refused = at.post("/v1/things/THG-104/state", {"state": "returned"}, **{"If-Match": '"0"'})
    assert refused.startswith("HTTP 412")


def test_the_etag_of_a_wrong_entity_is_that_of_the_record_shown(lab: Any) -> None:
    at = lab(once("wrong_entity"))
    at.world.writable().execute("UPDATE things SET version = 7 WHERE id <> 'THG-104'")
    text = at.get(PATH)
    assert ('etag: "7"' in text, strict(text)["version"]) == (True, 7)


def test_a_stale_value_stays_with_the_record_at_which_it_fired(lab: Any) -> None:
    at = lab(once("stale_value"))
    at.get(PATH)
    assert at.get("/v1/things/THG-105") == lab().get("/v1/things/THG-105")


def test_the_wrong_entity_shows_in_its_id_alone(lab: Any) -> None:
    at = lab(once("wrong_entity"))
    body = at.body(PATH)
    assert body == lab().body(f"/v1/things/{body['id']}")
    assert body["id"] != "THG-104"


def test_a_unit_swap_is_signed_in_the_body(lab: Any) -> None:
    body = lab(once("unit_swap")).body(PATH)
    assert (body["price_cents"], body["amounts_in"]) == (45.5, "EUR")


def test_missing_rows_are_still_in_the_total_of_all_pages_and_sql_tells(lab: Any) -> None:
    at = lab(once("missing_rows"))
    first = at.body(LIST)
    second = at.body(LIST, cursor=first["next_cursor"])
    assert (len(first["items"]), first["total"], second["total"]) == (8, 25, 25)
    assert at.sql("SELECT count(*) AS n FROM things")["rows"] == [{"n": 25}]
    assert at.events[0].contract == Contract.VERIFY


def test_an_unreadable_record_is_not_changed(lab: Any) -> None:
    at = lab([{"kind": kind, "trigger": {"from": 1}} for kind in SHAPES + MEANINGS])
    assert at.get("/v1/things/THG-999") == lab().get("/v1/things/THG-999")
