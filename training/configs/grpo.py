"""What a GRPO run is asked to do: the settings of every training, the tasks to play, and what they are worth.

    GrpoConfig.of({"model": "tiny-random", "out": "adapters/a", "suites": ["orders"], "max_steps": 20})

No torch here. A step plays `episodes` episodes: groups of `group` that share task, world, seed and fault schedule.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import field, fields, replace
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic.dataclasses import dataclass

from faultgym.agents.models.auto import AUTO
from faultgym.agents.models.formats import FORMATS
from faultgym.agents.models.prompts import prompt_description
from faultgym.agents.rollouts.plan import RolloutRequest
from faultgym.core.errors import PlanError, UserError
from faultgym.core.json import JSON
from faultgym.core.settings import unknown_setting
from faultgym.core.suggest import did_you_mean
from faultgym.envs.judging.form import DEFAULT_ANSWERS, Answers
from faultgym.envs.limits import Limits
from faultgym.envs.task import Style
from faultgym.tools.faults.named import load_plan
from faultgym.training.configs.settings import (
    SETTINGS,
    FilledNames,
    Names,
    NoTruth,
    OrNone,
    Text,
    as_record,
    names_of,
    refusing,
)
from faultgym.training.configs.train import TrainConfig
from faultgym.training.environments.factory import faults_from
from faultgym.training.environments.reward import Reward

Vllm = Literal["off", "colocate", "server"]
MAX_TASKS = 4096
"""Tasks of one template that a run is given; a longer one meets them again."""
STEPS = 50
"""Steps where nobody says how many."""


def named_faults(text: str) -> str:
    """A preset's name unchanged; a plan, by its name or in a JSON file, as JSON text.

    Args:
        text: A preset, the text of a plan, a plan's name, or a path that ends in `.json`.

    Raises:
        PlanError: There is no such preset or plan, or the plan is wrong.

    Example:
        >>> named_faults("mild")
        'mild'
    """
    try:
        faults_from(text)
    except PlanError as error:
        if text.startswith("{"):
            raise
        try:
            return load_plan(text).to_json().strip()
        except PlanError as other:
            if "/" in text or text.endswith(".json"):
                raise
            raise PlanError(f"faults {text}: {other}; {error}") from None
    return text


def _off(value: Any) -> Any:
    """YAML's off is false."""
    return "off" if value is False else value


def _plans(value: Any) -> Any:
    """Several presets or plans; a plan as JSON text has commas of its own."""
    return (value,) if isinstance(value, str) and value.lstrip().startswith("{") else value


Faults = Annotated[
    tuple[Annotated[str, AfterValidator(named_faults)], ...], BeforeValidator(names_of), BeforeValidator(_plans)
]


