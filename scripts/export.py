"""`faultgym export`: write traces as chat logs or spans, for other tools."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from faultgym.agents.imports.exports.registry import EXPORTS
from faultgym.agents.traces.trace import Trace
from faultgym.cli.support.stored import stored_traces


def export(
    run: Annotated[Path, typer.Argument(help="A run's folder, or a file of traces, one per line.")],
    out: Annotated[Path, typer.Option(help="The file to write.")],
    format: Annotated[str, typer.Option(help=f"What to write: {', '.join(EXPORTS)}.")],
) -> None:
    """Write stored traces in the form that others read. `faultgym import` reads them back and proves them.

    Traces without a turn (the harness failed before it) are left out.
    """
    left_out = 0

    def with_turns() -> Iterator[Trace]:
        nonlocal left_out
        for trace in stored_traces(run):
            if trace.steps:
                yield trace
            else:
                left_out += 1

    written = EXPORTS.named(format).write(with_turns(), out)
    print(f"{written} traces in {out}" + (f"; {left_out} without a turn were left out" if left_out else ""))
