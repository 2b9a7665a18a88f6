"""The results table, by one command: `python -m benchmarks.results --out runs/results --write docs/results.md`.

For every seed: `tiny-base` from nothing, one round of the loop, the other preference methods, DPO from the base alone,
and the exams. For the first seed also GRPO, and SFT with each adapter. What is there already is not made again.
"""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from rich.console import Console

from faultgym.cli.support.demo_loop import LOOP, models_of, one_round, watched_on
from faultgym.cli.support.trial import EXAMS, TITLES, Trial, by_itself, cell_of, examine, trial_of
from faultgym.core.files import atomic_file
from faultgym.eval.comparison.compare import Run, compare
from faultgym.eval.comparison.result import ComparisonCell, RunComparison, Settings
from faultgym.training.builds.pairs import PairOptions, build_pairs
from faultgym.training.configs.grpo import GrpoConfig
from faultgym.training.configs.tiny_recipe import RECIPES
from faultgym.training.configs.train import TrainConfig
from faultgym.training.loop.rollouts import LEFT, read_json
from faultgym.training.loop.round import LoopCallbacks
from faultgym.training.loop.run import run_loop
from faultgym.training.rows import features
from faultgym.training.trainers import quiet
from faultgym.training.trainers.grpo import train_grpo
from faultgym.training.trainers.machine import device_name
from faultgym.training.trainers.models import uses_gpu
from faultgym.training.trainers.run import train
from faultgym.training.trainers.tiny.making import make

ADAPTERS = ("lora", "dora", "qlora", "qdora")
PREFERENCES = ("orpo", "kto")
RATES = {"orpo": 5e-5, "kto": 2e-5, "grpo": 1e-4, "adapter": 2e-3}
EVERY_SEED = tuple(f"SFT + {method.upper()}" for method in PREFERENCES)
GRPO_STEPS = 20
STAGES = Path("loop", "rounds", "01")
"""Of a seed's folder: the round that all of its models come from."""
ALONE = {"learning_rate": 5e-5, "beta": 0.1, "max_steps": 150}
"""Of DPO from the base, which has further to go."""


@dataclass(frozen=True, slots=True)
class Result:
    """A row of the table."""

    name: str
    runs: tuple[Run, ...]
    """One for each seed."""
    minutes: float | None = None
    peak_mib: int | None = None


def results(
    out: Annotated[Path, typer.Option(help="Models, data and runs; goes on where it was stopped.")] = Path(
        "runs/results"
    ),
    seeds: Annotated[int, typer.Option(min=1, help="Whole repetitions, from the base on.")] = 3,
    per_template: Annotated[int, typer.Option(min=1, help="Held-out tasks of each template in each exam.")] = 12,
    variants: Annotated[bool, typer.Option(help="Also GRPO and the adapters, for the first seed.")] = True,
    more: Annotated[
        list[str] | None, typer.Option(help="Also one round from a pretrained model, in numbers that a CPU can do.")
    ] = None,
    write: Annotated[Path | None, typer.Option(help="The Markdown page.")] = None,
    notes: Annotated[Path | None, typer.Option(help="Markdown that is put at its end: what else was tried.")] = None,
) -> None:
    """Make the results table: train, examine, compare, and write it down with what it stands on."""
    console = Console(stderr=True)
    found: dict[str, list[Result]] = {}
    for seed in range(seeds):
        for row in _repetition(out / f"seed-{seed}", seed, per_template, variants and seed == 0, console):
            found.setdefault(row.name, []).append(row)
    left = [read_json(out / f"seed-{seed}" / STAGES / "preferences" / LEFT)["modes"] for seed in range(seeds)]
    page = _page([_pooled(name, its) for name, its in found.items()], per_template, _target(left))
    for model in more or ():
        page += part_of(out / model.replace("/", "--"), trial_of(model, gpu=False), console)
    if notes is not None:
        page += "\n" + notes.read_text(encoding="utf-8")
    print(page)
    if write is not None:
        with atomic_file(write) as file:
            file.write(page.encode())


# ---- one seed -------------------------------------------------------------------------------------


