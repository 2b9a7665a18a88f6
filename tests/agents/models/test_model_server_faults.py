"""Every way in which a model server fails, every way in which it may speak, and how much it is asked at a time."""

import asyncio
from functools import partial

import orjson
import pytest
from helpers.levels import examples
from helpers.served import OPENING, TOOLS, actor, compacted, make_plan, no_sleep, one_turn, policy, rolled_out, traces
from helpers.stub_openai import Hang, Stub, http, librarian, problem, said
from hypothesis import given, settings
from hypothesis import strategies as st

from faultgym.agents.models.openai import policy_from
from faultgym.agents.models.replicas import ReplicaPool, RetryPolicy
from faultgym.agents.models.reply import read_reply
from faultgym.agents.registry import policy_named
from faultgym.agents.rollouts.engine import rollout
from faultgym.agents.rollouts.plan import RolloutPlan, RolloutRequest
from faultgym.agents.rollouts.stop import Stop
from faultgym.agents.rollouts.workers import rollout_in_processes
from faultgym.core.errors import HarnessError
from faultgym.envs.limits import Limits
from faultgym.envs.messages.turn import Turn

# ---- what ends in a harness error ------------------------------------------------------------------------


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 422])
def test_a_refusal_that_is_no_fault_of_the_chat_is_a_harness_error_at_once(status):
    stub = None

    async def run():
        nonlocal stub
        async with Stub(lambda r: problem(status, "the model `m` does not exist")) as stub:
            await actor(policy(stub)).act(OPENING, TOOLS)

    with pytest.raises(HarnessError, match=f"{status}.*does not exist"):
        asyncio.run(run())
    assert len(stub.requests) == 1


def test_retries_wait_longer_and_longer_but_not_beyond_the_cap_and_obey_the_server():
    waits = []

    async def sleep(seconds):
        waits.append(seconds)

    patience = RetryPolicy(retries=9, first_wait=1, longest_wait=8)
    with pytest.raises(HarnessError, match=r"failed 10 times, at last .*503"):
        one_turn(lambda r: problem(503), patience=patience, sleep=sleep)
    steps = [1, 2, 4, 8, 8, 8, 8, 8, 8]
    assert all(step / 2 <= wait <= step for wait, step in zip(waits, steps, strict=True))
    assert len({wait / step for wait, step in zip(waits, steps, strict=True)}) == 9
    first, waits[:] = list(waits), []
    with pytest.raises(HarnessError):
        one_turn(lambda r: problem(503), patience=patience, sleep=sleep)
    assert waits == first
    waits.clear()
    with pytest.raises(HarnessError):
        one_turn(lambda r: problem(429, retry_after="17"), patience=RetryPolicy(retries=1), sleep=sleep)
    assert waits == [17]


def test_a_server_that_never_answers_runs_into_the_timeout():
    with pytest.raises(HarnessError, match="no reply within"):
        one_turn(lambda r: Hang(), patience=RetryPolicy(retries=1, timeout=0.01))


def test_the_limit_in_wall_seconds_ends_an_episode_that_waits_for_a_server(players, tmp_path):
    plan = make_plan(1, limits=Limits(wall_seconds=0.01))
    rolled_out(lambda r: Hang(), tmp_path / "run", plan=plan)
    assert {trace.stop for trace in traces(tmp_path / "run")} == {"wall_limit"}


def test_a_stop_ends_the_wait_for_a_server_that_is_away(players, tmp_path):
    stop = Stop()

    async def sleep(seconds):
        stop.ask()
        await asyncio.Event().wait()

    async def run():
        async with Stub(lambda r: None) as stub:
            made = policy(stub, sleep=sleep)
            return await asyncio.wait_for(rollout(make_plan(), made, tmp_path / "run", stop=stop), 60)

    progress = asyncio.run(run())
    assert (progress.done, progress.pending) == (0, progress.planned)


def test_a_stop_ends_the_requests_under_way_of_a_server_that_never_answers(players, tmp_path):
    stop, plan = Stop(), make_plan()

    def answer(request):
        if len(stub.requests) == len(plan.episodes):
            stop.ask()
        return Hang()

    async def run():
        nonlocal stub
        async with Stub(answer) as stub, asyncio.timeout(20):
            made = policy(stub, patience=RetryPolicy(timeout=600))
            return await rollout(plan, made, tmp_path / "run", in_flight=len(plan.episodes), stop=stop)

    stub = None
    progress = asyncio.run(run())
    assert (progress.done, progress.pending) == (0, progress.planned)


def test_a_stop_in_the_moment_in_which_the_time_is_over_changes_nothing():
    stop, complaints = Stop(), []

    async def run():
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: complaints.append(context))
        async with asyncio.timeout(0) as limit:
            with stop.ends(limit):
                stop.ask()
                await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        asyncio.run(run())
    assert not complaints


