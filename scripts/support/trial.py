"""What training is worth: a base and what came of it, on the same held-out tasks, seeds and schedules."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.table import Table

from faultgym.agents.models.files import TRAINED
from faultgym.agents.models.server import find_vllm
from faultgym.agents.rollouts.plan import RolloutRequest
from faultgym.agents.rollouts.progress import OnProgress
from faultgym.agents.rollouts.stop import Stop
from faultgym.cli.support.printing import grid
from faultgym.core.errors import UserError
from faultgym.core.files import atomic_file
from faultgym.envs.task import Style
from faultgym.eval.comparison.compare import Comparison, Run, read_run
from faultgym.eval.comparison.noninferior import TEXT_MARGIN
from faultgym.eval.comparison.result import ComparisonCell, RunComparison
from faultgym.eval.scoring.metrics import summarize
from faultgym.training.configs.tiny_recipe import MAX_TURNS, STYLE, TEMPLATES
from faultgym.training.configs.train import Adapter
from faultgym.training.loop.config import Engine, LoopConfig
from faultgym.training.loop.models import ModelRef, policy_name, published_hash, serving, what_serves, with_port
from faultgym.training.loop.rollouts import check_valid, roll_out

SAMPLING = "max_tokens=96&batch=64"
"""Of `tiny`: greedy; its longest sound turn has about 70 tokens."""
IN_FLIGHT = 256


@dataclass(frozen=True, slots=True)
class Exam:
    """One set of held-out episodes, and the metric that counts there."""

    name: str
    split: str
    faults: str
    metric: str
    """What it is for, by `compare`'s name."""
    by: str
    """The slice of a comparison that holds it."""


EXAMS = (
    Exam("clean", "test", "clean", "success", "intensity"),
    Exam("faults", "test", "rough", "recovery", "split"),
    Exam("unseen", "unseen_faults", "rough", "recovery", "split"),
)
"""Entities that no training task has; then faults on them; then faults of kinds that no training task has either."""
TITLES = {"clean": "clean success", "faults": "recovery", "unseen": "recovery, unseen kinds"}


@dataclass(frozen=True, slots=True)
class Trial:
    """A model, what it is given to practise, and how it is examined."""

    model: str
    """An embedded one's name, a folder, or a hub id."""
    sampling: str = SAMPLING
    templates: Mapping[str, Sequence[str]] = field(default_factory=lambda: TEMPLATES, hash=False)
    style: Style | None = STYLE
    episodes: int = 1200
    """Of the round, on training tasks."""
    pair_episodes: int = 400
    """Of what SFT came to, on others."""
    per_template: int = 12
    """Held-out tasks of each template in each exam."""
    dev_tasks: int = 12
    """Dev tasks of each template, for the promotion: 72 clean ones of six templates can rule out a loss of 5 points, if
    there is none."""
    engine: Engine = "hf"
    adapter: Adapter = "none"
    sft: Mapping[str, Any] = field(default_factory=lambda: SFT, hash=False)
    pref: Mapping[str, Any] = field(default_factory=lambda: DPO, hash=False)
    text_margin: float = 10.0
    """Bits per byte; that of `tiny` is beyond all reach, for it knows no text but its tasks'."""

    def config(self, seed: int) -> LoopConfig:
        """One round of the loop.

        Args:
            seed: Of everything that is random.
        """
        return LoopConfig(
            self.model,
            suites=tuple(self.templates),
            templates=tuple(name for names in self.templates.values() for name in names),
            style=self.style or "",
            seed=seed,
            episodes=self.episodes,
            faults=("clean", "mild", "rough"),
            dev_tasks=self.dev_tasks,
            engine=self.engine,
            sampling=f"{self.sampling}&temperature=0.7",
            dev_sampling=self.sampling,
            turns=MAX_TURNS,
            samples=0,
            pair_episodes=self.pair_episodes,
            replay=0.0,
            adapter=self.adapter,
            sft=self.sft,
            pref=self.pref,
            unaudited=True,
            text_margin=self.text_margin,
            in_flight=IN_FLIGHT,
        )


_STEPS: Mapping[str, Any] = {
    "batch_size": 8,
    "accumulation": 1,
    "report_to": [],
    "too_long": "drop",
    "max_length": 768,
}
SFT: Mapping[str, Any] = {**_STEPS, "optimizer": "muon", "learning_rate": 1e-3, "muon_lr": 3e-3, "epochs": 3}
DPO: Mapping[str, Any] = {**_STEPS, "learning_rate": 3e-5, "beta": 0.3, "max_steps": 100, "nll_weight": 0.5}
"""Gentle: at 1e-4 a model of this size forgets how to call."""


def examine(
    trial: Trial,
    name: str,
    folder: Path | None,
    out: Path,
    *,
    seed: int = 0,
    say: Callable[[str], None],
    watched: Callable[[str], AbstractContextManager[OnProgress]],
) -> Run:
    """Roll a model out on every exam, one run folder each in `out`, and score; resumes where it was stopped.

    Args:
        trial: How the model is examined.
        name: What the model is called in tables.
        folder: What was trained from the trial's model; None for that model itself.
        out: The folder of the exams; emptied first where they are those of other weights.
        seed: Of the tasks' faults and of sampling.
        say: Hears what goes on.
        watched: Tells how far an exam is, given its name.

    Returns:
        The scored episodes of all exams.

    Raises:
        UserError: The model cannot be served or loaded, or a run cannot be used.
    """
    config = with_port(trial.config(seed))
    served = None if folder is None else what_serves(folder)
    model = ModelRef.of(trial.model, served)
    _of_these_weights(out, "" if served is None else published_hash(served))
    with serving(model, config, say):
        policy = policy_name(model, config, config.dev_sampling)
        for exam in EXAMS:
            specs = [spec for suite in trial.templates for spec in _asked(trial, exam, suite, seed).episodes()]
            with watched(f"{name}: {exam.name}") as on_progress:
                roll_out(specs, policy, out / exam.name, config, Stop(), on_progress)
    run = read_run(out, name)
    check_valid([one.score for one in run.episodes], out)
    return run


