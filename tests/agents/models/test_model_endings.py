"""Why a turn ended: what a server breaks off is never scored as the model's, and no call is lost on the way."""

from dataclasses import replace

import pytest
from helpers import reported_servers as servers
from helpers.served import make_plan, one_turn, rolled_out, traces
from helpers.stub_openai import said

from faultgym.agents.models.finish import finish_named, is_broken_off
from faultgym.agents.models.replicas import RetryPolicy
from faultgym.agents.models.salvage import calls_in_text
from faultgym.agents.rollouts.progress import Endings, RunOutcome
from faultgym.agents.traces.replay import replay
from faultgym.agents.traces.trace import Trace
from faultgym.cli.support.endings import ending_notes
from faultgym.core.errors import HarnessError
from faultgym.envs.limits import Limits
from faultgym.eval.modes.classifier import failure_modes
from faultgym.eval.scoring.metrics import summarize
from faultgym.eval.scoring.score import score

ONCE = RetryPolicy(retries=1, timeout=30)


@pytest.mark.parametrize(
    "answer",
    [
        servers.always_swaps_weights,
        servers.provider_fails,
        servers.provider_fails_in_the_choice,
        servers.says_nothing,
    ],
)
def test_what_a_server_breaks_off_is_tried_again_and_then_a_harness_error(answer):
    asked = []
    with pytest.raises(HarnessError, match="failed 2 times"):
        one_turn(lambda r: asked.append(r) or answer(r), patience=ONCE)
    assert len(asked) == 2


def test_a_server_that_breaks_off_now_and_then_changes_nothing(players, tmp_path):
    rolled_out(servers.librarian, tmp_path / "calm", make_plan(2), in_flight=1)
    rolled_out(servers.swaps_weights, tmp_path / "upset", make_plan(2), in_flight=1)
    assert traces(tmp_path / "calm") == traces(tmp_path / "upset")


def test_an_error_beside_choices_that_no_other_try_can_mend_ends_at_once():
    refusal = said("", error={"code": 400, "message": "no such model"})
    with pytest.raises(HarnessError, match=r"refused a request: 400: .*no such model"):
        one_turn(lambda r: refusal)
    overflow = said("", error={"code": 400, "message": "This model's maximum context length is 9 tokens."})
    assert one_turn(lambda r: overflow)[0].finish_reason == "context_overflow"


@pytest.mark.parametrize(
    ("answer", "reason"), [(servers.thinks_too_long, "length"), (servers.filters, "content_filter")]
)
def test_an_episode_that_was_cut_short_says_so_and_shows_no_failure_mode(players, tmp_path, answer, reason):
    rolled_out(answer, tmp_path / "run", make_plan(2))
    for trace in traces(tmp_path / "run"):
        assert (trace.stop, trace.verdict.success) == (reason, False)
        assert replay(trace).proven
        assert failure_modes(trace) == ()
        old = {**trace.to_record(), "schema_version": 3, "stop": "final"}
        assert Trace.from_record(old) == trace
        assert RunOutcome.of_record(old) == RunOutcome.of_record(trace.to_record()) == RunOutcome.of(trace)
    scores = [score(trace) for trace in traces(tmp_path / "run")]
    found = summarize(scores)
    assert found.cut_short == {reason: len(scores)}
    assert found.restraint.missed_calls.value is None


@pytest.mark.parametrize(
    "error",
    [
        {"code": "content_filter", "message": "The response was filtered due to the prompt triggering a policy."},
        {"type": "data_inspection_failed", "message": "Input data may contain inappropriate content."},
    ],
)
def test_a_filter_that_refuses_the_chat_ends_the_episode_and_is_no_harness_error(players, tmp_path, error):
    refusal = servers.http(servers.orjson.dumps({"error": error}), 400)
    rolled_out(lambda r: refusal if r.turn else said("", ("http", {})), tmp_path / "run", make_plan(1))
    for trace in traces(tmp_path / "run"):
        assert (trace.stop, trace.harness_error, len(trace.steps)) == ("content_filter", None, 2)
        assert replay(trace).proven


def test_a_call_under_the_name_that_came_before_tool_calls_is_a_call(players, tmp_path):
    def answer(request):
        reply = servers.orjson.loads(servers.librarian(request).partition(b"\r\n\r\n")[2])
        message = reply["choices"][0]["message"]
        for call in message.pop("tool_calls", ()):
            message.update(content=None, function_call=call["function"])
            reply["choices"][0]["finish_reason"] = "function_call"
        return servers.http(servers.orjson.dumps(reply))

    (stub,) = rolled_out(answer, tmp_path / "run", make_plan(2, faults=("clean",)))
    assert any(trace.verdict.success for trace in traces(tmp_path / "run"))
    assert not any(step.turn.salvaged for trace in traces(tmp_path / "run") for step in trace.steps)
    assert not any("function_call" in message for request in stub.requests for message in request.messages)


def test_a_call_in_thoughts_that_were_cut_off_was_not_made():
    thoughts = {"reasoning": 'I may <tool_call>{"name": "look", "arguments": {}}</tool_call> or not; let me'}
    turn, _ = one_turn(lambda r: said(None, finish="length", message=thoughts, usage={"completion_tokens": 9}))
    assert (turn.tool_calls, turn.finish_reason) == ((), "length")


