"""Chat logs are read in all their variants, refused where they do not hold, and proven by re-execution only."""

import copy
import json
from contextlib import suppress
from dataclasses import replace

import orjson
import pytest
from helpers.levels import examples
from helpers.recorded import recorded
from hypothesis import given, settings
from hypothesis import strategies as st

from faultgym.agents.imports import reading
from faultgym.agents.imports.chats import chats
from faultgym.agents.imports.dialects.openai_chat import openai_conversation
from faultgym.agents.imports.exports.openai_chat import openai_log
from faultgym.agents.imports.imported import ChatSource, ImportedChat
from faultgym.agents.imports.reading import BadRecord, LogValue, UnreadableRecord, read_values
from faultgym.agents.imports.reexecute import reexecute
from faultgym.agents.imports.registry import is_one_chat
from faultgym.agents.traces.chat import arguments_text
from faultgym.agents.traces.replay import replay
from faultgym.agents.traces.spec import EpisodeSpec
from faultgym.agents.traces.trace import Trace
from faultgym.core.errors import TraceError
from faultgym.envs.limits import Limits
from faultgym.training.filters.rejection import Rejected
from faultgym.training.filters.select import read_trace

PRESETS = ("clean", "mild", "rough", "hostile", "outage")
ASK = {"role": "user", "content": "Weather?"}
CALL = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Paris"}'}}
RESULT = {"role": "tool", "tool_call_id": "c1", "content": "rain"}
SAID = {"role": "assistant", "content": "It rains."}
PLAIN = [ASK, {"role": "assistant", "content": None, "tool_calls": [CALL]}, RESULT, SAID]


@pytest.fixture(scope="module")
def traces(players):
    names = [f"bookshelf/{t}/test/{n}" for t in ("price", "lend") for n in range(3)]
    specs = [EpisodeSpec(name, preset, n, n, answers="text") for name in names for n, preset in enumerate(PRESETS)]
    return [recorded(players.clerk, spec) for spec in specs]


@pytest.fixture
def log(traces):
    """A log with calls, to be spoilt."""
    return copy.deepcopy(openai_log(next(t for t in traces if t.records and t.events)))


def chat(value) -> ImportedChat:
    return ImportedChat.of(openai_conversation(value), ChatSource("openai", "log.jsonl", 1))


def answer_of(record) -> str:
    return openai_conversation(record).messages[-1]["content"]


def test_the_plain_form_becomes_the_messages_of_a_trace():
    found = openai_conversation({"messages": PLAIN, "model": "m-1", "id": "x"})
    assert (found.model, found.name, found.tools, found.task) == ("m-1", "x", (), None)
    assert found.messages == (
        ASK,
        {"role": "assistant", "content": "", "tool_calls": [CALL]},
        {**RESULT, "name": "weather"},
        SAID,
    )


CALLING = {"role": "assistant", "tool_calls": [CALL]}


@pytest.mark.parametrize(
    "record",
    [
        PLAIN,
        {"messages": json.dumps(PLAIN)},
        {"request": {"messages": PLAIN[:3], "model": "m"}, "response": {"choices": [{"message": SAID}]}},
        {"messages": PLAIN[:3], "choices": [{"message": SAID, "finish_reason": "stop"}]},
        {"custom_id": "7", "body": {"messages": PLAIN[:3]}, "response": {"body": {"choices": [{"message": SAID}]}}},
        {"messages": [ASK, {**CALLING, "content": ""}, {**RESULT, "name": "weather"}, SAID], "extra": [1]},
        {"messages": [{**ASK, "content": [{"type": "text", "text": "Wea"}, "ther?"]}, *PLAIN[1:]]},
        {"messages": [*PLAIN[:3], {**SAID, "content": None, "refusal": "It rains."}]},
    ],
)
def test_variants_say_the_same(record):
    assert openai_conversation(record).messages == openai_conversation({"messages": PLAIN}).messages


