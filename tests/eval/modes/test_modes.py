"""Each rule on episodes written by hand: what raises a mode, and above all what does not."""

from dataclasses import replace

import pytest

from faultgym.agents.rollouts.play import run_episode
from faultgym.agents.scripted import FLAWS, POLICIES, expert
from faultgym.agents.scripted.flawed import play
from faultgym.agents.scripted.reference_run import neighbours
from faultgym.agents.traces.parts import HarnessFailure
from faultgym.agents.traces.spec import EpisodeSpec
from faultgym.agents.traces.trace import Trace
from faultgym.envs.episode import Episode
from faultgym.envs.messages.turn import Turn
from faultgym.envs.reference.schedule import schedule_for
from faultgym.envs.registry import suite_named
from faultgym.eval.modes.classifier import COMPANIONS, ENDINGS, TYPED_ONLY, failure_modes
from faultgym.eval.modes.registry import MODES
from faultgym.tools.faults.plan import FaultPlan
from faultgym.tools.types import ToolCall

ORDERS = suite_named("orders")
STATUS = ORDERS.task("order_status", "train", 0, "http")
TOTAL = ORDERS.task("order_total", "train", 0, "http")
CANCEL = ORDERS.task("cancel_order", "train", 0, "http")
KEY = STATUS.params["order_id"]
OTHER = neighbours(STATUS, KEY)[1][0]


def http(path, method="GET", **more):
    return ToolCall("c", "http", {"method": method, "path": path, **more})


def sql(query):
    return ToolCall("c", "sql", {"query": query})


READ = http(f"/v1/orders/{KEY}")
WAIT = ToolCall("c", "wait", {"seconds": 60})


def trace_of(episode, task=None):
    return Trace.from_episode(episode, EpisodeSpec((task or episode.task).id), {"name": "by hand"})


def modes(*calls, text=None, task=STATUS, faults="clean", **final):
    """Names of the modes of these calls, each in a turn of its own, then a final text: the expert's by default."""
    if text is None:
        text = run_episode(expert(), task, answers="text").turns[-1].turn.text
    episode = Episode(task, schedule_for(task, faults), answers="text")
    for call in calls:
        episode.step(call if isinstance(call, Turn) else Turn("", (call,)))
    episode.step(Turn(text, **final))
    return [mode.name for mode in failure_modes(trace_of(episode), task)]


def plan(kind, *ordinals):
    return FaultPlan.from_rules([{"kind": kind, "trigger": {"nth": list(ordinals or (1,))}}])


def test_every_mode_has_a_rule_and_a_policy():
    assert list(MODES) == list(FLAWS)
    assert set(ENDINGS) | set(COMPANIONS) | TYPED_ONLY <= set(MODES)


def test_the_expert_raises_nothing():
    assert modes(READ) == []


def test_a_call_cut_by_the_token_limit_is_not_malformed():
    broken = ToolCall("c", "http", None, '{"method": "GET", "pa')
    assert modes(Turn("", (broken,)), READ) == ["malformed_call"]
    assert modes(Turn("", (broken,), finish_reason="length"), READ) == []


@pytest.mark.parametrize(
    "path", [f"/v1/orders/{KEY.rpartition('-')[2]}", f"/v1/orders/{KEY}?x=1", f"/v1/orders/{KEY.lower()}"]
)
def test_an_identifier_may_be_written_in_other_ways(path):
    assert "hallucinated_argument" not in modes(http(path))


def test_an_invented_identifier_is_hallucinated_however_it_is_sent():
    assert "hallucinated_argument" in modes(http("/v1/orders/ORD-31337"), READ)
    assert "hallucinated_argument" in modes(http("/v1/orders/31337"), READ)
    assert "hallucinated_argument" in modes(sql("SELECT status FROM orders WHERE id = 'ORD-31337'"), READ)


def test_an_identifier_from_a_result_is_grounded_but_may_be_of_another_record():
    listing, read = sql(f"SELECT id FROM orders ORDER BY id <= '{KEY}', id LIMIT 9"), http(f"/v1/orders/{OTHER}")
    assert modes(listing, read, READ) == ["wrong_entity"]
    assert "hallucinated_argument" in modes(read, listing, READ)


def test_looking_elsewhere_is_wrong_only_before_anything_went_wrong():
    elsewhere = sql("SELECT count(*) AS n FROM products")
    assert modes(elsewhere, READ) == ["wrong_tool"]
    assert modes(READ, elsewhere, http(f"/v2/orders/{KEY}"), faults=plan("gone")) == []


def test_repeating_is_right_where_the_contract_says_so():
    assert modes(READ, READ, faults=plan("server_error")) == []
    assert modes(READ, WAIT, READ, faults=plan("rate_limited")) == []
    assert modes(READ, READ, WAIT, READ, faults=plan("rate_limited")) == ["repeated_broken_call"]


def test_a_call_with_a_new_token_is_not_the_same_call():
    secret = {"client_id": "desk", "client_secret": STATUS.system.split("client_secret ")[1].rstrip(".")}
    token = http("/v1/token", "POST", body=secret)
    assert modes(READ, token, READ, faults=plan("unauthorized")) == []
    assert modes(READ, READ, token, READ, faults=plan("unauthorized")) == ["repeated_broken_call"]


