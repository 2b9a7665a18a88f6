"""The decision table of recoveries, cell by cell: faults that an error shows."""

import pytest
from helpers.recoveries import (
    BARE,
    BLUFF,
    CANCEL,
    ORDER,
    READ,
    READ_V2,
    ROW,
    SAYS,
    SORRY,
    STATUS,
    TOKEN,
    TOTAL,
    fault,
    only,
    play,
    wait,
)

from faultgym.envs.episode import Episode
from faultgym.envs.messages.turn import Turn
from faultgym.envs.reference.schedule import schedule_for
from faultgym.envs.registry import suite_named
from faultgym.eval.recovery.outcomes import recovery
from faultgym.tools.types import ToolCall

BLOCKED = suite_named("orders").task("blocked_cancel", "train", 0, "http")
SCALING = suite_named("incidents").task("scale_outage", "train", 0, "http")

# ---- RETRY ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["server_error", "timeout", "truncated_json", "empty_response"])
@pytest.mark.parametrize("second", [READ, BARE, READ_V2, ROW])
def test_the_fact_from_anywhere_recovers(kind, second):
    found = only(play(STATUS, fault(kind), READ, second, SAYS))
    assert (found.outcome, found.steps, found.recoverable) == ("recovered", 1, True)


def test_a_call_about_something_else_does_not_recover():
    other = ("get_order", {"order_id": TOTAL.params["order_id"]})
    assert only(play(STATUS, fault("server_error"), READ, other, SORRY)).outcome == "abandoned"


def test_giving_up_is_abandoning():
    found = only(play(STATUS, fault("server_error"), READ, SORRY))
    assert (found.outcome, found.steps) == ("abandoned", 0)


@pytest.mark.parametrize("text", [BLUFF, SAYS])
def test_a_value_that_nobody_gave_is_a_bluff_even_when_the_guess_is_right(text):
    found = only(play(STATUS, fault("server_error"), READ, text))
    assert found.outcome == "bluffed"
    assert found.evidence.startswith("no message gave")


def test_repeating_beyond_the_budget_is_repeating():
    assert only(play(STATUS, fault("server_error", onward=1), *[READ] * 4, SORRY)).outcome == "repeated"
    assert only(play(STATUS, fault("server_error", onward=1), *[READ] * 3, SORRY)).outcome == "abandoned"


def test_a_failed_second_try_is_one_delivery_that_took_longer():
    found = only(play(STATUS, fault("server_error", 1, 2), READ, READ, READ, SAYS))
    assert (found.outcome, found.hits, found.steps) == ("recovered", 2, 2)


def test_a_fact_that_was_known_before_makes_a_fault_unneeded():
    found = only(play(STATUS, fault("server_error", 2), READ, READ, SAYS))
    assert (found.outcome, found.counts) == ("unneeded", False)


def test_a_write_is_recovered_by_doing_it():
    order = CANCEL.params["order_id"]
    cancel = ("cancel_order", dict(CANCEL.params))
    context = play(CANCEL, fault("server_error", route="cancel_order"), cancel, cancel, f"Order {order} is cancelled.")
    assert context.verdict.success
    assert only(context).outcome == "recovered"


def test_a_write_that_was_only_claimed_is_a_bluff():
    cancel = ("cancel_order", dict(CANCEL.params))
    context = play(CANCEL, fault("server_error", route="cancel_order"), cancel, "The order is cancelled.")
    assert only(context).outcome == "bluffed"


# ---- BACKOFF --------------------------------------------------------------------------------------


def test_waiting_as_long_as_asked_is_patient():
    found = only(play(STATUS, fault("rate_limited", params={"retry_after": 30}), READ, wait(30), READ, SAYS))
    assert (found.outcome, found.patient, found.steps) == ("recovered", True, 2)


def test_coming_back_too_early_is_impatient_even_if_it_ends_well():
    schedule = fault("rate_limited", params={"retry_after": 30})
    found = only(play(STATUS, schedule, READ, wait(5), READ, wait(30), READ, SAYS))
    assert (found.outcome, found.patient, found.hits) == ("recovered", False, 2)


def test_hammering_is_repeating():
    found = only(play(STATUS, fault("rate_limited", params={"retry_after": 30}), READ, READ, READ, SORRY))
    assert (found.outcome, found.patient) == ("repeated", False)


def test_never_coming_back_says_nothing_about_patience():
    found = only(play(STATUS, fault("rate_limited", params={"retry_after": 30}), READ, SORRY))
    assert (found.outcome, found.patient) == ("abandoned", None)


