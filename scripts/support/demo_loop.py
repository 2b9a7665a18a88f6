"""The second half of `faultgym demo`: a model that measurably gets better, from nothing to a verdict."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from faultgym.agents.models.files import TRAINED, trained_folder
from faultgym.agents.rollouts.progress import OnProgress
from faultgym.agents.storage.store import RunDirectory
from faultgym.agents.traces.trace import Trace
from faultgym.cli.support.callbacks import loop_callbacks
from faultgym.cli.support.calling import command
from faultgym.cli.support.printing import heading, say
from faultgym.cli.support.progress import duration, rollout_progress, training_progress
from faultgym.cli.support.transcripts import print_trace
from faultgym.cli.support.trial import EXAMS, Trial, examine, table
from faultgym.core.errors import UserError
from faultgym.eval.comparison.compare import Comparison, Run, compare
from faultgym.eval.scoring.runs import ScoredEpisode
from faultgym.training.configs.tiny_recipe import RECIPES
from faultgym.training.loop.run import run_loop
from faultgym.training.trainers import quiet
from faultgym.training.trainers.tiny.making import make

LOOP = "loop"
"""The loop's folder beneath the demo's."""
BASE, SFT, PREFERENCE, ALONE = "base", "SFT", "SFT + DPO", "DPO"


def close_the_loop(console: Console, out: Path, trial: Trial, seed: int) -> Comparison:
    """Play base, rollouts under faults, verified data, SFT, DPO and the comparison; resumes where it was stopped.

    Args:
        console: Where the tables are printed.
        out: The demo's folder; the loop stands in `loop/`, the exams in `exams/`.
        trial: The model, and how it is trained and examined.
        seed: Of everything that is random.

    Returns:
        How the models of the round compare with the base.

    Raises:
        UserError: The round trained nothing.
    """
    began = time.monotonic()
    model = trial.model
    trial = _with_base(console, out, trial, seed)
    folder = out / LOOP
    runs = one_round(console, out, trial, seed)
    comparison = compare(runs[0], runs[1:])
    console.print(table(comparison, runs, f"One round of the loop, from {model}"))
    _legend(console, trial, model in TRAINED)
    _before_and_after(console, out / "exams", runs)
    say(console, f"{duration(time.monotonic() - began)} for the loop. Everything is in {out}:")
    say(console, f"  {folder}/rounds/01/README.md   what failed, what was added, what changed")
    exams = (out / "exams" / place for place, _ in models_of(folder).values())
    say(console, f"  {command('compare', *exams)}   all of the comparison")
    return comparison


def one_round(console: Console, out: Path, trial: Trial, seed: int) -> list[Run]:
    """Do one round of the loop in `out`, and examine its models; resumes where it was stopped.

    Args:
        console: Where progress is told.
        out: The folder; the loop stands in `loop/`, the exams in `exams/`.
        trial: The model, and how it is trained and examined.
        seed: Of everything that is random.

    Returns:
        The exams of each model, the base's first.

    Raises:
        UserError: The round trained nothing.
    """
    folder = out / LOOP
    watch = loop_callbacks(Console(stderr=True))
    with quiet():
        run_loop(folder, trial.config(seed), resume=(folder / "loop.json").is_file(), watching=watch)
        runs = [
            examine(trial, name, model, out / "exams" / place, seed=seed, say=watch.say, watched=watched_on(console))
            for name, (place, model) in models_of(folder).items()
        ]
    if len(runs) < 2:
        raise UserError(
            f"the round learned nothing from {trial.model}'s episodes: {folder}/rounds/01/README.md says what failed;"
            " begin anew in another folder, with another seed or model"
        )
    return runs


def models_of(folder: Path) -> dict[str, tuple[str, Path | None]]:
    """What one round of a loop made, and its base.

    Args:
        folder: The loop's.

    Returns:
        Name -> (a short name for folders, the folder of what was trained; None for the base).
    """
    found: dict[str, tuple[str, Path | None]] = {BASE: ("base", None)}
    for name, place, stage in ((SFT, "sft", "sft"), (PREFERENCE, "dpo", "pref")):
        trained = folder / "rounds" / "01" / stage
        if trained.is_dir():
            found[name if place == "sft" or SFT in found else ALONE] = (place, trained)
    return found


def _with_base(console: Console, out: Path, trial: Trial, seed: int) -> Trial:
    """The same trial with a base that is there: where that is one to be trained here and was not yet, it is now.

    Seed 0 has the user's own, in the cache folder; any other one of its own, so that a seed repeats all of it.
    """
    if trial.model not in TRAINED:
        return trial
    kept = trained_folder(trial.model) if not seed else out / trial.model
    if not kept.is_dir():
        recipe = RECIPES[trial.model]
        say(console, f"{trial.model}, from nothing: it {recipe.summary}. Kept in {kept} for the next time.")
        with quiet(), training_progress() as on_step:
            made = make(recipe, kept, seed=seed, progress=on_step, say=lambda line: say(console, f"  {line}"))
        say(console, f"{made.parameters:,} parameters after {duration(made.seconds)}\n")
    return trial if not seed else replace(trial, model=str(kept))


def watched_on(console: Console) -> Callable[[str], AbstractContextManager[OnProgress]]:
    """What tells how far an exam is, under its name.

    Args:
        console: Where the name is printed; the progress goes to stderr.
    """

    @contextmanager
    def watched(what: str) -> Iterator[OnProgress]:
        say(console, what)
        with rollout_progress(Console(stderr=True)) as on_progress:
            yield on_progress

    return watched


def _legend(console: Console, trial: Trial, structured: bool) -> None:
    templates = ", ".join(name for names in trial.templates.values() for name in names)
    say(console, f"templates      {templates}")
    say(console, "clean success  on tasks of the test split: other worlds, other entities than in training")
    say(console, "recovery       of the delivered faults that have a way past; on tasks of the test split")
    say(console, "unseen kinds   the same with kinds of faults that no training task has")
    say(console, "[a, b]         95% interval of the difference to the base, in points, paired by task\n")
    if structured:
        say(
            console,
            "the base begins with heads that look back and copy (a structured initialisation; every weight is"
            " trained afterwards): docs/models.md says how and why.\n",
        )


def _before_and_after(console: Console, exams: Path, runs: list[Run]) -> None:
    """One task under the same faults, by the base and by the last model."""
    before, after = ({one.key: one for one in run.episodes} for run in (runs[0], runs[-1]))
    turned = [
        key
        for key, one in after.items()
        if key in before and one.score.success and not before[key].score.success and _met(one)
    ]
    if not turned:
        return
    key = min(turned, key=lambda k: (len(_met(after[k])), dict(after[k].score.reward)["calls"], k))
    for title, place, one in (("Before", "base", before[key]), ("After", "", after[key])):
        heading(console, f"{title}: {runs[0].name if place else runs[-1].name}")
        folder = exams / (place or ("sft" if runs[-1].name == SFT else "dpo"))
        print_trace(console, _trace(folder, one.id), found=one.score)
        console.print()


def _met(one: ScoredEpisode) -> list[str]:
    found = one.score.recovery
    return [] if found is None else [d.kind for d in found.deliveries if d.recovered]


def _trace(folder: Path, episode: str) -> Trace:
    for exam in EXAMS:
        for record in RunDirectory.open(folder / exam.name).records():
            if record["episode_id"] == episode:
                return Trace.from_record(record)
    raise AssertionError(f"{episode} was scored from {folder}, and is not there")
