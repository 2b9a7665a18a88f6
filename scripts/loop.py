"""`faultgym loop run|status|rollback`: rounds of rollouts, data, training and comparison, kept on disk."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from faultgym.agents.rollouts.stop import INTERRUPTED
from faultgym.cli.support.callbacks import loop_callbacks
from faultgym.cli.support.calling import command
from faultgym.cli.support.printing import say
from faultgym.cli.support.task_options import AnswersName, StyleName, Suites, Templates
from faultgym.core.errors import UserError
from faultgym.training.configs.settings import read_yaml, settings
from faultgym.training.configs.train import Adapter
from faultgym.training.loop.config import Engine, LoopConfig, Preference, nested
from faultgym.training.loop.round import LoopCallbacks
from faultgym.training.loop.run import opened, run_loop
from faultgym.training.loop.run import rollback as roll_back
from faultgym.training.loop.run import status as status_of
from faultgym.training.trainers import quiet

loop = typer.Typer(no_args_is_help=True, help="Rounds of rollouts, data, training and comparison, kept on disk.")

WHAT = "What is practised"
LEARNED = "What is learned"
JUDGED = "What a candidate has to stand"

Folder = Annotated[Path, typer.Argument(metavar="LOOP", help="The loop's folder.")]
Out = Annotated[Path, typer.Option(help="The loop's folder: new, or with --resume the same as before.")]
Model = Annotated[str | None, typer.Option(help="The model to begin with: an embedded one, a folder, or a hub id.")]
Config = Annotated[Path | None, typer.Option("--config", help="A YAML file of settings.")]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="Any setting, such as sft.learning_rate=1e-3; the option may be repeated."
    ),
]
Rounds = Annotated[int | None, typer.Option(help="Rounds in all; may be raised later. (default: 1)")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on; what is not given is as the loop was begun.")]
Episodes = Annotated[
    int | None, typer.Option(help="Episodes that a round rolls out. (default: 400)", rich_help_panel=WHAT)
]
Target = Annotated[
    float | None, typer.Option(help="Share of the episodes that should succeed. (default: 0.5)", rich_help_panel=WHAT)
]
EngineOption = Annotated[
    Engine | None,
    typer.Option(
        help="What samples: transformers (hf), vLLM in this process, or its server. (default: hf)", rich_help_panel=WHAT
    ),
]
Samples = Annotated[
    int | None,
    typer.Option(help="Continuations that the model is asked for at each fork. (default: 4)", rich_help_panel=LEARNED),
]
Replay = Annotated[
    float | None,
    typer.Option(help="Share of what is learned that is from earlier rounds. (default: 0.25)", rich_help_panel=LEARNED),
]
AdapterOption = Annotated[
    Adapter | None,
    typer.Option(help="The adapter that is trained; none for all weights. (default: lora)", rich_help_panel=LEARNED),
]
Method = Annotated[Preference | None, typer.Option(help="The stage after SFT. (default: dpo)", rich_help_panel=LEARNED)]
Unaudited = Annotated[
    bool | None,
    typer.Option("--unaudited", help="Learn from pairs that fail their balance audit.", rich_help_panel=LEARNED),
]
DevTasks = Annotated[
    int | None,
    typer.Option(
        help="Tasks of each template on which the candidate is compared. (default: 200 in all)", rich_help_panel=JUDGED
    ),
]
CleanMargin = Annotated[
    float | None, typer.Option(help="Accepted loss of success without faults. (default: 0.05)", rich_help_panel=JUDGED)
]
TextMargin = Annotated[
    float | None,
    typer.Option(help="Accepted loss on general text, in bits per byte. (default: 0.02)", rich_help_panel=JUDGED),
]
Alpha = Annotated[
    float | None, typer.Option(help="Chance of a false promotion. (default: 0.05)", rich_help_panel=JUDGED)
]


@loop.command()
def run(
    out: Out,
    model: Model = None,
    rounds: Rounds = None,
    config: Config = None,
    set: Set = None,
    resume: Resume = False,
    suite: Suites = None,
    template: Templates = None,
    style: StyleName = None,
    answers: AnswersName = None,
    episodes: Episodes = None,
    target: Target = None,
    engine: EngineOption = None,
    samples: Samples = None,
    replay: Replay = None,
    adapter: AdapterOption = None,
    preference: Method = None,
    unaudited: Unaudited = None,
    dev_tasks: DevTasks = None,
    clean_margin: CleanMargin = None,
    text_margin: TextMargin = None,
    alpha: Alpha = None,
    seed: Annotated[int | None, typer.Option(help="Of the tasks, the faults and the training. (default: 0)")] = None,
) -> None:
    """Do rounds: roll out, find failures, put them right, train, compare, and promote what is better.

    Stop it as you like, even with kill -9: --resume goes on, and no finished stage is lost.
    """
    given = {name: value for name, value in locals().items() if name in LoopConfig.__slots__}
    given |= {"suites": suite, "templates": template}
    asked = _asked(out, resume, config, set, given)
    console = Console(stderr=True)
    try:
        with quiet():
            registry = run_loop(out, asked, resume=resume, watching=loop_callbacks(console))
    except KeyboardInterrupt:
        say(console, f"stopped; go on with: {command('loop', 'run', '--out', out, '--resume')}")
        raise typer.Exit(INTERRUPTED) from None
    for line in registry.describe():
        print(line)
    print(f"what failed, what was added and what changed: {out / 'rounds' / f'{asked.rounds:02d}' / 'README.md'}")


@loop.command()
def status(folder: Folder) -> None:
    """Say which version is in use, where it comes from, and what became of each round."""
    for line in status_of(folder).describe():
        print(line)


@loop.command()
def rollback(folder: Folder, version: Annotated[int, typer.Argument(help="0 is the model it began with.")]) -> None:
    """Put an earlier version in use again; the next round begins from it. Nothing is deleted."""
    registry = roll_back(folder, version, LoopCallbacks(say=lambda text: print(text, file=sys.stderr)))
    print(f"in use: version {registry.current} ({registry.model.served})")


def _asked(out: Path, resume: bool, config: Path | None, texts: list[str] | None, given: dict[str, Any]) -> LoopConfig:
    """The configuration: the command line before `--set`, that before the file, that before what was there."""
    values: dict[str, Any] = {}
    if resume:
        values = opened(out).config.to_record()
    for more in (read_yaml(config) if config else {}, nested(settings(texts or ()))):
        for name, value in more.items():
            old = values.get(name)
            values[name] = {**old, **value} if isinstance(old, dict) and isinstance(value, dict) else value
    values |= {name: value for name, value in given.items() if value is not None and value != []}
    if not values.get("model"):
        raise UserError("--model is missing: a loop begins with one, such as --model smollm2")
    return LoopConfig.of(values)
