"""The words in which tasks are asked: what a person would say, and what was recorded in earlier words stays true."""

import re
import string
from dataclasses import replace
from pathlib import Path

import pytest

from faultgym.agents.imports.dialects.openai_chat import openai_conversation
from faultgym.agents.imports.exports.openai_chat import openai_log
from faultgym.agents.imports.imported import ChatSource, ImportedChat
from faultgym.agents.imports.reexecute import reexecute
from faultgym.agents.traces.replay import replay
from faultgym.agents.traces.trace import Trace
from faultgym.core.errors import UserError
from faultgym.envs.registry import suites
from faultgym.envs.suite import HELD_OUT
from faultgym.eval.comparison.pairing import paired
from faultgym.eval.scoring.runs import Run
from faultgym.eval.scoring.score import score
from faultgym.tools.toolbox import STANDARD
from faultgym.training.filters.rejection import Rejected
from faultgym.training.filters.select import select
from faultgym.training.forks.fork import Forks

LINES = (Path(__file__).parents[2] / "data" / "wording_1" / "traces.jsonl").read_bytes().splitlines(keepends=True)
"""Traces of the expert, recorded before their instructions were mended."""
TRACES = [Trace.from_line(line) for line in LINES]
SUITES = suites()
FORMER = [(s, t, n) for s, suite in SUITES.items() for t, texts in suite.former.items() for n in texts]
TEMPLATES = [(s, t) for s, suite in SUITES.items() for t in suite.templates]


def asked_for(trace: Trace) -> str:
    return trace.task.template


@pytest.mark.parametrize("trace", TRACES, ids=asked_for)
def test_a_trace_in_earlier_words_is_proven_scored_and_forked(trace):
    suite = SUITES[trace.task.suite]
    assert trace.asked != suite.task_by_id(trace.task.id).instruction
    assert replay(trace).proven
    assert score(trace).success
    with Forks(trace) as forks:
        assert forks.state(len(trace.steps) - 1).opening.messages == trace.opening


def test_a_log_of_a_chat_in_earlier_words_is_proven_too():
    for trace in TRACES:
        found = reexecute(ImportedChat.of(openai_conversation(openai_log(trace)), ChatSource("openai", "log.jsonl", 1)))
        assert found.trace is not None, found.difference


@pytest.mark.parametrize("trace", TRACES, ids=asked_for)
def test_words_that_no_release_used_are_no_proof(trace):
    *rest, asked = trace.opening
    other = replace(trace, opening=(*rest, replace(asked, content=f"{asked.content} Now.")))
    found = replay(other).difference
    assert found is not None
    assert found.what == "messages"


def test_a_trace_in_earlier_words_may_still_be_learned_from():
    found = [select(trace) for trace in TRACES if trace.task.split == "train"]
    assert found
    assert not [one for one in found if isinstance(one, Rejected)]


def test_two_episodes_that_were_asked_in_other_words_are_not_compared():
    old = TRACES[0]
    new = SUITES[old.task.suite].task_by_id(old.task.id).instruction
    *rest, asked = old.opening
    one, two = Run.of("old", [old]), Run.of("new", [replace(old, opening=(*rest, replace(asked, content=new)))])
    assert paired(one, one).pairs
    with pytest.raises(UserError, match="asked in other words"):
        paired(one, two)


@pytest.mark.parametrize(("suite", "template", "index"), FORMER)
def test_an_earlier_wording_names_what_its_phrasing_names_and_is_no_present_one(suite, template, index):
    phrasings = SUITES[suite].templates[template].phrasings

    def fields(text: str) -> set[str | None]:
        return {field for _, field, _, _ in string.Formatter().parse(text) if field}

    for wording in SUITES[suite].former[template][index]:
        assert wording not in phrasings
        assert fields(wording) == fields(phrasings[index])


@pytest.mark.parametrize(("suite", "template", "index"), FORMER)
def test_a_task_is_found_again_by_its_earlier_words(suite, template, index):
    own = SUITES[suite]
    drawn = own.templates[template]
    held = index >= len(drawn.phrasings) - HELD_OUT
    split = "unseen_phrasings" if held else "unseen_compositions" if drawn.composition else "train"
    if held and drawn.composition:
        assert template not in own.names(split)  # no task has ever been asked so
        return
    task = next(task for n in range(200) if (task := own.task(template, split, n)).phrasing == index)
    for wording in own.former[template][index]:
        earlier = own.as_worded(task, wording.format(**task.params))
        assert earlier == replace(task, instruction=wording.format(**task.params)) != task
    assert own.as_worded(task, task.instruction) is task
    assert own.as_worded(task, "Do something else.") is task


@pytest.mark.parametrize("style", ["http", "tools"])
@pytest.mark.parametrize(("suite", "template"), TEMPLATES)
def test_no_text_names_a_tool_that_is_not_offered(suite, template, style):
    own = SUITES[suite]
    split = "unseen_compositions" if own.templates[template].composition else "train"
    for index in range(4):
        task = own.task(template, split, index, style)
        offered = own.tools(task)
        unoffered = {*own.endpoint_tools, *STANDARD} - set(offered)
        texts = [
            task.instruction,
            task.system,
            task.typed_system,
            *(tool.spec.description for tool in offered.values()),
        ]
        said = {word for text in texts for word in re.findall(r"\w+", text)}
        assert not said & unoffered
