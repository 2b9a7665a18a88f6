"""What a loop is asked to do: one frozen value, from a YAML file, `key=value` texts, or code. No torch here.

    LoopConfig.of({"model": "smollm2", "suites": ["orders"], "sft": {"learning_rate": 1e-3}})

Every value is checked when it is made: a `UserError` names the key, the value, and what is allowed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from typing import Any, Literal, cast, get_args

from faultgym.agents.limits import MAX_TURNS, Limits
from faultgym.agents.plan import plan_difference
from faultgym.envs.schedule import check_faults
from faultgym.envs.suite import suite_named
from faultgym.envs.task import Style
from faultgym.eval.noninferior import CLEAN_MARGIN, TEXT_MARGIN
from faultgym.tools.errors import TaskError, UserError
from faultgym.tools.types import JSON
from faultgym.training.mix import Mix, parse_mix
from faultgym.training.pairs import At
from faultgym.training.train_config import Adapter, TrainConfig

Engine = Literal["hf", "vllm", "server"]
Preference = Literal["dpo", "orpo", "kto", "none"]
_OWN = ("method", "model", "data", "out", "adapter", "init_adapter", "resume", "seed", "unaudited")
"""Settings of a training run that the loop itself decides."""


@dataclass(frozen=True, slots=True)
class LoopConfig:
    """One loop."""

    model: str
    """The model to begin with: an embedded one's name, a folder, or a hub id."""
    suites: tuple[str, ...] = ("orders",)
    templates: tuple[str, ...] = ()
    """Only these; empty for all."""
    style: str = ""
    """How the REST API is offered, `http` or `tools`; empty for what each task has."""
    rounds: int = 1
    """Rounds in all. May be raised later."""
    seed: int = 0
    episodes: int = 400
    """Rolled out in each round, on train tasks."""
    target: float = 0.5
    """Share of them that the curriculum wants to succeed."""
    faults: tuple[str, ...] = ("clean", "mild", "rough", "hostile")
    """Presets that the curriculum chooses from; single kinds come to them from the second round on."""
    dev_tasks: int = 20
    """Dev tasks of each template that current and candidate are compared on; each round has new ones."""
    dev_faults: tuple[str, ...] = ("rough",)
    """Presets of the comparison, beside `clean`."""
    engine: Engine = "hf"
    """`hf`: transformers in this process. `vllm`: vLLM's engine in this process. `server`: `serve-model`."""
    sampling: str = "max_tokens=256&temperature=1"
    """Options of the policy when it is rolled out and sampled, as after `hf:MODEL?`."""
    dev_sampling: str = "max_tokens=256&temperature=0"
    """The same for the comparison."""
    port: int = 8000
    """Of the engine `server`."""
    turns: int = MAX_TURNS
    """Of an episode."""
    samples: int = 4
    """Continuations that the policy is asked for at each fork."""
    checks: int = 0
    """Further ones that verify a chosen continuation."""
    at: At = "anchored"
    """Where pairs are made; see `pairs`. A trace's first slip comes at or before its first critical step."""
    mix: str = field(default_factory=lambda: Mix().text())
    """Shares of the kinds of examples; see `faultgym build sft`."""
    replay: float = 0.25
    """Share of what is learned in a round that earlier rounds (and `replay_from`) collected."""
    replay_sft: tuple[str, ...] = ()
    """Folders of data sets that count as collected before the first round: what the model has learned already."""
    replay_pairs: tuple[str, ...] = ()
    adapter: Adapter = "lora"
    sft: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """Settings of `faultgym train sft` that differ from its defaults."""
    preference: Preference = "dpo"
    """The stage after SFT; `none` for no such stage."""
    pref: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """Settings of `faultgym train dpo|orpo|kto`."""
    unaudited: bool = False
    """Learn from pairs that failed their balance audit; else the preference stage of that round is left out."""
    alpha: float = 0.05
    """Chance of a promotion without any gain."""
    clean_margin: float = CLEAN_MARGIN
    """Loss of success without faults that is accepted."""
    text_margin: float = TEXT_MARGIN
    """Bits per byte by which general text may become harder to predict."""
    in_flight: int = 64
    """Episodes at a time."""
    workers: int = 1
    """Processes that build data sets; with samples from a model always one."""

    def __post_init__(self) -> None:
        for name, value in ((one.name, getattr(self, one.name)) for one in fields(self)):
            _check(name, value)
        for faults in (*self.faults, *self.dev_faults):
            check_faults(faults)
        if not set(self.faults) - {"clean"} or not set(self.dev_faults) - {"clean"}:
            raise UserError("faults and dev_faults: each needs a preset with faults, such as rough")
        for name in self.suites:
            suite_named(name)
        names = {t for suite in self.suites for t in suite_named(suite).names("train")}
        for template in self.templates:
            if template not in names:
                raise TaskError(f"there is no template {template!r}{_nearest(template, names)} in {self.suites}")
        parse_mix(self.mix)
        self.training("sft", self.model, ("data",), "out", 0)
        if self.preference != "none":
            self.training(self.preference, self.model, ("data",), "out", 0)

    @property
    def limits(self) -> Limits:
        """Of every episode."""
        return Limits(turns=self.turns)

    @property
    def api(self) -> Style | None:
        """`style` as suites take it."""
        return cast(Style, self.style) if self.style else None

    def training(self, method: str, model: str, data: tuple[str, ...], out: str, seed: int) -> TrainConfig:
        """The configuration of one training stage."""
        section = "sft" if method == "sft" else "pref"
        given: Mapping[str, Any] = getattr(self, section)
        for name in given:
            if name in _OWN:
                raise UserError(f"{section}.{name}: the loop decides that; leave it out of {section}")
        own = {"method": method, "model": model, "data": data, "out": out, "seed": seed, "resume": True}
        try:
            return TrainConfig.of({**given, **own, "adapter": self.adapter, "unaudited": True})
        except UserError as error:
            raise UserError(f"{section}: {error}") from error

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> LoopConfig:
        """From values as they stand in a YAML file; raises UserError for what is unknown, missing or impossible."""
        known = {one.name for one in fields(cls)}
        for name in values:
            if name not in known:
                raise UserError(
                    f"unknown setting {name!r}{_nearest(name, known)}; there are {', '.join(sorted(known))}"
                )
        if not values.get("model"):
            raise UserError("model is missing: every loop begins with one")
        return cls(**{name: _converted(name, value) for name, value in values.items()})

    def to_record(self) -> JSON:
        """As JSON."""
        record = {one.name: getattr(self, one.name) for one in fields(self)}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in record.items()}

    def difference(self, record: JSON) -> str:
        """The first setting in which an earlier configuration differs, in words; empty when the result is the same."""
        kept = {name: value for name, value in record.items() if name not in WITHOUT_EFFECT}
        mine = {name: value for name, value in self.to_record().items() if name not in WITHOUT_EFFECT}
        return plan_difference(kept, mine)


