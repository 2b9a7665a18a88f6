"""The parts of `faultgym bench vllm` that need no vLLM: what is counted, what is asked again, and the verdict."""

import asyncio
from collections import Counter
from pathlib import Path

import orjson
import pytest
from helpers.stub_openai import Request, Stub, said

from benchmarks.vllm import Lap, played, replayed, table
from faultgym.agents.models.server import Server
from faultgym.core.errors import HarnessError


def answer(request: Request) -> bytes:
    """Two turns of seven tokens, and the last of three."""
    if request.turn == 2:
        return said("That is all.", token_ids=[1, 2, 3])
    return said("", ("sql", {"query": "SELECT 1"}), token_ids=list(range(7)))


def server(stub: Stub) -> Server:
    return Server("m", stub.url, Path("no.log"), None)


def test_the_flat_batch_asks_what_the_rollout_asked_all_at_once(tmp_path):
    async def run():
        async with Stub(answer) as stub:
            whole, thick, record = await played(server(stub), 1, tmp_path / "run")
            asked, stub.requests[:] = list(stub.requests), []
            flat = await replayed(server(stub), record.bodies)
            return whole, thick, flat, asked, stub.requests

    whole, thick, flat, asked, again = asyncio.run(run())
    episodes = sum(request.turn == 0 for request in asked)
    assert len(asked) == 3 * episodes
    assert Counter(orjson.dumps(r.body) for r in asked) == Counter(orjson.dumps(r.body) for r in again)
    assert whole.tokens == flat.tokens == 17 * episodes
    assert thick.tokens <= whole.tokens
    assert thick.seconds <= whole.seconds


def test_a_server_that_counts_no_tokens_is_refused(tmp_path):
    async def run():
        async with Stub(lambda request: said("Done.")) as stub:
            await played(server(stub), 1, tmp_path / "run")

    with pytest.raises(HarnessError, match="this bench needs vLLM"):
        asyncio.run(run())


def test_each_lap_is_compared_with_the_flat_batch_of_its_own_requests():
    whole, thick, flat = [Lap(90, 1), Lap(100, 1)], [Lap(80, 0.8), Lap(90, 0.9)], [Lap(100, 1), Lap(100, 0.5)]
    first, second = table("tiny", "vllm-cpu", whole, thick, flat)
    assert (first.measured, first.bound, first.ok) == (pytest.approx(0.7), ">= 0.9", False)
    assert second.measured == pytest.approx((1.0 + 0.5) / 2)
    assert "its end took 15% of the time" in second.note
