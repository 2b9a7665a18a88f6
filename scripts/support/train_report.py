"""What is said when a training run is done."""

from __future__ import annotations

import sys

from faultgym.cli.support.progress import duration
from faultgym.training.configs.train import TrainConfig
from faultgym.training.trainers.outcome import TrainResult


def report(result: TrainResult, config: TrainConfig) -> None:
    """Print what a person wants to know at the end of a training run."""
    metrics = ", ".join(f"{name} {value:.4g}" for name, value in result.metrics.items())
    print(f"{result.steps} steps in {duration(result.seconds)}, {result.peak_mib:,} MiB at most: {metrics}")
    for warning in result.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    print(f"result in {result.out}; read {result.out / 'README.md'}")
    if config.report_to == ("tensorboard",):
        print(f"curves: tensorboard --logdir {result.out / 'logs'}")
