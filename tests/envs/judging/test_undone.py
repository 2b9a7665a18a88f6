"""Writes that were taken back: those that others saw fail the task, in both forms of the answer."""

import pytest

from faultgym.envs.episode import Episode
from faultgym.envs.judging.undone import UNDONE
from faultgym.envs.messages.turn import Turn
from faultgym.envs.reference.run import closing_turn, reference_effects
from faultgym.envs.reference_agent.client import ReferenceAnswer
from faultgym.envs.registry import suite_named, task_by_id
from faultgym.tools.types import ToolCall

ADDRESS = task_by_id("orders/change_address/train/3")
NOTE = suite_named("orders").task("write_note", "train", 25, "tools")
RIGHT = dict(ADDRESS.params)


def ended(task, moves, text, answers):
    episode = Episode(task, answers=answers)
    for n, (name, arguments) in enumerate(moves):
        assert episode.step(Turn("", (ToolCall(f"c{n}", name, arguments),))).messages[0].ok
    episode.step(closing_turn(ReferenceAnswer(text, "done"), answers))
    return episode.verdict


def address(value):
    return ("change_address", {"order_id": RIGHT["order_id"], "address": value})


@pytest.mark.parametrize("answers", ["text", "typed"])
def test_an_order_that_was_sent_to_a_wrong_address_first_is_no_success(answers):
    right = address(RIGHT["address"])
    assert ended(ADDRESS, [right], "The address is changed.", answers).success
    verdict = ended(ADDRESS, [address("1 Wrong Road, 10000 Nowhere"), right], "The address is changed.", answers)
    assert (verdict.success, verdict.reason) == (False, UNDONE)
    assert (verdict.missing_changes, verdict.extra_changes) == ((), ())


@pytest.mark.parametrize("answers", ["text", "typed"])
def test_a_note_of_the_service_that_sql_takes_out_again_is_no_success(answers):
    order = NOTE.params["order_id"]
    wanted = dict(NOTE.goal.changes[0].values)
    names = ", ".join(wanted)
    values = ", ".join("'" + str(value) + "'" for value in wanted.values())
    write = ("sql", {"query": f"INSERT INTO order_notes ({names}) VALUES ({values})"})
    wrong = ("add_note", {"order_id": order, "text": "it was me", "channel": "phone"})
    back = ("sql", {"query": "DELETE FROM order_notes WHERE text = 'it was me'"})
    assert ended(NOTE, [write], "The note is stored.", answers).success
    assert ended(NOTE, [wrong, back, write], "The note is stored.", answers).reason == UNDONE


def test_a_row_that_sql_alone_put_and_took_out_was_seen_by_nobody():
    wanted = dict(NOTE.goal.changes[0].values)
    row = ", ".join("'" + str(value) + "'" for value in wanted.values())
    write = f"INSERT INTO order_notes ({', '.join(wanted)}) VALUES ({row})"
    moves = [
        ("sql", {"query": query})
        for query in (
            write,
            "DELETE FROM order_notes WHERE text = (SELECT text FROM "
            "order_notes ORDER BY id DESC LIMIT 1) AND id = (SELECT max(id) FROM order_notes)",
            write,
        )
    ]
    assert ended(NOTE, moves, "The note is stored.", "text").success


def test_the_writes_of_the_reference_solution_are_those_that_the_goal_wants():
    effects = reference_effects(ADDRESS, ())
    assert [(e.kind, e.key, e.values) for e in effects] == [
        ("change_address", RIGHT["order_id"], {"address": RIGHT["address"]})
    ]
