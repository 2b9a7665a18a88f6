"""What a failure mode has to keep to, so that scores, data sets and tables can rest on it; tried on `probes`."""

from __future__ import annotations

from collections.abc import Iterable

from faultgym.eval.conformance import (
    Check,
    Probe,
    conform,
    order_dependent,
    probes,
    raised,
    unsound_name,
    unsound_sentence,
)
from faultgym.eval.modes.evidence import Mode, ModeContext, Rule


def check_mode(name: str, rule: Rule) -> None:
    """Try a rule for a failure mode on the built-in episodes; takes about a second the first time.

    Args:
        name: The name that the rule is to be added under.
        rule: The rule.

    Raises:
        UserError: The rule does not conform; the message gives what it breaks, and where.
    """
    conform("failure mode", CHECKS, name, rule)


def _name(name: str, rule: Rule) -> str:
    """Its name is of lower-case words joined by underscores."""
    return unsound_name(name)


def _description(name: str, rule: Rule) -> str:
    """The first line of its docstring is a sentence that says what is wrong in the episode."""
    return unsound_sentence(rule.__doc__)


def _raises_nothing(name: str, rule: Rule) -> str:
    """It takes any ended episode, and gives an iterable of modes without raising."""
    for probe in probes():
        try:
            found = list(rule(ModeContext(probe.context)))
        except Exception as error:  # a rule under test may raise anything: that is the finding
            return f"it raised {raised(error)}, on {probe.where}"
        if not all(isinstance(mode, Mode) for mode in found):
            return f"it gave something else than a Mode, on {probe.where}"
    return ""


def _deterministic(name: str, rule: Rule) -> str:
    """The same episode gives the same modes each time."""
    for probe in probes():
        if _raised(rule, probe) != _raised(rule, probe):
            return probe.where
    return ""


def _pure(name: str, rule: Rule) -> str:
    """It leaves the trace as it is, and what it says of one episode does not depend on the others."""
    where = order_dependent(lambda probe: _raised(rule, probe))
    changed = next((probe.where for probe in probes() if probe.changed), "")
    if changed:
        return f"it changed the trace of {changed}"
    return f"{where}, after other episodes" if where else ""


def _evidence(name: str, rule: Rule) -> str:
    """Each mode bears the name, names a turn and a call that exist, and says why."""
    for probe in probes():
        for mode in _raised(rule, probe):
            if problem := _wrong_evidence(name, mode, probe):
                return f"{problem}, on {probe.where}"
    return ""


def _wrong_evidence(name: str, mode: Mode, probe: Probe) -> str:
    context = probe.context
    if mode.name != name:
        return f"a mode named {mode.name!r}"
    if mode.call is not None and not 0 <= mode.call < len(context.records):
        return f"call {mode.call} of {len(context.records)}"
    if not 0 <= mode.step < max(1, len(context.trace.steps)):
        return f"turn {mode.step} of {len(context.trace.steps)}"
    if mode.call is not None and context.steps[mode.call] != mode.step:
        return f"call {mode.call} is of turn {context.steps[mode.call]}, not of turn {mode.step}"
    if not isinstance(mode.value, str) or not isinstance(mode.why, str) or not mode.why:
        return "no reason, or a value that is no text"
    return ""


def _spares_the_expert(name: str, rule: Rule) -> str:
    """The expert, who makes no mistakes, shows no mode."""
    return next((probe.where for probe in probes() if probe.expert and _raised(rule, probe)), "")


def _raised(rule: Rule, probe: Probe) -> Iterable[Mode]:
    return list(rule(ModeContext(probe.context)))


CHECKS: tuple[Check[Rule], ...] = (
    _name,
    _description,
    _raises_nothing,
    _deterministic,
    _pure,
    _evidence,
    _spares_the_expert,
)
"""The rules of the contract, in the order in which they are tried; the first line of each docstring is its sentence."""
