"""What a GRPO run is asked to do: the settings of every training, the tasks to play, and what they are worth.

    GrpoConfig.of({"model": "tiny-random", "out": "adapters/a", "suites": ["orders"], "max_steps": 20})

No torch here. A step plays `episodes` episodes: groups of `group` that share task, world, seed and fault schedule.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from difflib import get_close_matches
from typing import Any, Literal, get_args

from faultgym.agents.models.formats import FORMATS
from faultgym.agents.models.prompts import prompt_description
from faultgym.agents.rollouts.plan import RolloutRequest
from faultgym.core.errors import PlanError, UserError
from faultgym.core.json import JSON
from faultgym.envs.limits import Limits
from faultgym.envs.task import Style
from faultgym.tools.faults.named import load_plan
from faultgym.training.configs.train import TrainConfig
from faultgym.training.environments.factory import faults_from
from faultgym.training.environments.rewards import Reward

Vllm = Literal["off", "colocate", "server"]
MOST_TASKS = 4096
"""Tasks of one template that a run is given; a longer one meets them again."""
STEPS = 50
"""Steps where nobody says how many."""


@dataclass(frozen=True, slots=True)
class GrpoConfig:
    """One run of GRPO."""

    train: TrainConfig
    """Model, adapter, rates, folders; `batch_size` x `accumulation` x devices are the episodes of a step."""
    suites: tuple[str, ...] = ("orders",)
    templates: tuple[str, ...] = ()
    """Of the split `train`; empty for all."""
    faults: tuple[str, ...] = ("mild",)
    """Presets, or plans as JSON text; each task is played under each."""
    per_template: int = 0
    """Tasks of each template; 0 for as many as the steps need, so that none comes twice."""
    style: Style | None = None
    """How the REST API is offered; None for what each task has."""
    prompt: str = "plain"
    """A system prompt's name or file, added to the task's system message as in a rollout."""
    format: str = "hermes"
    """How the model writes tool calls: a key of `FORMATS`."""
    group: int = 8
    """Episodes of a group, which are compared with each other."""
    turns: int = 12
    """Turns of an episode at most."""
    max_completion: int = 2048
    """Tokens after the prompt at most, tool results included; an episode that needs more is cut off."""
    temperature: float = 1.0
    top_p: float = 1.0
    kl: float = 0.0
    """Weight of the KL term against the model that the run began with; 0 needs no such model."""
    reward: Reward = field(default_factory=Reward)
    vllm: Vllm = "off"
    """Who samples: transformers, vLLM on the training's own GPUs, or a vLLM server of TRL's at `vllm_url`."""
    vllm_url: str = ""
    vllm_memory: float = 0.3
    """Share of the GPU's memory that a colocated vLLM takes."""

    def __post_init__(self) -> None:
        for name, (low, high) in _BOUNDS.items():
            _within(name, getattr(self, name), low, high)
        for name, allowed in _CHOICES.items():
            if getattr(self, name) not in allowed:
                raise UserError(
                    f"{name}: {getattr(self, name)!r} is not allowed; it has to be one of {_listed(allowed)}"
                )
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
        """From values as a YAML file and command lines give them; raises UserError like `TrainConfig.of`.

        The reward's are a mapping `reward`, or `reward.calls` and so on.
        """
        own = {one.name for one in fields(cls)} - {"train"}
        known = own | {one.name for one in fields(TrainConfig)}
        for name in values:
            if name not in known and not name.startswith("reward."):
                near = get_close_matches(name, known, 1)
                hint = f" (did you mean {near[0]!r}?)" if near else ""
                raise UserError(f"unknown setting {name!r}{hint}; there are {', '.join(sorted(known))}")
        mine = {name: value for name, value in values.items() if name in own}
        rest = {name: value for name, value in values.items() if name not in own and not name.startswith("reward.")}
        given = mine.pop("reward", {})
        if not isinstance(given, Mapping):
            raise UserError(f"reward: {given!r} is not allowed; it has to be settings such as calls: -0.02")
        dotted = {name[7:]: value for name, value in values.items() if name.startswith("reward.")}
        train = TrainConfig.of({"data": (), **rest, "method": "grpo"})
        reward = Reward(**_numbers("reward", Reward, {**given, **dotted}))
        return cls(train, **{name: _converted(name, value) for name, value in mine.items()}, reward=reward)

    def tasks(self, per_template: int) -> RolloutRequest:
        """The tasks, so many of each template."""
        faults = tuple(map(faults_from, self.faults))
        return RolloutRequest(
            self.suites, "train", self.templates, per_template, faults=faults, seed=self.train.seed, style=self.style
        )

    def needed(self, processes: int = 1) -> RolloutRequest:
        """As many tasks as a resolved run needs, so that none is played in two groups, up to `MOST_TASKS`."""
        if self.per_template:
            return self.tasks(self.per_template)
        groups = self.episodes(processes) // self.group * (self.train.max_steps or STEPS)
        one = sum(1 for _ in self.tasks(1).episodes())
        return self.tasks(min(MOST_TASKS, max(1, math.ceil(groups / one))))

    def episodes(self, processes: int = 1) -> int:
        """Episodes of a step of a resolved run."""
        return (self.train.batch_size or 1) * (self.train.accumulation or 1) * processes

    @property
    def limits(self) -> Limits:
        """Of an episode."""
        return Limits(turns=self.turns)

    def resolved(self, parameters: int, processes: int = 1) -> GrpoConfig:
        """The same with all that depends on the model filled in; UserError when groups do not fit into a step."""
        train = self.train if self.train.max_steps else replace(self.train, max_steps=STEPS)
        found = replace(self, train=train.resolved(parameters))
        if found.episodes(processes) % self.group:
            raise UserError(
                f"group={self.group} does not divide the {found.episodes(processes)} episodes of a step (batch_size"
                f" {found.train.batch_size} x accumulation {found.train.accumulation} x {processes} devices)"
            )
        return found

    def to_record(self) -> JSON:
        """As JSON, the training's own settings first."""
        rest = {one.name: getattr(self, one.name) for one in fields(self) if one.name not in ("train", "reward")}
        record = self.train.to_record() | {n: list(v) if isinstance(v, tuple) else v for n, v in rest.items()}
        return record | {"reward": {one.name: getattr(self.reward, one.name) for one in fields(Reward)}}

    def difference(self, record: JSON) -> str:
        """The first setting of an earlier run that would make another result; empty when there is none."""
        own = {one.name for one in fields(self)} - {"train"}  # `prompt` among them, which a TrainConfig has too
        for name, value in self.to_record().items():
            if name in own and record.get(name) != value:
                return f"{name} was {record.get(name)!r} and is now {value!r}"
        return self.train.difference({**record, "prompt": self.train.prompt})