JSONS = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 300) | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["id", "function", "name", "arguments", "text", "content", "logprob", "type"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
CHOICES = st.fixed_dictionaries(
    {},
    optional={
        "message": JSONS
        | st.fixed_dictionaries(
            {}, optional=dict.fromkeys(("content", "tool_calls", "reasoning", "reasoning_content"), JSONS)
        ),
        "finish_reason": JSONS,
        "token_ids": JSONS,
        "logprobs": JSONS,
    },
)
BODIES = st.binary(max_size=200) | st.builds(
    lambda choices, ids: orjson.dumps({"choices": choices, "prompt_token_ids": ids}), JSONS | st.lists(CHOICES), JSONS
)
RESPONSES = (
    st.binary(max_size=300)
    | st.builds(http, BODIES, st.sampled_from([200, 204, 206, 302, 400, 418, 429, 500, 599]))
    | st.builds(lambda body, cut: http(body)[:cut], BODIES, st.integers(0, 300))
    | st.builds(lambda body: b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + body, st.binary(max_size=60))
)


@settings(deadline=None, max_examples=examples(150))
@given(RESPONSES, st.sampled_from(["server", "hermes", "llama3", "mistral", "deepseek"]))
def test_whatever_bytes_a_server_returns_only_a_turn_or_a_harness_error_comes_of_it(response, format):
    async def run():
        async def serve(reader, writer):
            await reader.read(65536)
            writer.write(response)
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        made = policy_from(f"m@http://127.0.0.1:{port}?format={format}&confidence=yes&retries=0", {})
        one = actor(made)
        try:
            turn = await one.act(OPENING, TOOLS)
            assert isinstance(turn, Turn)
            assert orjson.loads(one._chat + b"]}")["messages"][-1]["role"] == "assistant"
        except HarnessError:
            pass
        finally:
            server.close()

    asyncio.run(run())


# ---- HTTP as servers speak it ----------------------------------------------------------------------------

WHOLE = said("done").partition(b"\r\n\r\n")[2]


@pytest.mark.parametrize(
    "response",
    [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(WHOLE), WHOLE),
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\n9;x=y\r\n%b\r\n%X\r\n%b\r\n0\r\nTrailer: 1\r\n\r\n"
        % (WHOLE[:9], len(WHOLE) - 9, WHOLE[9:]),
        b"HTTP/1.0 200 OK\r\n\r\n" + WHOLE,
        b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + WHOLE,
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length:%d\r\n\r\n%b" % (len(WHOLE), WHOLE),
        http(WHOLE, 200, Connection="close"),
    ],
)
def test_a_reply_is_read_in_each_of_the_ways_in_which_http_frames_it(response):
    turn, stub = one_turn(lambda r: response)
    assert turn.text == "done"
    assert len(stub.requests) == 1


# ---- how much a server is asked at a time ----------------------------------------------------------------


def test_a_server_that_takes_only_eight_at_a_time_serves_them_all(players, tmp_path):
    refused = []

    async def run():
        def answer(request):
            if stub.together > 8:
                refused.append(request.number)
                return problem(429, "too many")
            return librarian(request)

        async with Stub(answer) as stub:
            made = policy(stub, patience=RetryPolicy(retries=40))
            await rollout(make_plan(32), made, tmp_path / "run", in_flight=128, sleep=no_sleep)
            (pool,) = made._pools.values()
            return pool.replicas[0].limiter, len(stub.requests)

    limiter, asked = asyncio.run(run())
    assert refused
    assert limiter.limit < 64
    assert len(refused) < asked / 2
    assert not any(trace.harness_error for trace in traces(tmp_path / "run"))


def test_a_server_at_which_requests_stand_in_a_queue_is_sent_fewer():
    now = [0.0]

    async def run():
        def answer(request):
            now[0] += 6.0
            return said("done")

        async with Stub(answer) as stub:
            pool = ReplicaPool((stub.url,), "/chat/completions", "", RetryPolicy(timeout=10), no_sleep, lambda: now[0])
            (replica,) = pool.replicas
            replica.limiter.inside = 3  # others that are under way
            await pool.ask(replica, b"{}", read_reply)
            replica.connections.close()
            return replica.limiter.limit

    assert asyncio.run(run()) == 2


def test_worker_processes_make_the_policy_anew_from_its_name(tmp_path):
    plan = RolloutPlan.make(RolloutRequest(templates=("order_status",), per_template=4))
    query = "?prompt=few_shot&confidence=yes"

    async def run(folder, workers):
        async with Stub(lambda r: said("I cannot say.\nConfidence: 10%")) as stub:
            make = partial(policy_named, f"openai:m@{stub.url}{query}")
            if workers == 1:
                await rollout(plan, make(), folder)
            else:
                await asyncio.to_thread(rollout_in_processes, plan, make, folder, workers=workers)

    for workers in (1, 2):
        asyncio.run(run(tmp_path / f"w{workers}", workers))
    assert compacted(tmp_path / "w1") == compacted(tmp_path / "w2")
    assert {trace.steps[0].turn.confidence for trace in traces(tmp_path / "w1")} == {0.1}


def test_a_rate_limit_in_tokens_is_no_full_context():
    refusal = problem(429, "Rate limit: the maximum number of tokens per minute was exceeded")
    with pytest.raises(HarnessError, match="429"):
        one_turn(lambda r: refusal, patience=RetryPolicy(retries=1))
    turn, _ = one_turn(lambda r: problem(500, "the request exceeds the available context size"))
    assert turn.finish_reason == "context_overflow"