def _repetition(folder: Path, seed: int, per_template: int, variants: bool, console: Console) -> Iterator[Result]:
    """The rows of one seed, the base first."""
    say = console.print
    base = folder / "base"
    if not base.is_dir():
        with quiet():
            make(RECIPES["tiny-base"], base, seed=seed, say=say)
    trial = replace(trial_of("tiny", gpu=False), model=str(base), per_template=per_template)
    loop = folder / "loop"
    run_loop(loop, trial.config(seed), resume=(loop / "loop.json").is_file(), watching=LoopCallbacks(say))
    stages = folder / STAGES
    yield _row(trial, "base", base, None, folder, console)
    prompted = replace(trial, sampling=f"{trial.sampling}&prompt=best")
    yield _row(prompted, "base, best prompt", base, None, folder, console)
    yield _row(trial, "SFT", stages / "sft", stages / "sft", folder, console)
    yield _row(trial, "SFT + DPO", stages / "pref", stages / "pref", folder, console)
    others = [made for made in _variants(trial, stages, seed) if variants or made[0] in EVERY_SEED]
    others.append(("DPO alone", partial(_alone, trial, stages, seed)))
    for name, make_it in others:
        place = folder / "variants" / name.replace(" ", "").replace("+", "-")
        if not (place / "training.json").is_file():
            say(name)
            with quiet():
                make_it(place)
        yield _row(trial, name, place, place, folder, console)


def _row(trial: Trial, name: str, model: Path, trained: Path | None, folder: Path, console: Console) -> Result:
    place = folder / "exams" / name.replace(" ", "").replace("+", "-")
    run = examine(
        trial, name, None if trained is None else model, place, say=console.print, watched=watched_on(console)
    )
    return Result(name, (run,), *_spent(trained))


def part_of(folder: Path, trial: Trial, console: Console) -> str:
    """One round from another model, as the demo does it in that folder, and its part of the page.

    Args:
        folder: Where the round is done.
        trial: The model, and how it is trained and examined.
        console: Where progress is told.
    """
    runs = one_round(console, folder, trial, 0)
    base, *others = [Result(run.name, (run,), *_spent(models_of(folder / LOOP)[run.name][1])) for run in runs]
    return MORE.format(trial=trial) + _tables(base, others)


def _spent(trained: Path | None) -> tuple[float | None, int | None]:
    """(minutes, peak MiB) of what a training stage left in a folder."""
    if trained is None:
        return None, None
    facts = orjson.loads((trained / "training.json").read_bytes())["result"]
    return facts["seconds"] / 60, facts["peak_mib"]


def _alone(trial: Trial, stages: Path, seed: int, out: Path) -> object:
    """DPO from the base itself, on pairs forked from its own rollout: what a preference stage does without SFT."""
    own = out.with_name("pairs-of-base")
    build_pairs([stages / "rollout"], own, PairOptions(at="anchored"), resume=True)
    given = {**trial.pref, **ALONE, "adapter": "none", "unaudited": True}
    more = {"method": "dpo", "model": trial.model, "data": [str(own)], "out": str(out), "seed": seed}
    return train(TrainConfig.of({**given, **more, "resume": True}))


def _variants(trial: Trial, stages: Path, seed: int) -> Iterator[tuple[str, Callable[[Path], object]]]:
    """(name, what makes it in a folder): all from the same rollouts and data."""
    sft, pairs = str(stages / "sft"), str(stages / "preferences" / "pairs")

    def preferring(method: str, out: Path) -> object:
        data = pairs if method != "kto" else str(_labels(Path(pairs), out.with_name("labels")))
        given = {**trial.pref, "learning_rate": RATES[method], "adapter": "none", "unaudited": True}
        own = {"method": method, "model": sft, "data": [data], "out": str(out), "seed": seed}
        return train(TrainConfig.of({**{k: v for k, v in given.items() if k != "nll_weight"}, **own, "resume": True}))

    def adapting(adapter: str, out: Path) -> object:
        given = {k: v for k, v in trial.sft.items() if k not in ("optimizer", "muon_lr")}
        own = {"method": "sft", "model": trial.model, "data": [str(stages / "data" / "sft")], "out": str(out)}
        more = {"adapter": adapter, "learning_rate": RATES["adapter"], "seed": seed, "resume": True}
        return train(TrainConfig.of({**given, **own, **more}))

    def playing(out: Path) -> object:
        names = [name for its in trial.templates.values() for name in its]
        values: dict[str, Any] = {"model": sft, "out": str(out), "adapter": "none", "seed": seed}
        values |= {"suites": list(trial.templates), "templates": names, "style": trial.style, "faults": ["rough"]}
        values |= {"max_steps": GRPO_STEPS, "learning_rate": RATES["grpo"], "report_to": [], "resume": True}
        return train_grpo(GrpoConfig.of(values))

    for method in PREFERENCES:
        yield f"SFT + {method.upper()}", partial(preferring, method)
    yield "SFT + GRPO", playing
    for adapter in ADAPTERS:
        name = {"lora": "LoRA", "dora": "DoRA", "qlora": "QLoRA", "qdora": "QDoRA"}[adapter]
        yield f"SFT, {name}", partial(adapting, adapter)


