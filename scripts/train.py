"""`faultgym train sft|dpo|orpo|kto`: a model learns from a data set; `grpo` (see train_grpo.py): from playing."""

from __future__ import annotations

import os
from collections.abc import Callable

import typer

from faultgym.cli.support import train_options as options
from faultgym.cli.support.progress import training_progress
from faultgym.cli.support.train_report import report
from faultgym.cli.train_grpo import grpo
from faultgym.training.configs.train import METHODS, Method, TrainConfig
from faultgym.training.trainers import quiet
from faultgym.training.trainers.dry_run import dry_run as estimated
from faultgym.training.trainers.run import train as train_model

train = typer.Typer(no_args_is_help=True, help="Train a model, or an adapter for it, on data or on the environments.")

HELP: dict[Method, str] = {
    "sft": "Imitate verified examples (faultgym build sft).",
    "dpo": "Prefer the chosen of two continuations (faultgym build pairs).",
    "orpo": "Prefer the chosen of two continuations, without a reference model (faultgym build pairs).",
    "kto": "Learn from completions that are labelled good or bad (faultgym build kto).",
}


def _command(method: Method) -> Callable[..., None]:
    def command(
        data: options.Data = None,
        model: options.Model = None,
        out: options.Out = None,
        adapter: options.AdapterOption = None,
        config: options.Config = None,
        set: options.Set = None,
        template: options.Template = None,
        init_adapter: options.InitAdapter = None,
        lora_r: options.Rank = None,
        merge: options.Merge = None,
        epochs: options.Epochs = None,
        max_steps: options.MaxSteps = None,
        batch_size: options.BatchSize = None,
        learning_rate: options.LearningRate = None,
        max_length: options.MaxLength = None,
        seed: options.Seed = None,
        device: options.Device = None,
        resume: options.Resume = None,
        save_steps: options.SaveSteps = None,
        report_to: options.ReportTo = None,
        dry_run: options.DryRun = False,
        unaudited: options.Unaudited = None,
    ) -> None:
        given = {name: value for name, value in locals().items() if name in TrainConfig.__slots__}
        asked = options.asked(method, config, set, given)
        run(asked, dry_run=dry_run)

    return command


for _method in METHODS:
    train.command(_method, help=HELP[_method])(_command(_method))
train.command("grpo")(grpo)


def run(config: TrainConfig, *, dry_run: bool = False) -> None:
    """Train with progress on stderr, and say what came of it."""
    with quiet():
        if dry_run:
            for line in estimated(config).lines():
                print(line)
            return
        with training_progress() as on_step:
            result = train_model(config, on_step)
    if os.environ.get("RANK", "0") == "0":  # of several processes that accelerate launched, one speaks
        report(result, config)
