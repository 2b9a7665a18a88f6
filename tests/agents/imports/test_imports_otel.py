"""Spans of generative AI become chats, however they were cut into model calls, files and encodings."""

import asyncio
import json
import random

import orjson
import pytest
from helpers.levels import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from faultgym.agents.imports.chats import chats
from faultgym.agents.imports.dialects.otlp import DETAILS, plain_value
from faultgym.agents.imports.exports.openai_chat import openai_log
from faultgym.agents.imports.exports.otlp import otlp_log
from faultgym.agents.imports.imported import ImportedChat
from faultgym.agents.imports.reading import BadRecord, UnreadableRecord
from faultgym.agents.imports.reexecute import reexecute
from faultgym.agents.rollouts.engine import Engine
from faultgym.agents.traces.spec import EpisodeSpec

USER = {"role": "user", "parts": [{"type": "text", "content": "Weather in Paris?"}]}
CALLS = {
    "role": "assistant",
    "parts": [{"type": "tool_call", "id": "c1", "name": "get_weather", "arguments": {"location": "Paris"}}],
}
RESULT = {"role": "tool", "parts": [{"type": "tool_call_response", "id": "c1", "response": "rainy, 57°F"}]}
ANSWER = {"role": "assistant", "parts": [{"type": "text", "content": "It is rainy."}], "finish_reason": "stop"}
TOOL = {"type": "function", "name": "get_weather", "description": "Get it", "parameters": {"type": "object"}}
CHAT = [
    {"role": "user", "content": "Weather in Paris?"},
    {
        "role": "assistant",
        "content": "",
        "tool_calls": [
            {"id": "c1", "type": "function", "function": {"name": "get_weather", "arguments": '{"location":"Paris"}'}}
        ],
    },
    {"role": "tool", "tool_call_id": "c1", "name": "get_weather", "content": "rainy, 57°F"},
    {"role": "assistant", "content": "It is rainy."},
]


def any_value(value):
    """A value in OTLP's JSON."""
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": value}
    if isinstance(value, list):
        return {"arrayValue": {"values": [any_value(item) for item in value]}}
    if isinstance(value, dict):
        return {"kvlistValue": {"values": pairs(value)}}
    return {} if value is None else {"stringValue": value}


def pairs(attributes):
    return [{"key": key, "value": any_value(value)} for key, value in attributes.items()]


def span(start, attributes, trace="t1", **more):
    head = {"traceId": trace, "spanId": f"s{start}", "startTimeUnixNano": str(start), "name": "chat m"}
    return {**head, "attributes": pairs(attributes), **more}


def call(start, before, after, trace="t1", **attributes):
    given = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "m"}
    return span(start, {**given, "gen_ai.input.messages": before, "gen_ai.output.messages": after, **attributes}, trace)


def data(*spans, resource=None):
    return {"resourceSpans": [{"resource": {"attributes": pairs(resource or {})}, "scopeSpans": [{"spans": spans}]}]}


def two_calls():
    return call(1, [USER], [{**CALLS, "finish_reason": "tool_call"}]), call(2, [USER, CALLS, RESULT], [ANSWER])


@pytest.fixture
def read(tmp_path):
    """The chats of a file with these values, one on each line."""

    def run(*values, format="auto"):
        path = tmp_path / "spans.jsonl"
        path.write_bytes(b"".join(orjson.dumps(value) + b"\n" for value in values))
        return list(chats(path, format))

    return run


def messages(found):
    assert all(isinstance(each, ImportedChat) for each in found), [str(each) for each in found]
    return [list(each.messages) for each in found]


def test_two_model_calls_of_one_trace_are_one_chat(read):
    found = read(data(*two_calls()))
    assert messages(found) == [CHAT]
    assert (found[0].source.format, found[0].source.name, found[0].model) == ("otel", "t1", "m")


def test_the_order_and_the_lines_in_which_spans_come_do_not_matter(read):
    spans = [*two_calls(), *(call(n, [USER], [ANSWER], trace=f"other{n}") for n in range(4))]
    random.Random(3).shuffle(spans)
    found = read(*[data(each) for each in spans])
    assert CHAT in messages(found)
    assert len(found) == 5


