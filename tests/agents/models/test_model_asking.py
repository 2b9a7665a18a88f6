"""What is asked of servers that know fewer words than vLLM, what they count, and when asking again is given up."""

import asyncio
from dataclasses import replace

import orjson
import pytest
from helpers import reported_servers as servers
from helpers.served import OPENING, TOOLS, actor, make_plan, one_turn, policy, rolled_out, traces
from helpers.stub_openai import Stub, problem, said

from faultgym.agents.models.asking import hint
from faultgym.agents.models.local import LocalPolicy
from faultgym.agents.models.openai import policy_from
from faultgym.agents.models.replicas import RequestRefused, RetryPolicy
from faultgym.agents.models.reply import usage_of
from faultgym.agents.models.sampling import Sampling
from faultgym.agents.traces.trace import Trace
from faultgym.core.errors import HarnessError, UserError
from faultgym.envs.limits import turn_tokens
from faultgym.envs.messages.usage import Usage, summed
from faultgym.eval.scoring.score import Score, score


def test_a_dash_leaves_a_field_to_the_server():
    _, stub = one_turn(lambda r: said("done"), query="?max_tokens=-&temperature=-&top_p=-&seeded=no")
    assert not {"max_tokens", "temperature", "top_p", "seed"} & stub.requests[0].body.keys()
    with pytest.raises(UserError, match="seeded"):
        policy_from("m@http://127.0.0.1:1/v1?seeded=-", {})
    with pytest.raises(UserError, match="needs a temperature"):
        LocalPolicy("hf", "m", lambda *_: None, Sampling(temperature=None))


def test_the_newer_name_for_max_tokens_takes_its_place_and_gives_way_when_the_room_is_short():
    def answer(request):
        return (
            servers.problem(400, "context_length_exceeded") if request.body.get("max_completion_tokens") else said("x")
        )

    _, stub = one_turn(answer, query="?max_completion_tokens=77")
    first, second = (request.body for request in stub.requests)
    assert (first["max_completion_tokens"], "max_tokens" in first) == (77, False)
    assert not {"max_tokens", "max_completion_tokens"} & second.keys()
    assert "max_completion_tokens" not in policy_from("m@http://127.0.0.1:1/v1", {}).describe()["sampling"]


def test_tool_choice_is_sent_only_where_it_is_asked_for():
    for query, sent in (("", None), ("?format=hermes", None), ("?format=llama3", None), ("?tool_choice=none", "none")):
        _, stub = one_turn(lambda r: said("done"), query=query)
        assert stub.requests[0].body.get("tool_choice") == sent
        assert stub.requests[0].body["tools"]
    plain, asked = (policy_from(f"m@http://127.0.0.1:1/v1{q}", {}).describe() for q in ("", "?tool_choice=none"))
    assert asked["request"] == {**plain["request"], "tool_choice": "none"}


def test_a_hosted_reasoning_model_gets_a_hint_and_does_the_tasks_with_it(players, tmp_path):
    with pytest.raises(HarnessError) as raised:
        one_turn(servers.reasons)
    advice = str(raised.value).partition("policy options ")[2].rstrip(")")
    rolled_out(servers.reasons, tmp_path / "run", make_plan(1, faults=("clean",)), query=f"?{advice}")
    assert all(trace.harness_error is None for trace in traces(tmp_path / "run"))
    assert any(trace.verdict.success for trace in traces(tmp_path / "run"))


@pytest.mark.parametrize(
    ("words", "option"),
    [
        ("Unknown parameter: 'return_token_ids'.", "tokens=no"),
        ('"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set', "tool_choice=none"),
        ("tool_choice is not supported", "tool_choice=-"),
        ("Unsupported value: 'temperature' does not support 0 with this model.", "temperature=-"),
        ("Unrecognized request argument supplied: 'seed'", "seeded=no"),
        ("no such model", ""),
    ],
)
def test_a_refused_word_is_answered_with_the_option_that_leaves_it_out(words, option):
    told = hint(RequestRefused(400, words))
    assert option in told
    assert bool(told) == bool(option)


