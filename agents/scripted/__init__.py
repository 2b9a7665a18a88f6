"""Policies without a model: the expert, the ones that every task must fail, and one for each failure mode."""

from __future__ import annotations

from collections.abc import Callable

from faultgym.agents.policy import Policy
from faultgym.agents.scripted import careless, plain
from faultgym.agents.scripted.flawed import FLAWS, applies, flawed
from faultgym.agents.scripted.plain import expert

POLICIES: dict[str, Callable[[], Policy]] = {
    "expert": plain.expert,
    "null": plain.null,
    "random": plain.rng_policy,
    "echo": plain.echo,
    "spam": plain.spam,
    "repeater": careless.repeater,
    "quitter": careless.quitter,
    "trusting": careless.trusting,
    "impatient": careless.impatient,
    **{mode: flawed(mode) for mode in FLAWS},
}
"""All scripted policies by name."""

__all__ = ["FLAWS", "POLICIES", "applies", "expert", "flawed"]
