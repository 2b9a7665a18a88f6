"""What a training run is asked to do: one frozen value, from a YAML file, `key=value` texts, or code. No torch here.

    TrainConfig.of({"method": "dpo", "model": "smollm2", "data": ["sets/pairs"], "out": "adapters/a"})

Every value is checked when it is made: a `UserError` names the key, the value, and what is allowed. What is None
is decided later: `resolved` fills it in from `defaults_for` when the model's size is known.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal, get_args

from faultgym.core.errors import UserError
from faultgym.core.json import JSON
from faultgym.training.configs.defaults import ADAPTERS, METHODS, Adapter, Defaults, Method, defaults_for
from faultgym.training.configs.rules import SettingRule, check, check_names, converted, nearest, number, whole

__all__ = [
    "ADAPTERS",
    "METHODS",
    "Adapter",
    "Defaults",
    "Method",
    "TrainConfig",
    "defaults_for",
    "read_yaml",
    "settings",
]

Optimizer = Literal["adamw", "muon"]
Scheduler = Literal["cosine", "linear", "constant", "constant_with_warmup"]
Dtype = Literal["auto", "float32", "bfloat16", "float16"]
Device = Literal["auto", "cpu", "cuda"]
TooLong = Literal["refuse", "drop"]


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """One training run."""

    method: Method
    model: str
    """An embedded model's name, a folder, or a hub id; or the folder of an adapter, which is trained further."""
    data: tuple[str, ...]
    """Folders of data sets that `faultgym build` made, of one form."""
    out: str
    """The folder of the result: new, or with `resume` the same as before."""
    adapter: Adapter = "lora"
    """`none` trains all weights. The q is for a base in 4 bits, the d for DoRA."""
    init_adapter: str = ""
    """The folder of an adapter of this model to go on with, instead of a new one."""
    template: str = ""
    """A training template's name (`training/rows/templates`), where the model's own marks no assistant turns."""
    prompt: str = "plain"
    """The system prompt that the model will be served with (`prompt=` of a policy): added to the rows' system messages
    as a rollout adds it, for a trace holds the task's own message alone. `none` for rows as they are."""
    seed: int = 0
    epochs: float | None = None
    max_steps: int | None = None
    """Steps of the optimizer; instead of `epochs`."""
    batch_size: int | None = None
    """Rows in one pass on one device."""
    accumulation: int | None = None
    """Passes in one step."""
    learning_rate: float | None = None
    muon_lr: float | None = None
    """For the two-dimensional weights of the blocks with the optimizer `muon`; `learning_rate` is for the others."""
    optimizer: Optimizer = "adamw"
    scheduler: Scheduler = "cosine"
    warmup_steps: float = 0.05
    """Steps, or below 1 a share of all."""
    weight_decay: float = 0.0
    max_grad_norm: float = 1.0
    max_length: int | None = None
    """Tokens of the longest row that is taken; None for what the data needs and the model can read."""
    too_long: TooLong = "refuse"
    """What becomes of rows beyond `max_length`: nothing is trained, or they are left out, counted and said."""
    beta: float = 0.1
    """DPO and KTO: how dear it is to leave the reference. ORPO: the weight of the odds ratio."""
    nll_weight: float = 0.2
    """DPO: the weight of the chosen completions' negative log-likelihood beside the preference loss; 0 for none."""
    lora_r: int | None = None
    lora_alpha: int | None = None
    lora_dropout: float = 0.0
    target_modules: tuple[str, ...] | None = None
    """Names of the layers that get an adapter; None for every linear one but the output."""
    dtype: Dtype = "auto"
    """Of the weights. auto: float32 on the CPU; on a GPU bfloat16 beneath an adapter, else float32 with autocast."""
    device: Device = "auto"
    """`cuda` refuses to run without one. `accelerate launch` chooses among several."""
    gradient_checkpointing: bool | None = None
    resume: bool = False
    """Go on from the last checkpoint of a run that was stopped."""
    save_steps: int = 0
    """Steps between two checkpoints; 0 for four in all."""
    keep_checkpoints: int = 2
    log_steps: int = 0
    """Steps between two entries in the log; 0 for about a hundred in all."""
    report_to: tuple[str, ...] = ("tensorboard",)
    """Where transformers reports to: tensorboard, wandb, mlflow, ...; empty for nowhere."""
    merge: bool = False
    """Also write `OUT/merged`: the base with the adapter in its weights."""
    unaudited: bool = False
    """Train although a data set failed its balance audit."""
    ignore_memory: bool = False
    """Train although it is estimated to take more memory than is free."""

    def __post_init__(self) -> None:
        for rule in fields(self):
            check(_RULES.get(rule.name, _TEXT), rule.name, getattr(self, rule.name))
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
                near = nearest(name, REPORTERS)
                raise UserError(f"report_to: {name!r} is not known{near}; there are {', '.join(REPORTERS)}")
        if self.method == "kto" and self.batch_size == 1:
            raise UserError("batch_size=1: KTO compares the rows of a batch; give 2 or more")

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> TrainConfig:
        """From values as they stand in a YAML file; raises UserError for what is unknown, missing or impossible."""
        known = {one.name for one in fields(cls)}
        check_names(values, known)
        for name in ("method", "model", "data", "out"):
            if not values.get(name) and (name != "data" or values.get("method") != "grpo"):
                raise UserError(f"{name} is missing: every training run needs it")
        found = {name: converted(_RULES.get(name, _TEXT), value) for name, value in values.items()}
        if isinstance(reporters := found.get("report_to"), tuple):  # given several times, or with commas, or both
            found["report_to"] = converted(_RULES["report_to"], ",".join(map(str, reporters)))
        return cls(**found)

    def resolved(self, parameters: int) -> TrainConfig:
        """The same with every None that depends on the model filled in."""
        found = defaults_for(parameters, self.method, self.adapter)
        chosen: dict[str, Any] = {}
        for one in fields(Defaults):
            if getattr(self, one.name) is None and not (one.name == "epochs" and self.max_steps is not None):
                chosen[one.name] = getattr(found, one.name)
        return replace(self, **chosen)

    def to_record(self) -> JSON:
        """As JSON."""
        record = {one.name: getattr(self, one.name) for one in fields(self)}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in record.items()}

    def difference(self, record: JSON) -> str:
        """The first setting of an earlier run, as JSON, that would make another result; empty when there is none."""
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


