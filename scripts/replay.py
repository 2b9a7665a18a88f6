"""`faultgym replay`: play stored traces again, and prove them or name the first difference."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from faultgym.agents.lines import damaged, parse
from faultgym.agents.replay import ReplayResult
from faultgym.agents.replay import replay as replayed
from faultgym.agents.segment import read_lines
from faultgym.agents.store import RunDirectory
from faultgym.agents.trace import Trace
from faultgym.tools.errors import UserError
from faultgym.tools.types import JSON


def replay(
    run: Annotated[Path, typer.Argument(help="A run's folder, or a file of traces, one per line.")],
    episode: Annotated[str, typer.Option("--episode", help="Only the episode whose id begins with this.")] = "",
    go_on: Annotated[bool, typer.Option("--all", help="Replay all traces, also after the first that differs.")] = False,
) -> None:
    """Re-execute stored traces: each is proven, or the first difference is named.

    Exits with 1 when a trace is not what it says.
    """
    proven, differing, notes = 0, 0, dict[str, int]()
    for record in chosen(run, episode):
        result = replayed(Trace.from_record(record))
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


def chosen(run: Path, episode: str) -> Iterator[JSON]:
    """The records asked for; raises UserError when there is none."""
    found = 0
    for record in stored_records(run):
        if record["episode_id"].startswith(episode):
            found += 1
            yield record
    if not found:
        what = f"no episode whose id begins with {episode!r}" if episode else "no traces yet"
        raise UserError(f"{run} holds {what}")


def stored_records(run: Path) -> Iterator[JSON]:
    """The records of a run's folder, or of a file that `compact` wrote. Raises UserError when there is neither."""
    if run.is_dir():
        yield from RunDirectory.open(run).records()
        return
    if not run.exists():
        raise UserError(f"{run} does not exist; name a run's folder, such as runs/x, or a file of traces")
    for number, _, line in read_lines(run):
        try:
            record = parse(line)
        except ValueError as error:
            raise damaged(run, number, error) from error
        yield record
