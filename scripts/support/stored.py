"""Stored traces as verbs take them: a run's folder or a file, and the beginning of an episode's id."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from faultgym.agents.storage.lines import damaged, parse
from faultgym.agents.storage.segment import read_lines
from faultgym.agents.storage.store import RunDirectory
from faultgym.agents.traces.trace import Trace
from faultgym.cli.support.calling import command
from faultgym.core.errors import TraceError, UserError
from faultgym.core.json import JSON

LISTED_IDS = 5
"""Ids that are named where the beginning of one fits several."""


def chosen(run: Path, episode: str) -> Iterator[Trace]:
    """The traces whose ids begin with `episode`; all for an empty text.

    Args:
        run: A run's folder, or a file that `compact` wrote.
        episode: The beginning of an id.

    Raises:
        UserError: There is none, or what `stored_traces` raises.
    """
    found = 0
    for trace in stored_traces(run, episode):
        found += 1
        yield trace
    if not found:
        what = f"no episode whose id begins with {episode!r}" if episode else "no traces yet"
        raise UserError(f"{run} holds {what}")


def one_trace(run: Path, episode: str) -> Trace:
    """The one trace whose id is, or begins with, `episode`.

    Args:
        run: A run's folder, or a file that `compact` wrote.
        episode: An id, or the beginning of one.

    Raises:
        UserError: There is none, or there are several; the message lists them.
    """
    found = []
    for trace in stored_traces(run, episode):
        if trace.episode_id == episode:
            return trace
        found.append(trace)
    if not found:
        listing = command("show", run)
        raise UserError(f"{run} has no episode whose id begins with {episode[:100]!r}: `{listing}` lists them")
    if len(found) > 1:
        ids = ", ".join(trace.episode_id for trace in found[:LISTED_IDS])
        more = f" and {len(found) - LISTED_IDS} more" if len(found) > LISTED_IDS else ""
        raise UserError(f"{len(found)} episodes of {run} begin with {episode!r}: give more of one's id: {ids}{more}")
    return found[0]


def stored_traces(run: Path, episode: str = "") -> Iterator[Trace]:
    """The traces of a run's folder, or of a file that `compact` wrote, whose id begins with `episode`.

    Args:
        run: The folder or the file.
        episode: The beginning of an id; empty for all.

    Raises:
        UserError: There is neither.
        TraceError: A line holds no trace; the message names file and line.
    """
    for place, record in _located(run):
        if record["episode_id"].startswith(episode):
            yield trace_at(place, record)


def trace_at(place: str, record: JSON) -> Trace:
    """The trace in a record.

    Args:
        place: Where the record stands, such as `runs/x.jsonl:3`.
        record: JSON values.

    Raises:
        TraceError: The record is no trace; the message names the place.
    """
    try:
        return Trace.from_record(record)
    except TraceError as error:
        raise TraceError(f"{place}: {error}") from None


def _located(run: Path) -> Iterator[tuple[str, JSON]]:
    if run.is_dir():
        yield from RunDirectory.open(run).located()
        return
    if not run.exists():
        raise UserError(f"{run} does not exist; name a run's folder, such as runs/x, or a file of traces")
    for number, _, line in read_lines(run):
        try:
            record = parse(line)
        except ValueError as error:
            raise damaged(run, number, error) from error
        yield f"{run}:{number}", record