def test_function_calls_of_before_tools_are_read():
    function = {"name": "weather", "arguments": '{"city": "Paris"}'}
    old = [
        ASK,
        {"role": "assistant", "content": None, "function_call": function},
        {"role": "function", "name": "weather", "content": "rain"},
        SAID,
    ]
    found = openai_conversation({"messages": old, "functions": [{"name": "weather"}]})
    assert found.messages[1]["tool_calls"] == [{"id": "call_0", "type": "function", "function": function}]
    assert found.messages[2] == {"role": "tool", "tool_call_id": "call_0", "name": "weather", "content": "rain"}
    assert found.tools[0].parameters == {"type": "object", "properties": {}}


@pytest.mark.parametrize("given_as", [{"city": "Paris", "days": [1, {"x": None}]}, {}, None, ""])
def test_arguments_that_are_no_text_become_text(given_as):
    called = {"id": "c1", "function": {"name": "weather", "arguments": given_as}}
    found = openai_conversation([ASK, {"role": "assistant", "tool_calls": [called]}, RESULT, SAID])
    text = found.messages[1]["tool_calls"][0]["function"]["arguments"]
    assert text == arguments_text(given_as or {})


@pytest.mark.parametrize(
    "turn",
    [
        {"reasoning_content": "Look."},
        {"reasoning": "Look."},
        {"thinking": "Look."},
        {"content": [{"type": "thinking", "thinking": "Look."}, {"type": "text", "text": "It rains."}]},
    ],
)
def test_reasoning_is_kept_apart_whatever_it_is_called(turn):
    found = openai_conversation([ASK, {**SAID, **turn}])
    assert found.messages[-1] == {**SAID, "reasoning_content": "Look."}


def test_results_are_put_in_the_order_of_their_calls():
    two = [CALL, {**CALL, "id": "c2"}]
    results = [{**RESULT, "tool_call_id": "c2", "content": "sun"}, RESULT]
    found = openai_conversation([ASK, {"role": "assistant", "tool_calls": two}, *results, SAID])
    assert [m["content"] for m in found.messages if m["role"] == "tool"] == ["rain", "sun"]


def test_a_log_may_end_before_the_last_results():
    assert len(openai_conversation(PLAIN[:2]).messages) == 2


@pytest.mark.parametrize(
    ("record", "words"),
    [
        (3, "not int"),
        ({}, "messages: field required"),
        ({"messages": []}, "messages: list should have at least 1 item"),
        ({"messages": "[{]"}, "messages: not valid JSON"),
        ([ASK], "no turn of an assistant"),
        ([{"role": "bot", "content": "x"}], "messages.0.role"),
        ([ASK, RESULT, SAID], "messages.1: the result 'c1' belongs to no call"),
        ([*PLAIN[:3], RESULT, SAID], "messages.3: the result 'c1' belongs to no call"),
        ([*PLAIN[:2], SAID], "messages.1: the call 'c1' has no result"),
        ([ASK, {"role": "assistant", "tool_calls": [CALL, CALL]}], "two calls have the id 'c1'"),
        ([ASK, {"role": "assistant", "tool_calls": [{"id": "c", "function": {"name": ""}}]}], "function.name"),
        ([{**ASK, "content": [{"type": "image_url", "image_url": {}}]}, SAID], "only text is read, not 'image_url'"),
        ({"messages": PLAIN, "tools": [{"type": "web_search"}]}, "tools.0"),
        ({"messages": PLAIN, "metadata": {"faultgym": {"task": ""}}}, "metadata.faultgym.task"),
        ({"messages": PLAIN, "metadata": {"faultgym": {"task": "x", "schedule": [{}]}}}, "metadata.faultgym.schedule"),
        ({"messages": PLAIN, "metadata": {"faultgym.task": "x", "faultgym.fault_seed": -1}}, "fault_seed"),
    ],
)
def test_what_does_not_hold_is_refused_with_the_field_and_the_reason(record, words):
    with pytest.raises(BadRecord) as caught:
        openai_conversation(record)
    assert words in str(caught.value)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["messages", "role", "content", "tool_calls", "function", "name", "id", "metadata", "tools"]
            )
            | st.text(max_size=3),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(json_values)
