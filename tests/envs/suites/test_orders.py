"""The shop's tasks can be drawn everywhere, are solved by their reference solutions, and by little else."""

import re

import pytest

from faultgym.envs.episode import Episode, run_reference
from faultgym.envs.judging.goal import compare
from faultgym.envs.messages.turn import Turn
from faultgym.envs.reference.run import closing_turn
from faultgym.envs.reference_agent.client import ReferenceAnswer
from faultgym.envs.registry import suite_named
from faultgym.envs.worlds.names import SPLITS, WORLDS
from faultgym.envs.worlds.world import world_image
from faultgym.tools.faults.types import ScheduledFault
from faultgym.tools.types import ToolCall

SUITE = suite_named("orders")
EVERYWHERE = [(name, split) for split in SPLITS for name in SUITE.names(split)]
ONCE = [(name, split) for name, split in EVERYWHERE if split in ("train", "unseen_compositions")]
OUTAGE = (ScheduledFault(0, "outage", onward=1),)
ADDITIVE = ("refund_return", "write_note", "exchange_product", "return_from_latest", "address_and_note")
"""Templates whose last write, done again, makes a second row."""


def tasks(name, split, count=3):
    return [SUITE.task(name, split, index) for index in range(count)]


def finish(task, text):
    """The verdict on a text without any call."""
    episode = Episode(task, answers="text")
    episode.step(Turn(text))
    return episode.verdict


def solved(task, schedule=()):
    """The finished episode of the reference solution."""
    episode, answer = run_reference(task, schedule)
    episode.step(closing_turn(answer, episode.answers))
    return episode


def again(call):
    """The same write without its idempotency key."""
    arguments = {k: v for k, v in call.arguments.items() if k != "idempotency_key"}
    if "headers" in arguments:
        arguments["headers"] = {k: v for k, v in arguments["headers"].items() if k != "Idempotency-Key"}
    return ToolCall("again", call.name, arguments)


@pytest.mark.slow
@pytest.mark.parametrize("split", SPLITS)
def test_every_template_can_be_drawn_in_every_world_of_the_split(split):
    for name in SUITE.names(split):
        for index in range(WORLDS[split]):
            assert SUITE.task(name, split, index).instruction


@pytest.mark.parametrize(("name", "split"), EVERYWHERE)
def test_an_instruction_names_every_parameter_and_no_answer(name, split):
    for task in tasks(name, split, 8):
        for parameter in task.params.values():
            assert str(parameter) in task.instruction
        wanted = {(atom.kind, atom.text) for atom in task.goal.expected}
        assert not wanted & {(atom.kind, atom.text) for atom in task.goal.distractors}
        if not task.goal.changes:
            assert [a for a in task.goal.expected if a.found_in(task.instruction)] == []


def test_phrasings_are_distinct_and_name_the_same_parameters():
    for template in SUITE.templates.values():
        assert len(set(template.phrasings)) == len(template.phrasings) >= 5
        fields = {frozenset(re.findall(r"\{(\w+)\}", phrasing)) for phrasing in template.phrasings}
        assert len(fields) == 1


def test_compositions_are_kept_for_their_split():
    composed = {name for name, template in SUITE.templates.items() if template.composition}
    assert len(composed) >= 2
    assert len(SUITE.templates) - len(composed) >= 10
    for split in SPLITS:
        assert (set(SUITE.names(split)) == composed) == (split == "unseen_compositions")


@pytest.mark.parametrize("style", ["http", "tools"])
@pytest.mark.parametrize(("name", "split"), EVERYWHERE)
def test_the_reference_solution_reaches_the_goal_on_clean_tools(name, split, style):
    for index in range(2):
        task = SUITE.task(name, split, index, style)
        episode = solved(task, OUTAGE if task.faults else ())
        assert episode.verdict.success, (task.id, episode.verdict.reason)


@pytest.mark.parametrize(("name", "split"), ONCE)
def test_saying_nothing_apologising_or_listing_all_candidates_is_no_success(name, split):
    for task in tasks(name, split):
        goal = task.goal
        everything = " or ".join(str(v) for v in (*(a.text for a in (*goal.expected, *goal.distractors)), *goal.about))
        for text in ("", "Sorry, I cannot do that: the system is unavailable.", task.instruction, everything):
            assert not finish(task, text).success


@pytest.mark.parametrize("name", [n for n, t in SUITE.templates.items() if not t.composition])
def test_a_task_of_which_the_last_write_is_left_out_fails(name):
    for task in tasks(name, "train"):
        if not task.goal.changes:
            continue
        whole, answer = run_reference(task)
        kept = whole.turns[: max(n for n, step in enumerate(whole.turns) if step.calls[0].effects)]
        episode = Episode(task)
        for step in kept:
            episode.step(step.turn)
        episode.step(closing_turn(answer, episode.answers))
        assert not episode.verdict.success


@pytest.mark.parametrize("name", ADDITIVE)
def test_a_write_done_twice_is_a_change_too_many(name):
    split = "unseen_compositions" if SUITE.templates[name].composition else "train"
    for task in tasks(name, split, 6):
        episode, answer = run_reference(task)
        last = [record.call for record in episode.records if record.effects][-1]
        episode.step(Turn("", (again(last),)))
        episode.step(closing_turn(answer, episode.answers))
        assert not episode.verdict.success
        assert episode.verdict.extra_changes or episode.verdict.duplicate_changes


@pytest.mark.parametrize("index", range(6))
def test_a_double_charge_is_undone_by_the_later_payment_only(index):
    task = SUITE.task("double_charge", "train", index)
    reader = world_image(suite_named("orders"), task.split, task.world_seed).reader.raw
    right = task.goal.expected[0].text
    (other,) = reader.execute(
        "SELECT id FROM payments WHERE order_id = ? AND id <> ?", (task.params["order_id"], right)
    ).fetchone()
    episode = Episode(SUITE.task("double_charge", "train", index, "tools"))
    episode.step(Turn("", (ToolCall("a", "refund_payment", {"payment_id": other, "reason": "double_charge"}),)))
    episode.step(closing_turn(ReferenceAnswer("Refunded.", "done", {"payment": right}), episode.answers))
    assert not episode.verdict.success


def test_a_return_reads_the_same_whether_it_is_due_or_late():
    due, late = SUITE.templates["refund_return"], SUITE.templates["refuse_return"]
    assert due.phrasings == late.phrasings
    assert due.solve is late.solve


@pytest.mark.parametrize("split", ["train", "test"])
def test_an_unknown_order_is_in_no_table(split):
    for task in tasks("unknown_order", split, 20):
        reader = world_image(suite_named("orders"), split, task.world_seed).reader.raw
        assert reader.execute("SELECT id FROM orders WHERE id = ?", (task.params["order_id"],)).fetchone() is None


def test_saying_that_something_is_missing_without_looking_is_no_success():
    for name in ("unknown_order", "missing_fact"):
        task = SUITE.task(name, "train", 0)
        assert not finish(task, f"There is no such record: {task.goal.about[0]} does not exist.").success


def test_an_endless_outage_is_reported_and_changes_nothing():
    for task in tasks("blocked_cancel", "train"):
        episode = solved(task, OUTAGE)
        assert episode.verdict.reported
        assert compare(task.goal, ()) == ([], [], [])
        assert not episode.world.effects


def test_a_task_without_tools_is_solved_without_a_call():
    for name in ("basket_sum", "plus_days"):
        assert not SUITE.templates[name].needs_tools
        assert solved(SUITE.task(name, "train", 0)).calls == 0
