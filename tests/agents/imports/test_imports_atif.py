"""Trajectories in ATIF: Harbor's own are read, ours hold against Harbor's schema and come back proven."""

import json
from contextlib import suppress
from pathlib import Path

import jsonschema
import orjson
import pytest
from helpers.levels import examples
from helpers.recorded import recorded
from hypothesis import given, settings
from hypothesis import strategies as st

from faultgym.agents.imports.chats import chats
from faultgym.agents.imports.dialects.atif import DIALECT, atif_conversations
from faultgym.agents.imports.exports.atif import EXPORT, atif_log
from faultgym.agents.imports.imported import ChatSource, ImportedChat
from faultgym.agents.imports.normal import Conversation, arguments_object
from faultgym.agents.imports.reading import BadRecord
from faultgym.agents.imports.reexecute import reexecute
from faultgym.agents.registry import policy_named
from faultgym.agents.traces.chat import arguments_text
from faultgym.agents.traces.spec import EpisodeSpec
from faultgym.envs.limits import Limits
from faultgym.envs.messages.turn import Turn
from faultgym.envs.messages.usage import Usage
from faultgym.tools.types import ToolCall

MADE = Path(__file__).parents[2] / "data" / "imports" / "atif"
"""Made by harbor 0.26.0: the script is beside them."""
SCHEMA = jsonschema.Draft202012Validator(json.loads((MADE / "schema.json").read_text()))
ASKED = {"step_id": 1, "source": "user", "message": "Weather?"}
CALL = {"tool_call_id": "c1", "function_name": "weather", "arguments": {"city": "Paris"}}
OTHER = {**CALL, "tool_call_id": "c2"}
SAID = {"step_id": 3, "source": "agent", "message": "It rains."}


def made(name):
    return json.loads((MADE / f"{name}.json").read_text())


def run(*steps, **more):
    agent = {"name": "a", "version": "1"}
    return {"schema_version": "ATIF-v1.8", "agent": agent, "steps": [ASKED, *steps], **more}


def acting(*results, calls=(CALL,)):
    return {"source": "agent", "message": "", "tool_calls": list(calls), "observation": {"results": list(results)}}


def chat(value) -> ImportedChat:
    (found,) = atif_conversations(value)
    assert isinstance(found, Conversation), found
    return ImportedChat.of(found, ChatSource("atif", "run.json", 1))


def passed(trace):
    """The export as another program reads it."""
    return orjson.loads(orjson.dumps(atif_log(trace)))


def said(value):
    return [message["content"] for message in chat(value).messages]


def test_what_harbor_makes_of_strands_is_read_with_its_tools_thoughts_and_results_in_order():
    found = chat(made("strands"))
    assert (found.model, found.source.format, [tool.name for tool in found.tools]) == ("claude-x", "atif", ["weather"])
    turn = found.messages[1]
    assert (turn["content"], turn["reasoning_content"]) == ("Let me look.", "I need both.")
    assert [call["function"]["arguments"] for call in turn["tool_calls"]] == ['{"city":"Paris"}', '{"city":"Rome"}']
    assert [m["content"] for m in found.messages if m["role"] == "tool"] == [
        "503: try again",
        '{"celsius": 21}',
        '{"celsius": 17}',
    ]


def test_what_harbor_makes_of_mini_swe_agent_is_read():
    found = chat(made("mini_swe_agent"))
    assert [message["role"] for message in found.messages] == ["system", "user", "assistant", "tool", "assistant"]


def test_calls_that_share_one_screen_have_it_at_the_last_of_them_and_a_subagent_is_a_chat_of_its_own():
    main, inside = atif_conversations(made("models"))
    assert [message["content"] for message in main.messages] == [
        "You use a terminal.",
        "What is in a.txt?",
        "I look.",
        "",
        "$ ls\na.txt\n$ pwd\n/app",
        '{"commands": []}',
        "No command was sent.",  # the step acted by its text: the next thing that it was shown
        "",
        "The file is empty.",
        "",  # nothing is said of the second call of that step
        "It is empty.",
    ]
    assert (main.name, inside.name, inside.model) == ("main", "sub-1", "reader")
    assert inside.messages[-1] == {"role": "assistant", "content": "The file is empty."}


def test_an_export_that_harbor_read_and_wrote_again_is_the_same_chat():
    ours, theirs = chat(made("exported")), chat(made("through_harbor"))
    assert ours == theirs
    assert theirs.task.schedule