@refusing
@dataclass(frozen=True, slots=True, config=SETTINGS)
class GrpoConfig:
    """The settings of one run of GRPO.

    Raises:
        UserError: A value is not allowed, or two values contradict each other; suites, templates and faults that do not
            exist are refused too.

    Example:
        >>> config = GrpoConfig.of({"model": "tiny", "out": "adapters/a", "suites": "orders", "reward.calls": -0.02})
        >>> config.group, config.faults, config.reward.calls
        (8, ('mild',), -0.02)
    """

    train: TrainConfig
    """Model, adapter, rates, folders; `batch_size` x `accumulation` x devices are the episodes of a step."""
    suites: FilledNames = ("orders",)
    templates: Names = ()
    """Of the split `train`; empty for all."""
    faults: Faults = ("mild",)
    """Presets, or plans as JSON text; each task is played under each."""
    per_template: Annotated[int, Field(ge=0, le=MAX_TASKS), NoTruth] = 0
    """Tasks of each template; 0 for as many as the steps need, so that none comes twice."""
    style: Annotated[Style | None, OrNone] = None
    """How the REST API is offered; None for what each task has."""
    answers: Answers = DEFAULT_ANSWERS
    """How an episode ends: by a call of `answer`, whose reward the environment gives, or by a turn without calls."""
    prompt: Text = "plain"
    """A system prompt's name or file, added to the task's system message as in a rollout."""
    format: str = "hermes"
    """How the model writes tool calls: a key of `FORMATS`, or `auto`."""
    group: Annotated[int, Field(ge=2, le=1024), NoTruth] = 8
    """Episodes of a group, which are compared with each other."""
    turns: Annotated[int, Field(ge=1, le=1000), NoTruth] = 12
    """Turns of an episode at most."""
    max_completion: Annotated[int, Field(ge=8, le=10**7), NoTruth] = 2048
    """Tokens after the prompt at most, tool results included; an episode that needs more is cut off."""
    temperature: Annotated[float, Field(ge=1e-3, le=10), NoTruth] = 1.0
    top_p: Annotated[float, Field(ge=1e-3, le=1), NoTruth] = 1.0
    kl: Annotated[float, Field(ge=0, le=1e3), NoTruth] = 0.0
    """Weight of the KL term against the model that the run began with; 0 needs no such model."""
    reward: Reward = field(default_factory=Reward)
    vllm: Annotated[Vllm, BeforeValidator(_off)] = "off"
    """Who samples: transformers, vLLM on the training's own GPUs, or a vLLM server of TRL's at `vllm_url`."""
    vllm_url: Text = ""
    vllm_memory: Annotated[float, Field(ge=0.01, le=1), NoTruth] = 0.3
    """Share of the GPU's memory that a colocated vLLM takes."""

    def __post_init__(self) -> None:
        if self.format != AUTO and self.format not in FORMATS:
            near = did_you_mean(self.format, FORMATS) or f"there are {', '.join(FORMATS)}"
            raise UserError(f"format: {self.format!r} is not known; {near}")
        if (self.vllm == "server") != bool(self.vllm_url):
            raise UserError("vllm=server and vllm_url go together: the one needs the other")
        if self.train.epochs is not None:
            raise UserError("epochs: GRPO plays tasks and has no data set to go through; give max_steps")
        if self.train.data:
            raise UserError("data: GRPO learns from playing; it takes suites and templates, and no data set")
        prompt_description(self.prompt)
        next(self.tasks(1).episodes())  # refuses suites, templates and faults that do not exist

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> GrpoConfig:
        """The settings from values as a YAML file and command lines give them.

        Args:
            values: Settings of this class and of `TrainConfig`; the reward's as a mapping `reward`, or as
                `reward.calls` and so on.

        Raises:
            UserError: A setting is unknown, missing or impossible.
        """
        own = {one.name for one in fields(cls)} - {"train"}
        known = own | {one.name for one in fields(TrainConfig)}
        given: dict[str, Any] = {}
        for name, value in values.items():
            section, dot, part = name.partition(".")
            if section not in (known if section == "reward" or not dot else ()):
                raise UserError(unknown_setting(name, known))
            given[section] = {**given.get(section, {}), part: value} if dot else value
        train = TrainConfig.of({"data": (), **{n: v for n, v in given.items() if n not in own}, "method": "grpo"})
        return cls(train, **{name: value for name, value in given.items() if name in own})

    def tasks(self, per_template: int) -> RolloutRequest:
        """The request for the tasks of this run.

        Args:
            per_template: Tasks of each template.
        """
        faults = tuple(map(faults_from, self.faults))
        return RolloutRequest(
            suites=self.suites,
            split="train",
            templates=self.templates,
            per_template=per_template,
            faults=faults,
            seed=self.train.seed,
            style=self.style,
            answers=self.answers,
        )

    def needed(self, processes: int = 1) -> RolloutRequest:
        """The request for as many tasks as a resolved run needs, so that none is played in two groups, up to
        `MAX_TASKS`.

        Args:
            processes: Devices that train together.
        """
        if self.per_template:
            return self.tasks(self.per_template)
        groups = self.episodes(processes) // self.group * (self.train.max_steps or STEPS)
        one = sum(1 for _ in self.tasks(1).episodes())
        return self.tasks(min(MAX_TASKS, max(1, math.ceil(groups / one))))

    def episodes(self, processes: int = 1) -> int:
        """The number of episodes in a step of a resolved run.

        Args:
            processes: Devices that train together.
        """
        return (self.train.batch_size or 1) * (self.train.accumulation or 1) * processes

    @property
    def limits(self) -> Limits:
        """The limits of an episode."""
        return Limits(turns=self.turns)

    def resolved(self, parameters: int, processes: int = 1) -> GrpoConfig:
        """The same settings with all that depends on the model filled in.

        Args:
            parameters: Parameters of the base.
            processes: Devices that train together.

        Raises:
            UserError: The groups do not fit into a step.
        """
        train = self.train if self.train.max_steps else replace(self.train, max_steps=STEPS)
        found = replace(self, train=train.resolved(parameters))
        if found.episodes(processes) % self.group:
            raise UserError(
                f"group={self.group} does not divide the {found.episodes(processes)} episodes of a step (batch_size"
                f" {found.train.batch_size} x accumulation {found.train.accumulation} x {processes} devices)"
            )
        return found

    def to_record(self) -> JSON:
        """The settings as JSON, those of every training first."""
        own = {name: value for name, value in as_record(self).items() if name not in ("train", "reward")}
        return {**self.train.to_record(), **own, "reward": as_record(self.reward)}

    def difference(self, record: JSON) -> str:
        """The first setting of an earlier run that would make another result.

        Args:
            record: The earlier run's settings, as `to_record` gives them.

        Returns:
            The setting with both values, in words; empty where no setting differs.
        """
        record = {"answers": "text", **record}  # before answers could be typed
        own = {one.name for one in fields(self)} - {"train"}  # `prompt` among them, which a TrainConfig has too
        for name, value in self.to_record().items():
            if name in own and record.get(name) != value:
                return f"{name} was {record.get(name)!r} and is now {value!r}"
        return self.train.difference({**record, "prompt": self.train.prompt})