@settings(max_examples=examples(200), deadline=None)
def test_no_json_value_raises_anything_else_than_a_refusal(value):
    with suppress(BadRecord):
        openai_conversation(value)


@given(st.binary(max_size=200) | st.text(alphabet='[]{}",:\\u0123d8 \n', max_size=100).map(str.encode))
@settings(max_examples=examples(200), deadline=None)
def test_no_file_raises(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("hostile") / "log"
    path.write_bytes(data)
    assert all(isinstance(found, ImportedChat | UnreadableRecord) for found in chats(path))


def texts(path, data: bytes) -> list[str]:
    path.write_bytes(data)
    return [
        f"{found.line}: {'found' if isinstance(found, LogValue) else found.reason}"
        for found in read_values(path, is_one_chat)
    ]


DEEP = b"[" * 150 + b"]" * 150


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", ["1: the file is empty"]),
        (b" \n\n", ["1: the file is empty"]),
        (b'{"a": 1}\n\n{"a": 2}', ["1: found", "3: found"]),
        (b'\xef\xbb\xbf{"a": 1}\r\n{"a": 2}\r\n', ["1: found", "2: found"]),
        (b'[\n {"a": 1},\n\n {"a": 2}]', ["2: found", "4: found"]),
        (b'{\n "a": [\n1]}', ["1: found"]),
        (b'[{"role": "user"},\n {"role": "assistant"}]', ["1: found"]),
        (b"\x1f\x8b\x08abc", ["1: compressed with gzip; unpack it first"]),
        (b"\x7fELF\0\0", ["1: not UTF-8 text"]),
        ('{"a": 1}'.encode("utf-16"), ["1: not UTF-8 text"]),
        (b'{"a": "' + DEEP + b'"}\n{"a": ' + DEEP + b"}", ["1: found", "2: nested deeper than 100 levels"]),
        (b'[{"a": 1}, {"b": ' + DEEP + b"}]\n", ["1: found", "1: nested deeper than 100 levels"]),
        (b"[\n" + b"[" * 100_000, ["2: nested deeper than 100 levels; the rest of the file is not read"]),
    ],
)
def test_files_are_read_value_by_value_whatever_their_form(tmp_path, data, expected):
    assert texts(tmp_path / "log", data) == expected


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (b'{"a": }', "not valid JSON"),
        (b'{"a": "\xff\xfe"}', "UTF-8"),
        (b'{"a": "\\ud800"}', "surrogate"),
        (b'{"a": NaN}', "not valid JSON"),
        (b'{"a": "' + b"x" * 2000 + b'"}', "longer than 1,000 bytes"),
    ],
)
def test_a_bad_line_does_not_keep_the_others_from_being_read(tmp_path, monkeypatch, bad, words):
    monkeypatch.setattr(reading, "MAX_LINE", 1000)
    found = texts(tmp_path / "log", b'{"a": 1}\n' + bad + b'\n{"a": 2}\n')
    assert (found[0], found[2]) == ("1: found", "3: found")
    assert found[1].startswith("2: ")
    assert words in found[1]


def test_a_broken_list_says_where_and_keeps_what_came_before(tmp_path):
    found = texts(tmp_path / "log", b'[{"a": 1},\n{"a": 2},\n{"a" 3},\n{"a": 4}]')
    assert found[:2] == ["1: found", "2: found"]
    assert found[2].startswith("3: not valid JSON")
    assert found[2].endswith("the rest of the file is not read")


def test_what_is_no_file_is_refused(tmp_path):
    assert [found.reason for found in read_values(tmp_path)] == ["not a regular file"]
    assert "No such file" in next(read_values(tmp_path / "gone")).reason


def test_a_chat_survives_being_stored(log):
    for found in (chat(log), chat(PLAIN), replace(chat(log), trace="abc"), replace(chat(log), difference="x")):
        assert ImportedChat.from_record(orjson.loads(orjson.dumps(found.to_record()))) == found


@pytest.mark.parametrize("change", [{"kind": "trace"}, {"schema_version": 2}, {"more": 1}, {"messages": [{}]}])
def test_a_stored_chat_that_was_changed_is_refused(change):
    with pytest.raises(TraceError, match=r"imported chat: "):
        ImportedChat.from_record({**chat(PLAIN).to_record(), **change})


