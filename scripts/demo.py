"""`faultgym demo`: roll out, break, score, look at two episodes; then a model that gets better, from nothing."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from faultgym.agents.models.files import TRAINED
from faultgym.agents.registry import policy_named
from faultgym.agents.rollouts.engine import rollout
from faultgym.agents.rollouts.plan import RolloutPlan, RolloutRequest
from faultgym.agents.rollouts.progress import Progress as RolloutProgress
from faultgym.agents.storage.store import RunDirectory
from faultgym.agents.traces.trace import Trace
from faultgym.cli.support.calling import command
from faultgym.cli.support.demo_loop import close_the_loop
from faultgym.cli.support.extras import missing_module
from faultgym.cli.support.printing import grid, heading, say, stdout_console
from faultgym.cli.support.scoring import SCORES, scored, write_scores
from faultgym.cli.support.transcripts import print_trace
from faultgym.cli.support.trial import trial_of
from faultgym.core.errors import UserError
from faultgym.eval.scoring.metrics import Summary, summarize
from faultgym.eval.scoring.score import Score
from faultgym.eval.statistics import percent
from faultgym.training.trainers.models import check_gpu

POLICIES = {
    "expert": "recovers by the contracts, from what it sees",
    "repeater": "only repeats what failed",
    "impatient": "retries before it was asked to",
    "trusting": "believes every 200",
    "quitter": "apologises at the first error",
    "fabricated_answer": "makes a value up",
}
"""What is rolled out: the expert, and agents with one flaw each."""
MARK = ".faultgym-demo"
"""A file in a demo's folder: what a shell's `*` does not name, as the runs beside it are given to other commands so."""
PRESETS = ("clean", "mild", "rough", "hostile", "outage")
SUITES = ("orders", "incidents")


@dataclass(frozen=True, slots=True)
class DemoRun:
    """One run of the demo, scored."""

    policy: str
    path: Path
    scores: Sequence[Score]


def demo(
    out: Annotated[Path, typer.Option(help="Where the runs are written.")] = Path("runs/demo"),
    per_template: Annotated[int, typer.Option(min=1, help="Tasks of each template.")] = 2,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Of the faults, and of the loop.")] = 0,
    tables: Annotated[bool, typer.Option(help="The first part: scripted agents under faults.")] = True,
    loop: Annotated[
        bool, typer.Option("--loop", help="The second part too: a model that learns. About 15 min.")
    ] = False,
    model: Annotated[
        str | None, typer.Option(help="The second part with smollm2, a folder or a hub id. (default: tiny-base)")
    ] = None,
    gpu: Annotated[bool, typer.Option("--gpu", help="With --model: sample with vLLM and train on the GPU.")] = False,
    loop_out: Annotated[
        Path | None,
        typer.Option(help="Where the loop is written; it goes on where it was stopped. (default: runs/demo-loop)"),
    ] = None,
) -> None:
    """Agents under faults; then a model that learns from its failures.

    The first part takes seconds. The second trains a small model from nothing,
    rolls it out under faults, turns its failures into verified data, trains on
    them (SFT, then DPO), and compares base and tuned on unseen entities and
    unseen kinds of faults: about a quarter of an hour on two cores.
    It needs the extras data and train; with --gpu also vllm.
    """
    console = stdout_console()
    if tables:
        _tables(console, out, per_template, seed)
    if not (loop or model or gpu):
        say(console, f"  # a model that learns from its failures: a quarter of an hour\n  {command('demo', '--loop')}")
        return
    if missing := _missing():
        raise UserError(missing_module(missing[0], "demo --loop"))
    if gpu:
        _check_gpu(model)
    close_the_loop(console, loop_out or _place(model, seed), trial_of(model or "tiny", gpu=gpu), seed)


def _place(model: str | None, seed: int) -> Path:
    """A folder for each model and seed, as a loop belongs to one of each."""
    name = "loop" if model is None else Path(model).name
    return Path("runs", f"demo-{name}" + (f"-{seed}" if seed else ""))


def _check_gpu(model: str | None) -> None:
    """Raise UserError where --gpu can do nothing."""
    if model is None or model in TRAINED:
        raise UserError("--gpu is for a pretrained model: name one with --model, such as --model Qwen/Qwen3-0.6B")
    check_gpu()


def _missing() -> list[str]:
    """What the second part needs and is not installed."""
    return [name for name in ("torch", "transformers", "trl", "datasets", "sklearn") if find_spec(name) is None]


def _tables(console: Console, out: Path, per_template: int, seed: int) -> None:
    """The first part."""
    started = time.monotonic()
    _clear(out)
    count = len(_plan(per_template, seed).episodes)
    say(
        console,
        f"Two suites of tasks (a shop's support desk, an operations desk), {len(POLICIES)} agents, {len(PRESETS)}"
        f" intensities of faults: {len(POLICIES) * count:,} episodes, each judged by the state it leaves behind.",
    )
    for name, what in POLICIES.items():
        say(console, f"  {name:18} {what}")
    runs = list(_runs(console, out, per_template, seed))
    console.print(_table(runs))
    say(console, "success   goal state reached, answer right, nothing else touched; in brackets the 95% interval")
    say(console, "SPL       success weighted by path length: 1.00 means that fewer calls would not do")
    say(console, "recovery  share of the delivered faults that were got past (of how many that have a way past)\n")
    _episodes(console, runs)
    _farewell(console, out, runs, time.monotonic() - started)


def _plan(per_template: int, seed: int) -> RolloutPlan:
    return RolloutPlan.make(RolloutRequest(SUITES, "train", per_template=per_template, faults=PRESETS, seed=seed))


def _clear(out: Path) -> None:
    """Remove what an earlier demo wrote, and nothing else: a folder that holds anything is a demo's by its mark."""
    if out.exists() and not out.is_dir():
        raise UserError(f"{out} is a file: choose another folder with --out")
    out.mkdir(parents=True, exist_ok=True)
    there = sorted(path.name for path in out.iterdir())
    if strange := [name for name in there if name not in (*POLICIES, MARK)]:
        raise UserError(f"{out} holds something that is not a demo's ({strange[0]}): choose another folder with --out")
    if there and MARK not in there:
        raise UserError(f"{out} holds runs that are not a demo's ({there[0]}): choose another folder with --out")
    (out / MARK).touch()
    for name in POLICIES:
        shutil.rmtree(out / name, ignore_errors=True)


