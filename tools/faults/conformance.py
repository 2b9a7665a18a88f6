"""The conformance check of a kind of fault: what every kind must hold to, tried on a small world.

It runs on each kind that a package adds to the catalogue, and in the tests on the built-in ones:

    from faultgym.tools.faults.conformance import check_kind
    check_kind("too_early", too_early)
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from typing import Any, NamedTuple, get_args

import orjson

from faultgym.core.errors import UserError
from faultgym.tools.faults.probes import REPLIES, REQUESTS, KindProbe, ProbeWorld, probes
from faultgym.tools.faults.types import (
    LARGEST,
    RESERVED,
    REVISION,
    Channel,
    Contract,
    FaultContext,
    FaultState,
    Kind,
    Phase,
    ScheduledFault,
)

_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_SALTS = (0, 1)
"""Seeds under which a kind is tried: its choices differ between them."""


class KindError(UserError):
    """A kind of fault that does not hold to the rules."""


def check_kind(name: str, kind: Kind) -> None:
    """Try a kind on the requests of its channel; returns only if it holds to every rule.

    A kind that is aimed at none of the probe world's routes passes with its declaration alone checked.

    Args:
        name: The name under which the kind is registered.
        kind: The kind.

    Raises:
        KindError: The kind breaks a rule; the message says which, at which request, and what the kind did.
    """
    if not isinstance(kind, Kind):
        raise KindError(f"fault kind {name!r}: it is of type {type(kind).__name__}, not a Kind: see `define_kind`")
    _check_declaration(name, kind)
    for salt in _SALTS:
        params = {n: value for n, value in kind.params.items() if value is not None}
        fault = ScheduledFault(0, kind.name, onward=1, params={**params, "salt": salt})
        aimed = [probe for probe in probes(kind.channel) if _aims(kind, probe)]
        for first in aimed:
            others = aimed if kind.persists_while is not None else [first]
            course = _course(kind, fault, first, others)
            if salt == _SALTS[0]:
                _check_same(kind, course, _course(kind, fault, first, others))


def _refuse(kind: Kind, where: str, what: str) -> None:
    raise KindError(f"fault kind {kind.name!r}{f' at {where}' if where else ''}: {what}")


# ---- the declaration -------------------------------------------------------------------------------


def _check_declaration(name: str, kind: Kind) -> None:
    if kind.name != name:
        _refuse(kind, "", f"it is registered as {name!r}: the two names must be one")
    if not _NAME.fullmatch(name) or len(name) > 40:
        _refuse(kind, "", "its name must be words in lower case joined by _, at most 40 characters")
    if not kind.summary.strip() or "\n" in kind.summary or len(kind.summary) > 120:
        _refuse(kind, "", "its summary must be one line of 1 to 120 characters: what happens and what gets past it")
    if kind.channel not in get_args(Channel):
        _refuse(kind, "", f"its channel must be one of {', '.join(get_args(Channel))}, not {kind.channel!r}")
    if kind.phase not in get_args(Phase):
        _refuse(kind, "", f"its phase must be one of {', '.join(get_args(Phase))}, not {kind.phase!r}")
    if not isinstance(kind.contract, Contract):
        _refuse(kind, "", f"its contract must be a Contract, not {kind.contract!r}")
    if kind.rewrite is not None and (kind.phase != "before" or kind.persists_while is None):
        _refuse(kind, "", "`rewrite` needs the phase `before` and `persists_while`: else nothing calls it")
    _check_revision(kind)
    _check_params(kind)
    _check_varies(kind)


def _check_revision(kind: Kind) -> None:
    if type(kind.revision) is not int or kind.revision < 1:
        _refuse(kind, "", f"the parameter {REVISION!r} must be a whole number from 1 on, not {kind.revision!r}")
    names = {f.name for f in fields(Kind)} - {"name", "channel", "params", "earlier"}
    for revision, other in kind.earlier.items():
        if revision not in range(1, kind.revision) or not names.issuperset(other):
            _refuse(kind, "", "`earlier` must give fields of a Kind for revisions before its own")


def _check_params(kind: Kind) -> None:
    for name, value in kind.params.items():
        if not name.isidentifier() or name in RESERVED:
            _refuse(kind, "", f"the parameter {name!r} must be an identifier other than {', '.join(sorted(RESERVED))}")
        if value is not None and not isinstance(value, str | bool | int | float):
            _refuse(kind, "", f"the default of the parameter {name!r} must be text, a number, a truth value or None")
        if isinstance(value, int | float) and not isinstance(value, bool) and not 0 < value <= LARGEST:
            _refuse(kind, "", f"the default of the parameter {name!r} must be above 0 and at most {LARGEST:g}")


def _check_varies(kind: Kind) -> None:
    if kind.varies is None:
        return
    for entry in (ScheduledFault(0, kind.name, ordinals=(1,)), ScheduledFault(0, kind.name, onward=1)):
        with _calling(kind, "", "varies"):
            found = kind.varies(entry)
        if not isinstance(found, Contract):
            _refuse(kind, "", f"`varies` must give a Contract, not {found!r}")


# ---- its conduct -----------------------------------------------------------------------------------


class _Step(NamedTuple):
    """What one request of a course came to: equal in two equal courses."""

    where: str
    struck: bool
    reply: Any
    detail: bytes
    memory: bytes
    now: float


@contextmanager
def _calling(kind: Kind, where: str, what: str) -> Iterator[None]:
    """Turn what a kind's function raises into a refusal that says where."""
    try:
        yield
    except KindError:
        raise
    except Exception as error:
        place = f" at {where}" if where else ""
        problem = f"`{what}` raises {type(error).__name__}: {error}"
        raise KindError(f"fault kind {kind.name!r}{place}: {problem}") from error


