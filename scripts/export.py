"""`faultgym export`: write traces as chat logs or spans, for other tools."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import orjson
import typer

from faultgym.agents.imports.exports import openai_log, otlp_log
from faultgym.cli.support.stored import stored_traces
from faultgym.core.files import atomic_file


def export(
    run: Annotated[Path, typer.Argument(help="A run's folder, or a file of traces, one per line.")],
    out: Annotated[Path, typer.Option(help="The file to write: one record on each line.")],
    format: Annotated[Literal["openai", "otel"], typer.Option(help="Chat logs, or OTLP JSON with GenAI spans.")],
) -> None:
    """Write stored traces in the form that others read. `faultgym import` reads them back and proves them.

    Traces without a turn (the harness failed before it) are left out.
    """
    write = openai_log if format == "openai" else otlp_log
    written = left_out = 0
    with atomic_file(out) as file:
        for trace in stored_traces(run):
            if not trace.steps:
                left_out += 1
                continue
            file.write(orjson.dumps(write(trace), option=orjson.OPT_APPEND_NEWLINE))
            written += 1
    print(f"{written} traces in {out}" + (f"; {left_out} without a turn were left out" if left_out else ""))
