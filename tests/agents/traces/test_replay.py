"""A replay proves what happened, and names the first thing that did not happen so."""

import asyncio
from dataclasses import replace

import pytest
from helpers.recorded import recorded

from faultgym.agents.traces.parts import Fingerprints, HarnessFailure
from faultgym.agents.traces.replay import replay
from faultgym.agents.traces.spec import EpisodeSpec
from faultgym.agents.traces.trace import Trace
from faultgym.envs.episode import StepRecord
from faultgym.envs.limits import Limits
from faultgym.envs.messages.turn import Message, Turn
from faultgym.tools.context import Effect
from faultgym.tools.faults.plan import FaultPlan
from faultgym.tools.toolbox import CallRecord
from faultgym.tools.types import ToolCall

PRESETS = ("clean", "mild", "rough", "hostile", "outage")


@pytest.fixture(scope="module")
def written(players):
    """An episode with two faults, two steps or more, and a write at its last call."""
    rules = [{"kind": "server_error", "trigger": {"nth": 1}}, {"kind": "timeout", "trigger": {"nth": 7}}]
    trace = recorded(players.clerk, EpisodeSpec("bookshelf/lend/test/1:http", FaultPlan.from_rules(rules)))
    assert trace.verdict is not None
    assert trace.verdict.success
    assert len(trace.steps) >= 3
    return trace


def with_call(trace: Trace, step: int, **changes) -> Trace:
    """The trace with the first call of a step changed."""
    old = trace.steps[step]
    record: CallRecord = replace(old.calls[0], **changes)
    return with_step(trace, step, calls=(record, *old.calls[1:]))


def with_step(trace: Trace, step: int, **changes) -> Trace:
    steps = list(trace.steps)
    steps[step] = replace(steps[step], **changes)
    return replace(trace, steps=tuple(steps))


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("template", ["price", "lend"])
def test_real_traces_are_proven_also_after_being_stored(players, template, preset):
    for n in range(6):
        trace = recorded(players.clerk, EpisodeSpec(f"bookshelf/{template}/test/{n}", preset, n, n))
        result = replay(Trace.from_record(trace.to_record()))
        assert result.difference is None
        assert result.notes == ()


def test_whatever_a_model_sends_replays_the_same(players):
    calls = (
        ToolCall("a", "no_such_tool", {}),
        ToolCall("a", "sql", None, "{"),
        ToolCall("b", "sql", None, '"{}"'),
        ToolCall("c", "sql", {"query": "\ud800"}),
        ToolCall("d\udfff", "sql\ud800", None, '{"query": "\ud800"}'),
        ToolCall("e", "sql", {"query": 2**70}),
        ToolCall("f", "wait", {"seconds": float("inf")}),
        ToolCall("g", "sql", {"query": "SELECT count(*) FROM books"}, '{"query": "SELECT 1"}'),
        *(ToolCall(f"h{n}", "wait", {"seconds": 1}) for n in range(20)),
    )

    class Wild:
        def __init__(self, opening):
            self.turns = [Turn("x\ud800", calls), Turn("\ud800 done")]

        def act(self, observation, tools):
            return self.turns.pop(0)

    trace = recorded(players.Player(Wild), EpisodeSpec("bookshelf/price/test/0"))
    again = Trace.from_record(trace.to_record())
    assert again == trace
    assert replay(again).difference is None


@pytest.mark.parametrize(
    ("limits", "stop"),
    [
        (Limits(turns=1), "turn_limit"),
        (Limits(calls=1), "call_limit"),
        (Limits(tokens=1), "token_budget"),
        (Limits(virtual_seconds=0.5), "time_budget"),
    ],
)
def test_an_episode_that_a_budget_ended_is_proven_with_its_stop_reason(players, limits, stop):
    plan = FaultPlan.from_rules([{"kind": "timeout", "trigger": {"from": 1}}])
    trace = recorded(players.clerk, EpisodeSpec("bookshelf/price/test/2:http", plan), limits)
    assert trace.stop == stop
    assert len(trace.steps) == 1
    assert replay(trace).difference is None
    for other in ("final", "turn_limit", "token_budget", "time_budget", "call_limit"):
        if other != stop:
            difference = replay(replace(trace, stop=other)).difference
            assert difference is not None
            assert difference.what == "stop"