def _labels(pairs: Path, out: Path) -> Path:
    """A data set of pairs as one of labels, for KTO."""
    from datasets import Dataset, Features, load_dataset

    if out.is_dir():
        return out
    rows = load_dataset(
        "parquet", data_files=str(pairs / "data" / "*.parquet"), split="train", cache_dir=str(out) + ".cache"
    )
    made = [
        {"prompt": row["prompt"], "completion": row[side], "label": side == "chosen", "tools": row["tools"]}
        for row in rows
        for side in ("chosen", "rejected")
    ]
    wanted = features("labels")
    kept = Features({name: wanted[name] for name in ("prompt", "completion", "label", "tools")})
    work = out.with_name(f".{out.name}.work")
    work.mkdir(parents=True, exist_ok=True)
    Dataset.from_list(made, features=kept).to_parquet(work / "rows.parquet")
    work.rename(out)
    return out


# ---- the page -------------------------------------------------------------------------------------


def _pooled(name: str, its: Sequence[Result]) -> Result:
    minutes = [row.minutes for row in its if row.minutes is not None]
    peaks = [row.peak_mib for row in its if row.peak_mib is not None]
    runs = tuple(run for row in its for run in row.runs)
    return Result(name, runs, sum(minutes) / len(minutes) if minutes else None, max(peaks, default=None))


def _joined(row: Result, seeds: int) -> Run:
    """The runs of the first seeds as one: each seed is a trial of the same tasks, and tasks are what is resampled."""
    episodes = [
        replace(one, key=(*one.key[:3], seed)) for seed, run in enumerate(row.runs[:seeds]) for one in run.episodes
    ]
    return replace(row.runs[0], episodes=tuple(episodes))


def _target(left: Sequence[Mapping[str, int]]) -> str:
    """The failure mode that a preference stage has most to mend in: which one is settled on train tasks."""
    counts: Counter[str] = Counter()
    for modes in left:
        counts.update(modes)
    return max(sorted(counts), key=counts.__getitem__)


def _page(rows: Sequence[Result], tasks: int, target: str) -> str:
    base, *others = rows
    text = HEADER.format(seeds=len(base.runs), tasks=tasks, machine=_machine()) + _tables(base, others)
    if len(base.runs) > 1:
        text += SEEDS + _by_seed(base, others)
    sft = next((row for row in others if row.name == "SFT"), None)
    stages = [row for row in others if row.name.startswith("SFT + ")]
    if sft is not None and stages:
        text += SECOND.format(target=target) + _aimed(sft, stages, target) + "\n" + _tables(sft, stages)
    return text


def _aimed(sft: Result, stages: Sequence[Result], target: str) -> str:
    """One failure mode alone, which nothing has to be adjusted for."""
    head = ["model", "seeds", f"`{target}` after SFT", "after this stage", "difference", "verdict"]
    lines = [_line(head), _line(["---"] * len(head))]
    for row in stages:
        count = len(row.runs)
        cell = compare(_joined(sft, count), [_joined(row, count)], Settings(modes=(target,))).against[0].mode(target)
        if cell is not None:
            rates = f"{cell.base:.1%}", f"{cell.other:.1%}"
            lines.append(_line([row.name, str(count), *rates, _points(cell, 1), cell.verdict or "invalid"]))
    return "\n".join(lines) + "\n"


def _tables(base: Result, others: Sequence[Result]) -> str:
    """How far the others are from a base, and in which failure modes they differ from it, each over its own seeds."""
    against = {
        row.name: compare(_joined(base, len(row.runs)), [_joined(row, len(row.runs))]).against[0] for row in others
    }
    most = max(others, key=lambda row: len(row.runs))
    first = against[most.name]
    head = ["model", "seeds", *(TITLES[exam.name] for exam in EXAMS), "SPL", "minutes", "peak MiB"]
    lines = [_line(head), _line(["---"] * len(head))]
    own = [_own(cell_of(first, exam)) for exam in EXAMS]
    lines.append(_line([base.name, str(len(most.runs)), *own, _own(first.cell("spl")), *_cost(base)]))
    for row in others:
        found = against[row.name]
        cells = [_against(cell) if (cell := cell_of(found, exam)) else by_itself(row.runs[0], exam) for exam in EXAMS]
        lines.append(_line([row.name, str(len(row.runs)), *cells, _against(found.cell("spl"), 2), *_cost(row)]))
    lines += ["", _line(["model", "failure mode", base.name, "model's", "difference", "verdict"]), _line(["---"] * 6)]
    lines += [line for row in others for line in _modes(row.name, against[row.name])]
    return "\n".join(lines) + "\n"


