"""The first critical step is found where the harm was done."""

import pytest

from faultgym.agents.traces.parts import HarnessFailure
from faultgym.agents.traces.spec import EpisodeSpec
from faultgym.agents.traces.trace import NO_LIMITS, Trace
from faultgym.envs.episode import Episode, run_reference
from faultgym.envs.limits import Limits
from faultgym.envs.messages.turn import Turn
from faultgym.envs.reference.run import closing_turn
from faultgym.envs.reference.schedule import schedule_for
from faultgym.envs.reference_agent.client import ReferenceAnswer
from faultgym.envs.registry import suite_named
from faultgym.eval.critical import critical_step
from faultgym.tools.types import ToolCall

ORDERS = suite_named("orders")
CANCEL = ORDERS.task("cancel_order", "train", 0, "tools")
ADDRESS = ORDERS.task("change_address", "train", 0, "tools")
NOTE = ORDERS.task("write_note", "train", 0, "tools")
STATUS = ORDERS.task("order_status", "train", 0, "tools")


def call(name, **arguments):
    return Turn(tool_calls=(ToolCall("c", name, arguments),))


def trace_of(task, *turns, schedule=(), limits=NO_LIMITS, stop="turn_limit", failure=None):
    episode = Episode(task, schedule)
    for turn in turns:
        episode.step(turn)
    if not episode.stop:
        episode.finish(stop)
    return Trace.from_episode(episode, EpisodeSpec(task.id), {"name": "actor"}, limits, failure)


def neighbour(task):
    world = Episode(task).world
    found = world.db.execute(
        "SELECT id FROM orders WHERE status = 'pending' AND id <> ? ORDER BY id", (task.params["order_id"],)
    )
    return found.fetchone()[0]


def noted(text):
    values = f"'{NOTE.params['order_id']}', 'desk', '{text}', '{NOTE.params['channel']}'"
    return call("sql", query=f"INSERT INTO order_notes (order_id, author, text, channel) VALUES ({values})")


READ = call("get_order", order_id=CANCEL.params["order_id"])
HARM = call("cancel_order", order_id=neighbour(CANCEL), reason=CANCEL.params["reason"])
RIGHT = call("cancel_order", **CANCEL.params)


def said(outcome, message="", **fields):
    return closing_turn(ReferenceAnswer(message, outcome, fields), "typed")


DONE = said("done")


@pytest.mark.parametrize("at", range(6))
def test_a_wrong_write_at_step_k_is_the_critical_step(at):
    turns = [READ] * 5
    turns.insert(at, HARM)
    found = critical_step(trace_of(CANCEL, *turns, RIGHT, DONE))
    assert found.step == at
    assert "cancel_order" in found.reason


def test_bisection_needs_few_forks():
    turns = [READ] * 30
    turns.insert(20, HARM)
    assert critical_step(trace_of(CANCEL, *turns, DONE)).probes <= 7


def test_a_wrong_final_text_is_the_critical_step():
    turns = [call("get_order", order_id=STATUS.params["order_id"])] * 2
    assert critical_step(trace_of(STATUS, *turns, said("answered", status="lost"))).step == 2


def test_harm_that_was_undone_before_anybody_saw_it_is_not_critical():
    wrong = noted("nothing of the kind")
    undo = call("sql", query="DELETE FROM order_notes WHERE text = 'nothing of the kind'")
    found = critical_step(trace_of(NOTE, wrong, undo, noted("something else"), said("done")))
    assert found.step == 2


def test_harm_that_others_saw_is_critical_though_it_was_undone():
    order = ADDRESS.params["order_id"]
    wrong = call("change_address", order_id=order, address="1 Nowhere Lane, 12345 Town")
    right = call("change_address", **ADDRESS.params)
    found = critical_step(trace_of(ADDRESS, wrong, right, HARM, said("done")))
    assert found.step == 0


def test_the_last_of_two_harms_is_not_blamed_for_the_first():
    assert critical_step(trace_of(CANCEL, READ, HARM, RIGHT, HARM, DONE)).step == 1


def test_a_success_has_no_critical_step():
    assert critical_step(trace_of(CANCEL, READ, RIGHT, DONE)).step is None


def test_where_the_harness_failed_there_is_nothing_to_say():
    broken = trace_of(CANCEL, READ, failure=HarnessFailure("OSError", "gone"))
    assert critical_step(broken).step is None


def test_time_that_was_frittered_away_is_critical_under_a_limit():
    # The expert needs a reading, a write and a final turn: with 8 turns, the sixth must not be wasted.
    needed = len(run_reference(CANCEL)[0].turns) + 1
    limit = Limits(turns=8)
    found = critical_step(trace_of(CANCEL, *[READ] * 8, limits=limit))
    assert found.step == 8 - needed


def test_a_failure_that_the_expert_would_share_has_no_critical_step():
    limit = Limits(turns=1)
    found = critical_step(trace_of(CANCEL, READ, limits=limit))
    assert found.step is None
    assert "reference" in found.reason


@pytest.mark.parametrize("faults", ["clean", "rough", "hostile"])
def test_leaving_the_last_write_out_makes_the_end_critical(faults):
    for template in ("cancel_order", "change_address", "exchange_product", "double_charge"):
        task = ORDERS.task(template, "train", 1)
        schedule = schedule_for(task, faults)
        whole, answer = run_reference(task, schedule)
        turns = [s.turn for s in whole.turns]
        last = max(n for n, s in enumerate(whole.turns) if s.calls[0].effects)
        found = critical_step(trace_of(task, *turns[:last], closing_turn(answer, "typed"), schedule=schedule))
        assert found.step == last, (template, found)