def test_contents_may_be_json_text(read):
    first = call(1, json.dumps([USER]), json.dumps([CALLS]))
    second = call(2, json.dumps([USER, CALLS, RESULT]), json.dumps([ANSWER]))
    assert messages(read(data(first, second))) == [CHAT]


def test_contents_may_stand_in_an_event_of_the_span(read):
    first, second = two_calls()
    second["events"] = [{"name": DETAILS, "attributes": second.pop("attributes")}]
    assert messages(read(data(first, second))) == [CHAT]


def test_contents_may_stand_in_a_log_beside_the_spans(read):
    first, second = two_calls()
    log = {
        "traceId": "t1",
        "spanId": "s2",
        "timeUnixNano": "2",
        "eventName": DETAILS,
        "attributes": second["attributes"],
    }
    bare = span(2, {"gen_ai.operation.name": "chat"})
    logs = {"resourceLogs": [{"scopeLogs": [{"logRecords": [log]}]}]}
    assert messages(read(data(first, bare), logs)) == [CHAT]


def test_the_span_of_a_tool_gives_the_result_that_no_model_call_shows(read):
    tool = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "get_weather", "gen_ai.tool.call.id": "c1"}
    tool["gen_ai.tool.call.result"] = "rainy, 57°F"
    assert messages(read(data(two_calls()[0], span(5, tool)))) == [CHAT[:3]]


def test_results_in_the_form_of_the_first_convention_are_read(read):
    old = {"role": "tool", "parts": [{"type": "tool_call_response", "id": "c1", "result": {"sky": "grey"}}]}
    found = read(data(call(1, [USER, CALLS, old], [ANSWER])))
    assert messages(found)[0][2]["content"] == '{"sky": "grey"}'


def test_instructions_reasoning_and_tools_are_kept(read):
    thought = {"role": "assistant", "parts": [{"type": "reasoning", "content": "Hm."}, *ANSWER["parts"]]}
    more = {"gen_ai.system_instructions": [{"type": "text", "content": "Be brief."}], "gen_ai.tool.definitions": [TOOL]}
    found = read(data(call(1, [USER], [thought], **more)))
    assert messages(found) == [
        [
            {"role": "system", "content": "Be brief."},
            CHAT[0],
            {"role": "assistant", "content": "It is rainy.", "reasoning_content": "Hm."},
        ]
    ]
    assert [(tool.name, tool.description) for tool in found[0].tools] == [("get_weather", "Get it")]


def test_reasoning_that_is_not_sent_back_does_not_break_the_chat(read):
    thought = {"role": "assistant", "parts": [{"type": "reasoning", "content": "Hm."}, *CALLS["parts"]]}
    found = read(data(call(1, [USER], [thought]), two_calls()[1]))
    assert messages(found) == [[CHAT[0], {**CHAT[1], "reasoning_content": "Hm."}, *CHAT[2:]]]


def test_a_second_try_and_a_second_choice_are_chats_of_their_own(read):
    other = {"role": "assistant", "parts": [{"type": "text", "content": "Sunny."}]}
    found = messages(read(data(call(0, [USER], [other]), *two_calls())))
    assert sorted(len(each) for each in found) == [2, 4]
    found = messages(read(data(call(1, [USER], [other, CALLS]), two_calls()[1])))
    assert sorted(found, key=len) == [[CHAT[0], {"role": "assistant", "content": "Sunny."}], CHAT]


def test_traces_of_one_conversation_belong_together(read):
    first, second = two_calls()
    about = {"gen_ai.conversation.id": "conv"}
    first["attributes"] += pairs(about)
    second["attributes"] += pairs(about)
    second["traceId"] = "t2"
    assert messages(read(data(first, second))) == [CHAT]


