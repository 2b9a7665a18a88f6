"""What a training run is asked to do: one frozen value, from a YAML file, `key=value` texts, or code. No torch here.

    TrainConfig.of({"method": "dpo", "model": "smollm2", "data": ["sets/pairs"], "out": "adapters/a"})

Every value is checked when it is made: a `UserError` names the key, the value, and what is allowed. What is None
is decided later: `resolved` fills it in from `defaults_for` when the model's size is known.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Annotated, Any, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from faultgym.core.errors import UserError
from faultgym.core.json import JSON
from faultgym.core.suggest import did_you_mean
from faultgym.training.configs.defaults import ADAPTERS, METHODS, Adapter, Defaults, Method, defaults_for
from faultgym.training.configs.settings import (
    SETTINGS,
    FilledText,
    Names,
    NoTruth,
    OrNone,
    SeparateNames,
    Text,
    as_record,
    refusing,
)

__all__ = ["ADAPTERS", "METHODS", "Adapter", "Method", "TrainConfig", "defaults_for"]

Optimizer = Literal["adamw", "muon"]
Scheduler = Literal["cosine", "linear", "constant", "constant_with_warmup"]
Dtype = Literal["auto", "float32", "bfloat16", "float16"]
Device = Literal["auto", "cpu", "cuda"]
TooLong = Literal["refuse", "drop"]


Rate = Annotated[float, Field(gt=0, le=10), NoTruth]
"""A learning rate."""
Count = Annotated[int, Field(ge=1), NoTruth]


@refusing
@dataclass(frozen=True, slots=True, config=SETTINGS)
class TrainConfig:
    """The settings of one training run.

    Raises:
        UserError: A value is not allowed, or two values contradict each other.

    Example:
        >>> values = {"method": "dpo", "model": "smollm2", "data": "sets/pairs", "out": "adapters/a", "seed": "3"}
        >>> config = TrainConfig.of(values)
        >>> config.data, config.seed, config.learning_rate, config.resolved(135_000_000).learning_rate
        (('sets/pairs',), 3, None, 0.0001)
    """

    method: Method
    model: FilledText
    """An embedded model's name, a folder, or a hub id; or the folder of an adapter, which is trained further."""
    data: Names
    """Folders of data sets that `faultgym build` made, of one form."""
    out: FilledText
    """The folder of the result: new, or with `resume` the same as before."""
    adapter: Adapter = "lora"
    """`none` trains all weights. The q is for a base in 4 bits, the d for DoRA."""
    init_adapter: Text = ""
    """The folder of an adapter of this model to go on with, instead of a new one."""
    template: Text = ""
    """A training template's name (`training/rows/templates`), where the model's own marks no assistant turns."""
    prompt: Text = "plain"
    """The system prompt that the model will be served with (`prompt=` of a policy): added to the rows' system messages
    as a rollout adds it, for a trace holds the task's own message alone. `none` for rows as they are."""
    seed: Annotated[int, Field(ge=0, le=2**32 - 1), NoTruth] = 0
    epochs: Annotated[Annotated[float, Field(gt=0), NoTruth] | None, OrNone] = None
    max_steps: Annotated[Count | None, OrNone] = None
    """Steps of the optimizer; instead of `epochs`."""
    batch_size: Annotated[Count | None, OrNone] = None
    """Rows in one pass on one device."""
    accumulation: Annotated[Count | None, OrNone] = None
    """Passes in one step."""
    learning_rate: Annotated[Rate | None, OrNone] = None
    muon_lr: Annotated[Rate | None, OrNone] = None
    """For the two-dimensional weights of the blocks with the optimizer `muon`; `learning_rate` is for the others."""
    optimizer: Optimizer = "adamw"
    scheduler: Scheduler = "cosine"
    warmup_steps: Annotated[float, Field(ge=0), NoTruth] = 0.05
    """Steps, or below 1 a share of all."""
    weight_decay: Annotated[float, Field(ge=0, le=1), NoTruth] = 0.0
    max_grad_norm: Annotated[float, Field(gt=0), NoTruth] = 1.0
    max_length: Annotated[Annotated[int, Field(ge=8), NoTruth] | None, OrNone] = None
    """Tokens of the longest row that is taken; None for what the data needs and the model can read."""
    too_long: TooLong = "refuse"
    """What becomes of rows beyond `max_length`: nothing is trained, or they are left out, counted and said."""
    beta: Annotated[float, Field(gt=0), NoTruth] = 0.1
    """DPO and KTO: how dear it is to leave the reference. ORPO: the weight of the odds ratio."""
    nll_weight: Annotated[float, Field(ge=0), NoTruth] = 0.2
    """DPO: the weight of the chosen completions' negative log-likelihood beside the preference loss; 0 for none."""
    lora_r: Annotated[Annotated[int, Field(ge=1, le=1024), NoTruth] | None, OrNone] = None
    lora_alpha: Annotated[Count | None, OrNone] = None
    lora_dropout: Annotated[float, Field(ge=0, le=0.9), NoTruth] = 0.0
    target_modules: Annotated[Names | None, OrNone] = None
    """Names of the layers that get an adapter; None for every linear one but the output."""
    dtype: Dtype = "auto"
    """Of the weights. auto: float32 on the CPU; on a GPU bfloat16 beneath an adapter, else float32 with autocast."""
    device: Device = "auto"
    """`cuda` refuses to run without one. `accelerate launch` chooses among several."""
    gradient_checkpointing: Annotated[bool | None, OrNone] = None
    resume: bool = False
    """Go on from the last checkpoint of a run that was stopped."""
    save_steps: Annotated[int, Field(ge=0), NoTruth] = 0
    """Steps between two checkpoints; 0 for four in all."""
    keep_checkpoints: Count = 2
    log_steps: Annotated[int, Field(ge=0), NoTruth] = 0
    """Steps between two entries in the log; 0 for about a hundred in all."""
    report_to: SeparateNames = ("tensorboard",)
    """Where transformers reports to: tensorboard, wandb, mlflow, ...; empty for nowhere."""
    merge: bool = False
    """Also write `OUT/merged`: the base with the adapter in its weights."""
    unaudited: bool = False
    """Train although a data set failed its balance audit."""
    ignore_memory: bool = False
    """Train although it is estimated to take more memory than is free."""

    def __post_init__(self) -> None:
        if not self.data and self.method != "grpo":
            raise UserError(f"data is missing: {self.method} learns from folders that `faultgym build` made")
        if self.epochs is not None and self.max_steps is not None:
            raise UserError(f"epochs={self.epochs:g} and max_steps={self.max_steps}: give one of the two")
        if self.init_adapter and self.adapter == "none":
            raise UserError(
                f"init_adapter={self.init_adapter!r} with adapter='none': there is no adapter to go on with"
            )
        if self.dtype == "float16" and self.adapter == "none":
            raise UserError("dtype='float16': a whole model loses small steps in it; take bfloat16, or an adapter")
        for name in self.report_to:
            if name not in REPORTERS:
                near = did_you_mean(name, REPORTERS)
                raise UserError(f"report_to: {name!r} is not known; {near or 'there are ' + ', '.join(REPORTERS)}")
        if self.method == "kto" and self.batch_size == 1:
            raise UserError("batch_size=1: KTO compares the rows of a batch; give 2 or more")

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> TrainConfig:
        """The settings from values as they stand in a YAML file.

        Args:
            values: Setting -> value; texts may stand for numbers, truth values and lists.

        Raises:
            UserError: A setting is unknown, missing or impossible.
        """
        return cls(**values)

    def resolved(self, parameters: int) -> TrainConfig:
        """The same settings with every None that depends on the model filled in.

        Args:
            parameters: Parameters of the base.
        """
        found = defaults_for(parameters, self.method, self.adapter)
        chosen: dict[str, Any] = {}
        for one in fields(Defaults):
            if getattr(self, one.name) is None and not (one.name == "epochs" and self.max_steps is not None):
                chosen[one.name] = getattr(found, one.name)
        return replace(self, **chosen)

    def to_record(self) -> JSON:
        """The settings as JSON."""
        return as_record(self)

    def difference(self, record: JSON) -> str:
        """The first setting of an earlier run that would make another result.

        Args:
            record: The earlier run's settings, as `to_record` gives them.

        Returns:
            The setting with both values, in words; empty where no setting differs. Where and how a run is stored does
            not count.
        """
        for name, value in self.to_record().items():
            if name not in _WITHOUT_EFFECT and record.get(name) != value:
                return f"{name} was {record.get(name)!r} and is now {value!r}"
        return ""


REPORTERS = (
    *("azure_ml", "clearml", "codecarbon", "comet_ml", "dagshub", "dvclive", "flyte", "kubeflow", "mlflow", "neptune"),
    *("swanlab", "tensorboard", "trackio", "wandb"),
)
"""Those that transformers knows."""
_WITHOUT_EFFECT = {
    *("out", "resume", "save_steps", "keep_checkpoints", "report_to", "merge", "unaudited", "ignore_memory")
}
"""Settings that may change between a run and its resumption."""
