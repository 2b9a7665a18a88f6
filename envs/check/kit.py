"""Runs the rules over a suite or an environment."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import gymnasium as gym

from faultgym.envs.check import answers, conduct, content
from faultgym.envs.check.report import ConformanceRule, Finding, Report, Subject, Violation
from faultgym.envs.gym.env import ToolEnv
from faultgym.envs.registry import registered
from faultgym.envs.suite import Suite

_CONDUCT = (
    conduct.gymnasium_is_content,
    conduct.same_seed_same_episode,
    conduct.forks_are_independent,
    conduct.snapshots_restore_exactly,
    conduct.reads_change_nothing,
    conduct.changes_are_logged,
    conduct.hostile_turns_are_answered,
    conduct.results_are_capped,
    conduct.faults_bear_no_label,
    conduct.episodes_end_once,
    conduct.closing_is_idempotent,
)
_CONTENT = (
    content.worlds_are_reproducible,
    content.declared_columns_exist,
    content.phrasings_are_many,
    content.phrasings_fit_their_parameters,
    content.identifiers_stay_in_their_split,
    content.tasks_are_what_their_ids_say,
    content.tools_are_declared_in_full,
    answers.fields_fit_the_facts,
    answers.twins_have_the_same_fields,
    answers.solutions_fill_in_the_fields,
    answers.no_other_answer_counts,
    answers.no_other_text_counts,
)


def _rules(checks: Iterable[Any]) -> tuple[ConformanceRule, ...]:
    return tuple(
        ConformanceRule((check.__doc__ or check.__name__).split("\n")[0].rstrip("."), check) for check in checks
    )


CONDUCT = _rules(_CONDUCT)
"""The rules about how an environment behaves; each sentence is the first line of a function's docstring."""
RULES = (*_rules(_CONTENT), *CONDUCT)
"""Every rule of the contract: those about what a suite holds, then `CONDUCT`."""


def check_suite(suite: Suite, rules: Sequence[ConformanceRule] = RULES) -> Report:
    """Check a suite against the rules; the suite is registered under its name meanwhile. Takes seconds.

    Args:
        suite: The suite; what is wrong with it stands in the report and is never raised.
        rules: The rules to try, in this order; all of them by default.

    Returns:
        What came of each rule.
    """
    with registered(suite):
        return _report(Subject(suite, ("clean", "hostile")), rules)


def check_env(env: gym.Env[Any, Any], rules: Sequence[ConformanceRule] = CONDUCT) -> Report:
    """Check how an environment behaves, with its own faults, split and style; wrappers are taken off.

    Args:
        env: A `ToolEnv`, wrapped or not; environments of its settings are made anew.
        rules: The rules to try, in this order; by default those about conduct.

    Returns:
        What came of each rule.

    Raises:
        TypeError: No `ToolEnv` is under the wrappers.
    """
    inner = env.unwrapped
    if not isinstance(inner, ToolEnv):
        raise TypeError(f"check_env checks a ToolEnv, not {type(inner).__name__}")
    styles = (inner.style,) if inner.style is not None else Subject.styles
    return _report(Subject(inner.suite, (inner.faults,), inner.split, styles), rules)


def _report(subject: Subject, rules: Sequence[ConformanceRule]) -> Report:
    return Report(subject.suite.name, tuple(_finding(rule, subject) for rule in rules))


def _finding(rule: ConformanceRule, subject: Subject) -> Finding:
    try:
        rule.check(subject)
    except Violation as violation:
        return Finding(rule, str(violation) or "violated")
    except Exception as error:  # a suite under test may raise anything: that is the finding
        return Finding(rule, f"raised {type(error).__name__}: {str(error)[:500]}")
    return Finding(rule)
