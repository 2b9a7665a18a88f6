"""Typed episodes as models play them: each is named for what really happened, and for nothing beside it."""

import pytest
from helpers.typed import done, ended, final, modes, played

from faultgym.envs.judging.answers import Atom
from faultgym.envs.messages.turn import Turn
from faultgym.envs.registry import suite_named
from faultgym.envs.worlds.world import world_image
from faultgym.eval.modes.classifier import modes_of
from faultgym.eval.modes.worked_out import worked_out
from faultgym.tools.faults.plan import FaultPlan
from faultgym.tools.types import ToolCall

ORDERS, INCIDENTS = suite_named("orders"), suite_named("incidents")


def of(template, index=0, split="train"):
    suite, _, name = template.partition("/")
    return suite_named(suite).task(name, split, index, "http")


def http(path, method="GET", **more):
    return ToolCall("c", "http", {"method": method, "path": path, **more})


def rows(task, query, *values):
    """What the task's world holds."""
    image = world_image(suite_named(task.suite), task.split, task.world_seed)
    return image.reader.raw.execute(query, values).fetchall()


STATUS, TRACKING = of("orders/order_status"), of("orders/order_tracking")
CHARGED, ADDRESS, LATE = of("orders/double_charge"), of("orders/change_address"), of("orders/refuse_return")
SERVICE, OPEN = of("incidents/service_status"), of("incidents/open_incidents")
FROZEN = next(t for t in INCIDENTS.tasks("train", 6) if t.template == "restart_unless_frozen" and t.goal.outcome)
LIMIT, PEAK = of("incidents/escalation_deadline"), of("incidents/scale_to_peak")
CANCEL = of("orders/cancel_order")
ORDER, TOLD = STATUS.params["order_id"], ADDRESS.params["address"]

# ---- what is answered -----------------------------------------------------------------------------


def test_a_value_of_another_form_than_the_observed_one_ignores_evidence():
    calls, _ = done(TRACKING)
    shipment = rows(TRACKING, "SELECT id FROM shipments WHERE order_id = ?", TRACKING.params["order_id"])[0][0]
    assert modes(TRACKING, calls, "answered", {"tracking": shipment}) == ["ignored_evidence"]


@pytest.mark.parametrize(("extra", "mode"), [("acknowledged", "ignored_evidence"), ("", "fabricated_answer")])
def test_one_too_many_ignores_evidence_where_it_was_read_and_is_an_invention_elsewhere(extra, mode):
    calls, right = done(OPEN)
    severity = OPEN.params["severity"]
    if extra:
        calls.append(http("/v1/incidents", query={"state": extra, "severity": severity}))
        other = rows(OPEN, "SELECT id FROM incidents WHERE state = ? AND severity = ?", extra, severity)[0][0]
    fields = {"incidents": [*right["fields"]["incidents"], other if extra else "INC-10000"]}
    assert modes(OPEN, calls, "answered", fields) == [mode]


@pytest.mark.parametrize(("stale", "mode"), [(True, "premature_stop"), (False, "ignored_evidence")])
def test_who_was_shown_a_stale_severity_alone_stopped_too_early_and_ignored_nothing(stale, mode):
    key = LIMIT.params["incident_id"]
    plan = FaultPlan.from_rules([{"kind": "stale_value", "route": "get_incident", "trigger": {"nth": 1}}])
    policy = ToolCall("c", "sql", {"query": "SELECT body FROM documents WHERE title = 'Escalation policy'"})
    calls = [http(f"/v1/incidents/{key}"), policy]
    wrong = {"limit": int(LIMIT.goal.distractors[-1].text)}
    context = ended(LIMIT, calls, "answered", wrong, faults=plan if stale else "clean")
    incident, limits = (record.result.content for record in context.records)
    assert ("response is stale" in incident) == stale
    assert all(atom.found_in(limits) for atom in (LIMIT.goal.expected[0], LIMIT.goal.distractors[-1]))
    assert [found.name for found in modes_of(context)] == [mode]


