"""The last lines of a rollout."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import typer

from faultgym.agents.rollouts.costs import Prices, RunBudget
from faultgym.agents.rollouts.progress import Progress, RunOutcome
from faultgym.agents.storage.store import RunDirectory
from faultgym.cli.support.calling import command
from faultgym.cli.support.endings import ending_notes
from faultgym.envs.messages.usage import Usage
from faultgym.eval.scoring.metrics import MAX_HARNESS_ERRORS


def report(progress: Progress, out: Path, budget: RunBudget) -> None:
    """Say what was done and what to do next; exit with 1 when the harness failed.

    Args:
        progress: Of this start.
        out: The run's folder.
        budget: Holds what tokens cost, where that is known.
    """
    run_so_far = stored_progress(RunDirectory.open(out)) if progress.before else progress
    parts = [f"{progress.before + progress.done} episodes"]
    parts += [f"{progress.done} of them new"] if progress.before else []
    print(f"{', '.join([*parts, *judged(run_so_far)])}; traces in {out}")
    for line in (*ending_notes(run_so_far.endings), *usage_notes(run_so_far.usage, budget.prices)):
        print(line)
    if progress.failed:
        print(f"{progress.failed} ended in harness errors, the last one: {progress.failure[:500]}", file=sys.stderr)
        again = command("rollout", "--out", out, "--resume", "--retry-errors")
        print(f"to run those again: {again}", file=sys.stderr)
        raise typer.Exit(1)
    print(f"next: {command('score', out)}")


def stored_progress(run: RunDirectory) -> Progress:
    """How far a run has come by its store, all starts together."""
    found = Progress(run.plan.get("episodes") or 0)
    for record in run.records():
        found.add(RunOutcome.of_record(record))
    return found


def usage_notes(usage: Usage | None, prices: Prices | None) -> Iterator[str]:
    """What servers counted, and what it cost; nothing where they did not count.

    Args:
        usage: All of it together.
        prices: What tokens cost; None where nobody said.

    Example:
        >>> list(usage_notes(Usage(1200, 0, 300), Prices(1.0, 1.0, 4.0)))
        ['tokens: 1,200 prompt (0 of them cached), 300 completion (0 of them thoughts); cost 0.0024']
    """
    if usage is None:
        return
    read = f"{usage.prompt:,} prompt ({usage.cached:,} of them cached)"
    written = f"{usage.completion:,} completion ({usage.reasoning:,} of them thoughts)"
    cost = "" if prices is None else f"; cost {prices.cost(usage):.4g}"
    yield f"tokens: {read}, {written}{cost}"


def judged(progress: Progress) -> list[str]:
    """The success rate with what it is taken over; none where too much was lost for one to mean anything.

    Args:
        progress: Of all episodes.
    """
    left, lost = progress.judged, progress.done - progress.judged
    if progress.failed > MAX_HARNESS_ERRORS * progress.done:
        return [f"{progress.failed} harness errors: no success rate is taken over the {left} that are left"]
    if progress.success_rate is None:
        return []
    return [f"success {progress.success_rate:.1%}" + (f" of the {left} that were judged" if lost else "")]
