"""`faultgym import`: take in chat logs and spans from elsewhere, and prove those that name a task."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from faultgym.agents.imports.registry import AUTO, DIALECTS
from faultgym.agents.imports.taking import VERIFIED, take
from faultgym.cli.support.calling import command
from faultgym.envs.render import neutralised, shortened

SHOWN = 20
"""Refusals that are printed; the folder's refused.jsonl holds them all."""


def import_logs(
    paths: Annotated[list[Path], typer.Argument(help="Log files, or folders of .json, .jsonl and .ndjson files.")],
    out: Annotated[Path, typer.Option(help="The folder for what is imported; it may hold earlier imports.")] = Path(
        "runs/imported"
    ),
    format: Annotated[
        str, typer.Option(help=f"The dialect: {', '.join(DIALECTS)}; auto tells it by what a file holds.")
    ] = AUTO,
) -> None:
    """Take in chat logs and spans, in the dialects that docs/other-sources.md lists, marked unverified.

    A chat that names a task of faultgym is re-executed; when every result comes out the same, its trace
    is stored in OUT/verified. Exits with 1 when anything was refused, with 2 when a file gave no chat at all.
    """
    shown = {"refused": 0, "unproven": 0}

    def tell(label: str, what: str) -> None:
        shown[label] += 1
        if shown[label] <= SHOWN:
            print(f"{label}: {shortened(neutralised(what), 500)}", file=sys.stderr)

    taken = take(
        paths,
        out,
        format,
        lambda what: tell("refused", str(what)),
        lambda chat: tell("unproven", f"{chat.source.file}:{chat.source.line}: {chat.difference}"),
    )
    if taken.refused > SHOWN:
        print(f"and {taken.refused - SHOWN} more refused: {out / 'refused.jsonl'}", file=sys.stderr)
    if taken.differing > SHOWN:
        print(f"and {taken.differing - SHOWN} more unproven: `difference` in {out / 'traces'}", file=sys.stderr)
    chats = taken.verified + taken.unverified
    parts = [f"{chats} chats", f"{taken.verified} verified by re-execution"]
    parts += [f"{taken.differing} came out otherwise"] if taken.differing else []
    plain = taken.unverified - taken.differing
    parts += [f"{plain} without a task"] if plain else []
    parts += [f"{taken.known} known already"] if taken.known else []
    parts += [f"{taken.refused} refused"] if taken.refused else []
    print(f"{', '.join(parts)}; in {out}")
    if taken.verified:
        print(f"next: {command('score', out / VERIFIED)}")
    if taken.empty:
        raise typer.Exit(2)
    if taken.refused:
        raise typer.Exit(1)
