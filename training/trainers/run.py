"""One training run, from its settings to a folder that is whole or not there at all.

    DATA -> rows, measured and masked -> TRL's trainer in `.OUT.building` -> weights, lineage, card -> OUT

While it runs everything lies in `.OUT.building` beside OUT: checkpoints every few steps, from which `resume` goes on
to the very weights that an undisturbed run would have ended with (on the same machine and versions).
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import orjson

from faultgym.agents.models.files import MERGED
from faultgym.core.errors import UserError
from faultgym.core.files import sync_tree
from faultgym.core.json import JSON
from faultgym.training.builds.work import publish, work_folder, workplace
from faultgym.training.configs import estimate
from faultgym.training.configs.train import TrainConfig
from faultgym.training.trainers import checkpoints, outcome
from faultgym.training.trainers.data import DataSet, Prepared, load_all, prepare
from faultgym.training.trainers.machine import Peak, alone, device_name, free_on, release, understood, unused_gpus
from faultgym.training.trainers.making import trainer_for
from faultgym.training.trainers.models import (
    LINEAGE,
    Start,
    base_model,
    check_adapter,
    facts_of,
    start_of,
    tokenizer_for,
    uses_gpu,
    weight_dtype,
    weights_hash,
    with_adapter,
)
from faultgym.training.trainers.outcome import TrainResult
from faultgym.training.trainers.watch import OnStep, TrainingMonitor, displaced, summary

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

__all__ = ["Job", "TrainResult", "job_of", "train"]

_ASKED = "asked.json"
"""In the work folder: what the run was asked to do, to be compared at a resumption."""


class PreparedRun(Protocol):
    """What carrying out a run needs to know of the run, for data sets and for playing."""

    @property
    def config(self) -> TrainConfig:
        """The settings, resolved."""

    @property
    def start(self) -> Start:
        """The base and the adapter that the run begins from."""

    @property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """The tokenizer, with the template that the run learns under."""

    @property
    def device(self) -> str:
        """`cpu` or `cuda`."""

    @property
    def memory(self) -> estimate.Memory:
        """The memory that the run will take."""


@dataclass(frozen=True, slots=True)
class Job:
    """All that a run needs to know before a model is loaded."""

    config: TrainConfig
    """Resolved."""
    start: Start
    facts: estimate.ModelSizes
    base_hash: str
    sets: tuple[DataSet, ...] = field(hash=False)
    prepared: Prepared
    tokenizer: PreTrainedTokenizerBase = field(hash=False)
    dtype: str
    device: str
    """`cpu` or `cuda`."""

    def warnings(self) -> list[str]:
        """What a person should know of the run's data, a sentence each."""
        found = [idle] if (idle := unused_gpus(self.device)) else []
        found += self.prepared.said
        if self.prepared.left_out:
            found.append(f"{self.prepared.left_out} rows were left out: they are too long")
        if count := self.prepared.unpaired:
            left = "1 row was" if count == 1 else f"{count} rows were"
            found.append(
                f"{left} left out: KTO compares the rows of a batch, and there was no whole batch for the last ones"
            )
        return found

    @property
    def memory(self) -> estimate.Memory:
        """The memory that the run will take."""
        return estimate.memory(self.facts, self.config, self.dtype, max(self.prepared.lengths), self.device)


def train(config: TrainConfig, progress: OnStep | None = None) -> TrainResult:
    """Train, and write the result to `config.out`; needs the extra `train`.

    What was there stays: `out` is written whole or not at all.

    Args:
        config: The run.
        progress: Told of each step; None for nobody.

    Returns:
        What the run came to.

    Raises:
        UserError: Something is wrong that a person can put right: no GPU where one is asked for, too little memory,
            data of the wrong form or that failed its audit, rows that are too long, an adapter of another base, a
            damaged checkpoint, a full disk, a loss that is no number.
    """
    return in_work_folder(
        config,
        lambda work, state: _train(config, work, state, progress or (lambda step: None)),
        partial(_differs, config),
    )


def _differs(config: TrainConfig, record: JSON) -> str:
    """In what a finished run was another one than is asked for."""
    return config.resolved(record["base"]["parameters"]).difference(record["config"])


