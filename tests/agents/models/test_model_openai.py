"""The openai policy against a real server on loopback: whole runs, replicas, what is sent, what ends in data."""

import asyncio
from array import array

import orjson
import pytest
from helpers.served import OPENING, TOOLS, actor, compacted, make_plan, no_sleep, one_turn, policy, rolled_out, traces
from helpers.stub_openai import OVERFLOW, Request, Stub, http, librarian, problem, said
from hypothesis import given, settings
from hypothesis import strategies as st

from faultgym.agents.models.openai import continued, policy_from
from faultgym.agents.models.replicas import RetryPolicy
from faultgym.agents.rollouts.engine import rollout
from faultgym.core.errors import UserError
from faultgym.envs.limits import Limits
from faultgym.envs.messages.turn import Observation

# ---- whole runs ------------------------------------------------------------------------------------------


def test_a_model_behind_a_server_does_tasks_and_the_traces_are_the_same_at_any_concurrency(players, tmp_path):
    rolled_out(librarian, tmp_path / "one", in_flight=1)
    rolled_out(librarian, tmp_path / "many", in_flight=64)
    assert compacted(tmp_path / "one") == compacted(tmp_path / "many")
    done = traces(tmp_path / "one")
    assert any(trace.verdict.success for trace in done)
    assert {trace.stop for trace in done} <= {"final", "turn_limit"}


def test_a_server_killed_and_restarted_in_the_middle_changes_nothing(players, tmp_path):
    async def disturb(servers):
        (stub,) = servers
        for count in (5, 30):
            while len(stub.requests) < count:
                await asyncio.sleep(0)
            stub.kill()
            await asyncio.sleep(0)
            await stub.start()

    rolled_out(librarian, tmp_path / "calm")
    rolled_out(librarian, tmp_path / "upset", disturb=disturb)
    assert compacted(tmp_path / "calm") == compacted(tmp_path / "upset")


