"""What an export form is: one way in which traces are written for others. To add one:

1. Write a file in `agents/imports/exports/` that ends in `EXPORT = ExportForm(...)`: `each_line` where a trace is one
   JSON record, else a function that writes all traces to a path. Its records name the task by `exports.task.named`, so
   that what is imported again can be proven.
2. Name it in `_BUILTIN` of `agents/imports/exports/registry.py`. Another package names it in its entry-point group
   `faultgym.exports` instead.
3. The test of all forms (`tests/agents/imports/test_roundtrip.py`) finds it by itself: exported and imported again,
   every trace is verified.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from faultgym.agents.traces.trace import Trace
from faultgym.core.errors import UserError
from faultgym.core.files import atomic_file


@dataclass(frozen=True, slots=True)
class ExportForm:
    """One way of writing traces for others."""

    summary: str
    """What is written, in half a sentence: stands in the command line's help."""
    write: Callable[[Iterable[Trace], Path], int]
    """Writes traces that have a turn to a path, which appears only when all is written; gives how many there were."""


def each_line(record: Callable[[Trace], Any]) -> Callable[[Iterable[Trace], Path], int]:
    """The `write` of a form in which each trace is a JSON record on a line of its own.

    Args:
        record: Gives the trace as JSON values.
    """

    def write(traces: Iterable[Trace], out: Path) -> int:
        written = 0
        with atomic_file(out) as file:
            for trace in traces:
                file.write(orjson.dumps(record(trace), option=orjson.OPT_APPEND_NEWLINE))
                written += 1
        return written

    return write


def check_export(name: str, entry: ExportForm) -> None:
    """The conformance check for a form of another package.

    Args:
        name: What the form is registered as; stands in the messages.
        entry: The form.

    Raises:
        UserError: It is no `ExportForm`.
    """
    if not isinstance(entry, ExportForm):
        kind = type(entry).__name__
        raise UserError(f"export {name!r}: a {kind} is no ExportForm (faultgym.agents.imports.exports.form)")
