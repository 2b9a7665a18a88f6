"""`faultgym train grpo`: a model learns from playing tasks."""

from __future__ import annotations

import os
from typing import Annotated, Any

import typer

from faultgym.cli.support import train_options as options
from faultgym.cli.support.calling import command
from faultgym.cli.support.progress import training_progress
from faultgym.cli.support.task_options import FAULTS, TASKS, AnswersName, StyleName, Suites, Templates
from faultgym.cli.support.train_report import report
from faultgym.training.configs.grpo import GrpoConfig
from faultgym.training.trainers import quiet
from faultgym.training.trainers.grpo import TRACES, estimated, train_grpo

PLAY: dict[str, Any] = {"rich_help_panel": "Episodes"}

Faults = Annotated[list[str] | None, typer.Option("--faults", help=f"{FAULTS} (default: mild)", **TASKS)]
PerTemplate = Annotated[
    int | None, typer.Option(help="Tasks of each template. (default: as many as the steps need)", **TASKS)
]
Prompt = Annotated[
    str | None, typer.Option(help="The system prompt: none, plain, best, few_shot, or a file. (default: plain)", **PLAY)
]
Group = Annotated[int | None, typer.Option(help="Episodes that are compared with each other. (default: 8)", **PLAY)]
Turns = Annotated[int | None, typer.Option(help="Turns of an episode at most. (default: 12)", **PLAY)]
Completion = Annotated[
    int | None, typer.Option(help="Tokens after the prompt at most, tool results included. (default: 2048)", **PLAY)
]
Temperature = Annotated[float | None, typer.Option(help="Of the sampling. (default: 1)", **PLAY)]
Vllm = Annotated[
    str | None, typer.Option(help="What samples: off (transformers), colocate, or server. (default: off)", **PLAY)
]
VllmUrl = Annotated[str | None, typer.Option(help="The address of the server, for --vllm server.", **PLAY)]
Steps = Annotated[
    int | None,
    typer.Option("--steps", "--max-steps", help="Steps of the optimizer. (default: 50)", rich_help_panel=options.STEPS),
]
BatchSize = Annotated[int | None, typer.Option(help="Episodes at a time on one device.", rich_help_panel=options.STEPS)]
ChatTemplate = Annotated[
    str | None,
    typer.Option(
        "--chat-template", help="The chat template, where the model's own marks no assistant turns: chatml, ..."
    ),
]


def grpo(
    model: options.Model = None,
    out: options.Out = None,
    suites: Suites = None,
    templates: Templates = None,
    faults: Faults = None,
    per_template: PerTemplate = None,
    style: StyleName = None,
    answers: AnswersName = None,
    group: Group = None,
    turns: Turns = None,
    max_completion: Completion = None,
    temperature: Temperature = None,
    prompt: Prompt = None,
    vllm: Vllm = None,
    vllm_url: VllmUrl = None,
    adapter: options.AdapterOption = None,
    init_adapter: options.InitAdapter = None,
    lora_r: options.Rank = None,
    merge: options.Merge = None,
    max_steps: Steps = None,
    batch_size: BatchSize = None,
    learning_rate: options.LearningRate = None,
    config: options.Config = None,
    set: options.Set = None,
    template: ChatTemplate = None,
    seed: options.Seed = None,
    device: options.Device = None,
    resume: options.Resume = None,
    save_steps: options.SaveSteps = None,
    report_to: options.ReportTo = None,
    dry_run: options.DryRun = False,
) -> None:
    """Play tasks in groups, and learn from what set the episodes of a group apart.

    The reward is the environment's verdict and small costs: --set reward.calls=-0.02, and so on.
    """
    given = {name: value for name, value in locals().items() if name not in ("config", "set", "dry_run")}
    run(GrpoConfig.of(options.gathered(config, set, given)), dry_run=dry_run)


def run(config: GrpoConfig, *, dry_run: bool = False) -> None:
    """Train with progress on stderr, and say what came of it."""
    with quiet():
        if dry_run:
            for line in estimated(config):
                print(line)
            return
        with training_progress() as on_step:
            result = train_grpo(config, on_step)
    if os.environ.get("RANK", "0") == "0":
        report(result, config.train)
        print(f"episodes: {command('score', result.out / TRACES)}")