def test_the_id_depends_on_what_was_said_and_not_on_where_it_stood(log):
    there = ImportedChat.of(openai_conversation(log), ChatSource("openai", "other.json", 9))
    assert there.chat_id == chat(log).chat_id
    assert chat(PLAIN).chat_id != chat([*PLAIN[:3], {**SAID, "content": "It pours."}]).chat_id


def test_an_exported_trace_comes_back_verified(traces):
    for trace in traces:
        result = reexecute(chat(openai_log(trace)))
        assert result.trace is not None, result.difference
        assert (result.trace.verdict, result.trace.stop) == (trace.verdict, trace.stop)
        assert (result.trace.events, result.trace.messages) == (trace.events, trace.messages)
        assert result.trace.policy == {"name": "imported", "format": "openai", "model": "clerk"}
        assert replay(Trace.from_record(result.trace.to_record())).proven


def test_an_episode_that_a_limit_ended_comes_back_verified(players):
    trace = recorded(players.clerk, EpisodeSpec("bookshelf/lend/test/1", "hostile"), Limits(turns=1))
    assert trace.stop == "turn_limit"
    result = reexecute(chat(openai_log(trace)))
    assert result.trace is not None, result.difference
    assert result.trace.stop == "turn_limit"


def test_flat_keys_and_a_schedule_alone_name_a_task_too(log):
    named = log["metadata"]["faultgym"]
    log["metadata"] = {"faultgym.task": named["task"], "faultgym.schedule": json.dumps(named["schedule"])}
    found = reexecute(chat(log)).trace
    assert found is not None
    assert found.faults == "explicit"


def set_faults(log, **values):
    log["metadata"]["faultgym"].update(values)


def fault(log, **values):
    return {**log["metadata"]["faultgym"]["schedule"][0], **values}


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda log: log["messages"][3].update(content="all is well"), "step 0, call 0, content: the log says 'all"),
        (lambda log: log["messages"][1].update(content="Do nothing."), "messages: the log says"),
        (lambda log: log["messages"].pop(), "the episode goes on"),
        (lambda log: log["messages"].append(log["messages"][-1]), "the episode is over (final), but the log goes on"),
        (lambda log: log["messages"].insert(-1, ASK), "a message of the user stands after the first turn"),
        (lambda log: log["tools"].pop(), "tools: the log says"),
        (lambda log: set_faults(log, task="bookshelf/nothing/test/0"), "task: "),
        (lambda log: set_faults(log, task="bookshelf/price/test/\u00b2"), "is not a task id"),
        (lambda log: set_faults(log, task="bookshelf/price/test/" + "9" * 100), "is not a task id"),
        (lambda log: set_faults(log, faults="tough"), "faults: there is no fault preset 'tough'"),
        (lambda log: set_faults(log, faults={"rules": 3}), "faults: "),
        (lambda log: set_faults(log, schedule=[]), "schedule: it is not the one that its faults and fault_seed give"),
        (lambda log: set_faults(log, faults=None, schedule=[fault(log, kind="flod")]), "schedule: "),
        (lambda log: set_faults(log, faults=None, schedule=[fault(log, params={"status": []})]), "step 0"),
        (lambda log: set_faults(log, limits={"turns": 1}), "the episode is over (turn_limit)"),
    ],
)
def test_the_first_difference_is_named_and_the_chat_stays_unverified(log, spoil, words):
    spoil(log)
    result = reexecute(chat(log))
    assert result.trace is None
    assert words in result.difference


def test_a_chat_that_names_no_task_stays_unverified():
    assert reexecute(chat(PLAIN)).trace is None


def test_an_imported_chat_is_never_taken_for_a_trace(log):
    for found in (chat(log), replace(chat(log), trace="a" * 24)):
        record = found.to_record()
        with pytest.raises(TraceError, match="an imported chat, which nothing proves, and no trace"):
            Trace.from_record(record)
        assert isinstance(read_trace(record), Rejected)
