"""GRPO on the environments themselves: the policy plays tasks in groups, and learns from what set them apart.

    tasks -> rows -> TRL's GRPOTrainer, whose tool loop plays our episodes -> rewards and traces -> weights -> OUT

The outer frame (work folder, checkpoints, adapters, lineage, card) is that of `run.train`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from faultgym.agents.models.local import identity
from faultgym.agents.models.prompts import prompt_description
from faultgym.core.bank import banked
from faultgym.core.errors import UserError
from faultgym.core.hashing import stable_hash
from faultgym.core.json import JSON
from faultgym.training.configs import estimate
from faultgym.training.configs.grpo import GrpoConfig
from faultgym.training.configs.train import TrainConfig
from faultgym.training.environments.episode_log import EpisodeLog, logged
from faultgym.training.environments.factory import environments_of, specs_of
from faultgym.training.environments.rewards import reward_functions
from faultgym.training.environments.task_rows import task_rows
from faultgym.training.trainers import outcome
from faultgym.training.trainers.machine import device_name, free_on
from faultgym.training.trainers.making import arguments, on_one_gpu, watched
from faultgym.training.trainers.models import (
    Start,
    check_adapter,
    facts_of,
    start_of,
    tokenizer_for,
    uses_gpu,
    weight_dtype,
    weights_hash,
)
from faultgym.training.trainers.outcome import TrainResult
from faultgym.training.trainers.responses import episode_trainer_class, reads_turns
from faultgym.training.trainers.run import carried_out, in_work_folder
from faultgym.training.trainers.watch import MonitoredTrainer, OnStep, TrainingMonitor

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

TRACES = "traces"
"""The run folder of the episodes, in the result's folder."""


@dataclass(frozen=True, slots=True)
class GrpoJob:
    """All that a run needs to know before a model is loaded; a `run.PreparedRun`."""

    grpo: GrpoConfig
    """Resolved."""
    start: Start
    facts: estimate.ModelSizes
    base_hash: str
    rows: list[JSON] = field(hash=False)
    """One for each group that may be played."""
    longest: int
    """Tokens of the longest prompt."""
    tokenizer: PreTrainedTokenizerBase = field(hash=False)
    dtype: str
    device: str

    @property
    def config(self) -> TrainConfig:
        """The settings that the run shares with every training."""
        return self.grpo.train

    @property
    def memory(self) -> estimate.Memory:
        """The memory that the run will take."""
        tokens = self.longest + self.grpo.max_completion
        found = estimate.memory(self.facts, self.config, self.dtype, tokens, self.device)
        if self.grpo.kl and self.config.adapter == "none":
            found = replace(found, reference=found.weights)
        return found

    def policy(self) -> JSON:
        """Who acts, as the traces say it, but for the step."""
        grpo = self.grpo
        return {
            "name": f"grpo:{self.start.name}",
            "kind": "grpo",
            "model": identity(self.start.name),
            "init_adapter": identity(self.start.adapter) if self.start.adapter else None,
            "adapter": self.config.adapter,
            "prompt": prompt_description(grpo.prompt),
            "format": grpo.format,
            "sampling": {"temperature": grpo.temperature, "top_p": grpo.top_p, "max_completion": grpo.max_completion},
            "seed": self.config.seed,
        }


def train_grpo(config: GrpoConfig, progress: OnStep | None = None) -> TrainResult:
    """Train, and write the result to `config.train.out`, its episodes under `traces`; needs the extra `train`.

    Args:
        config: The run.
        progress: Told of each step; None for nobody.

    Returns:
        What the run came to.

    Raises:
        UserError: Something is wrong that a person can put right; see `run.train`.
    """
    os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")
    return in_work_folder(
        config.train,
        lambda work, state: _train(config, work, state, progress or (lambda step: None)),
        partial(_differs, config),
    )


def _differs(config: GrpoConfig, record: JSON) -> str:
    """In what a finished run was another one than is asked for."""
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    return config.resolved(record["base"]["parameters"], processes).difference(record["config"])


