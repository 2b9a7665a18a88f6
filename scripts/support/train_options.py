"""The options that all methods of `faultgym train` share, and how they become one configuration.

What is given on the command line comes before `--set`, that before the YAML file, and that before the defaults.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from faultgym.training.configs.settings import read_yaml, settings
from faultgym.training.configs.train import Adapter, TrainConfig

STEPS = "Steps and rates (what is not given follows from the model's size)"
SHAPE = "Adapter"
WORK = "Running"

Data = Annotated[list[Path] | None, typer.Argument(help="Folders that `faultgym build` made.")]
Model = Annotated[str | None, typer.Option(help="tiny, smollm2, a folder, a hub id, or an adapter's folder.")]
Out = Annotated[Path | None, typer.Option(help="The result's folder: new, or with --resume the same as before.")]
AdapterOption = Annotated[
    Adapter | None,
    typer.Option(help="The adapter that is trained; none for all weights. (default: lora)", rich_help_panel=SHAPE),
]
InitAdapter = Annotated[
    Path | None, typer.Option(help="An adapter of this model to train further.", rich_help_panel=SHAPE)
]
Rank = Annotated[int | None, typer.Option(help="Rank of a new adapter. (default: 16)", rich_help_panel=SHAPE)]
Merge = Annotated[
    bool | None,
    typer.Option("--merge", help="Also write OUT/merged: whole weights, the adapter in them.", rich_help_panel=SHAPE),
]
Template = Annotated[
    str | None,
    typer.Option(help="The chat template, where the model's own marks no assistant turns: chatml, qwen3, ..."),
]
Config = Annotated[Path | None, typer.Option("--config", help="A YAML file of settings.")]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="Any setting (docs/training.md, docs/grpo.md); the option may be repeated."
    ),
]
Epochs = Annotated[float | None, typer.Option(help="Passes over the data.", rich_help_panel=STEPS)]
MaxSteps = Annotated[
    int | None, typer.Option(help="Steps of the optimizer, instead of --epochs.", rich_help_panel=STEPS)
]
BatchSize = Annotated[int | None, typer.Option(help="Rows at a time on one device.", rich_help_panel=STEPS)]
LearningRate = Annotated[
    float | None, typer.Option(help="The highest; it rises and falls by schedule.", rich_help_panel=STEPS)
]
MaxLength = Annotated[
    int | None, typer.Option(help="Longest row, in tokens. (default: what the model reads)", rich_help_panel=STEPS)
]
Seed = Annotated[int | None, typer.Option(help="Of the order and of new weights. (default: 0)", rich_help_panel=STEPS)]
Device = Annotated[str | None, typer.Option(help="auto, cpu or cuda. (default: auto)", rich_help_panel=WORK)]
Resume = Annotated[
    bool | None, typer.Option("--resume", help="Go on with a run that was stopped.", rich_help_panel=WORK)
]
SaveSteps = Annotated[
    int | None, typer.Option(help="Steps between checkpoints. (default: four in all)", rich_help_panel=WORK)
]
ReportTo = Annotated[
    list[str] | None,
    typer.Option(help="tensorboard, wandb, ..., or none. (default: tensorboard)", rich_help_panel=WORK),
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Estimate memory and time, and train nothing.", rich_help_panel=WORK)
]
Unaudited = Annotated[
    bool | None, typer.Option("--unaudited", help="Train on data that failed its balance audit.", rich_help_panel=WORK)
]


def asked(method: str, config: Path | None, texts: list[str] | None, given: dict[str, Any]) -> TrainConfig:
    """The configuration of a training run.

    Args:
        method: `sft`, `dpo`, ...
        config: The YAML file of settings.
        texts: What `--set` gave: `KEY=VALUE`.
        given: What other options gave; None and empty lists count as not given.

    Raises:
        UserError: A setting is unknown, missing or impossible.
    """
    return TrainConfig.of({**gathered(config, texts, given), "method": method})


def gathered(config: Path | None, texts: list[str] | None, given: dict[str, Any]) -> dict[str, Any]:
    """All settings, those that come first on top.

    Args:
        config: The YAML file of settings.
        texts: What `--set` gave: `KEY=VALUE`.
        given: What other options gave; None and empty lists count as not given.

    Raises:
        UserError: The file or a text cannot be read.
    """
    values: dict[str, Any] = {**(read_yaml(config) if config else {}), **settings(texts or ())}
    return values | {name: value for name, value in given.items() if value is not None and value != []}
