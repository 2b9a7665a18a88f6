"""What one source lacks while another is out of order, and doubts that are about something else: read by kind."""

from __future__ import annotations

import pytest

from faultgym.envs.episode import Episode
from faultgym.envs.judging.goal import judge
from faultgym.envs.judging.reading.question import question
from faultgym.envs.registry import suite_named

NONE = (
    "There is no {what} {key} in the database (the API is out of service).",
    "The database has no {what} {key}. The HTTP API is down, so I used SQL.",
    "{key}: no row in the table; the API answers 503 to everything.",
    "No row with the id {key} exists in the {what}s table (API unavailable).",
    "{key} does not exist in SQL, the API was not reachable.",
    "While the API is out of order, the database is not: it holds no {what} {key}.",
    "v2 is down; v1 says that {key} does not exist.",
    "According to the database there is no {what} {key}; the service itself keeps timing out.",
    "Zero rows for {key} in SQL - the REST API is unavailable at the moment.",
    "I asked the database, because the API is out of service, and it knows no {what} {key}.",
)
EXCUSED = (
    "I could not find {key}: the system is down.",
    "I can't find {key} because the API is out of service.",
    "{key} could not be found, as the database did not respond.",
    "I was unable to locate {key}; the service is unavailable.",
    "Maybe there is no {what} {key}, the API is down.",
    "The API is down, so I cannot tell whether {key} exists.",
)


def judged(suite: str, template: str, text: str) -> bool | None:
    task = suite_named(suite).task(template, "train", 2)
    world = Episode(task).world
    what = template.rpartition("_")[2]
    said = text.format(key=task.goal.about[0], what=what)
    asked = question(world, task.instruction, task.params)
    return judge(task.goal, world, said, looked_up=True, blocked=False, asked=asked).success


ABSTENTIONS = (("orders", "unknown_order"), ("incidents", "missing_incident"))


@pytest.mark.parametrize(("suite", "template"), ABSTENTIONS)
@pytest.mark.parametrize("text", NONE)
def test_what_one_source_lacks_is_lacking_although_another_is_down(suite: str, template: str, text: str) -> None:
    assert judged(suite, template, text) is True


@pytest.mark.parametrize(("suite", "template"), ABSTENTIONS)
@pytest.mark.parametrize("text", EXCUSED)
def test_who_could_not_look_has_not_said_that_there_is_none(suite: str, template: str, text: str) -> None:
    assert judged(suite, template, text) is not True