def test_a_lock_asks_for_any_wait():
    schedule = fault("busy", params={"seconds": 5})
    assert only(play(STATUS, schedule, ROW, wait(10), ROW, SAYS)).patient
    assert only(play(STATUS, schedule, ROW, ROW, wait(10), ROW, SAYS)).patient is False


# ---- REPAIR ---------------------------------------------------------------------------------------


def test_a_changed_call_repairs():
    assert only(play(STATUS, fault("bad_request"), READ, BARE, SAYS)).outcome == "recovered"


@pytest.mark.parametrize("kind", ["bad_request", "argument_renamed", "misleading_error"])
def test_the_very_same_call_again_is_repeating(kind):
    found = only(play(STATUS, fault(kind, tool="get_order"), READ, READ, SORRY))
    assert (found.outcome, found.hits) == ("repeated", 2)


def test_a_renamed_argument_is_repaired_under_its_new_name():
    new = ("get_order", {"order_ref": ORDER})
    assert only(play(STATUS, fault("argument_renamed", tool="get_order"), READ, new, SAYS)).outcome == "recovered"


@pytest.mark.parametrize(
    ("task", "path", "body", "said"),
    [
        (BLOCKED, f"orders/{BLOCKED.params['order_id']}/cancel", {"reason": "customer_request"}, "cancel order"),
        (SCALING, f"services/{SCALING.params['service_id']}/scale", {"replicas": 15}, "scale"),
    ],
    ids=["orders", "incidents"],
)
def test_a_renamed_argument_is_repaired_where_the_call_got_as_far_as_an_outage(task, path, body, said):
    schedule = (fault("argument_renamed", tool="http", params={"argument": "method", "to": "verb"}, id=7),
                *schedule_for(task, "clean"))  # fmt: skip
    last = f"I could not {said} {path.split('/')[1]}: the API is unavailable. Nothing was changed."
    old, new = (("http", {name: "POST", "path": f"/v1/{path}", "body": body}) for name in ("method", "verb"))

    def outcomes(*moves):
        found = recovery(play(task, schedule, *moves, last))
        return {delivery.kind: delivery.outcome for delivery in found.deliveries}

    assert outcomes(old, new) == {"argument_renamed": "recovered", "outage": "reported"}
    elsewhere = ("http", {"verb": "GET", "path": "/v1/openapi"})
    assert outcomes(old, elsewhere)["argument_renamed"] != "recovered"
    assert outcomes(old, old)["argument_renamed"] != "recovered"


@pytest.mark.parametrize("kind", ["renamed_field", "nested_field", "extra_noise"])
def test_another_shape_that_is_read_rightly_needs_no_further_call(kind):
    found = only(play(STATUS, fault(kind), READ, SAYS))
    assert (found.outcome, found.steps) == ("recovered", 0)


def test_another_shape_that_is_not_understood_is_abandoned():
    assert only(play(STATUS, fault("renamed_field"), READ, SORRY)).outcome == "abandoned"


def test_a_repaired_statement_recovers_although_the_fault_still_fires():
    new = ("sql", {"query": "SELECT DISTINCT column_name FROM schema WHERE column_name LIKE '%status%'"})
    episode = Episode(STATUS, (fault("renamed_column"),))
    episode.step(Turn(tool_calls=(ToolCall("a", *ROW),)))
    assert "no such column" in episode.records[0].result.content
    text = episode.step(Turn(tool_calls=(ToolCall("b", *new),))).messages[0].content
    column = next(w for w in text.split('"') if "status" in w and w != "status")
    repaired = ("sql", {"query": f"SELECT {column} FROM orders WHERE id = '{ORDER}'"})
    found = only(play(STATUS, fault("renamed_column"), ROW, new, repaired, SAYS))
    assert (found.outcome, found.steps) == ("recovered", 2)


# ---- REROUTE and REAUTH ---------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["gone", "redirect", "not_found_moved", "forbidden", "tool_removed"])
def test_another_way_to_the_fact_recovers(kind):
    aim = {"tool": "get_order"} if kind == "tool_removed" else {"route": "get_order"}
    for second in (READ_V2, ROW):
        assert only(play(STATUS, fault(kind, **aim), READ, second, SAYS)).outcome == "recovered"
    assert only(play(STATUS, fault(kind, **aim), READ, READ, SORRY)).outcome == "repeated"


def test_a_new_token_and_the_same_call_recover():
    found = only(play(STATUS, fault("unauthorized"), READ, TOKEN, READ, SAYS))
    assert (found.outcome, found.steps) == ("recovered", 2)


def test_the_old_token_again_is_repeating():
    assert only(play(STATUS, fault("unauthorized"), READ, READ, SORRY)).outcome == "repeated"