def grpo_job(config: GrpoConfig, processes: int = 1) -> GrpoJob:
    """Check and measure everything; no weights are loaded yet.

    Args:
        config: The run.
        processes: Devices that train together.

    Raises:
        UserError: As of `train_grpo`.
    """
    _check_vllm(config)
    device = "cuda" if uses_gpu(config.train) else "cpu"
    start = start_of(config.train)
    facts = facts_of(start.path)
    base_hash = weights_hash(start.path)
    check_adapter(start, config.train, base_hash)
    tokenizer = tokenizer_for(start, config.train)
    tokenizer.padding_side = "left"
    resolved = config.resolved(facts.parameters, processes)
    rows = task_rows(resolved.needed(processes), resolved.prompt)
    groups = resolved.episodes(processes) // resolved.group
    if len(rows) < groups:
        raise UserError(
            f"{len(rows)} tasks are to be played, and a step takes {groups} groups, each of another one: raise"
            " per_template, or lower batch_size or accumulation"
        )
    longest = _longest(rows, tokenizer)
    if longest + resolved.max_completion > facts.context:
        raise UserError(
            f"the longest prompt has {longest:,} tokens, and with max_completion={resolved.max_completion} that is more"
            f" than the {facts.context:,} that {start.name} reads: lower max_completion, or choose other templates"
        )
    dtype = weight_dtype(resolved.train)
    return GrpoJob(
        grpo=resolved,
        start=start,
        facts=facts,
        base_hash=base_hash,
        rows=rows,
        longest=longest,
        tokenizer=tokenizer,
        dtype=dtype,
        device=device,
    )


def estimated(config: GrpoConfig) -> Iterator[str]:
    """What is known of a run before it starts, for people, line by line.

    Args:
        config: The run.

    Raises:
        UserError: As of `train_grpo`.
    """
    job = grpo_job(config)
    grpo, shared = job.grpo, job.config
    memory, free = job.memory, free_on(job.device)
    yield f"grpo of {shared.model} ({shared.adapter}) on {device_name(job.device)}"
    yield (
        f"tasks: {len(job.rows):,} of {' and '.join(grpo.suites)}; the longest prompt has {job.longest:,} tokens, with"
        f" up to {grpo.max_completion:,} after it"
    )
    yield (
        f"steps: {shared.max_steps:,} of {grpo.episodes()} episodes in groups of {grpo.group}, learning rate"
        f" {shared.learning_rate:g}"
    )
    yield f"memory (by formula, without what generating takes): {memory.line()}; free: {free / estimate.MIB:,.0f} MiB"
    yield "time: not estimated, as it follows from how long the episodes of this policy are"
    if free and memory.total > free:
        yield "it would not fit: lower batch_size or max_completion, set gradient_checkpointing=true, or take qlora"


def _check_vllm(config: GrpoConfig) -> None:
    if config.vllm == "off":
        return
    if not uses_gpu(config.train):
        raise UserError(f"vllm={config.vllm} needs a GPU, to which TRL sends the weights: leave it off without one")
    if find_spec("vllm") is None:
        raise UserError(f"vllm={config.vllm} needs vLLM in this environment: pip install -e '.[train,vllm]'")


def _longest(rows: Sequence[JSON], tokenizer: PreTrainedTokenizerBase) -> int:
    kinds = environments_of(rows)
    tools = {name: [spec.openai() for spec in specs_of(kind)] for name, kind in kinds.items()}
    lengths = [
        len(
            tokenizer.apply_chat_template(
                row["prompt"], tools=tools[row["environment"]], add_generation_prompt=True, return_dict=False
            )
        )
        for row in rows
    ]
    return max(lengths)


def _train(config: GrpoConfig, work: Path, state: Any, progress: OnStep) -> TrainResult:
    job = grpo_job(config, state.num_processes)
    played = orjson.dumps(job.rows, option=orjson.OPT_SORT_KEYS)
    data = {
        "folder": f"{' and '.join(job.grpo.suites)}, split train",
        "form": "tasks under their faults",
        "rows": len(job.rows),
        "sha256": sha256(played).hexdigest(),
    }
    name = device_name(job.device)
    made_of = outcome.lineage(job.config, job.start, job.base_hash, job.facts.parameters, [data], name)
    made_of["config"] = job.grpo.to_record()

    @contextmanager
    def make(model: Any, folder: Path, watch: TrainingMonitor) -> Iterator[Any]:
        with _log(job, folder, state) as log:
            trainer = grpo_trainer(job, model, folder, watch, log)
            try:
                yield trainer
            finally:
                trainer.close_episodes()

    return carried_out(job, work, state, made_of, progress, make, warnings_of, job.grpo.difference)


