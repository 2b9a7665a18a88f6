"""The options of `faultgym rollout`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from faultgym.cli.support.task_options import FAULTS, TASKS

_LIMITS = {"rich_help_panel": "Limits of one episode"}
LIMITS: dict[str, Any] = {**_LIMITS, "min": 1}

Out = Annotated[Path, typer.Option(help="The run's folder: new, or with --resume an old one.")]
PolicyName = Annotated[
    str | None,
    typer.Option(help="A scripted policy, openai:MODEL@URL, or module:attribute. (default: expert)", **TASKS),
]
Split = Annotated[str | None, typer.Option(help="The split that tasks are taken from. (default: test)", **TASKS)]
PerTemplate = Annotated[int | None, typer.Option(min=1, help="Tasks of each template. (default: 4)", **TASKS)]
Trials = Annotated[
    int | None, typer.Option("--trials", "-k", min=1, help="Episodes of each task. (default: 1)", **TASKS)
]
FaultNames = Annotated[list[str] | None, typer.Option(help=f"{FAULTS} (default: rough)", **TASKS)]
Seed = Annotated[int | None, typer.Option(help="Seed of tasks and faults. (default: 0)", **TASKS)]
Turns = Annotated[int | None, typer.Option(help="Turns of the policy. (default: 60)", **LIMITS)]
Calls = Annotated[int | None, typer.Option(help="Calls of tools. (default: no limit)", **LIMITS)]
Tokens = Annotated[int | None, typer.Option(help="Tokens that the policy writes. (default: no limit)", **LIMITS)]
LIMITED: dict[str, Any] = {**LIMITS, "max": 1e9}
Seconds = Annotated[float | None, typer.Option(help="Virtual seconds. (default: no limit)", **LIMITED)]
WallSeconds = Annotated[float | None, typer.Option(help="Real seconds. (default: no limit)", **LIMITED)]
Reminders = Annotated[
    int | None,
    typer.Option(
        min=0,
        help="How often plain text is answered with the request to call answer, with --answers typed. (default: 0)",
        show_default=False,
        **_LIMITS,
    ),
]
_BUDGET: dict[str, Any] = {"rich_help_panel": "Limits of the whole run"}
PricesPath = Annotated[
    Path | None,
    typer.Option(
        "--prices",
        metavar="PATH",
        help="A table of prices, so that the cost of the run is told: JSON, model to prompt, cached and completion, per"
        " million tokens.",
        **_BUDGET,
    ),
]
MaxCost = Annotated[
    float | None, typer.Option(min=0, help="Stop when the run has cost so much, by --prices.", **_BUDGET)
]
MaxTotalTokens = Annotated[
    int | None, typer.Option(min=1, help="Stop when so many tokens were read and written in the whole run.", **_BUDGET)
]
Resume = Annotated[bool, typer.Option("--resume", help="Run the pending episodes of the run in --out.")]
RetryErrors = Annotated[
    bool, typer.Option("--retry-errors", help="With --resume: run those again too that ended in harness errors.")
]
Engine = Annotated[Literal["local", "ray"], typer.Option(help="Where: on this machine, or on a Ray cluster.")]
Workers = Annotated[
    int | None,
    typer.Option(min=1, help="Processes, or actors on a cluster. (default: 1, or one for each of its nodes)"),
]
InFlight = Annotated[int, typer.Option(min=1, help="Episodes at a time in each worker.")]
