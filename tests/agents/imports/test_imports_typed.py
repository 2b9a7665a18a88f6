"""Logs whose last turn calls `answer`: imported, proven and exported without loss, in either form."""

import copy
from dataclasses import dataclass
from typing import Any

import pytest
from helpers.recorded import recorded

from faultgym.agents.imports.dialects.openai_chat import openai_conversation
from faultgym.agents.imports.dialects.otel import groups, otel_conversations
from faultgym.agents.imports.dialects.otlp import records
from faultgym.agents.imports.exports.openai_chat import openai_log
from faultgym.agents.imports.exports.otlp import otlp_log
from faultgym.agents.imports.imported import ChatSource, ImportedChat
from faultgym.agents.imports.named import named_task
from faultgym.agents.imports.reexecute import reexecute
from faultgym.agents.registry import policy_named
from faultgym.agents.traces.replay import replay
from faultgym.agents.traces.spec import EpisodeSpec
from faultgym.agents.traces.trace import Trace
from faultgym.envs.limits import Limits
from faultgym.envs.messages.turn import Turn
from faultgym.tools.types import ToolCall

TASK = "orders/order_status/train/0"
TALK = Turn("It is shipped.")
LOOK = Turn("", (ToolCall("c0", "http", {"method": "GET", "path": "/v1/orders/ORD-91560"}),))


def answer(status, call_id="c1"):
    fields = {"status": status}
    return Turn("", (ToolCall(call_id, "answer", {"outcome": "answered", "fields": fields, "message": "Done."}),))


@dataclass(frozen=True)
class Reader:
    """Takes the turns that it was given, whatever comes."""

    turns: tuple[Turn, ...]
    name: str = "reader"

    def describe(self) -> dict[str, Any]:
        return {"name": self.name}

    def start(self, opening):
        return Reading(list(self.turns))


@dataclass
class Reading:
    left: list[Turn]

    def act(self, observation, tools):
        return self.left.pop(0)


def played(*turns, answers="typed", **limits) -> Trace:
    return recorded(Reader(turns), EpisodeSpec(TASK, answers=answers), Limits(**limits))


def openai(log) -> ImportedChat:
    return ImportedChat.of(openai_conversation(log), ChatSource("openai", "log.jsonl", 1))


def otel(log) -> ImportedChat:
    (group,) = groups(records(log, 1))
    (found,) = otel_conversations(group)
    return ImportedChat.of(found, ChatSource("otel", "log.jsonl", 1))


FORMS = {"openai": lambda trace: openai(openai_log(trace)), "otel": lambda trace: otel(otlp_log(trace))}
ENDINGS = {
    "an answer": lambda: played(LOOK, answer("shipped")),
    "an answer after one that was refused": lambda: played(LOOK, answer("blue", "c5"), answer("shipped")),
    "an answer beside another call": lambda: played(Turn("", (*LOOK.tool_calls, *answer("shipped").tool_calls))),
    "plain text": lambda: played(LOOK, TALK),
    "an answer that was asked for": lambda: played(TALK, LOOK, TALK, answer("shipped"), reminders=3),
    "text once more": lambda: played(TALK, TALK, reminders=1),
    "a limit, where a reminder was due": lambda: played(LOOK, TALK, turns=2, reminders=2),
    "a limit": lambda: played(LOOK, turns=1),
    "a text": lambda: played(LOOK, TALK, answers="text"),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("ending", ENDINGS)
def test_a_trace_comes_back_whole_whatever_ended_it(ending, form):
    trace = ENDINGS[ending]()
    chat = FORMS[form](trace)
    assert list(chat.messages) == trace.messages
    result = reexecute(chat)
    assert result.trace is not None, result.difference
    for part in ("answers", "stop", "verdict", "messages", "tools", "limits", "schedule"):
        assert getattr(result.trace, part) == getattr(trace, part), part
    assert replay(Trace.from_record(result.trace.to_record())).proven


@pytest.mark.parametrize("preset", ["clean", "rough", "hostile", "outage"])
@pytest.mark.parametrize("template", ["order_total", "cancel_order", "unknown_order", "refuse_return"])
def test_the_experts_typed_answers_come_back_verified_in_either_form(template, preset):
    spec = EpisodeSpec(f"orders/{template}/train/1", preset, 7, answers="typed")
    trace = recorded(policy_named("expert"), spec)
    assert trace.verdict.success
    for form in FORMS.values():
        result = reexecute(form(trace))
        assert result.trace is not None, result.difference
        assert (result.trace.verdict, result.trace.messages) == (trace.verdict, trace.messages)


@pytest.fixture
def log():
    """A log of a typed answer that does not say how it ends, as others write them."""
    made = copy.deepcopy(openai_log(played(LOOK, answer("shipped"))))
    made["metadata"] = {"faultgym": {"task": TASK}}
    return made


def test_the_last_turn_tells_how_a_chat_ends_that_does_not_say(log):
    assert reexecute(openai(log)).trace.answers == "typed"
    text = openai_log(played(LOOK, TALK, answers="text"))
    text["metadata"] = {"faultgym": {"task": TASK}}
    assert reexecute(openai(text)).trace.answers == "text"


def test_the_result_of_the_answer_itself_may_be_lacking(log):
    assert log["messages"].pop()["content"] == "The answer was recorded."
    found = reexecute(openai(log)).trace
    assert (found.stop, found.verdict.success) == ("final", True)


def test_reminders_in_a_log_from_elsewhere_are_understood_without_a_limit():
    log = openai_log(played(LOOK, TALK, answer("shipped"), reminders=1))
    log["metadata"] = {"faultgym": {"task": TASK}}
    found = reexecute(openai(log)).trace
    assert (found.answers, found.limits.reminders, found.verdict.success) == ("typed", 1, True)


def test_what_a_log_does_not_say_of_answers_leaves_the_chats_id_as_it_was():
    data = named_task({"faultgym": {"task": TASK}}).data()
    assert set(data) == {"task", "faults", "fault_seed", "policy_seed", "trial", "schedule", "limits"}
    assert set(data["limits"]) == {"turns", "calls", "virtual_seconds"}


def say(log, **values):
    log["metadata"]["faultgym"].update(values)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda log: log["messages"][-1].update(content="Thanks!"), "call 0, content: the log says 'Thanks!"),
        (lambda log: log["messages"].append(log["messages"][-2]), "the episode is over (final), but the log goes on"),
        (lambda log: say(log, answers="text"), "messages: the log says"),
        (lambda log: log["tools"].pop(), "tools: the log says"),
        (
            lambda log: log["messages"].insert(2, {"role": "assistant", "content": "Let me look."}),
            "step 0: the environment asks for the call of answer, but the log does not",
        ),
    ],
)
def test_the_first_difference_is_named(log, spoil, words):
    say(log, limits={"reminders": 1})
    spoil(log)
    result = reexecute(openai(log))
    assert result.trace is None
    assert words in result.difference
