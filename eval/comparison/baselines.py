"""The prompt comes first: a tuned model has to be seen beside its base under the plain prompt and under the best one.

What a better prompt would have given for nothing is no merit of the training.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from shlex import quote

from faultgym.agents.registry import MODELS
from faultgym.core.json import JSON
from faultgym.eval.scoring.runs import Run

PROMPTS = ("plain", "best")
"""The prompts under which the base has to be among the runs."""
_LIMITS = {
    "turns": "--max-turns",
    "calls": "--max-calls",
    "tokens": "--max-tokens",
    "virtual_seconds": "--max-seconds",
    "wall_seconds": "--max-wall-seconds",
}


@dataclass(frozen=True, slots=True)
class Baseline:
    """A run of the base that is missing."""

    prompt: str
    commands: tuple[str, ...]
    """What makes it, one for each folder of the base's run."""

    def to_record(self) -> JSON:
        """As JSON."""
        return {"prompt": self.prompt, "commands": list(self.commands)}


def missing_baselines(base: Run, others: Sequence[Run]) -> tuple[Baseline, ...]:
    """The runs of the base's model that a comparison lacks: one under each of `PROMPTS`.

    Args:
        base: The run that others are compared with.
        others: The other runs.

    Returns:
        What is missing, with the commands that make it; nothing where the base is no model.
    """
    if not base.prompt:
        return ()
    there = {run.prompt for run in (base, *others) if _but_prompt(run.policy) == _but_prompt(base.policy)}
    return tuple(Baseline(prompt, tuple(_commands(base, prompt))) for prompt in PROMPTS if prompt not in there)


def _but_prompt(policy: JSON) -> JSON:
    """What two runs of one model under different prompts have in common."""
    return {name: value for name, value in policy.items() if name not in ("prompt", "name")}


def _commands(base: Run, prompt: str) -> list[str]:
    if not base.asked:
        return [f"faultgym rollout --policy {quote(_with_prompt(str(base.policy.get('name')), prompt))} ..."]
    commands = []
    for number, asked in enumerate(base.asked):
        out = f"{(base.folder or base.name).rstrip('/')}-{prompt}"
        if len(base.asked) > 1:
            out += f"/{base.folders[number] if base.folders else number}"
        parts = ["faultgym", "rollout", "--out", out, "--policy", _with_prompt(str(asked.get("policy")), prompt)]
        commands.append(" ".join(map(quote, [*parts, *_options(asked, base)])))
    return commands


def _with_prompt(policy: str, prompt: str) -> str:
    """The policy's text with another prompt in its options; a module's attribute takes none."""
    if policy.partition(":")[0] not in MODELS:
        return policy
    name, _, query = policy.partition("?")
    kept = [option for option in query.split("&") if option and not option.startswith("prompt=")]
    return f"{name}?{'&'.join([*kept, f'prompt={prompt}'])}"


def _options(asked: JSON, base: Run) -> list[str]:
    """The options of `faultgym rollout` that ask for the same episodes under the same limits."""
    options: list[str] = []
    for suite in asked.get("suites") or ():
        options += ["--suite", suite]
    options += ["--split", str(asked.get("split", "test"))]
    for template in asked.get("templates") or ():
        options += ["--template", template]
    options += ["--per-template", str(asked.get("per_template", 4)), "--trials", str(asked.get("trials", 1))]
    for faults in asked.get("faults") or ():
        options += ["--faults", faults if isinstance(faults, str) else _plan_file(faults)]
    options += ["--seed", str(asked.get("seed", 0))]
    if asked.get("style"):
        options += ["--style", str(asked["style"])]
    if asked.get("answers"):
        options += ["--answers", str(asked["answers"])]
    limits = base.episodes[0].limits
    for name, option in _LIMITS.items():
        if (value := getattr(limits, name)) is not None:
            options += [option, f"{value:g}" if isinstance(value, float) else str(value)]
    if limits.reminders:
        options += ["--reminders", str(limits.reminders)]
    return options


def _plan_file(plan: JSON) -> str:
    """What stands for the file of a plan, which a run does not know: its name, to be put in."""
    return f"PLAN.json of {plan.get('name') or 'the plan'}"
