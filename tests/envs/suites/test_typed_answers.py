"""Typed answers of the built-in templates: solved, the same for twins, and told by no schema."""

import random

import jsonschema
import pytest

from faultgym.envs.episode import Episode, run_reference
from faultgym.envs.judging.answering import ANSWER, answer_tool
from faultgym.envs.judging.typed import wanted_fields
from faultgym.envs.reference.run import closing_turn
from faultgym.envs.reference.schedule import schedule_for
from faultgym.envs.registry import suite_named
from faultgym.envs.worlds.names import SPLITS
from faultgym.envs.worlds.world import world_image
from faultgym.tools.faults.presets import PRESETS

EVERYWHERE = [(suite, name, split) for suite in ("orders", "incidents") for split in SPLITS
              for name in suite_named(suite).names(split)]  # fmt: skip
ONCE = [(suite, name, split) for suite, name, split in EVERYWHERE if split in ("train", "unseen_compositions")]
TWINS = [
    ("orders", "order_status", "unknown_order"),
    ("orders", "cancel_order", "blocked_cancel"),
    ("orders", "refund_return", "refuse_return"),
    ("orders", "refund_return", "return_from_latest"),
    ("incidents", "incident_facts", "missing_incident"),
    ("incidents", "postmortem_cause", "missing_postmortem"),
    ("incidents", "scale_to_peak", "scale_outage"),
]
"""A template, and one whose task has no answer, cannot be done, or may end otherwise."""


def tasks(suite, name, split, count=3):
    return [suite_named(suite).task(name, split, index) for index in range(count)]


def first(suite, name):
    split = "unseen_compositions" if suite_named(suite).templates[name].composition else "train"
    return suite_named(suite).task(name, split, 0)


def played(task, answers, faults="clean"):
    """The ended episode of the reference solution, and its closing turn."""
    episode, answer = run_reference(task, schedule_for(task, faults), answers=answers)
    turn = closing_turn(answer, answers)
    episode.step(turn)
    return episode, turn


@pytest.mark.parametrize(("suite", "name", "split"), EVERYWHERE)
def test_the_solutions_typed_answer_reaches_the_goal_and_fits_the_schema(suite, name, split):
    for task in tasks(suite, name, split, 2):
        episode, turn = played(task, "typed")
        assert episode.verdict.success, (task.id, episode.verdict.reason)
        jsonschema.validate(turn.tool_calls[0].arguments, answer_tool(task.answer).parameters)


@pytest.mark.parametrize("preset", [preset for preset in PRESETS if preset != "clean"])
@pytest.mark.parametrize(("suite", "name", "split"), ONCE)
def test_under_faults_typed_answers_succeed_where_texts_do(suite, name, split, preset):
    (task,) = tasks(suite, name, split, 1)
    text, _ = played(task, "text", preset)
    typed, _ = played(task, "typed", preset)
    assert (typed.verdict.success, typed.verdict.reported) == (text.verdict.success, text.verdict.reported)


@pytest.mark.parametrize(("suite", "name", "twin"), TWINS)
def test_the_tool_answer_does_not_tell_a_task_from_its_twin(suite, name, twin):
    one, other = first(suite, name), first(suite, twin)
    assert one.answer == other.answer
    specs = [next(s for s in Episode(task, answers="typed").tools if s.name == ANSWER) for task in (one, other)]
    assert specs[0] == specs[1]


@pytest.mark.parametrize(("suite", "name", "split"), ONCE)
def test_the_fields_are_those_that_the_facts_need(suite, name, split):
    for task in tasks(suite, name, split):
        wanted = wanted_fields(task.goal, task.answer)
        shared = {n for pair in TWINS if pair[0] == suite for n in pair[1:]}
        assert name in shared or not task.answerable or wanted.keys() == {field.name for field in task.answer}


def test_what_the_policy_or_the_freeze_forbids_is_refused():
    late = tasks("orders", "refuse_return", "train")
    assert {task.goal.outcome for task in late} == {"refused"}
    restarts = tasks("incidents", "restart_unless_frozen", "train", 8)
    assert {(task.goal.outcome, bool(task.goal.changes)) for task in restarts} == {("refused", False), (None, True)}


def test_the_figure_of_a_policy_is_asked_for_in_its_own_unit():
    orders = suite_named("orders")
    reader = world_image(orders, "train", 0).reader.raw
    drawn = [orders.templates["policy_fact"].draw(reader, random.Random(seed)) for seed in range(80)]
    assert {(one.answer[0].kind, one.params["unit"], one.answer[0].unit) for one in drawn} == {
        ("money", "EUR", "EUR"),
        ("duration", "days", "days"),
        ("duration", "months", "months"),
        ("number", "percent", "percent"),
    }
