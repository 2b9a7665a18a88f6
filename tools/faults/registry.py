"""The catalogue of kinds by name."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Any

from faultgym.core.errors import PlanError
from faultgym.tools.faults.types import Channel, Contract, FaultContext, Kind, Phase

_KINDS: dict[str, Kind] = {}
_MODULES = ("status", "transport", "bodies", "shape", "pages", "sql", "search", "surface")


def kind(
    channel: Channel, phase: Phase, contract: Contract, **more: Any
) -> Callable[[Callable[[FaultContext], Any]], Callable[[FaultContext], Any]]:
    """Register the decorated function as the kind of its name; its docstring is the summary."""

    def wrap(act: Callable[[FaultContext], Any]) -> Callable[[FaultContext], Any]:
        name = act.__name__
        _KINDS[name] = Kind(name, channel, phase, contract, act, (act.__doc__ or "").split("\n")[0], **more)
        return act

    return wrap


@cache
def kinds() -> dict[str, Kind]:
    """All kinds by name, in the order of the catalogue."""
    for module in _MODULES:
        import_module(f"faultgym.tools.faults.kinds.{module}")
    return _KINDS


def kind_named(name: str) -> Kind:
    """The kind of that name; raises `PlanError` with the nearest names."""
    found = kinds().get(name)
    if found is None:
        near = difflib.get_close_matches(name, kinds(), 3)
        hint = f"; did you mean {' or '.join(near)}?" if near else "; `faultgym tasks --faults` lists them"
        raise PlanError(f"there is no fault kind {name!r}{hint}")
    return found
