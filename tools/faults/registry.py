"""The catalogue of fault kinds by name: built in, registered in code, or found by entry point."""

from __future__ import annotations

import copyreg
from collections.abc import Callable
from typing import Any

from faultgym.core.errors import PlanError
from faultgym.core.registry import Registry
from faultgym.tools.faults.conformance import check_kind
from faultgym.tools.faults.types import Channel, Contract, FaultContext, Kind, Phase

Act = Callable[[FaultContext], Any]

FAULT_KINDS: Registry[Kind] = Registry(
    "fault kind",
    "faultgym.fault_kinds",
    builtin=tuple(
        f"faultgym.tools.faults.kinds.{module}"
        for module in ("status", "transport", "bodies", "shape", "pages", "sql", "search", "surface")
    ),
    check=check_kind,
    error=PlanError,
    listing="`faultgym tasks --faults` lists them",
)
"""All fault kinds, in the order of the catalogue."""


def define_kind(channel: Channel, phase: Phase, contract: Contract, **more: Any) -> Callable[[Act], Kind]:
    """Make a `Kind` of the decorated function: its name is the kind's, the first line of its docstring the summary.

    Args:
        channel: The backend whose replies the fault changes.
        phase: `before`: the call never reaches the backend; `after`: the call does, and the reply is changed.
        contract: The right next move of an agent that meets the fault.
        more: Further fields of `Kind`, such as `targets` and `can_fire`.

    Returns:
        A decorator that gives the kind; `FAULT_KINDS.register` adds that to the catalogue.

    Example:
        >>> from faultgym.tools.exchange import HttpResponse
        >>> @define_kind("http", "before", Contract.RETRY)
        ... def too_early(context):
        ...     "425: the server is not ready for the request; the same call again works."
        ...     return HttpResponse(425)
        >>> too_early.name
        'too_early'
    """

    def wrap(act: Act) -> Kind:
        summary = (act.__doc__ or "").split("\n")[0]
        return Kind(
            name=act.__name__, channel=channel, phase=phase, contract=contract, act=act, summary=summary, **more
        )

    return wrap


def kind(channel: Channel, phase: Phase, contract: Contract, **more: Any) -> Callable[[Act], Act]:
    """Add the decorated function to the catalogue as a built-in kind, as `define_kind` makes it.

    Args:
        channel: The backend whose replies the fault changes.
        phase: `before` or `after` the backend has done its work.
        contract: The right next move of an agent that meets the fault.
        more: Further fields of `Kind`.

    Returns:
        A decorator that gives the function back unchanged.

    Raises:
        PlanError: The catalogue has another kind of that name.
    """

    def wrap(act: Act) -> Act:
        made = define_kind(channel, phase, contract, **more)(act)
        FAULT_KINDS.add(made.name, made)
        return act

    return wrap


def kind_named(name: str) -> Kind:
    """The kind of that name.

    Raises:
        PlanError: No kind has that name (the message gives the nearest ones), or the kind that a package adds cannot be
            imported or does not conform.
    """
    return FAULT_KINDS.named(name)


def kind_at(name: str, revision: int) -> Kind:
    """The kind of that name as it was under a revision; as it is today where that one is no longer played.

    Raises:
        PlanError: As `kind_named`.
    """
    return kind_named(name).at(revision)


def _by_name(found: Kind) -> tuple[Callable[[str, int], Kind], tuple[str, int]]:
    """A kind for another process: by name, for its functions are found there in the catalogue."""
    return kind_at, (found.name, found.revision)


copyreg.pickle(Kind, _by_name)
