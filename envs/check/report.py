"""Rules, findings, and the report on a suite."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

from faultgym.envs.gym.env import ToolEnv
from faultgym.envs.judging.form import DEFAULT_ANSWERS, Answers
from faultgym.envs.reference.schedule import Faults
from faultgym.envs.suite import Suite
from faultgym.envs.task import Style, Task


@dataclass(frozen=True)
class Subject:
    """What is being checked: a suite, and the settings of the environments made of it."""

    suite: Suite
    faults: tuple[Faults, ...]
    """The presets or plans under which conduct is checked."""
    split: str = "train"
    styles: tuple[Style, ...] = ("http", "tools")

    def env(self, faults: Faults = "clean", answers: Answers = DEFAULT_ANSWERS) -> ToolEnv:
        """A new environment of the suite.

        Args:
            faults: A preset's name, or a plan.
            answers: How its episodes end.
        """
        return ToolEnv(self.suite, faults=faults, split=self.split, answers=answers)

    @cached_property
    def tasks(self) -> list[Task]:
        """The first task of each template, in each style."""
        return [
            self.suite.task(name, self.split, 0, style)
            for name in self.suite.names(self.split)
            for style in self.styles
        ]

    @cached_property
    def one_of_each_style(self) -> list[Task]:
        """One task in each style, for rules that are about tools and not about tasks."""
        return self.tasks[: len(self.styles)]


class Violation(AssertionError):
    """A rule does not hold. The message says where."""


def require(condition: bool, where: str) -> None:
    """Raise `Violation` unless the condition holds.

    Args:
        condition: What the rule says.
        where: Where the condition does not hold: the message.

    Raises:
        Violation: The condition does not hold.
    """
    if not condition:
        raise Violation(where)


@dataclass(frozen=True, slots=True)
class ConformanceRule:
    """One sentence of the contract, and the function that tries to break it."""

    sentence: str
    check: Callable[[Subject], None]
    """Raises `Violation`; whatever else it raises counts as a violation too."""

    @property
    def name(self) -> str:
        """The function's name."""
        return self.check.__name__


@dataclass(frozen=True, slots=True)
class Finding:
    """What came of one rule."""

    rule: ConformanceRule
    violation: str = ""
    """Where and how it does not hold; empty when it does."""

    @property
    def ok(self) -> bool:
        """Whether the rule holds."""
        return not self.violation


@dataclass(frozen=True, slots=True)
class Report:
    """What came of all rules. As a text, a table of the rules with the violations beneath."""

    suite: str
    findings: tuple[Finding, ...] = field(default=())

    @property
    def ok(self) -> bool:
        """Whether every rule holds."""
        return all(finding.ok for finding in self.findings)

    @property
    def violated(self) -> list[str]:
        """The names of the rules that do not hold."""
        return [finding.rule.name for finding in self.findings if not finding.ok]

    def __str__(self) -> str:
        """One line for each rule, and one for the whole."""
        lines = [f"suite {self.suite}"]
        for finding in self.findings:
            lines.append(f"  {'ok  ' if finding.ok else 'FAIL'}  {finding.rule.sentence}")
            lines += [f"        {line}" for line in finding.violation.split("\n") if line]
        bad = len(self.violated)
        lines.append(f"{len(self.findings)} rules, {f'{bad} violated' if bad else 'all hold'}")
        return "\n".join(lines)
