"""`faultgym rollout`: run episodes of a policy and store their traces."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.console import Console

from faultgym.agents.models.openai import OpenAIPolicy
from faultgym.agents.policy import Policy
from faultgym.agents.registry import policy_named
from faultgym.agents.rollouts.engine import IN_FLIGHT
from faultgym.agents.rollouts.engine import rollout as run_rollout
from faultgym.agents.rollouts.plan import RolloutPlan, RolloutRequest
from faultgym.agents.rollouts.progress import Progress, RunOutcome
from faultgym.agents.rollouts.ray_actors import rollout_on_ray
from faultgym.agents.rollouts.stop import INTERRUPTED, Stop
from faultgym.agents.rollouts.workers import rollout_in_processes
from faultgym.agents.storage.store import RunDirectory
from faultgym.agents.traces.spec import faults_of
from faultgym.cli.support.calling import command
from faultgym.cli.support.endings import ending_notes
from faultgym.cli.support.faults import faults_named
from faultgym.cli.support.printing import say
from faultgym.cli.support.progress import rollout_progress
from faultgym.cli.support.task_options import (
    FAULTS,
    TASKS,
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
from faultgym.eval.scoring.metrics import MAX_HARNESS_ERRORS

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
) -> None:
    """Run episodes of a policy and store their traces.

    Ctrl-C stops cleanly; --resume goes on, and takes what is not given from the run. Exits with 1 when episodes
    ended in harness errors.
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
    limits: JSON = {
        "turns": max_turns,
        "calls": max_calls,
        "tokens": max_tokens,
        "virtual_seconds": max_seconds,
        "wall_seconds": max_wall_seconds,
        "reminders": reminders,
    }
    if retry_errors and not resume:
        raise UserError("--retry-errors goes with --resume: it runs episodes of an old run again")
    old = RunDirectory.open(out).plan if resume else {}
    name = policy or (old.get("asked") or {}).get("policy", "expert")
    find_modules_here(name)
    make_policy = partial(policy_named, name)
    made = make_policy()  # before the plan: its module may register suites
    for url in made.unreachable() if isinstance(made, OpenAIPolicy) else ():
        print(f"{url} takes no connection yet; episodes wait some minutes for it", file=sys.stderr)
    plan = make_plan(name, given(asked), given(limits), old)
    how: dict[str, Any] = {"resume": resume, "retry_errors": retry_errors, "in_flight": in_flight}
    progress = run(plan, make_policy, out, engine, workers, **how)
    report(progress, out)


def given(options: JSON) -> JSON:
    """The options that were given on the command line."""
    return {name: value for name, value in options.items() if value is not None and value != []}


def make_plan(policy: str, asked: JSON, limits: JSON, old: JSON) -> RolloutPlan:
    """The plan for what was asked, on top of what the resumed run was asked for."""
    before: JSON = old.get("asked") or {}
    known = {name: value for name, value in before.items() if name in RolloutRequest.__slots__}
    if "faults" in known:
        known["faults"] = [faults_of(f) for f in known["faults"]]
    merged: dict[str, Any] = {**known, **asked}
    for name in ("suites", "templates", "faults"):
        if name in merged:
            merged[name] = tuple(merged[name])
    if merged.get("style") not in (None, "http", "tools"):
        raise UserError(f"--style is http or tools, not {merged['style']!r}")
    budgets = Limits(**{**shallow(Limits()), **old.get("limits", {}), **limits})
    plan = RolloutPlan.make(RolloutRequest(**merged), budgets)
    return replace(plan, asked={"policy": policy, **(plan.asked or {})})


def run(
    plan: RolloutPlan, make_policy: Callable[[], Policy], out: Path, engine: str, workers: int | None, **how: Any
) -> Progress:
    """Run the plan with progress on stderr; the first signal stops it cleanly. `how` goes to the engine."""
    console = Console(stderr=True)
    stop = Stop()

    with stop.on_signals(lambda text: say(console, text)), rollout_progress(console) as on_progress:
        how |= {"stop": stop, "on_progress": on_progress}
        if engine == "ray":
            progress = rollout_on_ray(plan, make_policy, out, workers=workers, **how)
        elif workers is None or workers == 1:
            progress = asyncio.run(run_rollout(plan, make_policy(), out, **how))
        else:
            progress = rollout_in_processes(plan, make_policy, out, workers=workers, **how)
    if stop.asked and progress.pending:
        again = command("rollout", "--out", out, "--resume")
        say(console, f"{progress.pending} of {progress.planned} episodes are pending: {again}")
        raise typer.Exit(INTERRUPTED)
    return progress


def report(progress: Progress, out: Path) -> None:
    """Say what was done and what to do next; exit with 1 when the harness failed."""
    run_so_far = whole(progress, RunDirectory.open(out)) if progress.before else progress
    parts = [f"{progress.before + progress.done} episodes"]
    parts += [f"{progress.done} of them new"] if progress.before else []
    print(f"{', '.join([*parts, *judged(run_so_far)])}; traces in {out}")
    for line in ending_notes(run_so_far.endings):
        print(line)
    if progress.failed:
        print(f"{progress.failed} ended in harness errors, the last one: {progress.failure[:500]}", file=sys.stderr)
        again = command("rollout", "--out", out, "--resume", "--retry-errors")
        print(f"to run those again: {again}", file=sys.stderr)
        raise typer.Exit(1)
    print(f"next: {command('score', out)}")


def whole(progress: Progress, run: RunDirectory) -> Progress:
    """The same for all episodes that the run's store holds, those of earlier starts included."""
    found = Progress(progress.planned)
    for record in run.records():
        found.add(RunOutcome.of_record(record))
    return found


def judged(progress: Progress) -> list[str]:
    """The success rate with what it is taken over; none where too much was lost for one to mean anything."""
    left, lost = progress.judged, progress.done - progress.judged
    if progress.failed > MAX_HARNESS_ERRORS * progress.done:
        return [f"{progress.failed} harness errors: no success rate is taken over the {left} that are left"]
    if progress.success_rate is None:
        return []
    return [f"success {progress.success_rate:.1%}" + (f" of the {left} that were judged" if lost else "")]
