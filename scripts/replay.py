"""`faultgym replay`: play stored traces again, and prove them or name the first difference."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from faultgym.agents.storage.lines import damaged, parse
from faultgym.agents.storage.segment import read_lines
from faultgym.agents.storage.store import RunDirectory
from faultgym.agents.traces.replay import ReplayResult
from faultgym.agents.traces.replay import replay as replayed
from faultgym.agents.traces.trace import Trace
from faultgym.core.errors import TraceError, UserError
from faultgym.core.json import JSON


def replay(
    run: Annotated[Path, typer.Argument(help="A run's folder, or a file of traces, one per line.")],
    episode: Annotated[str, typer.Option("--episode", help="Only the episode whose id begins with this.")] = "",
    go_on: Annotated[bool, typer.Option("--all", help="Replay all traces, also after the first that differs.")] = False,
) -> None:
    """Re-execute stored traces: each is proven, or the first difference is named.

    Exits with 1 when a trace is not what it says.
    """
    proven, differing, notes = 0, 0, dict[str, int]()
    for trace in chosen(run, episode):
        result = replayed(trace)
        for note in result.notes:
            notes[note] = notes.get(note, 0) + 1
        if result.proven:
            proven += 1
            continue
        differing += 1
        print(shown(result))
        if not go_on:
            break
    for note, count in notes.items():
        print(f"note: {note} ({count} of the traces)")
    print(f"{proven} proven, {differing} not" + ("" if go_on or not differing else "; --all goes on after the first"))
    if differing:
        raise typer.Exit(1)


def shown(result: ReplayResult) -> str:
    """A result as one line."""
    return f"episode {result.episode_id}: {result.difference or 'proven'}"


def chosen(run: Path, episode: str) -> Iterator[Trace]:
    """The traces asked for; raises UserError when there is none."""
    found = 0
    for trace in stored_traces(run, episode):
        found += 1
        yield trace
    if not found:
        what = f"no episode whose id begins with {episode!r}" if episode else "no traces yet"
        raise UserError(f"{run} holds {what}")


def stored_traces(run: Path, episode: str = "") -> Iterator[Trace]:
    """The traces of a run's folder, or of a file that `compact` wrote, whose id begins with `episode`.

    Raises UserError when there is neither, and TraceError with file and line for what is no trace.
    """
    for place, record in _located(run):
        if record["episode_id"].startswith(episode):
            yield trace_at(place, record)


def trace_at(place: str, record: JSON) -> Trace:
    """The trace in a record; raises TraceError that names the place, such as `runs/x.jsonl:3`."""
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
