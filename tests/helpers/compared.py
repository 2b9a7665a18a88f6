"""Runs of scored episodes, made by hand: what the tests of comparisons compare."""

from dataclasses import replace

from faultgym.envs.limits import Limits
from faultgym.eval.comparison.compare import Run, Settings
from faultgym.eval.modes.evidence import Mode
from faultgym.eval.recovery.outcomes import Delivery, Recovery
from faultgym.eval.scoring.runs import ScoredEpisode
from faultgym.eval.scoring.score import Score

QUICK = Settings(resamples=200, flips=399)


def episode(task, success, faults="clean", trial=0, *, who="a", **more):
    """A scored episode; `recovered` is the outcome of the one fault that it met."""
    recovered, mode = more.pop("recovered", None), more.pop("mode", "")
    met = None
    if recovered is not None:
        outcome = "recovered" if recovered else "abandoned"
        met = Recovery((Delivery(0, "busy", "BACKOFF", "sql", 0, 0, 1, outcome, True, False, 1),), 1, 1)
    broken = more.pop("broken", False)
    found = Score(
        f"{who}-{task}-{faults}-{trial}", task, "orders", more.pop("template", "order_status"), "test", who, faults,
        trial, True, True, "final", success=None if broken else success, spl=None if broken else float(success) / 2,
        harness_error="OSError: gone" if broken else "", confidence=more.pop("confidence", None),
        planned=(("busy", "BACKOFF"),) if faults != "clean" else (), recovery=met,
        modes=(Mode(mode, 0, 0, "", ""),) if mode else (),
    )  # fmt: skip
    return replace(ScoredEpisode(found, (task, faults, 7, trial), "schedule", "world", 1, Limits()), **more)


def run(name, *episodes, policy=None):
    return Run(name, episodes, policy or {"name": name})


def outcomes(name, won, **more):
    return run(name, *(episode(f"t{n:03}", w, who=name, **more) for n, w in enumerate(won)))