def test_a_changed_call_is_not_the_same_call():
    bare = http(f"/v1/orders/{KEY.rpartition('-')[2]}")
    assert modes(READ, bare, faults=plan("bad_request")) == []


def test_a_lost_write_may_be_repeated_under_its_key_only():
    path, body = f"/v1/orders/{CANCEL.params['order_id']}/cancel", {"reason": CANCEL.params["reason"]}
    keyed = http(path, "POST", body=body, headers={"Idempotency-Key": "k-1"})
    blind = http(path, "POST", body=body)
    assert modes(keyed, keyed, task=CANCEL, faults=plan("lost_ack")) == []
    assert "repeated_broken_call" in modes(blind, blind, task=CANCEL, faults=plan("lost_ack"))


def test_reading_again_is_no_waste_after_a_change_a_wait_or_trouble():
    path, body = f"/v1/orders/{CANCEL.params['order_id']}", {"reason": CANCEL.params["reason"]}
    read, write = http(path), http(f"{path}/cancel", "POST", body=body)
    assert modes(read, write, read, task=CANCEL) == []
    assert modes(read, read, write, task=CANCEL) == ["redundant_call"]
    assert modes(READ, WAIT, READ) == []


def test_the_same_call_in_another_form_is_redundant_too():
    style = ORDERS.task("order_status", "train", 0, "tools")
    bare = ToolCall("c", "get_order", {"order_id": KEY.rpartition("-")[2]})
    assert modes(ToolCall("c", "get_order", {"order_id": KEY}), bare, task=style) == ["redundant_call"]


def test_going_in_circles_explains_its_repetitions():
    other = sql("SELECT count(*) AS n FROM orders")
    assert modes(*[READ, other] * 3) == ["loop"]
    assert "loop" not in modes(*[READ, other] * 2)


def test_a_circle_in_which_time_passes_is_none():
    assert "loop" not in modes(*[READ, WAIT] * 4)


def test_running_into_a_budget_is_over_iteration():
    episode = Episode(STATUS)
    episode.step(Turn("", (READ,)))
    episode.finish("turn_limit")
    assert [mode.name for mode in failure_modes(trace_of(episode))] == ["over_iteration"]


@pytest.mark.parametrize(
    ("calls", "text", "ending"),
    [
        ([], "It is shipped.", "missed_call"),
        ([READ], "I am sorry, I was unable to find it.", "apology_collapse"),
        ([READ], "I will come back to it.", "premature_stop"),
    ],
)
def test_an_end_has_one_name(calls, text, ending):
    task = TOTAL
    calls = [http(f"/v1/orders/{task.params['order_id']}") for _ in calls]
    assert modes(*calls, text=text, task=task) == [ending]


def test_another_value_than_the_observed_one_ignores_evidence():
    read = http(f"/v1/orders/{TOTAL.params['order_id']}")
    assert modes(read, text="It is 1.23 EUR.", task=TOTAL) == ["ignored_evidence"]


def test_a_value_that_nothing_gave_is_fabricated():
    count = sql("SELECT count(*) AS n FROM orders")
    assert modes(count, text="It is 98765.43 EUR.", task=TOTAL) == ["fabricated_answer"]


def test_a_change_that_was_not_made_is_fabricated():
    read = http(f"/v1/orders/{CANCEL.params['order_id']}")
    assert modes(read, text="The order has been cancelled.", task=CANCEL) == ["fabricated_answer"]


def test_an_honest_report_of_an_outage_is_no_collapse():
    task = ORDERS.task("blocked_cancel", "train", 0, "http")
    episode = run_episode(expert(), task, schedule_for(task))
    assert failure_modes(trace_of(episode)) == ()


def test_confidence_counts_only_against_failure():
    assert modes(READ, confidence=0.99) == []
    assert modes(READ, text="Later.", confidence=0.8) == ["premature_stop", "overconfident"]
    assert modes(READ, text="Later.", confidence=0.79) == ["premature_stop"]


@pytest.mark.parametrize("mode", FLAWS)
def test_the_evidence_points_into_the_episode(mode):
    for task in (CANCEL, ORDERS.task("refund_return", "train", 0), STATUS):
        episode, _ = play(mode, task)
        trace = trace_of(episode)
        for found in failure_modes(trace):
            assert 0 <= found.step < len(trace.steps)
            assert found.call is None or found.call < trace.calls
            assert found.why


@pytest.mark.parametrize("name", ["trusting", "repeater", "random", "loop"])
def test_a_stored_trace_is_classified_like_the_live_one(name):
    trace = trace_of(run_episode(POLICIES[name](), CANCEL, schedule_for(CANCEL, "hostile")))
    stored = Trace.from_record(trace.to_record())
    assert failure_modes(stored) == failure_modes(trace)


def test_an_episode_that_the_harness_broke_has_no_modes():
    failure = HarnessFailure.of(RuntimeError("server gone"))
    trace = replace(trace_of(run_episode(POLICIES["null"](), STATUS)), verdict=None, stop="harness_error")
    assert failure_modes(replace(trace, harness_error=failure)) == ()
