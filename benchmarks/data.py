"""`faultgym bench data`: how fast traces become examples and pairs, and that memory does not grow with their number.

Verification is measured on episodes played for the purpose. What follows it is measured on examples made from a few of
them with other numbers, because nobody has a million traces at hand.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import re
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import orjson

from benchmarks.table import Row
from faultgym.agents.registry import policy_named
from faultgym.agents.rollouts.engine import Engine
from faultgym.agents.traces.spec import EpisodeSpec
from faultgym.agents.traces.trace import Trace
from faultgym.core import bank
from faultgym.envs.limits import Limits
from faultgym.envs.registry import suite_named
from faultgym.training.builds.check import ExampleCheck
from faultgym.training.builds.example_index import ExampleEntry, ExampleIndex
from faultgym.training.builds.shards import write_shards
from faultgym.training.examples import SFTExample, example_of, example_record
from faultgym.training.filters.dedupe import DedupThresholds
from faultgym.training.filters.mix import MixWeights, SampleCaps
from faultgym.training.filters.select import select
from faultgym.training.preferences.pairs import pairs_of
from faultgym.training.rows.rendering import Rendering

SUITE = "orders"
TRACES = 96
"""Episodes that are played and verified."""
FEW, MANY = 10_000, 40_000
"""Examples whose memory is compared."""
BATCH = 500
FAMILY = 512
"""Examples after which the templates get other names, so that no group of what is alike overflows."""
PRIME = 89_989
"""So many numbers of five digits are used; prime, so that millions of examples come before one does again."""
_NUMBER = re.compile(rb"\d{5}")


def data(rounds: int) -> list[Row]:
    """All rows, each taken once: they run for seconds.

    Args:
        rounds: Not used.
    """
    traces = _traces()
    return [*verify_rows(traces), *pair_rows(traces), *build_rows()]


def _traces(count: int = TRACES) -> list[Trace]:
    """The expert's episodes over all templates, under three presets."""
    policy = policy_named("expert")
    engine, names = Engine(policy, Limits()), suite_named(SUITE).names("train")
    specs = (
        EpisodeSpec(f"{SUITE}/{names[n % len(names)]}/train/{n // len(names)}", ("clean", "mild", "rough")[n % 3], n)
        for n in range(count)
    )
    played = (asyncio.run(engine.play(spec, policy.describe())) for spec in specs)
    return [trace for trace in played if trace is not None]


def verify_rows(traces: list[Trace]) -> list[Row]:
    """From a stored line to an example: parsed, replayed, drawn again, scored, compared with the test splits.

    Args:
        traces: The episodes that are verified.
    """
    check = ExampleCheck(test_tasks=2)
    check.held_out(SUITE)
    lines = [orjson.dumps(trace.to_record()) for trace in traces]
    bank.forget("tasks")
    start = time.process_time()
    found = [check.example(line) for line in lines]
    took = (time.process_time() - start) / len(lines)
    examples = sum(isinstance(one, SFTExample) for one in found)
    return [Row("traces verified per core", 1 / took, unit="/s", note=f"{examples} of {len(lines)} are examples")]


def pair_rows(traces: list[Trace]) -> list[Row]:
    """Forks of the same traces, each with continuations that are played.

    Args:
        traces: A quarter of them is forked.
    """
    some = traces[: TRACES // 4]
    bank.forget("tasks")
    start = time.process_time()
    count = sum(len(pairs_of(trace)) for trace in some)
    took = time.process_time() - start
    return [Row("pairs made per core", count / took, unit="/s", note=f"{count} of {len(some)} traces")]


def build_rows() -> list[Row]:
    """De-duplication, choice and writing, and their memory, each size in a process of its own."""
    few, many = built(FEW), built(MANY)
    return [
        Row(
            "examples per core, verified to written",
            many["count"] / many["seconds"],
            unit="/s",
            note=f"{many['rows']:,.0f} of {many['count']:,.0f} written",
        ),
        Row.at_most(
            f"memory with {MANY:,} examples / with {FEW:,}",
            many["mib"] / few["mib"],
            1.15,
            note=f"{many['mib']:.0f} MiB / {few['mib']:.0f} MiB, all libraries included",
        ),
        Row.at_most("memory of one process", many["mib"], 1024, unit="MiB"),
    ]


def built(count: int) -> dict[str, float]:
    """What a data set of so many synthetic examples takes to build, in a fresh process.

    Returns:
        `count`, CPU `seconds`, `rows` written, and `mib` of memory at the highest point.
    """
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_built, (count,))


def _built(count: int) -> dict[str, float]:
    caps, grades = (
        SampleCaps(count, count),
        DedupThresholds(near=2.0),
    )  # nothing is dropped: all has to be carried to the end
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        examples = synthetic(count)
        start = time.process_time()
        with closing(ExampleIndex(Path(folder) / "index.sqlite")) as index:
            fill(index, examples)
            index.choose(grades, caps, MixWeights({}, 0))
            rows_of = Rendering().rows_of()
            rows = (row for example in index.chosen() for row in rows_of(example))
            shards = write_shards(rows, "messages", Path(folder))
        return {
            "count": count,
            "seconds": time.process_time() - start,
            "rows": sum(shard.rows for shard in shards),
            "mib": _peak(),
        }


def fill(index: ExampleIndex, examples: Iterator[SFTExample]) -> None:
    """Put examples into the index, a batch at a time, as verification does.

    Args:
        index: An index without a plan.
        examples: Read one at a time.
    """
    batch: list[ExampleEntry] = []
    index.plan([])
    for example in examples:
        batch.append(ExampleEntry.of(example, 0))
        if len(batch) == BATCH:
            index.finish(0, batch)
            batch = []
    index.finish(0, batch)


def synthetic(count: int) -> Iterator[SFTExample]:
    """So many examples with numbers of their own, from the expert's episodes of each template.

    Args:
        count: How many.

    Yields:
        The examples.
    """
    played = [e for e in map(select, _traces(60)) if isinstance(e, SFTExample)]
    models = [(example_record(e), orjson.dumps(e.messages)) for e in played]
    for n in range(count):

        def moved(found: re.Match[bytes], shift: int = n) -> bytes:
            return b"%05d" % (10_000 + (int(found[0]) + shift) % PRIME)

        record, messages = models[n % len(models)]
        template = f"{record['origin']['template']}_{n // FAMILY}"
        task = f"{SUITE}/{template}/train/{n}"
        origin = record["origin"] | {"episode_id": f"{n:024x}", "template": template, "task": task}
        yield example_of({**record, "messages": orjson.loads(_NUMBER.sub(moved, messages)), "origin": origin})


def _peak() -> float:
    """The most memory that this process had, in MiB."""
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used / 2**20 if sys.platform == "darwin" else used / 2**10
