"""A trace keeps everything, says what is wrong with one that does not hold, and is named by what defines it."""

import copy
import json
from dataclasses import replace
from pathlib import Path

import jsonschema
import orjson
import pytest
from helpers.levels import examples
from helpers.recorded import recorded
from hypothesis import given, settings
from hypothesis import strategies as st

from faultgym.agents.storage.lines import encode, parse
from faultgym.agents.traces.chat import arguments_text
from faultgym.agents.traces.parts import HarnessFailure
from faultgym.agents.traces.published import trace_schema
from faultgym.agents.traces.schema import SCHEMA_VERSION
from faultgym.agents.traces.spec import EpisodeSpec, episode_id, faults_of
from faultgym.agents.traces.trace import Trace
from faultgym.cli.support.schema import schema_text
from faultgym.core.errors import TraceError
from faultgym.envs.episode import Episode, StepRecord
from faultgym.envs.limits import Limits
from faultgym.envs.messages.turn import Turn
from faultgym.tools.context import Effect
from faultgym.tools.faults.plan import FaultPlan
from faultgym.tools.toolbox import CallRecord
from faultgym.tools.types import ToolCall, ToolResult

SCHEMA_FILE = Path(__file__).parents[3] / "docs" / "trace.schema.json"
PRESETS = ("clean", "mild", "rough", "hostile", "outage")


def specs():
    names = [f"bookshelf/{t}/test/{n}" for t in ("price", "lend") for n in range(4)]
    return [EpisodeSpec(name, preset, n, n) for name in names for n, preset in enumerate(PRESETS)]


@pytest.fixture(scope="module")
def traces(players):
    return [recorded(players.clerk, spec) for spec in specs()]


@pytest.fixture
def record(traces):
    """A record with calls, events, an effect and a verdict, to be spoilt."""
    found = next(t for t in traces if t.events and any(r.effects for r in t.records))
    return parse(encode(found.to_record()))


def test_a_trace_survives_being_stored_exactly(traces):
    for trace in traces:
        assert Trace.from_record(parse(encode(trace.to_record()))) == trace


def test_a_line_is_the_same_whoever_made_the_trace(traces):
    for trace in traces:
        line = trace.to_line()
        assert Trace.from_line(line) == trace
        assert Trace.from_line(line).to_line() == Trace.from_record(orjson.loads(line)).to_line() == line


def test_a_line_is_the_same_whoever_made_a_trace_with_half_a_surrogate_pair(traces):
    step = traces[0].steps[0]
    wild = replace(traces[0], steps=(replace(step, turn=replace(step.turn, reasoning="\ud800")), *traces[0].steps[1:]))
    line = wild.to_line()
    assert Trace.from_line(line).steps[0].turn.reasoning == "\ufffd"
    assert Trace.from_line(line).to_record() == orjson.loads(line)


def test_what_is_no_json_is_no_trace():
    with pytest.raises(TraceError, match="not valid JSON"):
        Trace.from_line(b'{"episode_id":')


def test_a_trace_survives_as_openai_messages_exactly(traces):
    for trace in traces:
        rest = {name: value for name, value in trace.to_record().items() if name != "messages"}
        assert Trace.from_record({**rest, "messages": trace.messages}) == trace


def test_the_messages_are_what_the_policy_saw_and_said(traces):
    trace = traces[0]
    roles = [m["role"] for m in trace.messages]
    assert roles[:3] == ["system", "user", "assistant"]
    assert roles[-2:] == ["assistant", "tool"]
    said = [m for m in trace.messages if m["role"] == "assistant"]
    assert [m["content"] for m in said] == [s.turn.text for s in trace.steps]
    assert [m["content"] for m in trace.messages if m["role"] == "tool"] == [
        record.result.content for step in trace.steps for record in step.calls
    ]
    for message in said:
        for call in message.get("tool_calls", ()):
            assert isinstance(json.loads(call["function"]["arguments"]), dict)


def test_the_published_schema_is_current():
    assert SCHEMA_FILE.read_text() == schema_text()