def test_servers_that_fail_at_every_third_request_change_nothing(players, tmp_path):
    ways = [
        lambda: problem(500, "CUDA error"),
        lambda: problem(429, "slow down", retry_after="1"),
        lambda: problem(503, "loading"),
        lambda: None,
        lambda: http(b"{garbage"),
        lambda: librarian_cut,
        lambda: b"HTTP/1.1 200 OK\r\nContent-Length: nine\r\n\r\n",
        lambda: b"SSH-2.0-OpenSSH\r\n\r\n",
        lambda: http(b'{"choices": []}'),
        lambda: b"",
    ]
    librarian_cut = said("never whole")[:-9]

    def answer(request: Request):
        if request.number % 3 == 1:
            return ways[request.number // 3 % len(ways)]()
        return librarian(request)

    rolled_out(librarian, tmp_path / "calm")
    (stub,) = rolled_out(answer, tmp_path / "upset")
    assert len(stub.requests) > 3 * len(ways)
    assert compacted(tmp_path / "calm") == compacted(tmp_path / "upset")


def test_a_server_that_is_gone_for_good_is_a_harness_error_and_never_a_zero(players, tmp_path):
    def answer(request: Request):
        return None if sum(map(ord, request.messages[1]["content"])) % 2 else librarian(request)

    async def run():
        async with Stub(answer) as stub:
            await rollout(make_plan(), policy(stub), tmp_path / "run", sleep=no_sleep)

    asyncio.run(run())
    broken = [trace for trace in traces(tmp_path / "run") if trace.harness_error]
    whole = [trace for trace in traces(tmp_path / "run") if not trace.harness_error]
    assert broken
    assert whole
    assert {(t.verdict, t.stop, t.harness_error.type, t.harness_error.attempts) for t in broken} == {
        (None, "harness_error", "HarnessError", 3)
    }
    assert all(t.verdict is not None for t in whole)


# ---- replicas --------------------------------------------------------------------------------------------


def test_an_episode_stays_with_its_replica_and_the_replicas_share_the_episodes(players, tmp_path):
    servers = rolled_out(librarian, tmp_path / "run", plan=make_plan(16), stubs=3)
    seen = [{orjson.dumps(r.messages[:2]) for r in stub.requests} for stub in servers]
    assert all(seen)
    for stub in servers:
        for request in stub.requests:
            if request.turn:
                assert any(r.turn == 0 and r.messages[:2] == request.messages[:2] for r in stub.requests)


def test_when_a_replica_dies_its_episodes_go_on_with_another(players, tmp_path):
    async def disturb(servers):
        while len(servers[0].requests) < 8:
            await asyncio.sleep(0)
        servers[0].kill()

    rolled_out(librarian, tmp_path / "calm", plan=make_plan(16))
    rolled_out(librarian, tmp_path / "upset", plan=make_plan(16), stubs=2, disturb=disturb)
    assert compacted(tmp_path / "calm") == compacted(tmp_path / "upset")


def test_a_replica_that_answers_nothing_but_errors_loses_its_episodes_to_another():
    """It answers at once, so that it always looks like the least loaded one."""

    async def run():
        async with Stub(lambda r: problem(500)) as sick, Stub(lambda r: said("done")) as sound:
            made = policy(sick, sound, patience=RetryPolicy(retries=5, timeout=30))
            turns = await asyncio.gather(*(actor(made, seed).act(OPENING, TOOLS) for seed in range(6)))
            before = len(sick.requests)
            turns += await asyncio.gather(*(actor(made, seed).act(OPENING, TOOLS) for seed in range(6, 12)))
            return turns, len(sick.requests) - before

    turns, later = asyncio.run(run())
    assert {turn.text for turn in turns} == {"done"}
    assert later == 0


def test_samples_of_one_task_go_to_the_replica_that_knows_its_opening():
    async def run():
        async with Stub(lambda r: said("done")) as one, Stub(lambda r: said("done")) as other:
            made = policy(one, other)
            await asyncio.gather(*(actor(made, seed).act(OPENING, TOOLS) for seed in range(6)))
            return sorted([len(one.requests), len(other.requests)])

    assert asyncio.run(run()) == [0, 6]


def test_requests_share_connections():
    async def run():
        async with Stub(lambda r: said("", ("look", {"at": "x"}))) as stub:
            made = policy(stub)
            for seed in range(3):
                one = actor(made, seed)
                for _ in range(4):
                    await one.act(OPENING, TOOLS)
            return stub.connections, len(stub.requests)

    assert asyncio.run(run()) == (1, 12)


def test_a_policy_outlives_its_event_loop():
    stub = Stub(lambda r: said("done"))
    made = None
    for _ in range(3):

        async def run():
            nonlocal made
            async with stub:
                made = made or policy(stub)
                return await actor(made).act(OPENING, TOOLS)

        assert asyncio.run(run()).text == "done"
    assert stub.connections == 3


# ---- what is sent ----------------------------------------------------------------------------------------


def test_the_next_request_repeats_the_chat_and_adds_what_is_new(players, tmp_path):
    (stub,) = rolled_out(librarian, tmp_path / "run", in_flight=1)
    for before, after in zip(stub.requests, stub.requests[1:], strict=False):
        if after.turn:
            assert after.messages[: len(before.messages)] == before.messages
            asked = after.messages[len(before.messages)]
            assert asked["role"] == "assistant"
            results = after.messages[len(before.messages) + 1 :]
            assert [c["id"] for c in asked["tool_calls"]] == [m["tool_call_id"] for m in results]


def test_a_seed_follows_from_the_episode_and_the_turn_alone():
    async def seeds(seed, query=""):
        async with Stub(lambda r: said("", ("look", {}))) as stub:
            one = actor(policy(stub, query=query), seed)
            for _ in range(3):
                await one.act(OPENING, TOOLS)
            return [r.body.get("seed") for r in stub.requests]

    first = asyncio.run(seeds(1))
    assert first == asyncio.run(seeds(1))
    assert len({*first, *asyncio.run(seeds(2))}) == 6
    assert asyncio.run(seeds(1, "?seeded=no")) == [None] * 3


def test_sampling_prompt_and_guides_reach_the_server():
    query = '?temperature=0.7&top_p=0.9&max_tokens=99&prompt=best&confidence=yes&guided=tags&body={"top_k":5}'
    _, stub = one_turn(lambda r: said("done"), query=query)
    body = stub.requests[0].body
    assert (body["model"], body["temperature"], body["top_p"], body["max_tokens"], body["top_k"]) == (
        "m",
        0.7,
        0.9,
        99,
        5,
    )
    assert body["return_token_ids"] is True
    assert body["logprobs"] is True
    system = body["messages"][0]["content"]
    assert system.startswith("You are a desk.\n\n")
    assert "429" in system
    assert "Confidence: 85%" in system
    (structure,) = body["response_format"]["structures"]
    assert structure["schema"] == TOOLS[0].parameters


def test_a_key_goes_into_the_header_and_nowhere_else():
    async def run():
        async with Stub(lambda r: said("done")) as stub:
            made = policy_from(f"m@{stub.url}", {"OPENAI_API_KEY": "sk-1"})
            await actor(made).act(OPENING, TOOLS)
            return made, stub.requests[0]

    made, request = asyncio.run(run())
    assert request.headers["authorization"] == "Bearer sk-1"
    assert "sk-1" not in repr(made) + str(made.describe()) + str(request.body)


# ---- what ends in data -----------------------------------------------------------------------------------


def test_a_completion_takes_what_room_is_left_where_max_tokens_does_not_fit():
    """As vLLM does: prompt and `max_tokens` together must fit, or the request is refused."""
    turn, stub = one_turn(lambda r: OVERFLOW if "max_tokens" in r.body else said("short"), query="?max_tokens=500")
    assert turn.text == "short"
    assert [r.body.get("max_tokens") for r in stub.requests] == [500, None]


def test_a_server_that_shall_leave_calls_in_the_text_is_not_asked_to_parse_them():
    text = '<|python_tag|>{"name": "look", "parameters": {"at": "it"}}'
    turn, stub = one_turn(lambda r: said(text), query="?format=llama3")
    (request,) = stub.requests
    assert [call.name for call in turn.tool_calls] == ["look"]
    assert request.body["tools"]
    assert request.body["skip_special_tokens"] is False
    assert "tool_choice" not in request.body
    _, stub = one_turn(lambda r: said("done"))
    assert not {"tool_choice", "skip_special_tokens"} & stub.requests[0].body.keys()


def test_tags_are_not_bound_where_the_model_writes_none():
    with pytest.raises(UserError, match="format=llama3 does not write"):
        policy_from("m@http://127.0.0.1:1/v1?format=llama3&guided=tags", {})


def test_a_full_context_ends_the_episode_as_data(players, tmp_path):
    rolled_out(lambda r: OVERFLOW if r.turn else said("", ("http", {})), tmp_path / "run")
    for trace in traces(tmp_path / "run"):
        assert (trace.stop, trace.steps[-1].turn.finish_reason) == ("context_overflow", "context_overflow")
        assert trace.harness_error is None
        assert trace.verdict is not None


@pytest.mark.parametrize(
    ("answer", "finish", "text"),
    [
        (said("The status is", finish="length"), "length", "The status is"),
        (said("", finish="stop"), "stop", ""),
        (said(None, usage={"completion_tokens": 1}), "stop", ""),
        (http(b'{"choices":[{"message":{}}],"usage":{"prompt_tokens":9}}'), "stop", ""),
        (said(None, finish="content_filter"), "content_filter", ""),
    ],
)
def test_a_cut_or_empty_turn_is_a_turn(answer, finish, text):
    turn, _ = one_turn(lambda r: answer)
    assert (turn.finish_reason, turn.text, turn.final) == (finish, text, True)


def test_fifty_calls_in_one_turn_are_all_kept_and_told_apart(players, tmp_path):
    def answer(request):
        return said("", *[("sql", {"query": "SELECT 1"})] * 50) if not request.turn else said("done")

    rolled_out(answer, tmp_path / "run")
    for trace in traces(tmp_path / "run"):
        assert len({record.call.id for record in trace.steps[0].calls}) == 50
        assert len(trace.steps[0].calls) == 50


def test_output_that_never_parses_ends_at_a_limit(players, tmp_path):
    plan = make_plan(limits=Limits(turns=5))
    (stub,) = rolled_out(lambda r: said("", ("sql", "{not json")), tmp_path / "run", plan=plan)
    for trace in traces(tmp_path / "run"):
        assert (trace.stop, trace.harness_error) == ("turn_limit", None)
        assert {r.result.code for r in trace.records} == {"malformed_call"}
    for request in stub.requests:
        for message in request.messages:
            for call in message.get("tool_calls", ()):
                assert orjson.loads(call["function"]["arguments"]) == {"unparsed": "{not json"}


def test_reasoning_is_kept_apart_and_repeated_under_its_name():
    async def run(answer):
        async with Stub(answer) as stub:
            one = actor(policy(stub))
            turns = [await one.act(OPENING, TOOLS), await one.act(Observation(()), TOOLS)]
            return turns[0], stub.requests[1].messages[-1]

    for name in ("reasoning", "reasoning_content"):
        turn, repeated = asyncio.run(run(lambda r, name=name: said("Hello", message={name: "hm"})))
        assert (turn.text, turn.reasoning, repeated[name]) == ("Hello", "hm", "hm")
    turn, repeated = asyncio.run(run(lambda r: said("<think>hm</think>Hello")))
    assert (turn.text, turn.reasoning, repeated["content"]) == ("Hello", "hm", "<think>hm</think>Hello")


def test_confidence_is_taken_out_of_a_final_text():
    turn, _ = one_turn(lambda r: said("It is paid.\n\nConfidence: 85%"), query="?confidence=yes")
    assert (turn.text, turn.confidence) == ("It is paid.", 0.85)
    turn, _ = one_turn(lambda r: said("It is paid.\nConfidence: 85%"))
    assert turn.confidence is None


# ---- token by token --------------------------------------------------------------------------------------


def tokenised(request: Request, drifting: bool) -> bytes:
    """A server whose template writes one token per character, and perhaps forgets what was said."""
    text = "".join(
        f"<{m['role']}>{'' if drifting and m['role'] == 'assistant' else m['content']}" for m in request.messages
    )
    word = f"say {request.turn}"
    call = () if request.turn == 2 else (("http", {}),)
    ids = [ord(c) for c in word]
    content = [{"token": c, "logprob": -0.5} for c in word]
    prompt = [ord(c) for c in text + "<assistant>"]
    return said(word, *call, token_ids=ids, logprobs={"content": content}, prompt_token_ids=prompt)


@pytest.mark.parametrize("drifting", [False, True])
def test_the_ids_of_a_trace_give_every_prompt_back_and_say_where_it_drifted(players, tmp_path, drifting):
    (stub,) = rolled_out(lambda r: tokenised(r, drifting), tmp_path / "run", in_flight=1)
    prompts = []
    for request in stub.requests:
        prompts.append(orjson.loads(tokenised(request, drifting).partition(b"\r\n\r\n")[2])["prompt_token_ids"])
    rebuilt, drifts = [], []
    for trace in traces(tmp_path / "run"):
        chain = []
        for step in trace.steps:
            turn = step.turn
            drifts.append(turn.prompt_kept < len(chain))
            prompt = chain[: turn.prompt_kept] + list(turn.prompt_ids)
            rebuilt.append(prompt)
            chain = prompt + list(turn.token_ids)
            assert len(turn.logprobs) == len(turn.token_ids)
    assert sorted(rebuilt) == sorted(prompts)
    assert any(drifts) == drifting


@settings(deadline=None)
@given(st.lists(st.integers(0, 3)), st.lists(st.integers(0, 3)), st.lists(st.integers(0, 3)))
def test_what_is_kept_and_what_is_new_are_the_prompt(chain, prompt, sampled):
    new, kept, now = continued(array("i", chain), prompt, tuple(sampled))
    assert chain[:kept] + list(new) == prompt
    assert list(now) == prompt + sampled
    assert kept == len(chain) or kept == len(prompt) or chain[kept] != prompt[kept]
