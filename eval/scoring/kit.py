"""What a metric has to keep to, so that tables and comparisons can rest on it; tried on `probes`."""

from __future__ import annotations

import math
from dataclasses import replace

from faultgym.core.bank import banked
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
from faultgym.eval.scoring.record import Metric, Number, Score
from faultgym.eval.scoring.standard import standard_score, unscored


def check_metric(name: str, metric: Metric) -> None:
    """Try a metric on the built-in episodes; takes about a second the first time.

    Args:
        name: The name that the metric is to be added under.
        metric: The metric.

    Raises:
        UserError: The metric does not conform; the message gives the rule that it breaks, and where.
    """
    conform("metric", CHECKS, name, metric)


@banked("tasks", 1)
def _scores() -> dict[str, Score]:
    """The scores of the probes, by what the probes are called."""
    return {probe.where: standard_score(probe.context) for probe in probes()}


def _name(name: str, metric: Metric) -> str:
    """Its name is of lower-case words joined by underscores, and is what it is registered under."""
    if isinstance(metric, Metric) and metric.name != name:
        return f"it calls itself {metric.name!r}"
    return unsound_name(name) if isinstance(metric, Metric) else f"a {type(metric).__name__}, which is no Metric"


def _summary(name: str, metric: Metric) -> str:
    """Its summary is a sentence that says what it measures."""
    return unsound_sentence(metric.summary)


def _direction(name: str, metric: Metric) -> str:
    """It says whether higher is better, and reads either the score or the trace."""
    if not isinstance(metric.higher_is_better, bool):
        return f"higher_is_better is {metric.higher_is_better!r}"
    both = (metric.of_score is None, metric.of_trace is None)
    return "" if sum(both) == 1 else "give one of of_score and of_trace"


def _numbers(name: str, metric: Metric) -> str:
    """It takes any ended episode, and gives None or a finite number, that of a share within [0, 1], without raising."""
    for probe in probes():
        try:
            value = _value(metric, probe)
        except Exception as error:  # a metric under test may raise anything: that is the finding
            return f"it raised {raised(error)}, on {probe.where}"
        if value is None:
            continue
        if not isinstance(value, bool | int | float) or not math.isfinite(value):
            return f"it gave {str(value)[:60]!r}, on {probe.where}"
        if metric.share and not 0 <= value <= 1:
            return f"a share of {value:g}, on {probe.where}"
    return ""


def _undefined(name: str, metric: Metric) -> str:
    """It is None for an episode that the harness broke, which says nothing about its policy."""
    if metric.of_score is None:
        return ""  # such a trace is never given to it
    broken = replace(unscored(probes()[0].context.trace), harness_error="OSError: the server is gone")
    try:
        value = metric.of_score(broken)
    except Exception as error:
        return f"it raised {raised(error)}"
    return "" if value is None else f"it gave {value!r}"


def _deterministic(name: str, metric: Metric) -> str:
    """The same episode gives the same number each time, whatever came before it."""
    return order_dependent(lambda probe: _value(metric, probe))


def _pure(name: str, metric: Metric) -> str:
    """It leaves the trace as it is."""
    for probe in probes():
        _value(metric, probe)
        if probe.changed:
            return probe.where
    return ""


def _value(metric: Metric, probe: Probe) -> Number | None:
    return metric.of_trace(probe.context) if metric.of_trace is not None else metric.value(_scores()[probe.where])


CHECKS: tuple[Check[Metric], ...] = (_name, _summary, _direction, _numbers, _undefined, _deterministic, _pure)
"""The rules of the contract, in the order in which they are tried; the first line of each docstring is its sentence."""
