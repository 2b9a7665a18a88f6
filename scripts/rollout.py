"""`faultgym rollout`: run episodes of a policy and store their traces."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import typer
from rich.console import Console

from faultgym.agents.models.openai import OpenAIPolicy
from faultgym.agents.policy import Policy
from faultgym.agents.registry import policy_named
from faultgym.agents.rollouts.costs import RunBudget, prices_of
from faultgym.agents.rollouts.engine import IN_FLIGHT
from faultgym.agents.rollouts.engine import rollout as run_rollout
from faultgym.agents.rollouts.plan import RolloutPlan, RolloutRequest, request_fields
from faultgym.agents.rollouts.progress import Progress
from faultgym.agents.rollouts.ray_actors import rollout_on_ray
from faultgym.agents.rollouts.stop import INTERRUPTED, Stop
from faultgym.agents.rollouts.workers import rollout_in_processes
from faultgym.agents.storage.store import RunDirectory
from faultgym.agents.traces.versions import current_plan
from faultgym.cli.support.calling import command
from faultgym.cli.support.faults import faults_named
from faultgym.cli.support.printing import say
from faultgym.cli.support.progress import rollout_progress
from faultgym.cli.support.rollout_options import (
    Calls,
    Engine,
    FaultNames,
    InFlight,
    MaxCost,
    MaxTotalTokens,
    Out,
    PerTemplate,
    PolicyName,
    PricesPath,
    Reminders,
    Resume,
    RetryErrors,
    Seconds,
    Seed,
    Split,
    Tokens,
    Trials,
    Turns,
    WallSeconds,
    Workers,
)
from faultgym.cli.support.rollout_report import report, stored_progress
from faultgym.cli.support.task_options import (
    AnswersName,
    StyleName,
    Suites,
    Templates,
    find_modules_here,
)
from faultgym.core.errors import UserError
from faultgym.core.json import JSON
from faultgym.core.values import shallow
from faultgym.envs.limits import Limits
from faultgym.envs.messages.usage import summed

_LIMITS = ("turns", "calls", "tokens", "virtual_seconds", "wall_seconds", "reminders")
OVER_BUDGET = 3
"""Exit code of a run that its budget ended."""


def rollout(
    out: Out,
    policy: PolicyName = None,
    suite: Suites = None,
    split: Split = None,
    template: Templates = None,
    per_template: PerTemplate = None,
    trials: Trials = None,
    faults: FaultNames = None,
    style: StyleName = None,
    answers: AnswersName = None,
    seed: Seed = None,
    max_turns: Turns = None,
    max_calls: Calls = None,
    max_tokens: Tokens = None,
    max_seconds: Seconds = None,
    max_wall_seconds: WallSeconds = None,
    reminders: Reminders = None,
    resume: Resume = False,
    retry_errors: RetryErrors = False,
    engine: Engine = "local",
    workers: Workers = None,
    in_flight: InFlight = IN_FLIGHT,
    prices: PricesPath = None,
    max_cost: MaxCost = None,
    max_total_tokens: MaxTotalTokens = None,
) -> None:
    """Run episodes of a policy and store their traces.

    Ctrl-C stops cleanly; --resume goes on, and takes what is not given from the run. Exits with 1 when episodes
    ended in harness errors, with 3 when the run's budget is used up.
    """
    asked: JSON = {
        "suites": suite,
        "split": split,
        "templates": template,
        "per_template": per_template,
        "trials": trials,
        "faults": [faults_named(f) for f in faults] if faults else None,
        "seed": seed,
        "style": style,
        "answers": answers,
    }
    limits = (max_turns, max_calls, max_tokens, max_seconds, max_wall_seconds, reminders)
    if retry_errors and not resume:
        raise UserError("--retry-errors goes with --resume: it runs episodes of an old run again")
    old = current_plan(RunDirectory.open(out).plan) if resume else {}
    name = policy or (old.get("asked") or {}).get("policy", "expert")
    find_modules_here(name)
    make_policy = partial(policy_named, name)
    made = make_policy()  # before the plan: its module may register suites
    for url in made.unreachable() if isinstance(made, OpenAIPolicy) else ():
        print(f"{url} takes no connection yet; episodes wait some minutes for it", file=sys.stderr)
    plan = make_plan(name, given(asked), given(dict(zip(_LIMITS, limits, strict=True))), old)
    how: dict[str, Any] = {"resume": resume, "retry_errors": retry_errors, "in_flight": in_flight}
    budget = run_budget(made.name, prices, max_cost, max_total_tokens)
    report(run(plan, make_policy, out, engine, workers, budget, **how), out, budget)


def given(options: JSON) -> JSON:
    """The options that were given on the command line."""
    return {name: value for name, value in options.items() if value is not None and value != []}


def make_plan(policy: str, asked: JSON, limits: JSON, old: JSON) -> RolloutPlan:
    """The plan for what was asked, on top of what the resumed run was asked for."""
    merged: dict[str, Any] = {**request_fields(old.get("asked") or {}), **asked}
    for name in ("suites", "templates", "faults"):
        if name in merged:
            merged[name] = tuple(merged[name])
    if merged.get("style") not in (None, "http", "tools"):
        raise UserError(f"--style is http or tools, not {merged['style']!r}")
    budgets = Limits(**{**shallow(Limits()), **old.get("limits", {}), **limits})
    plan = RolloutPlan.make(RolloutRequest(**merged), budgets)
    return replace(plan, asked={"policy": policy, **(plan.asked or {})})


def run_budget(policy: str, prices: Path | None, cost: float | None, tokens: int | None) -> RunBudget:
    """What the run may use, and what its tokens cost.

    Raises:
        UserError: A cost is to be kept and there are no prices, or the table lacks the policy's model.
    """
    if cost is not None and prices is None:
        raise UserError("--max-cost wants --prices: a table of what tokens cost")
    return RunBudget(cost, tokens, None if prices is None else prices_of(prices, policy.partition(":")[2] or policy))


def run(
    plan: RolloutPlan,
    make_policy: Callable[[], Policy],
    out: Path,
    engine: str,
    workers: int | None,
    budget: RunBudget,
    **how: Any,
) -> Progress:
    """Run the plan with progress on stderr; the first signal stops it cleanly. `how` goes to the engine."""
    console = Console(stderr=True)
    stop = Stop()
    before = stored_progress(RunDirectory.open(out)).usage if how["resume"] else None
    if used := budget.reached(before):
        raise UserError(f"the run's budget is used up already: {used}; give it a larger one")

    with stop.on_signals(lambda text: say(console, text)), rollout_progress(console) as on_progress:
        how |= {"stop": stop, "on_progress": budget.watching(stop, before, on_progress)}
        if engine == "ray":
            progress = rollout_on_ray(plan, make_policy, out, workers=workers, **how)
        elif workers is None or workers == 1:
            progress = asyncio.run(run_rollout(plan, make_policy(), out, **how))
        else:
            progress = rollout_in_processes(plan, make_policy, out, workers=workers, **how)
    used = budget.reached(summed((before, progress.usage)))
    if used and progress.pending:
        say(console, f"the run's budget is used up: {used}; {progress.pending} of {progress.planned} are pending")
        raise typer.Exit(OVER_BUDGET)
    if stop.asked and progress.pending:
        again = command("rollout", "--out", out, "--resume")
        say(console, f"{progress.pending} of {progress.planned} episodes are pending: {again}")
        raise typer.Exit(INTERRUPTED)
    return progress