def test_an_episode_that_real_time_ended_is_proven_up_to_there(players):
    class Never:
        def __init__(self, opening):
            self.clerk = players.Clerk(opening)

        async def act(self, observation, tools):
            if self.clerk.tries:
                await asyncio.Event().wait()
            return self.clerk.act(observation, tools)

    plan = FaultPlan.from_rules([{"kind": "timeout", "trigger": {"from": 1}}])
    trace = recorded(players.Player(Never), EpisodeSpec("bookshelf/price/test/2", plan), Limits(wall_seconds=0.05))
    assert (trace.stop, len(trace.steps)) == ("wall_limit", 1)
    result = replay(trace)
    assert result.proven
    assert "real time" in result.notes[0]


def test_the_steps_before_a_harness_failure_are_proven(players, written):
    failure = HarnessFailure("HarnessError", "gone")
    failed = replace(written, steps=written.steps[:1], events=written.events[:1], verdict=None)
    failed = replace(failed, stop="harness_error", harness_error=failure)
    assert replay(failed).proven
    assert not replay(with_step(failed, 0, digest="00")).proven


TAMPERED = {
    "content": lambda t: with_call(t, 1, result=replace(t.steps[1].calls[0].result, content="HTTP 200 OK")),
    "code": lambda t: with_call(t, 0, result=replace(t.steps[0].calls[0].result, code="ok")),
    "effects": lambda t: with_call(t, 1, effects=(Effect("lend_book", "books", "BOK-1", {"status": "out"}),)),
    "faults": lambda t: with_call(t, 0, faults=()),
    "tables": lambda t: with_call(t, 0, tables=()),
    "write": lambda t: with_call(t, 1, write=False),
    "at": lambda t: with_call(t, 1, at=99.0),
    "digest": lambda t: with_step(t, 1, digest="0123456789abcdef"),
    "events": lambda t: replace(t, events=()),
    "event.kind": lambda t: replace(t, events=(replace(t.events[0], kind="timeout"), *t.events[1:])),
    "verdict.success": lambda t: replace(t, verdict=replace(t.verdict, success=False)),
    "verdict.reason": lambda t: replace(t, verdict=replace(t.verdict, reason="luck")),
    "stop": lambda t: replace(t, stop="turn_limit"),
    "fingerprints.schedule": lambda t: replace(t, schedule=t.schedule[:1]),
    "fingerprints.world": lambda t: replace(t, fingerprints=Fingerprints("0.1.0", 1, "0" * 16, "0" * 16)),
    "fingerprints.suite": lambda t: replace(t, fingerprints=replace(t.fingerprints, suite=9)),
    "episode_id": lambda t: replace(t, policy={"name": "a better one"}),
    "task": lambda t: replace(t, task=replace(t.task, id="bookshelf/gone/test/0")),
    "task.phrasing": lambda t: replace(t, task=replace(t.task, phrasing=4)),
    "seeds.world": lambda t: replace(t, seeds=replace(t.seeds, world=5)),
    "messages": lambda t: replace(t, opening=(t.opening[0], Message("user", "Hello"))),
    "tools": lambda t: replace(t, tools=t.tools[1:]),
    "steps": lambda t: replace(t, steps=(*t.steps, StepRecord(Turn("more"), (), t.steps[-1].digest))),
}


@pytest.mark.parametrize("what", TAMPERED)
def test_a_trace_that_was_tampered_with_is_caught_and_the_field_is_named(written, what):
    assert replay(written).proven
    difference = replay(TAMPERED[what](written)).difference
    assert difference is not None
    assert difference.what == what


def test_a_turn_that_was_dropped_is_caught(written):
    difference = replay(replace(written, steps=written.steps[:-1])).difference
    assert difference is not None
    assert (difference.what, difference.got) == ("stop", "an episode that goes on")


def test_a_difference_says_where_it_is_and_shows_both_sides_near_it(written):
    content = written.steps[1].calls[0].result.content
    changed = content.replace('"status":"out"', '"status":"in"')
    assert changed != content
    result = replace(written.steps[1].calls[0].result, content=changed)
    difference = replay(with_call(written, 1, result=result)).difference
    assert difference is not None
    assert (difference.step, difference.call) == (1, 0)
    text = str(difference)
    assert text.startswith("step 1, call 0, content: the trace says ")
    assert '"status":"in"' in difference.expected
    assert '"status":"out"' in difference.got
    assert len(text) < 400


def test_a_trace_of_another_version_of_the_package_is_noted_not_refused(written):
    other = replace(written, fingerprints=replace(written.fingerprints, package="0.0.1"))
    result = replay(other)
    assert result.proven
    assert "0.0.1" in result.notes[0]