_RULES: dict[str, SettingRule] = {
    "method": SettingRule(choices=get_args(Method)),
    "adapter": SettingRule(choices=ADAPTERS),
    "optimizer": SettingRule(choices=get_args(Optimizer)),
    "scheduler": SettingRule(choices=get_args(Scheduler)),
    "dtype": SettingRule(choices=get_args(Dtype)),
    "device": SettingRule(choices=get_args(Device)),
    "too_long": SettingRule(choices=get_args(TooLong)),
    "data": SettingRule("list"),
    "target_modules": SettingRule("list", optional=True),
    "report_to": SettingRule("list"),
    "seed": whole(0, 2**32 - 1),
    "epochs": number(0, above=True, optional=True),
    "max_steps": whole(1, optional=True),
    "batch_size": whole(1, optional=True),
    "accumulation": whole(1, optional=True),
    "learning_rate": number(0, 10, above=True, optional=True),
    "muon_lr": number(0, 10, above=True, optional=True),
    "warmup_steps": number(0),
    "weight_decay": number(0, 1),
    "max_grad_norm": number(0, above=True),
    "max_length": whole(8, optional=True),
    "beta": number(0, above=True),
    "nll_weight": number(0),
    "lora_r": whole(1, 1024, optional=True),
    "lora_alpha": whole(1, optional=True),
    "lora_dropout": number(0, 0.9),
    "gradient_checkpointing": SettingRule("bool", optional=True),
    "save_steps": whole(0),
    "keep_checkpoints": whole(1),
    "log_steps": whole(0),
    **{name: SettingRule("bool") for name in ("resume", "merge", "unaudited", "ignore_memory")},
}
_TEXT = SettingRule()


def read_yaml(path: Path) -> dict[str, Any]:
    """The settings in a YAML file; raises UserError when it cannot be read or holds something else."""
    import yaml

    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    except yaml.YAMLError as error:
        raise UserError(f"{path} is no YAML: {error}") from error
    if found is None:
        return {}
    if not isinstance(found, dict) or not all(isinstance(name, str) for name in found):
        raise UserError(f"{path} holds no settings: it needs lines such as `learning_rate: 1e-4`")
    return found


def settings(texts: Iterable[str]) -> dict[str, Any]:
    """What `--set key=value` says."""
    found: dict[str, Any] = {}
    for text in texts:
        name, mark, value = text.partition("=")
        if not mark or not name.strip():
            raise UserError(f"--set {text}: write it as key=value, such as --set learning_rate=1e-4")
        found[name.strip()] = value.strip()
    return found
