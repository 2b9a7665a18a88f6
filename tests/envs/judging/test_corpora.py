"""The labelled answers: they can be played again, and their labels fit what the world looks like then."""

from __future__ import annotations

import pytest
from helpers.corpora import corpus, course, courses, may_be_right, replayed

from faultgym.envs.registry import suite_named

ANSWERS = ("answers_more", "answers_held_out", "answers_wide", "answers_fresh", "answers_unseen")


def called(line):
    """The names of all calls of a line, in order."""
    return [name for turn in line["turns"] for name, _ in turn["calls"]]


@pytest.mark.slow
@pytest.mark.parametrize("name", ANSWERS)
def test_every_course_runs_and_a_right_answer_stands_only_where_the_state_is_as_the_task_wants_it(name):
    right = {course(line) for line in corpus(name) if line["right"]}
    for line in courses(corpus(name)):
        episode = replayed(line)
        assert [record.call.name for record in episode.records] == called(line)
        unknown = [record.result.content for record in episode.records if record.result.code == "unknown_tool"]
        assert not [content for content in unknown if not content.endswith("it is no longer offered")]
        assert course(line) not in right or may_be_right(episode), line["task"]
        episode.close()


def test_every_template_has_labelled_answers_of_both_kinds():
    lines = [line for name in ANSWERS for line in corpus(name)]
    found = {(*line["task"].split("/")[:2], line["right"]) for line in lines}
    templates = [(name, template) for name in ("orders", "incidents") for template in suite_named(name).templates]
    assert found == {(*template, right) for template in templates for right in (True, False)}


def test_no_held_out_answer_is_among_the_others():
    seen = {(course(line), line["answer"]) for line in corpus("answers_more")}
    held_out = [(course(line), line["answer"]) for line in corpus("answers_held_out")]
    assert len(set(held_out)) == len(held_out)
    assert not seen & set(held_out)