def test_real_records_match_the_published_schema(traces):
    schema = json.loads(SCHEMA_FILE.read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    check = jsonschema.Draft202012Validator(schema)
    for trace in traces:
        check.validate(orjson.loads(encode(trace.to_record())))


def test_the_schema_refuses_what_the_reader_refuses(record):
    check = jsonschema.Draft202012Validator(trace_schema())
    for change in ({"stop": 3}, {"unknown": 1}, {"schema_version": SCHEMA_VERSION + 1}):
        assert not check.is_valid({**record, **change})
        with pytest.raises(TraceError):
            Trace.from_record({**record, **change})


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (("stop",), 3, "stop: "),
        (("seeds", "fault"), -1, "seeds.fault: "),
        (("seeds", "policy"), "7", "seeds.policy: "),
        (("task", "style"), "rest", "task.style: "),
        (("steps", 0, "digest"), None, "steps.0.digest: "),
        (("steps", 0, "calls", 0, "code"), 1, "steps.0.calls.0.code: "),
        (("verdict",), None, "verdict: "),
        (("verdict", "success"), 1, "verdict.success: "),
        (("counts", "calls"), 99, "counts: "),
        (("messages", 0, "role"), "robot", "messages.0.role: "),
        (("messages", 2, "content"), None, "messages.2.content: "),
        (("messages", 2, "tool_calls", 0, "function", "arguments"), "{", "messages.2: arguments: not valid JSON"),
        (("messages", 3, "tool_call_id"), "z", "messages.3: it answers another call"),
        (("tool_changes",), [{"step": 1, "removed": ["sql"]}], "tool_changes: "),
        (("steps", 0, "calls", 0, "faults"), [77], "fault events that are not there"),
        (("extra",), 1, "extra: "),
    ],
)
def test_a_wrong_field_is_named_with_the_reason(record, path, value, words):
    spoilt = copy.deepcopy(record)
    inner = spoilt
    for part in path[:-1]:
        inner = inner[part]
    inner[path[-1]] = value
    with pytest.raises(TraceError) as error:
        Trace.from_record(spoilt)
    assert words in str(error.value)
    assert record["episode_id"] in str(error.value)


@pytest.mark.parametrize("name", ["episode_id", "task", "messages", "steps", "verdict", "schedule"])
def test_a_missing_field_is_named(record, name):
    del record[name]
    with pytest.raises(TraceError, match=name):
        Trace.from_record(record)


@pytest.mark.parametrize("drop", [2, 3, -1])
def test_messages_that_do_not_belong_to_the_steps_are_refused(record, drop):
    del record["messages"][drop]
    with pytest.raises(TraceError, match=r"messages|steps"):
        Trace.from_record(record)


@pytest.mark.parametrize(
    ("version", "todo"), [(99, "upgrade"), (0, "run the episode again"), ("1", "run"), (None, "run"), (True, "run")]
)
def test_an_unknown_schema_version_is_refused_with_what_to_do(record, version, todo):
    with pytest.raises(TraceError, match=todo):
        Trace.from_record({**record, "schema_version": version})


@pytest.mark.parametrize("value", [None, [], "x", 3, {}])
def test_what_is_no_record_is_refused(value):
    with pytest.raises(TraceError):
        Trace.from_record(value)


def test_the_episode_id_depends_on_everything_that_defines_the_episode():
    spec, policy, limits = EpisodeSpec("bookshelf/price/test/0", "rough", 1, 2, 0), {"name": "a"}, Limits()
    plan = FaultPlan.from_rules([{"kind": "timeout", "trigger": {"nth": 1}}])
    variants = [
        (spec, policy, limits, 1),
        (replace(spec, task="bookshelf/price/test/1"), policy, limits, 1),
        (replace(spec, faults="mild"), policy, limits, 1),
        (replace(spec, faults=plan), policy, limits, 1),
        (replace(spec, fault_seed=9), policy, limits, 1),
        (replace(spec, policy_seed=9), policy, limits, 1),
        (replace(spec, trial=1), policy, limits, 1),
        (spec, {"name": "a", "temperature": 0.7}, limits, 1),
        (spec, policy, Limits(turns=3), 1),
        (spec, policy, limits, 2),
    ]
    assert len({episode_id(*v) for v in variants}) == len(variants)


def test_an_episode_id_is_the_same_on_every_machine_and_in_every_version():
    spec = EpisodeSpec("bookshelf/price/test/0", "rough", 1, 2, 0, answers="text")
    assert episode_id(spec, {"name": "a"}, Limits(turns=60), 1) == "2a927a50be9f138b37270bb8"


def test_a_plan_of_faults_survives_in_the_trace(players):
    plan = FaultPlan.from_rules([{"kind": "server_error", "trigger": {"nth": 1}}], "one")
    trace = recorded(players.clerk, EpisodeSpec("bookshelf/price/test/0:http", plan))
    assert [e.kind for e in trace.events] == ["server_error"]
    assert faults_of(Trace.from_record(trace.to_record()).faults) == plan


