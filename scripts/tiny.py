"""`faultgym tiny`: train the small model that needs no hub."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from faultgym.agents.models.files import named_for
from faultgym.cli.support.calling import command
from faultgym.cli.support.progress import training_progress
from faultgym.cli.support.task_options import AnswersName
from faultgym.core.errors import UserError
from faultgym.envs.judging.form import DEFAULT_ANSWERS
from faultgym.training.configs.tiny_recipe import RECIPES, STYLE
from faultgym.training.trainers import quiet
from faultgym.training.trainers.tiny.making import make

Name = Annotated[str, typer.Option(help=f"{' or '.join(RECIPES)}.")]
Out = Annotated[Path | None, typer.Option(help="Its folder. (default: under its name in the cache folder)")]
Seed = Annotated[int, typer.Option(min=0, help="Of the demonstrations, their order, and the initial weights.")]


def tiny(name: Name = "tiny", out: Out = None, seed: Seed = 0, answers: AnswersName = None) -> None:
    """Train a small model from nothing on scripted traces: minutes on two cores.

    A Llama of 1.2 million parameters with a tokenizer of its own. Its first two
    layers begin with heads that look back and copy (see docs/models.md).
    It does six templates, under --style http. It needs no hub and no GPU.
    """
    if name not in RECIPES:
        raise UserError(f"there is no recipe {name!r}; there are {', '.join(RECIPES)}")
    recipe, ends = RECIPES[name], answers or DEFAULT_ANSWERS
    with quiet(), training_progress() as on_step:
        made = make(
            recipe, out, seed=seed, answers=ends, progress=on_step, say=lambda line: print(line, file=sys.stderr)
        )
    print(f"{name}: {made.parameters:,} parameters, {made.demonstrations:,} demonstrations, {made.steps:,} steps,")
    print(f"{made.seconds:.0f} s; {recipe.summary}. It is in {made.folder}.")
    templates = " ".join(f"--template {each}" for names in recipe.templates.values() for each in names)
    suites = " ".join(f"--suite {suite}" for suite in recipe.templates)
    model = f"hf:{named_for(name, ends) if out is None else out}?max_tokens=160"
    print("next:")
    print(f"  {command('rollout', '--policy', model)} {suites} --style {STYLE} --answers {ends} --faults clean \\")
    print(f"    {templates} --out runs/{name}")
