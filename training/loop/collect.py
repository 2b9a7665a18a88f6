"""Failures put right (`corrections`) and stored: traces like any other, in a run of their own, for `build_sft`."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import orjson

from faultgym.agents.storage.store import RunDirectory
from faultgym.agents.traces.trace import Trace
from faultgym.core.files import atomic_file
from faultgym.core.json import JSON
from faultgym.eval.scoring.runs import located_traces
from faultgym.training.filters.rejection import Rejected
from faultgym.training.forks.fork import is_scripted
from faultgym.training.forks.positives import Sources
from faultgym.training.forks.sampler import Sampler
from faultgym.training.forks.waiting import in_turn
from faultgym.training.preferences.corrections import put_right
from faultgym.training.preferences.pairs import TOGETHER

SUMMARY = "summary.json"
ITSELF, OWN, EXPERT = "itself", "own", "expert"
"""Worth imitating as it is; put right by a sample of the policy's own; by the expert. Else: the reason why not."""


def collect(rollout: Path, work: Path, sources: Sources) -> Path:
    """Make a run of corrected traces, with a summary of who corrected how many; resumes where a killed process stopped.

    Args:
        rollout: The run whose traces are corrected.
        work: Where notes and the result are written.
        sources: Who makes the continuations, and whose are preferred.

    Returns:
        The run's folder, `work/collect`, with `summary.json`.

    Raises:
        UserError: Another process is at it, the folder cannot be written, or the policy cannot go on from a fork.
        HarnessError: The policy's server failed.
    """
    notes, out = work / "notes", work / "collect"
    found = RunDirectory.open(notes) if (notes / "plan.json").exists() else RunDirectory.create(notes, {})
    with found.lock():
        found.repair()
        done = found.committed()
        sampler = sources.sampler()
        pending = (t for _, t in located_traces(RunDirectory.open(rollout)) if t.episode_id not in done)
        with found.writer("main", batch=1) as writer:
            for record in in_turn((_noted(t, sources, sampler) for t in pending), 1 if sampler is None else TOGETHER):
                writer.append(record)
    return _written(found, rollout, out)


async def _noted(trace: Trace, sources: Sources, sampler: Sampler | None) -> JSON:
    """What came of one trace, under its own episode id."""
    made = await put_right(trace, sources, sampler=sampler)
    if isinstance(made, Rejected):
        return {"episode_id": trace.episode_id, "by": made.reason, "trace": None}
    if made.trace is trace:
        return {"episode_id": trace.episode_id, "by": ITSELF, "trace": None}
    by = EXPERT if is_scripted(made.trace.policy) else OWN
    return {"episode_id": trace.episode_id, "by": by, "trace": made.trace.to_record()}


def _written(found: RunDirectory, rollout: Path, out: Path) -> Path:
    """The run, always in the same order, and the summary."""
    shutil.rmtree(out, ignore_errors=True)
    notes = {record["episode_id"]: record for record in found.records()}
    made = RunDirectory.create(out, {"kind": "corrections", "of": RunDirectory.open(rollout).plan.get("fingerprint")})
    with made.writer("main") as writer:
        for record in _in_order(notes):
            writer.append(record)
    counts = Counter(str(note["by"]) for note in notes.values())
    with atomic_file(out / SUMMARY) as file:
        file.write(orjson.dumps(dict(sorted(counts.items())), option=orjson.OPT_APPEND_NEWLINE))
    return out


def _in_order(notes: dict[str, JSON]) -> Iterator[JSON]:
    for _, note in sorted(notes.items()):
        if note["trace"] is not None:
            yield note["trace"]