_BOUNDS: dict[str, tuple[float, float]] = {
    "group": (2, 1024),
    "turns": (1, 1000),
    "max_completion": (8, 10**7),
    "per_template": (0, MOST_TASKS),
    "temperature": (1e-3, 10.0),
    "top_p": (1e-3, 1.0),
    "kl": (0.0, 1e3),
    "vllm_memory": (0.01, 1.0),
}
_WHOLE = ("group", "turns", "max_completion", "per_template")
_CHOICES: dict[str, tuple[str | None, ...]] = {
    "vllm": get_args(Vllm),
    "style": (None, *get_args(Style)),
    "format": tuple(FORMATS),
}
_LISTS = ("suites", "templates", "faults")


def _listed(names: Sequence[str | None]) -> str:
    return ", ".join(name or "nothing" for name in names)


def _within(name: str, value: Any, low: float, high: float) -> None:
    kind = "a whole number" if name in _WHOLE else "a number"
    if type(value) not in ((int,) if name in _WHOLE else (int, float)) or not low <= value <= high:
        raise UserError(f"{name}: {value!r} is not allowed; it has to be {kind} from {low:g} to {high:g}")


def _converted(name: str, value: Any) -> Any:
    """A value as YAML and command lines give it as what the setting holds."""
    if name in _LISTS:
        parts = value.split(",") if isinstance(value, str) and not value.lstrip().startswith("{") else value
        parts = [parts] if isinstance(parts, str) else list(parts)
        return tuple(named_faults(str(one).strip()) if name == "faults" else str(one).strip() for one in parts)
    if name in _BOUNDS:
        return _number(name, value)
    if name == "vllm" and value is False:  # YAML's off
        return "off"
    return None if name == "style" and value in ("", "none") else value


def _number(name: str, value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return int(value) if name in _WHOLE else float(value)
    except ValueError:
        return value  # the check names it


def _numbers(name: str, kind: type[Any], values: Mapping[str, Any]) -> dict[str, float]:
    known = {one.name for one in fields(kind)}
    for one in values:
        if one not in known:
            raise UserError(f"unknown setting {name}.{one}; there are {', '.join(sorted(known))}")
    found = {one: _number(one, value) for one, value in values.items()}
    for one, value in found.items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise UserError(f"{name}.{one}: {value!r} is not allowed; it has to be a number")
    return found


def named_faults(text: str) -> str:
    """A preset's name as it is; a plan, by its name or in a JSON file, as JSON text. Raises PlanError."""
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
