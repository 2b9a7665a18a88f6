"""The reference solution goes on from anywhere, and does no write a second time."""

from dataclasses import replace

import pytest

from faultgym.envs.episode import Episode, reaches_goal, run_reference
from faultgym.envs.judging.goal import compare
from faultgym.envs.judging.undone import UNDONE
from faultgym.envs.messages.turn import Turn
from faultgym.envs.reference.continuing import continue_reference
from faultgym.envs.reference.run import closing_turn
from faultgym.envs.reference.schedule import schedule_for
from faultgym.envs.registry import suite_named
from faultgym.envs.worlds.changes import changes
from faultgym.tools.faults.types import ScheduledFault
from faultgym.tools.types import ToolCall

ORDERS = suite_named("orders")
WRITING = [
    "cancel_order",
    "change_address",
    "exchange_product",
    "double_charge",
    "refund_return",
    "move_tag",
    "write_note",
]


def turns_of(task, schedule=()):
    """The reference's own turns, without the final text."""
    episode, answer = run_reference(task, schedule)
    text = answer.text
    return [s.turn for s in episode.turns], text


@pytest.mark.parametrize("template", ORDERS.names("train"))
def test_it_can_go_on_from_every_step_of_its_own_path(template):
    task = ORDERS.task(template, "train", 1)
    schedule = schedule_for(task)
    turns, _ = turns_of(task, schedule)
    for cut in range(len(turns) + 1):
        episode = Episode(task, schedule)
        for turn in turns[:cut]:
            episode.step(turn)
        assert reaches_goal(episode), (template, cut)


@pytest.mark.parametrize("template", WRITING)
def test_a_write_that_was_done_is_not_done_again(template):
    task = ORDERS.task(template, "train", 2)
    turns, _ = turns_of(task)
    episode = Episode(task)
    for turn in turns:
        episode.step(turn)
    twin, answer = continue_reference(episode, episode.task)
    twin.step(closing_turn(answer, twin.answers))
    assert twin.verdict.success
    assert not twin.verdict.duplicate_changes


def test_the_episode_itself_stays_as_it_is():
    task = ORDERS.task("cancel_order", "train", 0)
    episode = Episode(task)
    before = (episode.calls, len(episode.turns), episode.world.digest())
    continue_reference(episode, episode.task)
    assert (episode.calls, len(episode.turns), episode.world.digest()) == before


def test_a_write_whose_answer_was_lost_counts_as_done():
    task = ORDERS.task("cancel_order", "train", 0, "tools")
    lost = (ScheduledFault(0, "lost_ack", ordinals=(1,)),)
    episode = Episode(task, lost)
    order = task.params["order_id"]
    episode.step(
        Turn(tool_calls=(ToolCall("a", "cancel_order", {"order_id": order, "reason": task.params["reason"]}),))
    )
    assert episode.events
    assert reaches_goal(episode)


def test_a_write_on_a_neighbour_cannot_be_made_good():
    task = ORDERS.task("cancel_order", "train", 0, "tools")
    episode = Episode(task)
    other = episode.world.db.execute(
        "SELECT id FROM orders WHERE status = 'pending' AND id <> ?", (task.params["order_id"],)
    ).fetchone()[0]
    episode.step(
        Turn(tool_calls=(ToolCall("a", "cancel_order", {"order_id": other, "reason": task.params["reason"]}),))
    )
    assert episode.records[0].effects
    assert not reaches_goal(episode)


def test_a_wrong_address_can_be_put_right_but_the_customer_has_been_told_of_it():
    task = ORDERS.task("change_address", "train", 0, "tools")
    episode = Episode(task)
    wrong = {"order_id": task.params["order_id"], "address": "1 Nowhere Lane"}
    episode.step(Turn(tool_calls=(ToolCall("a", "change_address", wrong),)))
    assert episode.records[0].effects
    twin, answer = continue_reference(episode, task)
    assert compare(task.goal, changes(twin.world)) == ([], [], [])
    twin.step(Turn(answer.text))
    assert (twin.verdict.success, twin.verdict.reason) == (False, UNDONE)
    assert not reaches_goal(episode)


def test_the_same_write_by_another_way_counts_as_done():
    task = ORDERS.task("exchange_product", "train", 1, "tools")
    turns, _ = turns_of(task)
    last = turns[-1].tool_calls[0]
    assert last.name == "create_exchange"
    order = last.arguments["order_id"].rpartition("-")[2]
    call = replace(last, arguments={**last.arguments, "order_id": order, "note": "asked by phone"})
    episode = Episode(task)
    episode.step(Turn(tool_calls=(call,)))
    assert episode.records[0].effects
    assert reaches_goal(episode)


def test_a_budget_of_turns_is_respected():
    task = ORDERS.task("cancel_order", "train", 0)
    needed = len(turns_of(task)[0]) + 1
    assert reaches_goal(Episode(task), needed)
    assert not reaches_goal(Episode(task), needed - 1)