def _of_these_weights(out: Path, weights: str) -> None:
    """Remove the exams of a model that was trained anew since: to a server's clients both have one name."""
    note = out.with_name(f".{out.name}.weights")
    if note.is_file() and note.read_text(encoding="utf-8") != weights:
        shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True, exist_ok=True)
    with atomic_file(note) as file:
        file.write(weights.encode())


def _asked(trial: Trial, exam: Exam, suite: str, seed: int) -> RolloutRequest:
    names = tuple(trial.templates[suite])
    return RolloutRequest(
        (suite,), exam.split, names, trial.per_template, faults=(exam.faults,), seed=seed, style=trial.style
    )


def trial_of(model: str, *, gpu: bool) -> Trial:
    """The trial of a model by its name, as the demo does it: `tiny` within a quarter of an hour on two cores.

    Anything else is given adapters and the trainers' own settings.

    Args:
        model: `tiny`, another embedded model's name, a folder, or a hub id.
        gpu: Whether there is a GPU, for a pretrained model.
    """
    if model in TRAINED:
        return Trial("tiny-base", episodes=700, pair_episodes=200, pref={**DPO, "max_steps": 60})
    return _pretrained_on_gpu(model) if gpu else _pretrained_on_cpu(model)


def _pretrained_on_gpu(model: str) -> Trial:
    settings: Mapping[str, Any] = {"report_to": [], "too_long": "drop", "device": "cuda"}
    return Trial(
        model,
        "max_tokens=256",
        episodes=2000,
        pair_episodes=1000,
        engine="server",
        adapter="lora",
        sft=settings,
        pref=settings,
        text_margin=TEXT_MARGIN,
    )


def _pretrained_on_cpu(model: str) -> Trial:
    """As small as shows anything: a hundred million parameters read some twenty rows a minute on two cores."""
    served = _vllm_is_there()
    settings: Mapping[str, Any] = {
        "report_to": [],
        "too_long": "drop",
        "device": "cpu",
        "batch_size": 2,
        "accumulation": 2,
        "max_length": 2048,
        "merge": served,
    }
    return Trial(
        model,
        "max_tokens=160" if served else "max_tokens=160&batch=16",
        episodes=240,
        pair_episodes=48,
        per_template=4,
        dev_tasks=3,
        engine="server" if served else "hf",
        adapter="lora",
        sft={**settings, "epochs": 1},
        pref={**settings, "batch_size": 1, "accumulation": 4, "max_steps": 8},
        text_margin=TEXT_MARGIN,
    )


def _vllm_is_there() -> bool:
    """Whether vLLM can roll out, which keeps the common beginnings of prompts: faster on a CPU too."""
    try:
        return bool(find_vllm())
    except UserError:
        return False


def cell_of(against: RunComparison, exam: Exam) -> ComparisonCell | None:
    """What a comparison says of an exam; None where there is nothing to compare."""
    return against.cell(exam.metric, exam.by, exam.faults if exam.by == "intensity" else exam.split)


def by_itself(run: Run, exam: Exam) -> str:
    """The recovery rate of a model whose base met no fault, as one that calls no tool: there is nothing to pair.

    Returns:
        The rate with its count, in words; "-" for other metrics, and where no fault was met.
    """
    if exam.metric != "recovery":
        return "-"
    scores = (one.score for one in run.episodes)
    found = summarize(s for s in scores if s.split == exam.split and s.faults == exam.faults).recovery
    return "-" if found.rate.value is None else f"{found.rate.value:.0%} (n={found.counted}), base: none met"


def table(comparison: Comparison, runs: Sequence[Run], title: str) -> Table:
    """One row for each model: its numbers, and how far they are from the base's, with intervals and verdicts.

    Args:
        comparison: The models beside the base.
        runs: The exams of all models.
        title: The table's.
    """
    shown = grid(title, ("model", *(TITLES[exam.name] for exam in EXAMS)), numbers=tuple(TITLES.values()))
    first = comparison.against[0]
    shown.add_row(comparison.base.name, *(_base(cell_of(first, exam)) for exam in EXAMS))
    for against in comparison.against:
        run = next(one for one in runs if one.name == against.run.name)
        cells = ((cell_of(against, exam), exam) for exam in EXAMS)
        shown.add_row(run.name, *(_cell(cell) if cell else by_itself(run, exam) for cell, exam in cells))
    return shown


def _base(cell: ComparisonCell | None) -> str:
    return "-" if cell is None else f"{cell.base:.0%} (n={cell.pairs})"


def _cell(cell: ComparisonCell) -> str:
    points = f"{cell.difference * 100:+.0f} [{cell.low * 100:+.0f}, {cell.high * 100:+.0f}]"
    return f"{cell.other:.0%}\n{points}\n{cell.verdict or 'no verdict'}"