def in_work_folder(
    config: TrainConfig, run: Callable[[Path, Any], TrainResult], differs: Callable[[JSON], str]
) -> TrainResult:
    """What `run` makes in a work folder that no other process is in, or what it made before.

    Args:
        config: Gives the folder, and whether a stopped run is resumed.
        run: Given the work folder and accelerate's state of the processes.
        differs: Says in what an earlier run, by its record, was another one.

    Raises:
        UserError: The folder holds another run's result or work, or another process is at it.
    """
    out, work = Path(config.out), work_folder(Path(config.out))
    if config.resume and (out / LINEAGE).is_file():
        if difference := differs(outcome.record_of(out)):
            raise UserError(f"{out} holds the result of another run ({difference}): choose another --out, or delete it")
        shutil.rmtree(work, ignore_errors=True)
        return outcome.finished_result(out)
    from accelerate import PartialState

    state = PartialState(**({"cpu": True} if config.device == "cpu" else {}))
    new = not work.exists()
    if state.is_main_process:
        workplace(out, config.resume)
    state.wait_for_everyone()
    with alone(work / "lock", state.is_main_process), understood(work):
        try:
            return run(work, state)
        except BaseException:
            if new and state.is_main_process and not _worth_keeping(work / "out"):
                shutil.rmtree(work, ignore_errors=True)
            raise


def _worth_keeping(out: Path) -> bool:
    """Whether a stopped run left anything to go on from: a checkpoint, or episodes that were played."""
    played = any(path.stat().st_size for path in out.glob("traces/traces/*"))
    return played or bool(checkpoints.sealed(out / checkpoints.FOLDER))


def job_of(config: TrainConfig) -> Job:
    """Check and measure everything; no weights are loaded yet.

    Args:
        config: The run.

    Raises:
        UserError: As of `train`.
    """
    device = "cuda" if uses_gpu(config) else "cpu"
    sets = load_all(config)
    start = start_of(config)
    facts = facts_of(start.path)
    base_hash = weights_hash(start.path)
    check_adapter(start, config, base_hash)
    tokenizer = tokenizer_for(start, config)
    resolved = config.resolved(facts.parameters)
    prepared = prepare(sets, resolved, tokenizer, facts.context)
    return Job(
        config=resolved,
        start=start,
        facts=facts,
        base_hash=base_hash,
        sets=tuple(sets),
        prepared=prepared,
        tokenizer=tokenizer,
        dtype=weight_dtype(resolved),
        device=device,
    )


def load_model(job: PreparedRun) -> Any:
    """The base, and on it the adapter that is trained further.

    Args:
        job: Gives the base, the adapter and the type of the weights.

    Raises:
        UserError: The base or the adapter cannot be loaded.
    """
    model = base_model(job.start.path, job.config, quantised=job.config.adapter.startswith("q"))
    return with_adapter(model, job.start.adapter) if job.start.adapter else model


def check_memory(job: PreparedRun) -> None:
    """Make sure that the run takes no more memory than is free, unless `ignore_memory` is set.

    Args:
        job: Gives what the run takes, and the device.

    Raises:
        UserError: The run would take more than is free.
    """
    needed, free = job.memory, free_on(job.device)
    if free and needed.total > free and not job.config.ignore_memory:
        mib, length = estimate.MIB, "max_completion" if job.config.method == "grpo" else "max_length"
        raise UserError(
            f"this run takes about {needed.line()}, and {free / mib:,.0f} MiB are free: lower batch_size (and raise"
            f" accumulation) or {length}, set gradient_checkpointing=true, take adapter qlora, or try all the same"
            " with --set ignore_memory=true (in a loop: sft.ignore_memory=true, pref.ignore_memory=true)"
        )


def _train(config: TrainConfig, work: Path, state: Any, progress: OnStep) -> TrainResult:
    job = job_of(config)
    data = [one.to_record() for one in job.sets]
    name = device_name(job.device)
    made_of = outcome.lineage(job.config, job.start, job.base_hash, job.facts.parameters, data, name)

    def make(model: Any, folder: Path, watch: TrainingMonitor) -> AbstractContextManager[Any]:
        return nullcontext(trainer_for(job.config, model, job.tokenizer, job.prepared, folder, watch))

    def told(metrics: dict[str, float]) -> list[str]:
        return [text for text in (*job.warnings(), displaced(metrics, job.config)) if text]

    return carried_out(job, work, state, made_of, progress, make, told)