@pytest.mark.parametrize("preset", ["clean", "rough", "hostile", "outage"])
@pytest.mark.parametrize("template", ["order_total", "cancel_order", "unknown_order"])
def test_an_exported_trace_holds_against_harbors_schema_and_comes_back_verified(template, preset):
    trace = recorded(policy_named("expert"), EpisodeSpec(f"orders/{template}/train/1", preset, 7))
    log = passed(trace)
    SCHEMA.validate(log)
    found = chat(log)
    assert list(found.messages) == trace.messages
    result = reexecute(found)
    assert result.trace is not None, result.difference
    for part in ("answers", "stop", "verdict", "messages", "tools", "schedule", "events"):
        assert getattr(result.trace, part) == getattr(trace, part), part


def test_steps_are_numbered_from_one_and_results_name_a_call_of_their_step(players):
    for step in ("price", "lend"):
        log = atif_log(recorded(players.clerk, EpisodeSpec(f"bookshelf/{step}/test/1", "hostile")))
        assert [step["step_id"] for step in log["steps"]] == list(range(1, len(log["steps"]) + 1))
        for step in log["steps"]:
            ids = {call["tool_call_id"] for call in step.get("tool_calls", [])}
            results = step.get("observation", {"results": []})["results"]
            assert {result["source_call_id"] for result in results} == ids
            assert step["source"] == "agent" or set(step) == {"step_id", "source", "message"}


def test_faults_stand_beside_the_results_that_they_touched_and_nowhere_else(players):
    trace = recorded(players.clerk, EpisodeSpec("bookshelf/price/test/0", "hostile", 3))
    assert trace.events
    results = [r for step in passed(trace)["steps"] for r in step.get("observation", {"results": []})["results"]]
    shown = [[fault["kind"] for fault in r.get("extra", {"faults": []})["faults"]] for r in results]
    assert shown == [[trace.events[n].kind for n in record.faults] for step in trace.steps for record in step.calls]


class Scripted:
    """Takes the turns that it was given, whatever comes."""

    name = "scripted"

    def __init__(self, *turns):
        self.turns = turns

    def describe(self):
        return {"name": self.name, "model": {"name": "m-1", "hash": "0"}}

    def start(self, opening):
        return type("Reading", (), {"act": lambda _, observation, tools, left=list(self.turns): left.pop(0)})()


TASK = EpisodeSpec("bookshelf/price/test/0", "mild", answers="text")


def played(*turns, reminders=0, answers="text"):
    spec = EpisodeSpec(TASK.task, TASK.faults, answers=answers)
    return recorded(Scripted(*turns), spec, Limits(turns=len(turns), reminders=reminders))


def test_tokens_stand_in_the_metrics_each_prompt_as_a_whole():
    call = ToolCall("c1", "http", {"method": "GET", "path": "/v1/books"})
    usage = Usage(prompt=3, cached=1, completion=2, reasoning=1)
    first = Turn("", (call,), prompt_ids=(1, 2, 3), token_ids=(4, 5), logprobs=(-0.5, -0.25), usage=usage)
    second = Turn("Done.", prompt_ids=(6, 7), prompt_kept=4, token_ids=(8,), logprobs=(-0.5,), confidence=0.9)
    log = passed(played(first, second))
    SCHEMA.validate(log)
    steps = [step for step in log["steps"] if step["source"] == "agent"]
    assert steps[0]["metrics"] == {
        "prompt_tokens": 3,
        "completion_tokens": 2,
        "cached_tokens": 1,
        "extra": {"reasoning_tokens": 1},
        "prompt_token_ids": [1, 2, 3],
        "completion_token_ids": [4, 5],
        "logprobs": [-0.5, -0.25],
    }
    assert steps[1]["metrics"]["prompt_token_ids"] == [1, 2, 3, 4, 6, 7]
    assert steps[1]["extra"] == {"finish_reason": "stop", "confidence": 0.9}
    assert (log["final_metrics"]["total_prompt_tokens"], log["agent"]["model_name"]) == (3, "m-1")


def test_a_reminder_is_a_step_of_the_user_and_comes_back():
    trace = played(Turn("Let me see."), Turn("It is 3."), reminders=1, answers="typed")
    assert [step["source"] for step in atif_log(trace)["steps"]] == ["system", "user", "agent", "user", "agent"]
    assert reexecute(chat(passed(trace))).trace.messages == trace.messages


written = (
    st.text(alphabet='{}[]":,0123456789.eE- nulltrue\\"é\n', max_size=30)
    | st.dictionaries(st.text(max_size=4), st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=4)).map(
        json.dumps
    )
    | st.just("[" * 200)
    | st.just('{"a":' * 60 + "1" + "}" * 60)
)


