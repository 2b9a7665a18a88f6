"""What a loop is asked to do: one frozen value, from a YAML file, `key=value` texts, or code. No torch here.

    LoopConfig.of({"model": "smollm2", "suites": ["orders"], "sft": {"learning_rate": 1e-3}})

Every value is checked when it is made: a `UserError` names the key, the value, and what is allowed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import field
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field
from pydantic.dataclasses import dataclass

from faultgym.agents.models.sampling import options
from faultgym.agents.rollouts.plan import plan_difference
from faultgym.core.errors import TaskError, UserError
from faultgym.core.json import JSON
from faultgym.core.suggest import did_you_mean
from faultgym.envs.defaults import MAX_TURNS
from faultgym.envs.judging.form import DEFAULT_ANSWERS, Answers
from faultgym.envs.limits import Limits
from faultgym.envs.reference.schedule import check_faults
from faultgym.envs.registry import suite_named
from faultgym.envs.task import Style
from faultgym.eval.comparison.noninferior import CLEAN_MARGIN, TEXT_MARGIN
from faultgym.eval.comparison.paired import most_likely_share
from faultgym.training.configs.settings import SETTINGS, FilledNames, FilledText, Names, NoTruth, as_record, refusing
from faultgym.training.configs.train import Adapter, TrainConfig
from faultgym.training.filters.mix import MixWeights, parse_mix
from faultgym.training.preferences.pairs import At

DEV_TASKS = 200
"""In all: with so many, four may be lost without faults and a loss of 5 points is still ruled out."""
Engine = Literal["hf", "vllm", "server"]
Preference = Literal["dpo", "orpo", "kto", "none"]
_OWN = ("method", "model", "data", "out", "adapter", "init_adapter", "resume", "seed", "unaudited")
"""Settings of a training run that the loop itself decides."""


def _at(value: Any) -> Any:
    """Loops of 0.1 call the first error a slip."""
    return "first_error" if value == "slip" else value


@refusing
@dataclass(frozen=True, slots=True, config=SETTINGS)
class LoopConfig:
    """The settings of one loop.

    Raises:
        UserError: A value is not allowed, or a suite, template or preset does not exist.

    Example:
        >>> config = LoopConfig.of({"model": "smollm2", "suites": "orders", "sft": {"learning_rate": "1e-3"}})
        >>> config.training("sft", "smollm2", ("sets/a",), "out", seed=3).learning_rate
        0.001
    """

    model: FilledText
    """The model to begin with: an embedded one's name, a folder, or a hub id."""
    suites: FilledNames = ("orders",)
    templates: Names = ()
    """Only these; empty for all."""
    style: Literal["", "http", "tools"] = ""
    """How the REST API is offered, `http` or `tools`; empty for what each task has."""
    answers: Answers = DEFAULT_ANSWERS
    """How episodes end: by a call of `answer`, or by a turn without calls."""
    rounds: Annotated[int, Field(ge=1, le=99), NoTruth] = 1
    """Rounds in all. May be raised later."""
    seed: Annotated[int, Field(ge=0, le=2**32 - 1), NoTruth] = 0
    episodes: Annotated[int, Field(ge=1, le=10**6), NoTruth] = 400
    """Rolled out in each round, on train tasks."""
    target: Annotated[float, Field(ge=0.05, le=0.95), NoTruth] = 0.5
    """Share of them that the curriculum wants to succeed."""
    faults: FilledNames = ("clean", "mild", "rough", "hostile")
    """Presets that the curriculum chooses from; single kinds come to them from the second round on."""
    dev_tasks: Annotated[int, Field(ge=0, le=10**5), NoTruth] = 0
    """Dev tasks of each template that both models are compared on, new ones in each round; 0 for `DEV_TASKS` in all."""
    dev_faults: FilledNames = ("rough",)
    """Presets of the comparison, beside `clean`."""
    engine: Engine = "hf"
    """`hf`: transformers in this process. `vllm`: vLLM's engine in this process. `server`: `serve-model`."""
    sampling: FilledText = "max_tokens=256&temperature=1"
    """Options of the policy when it is rolled out and sampled, as after `hf:MODEL?`."""
    dev_sampling: FilledText = "max_tokens=256&temperature=0"
    """The same for the comparison."""
    port: Annotated[int, Field(ge=0, le=65535), NoTruth] = 0
    """Of the engine `server`; 0 for one that is free."""
    turns: Annotated[int, Field(ge=1, le=10**4), NoTruth] = MAX_TURNS
    """Of an episode."""
    samples: Annotated[int, Field(ge=0, le=1000), NoTruth] = 4
    """Continuations that the policy is asked for at each fork."""
    checks: Annotated[int, Field(ge=0, le=1000), NoTruth] = 0
    """Further ones that verify a chosen continuation."""
    pair_episodes: Annotated[int, Field(ge=0, le=10**6), NoTruth] = 400
    """That the result of SFT rolls out on further train tasks: pairs are forked from these, so that what is rejected is
    what it still does. 0: from the round's own rollout, and of the model before SFT."""
    at: Annotated[At, BeforeValidator(_at)] = "anchored"
    """Where pairs are made; see `pairs`. A trace's first error comes at or before its first critical step."""
    mix: FilledText = field(default_factory=lambda: MixWeights().text())
    """Shares of the kinds of examples; see `faultgym build sft`."""
    replay: Annotated[float, Field(ge=0, le=0.9), NoTruth] = 0.25
    """Share of what is learned in a round that earlier rounds (and `replay_from`) collected."""
    replay_sft: Names = ()
    """Folders of data sets that count as collected before the first round: what the model has learned already."""
    replay_pairs: Names = ()
    adapter: Adapter = "lora"
    sft: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """Settings of `faultgym train sft` that differ from its defaults."""
    preference: Preference = "dpo"
    """The stage after SFT; `none` for no such stage."""
    pref: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """Settings of `faultgym train dpo|orpo|kto`."""
    unaudited: bool = False
    """Learn from pairs that failed their balance audit; else the preference stage of that round is left out."""
    alpha: Annotated[float, Field(ge=1e-6, le=0.5), NoTruth] = 0.05
    """Chance of a promotion without any gain."""
    clean_margin: Annotated[float, Field(ge=1e-6, le=1), NoTruth] = CLEAN_MARGIN
    """Loss of success without faults that is accepted."""
    text_margin: Annotated[float, Field(ge=1e-6), NoTruth] = TEXT_MARGIN
    """Bits per byte by which general text may become harder to predict, for a model that can predict it."""
    in_flight: Annotated[int, Field(ge=1, le=10**5), NoTruth] = 64
    """Episodes at a time."""
    workers: Annotated[int, Field(ge=1, le=1000), NoTruth] = 1
    """Processes that build data sets; with samples from a model always one."""

    def __post_init__(self) -> None:
        for faults in (*self.faults, *self.dev_faults):
            check_faults(faults)
        if not set(self.faults) - {"clean"} or not set(self.dev_faults) - {"clean"}:
            raise UserError("faults and dev_faults: each needs a preset with faults, such as rough")
        for name in self.suites:
            suite_named(name)
        names = {t for suite in self.suites for t in suite_named(suite).names("train")}
        for template in self.templates:
            if template not in names:
                near = did_you_mean(template, sorted(names))
                raise TaskError(f"there is no template {template!r} in {', '.join(self.suites)}; {near}".rstrip("; "))
        parse_mix(self.mix)
        self.training("sft", self.model, ("data",), "out", 0)
        if self.preference != "none":
            self.training(self.preference, self.model, ("data",), "out", 0)

    @property
    def dev_each(self) -> int:
        """The number of dev tasks of each template."""
        return self.dev_tasks or math.ceil(DEV_TASKS / self._templates)

    @property
    def _templates(self) -> int:
        names = [name for suite in self.suites for name in suite_named(suite).names("dev")]
        return sum(not self.templates or name in self.templates for name in names)

    def doubts(self) -> Iterator[str]:
        """What a person should know before the loop begins."""
        tasks = self.dev_each * self._templates
        if most_likely_share(0, tasks, self.alpha) >= self.clean_margin:
            yield (
                f"{tasks} dev tasks cannot rule out a loss of {100 * self.clean_margin:g} points without faults, even"
                " if none is lost: only a model that gains there too will be promoted. Leave dev_tasks out, or raise it"
            )

    @property
    def limits(self) -> Limits:
        """The limits of every episode."""
        return Limits(turns=self.turns)

    @property
    def api(self) -> Style | None:
        """The setting `style` as suites take it."""
        return self.style or None

    def training(self, method: str, model: str, data: tuple[str, ...], out: str, seed: int) -> TrainConfig:
        """The configuration of one training stage.

        Rows are learned under the prompt that they were sampled with, and a row that is too long does not stop the
        loop.

        Args:
            method: `sft` takes the settings in `sft`, every other method those in `pref`.
            model: What is trained.
            data: Folders of data sets.
            out: The folder of the result.
            seed: The stage's seed.

        Raises:
            UserError: A setting is unknown or impossible, or is one that the loop decides.
        """
        section = "sft" if method == "sft" else "pref"
        given: Mapping[str, Any] = getattr(self, section)
        for name in given:
            if name in _OWN:
                raise UserError(f"{section}.{name}: the loop decides that; leave it out of {section}")
        own = {"method": method, "model": model, "data": data, "out": out, "seed": seed, "resume": True}
        usual = {"prompt": options(self.sampling).get("prompt", "plain"), "too_long": "drop"}
        try:
            return TrainConfig.of({**usual, **given, **own, "adapter": self.adapter, "unaudited": True})
        except UserError as error:
            raise UserError(f"{section}: {error}") from error

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> LoopConfig:
        """The settings from values as they stand in a YAML file.

        Args:
            values: Setting -> value; texts may stand for numbers, truth values and lists.

        Raises:
            UserError: A setting is unknown, missing or impossible.
        """
        return cls(**values)

    def to_record(self) -> JSON:
        """The settings as JSON."""
        return as_record(self)

    def difference(self, record: JSON) -> str:
        """The first setting in which an earlier configuration differs, in words; empty where the loop may be resumed.

        Args:
            record: The earlier configuration, as `to_record` gives it.
        """
        kept = {name: value for name, value in record.items() if name not in CHANGEABLE}
        mine = {name: value for name, value in self.to_record().items() if name not in CHANGEABLE}
        return plan_difference(kept, mine)


CHANGEABLE = frozenset({"rounds", "in_flight", "workers", "port", "sft", "pref"})
"""Settings that may change while a loop goes on: those that nothing follows from, and those of training, which may have
to change for a stage to fit into memory. A stage that has ended keeps those that it was made with."""


def nested(values: Mapping[str, Any]) -> dict[str, Any]:
    """Dotted names as sections: `{"sft.learning_rate": x}` as `{"sft": {"learning_rate": x}}`.

    Args:
        values: Setting -> value; the sections are `sft` and `pref`.

    Raises:
        UserError: Another name has a dot.

    Example:
        >>> nested({"sft.learning_rate": "1e-3", "rounds": "2"})
        {'sft': {'learning_rate': '1e-3'}, 'rounds': '2'}
    """
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


__all__ = ["CHANGEABLE", "Engine", "LoopConfig", "Preference", "nested"]