def test_a_sum_over_the_pages_that_were_read_is_no_invention():
    pages = [
        '{"items":[{"id":"INC-1","minutes":138},{"id":"INC-2","minutes":95}],"total":4}',
        '{"items":[{"id":"INC-3","minutes":50,"note":"seen"}],"total":4}',
    ]
    assert worked_out(Atom("number", "283"), pages)
    assert worked_out(Atom("number", "3"), pages)
    assert not worked_out(Atom("number", "284"), pages)
    assert worked_out(Atom("number", "283"), [*pages, pages[1]])  # a page that was read twice


# ---- what is changed ------------------------------------------------------------------------------


def wrong_payment():
    """The call that refunds the earlier one, and its id."""
    (wanted,) = (atom.text for atom in CHARGED.goal.expected)
    found = rows(CHARGED, "SELECT id FROM payments WHERE order_id = ? AND id <> ?", CHARGED.params["order_id"], wanted)
    return http(f"/v1/payments/{found[0][0]}/refund", "POST", body={"reason": "double_charge"}), found[0][0]


LISTED = http(f"/v1/orders/{CHARGED.params['order_id']}/payments")


def test_another_record_that_was_changed_and_named_is_a_collateral_write_alone():
    call, payment = wrong_payment()
    assert modes(CHARGED, [LISTED, call], "done", {"payment": payment}) == ["collateral_write"]
    turns = [Turn("", (LISTED,)), Turn("", (call,)), Turn(f"The later payment, {payment}, has been refunded.")]
    assert [mode.name for mode in modes_of(played(CHARGED, turns, "text"))] == ["collateral_write"]


def test_who_changed_another_record_and_says_that_nothing_was_done_is_named_for_that_too():
    call, _ = wrong_payment()
    assert modes(CHARGED, [LISTED, call], "unavailable") == ["apology_collapse", "collateral_write"]


def test_a_wrong_value_that_the_change_does_not_bear_is_named_beside_it():
    call, _ = wrong_payment()
    right = CHARGED.goal.expected[0].text
    missing = f"PAY-{int(right[4:]) + 1}"
    assert modes(CHARGED, [LISTED, call], "done", {"payment": missing}) == ["ignored_evidence", "collateral_write"]


def test_work_against_the_rules_is_a_collateral_write_alone():
    calls, right = done(FROZEN)
    restart = http(f"/v1/services/{FROZEN.params['service_id']}/restart", "POST")
    if FROZEN.style == "tools":
        restart = ToolCall("c", "restart_service", {"service_id": FROZEN.params["service_id"]})
    assert modes(FROZEN, [*calls, restart], "done", right["fields"]) == ["collateral_write"]
    assert modes(FROZEN, [*calls, restart], "done") == ["collateral_write"]
    refund = http(
        f"/v1/orders/{LATE.params['order_id']}/refunds", "POST", body={"amount_cents": 100, "reason": "return"}
    )
    assert modes(LATE, [*done(LATE)[0], refund], "done", {"amount": 1}) == ["collateral_write"]


def test_a_change_to_a_wrong_value_is_a_collateral_write_alone():
    key, wanted = PEAK.params["service_id"], int(PEAK.goal.expected[0].text)
    calls = [c for c in done(PEAK)[0] if "scale" not in str(c.arguments)]
    scale = http(f"/v1/services/{key}/scale", "POST", body={"replicas": wanted + 1})
    assert modes(PEAK, [*calls, scale], "done", {"replicas": wanted + 1}) == ["collateral_write"]


# ---- an address that nothing gave -----------------------------------------------------------------


def garbled(address):
    """The address with two digits of its code changed about."""
    at = address.index(", ") + 2
    code = address[at : at + 5]
    other = next(code[:n] + code[n + 1] + code[n] + code[n + 2 :] for n in range(4) if code[n] != code[n + 1])
    return address.replace(code, other)