def carried_out(
    job: PreparedRun,
    work: Path,
    state: Any,
    made_of: JSON,
    progress: OnStep,
    make: Callable[[Any, Path, TrainingMonitor], AbstractContextManager[Any]],
    told: Callable[[dict[str, float]], Sequence[str]],
    difference: Callable[[JSON], str] | None = None,
) -> TrainResult:
    """Train from the last checkpoint where there is one, and publish the result.

    Args:
        job: The run.
        work: The work folder.
        state: Accelerate's state of the processes.
        made_of: The lineage.
        progress: Told of each step.
        make: Gives the trainer, of a model, the result's folder and the watch.
        told: Gives the warnings that follow from the metrics.
        difference: Says in what an earlier run's settings differ; None to compare all settings of a training.

    Raises:
        UserError: As of `train`.
    """
    check_memory(job)
    folder = work / "out"
    made_of["processes"] = state.num_processes
    differs = difference or TrainConfig.of(made_of["config"]).difference
    found = [_checkpoint(work, made_of, differs) if state.is_main_process else None]
    if state.num_processes > 1:
        from accelerate.utils import broadcast_object_list

        broadcast_object_list(found)
    watch = TrainingMonitor(job.config, progress, before=checkpoints.seconds(found[0]) if found[0] else 0.0)
    peak = Peak(job.device)
    with make(load_model(job), folder, watch) as trainer:
        fit(trainer, watch, found[0])
        metrics = summary(trainer.state.log_history, job.config)
        steps, warnings = trainer.state.global_step, tuple(told(metrics))
        result = TrainResult(
            out=Path(job.config.out),
            metrics=metrics,
            seconds=round(watch.seconds, 1),
            peak_mib=peak.mib(),
            steps=steps,
            warnings=warnings,
        )
        outcome.write_weights(trainer, job.tokenizer, folder)
    del trainer
    release()
    if state.is_main_process:
        _finish(job, work, made_of, result)
    state.wait_for_everyone()
    return result


def fit(trainer: Any, watch: TrainingMonitor, checkpoint: Path | None = None) -> None:
    """Train, from a checkpoint on where there is one.

    Args:
        trainer: TRL's, made by us.
        watch: Checks the weights at the end.
        checkpoint: A sealed checkpoint's folder; None to begin.

    Raises:
        UserError: The loss or a weight is no number any more.
    """
    if checkpoint is not None and _had_ended(trainer, checkpoint):
        trainer._load_from_checkpoint(str(checkpoint))
        trainer.callback_handler.on_train_end(trainer.args, trainer.state, trainer.control)
    else:
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    watch.check_weights(trainer.model, trainer.state.global_step)


def _had_ended(trainer: Any, checkpoint: Path) -> bool:
    """Whether a checkpoint is of the last step; the trainer then takes its state. transformers would take one more."""
    from transformers import TrainerState

    if trainer.is_fsdp_enabled or trainer.is_deepspeed_enabled:  # they load a checkpoint while they set training up
        return False
    state = TrainerState.load_from_json(str(checkpoint / "trainer_state.json"))
    if state.global_step < state.max_steps:
        return False
    trainer.state.log_history, trainer.state.global_step = state.log_history, state.global_step
    return True


def _checkpoint(work: Path, made_of: JSON, differs: Callable[[JSON], str]) -> Path | None:
    """Where to go on, if anywhere; raises UserError when the run that was stopped was another one."""
    path, folder = work / _ASKED, work / "out"
    if path.is_file():
        before = orjson.loads(path.read_bytes())
        difference = differs(before["config"])
        for name in ("base", "init_adapter", "data", "processes"):
            if not difference and before.get(name) != orjson.loads(orjson.dumps(made_of[name])):
                difference = f"{name} has changed since"
        if difference:
            raise UserError(f"the run to resume was another one ({difference}); delete {work} to begin anew")
    else:
        path.write_bytes(orjson.dumps(made_of))
    folder.mkdir(exist_ok=True)
    return checkpoints.newest(folder / checkpoints.FOLDER)


def _finish(job: PreparedRun, work: Path, made_of: JSON, result: TrainResult) -> None:
    folder = work / "out"
    if job.config.merge and job.config.adapter != "none":
        outcome.merge(job.config, job.start, job.tokenizer, folder, folder / MERGED)
    outcome.describe(folder, result.out, made_of, result)
    sync_tree(folder, [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()])
    publish(folder, result.out, work)