WITHOUT_EFFECT = frozenset({"rounds", "in_flight", "workers"})
"""Settings that may change while a loop goes on."""


@dataclass(frozen=True, slots=True)
class _Rule:
    """What a setting may be."""

    kind: Literal["int", "float", "bool", "text", "list", "map"] = "text"
    low: float = -math.inf
    high: float = math.inf
    choices: tuple[str, ...] = ()
    filled: bool = False
    """Whether it must hold something."""

    @property
    def allowed(self) -> str:
        """In words."""
        if self.choices:
            return f"one of {', '.join(choice or 'nothing' for choice in self.choices)}"
        words = {"bool": "true or false", "list": "names, separated by commas", "text": "a text"}
        if self.kind == "map":
            return "settings of `faultgym train`, such as {learning_rate: 1e-4}"
        if self.kind in words:
            return words[self.kind] + (", at least one" if self.filled else "")
        what = "a whole number" if self.kind == "int" else "a number"
        return f"{what} from {self.low:g}" + ("" if self.high == math.inf else f" to {self.high:g}")

    def holds(self, value: Any) -> bool:
        """Whether the value is allowed."""
        if self.choices:
            return value in self.choices
        if self.filled and not value:
            return False
        if self.kind == "list":
            return isinstance(value, tuple) and all(isinstance(one, str) and one for one in value)
        if self.kind in ("bool", "text", "map"):
            return isinstance(value, {"bool": bool, "text": str, "map": Mapping}[self.kind])
        if isinstance(value, bool) or not isinstance(value, int if self.kind == "int" else (int, float)):
            return False
        return math.isfinite(value) and self.low <= value <= self.high