def _aims(kind: Kind, probe: KindProbe) -> bool:
    with _calling(kind, probe.name, "targets"):
        found, again = kind.targets(probe.site), kind.targets(probe.site)
    if type(found) is not bool or found is not again:
        _refuse(kind, probe.name, f"`targets` must give the same truth value each time, not {found!r} and {again!r}")
    return found


def _check_same(kind: Kind, course: list[_Step], again: list[_Step]) -> None:
    for one, two in zip(course, again, strict=True):
        if one != two:
            _refuse(kind, one.where, f"it is not deterministic: the same request gave {one} and then {two}")


def _course(kind: Kind, fault: ScheduledFault, first: KindProbe, others: list[KindProbe]) -> list[_Step]:
    """The first request in a fresh world, then all others in the same one, as the fault layer would pass them."""
    world, state = ProbeWorld(), FaultState()
    route = first.site.route
    return [
        _step(kind, fault, probe, world, state)
        for probe in [first, *others]
        if not (kind.pinned and state.delivered) or probe.site.route == route
    ]


def _step(kind: Kind, fault: ScheduledFault, probe: KindProbe, world: ProbeWorld, state: FaultState) -> _Step:
    request = copy.deepcopy(probe.request)
    true = probe.backend(world, request) if kind.phase == "after" else None
    reply = copy.deepcopy(true)
    context = FaultContext(
        fault=fault, state=state, site=probe.site, request=request, world=world, reply=reply,
        backend=lambda other: probe.backend(world, other),
    )  # fmt: skip
    struck = _due(kind, probe, context, request, true)
    before = world.clock.now
    given = None
    if struck:
        with _calling(kind, probe.name, "act"):
            given = kind.act(context)
        _check_reply(kind, probe, given)
        if kind.phase == "after" and given == true and world.clock.now == before and not context.quiet:
            _refuse(kind, probe.name, "`act` changes nothing: let `can_fire` be false where nothing can be changed")
        if state.delivered == 0 and not context.quiet:
            state.first_at, state.route = before, probe.site.route
        state.delivered += not context.quiet
    elif kind.phase == "before":
        passed = request
        if kind.rewrite is not None and state.delivered:
            with _calling(kind, probe.name, "rewrite"):
                passed = kind.rewrite(context)
            if not isinstance(passed, REQUESTS[kind.channel]):
                _refuse(kind, probe.name, f"`rewrite` must give a {REQUESTS[kind.channel].__name__}, not {passed!r}")
        given = probe.backend(world, passed)
    if request != probe.request or reply != true:
        _refuse(kind, probe.name, "it changes the request or the true reply in place: make a copy and change that")
    detail, memory = _plain(kind, probe, "detail", context.detail), _plain(kind, probe, "state.memory", state.memory)
    return _Step(probe.name, struck, given, detail, memory, world.clock.now)


def _due(kind: Kind, probe: KindProbe, context: FaultContext, request: Any, true: Any) -> bool:
    """Whether the kind fires at the request, and that finding it out changed nothing."""
    world, state = context.world, context.state
    asked: Callable[[FaultContext], bool] = kind.can_fire
    name = "can_fire"
    if state.delivered and kind.persists_while is not None:
        asked, name = kind.persists_while, "persists_while"
    rows, now = world.db.total_changes, world.clock.now
    with _calling(kind, probe.name, name):
        found = asked(context)
    if type(found) is not bool:
        _refuse(kind, probe.name, f"`{name}` must give a truth value, not {found!r}")
    if world.db.total_changes != rows or world.clock.now != now:
        _refuse(kind, probe.name, f"`{name}` changes the world or its clock: only `act` may")
    if request != probe.request or context.reply != true:
        _refuse(kind, probe.name, f"`{name}` changes the request or the reply: it may only look")
    return found


def _check_reply(kind: Kind, probe: KindProbe, given: Any) -> None:
    wanted = REPLIES[kind.channel]
    if not isinstance(given, wanted):
        _refuse(kind, probe.name, f"`act` must give a {wanted.__name__}, not {given!r}")


def _plain(kind: Kind, probe: KindProbe, what: str, value: Any) -> bytes:
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except TypeError as error:
        raise KindError(f"fault kind {kind.name!r} at {probe.name}: `{what}` must be JSON: {error}") from None
