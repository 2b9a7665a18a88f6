"""The options with which several verbs choose tasks and faults."""

from __future__ import annotations

import os
import sys
from typing import Annotated, Any

import typer

from faultgym.envs.judging.form import DEFAULT_ANSWERS, Answers

TASKS: dict[str, Any] = {"rich_help_panel": "Tasks and faults"}

Suites = Annotated[
    list[str] | None,
    typer.Option("--suite", help="Take tasks of this suite; the option may be repeated. (default: orders)", **TASKS),
]
Templates = Annotated[
    list[str] | None,
    typer.Option(
        "--template",
        help="Take tasks of this template alone; the option may be repeated. (default: all of the split)",
        **TASKS,
    ),
]
StyleName = Annotated[
    str | None, typer.Option("--style", help="http or tools, for all tasks. (default: as each task has it)", **TASKS)
]
_ANSWERS: dict[str, Any] = {
    "help": "How an episode ends: by a call of the tool answer, or by a turn without calls. "
    f"(default: {DEFAULT_ANSWERS})",
    "show_default": False,
}
AnswersName = Annotated[Answers | None, typer.Option("--answers", **_ANSWERS, **TASKS)]
AnswersOption = Annotated[Answers | None, typer.Option("--answers", **_ANSWERS)]
"""The same for verbs that have no panel of tasks."""
FAULTS = "A preset, or a plan's name or JSON file; the option may be repeated."


def find_modules_here(name: str) -> None:
    """Let `module:attribute` name a module in the current folder."""
    if ":" in name and os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())
