"""Which episodes a run consists of: an explicit list, made from what was asked for, and how to tell two lists apart."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

import orjson

from faultgym import __version__
from faultgym.agents.traces.schema import SCHEMA_VERSION
from faultgym.agents.traces.spec import EpisodeSpec, episode_id, faults_data, faults_of
from faultgym.core.errors import TaskError, UserError
from faultgym.core.hashing import stable_hash
from faultgym.core.json import JSON
from faultgym.core.values import shallow
from faultgym.envs.judging.form import DEFAULT_ANSWERS, Answers
from faultgym.envs.limits import Limits
from faultgym.envs.reference.schedule import Faults, check_faults
from faultgym.envs.registry import suite_named
from faultgym.envs.suite import Suite
from faultgym.envs.task import Style

MOST_EPISODES = 1_000_000
"""Episodes of one run: its list is held in memory."""


@dataclass(frozen=True, slots=True)
class RolloutRequest:
    """What a run was asked for; `episodes` turns the request into the list.

    Example:
        >>> asked = RolloutRequest(templates=("order_status",), per_template=2)
        >>> [spec.task for spec in asked.episodes()]
        ['orders/order_status/test/0', 'orders/order_status/test/1']
    """

    suites: tuple[str, ...] = ("orders",)
    split: str = "test"
    templates: tuple[str, ...] = ()
    """Only these templates; empty for all of the split."""
    per_template: int = 4
    """Tasks of each template."""
    trials: int = 1
    """Episodes of each task under each preset; every trial meets faults of its own."""
    faults: tuple[Faults, ...] = ("rough",)
    seed: int = 0
    style: Style | None = None
    """How the REST API is offered; None for what the task's index gives."""
    answers: Answers = DEFAULT_ANSWERS
    """How the episodes end."""

    def episodes(self) -> Iterator[EpisodeSpec]:
        """The episodes, in the order in which they are started.

        A seed depends on what it is for, never on the order, nor on the policy: two policies meet the
        same faults in the same tasks.

        Raises:
            TaskError: There is no such suite, split or template.
            PlanError: There is no such preset, or a plan is aimed at what a suite lacks.
            UserError: A number is below 1, the seed has more than 64 bits, or there are more than `MOST_EPISODES`.
        """
        if self.per_template < 1 or self.trials < 1:
            raise UserError("a run needs at least one task of each template, and one trial of each task")
        if not -(2**63) <= self.seed < 2**63:
            raise UserError(f"the seed {self.seed} is too large: it has 64 bits")
        for faults in self.faults:
            check_faults(faults, self.suites)
        wanted = [(suite_named(name), self._templates(suite_named(name))) for name in self.suites]
        self._refuse_unknown([name for _, names in wanted for name in names])
        count = self.trials * self.per_template * sum(len(names) for _, names in wanted) * len(self.faults)
        if count > MOST_EPISODES:
            raise UserError(f"these are {count:,} episodes; a run has at most {MOST_EPISODES:,}: make several runs")
        for trial in range(self.trials):
            for index in range(self.per_template):
                for suite, names in wanted:
                    for name in names:
                        task = suite.task_id(name, self.split, index, self.style)
                        for faults in self.faults:
                            yield self._spec(task, faults, trial)

    def _spec(self, task: str, faults: Faults, trial: int) -> EpisodeSpec:
        label = faults if isinstance(faults, str) else faults.to_json()
        seeds = [stable_hash(what, self.seed, task, label, trial) >> 11 for what in ("fault", "policy")]
        return EpisodeSpec(task, faults, seeds[0], seeds[1], trial, self.answers)

    def _templates(self, suite: Suite) -> list[str]:
        names = suite.names(self.split)
        return [name for name in names if not self.templates or name in self.templates]

    def _refuse_unknown(self, found: list[str]) -> None:
        unknown = [name for name in self.templates if name not in found]
        if unknown or not found:
            known = [n for s in self.suites for n in suite_named(s).names(self.split)]
            what = f"there is no template {unknown[0]!r}" if unknown else "there are no tasks"
            raise TaskError(
                f"{what} in split {self.split!r} of {' and '.join(self.suites)}; there are {', '.join(known) or 'none'}"
            )

    def data(self) -> JSON:
        """The request as JSON values."""
        faults = [faults_data(f) for f in self.faults]
        return {**shallow(self), "suites": list(self.suites), "templates": list(self.templates), "faults": faults}