_RULES: dict[str, _Rule] = {
    "suites": _Rule("list", filled=True),
    "templates": _Rule("list"),
    "style": _Rule(choices=("", "http", "tools")),
    "rounds": _Rule("int", 1, 99),
    "seed": _Rule("int", 0, 2**32 - 1),
    "episodes": _Rule("int", 1, 1_000_000),
    "target": _Rule("float", 0.05, 0.95),
    "faults": _Rule("list", filled=True),
    "dev_tasks": _Rule("int", 1, 100_000),
    "dev_faults": _Rule("list", filled=True),
    "engine": _Rule(choices=get_args(Engine)),
    "port": _Rule("int", 0, 65535),
    "turns": _Rule("int", 1, 10_000),
    "samples": _Rule("int", 0, 1000),
    "checks": _Rule("int", 0, 1000),
    "at": _Rule(choices=get_args(At)),
    "replay": _Rule("float", 0, 0.9),
    "replay_sft": _Rule("list"),
    "replay_pairs": _Rule("list"),
    "adapter": _Rule(choices=get_args(Adapter)),
    "preference": _Rule(choices=get_args(Preference)),
    "sft": _Rule("map"),
    "pref": _Rule("map"),
    "unaudited": _Rule("bool"),
    "alpha": _Rule("float", 1e-6, 0.5),
    "clean_margin": _Rule("float", 1e-6, 1),
    "text_margin": _Rule("float", 1e-6),
    "in_flight": _Rule("int", 1, 100_000),
    "workers": _Rule("int", 1, 1000),
}
_TEXT = _Rule(filled=True)
_WORDS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


def _check(name: str, value: Any) -> None:
    rule = _RULES.get(name, _TEXT)
    if not rule.holds(value):
        near = _nearest(value, rule.choices) if isinstance(value, str) else ""
        raise UserError(f"{name}: {value!r} is not allowed{near}; it has to be {rule.allowed}")


def _nearest(word: str, known: Any) -> str:
    close = get_close_matches(word, list(known), 1)
    return f" (did you mean {close[0]!r}?)" if close else ""


def _converted(name: str, value: Any) -> Any:
    """A value as YAML and command lines give it (1e-4 is a text in YAML) as what the setting holds."""
    rule = _RULES.get(name, _TEXT)
    if rule.kind == "list":
        parts = value.split(",") if isinstance(value, str) else value
        return tuple(str(part).strip() for part in parts) if isinstance(parts, (list, tuple)) else value
    if not isinstance(value, str) or rule.kind in ("text", "map") or rule.choices:
        return value
    try:
        if rule.kind == "bool":
            return _WORDS[value.lower()]
        return int(value) if rule.kind == "int" else float(value)
    except (ValueError, KeyError):
        return value  # the check names it


def nested(values: Mapping[str, Any]) -> dict[str, Any]:
    """`{"sft.learning_rate": x}` as `{"sft": {"learning_rate": x}}`. Raises UserError for another dotted name."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        section, dot, rest = name.partition(".")
        if dot and section not in ("sft", "pref"):
            raise UserError(f"unknown setting {name!r}: the sections are sft and pref, such as sft.learning_rate")
        if dot:
            found[section] = {**found.get(section, {}), rest: value}
        elif isinstance(value, Mapping):
            found[name] = {**value, **found.get(name, {})}
        else:
            found[name] = value
    return found


__all__ = ["WITHOUT_EFFECT", "Engine", "LoopConfig", "Preference", "nested"]
