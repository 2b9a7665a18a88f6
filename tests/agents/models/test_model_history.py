"""What goes back to a server: the message as it came, the same live, resumed and forked."""

import asyncio
from dataclasses import replace

import orjson
import pytest
from helpers import reported_servers as servers
from helpers.levels import examples
from helpers.served import make_plan, no_sleep, policy, rolled_out, traces
from helpers.stub_openai import Stub, http, said
from hypothesis import given, settings
from hypothesis import strategies as st

from faultgym.agents.models.formats import FORMATS
from faultgym.agents.models.history import assistant_message, extra_of
from faultgym.agents.models.replicas import UnreadableReply
from faultgym.agents.models.reply import read_reply
from faultgym.agents.policy import Opening
from faultgym.agents.rollouts.engine import rollout
from faultgym.agents.rollouts.plan import RolloutPlan, RolloutRequest
from faultgym.agents.storage.store import RunDirectory
from faultgym.agents.traces.trace import Trace
from faultgym.core.json import canonical
from faultgym.envs.limits import Limits
from faultgym.envs.messages.turn import Observation, Turn
from faultgym.envs.simulation import heard_after
from faultgym.training.builds.pair_options import PairOptions
from faultgym.training.builds.pairs import build_pairs
from faultgym.training.forks.fork import Forks

TEXTS = st.sampled_from(
    [
        "",
        " ",
        "Grüße",
        "<think>hm</think>Well",
        "hm</think>",
        '<tool_call>{"name": "http", "arguments": {"n": 1e400}}</tool_call>',
        '<think>a</think>\n<tool_call>\n{"name": "look"',
        '{"name": "http", "parameters": {"path": "/v1"}}',
        '[TOOL_CALLS]http[ARGS]{"path": "/v1"}',
        '{"reasoning": 1}',
    ]
)
VALUES = st.sampled_from([None, "", "x", 0, 1.5, True, [], [1], {}, {"google": {"thought_signature": "E+"}}, 2**63])
ARGUMENTS = st.sampled_from(
    [None, "", "{}", '{"method": "GET", "path": "/v1/books"}', '{"a": 1.0, "b": 1e99}', "{not", "[1]", '"x"', {"a": 1}]
)
CALLS = st.fixed_dictionaries(
    {"id": st.sampled_from(["", "call_1", "x" * 99]), "type": st.just("function")},
    optional={
        "function": st.fixed_dictionaries(
            {"name": st.sampled_from(["http", "", "get order", None]), "arguments": ARGUMENTS},
            optional={"extra": VALUES},
        ),
        "extra_content": VALUES,
        "index": st.integers(0, 3),
    },
)
MESSAGES = st.fixed_dictionaries(
    {"role": st.just("assistant")},
    optional={
        "content": st.none() | TEXTS | st.just([{"type": "text", "text": "part"}]),
        "tool_calls": st.lists(CALLS, max_size=2),
        "reasoning": st.none() | TEXTS,
        "reasoning_content": st.none() | TEXTS,
        "reasoning_details": st.just([{"type": "reasoning.encrypted", "data": "abc"}]),
        "thoughts_in": VALUES,
        "refusal": VALUES,
    },
)


def replied(message) -> bytes:
    """The message as a server's reply, counted so that nobody takes it for a dead one's."""
    whole = {"choices": [{"message": message, "finish_reason": "stop"}], "usage": {"completion_tokens": 3}}
    return http(orjson.dumps(whole))


async def live(messages, made, stub, folder):
    plan = make_plan(1, limits=Limits(turns=len(messages) + 1), faults=("clean",))
    plan = replace(plan, episodes=plan.episodes[:1])
    await rollout(plan, made, folder, sleep=no_sleep)
    (record,) = RunDirectory.open(folder).records()
    return Trace.from_record(record), [request.raw for request in stub.requests]


async def resumed(trace, turn, made, stub) -> bytes:
    """What is asked at a turn by an actor that is given the turns before out of the stored trace."""
    actor = made.resume(Opening(trace.opening, trace.tools, trace.seeds.policy), trace.steps[:turn])
    await actor.act(Observation(heard_after(trace.steps[turn - 1])), trace.tools_at(turn))
    return stub.requests[-1].raw