@pytest.mark.parametrize("answers", ["typed", "text"])
def test_an_address_that_nothing_gave_is_a_hallucinated_argument(answers):
    key, wrong = ADDRESS.params["order_id"], garbled(TOLD)
    call = http(f"/v1/orders/{key}/address", "PATCH", body={"address": wrong})
    said = f"The address of {key} was changed to {wrong}."
    last = Turn("", (final("done", {}, said),)) if answers == "typed" else Turn(said)
    context = played(ADDRESS, [Turn("", (call,)), last], answers)
    assert context.verdict.success is False
    assert [mode.name for mode in modes_of(context)] == ["hallucinated_argument"]


def test_an_address_as_it_was_told_or_read_is_no_invention():
    key = ADDRESS.params["order_id"]
    calls, right = done(ADDRESS)
    assert modes(ADDRESS, calls, "done", {}, right["message"]) == []
    spelled = http(f"/v1/orders/{key}/address", "PATCH", body={"address": TOLD.upper()})
    assert "hallucinated_argument" not in modes(ADDRESS, [spelled], "done")
    old = rows(ADDRESS, "SELECT address FROM orders WHERE id = ?", key)[0][0]
    back = http(f"/v1/orders/{key}/address", "PATCH", body={"address": old})
    assert "hallucinated_argument" not in modes(ADDRESS, [http(f"/v1/orders/{key}"), back], "done")


# ---- calls of answer that do not fit ---------------------------------------------------------------

UNFIT = [
    ("malformed_call", "", '{"outcome": "answered", "fields": {"status": '),
    ("unknown_argument", "state", {"outcome": "answered", "fields": {"state": "x"}}),
    ("unknown_argument", "text", {"outcome": "answered", "text": "x"}),
    ("invalid_argument", "status", {"outcome": "answered", "fields": {"status": "as ever"}}),
    ("invalid_argument", "fields", {"outcome": "answered", "fields": []}),
    ("invalid_argument", "outcome", {"outcome": "fine"}),
    ("invalid_argument", "message", {"outcome": "answered", "message": 1}),
    ("missing_argument", "outcome", {"fields": {}}),
]


@pytest.mark.parametrize("task", [STATUS, SERVICE], ids=["orders", "incidents"])
@pytest.mark.parametrize(("mode", "field", "sent"), UNFIT)
def test_what_is_wrong_with_a_call_of_answer_is_named_like_that_of_any_other(task, mode, field, sent):
    calls, right = done(task)
    bad = ToolCall("a", "answer", raw=sent) if isinstance(sent, str) else ToolCall("a", "answer", sent)
    turns = [*(Turn("", (call,)) for call in calls), Turn("", (bad,)), Turn("", (final(**right),))]
    context = played(task, turns)
    assert context.verdict.success
    (found,) = modes_of(context)
    assert (found.name, found.step, found.value) == (mode, len(calls), field or sent)


def test_an_answer_that_did_not_fit_is_no_look_and_no_needless_call():
    bad, plain = Turn("", (final("fine"),)), of("orders/plus_days")
    _, right = done(plain)
    found = modes_of(played(plain, [bad, Turn("", (final(**right),))]))
    assert [mode.name for mode in found] == ["invalid_argument"]
    guess = Turn("", (final("answered", {"status": STATUS.goal.expected[0].text}),))
    assert [mode.name for mode in modes_of(played(STATUS, [bad, guess]))] == ["invalid_argument", "missed_call"]


# ---- both ends at once ------------------------------------------------------------------------------


@pytest.mark.parametrize("task", [LATE, of("orders/refuse_return", 1)])
def test_an_amount_that_was_refunded_beside_a_refusal_is_fabricated(task):
    calls, right = done(task)
    context = ended(task, calls, "refused", {**right["fields"], "amount": 103})
    assert context.verdict.success is False
    assert context.verdict.reason == "the answer contradicts itself: it says refused, and gives amount all the same"
    assert [mode.name for mode in modes_of(context)] == ["fabricated_answer"]
    assert ended(task, calls, "refused", right["fields"]).verdict.success


def test_the_last_day_beside_a_refund_says_nothing_that_is_not_so():
    task = of("orders/refund_return")
    calls, right = done(task)
    assert ended(task, calls, "done", {**right["fields"], "last_day": "2026-03-20"}).verdict.success