def request_fields(asked: JSON) -> dict[str, Any]:
    """The fields of a request as a stored plan's `asked` holds them; what else stands there is left out."""
    fields = {name: value for name, value in asked.items() if name in RolloutRequest.__slots__}
    for name in ("suites", "templates"):
        if name in fields:
            fields[name] = tuple(fields[name])
    if "faults" in fields:
        fields["faults"] = tuple(faults_of(f) for f in fields["faults"])
    return fields


@dataclass(frozen=True, slots=True)
class RolloutPlan:
    """The episodes of a run, with their limits."""

    episodes: tuple[EpisodeSpec, ...]
    limits: Limits = field(default_factory=Limits)
    asked: JSON | None = None
    """Where the list came from, so that a later resume can say what differs."""

    @classmethod
    def make(cls, asked: RolloutRequest, limits: Limits | None = None) -> RolloutPlan:
        """The plan for what was asked.

        Args:
            asked: The request.
            limits: The budgets of each episode; those of `Limits()` by default.

        Raises:
            UserError: What `RolloutRequest.episodes` raises.
        """
        return cls(tuple(asked.episodes()), limits or Limits(), asked.data())

    def ids(self, policy: JSON) -> list[str]:
        """The episodes' ids under a policy's description, in the plan's order.

        Raises:
            UserError: Two ids are the same.
        """
        versions: dict[str, int] = {}
        ids = []
        for spec in self.episodes:
            suite = spec.task.partition("/")[0]
            if suite not in versions:
                versions[suite] = suite_named(suite).version
            ids.append(episode_id(spec, policy, self.limits, versions[suite]))
        if len(set(ids)) < len(ids):
            raise UserError("the plan names an episode twice: the same task, faults, seeds and trial")
        return ids

    def data(self, policy: JSON) -> JSON:
        """What a run's `plan.json` holds, as JSON values.

        Args:
            policy: What the policy says of itself.

        Raises:
            UserError: The plan names an episode twice.
        """
        suites = sorted({spec.task.partition("/")[0] for spec in self.episodes})
        ids = self.ids(policy)
        return {
            "schema_version": SCHEMA_VERSION,
            "faultgym": __version__,
            "suites": {name: suite_named(name).version for name in suites},
            "policy": policy,
            "limits": shallow(self.limits),
            "asked": self.asked,
            "episodes": len(ids),
            "fingerprint": fingerprint(ids),
        }


def fingerprint(ids: Sequence[str]) -> str:
    """A hash of a set of episode ids, whatever their order.

    Returns:
        16 hexadecimal digits.
    """
    return blake2b("\n".join(sorted(ids)).encode(), digest_size=8).hexdigest()


def plan_difference(stored: JSON, wanted: JSON, where: str = "") -> str:
    """The first thing in which two plans' data differ, in words; empty when they are the same.

    Args:
        stored: What `plan.json` holds.
        wanted: What the same run would write now.
        where: What the names stand in, with a dot at its end.

    Example:
        >>> plan_difference({"limits": {"turns": 60}}, {"limits": {"turns": 8}})
        'limits.turns was 60, and is now 8'
    """
    for name in dict.fromkeys([*stored, *wanted]):
        a, b = stored.get(name), wanted.get(name)
        if isinstance(a, dict) and isinstance(b, dict):
            found = plan_difference(a, b, f"{where}{name}.")
            if found:
                return found
        elif a != b:
            return f"{where}{name} was {_short(a)}, and is now {_short(b)}"
    return ""


def _short(value: Any) -> str:
    text = orjson.dumps(value).decode()
    return text if len(text) <= 200 else f"{text[:200]}..."


def is_part(stored: JSON, plan: RolloutPlan, policy: JSON) -> bool:
    """Whether a plan has every episode of a stored one, and further ones: more trials, more tasks, more presets.

    Args:
        stored: What `plan.json` holds.
        plan: The new plan.
        policy: What the policy says of itself.
    """
    asked = stored.get("asked")
    if not isinstance(asked, dict):
        return False
    try:
        before = RolloutPlan.make(RolloutRequest(**request_fields(asked)), plan.limits).ids(policy)
    except (UserError, TypeError, ValueError):  # a plan that somebody has edited: its difference is told
        return False
    return fingerprint(before) == stored.get("fingerprint") and set(before) < set(plan.ids(policy))
