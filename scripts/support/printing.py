"""How verbs print: lines that can be copied whole, and tables that keep what one has to copy."""

from __future__ import annotations

import os
from collections.abc import Sequence

from rich.box import SIMPLE_HEAD, Box
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

PIPE_WIDTH = 1000
"""Columns that a table may take where no terminal bounds it: whoever reads a pipe wants names and ids whole."""

PROSE_WIDTH = 80
"""Columns that sentences in a table take at most."""


def stdout_console() -> Console:
    """The console for what a verb answers: as wide as the terminal, and in a pipe as wide as it takes.

    `COLUMNS` bounds a pipe as well, where it is set.
    """
    console = Console()
    if console.is_terminal or os.environ.get("COLUMNS", "").isdigit():
        return console
    return Console(width=PIPE_WIDTH)


def say(console: Console, text: str) -> None:
    """Print a line unchanged: no markup, no colours by guess, never broken, so that people can copy the whole."""
    console.print(text, markup=False, highlight=False, soft_wrap=True)


def grid(
    title: str | None,
    columns: Sequence[str],
    *,
    numbers: Sequence[str] = (),
    whole: Sequence[str] = (),
    prose: Sequence[str] = (),
    box: Box = SIMPLE_HEAD,
) -> Table:
    """An empty table whose first column is never broken, for that is the one that is copied.

    Args:
        title: Printed above it.
        columns: The names of the columns.
        numbers: Which of them hold numbers: aligned to the right and never broken.
        whole: Which others are never broken either.
        prose: Which hold sentences: broken between words after `PROSE_WIDTH`, however wide the console is.
        box: The lines between cells.
    """
    # As text, for names in it may look like markup; and whole, though the table be narrower.
    above = None if title is None else Text(title, "table.title", no_wrap=True, overflow="ignore")
    table = Table(title=above, title_justify="left", box=box, show_edge=False, padding=(0, 1, 0, 0))
    for at, name in enumerate(columns):
        number = name in numbers
        whole_cells = at == 0 or number or name in whole
        table.add_column(
            Text(name),
            justify="right" if number else "left",
            no_wrap=whole_cells,
            overflow="fold",
            max_width=PROSE_WIDTH if name in prose else None,
        )
    return table


def heading(console: Console, text: RenderableType) -> None:
    """Print a heading: a rule across a terminal, the text alone in a pipe."""
    if console.is_terminal:
        console.rule(text if isinstance(text, str) else str(text), align="left")
    else:
        console.print(text, markup=False, highlight=False)
