"""What a run would take, before it starts: memory by arithmetic, time by a few real steps that are thrown away."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from statistics import median

from faultgym.training.configs import estimate
from faultgym.training.configs.train import TrainConfig
from faultgym.training.trainers.data import Prepared
from faultgym.training.trainers.machine import Peak, device_name, free_on, understood
from faultgym.training.trainers.making import total_steps, trainer_for
from faultgym.training.trainers.run import Job, job_of, load_model
from faultgym.training.trainers.watch import TrainingMonitor, TrainingStep

TIMED = 2
"""Batches that are timed, after one that warms up."""


@dataclass(frozen=True, slots=True)
class RunEstimate:
    """What a run would take, as far as that is known before it starts."""

    rows: int
    left_out: int
    tokens: int
    """Of all rows; of pairs, of their longer sides."""
    learned: int
    """Tokens that carry loss."""
    longest: int
    steps: int
    memory: estimate.Memory = field(hash=False)
    free: int
    """Bytes; 0 when that is not known."""
    device: str
    seconds: float | None
    """Of the whole run; None where nothing was timed, because it would not fit."""
    timed: int
    """Batches that the time is from."""
    peak_mib: int | None
    """What those batches took."""
    config: TrainConfig

    @property
    def fits(self) -> bool:
        """Whether the memory is enough, as far as that is known."""
        return not self.free or self.memory.total <= self.free

    def lines(self) -> Iterator[str]:
        """The estimate for people, line by line."""
        c = self.config
        yield f"{c.method} of {c.model} ({c.adapter}) on {self.device}"
        left = f", {self.left_out} left out as too long" if self.left_out else ""
        yield (
            f"data: {self.rows:,} rows{left}, {self.tokens:,} tokens, {self.learned:,} of them learned from; the"
            f" longest row has {self.longest:,}"
        )
        batch = f"{c.batch_size} rows x {c.accumulation}"
        yield f"steps: {self.steps:,} of {batch}, learning rate {c.learning_rate:g}"
        yield f"memory (by formula): {self.memory.line()}; free: {self.free / estimate.MIB:,.0f} MiB"
        if self.peak_mib is not None:
            yield f"memory (in {self.timed + 1} batches of the longest rows): {self.peak_mib:,} MiB"
        if self.seconds is None:
            yield "time: not measured, as it would not fit into memory"
        else:
            yield f"time (from {self.timed} timed batches): {self.seconds / 60:.1f} min"
        if not self.fits:
            yield "it would not fit: lower batch_size or max_length, set gradient_checkpointing=true, or take qlora"


def dry_run(config: TrainConfig) -> RunEstimate:
    """Check everything as for a run, and time a few steps in a temporary folder; needs the extra `train`.

    Args:
        config: The run.

    Returns:
        What the run would take.

    Raises:
        UserError: As of `train`.
    """
    job = job_of(config)
    prepared, free = job.prepared, free_on(job.device)
    steps = total_steps(job.config, len(prepared.rows))
    fits = not free or job.memory.total <= free
    with understood(Path(config.out)):
        seconds, peak = _timed(job, steps) if fits else (None, None)
    return RunEstimate(
        rows=len(prepared.rows),
        left_out=prepared.left_out,
        tokens=sum(prepared.lengths),
        learned=prepared.learned,
        longest=max(prepared.lengths),
        steps=steps,
        memory=job.memory,
        free=free,
        device=device_name(job.device),
        seconds=seconds,
        timed=TIMED,
        peak_mib=peak,
        config=job.config,
    )


def _timed(job: Job, steps: int) -> tuple[float, int]:
    """Seconds of the whole run and the peak, from batches of the longest rows: time in proportion to the tokens.

    Attention takes longer the longer a row is, so that the time is rather too long than too short.
    """
    config = replace(job.config, max_steps=1 + TIMED, epochs=None, accumulation=1)
    count = len(job.prepared.lengths)
    order = sorted(range(count), key=lambda n: -job.prepared.lengths[n])[: config.batch_size]
    rows = job.prepared.rows.select(order)
    lengths = tuple(job.prepared.lengths[n] for n in order)
    few = Prepared(rows=rows, lengths=lengths, left_out=0, unpaired=0, learned=job.prepared.learned)
    ends: list[float] = []

    def on_step(step: TrainingStep) -> None:
        ends.append(time.monotonic())

    peak = Peak(job.device)
    with tempfile.TemporaryDirectory() as folder:
        watch = TrainingMonitor(config, on_step)
        trainer = trainer_for(config, load_model(job), job.tokenizer, few, Path(folder), watch, save=False)
        trainer.train()
    seconds = median(after - before for before, after in pairwise(ends))
    read = min(count, (config.batch_size or 1) * (job.config.accumulation or 1)) / count  # of all rows, in a step
    return seconds * steps * read * sum(job.prepared.lengths) / sum(lengths), peak.mib()
