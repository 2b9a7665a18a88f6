"""Faults as the command line names them."""

from __future__ import annotations

from pathlib import Path

from faultgym.core.errors import PlanError
from faultgym.core.suggest import did_you_mean
from faultgym.envs.reference.schedule import Faults
from faultgym.tools.faults.named import load_plan, named_plans
from faultgym.tools.faults.presets import PRESETS


def faults_named(text: str) -> Faults:
    """A preset's name as it is, else the plan of that name or in that file.

    Raises:
        PlanError: There is no such preset, plan or file, or the file holds no plan.

    Example:
        >>> faults_named("rough")
        'rough'
    """
    if text in PRESETS:
        return text
    if text in named_plans() or text.endswith(".json") or Path(text).exists():
        return load_plan(text)
    plans = [name for name in named_plans() if name not in PRESETS]
    hint = did_you_mean(text, [*PRESETS, *plans])
    raise PlanError(
        f"--faults {text}: there is no such preset, plan or file{f'; {hint}' if hint else ''} "
        f"(the presets are {', '.join(PRESETS)}; the plans {', '.join(plans)}; or give a plan's JSON file)"
    )