def _runs(console: Console, out: Path, per_template: int, seed: int) -> Iterator[DemoRun]:
    """Roll out and score policy after policy."""
    plan = _plan(per_template, seed)
    columns = (TextColumn("{task.description:28}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=len(plan.episodes))

        def advance(progress: RolloutProgress) -> None:
            bar.update(task, completed=progress.done)

        for name in POLICIES:
            bar.reset(task, description=name)
            asyncio.run(rollout(plan, policy_named(name), out / name, on_progress=advance))
            bar.update(task, description=f"{name}: scoring")
            scores = scored(RunDirectory.open(out / name), False, Console(quiet=True))
            write_scores(out / name / SCORES, scores)
            yield DemoRun(name, out / name, scores)


def _table(runs: Sequence[DemoRun]) -> Table:
    figures = ("success", "SPL", "recovery")
    columns = ("agent", "faults", *figures, "main failure mode")
    table = grid("Agents under faults", columns, numbers=figures, whole=columns)
    for run in runs:
        for n, preset in enumerate(PRESETS):
            found = summarize(s for s in run.scores if s.faults == preset)
            table.add_row(run.policy if not n else "", preset, *_cells(found), end_section=preset == PRESETS[-1])
    return table


def _cells(s: Summary) -> tuple[str, ...]:
    rate = s.recovery.rate.value
    recovery = "-" if rate is None else f"{rate:.0%} ({s.recovery.counted})"
    spl = "-" if s.spl.value is None else f"{s.spl.value:.2f}"
    return percent(s.success), spl, recovery, s.main_mode or "-"


def _episodes(console: Console, runs: Sequence[DemoRun]) -> None:
    """One episode that was recovered, and the same task under the same faults botched by another agent."""
    scores = {run.policy: {(s.task, s.faults): s for s in run.scores} for run in runs}
    good, bad = scores["expert"], scores["repeater"]
    shared = [key for key, s in good.items() if _recovered(s) and key in bad and not bad[key].success]
    if not shared:
        return
    key = min(shared, key=lambda k: (*_telling(good[k]), _calls(good[k]) + _calls(bad[k]), k))
    for title, policy in (("A recovered episode", "expert"), ("The same task and faults, botched", "repeater")):
        wanted = scores[policy][key]
        heading(console, f"{title}: {policy}")
        print_trace(console, _trace(runs, policy, wanted.episode_id), found=wanted)
        console.print()


def _telling(s: Score) -> tuple[bool, bool]:
    """Sorts first what shows most: a change that was wanted, and a fault that says what it asks for."""
    kinds = {d.kind for d in s.recovery.deliveries} if s.recovery is not None else set()
    return "cancel_order" not in s.task, not kinds & {"rate_limited", "unavailable", "unauthorized", "conflict"}


def _calls(s: Score) -> int:
    return s.cost.calls if s.cost is not None else 99


def _recovered(s: Score) -> bool:
    return bool(s.success) and s.recovery is not None and any(d.recovered for d in s.recovery.deliveries)


def _trace(runs: Sequence[DemoRun], policy: str, episode: str) -> Trace:
    path = next(run.path for run in runs if run.policy == policy)
    records = RunDirectory.open(path).records()
    return Trace.from_record(next(r for r in records if r["episode_id"] == episode))


NEXT = (
    ("show {out}/repeater --failed", "what went wrong, episode by episode"),
    ("replay {out}/expert --all", "prove every trace by playing it again"),
    ("score {out}/trusting --by kind", "which faults an agent does not see through"),
    ("tasks --faults", "every kind of fault, and how one gets past it"),
    ("rollout --policy expert --faults hostile --out runs/mine", "a run of your own"),
)
"""What to try after the demo, and what it shows."""


def _farewell(console: Console, out: Path, runs: Sequence[DemoRun], seconds: float) -> None:
    total = sum(len(run.scores) for run in runs)
    say(
        console,
        f"{total:,} episodes in {seconds:.0f} s. Everything is in {out}: traces and scores.jsonl for each agent. Next:",
    )
    for arguments, what in NEXT:
        say(console, f"  # {what}")
        say(console, f"  {command(*(argument.format(out=out) for argument in arguments.split(' ')))}")