def test_a_removed_tool_is_not_among_those_offered_later(players):
    plan = FaultPlan.from_rules([{"kind": "tool_removed", "tool": "http", "trigger": {"nth": 1}}])
    trace = recorded(players.clerk, EpisodeSpec("bookshelf/price/test/0:http", plan))
    assert "http" in {s.name for s in trace.tools_at(0)}
    assert "http" not in {s.name for s in trace.tools_at(1)}
    assert trace.to_record()["tool_changes"] == [{"step": 1, "removed": ["http"]}]
    assert Trace.from_record(trace.to_record()) == trace


def test_a_renamed_argument_has_its_new_name_in_the_tools_offered_later(players):
    plan = FaultPlan.from_rules([{"kind": "argument_renamed", "tool": "http", "trigger": {"nth": 1}}])
    trace = recorded(players.clerk, EpisodeSpec("bookshelf/price/test/0:http", plan))
    before, after = ({s.name: s.parameters for s in trace.tools_at(step)}["http"] for step in (0, 1))
    assert ("method" in before["properties"], "method" in after["properties"]) == (True, False)
    assert after["properties"]["verb"] == before["properties"]["method"]
    assert after["required"] == ["verb" if name == "method" else name for name in before["required"]]
    assert trace.to_record()["tool_changes"] == [{"step": 1, "removed": [], "renamed": {"http": {"method": "verb"}}}]
    assert Trace.from_record(trace.to_record()) == trace


def test_a_failure_of_the_harness_has_no_verdict(traces):
    failure = HarnessFailure("HarnessError", "gone", ("server.py:1 in get",), 3)
    failed = replace(traces[0], verdict=None, stop="harness_error", harness_error=failure)
    assert Trace.from_record(parse(encode(failed.to_record()))) == failed


# ---- whatever a model sends -------------------------------------------------------------------------


def joined(text: str) -> str:
    """JSON joins two halves that stand side by side, as any UTF-16 reader does."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")


WILD = st.text(st.characters(), max_size=20).map(joined)
PLAIN = st.text(max_size=20)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | WILD,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WILD, inner, max_size=3),
    max_leaves=6,
)
ARGUMENTS = st.dictionaries(WILD, VALUES, max_size=4)
CALLS = st.builds(ToolCall, WILD, WILD, st.none() | ARGUMENTS, WILD | ARGUMENTS.map(arguments_text))
EFFECTS = st.builds(Effect, PLAIN, PLAIN, PLAIN, st.dictionaries(PLAIN, st.integers(0, 9) | PLAIN, max_size=2))


@st.composite
def call_records(draw):
    call = draw(CALLS)
    result = ToolResult(call.id, call.name, draw(WILD), draw(PLAIN))
    tables = tuple(draw(st.lists(PLAIN, max_size=2)))
    return CallRecord(
        call,
        result,
        tables=tables,
        write=draw(st.booleans()),
        effects=tuple(draw(st.lists(EFFECTS, max_size=2))),
        faults=(),
        at=draw(st.floats(0, 9)),
    )


@st.composite
def step_records(draw):
    records = tuple(draw(st.lists(call_records(), max_size=3)))
    ids = draw(st.none() | st.lists(st.integers(0, 9), max_size=3).map(tuple))
    turn = Turn(
        draw(PLAIN),
        tuple(r.call for r in records),
        draw(PLAIN),
        draw(st.none() | st.floats(0, 1)),
        draw(PLAIN),
        ids,
        None if ids is None else tuple(-0.5 for _ in ids),
    )
    return StepRecord(turn, records, draw(PLAIN))


@settings(deadline=None, max_examples=examples(150))
@given(steps=st.lists(step_records(), max_size=3))
def test_any_turns_survive_as_messages_and_as_a_stored_record(traces, steps):
    trace = replace(traces[0], steps=tuple(steps), events=())
    record = trace.to_record()
    rest = {name: value for name, value in record.items() if name != "messages"}
    assert Trace.from_record({**rest, "messages": trace.messages}) == trace
    assert Trace.from_record(parse(encode(record))) == trace
    orjson.dumps(trace.messages)


@settings(deadline=None, max_examples=examples(150))
@given(arguments=ARGUMENTS)
def test_arguments_survive_as_json_text(arguments):
    text = arguments_text(arguments)
    text.encode()
    assert json.loads(text) == arguments


def test_arguments_nested_too_deep_for_json_are_cut_and_refused_all_the_same(players):
    value: dict = {}
    for _ in range(5000):
        value = {"x": value}
    episode = Episode(players.SUITE.task("price", "test", 0))
    call = ToolCall("a", "sql", {"query": value})
    content = episode.step(Turn("", (call,))).messages[0].content
    again = Episode(players.SUITE.task("price", "test", 0))
    stored = ToolCall("a", "sql", json.loads(arguments_text(call.arguments)))
    assert again.step(Turn("", (stored,))).messages[0].content == content