@settings(deadline=None, max_examples=examples(60))
@given(st.lists(MESSAGES, min_size=1, max_size=3), st.sampled_from(["server", "hermes", "llama3", "mistral"]))
def test_a_resumed_chat_is_the_live_one_byte_for_byte(players, tmp_path_factory, messages, format):
    async def run():
        async with Stub(lambda r: replied(messages[min(r.turn, len(messages) - 1)])) as stub:
            made = policy(stub, query=f"?format={format}&confidence=yes")
            trace, sent = await live(messages, made, stub, tmp_path_factory.mktemp("runs") / "run")
            again = [await resumed(trace, turn, made, stub) for turn in range(1, len(sent))]
        return sent[1:], again

    sent, again = asyncio.run(run())
    assert again == sent


@settings(deadline=None, max_examples=examples(200))
@given(MESSAGES, st.sampled_from([None, "hermes", "llama3", "mistral"]))
def test_a_message_goes_back_as_it_came(message, format):
    try:
        read = read_reply(replied(message).partition(b"\r\n\r\n")[2], FORMATS[format] if format else None)
    except UnreadableReply:  # nothing in it
        return
    turn = replace(read.turn, extra=extra_of(read.turn, read.message))
    back = assistant_message(turn)
    assert canonical(back) == canonical(read.message)
    for name, value in message.items():
        if name not in ("tool_calls", "content") and value is not None and value != []:
            assert back[name] == value
    for call in back.get("tool_calls", ()):
        assert isinstance(orjson.loads(call["function"]["arguments"]), dict)
        assert call["function"]["name"]


@pytest.mark.parametrize("answer", [servers.wants_signatures, servers.wants_null, servers.reads_arguments])
def test_a_server_that_is_strict_about_its_history_is_given_what_it_gave(players, tmp_path, answer):
    (stub,) = rolled_out(answer, tmp_path / "run", make_plan(2, faults=("clean",)))
    assert all(trace.harness_error is None for trace in traces(tmp_path / "run"))
    assert any(len(trace.steps) > 1 for trace in traces(tmp_path / "run"))

    async def again():
        async with Stub(answer) as other:
            made = policy(other)
            return [await resumed(t, n, made, other) for t in traces(tmp_path / "run") for n in range(1, len(t.steps))]

    bodies = asyncio.run(again())
    assert bodies
    assert set(bodies) <= {request.raw for request in stub.requests}


@pytest.mark.parametrize(
    ("turn", "message"),
    [
        (Turn("Hi"), {"role": "assistant", "content": "Hi"}),
        (Turn("", reasoning="hm"), {"role": "assistant", "content": "", "reasoning_content": "hm"}),
        (Turn("Hi", extra="no json"), {"role": "assistant", "content": "Hi"}),
        (Turn("Hi", extra='{"fields": 3, "calls": 4, "thoughts_in": 5}'), {"role": "assistant", "content": "Hi"}),
        (
            Turn("Hi", extra='{"fields": {"content": null, "refusal": "no"}}'),
            {"role": "assistant", "content": None, "refusal": "no"},
        ),
    ],
)
def test_turns_that_no_server_took_have_a_message_too(turn, message):
    assert assistant_message(turn) == message


def test_what_a_server_signed_goes_to_no_other_model(players, tmp_path):
    """A fork of its trace that another model goes on from."""
    rolled_out(servers.wants_signatures, tmp_path / "run", make_plan(1, faults=("clean",)))
    (trace, *_) = [t for t in traces(tmp_path / "run") if len(t.steps) > 1]

    async def asked(model):
        async with Stub(lambda r: said("done")) as stub:
            made = replace(policy(stub), model=model)
            with Forks(trace) as forks:
                await forks.sampled(1, made, 0, made.describe())
            return b"thought_signature" in stub.requests[-1].raw

    assert asyncio.run(asked("m"))
    assert not asyncio.run(asked("another"))


def test_a_chat_that_the_server_refuses_costs_a_build_that_trace_and_no_other(players, tmp_path):
    asked = RolloutRequest(("bookshelf",), "train", per_template=2, faults=("clean",), answers="text")
    (stub,) = rolled_out(lambda r: said("I cannot."), tmp_path / "run", RolloutPlan.make(asked))
    first = stub.requests[0].messages[1]["content"]

    def answer(request):
        if request.messages[1]["content"] == first:
            return servers.problem(400, "messages: unexpected role")
        return servers.librarian(request)

    async def built():
        async with Stub(answer) as other:
            options = PairOptions(policy=f"openai:m@{other.url}?retries=0", samples=1)
            return await asyncio.to_thread(build_pairs, [tmp_path / "run"], tmp_path / "pairs", options)

    report = asyncio.run(built())
    assert report.rejected["refused"] == 1
    assert report.traces == len(stub.requests)
    assert sum(report.choice.found.values()) > 0
