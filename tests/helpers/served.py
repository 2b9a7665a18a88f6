"""What the tests of the openai policy share: a policy of stubs, an actor, a whole run."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from threading import Thread

from faultgym.agents.models.openai import OpenAIPolicy, policy_from
from faultgym.agents.models.replicas import RetryPolicy
from faultgym.agents.policy import Opening
from faultgym.agents.rollouts.engine import rollout
from faultgym.agents.rollouts.plan import RolloutPlan, RolloutRequest
from faultgym.agents.storage.store import RunDirectory
from faultgym.agents.traces.trace import Trace
from faultgym.envs.messages.turn import Message, Observation, Turn
from faultgym.tools.types import ToolSpec
from helpers.run_folders import compacted
from helpers.stub_openai import Stub

TOOLS = (ToolSpec("look", "Look.", {"type": "object", "properties": {"at": {"type": "string"}}}),)
OPENING = Observation((Message("system", "You are a desk."), Message("user", "Look!")))
FAST = RetryPolicy(retries=3, timeout=30)


async def no_sleep(seconds):
    await asyncio.sleep(0)


def policy(*stubs: Stub, query: str = "", patience: RetryPolicy = FAST, sleep=no_sleep) -> OpenAIPolicy:
    made = policy_from("m@" + ",".join(stub.url for stub in stubs) + query, {})
    return replace(made, patience=patience, sleep=sleep)


def actor(made: OpenAIPolicy, seed: int = 7):
    return made.start(Opening(OPENING.messages, TOOLS, seed))


def one_turn(answer, **options) -> tuple[Turn, Stub]:
    """The first turn that a server so answering gives."""

    async def play():
        async with Stub(answer) as stub:
            return await actor(policy(stub, **options)).act(OPENING, TOOLS), stub

    return asyncio.run(play())


def make_plan(per_template=4, limits=None, faults=("clean", "rough")) -> RolloutPlan:
    asked = RolloutRequest(suites=("bookshelf",), faults=faults, per_template=per_template, answers="text")
    return RolloutPlan.make(asked, limits)


def play(plan, made, folder, **more) -> bytes:
    async def run():
        await rollout(plan, made, folder, sleep=no_sleep, **more)

    asyncio.run(run())
    return compacted(folder)


@contextmanager
def beside(answer) -> Iterator[Stub]:
    """A server in a thread of its own, for what has to run in the main one: the command line takes signals there."""

    async def end():
        stub.kill()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    loop = asyncio.new_event_loop()
    thread = Thread(target=loop.run_forever)
    thread.start()
    stub = Stub(answer)
    try:
        asyncio.run_coroutine_threadsafe(stub.start(), loop).result(30)
        yield stub
    finally:
        asyncio.run_coroutine_threadsafe(end(), loop).result(30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(30)
        loop.close()


def traces(folder) -> list[Trace]:
    return [Trace.from_record(record) for record in RunDirectory.open(folder).records()]


def rolled_out(answer, folder, plan=None, in_flight=16, stubs=1, disturb=None, query=""):
    """Run a plan against servers that answer so; `disturb` is a coroutine function of the servers."""

    async def run():
        servers = [Stub(answer) for _ in range(stubs)]
        for stub in servers:
            await stub.start()
        made = policy(*servers, patience=RetryPolicy(retries=20), query=query)
        upset = asyncio.ensure_future(disturb(servers)) if disturb else None
        await rollout(plan or make_plan(), made, folder, in_flight=in_flight, sleep=no_sleep)
        if upset is not None:
            await upset
        for stub in servers:
            stub.kill()
        return servers

    return asyncio.run(run())
