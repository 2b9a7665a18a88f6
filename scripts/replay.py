"""`faultgym replay`: play stored traces again, and prove them or name the first difference."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from faultgym.agents.traces.replay import ReplayResult
from faultgym.agents.traces.replay import replay as replayed
from faultgym.cli.support.stored import chosen


def replay(
    run: Annotated[Path, typer.Argument(help="A run's folder, or a file of traces, one per line.")],
    episode: Annotated[str, typer.Option("--episode", help="Only the episode whose id begins with this.")] = "",
    go_on: Annotated[bool, typer.Option("--all", help="Replay all traces, also after the first that differs.")] = False,
) -> None:
    """Re-execute stored traces: each is proven, or the first difference is named.

    A trace that was recorded under an earlier revision of a fault kind may have no proof: that is said, and is no
    difference. Exits with 1 when a trace is not what it says.
    """
    proven, differing, notes = 0, 0, dict[str, int]()
    for trace in chosen(run, episode):
        result = replayed(trace)
        for note in (*result.notes, *([result.recorded] if result.recorded else ())):
            notes[note] = notes.get(note, 0) + 1
        if result.proven:
            proven += 1
            continue
        if result.difference is None:
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