def test_a_folder_gets_a_file_for_each_trajectory(tmp_path, players):
    traces = [recorded(players.clerk, EpisodeSpec(f"bookshelf/price/test/{n}", "mild")) for n in range(3)]
    assert EXPORT.write(iter(traces), tmp_path / "runs") == 3
    files = sorted((tmp_path / "runs").iterdir())
    assert [path.stem for path in files] == sorted(trace.episode_id for trace in traces)
    assert all(reexecute(found).trace is not None for path in files for found in chats(path))


@given(written)
@settings(max_examples=examples(300), deadline=None)
def test_arguments_come_back_as_they_were_written_whatever_they_are(text):
    value, kept = arguments_object(text)
    again = arguments_text(orjson.loads(orjson.dumps(value)))
    assert (again if kept is None else kept) == text


@given(st.lists(st.tuples(st.text(max_size=8), st.text(max_size=8), st.lists(written, max_size=2)), max_size=3))
@settings(max_examples=examples(60), deadline=None)
def test_whatever_a_model_wrote_comes_back_as_it_was(drawn):
    turns = [
        Turn(text, tuple(ToolCall(f"c{n}", "sql", None, raw) for n, raw in enumerate(calls)), thoughts)
        for text, thoughts, calls in drawn
        if calls
    ]
    trace = played(*turns, Turn("Done."))
    log = passed(trace)
    SCHEMA.validate(log)
    assert list(chat(log).messages) == trace.messages


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"schema_version": "ATIF-v2.0"}, "schema_version: 'ATIF-v2.0' is not read; ATIF-v1.0 to"),
        (run(steps=[]), "steps"),
        (run(agent={}), "agent.name"),
        (run(SAID, extra={"faultgym": {"task": 3}}), "metadata.faultgym.task"),
        (
            run({**SAID, "message": [{"type": "image", "source": {}}]}),
            "steps.1.message.0: only text is read, not 'image'",
        ),
        (
            run(acting({"content": [{"type": "audio"}]})),
            "steps.1.observation.results.0.content.0: only text is read, not 'audio'",
        ),
        (run(acting({"source_call_id": "c9"}), SAID), "steps.1.observation: the result 'c9' belongs to no call"),
        (run(acting({"content": "a"}, {"content": "b"}, {"source_call_id": "c1"})), "more results than calls"),
        (run(acting(calls=(CALL, CALL))), "two calls have the id 'c1'"),
        (run(), "there is no turn of an assistant"),
    ],
)
def test_what_cannot_be_taken_is_refused_with_its_place(value, words):
    (found,) = atif_conversations(value)
    assert isinstance(found, BadRecord)
    assert words in str(found)


@pytest.mark.parametrize(
    ("results", "expected"),
    [
        ([{"content": "b", "source_call_id": "c2"}, {"content": "a", "source_call_id": "c1"}], ["a", "b"]),
        ([{"content": "a"}, {"content": "b"}], ["a", "b"]),
        ([{"content": "b"}, {"content": "a", "source_call_id": "c1"}], ["a", "b"]),
        ([{"content": "b"}], ["", "b"]),
        ([{"source_call_id": "c1"}], ["", ""]),
        ([], ["", ""]),
    ],
)
def test_results_find_their_calls_by_name_then_by_order(results, expected):
    assert said(run(acting(*results, calls=(CALL, OTHER)), SAID))[2:4] == expected


def test_the_last_step_may_end_before_its_results():
    assert [message["role"] for message in chat(run(acting())).messages] == ["user", "assistant"]


def test_a_broken_subagent_does_not_keep_its_parent_from_being_read():
    found = list(atif_conversations(run(SAID, subagent_trajectories=[run(steps=[]), run(SAID), 7])))
    assert [type(each) for each in found] == [Conversation, BadRecord, Conversation, BadRecord]
    assert str(found[1]).startswith("a subagent's trajectory: steps")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["steps", "source", "message", "tool_calls", "observation", "results", "agent", "name", "extra"]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)


@given(json_values, st.sampled_from(["ATIF-v1.8", "ATIF-v1.0", "ATIF-", None]))
@settings(max_examples=examples(200), deadline=None)
def test_no_json_value_raises(value, version):
    if isinstance(value, dict):
        value["schema_version"] = version
        assert (DIALECT.mark(value) is None) == (version is None)
    for found in atif_conversations(value):
        with suppress(BadRecord):
            ImportedChat.of(found, ChatSource("atif", "x", 1)) if isinstance(found, Conversation) else None
