"""`faultgym train sft|dpo|orpo|kto`: a model learns from a data set; `grpo` (see train_grpo.py): from playing."""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from faultgym.cli import train_options as options
from faultgym.cli.progress import LINE_SECONDS, duration
from faultgym.cli.train_grpo import grpo
from faultgym.training.configs.train import METHODS, Method, TrainConfig

if TYPE_CHECKING:
    from faultgym.training.trainers.outcome import TrainResult
    from faultgym.training.trainers.watch import OnStep, TrainingStep

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
    from faultgym.training.trainers import quiet
    from faultgym.training.trainers.run import train as train_model

    with quiet():
        if dry_run:
            from faultgym.training.trainers.dry_run import dry_run as estimated

            for line in estimated(config).lines():
                print(line)
            return
        with shown() as on_step:
            result = train_model(config, on_step)
    if os.environ.get("RANK", "0") == "0":  # of several processes that accelerate launched, one speaks
        report(result, config)


def report(result: TrainResult, config: TrainConfig) -> None:
    """What a person wants to know at the end."""
    metrics = ", ".join(f"{name} {value:.4g}" for name, value in result.metrics.items())
    print(f"{result.steps} steps in {duration(result.seconds)}, {result.peak_mib:,} MiB at most: {metrics}")
    for warning in result.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    print(f"result in {result.out}; read {result.out / 'README.md'}")
    if config.report_to == ("tensorboard",):
        print(f"curves: tensorboard --logdir {result.out / 'logs'}")


@contextmanager
def shown(clock: Callable[[], float] = time.monotonic) -> Iterator[OnStep]:
    """What a trainer calls after each step: a bar on a terminal, a line now and then elsewhere."""
    console = Console(stderr=True)
    if console.is_terminal:
        columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"))
        with Progress(*columns, console=console, transient=True) as bar:
            task = bar.add_task("loading", total=None)
            yield lambda step: bar.update(task, description=_words(step), completed=step.step, total=step.total)
        return
    said = clock()

    def on_step(step: TrainingStep) -> None:
        nonlocal said
        if clock() - said >= LINE_SECONDS or step.step == step.total:
            said = clock()
            text = f"step {step.step}/{step.total}, {_words(step)}"
            console.print(text, markup=False, highlight=False, soft_wrap=True)

    yield on_step


def _words(step: TrainingStep) -> str:
    loss = "" if math.isnan(step.loss) else f"loss {step.loss:.4f}, "
    return f"{loss}{duration(step.left)} left"