def test_a_call_that_the_server_found_malformed_is_answered_as_malformed(players, tmp_path):
    def answer(request):
        if request.turn:
            return servers.librarian(request)
        return said(None, finish="function_call_filter: MALFORMED_FUNCTION_CALL", usage={"completion_tokens": 7})

    rolled_out(answer, tmp_path / "run", make_plan(2, faults=("clean",)))
    for trace in traces(tmp_path / "run"):
        assert trace.records[0].result.code == "malformed_call"
        assert len(trace.steps) > 1


def test_an_error_that_is_the_whole_reply_is_read_by_its_code():
    overflow = {
        "object": "error",
        "message": "The input (9 tokens) is longer than the model's context length",
        "code": 400,
    }
    assert one_turn(lambda r: servers.http(servers.orjson.dumps(overflow)))[0].finish_reason == "context_overflow"


def test_reminders_are_for_turns_that_there_is_room_to_go_on_from(players, tmp_path):
    plan = make_plan(1, limits=Limits(turns=4, reminders=2))
    plan = replace(plan, episodes=tuple(replace(spec, answers="typed") for spec in plan.episodes))
    rolled_out(lambda r: said("Let me", finish="length"), tmp_path / "cut", plan)
    assert {(len(t.steps), t.stop) for t in traces(tmp_path / "cut")} == {(3, "length")}
    rolled_out(lambda r: servers.problem(400, "context_length_exceeded"), tmp_path / "full", plan)
    assert {(len(t.steps), t.stop) for t in traces(tmp_path / "full")} == {(1, "context_overflow")}


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (servers.has_no_parser, "ok"),
        (servers.hides_tools, "ok"),
        (servers.calls_in_thoughts, "ok"),
        (servers.drops_a_brace, "malformed_call"),
        (servers.promises_a_call, "malformed_call"),
    ],
)
def test_a_call_that_the_server_did_not_read_is_read_here_or_answered_as_malformed(players, tmp_path, answer, code):
    (stub,) = rolled_out(answer, tmp_path / "run", make_plan(2, faults=("clean",)))
    for trace in traces(tmp_path / "run"):
        assert [step.turn.salvaged for step in trace.steps][:2] == [True, False]
        assert trace.records[0].result.code == code
        assert Trace.from_line(trace.to_line()) == trace
        assert replay(trace).proven
    for request in stub.requests:
        for message, after in zip(request.messages, request.messages[1:], strict=False):
            if after["role"] == "tool" and message["role"] == "assistant":
                assert [call["id"] for call in message["tool_calls"]] == [after["tool_call_id"]]


@pytest.mark.parametrize(
    ("text", "calls"),
    [
        ("The order is on its way.", None),
        ('{"name": "Ann", "city": "Rome"}', None),
        ('{"name": "look", "arguments": {"at": 1}}', [("look", {"at": 1})]),
        (' {"name": "look", "parameters": {}} ', [("look", {})]),
        ('<tool_call>{"name": "look"', [("", None)]),
        ('Well. [TOOL_CALLS] [{"name": "look", "arguments": {}}]', [("look", {})]),
        ("It ends with </tool_call>", [("", None)]),
    ],
)
def test_only_what_is_unmistakable_is_taken_for_a_call(text, calls):
    found = calls_in_text(text, None)
    assert (None if found is None else [(call.name, call.arguments) for call in found[1]]) == calls


def test_the_words_of_many_servers_for_the_end_of_a_turn_are_understood():
    assert {finish_named(word, False) for word in ("length", "MAX_TOKENS", "max_output_tokens")} == {"length"}
    assert {finish_named(word, False) for word in ("model_length", "model_context_window_exceeded")} == {
        "context_overflow"
    }
    assert {finish_named(word, False) for word in ("content_filter", "SAFETY", "sensitive")} == {"content_filter"}
    assert [finish_named(word, True) for word in (None, 7, "function_call", "stop")] == [
        "tool_calls",
        "tool_calls",
        "tool_calls",
        "stop",
    ]
    assert all(map(is_broken_off, ("abort", "error", "insufficient_system_resource", "network_error")))
    assert not any(map(is_broken_off, ("stop", "length", None, {})))


def test_a_run_that_is_cut_in_its_first_turns_says_what_to_do():
    endings = Endings()
    for turns in (1, 2, 5, 7):
        endings.add("length", turns, 0)
    endings.add("final", 3, 2)
    first, second = ending_notes(endings)
    assert first == "Cut short, which is no failure mode: 4 by length."
    assert second.startswith("The server left tool calls in the text or the thoughts of 2 turns (1 episodes)")
    endings.add("context_overflow", 1, 0)
    (told,) = [line for line in ending_notes(endings) if "first turn" in line]
    assert told.startswith("2 of 6 episodes were cut short in their first turn (1 by length, 1 by context_overflow): ")
    assert "raise max_tokens" in told
    assert "the context is too small" in told