def test_an_agents_span_counts_only_where_its_model_calls_do_not_show(read):
    whole = {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.input.messages": [USER],
        "gen_ai.output.messages": [ANSWER],
    }
    assert messages(read(data(span(0, whole), *two_calls()))) == [CHAT]
    assert messages(read(data(span(0, whole)))) == [[CHAT[0], CHAT[3]]]


def test_a_failed_model_call_without_output_is_passed_over(read):
    failed = span(0, {"gen_ai.operation.name": "chat", "gen_ai.input.messages": [USER], "error.type": "timeout"})
    assert messages(read(data(failed, *two_calls()))) == [CHAT]


def image(part="blob"):
    return {"role": "user", "parts": [{"type": part, "modality": "image", "content": "aGk="}]}


@pytest.mark.parametrize(
    ("spans", "words"),
    [
        ([call(1, [image()], [ANSWER])], "only text and calls are read, not 'blob'"),
        ([call(1, "[{]", [ANSWER])], "gen_ai.input.messages: not valid JSON"),
        ([call(1, [{"role": "user"}], [ANSWER])], "gen_ai.input.messages: 0.parts: field required"),
        ([call(1, [USER, RESULT], [ANSWER])], "belongs to no call"),
        ([span(1, {"gen_ai.operation.name": "chat"})], "the contents were not logged"),
        ([span(1, {}, events=[{"name": "gen_ai.user.message"}])], "conventions before 1.37"),
        ([{**call(1, [USER], [ANSWER]), "startTimeUnixNano": "soon"}], "span: startTimeUnixNano"),
        ([call(1, [USER], [ANSWER], **{"faultgym.task": ""})], "metadata.faultgym.task"),
    ],
)
def test_what_does_not_hold_is_refused_with_the_reason_and_the_others_are_read(read, spans, words):
    good = call(1, [USER], [ANSWER], trace="good")
    found = read(data(good), data(*spans))
    refused = [each for each in found if isinstance(each, UnreadableRecord)]
    assert len(found) == 2
    assert [each.line for each in refused] == [2]
    assert words in refused[0].reason


def test_spans_that_are_not_about_generative_ai_are_passed_over(read):
    web = data(span(1, {"http.request.method": "GET"}, trace="web"))
    assert messages(read(web, data(*two_calls()))) == [CHAT]


def test_a_file_that_gives_nothing_says_what_was_seen(read):
    (found,) = read(data(span(1, {"http.request.method": "GET"})))
    assert found.reason == (
        "no chat in it: 1 read as otel, the last of them a JSON object with the keys 'resourceSpans'"
    )


def test_what_is_no_otlp_is_refused_when_it_was_asked_for(read):
    assert "no OTLP JSON" in read({"messages": []}, format="otel")[0].reason


plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=10,
)


@given(plain)
@settings(max_examples=examples(200), deadline=None)
def test_values_survive_their_encoding(value):
    assert plain_value(any_value(value), "k") == value


@given(st.dictionaries(st.sampled_from("stringValue intValue arrayValue kvlistValue other".split()), plain, max_size=2))
@settings(max_examples=examples(200), deadline=None)
def test_a_damaged_value_raises_nothing_but_a_refusal(value):
    try:
        plain_value(value, "k")
    except BadRecord as error:
        reason = str(error)
        assert reason.startswith("attribute ")


@pytest.mark.parametrize("value", [{"intValue": "9" * 10_000}, {"intValue": float("inf")}, {"doubleValue": "x"}])
def test_numbers_that_are_none_are_refused(value):
    with pytest.raises(BadRecord):
        plain_value(value, "k")


def test_an_exported_trace_comes_back_verified_and_as_the_same_chat(players, read):
    for number, preset in enumerate(("clean", "rough", "hostile")):
        engine = Engine(players.clerk)
        trace = asyncio.run(engine.play(EpisodeSpec("bookshelf/lend/test/1", preset, number), players.clerk.describe()))
        (chat,) = read(otlp_log(trace))
        result = reexecute(chat)
        assert result.trace is not None, result.difference
        assert result.trace.messages == trace.messages
        (other,) = read(openai_log(trace))
        assert chat.chat_id == other.chat_id