COUNTED = {
    "prompt_tokens": 120,
    "completion_tokens": 30,
    "total_tokens": 150,
    "prompt_tokens_details": {"cached_tokens": 100},
    "completion_tokens_details": {"reasoning_tokens": 20},
}


def test_what_a_server_counts_is_kept_for_each_turn_and_summed(players, tmp_path):
    def answer(request):
        reply = orjson.loads(servers.librarian(request).partition(b"\r\n\r\n")[2])
        return servers.http(orjson.dumps({**reply, "usage": COUNTED}))

    (stub,) = rolled_out(answer, tmp_path / "run", make_plan(2))
    found = traces(tmp_path / "run")
    for trace in found:
        assert {step.turn.usage for step in trace.steps} == {Usage(120, 100, 30, 20)}
        assert Trace.from_line(trace.to_line()) == trace
        assert trace.tokens == 30 * len(trace.steps)
        assert {turn_tokens(step.turn) for step in trace.steps} == {30}
        assert Score.from_record(orjson.loads(orjson.dumps(score(trace).to_record()))).usage == trace.usage
    assert summed(trace.usage for trace in found).prompt == 120 * len(stub.requests)


@pytest.mark.parametrize(
    ("usage", "found"),
    [
        (COUNTED, Usage(120, 100, 30, 20)),
        ({"prompt_tokens": 9, "completion_tokens": 1, "prompt_cache_hit_tokens": 8}, Usage(9, 8, 1, 0)),
        ({"input_tokens": 9, "output_tokens": 1}, Usage(9, 0, 1, 0)),
        ({"prompt_tokens": 9, "completion_tokens": "x", "prompt_tokens_details": None}, Usage(9, 0, 0, 0)),
        ({"prompt_tokens": 5, "prompt_tokens_details": {"cached_tokens": 99}}, Usage(5, 5, 0, 0)),
        ({"prompt_tokens": None, "total_tokens": 0}, None),
        ({"prompt_tokens": -3, "completion_tokens": True}, None),
        ([], None),
        (None, None),
    ],
)
def test_usage_is_read_under_the_names_of_many_servers(usage, found):
    assert usage_of(usage) == found


# ---- when asking again is given up ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer",
    [
        lambda r: problem(500, f"division by zero in request {r.number:08x}"),
        lambda r: problem(501, "not implemented"),
        servers.says_nothing,
        servers.provider_fails,
        lambda r: servers.http(b"<html>maintenance</html>"),
    ],
)
def test_the_same_answer_three_times_is_final(answer):
    asked = []
    with pytest.raises(HarnessError, match="the same answer 3 times"):
        one_turn(lambda r: asked.append(r) or answer(r), patience=RetryPolicy(retries=14))
    assert len(asked) == 3


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_server_that_is_busy_or_starting_may_say_so_many_times(status):
    turn, stub = one_turn(
        lambda r: problem(status, "not yet") if r.number < 9 else said("done"), patience=RetryPolicy(retries=14)
    )
    assert turn.text == "done"
    assert len(stub.requests) == 10


def test_answers_that_differ_are_no_proof_and_one_sick_replica_is_none():
    words = ["one", "two"]
    turn, _ = one_turn(
        lambda r: problem(500, words[r.number % 2]) if r.number < 8 else said("done"), patience=RetryPolicy(retries=14)
    )
    assert turn.text == "done"

    async def run(other):
        async with Stub(lambda r: problem(500, "CUDA error")) as sick, Stub(other) as second:
            made = replace(policy(sick, second), patience=RetryPolicy(retries=9, timeout=30))
            return await actor(made).act(OPENING, TOOLS), len(sick.requests) + len(second.requests)

    assert asyncio.run(run(lambda r: said("done")))[0].text == "done"
    with pytest.raises(HarnessError, match="the same answer 4 times"):
        asyncio.run(run(lambda r: problem(500, "CUDA error")))