def _by_seed(base: Result, others: Sequence[Result]) -> str:
    """The exams again, each seed by itself."""
    head = ["model", "seed", *(TITLES[exam.name] for exam in EXAMS)]
    lines = [_line(head), _line(["---"] * len(head))]
    for row in others:
        for seed, run in enumerate(row.runs if len(row.runs) > 1 else ()):
            found = compare(base.runs[seed], [run]).against[0]
            lines.append(_line([row.name, str(seed), *(_against(cell_of(found, exam)) for exam in EXAMS)]))
    return "\n".join(lines) + "\n"


def _cost(row: Result) -> tuple[str, str]:
    return (
        "" if row.minutes is None else f"{row.minutes:.1f}",
        "" if row.peak_mib is None else f"{row.peak_mib:,}",
    )


def _modes(name: str, against: RunComparison) -> Iterator[str]:
    for cell in against.cells:
        if cell.by == "mode" and cell.verdict in ("better", "worse"):
            rates = (f"{cell.base:.1%}", f"{cell.other:.1%}")
            yield _line([name, cell.name, *rates, _points(cell), cell.verdict])


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _own(cell: ComparisonCell | None) -> str:
    return "-" if cell is None else f"{cell.base:.2f}" if cell.metric == "spl" else f"{cell.base:.0%} (n={cell.pairs})"


def _against(cell: ComparisonCell | None, digits: int = 0) -> str:
    if cell is None:
        return "-"
    values = [f"{value:.2f}" if cell.metric == "spl" else f"{value:.0%}" for value in (cell.base, cell.other)]
    return f"{' → '.join(values)}, {_points(cell, digits)}, {cell.verdict or 'invalid'}"


def _points(cell: ComparisonCell, digits: int = 0) -> str:
    """The difference with its interval: in points, or as it is for SPL."""
    scale = 1 if cell.metric == "spl" else 100
    low, high = cell.low * scale, cell.high * scale
    return f"{cell.difference * scale:+.{digits}f} [{low:+.{digits}f}, {high:+.{digits}f}]"


def _machine() -> str:
    device = device_name("cuda" if uses_gpu(TrainConfig("sft", "tiny", ("data",), "out")) else "cpu")
    return f"{device}; {platform.system()}, CPython {platform.python_version()}"


HEADER = """# Results

Made by `python -m benchmarks.results` ({machine}).
{seeds} seed(s): each trains `tiny-base` from nothing, does one round of the loop from it (SFT, then DPO on its result)
and DPO without SFT, and examines every model on
{tasks} held-out tasks of each of six templates: clean, under `rough`, and under `rough` with kinds of faults that no
training task has. `a → b`: the base's figure and the model's, on the episodes of which both have one; then the
difference in points with its 95% paired interval (tasks resampled, seeds as trials of a task), and the verdict; see
[compare.md](compare.md). SPL is over all three exams. Failure modes are shares of all episodes; those are listed that
were shown to differ. Rows with fewer seeds are compared on those seeds alone. `tiny-base` begins with heads that look
back and copy ([models.md](models.md)). Negative results stay in.

"""
SEEDS = """
Each seed by itself:

"""
SECOND = """
## What a second stage adds to SFT

The same runs, with what SFT came to as the base. Pairs are forked from what that model does on train tasks, and what it
still did wrong there most often was `{target}`; that mode is compared first, and alone.

"""
MORE = """
## {trial.model}

One round from a pretrained model, in numbers that two cores can do: {trial.episodes} rollouts and
{trial.pair_episodes} for pairs, adapter {trial.adapter}, {trial.per_template} held-out tasks of each template in each
exam, one seed (`faultgym demo --model {trial.model}`). Templates, exams and columns are those of the first table.

"""


if __name__ == "__main__":
    typer.run(results)