@contextmanager
def _log(job: GrpoJob, folder: Path, state: Any) -> Iterator[EpisodeLog]:
    """This process's log; the main process makes the run folder, the others wait for it."""
    path = folder / TRACES
    asked = {**job.grpo.needed(state.num_processes).data(), "prompt": job.grpo.prompt}
    options: JSON = {"rank": state.process_index, "world": state.num_processes}
    opening: Callable[..., Any] = partial(logged, path, job.policy(), job.grpo.limits, asked, **options)
    with ExitStack() as stack:
        if state.is_main_process:
            log = stack.enter_context(opening(resume=(path / "plan.json").is_file()))
        state.wait_for_everyone()
        if not state.is_main_process:
            log = stack.enter_context(opening())
        yield log


def grpo_trainer(job: GrpoJob, model: Any, folder: Path, watch: TrainingMonitor, log: EpisodeLog | None = None) -> Any:
    """TRL's trainer over our episodes, not begun.

    Args:
        job: The run.
        model: The base; with its adapter where one is trained further.
        folder: Where checkpoints and logs go.
        watch: Sees each step.
        log: Stores the episodes; None to store none.

    Raises:
        UserError: TRL refuses these settings.
    """
    from datasets import Dataset
    from trl import GRPOConfig

    grpo, limits = job.grpo, job.grpo.limits
    given = arguments(job.config, len(job.rows), folder)
    settings = GRPOConfig(
        **given,
        num_generations=grpo.group,
        max_completion_length=grpo.max_completion,
        max_tool_calling_iterations=grpo.turns - 1,
        temperature=grpo.temperature,
        top_p=grpo.top_p,
        beta=grpo.kl,
        **_vllm_arguments(job),
    )
    kinds = environments_of(job.rows)
    environments = {name: partial(kind, log, limits, grpo.reward) for name, kind in kinds.items()}
    tokenizer = reads_turns(job.tokenizer, grpo.format, getattr(model, "generation_config", None))
    return watched(
        job.config,
        model,
        folder,
        watch,
        lambda more: watched_class()(
            args=on_one_gpu(settings),
            train_dataset=Dataset.from_list(job.rows),
            processing_class=tokenizer,
            environment_factory=environments,
            reward_funcs=reward_functions(grpo.reward) if grpo.answers == "text" else None,
            **more,
        ),
    )


def _vllm_arguments(job: GrpoJob) -> JSON:
    grpo = job.grpo
    if grpo.vllm == "off":
        return {"use_vllm": False}
    if grpo.vllm == "server":
        return {"use_vllm": True, "vllm_mode": "server", "vllm_server_base_url": grpo.vllm_url}
    return {
        "use_vllm": True,
        "vllm_mode": "colocate",
        "vllm_gpu_memory_utilization": grpo.vllm_memory,
        "vllm_max_model_length": job.longest + grpo.max_completion,
    }


class Replayed:
    """TRL's order of the tasks, each pass through them drawn from the seed and the number of the pass.

    TRL draws the passes from one generator in turn, so that a run that is resumed in the third would see the first's.
    """

    def __init__(self, sampler: Any, epoch: Callable[[], int]) -> None:
        self.sampler, self.epoch = sampler, epoch

    def __len__(self) -> int:
        return len(self.sampler)

    def __iter__(self) -> Iterator[int]:
        self.sampler.generator.manual_seed(stable_hash("pass", self.sampler.seed, self.epoch()) % 2**63)
        return iter(self.sampler)


@banked("code", 8)
def watched_class() -> Any:
    """The class of the trainer, watched as all are."""
    base = episode_trainer_class()

    class WatchedEpisodes(MonitoredTrainer, base):  # type: ignore[valid-type,misc]
        def _get_train_sampler(self, train_dataset: Any = None) -> Any:
            sampler = base._get_train_sampler(self, train_dataset)
            return Replayed(sampler, lambda: int((self.state.epoch or 0) + 1e-6))

    return WatchedEpisodes


def warnings_of(metrics: dict[str, float]) -> list[str]:
    """What a person should know of the episodes.

    Args:
        metrics: Means over the last quarter of the run, by name.

    Returns:
        Sentences; none where nothing is to be said.

    Example:
        >>> warnings_of({"episodes/cut": 0.8})
        ['more than half of the episodes were cut off: raise turns or max_completion']
    """
    found = []
    if metrics.get("frac_reward_zero_std", 0.0) >= 0.9:
        found.append(
            "in nearly all groups every episode was worth the same, and nothing is learned from those: raise"
            " temperature or group, or choose tasks that the model does sometimes"
        )
    if metrics.get("episodes/cut", 0.0) > 0.5:
        found.append("more than half of the episodes were cut off: raise turns or max_completion")
    if metrics.get("episodes/harness_errors", 0.0) > 0:
        found.append("the harness broke episodes, which were left out: `faultgym score` on the traces names them")
    return found
