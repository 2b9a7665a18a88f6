"""Shape and meaning: 200 and valid JSON, but not what was documented, or not what is true.

All of them stay on their route: the same call again shows the same. Those that change the shape can
be read with care (REPAIR of one's own reading); those that change the meaning show in a sign, or only
in a second source (VERIFY). `detail["changes"]` lists what was changed: record, field, true, shown.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson

from faultgym.core.hashing import stable_hash
from faultgym.core.json import JSON
from faultgym.tools.exchange import HttpRequest, HttpResponse
from faultgym.tools.faults.kinds import earlier
from faultgym.tools.faults.payload import (
    AIM,
    STALE_HEADERS,
    earlier_values,
    http_reply,
    http_request,
    is_cents,
    is_whole,
    json_reply,
    note_change,
    other_value,
    read_again,
    reads,
    records,
    telling,
    with_body,
)
from faultgym.tools.faults.registry import kind
from faultgym.tools.faults.types import REVISION, Contract, FaultContext, Site

Change = Callable[[FaultContext, JSON], JSON | None]
"""Gives the body with the change, which it notes in `context.detail`; None where it cannot be made."""


def _listing_key(context: FaultContext) -> str:
    """What is asked for, whatever the page."""
    request = http_request(context)
    rest = sorted((k, v) for k, v in request.query.items() if k not in ("cursor", "limit"))
    return f"{request.path} {rest}"


def _shape(
    contract: Contract,
    *,
    visible: bool,
    same_thing: bool = False,
    headers: dict[str, str] | None = None,
    targets: Callable[[Site], bool] = reads,
    params: JSON | None = None,
    before: Change | None = None,
) -> Callable[[Change], Callable[[FaultContext], HttpResponse]]:
    """Make a kind of a change of the body.

    `same_thing`: it stays with what was first asked for. `before`: what its first revision did, for a kind in its
    second one, which gives a record that it shows the ETag of that record's version.
    """

    def wrap(change: Change) -> Callable[[FaultContext], HttpResponse]:
        act, can_fire, persists_while = _functions(change, same_thing, headers or {}, tagged=before is not None)
        act.__name__, act.__doc__ = change.__name__, change.__doc__
        revised: JSON = {}
        if before is not None:
            names = ("act", "can_fire", "persists_while")
            first = dict(zip(names, _functions(before, same_thing, headers or {}), strict=True))
            revised = {"earlier": {1: first}}
        declare = kind(
            "http",
            "after",
            contract,
            visible=visible,
            targets=targets,
            can_fire=can_fire,
            persists_while=persists_while,
            pinned=True,
            params={**(params or {}), **({REVISION: 2} if revised else {})},
            **revised,
        )
        return declare(act)

    return wrap


def _functions(
    change: Change, same_thing: bool, headers: dict[str, str], *, tagged: bool = False
) -> tuple[Callable[[FaultContext], HttpResponse], Callable[[FaultContext], bool], Callable[[FaultContext], bool]]:
    """What a kind with this change does, when it can, and how long."""

    def changed(context: FaultContext) -> JSON | None:
        body = json_reply(context)
        return None if body is None else change(context, body)

    def can_fire(context: FaultContext) -> bool:
        return changed(context) is not None

    def persists_while(context: FaultContext) -> bool:
        if same_thing and context.state.memory["asked"] != _listing_key(context):
            return False
        return can_fire(context)

    def act(context: FaultContext) -> HttpResponse:
        context.detail.clear()
        body = changed(context)
        assert body is not None
        context.state.memory.setdefault("asked", _listing_key(context))
        reply = http_reply(context)
        tag = {"etag": f'"{body["version"]}"'} if tagged and "etag" in reply.headers and "version" in body else {}
        return with_body(reply, body, **headers, **tag)

    return act, can_fire, persists_while


def _replaced(record: JSON, old: str, new: str, value: Any) -> JSON:
    """The record with one field under another name and value, in its place."""
    return {new if n == old else n: value if n == old else v for n, v in record.items()}


def _each(body: JSON, change: Callable[[JSON], JSON]) -> JSON:
    """The body with every record changed."""
    if isinstance(body.get("items"), list):
        return {**body, "items": [change(i) if isinstance(i, dict) else i for i in body["items"]]}
    return change(body)


# ---- another shape ---------------------------------------------------------------------------------


@_shape(Contract.REPAIR, visible=True, params=AIM)
def renamed_field(context: FaultContext, body: JSON) -> JSON | None:
    """A field has got another name that still contains the old one, such as `current_status`."""
    rows = records(body)
    names = telling(context, rows[0], lambda n, v: True) if rows else []
    if not names:
        return None
    old = names[context.pick(min(2, len(names)))]
    noun = context.site.tables[0].removesuffix("s")
    new = (f"current_{old}", f"{noun}_{old}", f"{old}_value")[context.pick(3, "name")]
    if new in rows[0]:
        return None
    context.detail["renamed"] = {old: new}

    def change(record: JSON) -> JSON:
        return _replaced(record, old, new, record[old]) if old in record else record

    return _each(body, change)


def _drifted(context: FaultContext, record: JSON) -> JSON:
    """Whole numbers as text; an amount in cents as the amount in its currency, the unit beside it."""
    shown: JSON = {}
    for name, value in record.items():
        if not is_whole(value) or name == "version":
            shown[name] = value
        elif is_cents(name, context.world.hints):
            short = name.removesuffix("_cents")
            short = name if short in record else short
            shown[short] = f"{value // 100}.{value % 100:02d}" if value >= 0 else str(value)
            shown["unit"] = record.get("currency", "EUR")
            note_change(context, record.get("id"), name, value, shown[short])
        else:
            shown[name] = str(value)
            note_change(context, record.get("id"), name, value, shown[name])
    return shown


@_shape(Contract.REPAIR, visible=True)
def type_drift(context: FaultContext, body: JSON) -> JSON | None:
    """Numbers come as text; `total_cents` 4150 comes as `total` "41.50" with `unit` "EUR"."""
    shown = _each(body, lambda record: _drifted(context, record))
    return shown if context.detail.get("changes") else None


@_shape(Contract.REPAIR, visible=True)
def nested_field(context: FaultContext, body: JSON) -> JSON | None:
    """The fields stand one level deeper, under `data` or `attributes`."""
    if not any("id" in record for record in records(body)):
        return None
    outer = ("data", "attributes")[context.pick(2)]
    context.detail["nested"] = outer

    def change(record: JSON) -> JSON:
        rest = {name: value for name, value in record.items() if name != "id"}
        return {"id": record["id"], outer: rest} if "id" in record else record

    return _each(body, change)


@_shape(Contract.REPAIR, visible=True, params=AIM)
def null_field(context: FaultContext, body: JSON) -> JSON | None:
    """A field that is needed is null on this route; another route or SQL has it."""
    hints = context.world.hints
    rows = records(body)
    aimed = context.fault.params.get("field") is not None

    def needed(name: str, value: Any) -> bool:
        return value is not None and (aimed or other_value(name, value, hints) is not None)

    names = telling(context, rows[0], needed) if rows else []
    if not names:
        return None
    name = names[context.pick(min(2, len(names)))]

    def change(record: JSON) -> JSON:
        if name not in record:
            return record
        note_change(context, record.get("id"), name, record[name], None)
        return {**record, name: None}

    return _each(body, change)


_NOISE = 6_000
"""Characters of noise: a body with it stays below what a tool shows."""


@_shape(Contract.REPAIR, visible=True)
def extra_noise(context: FaultContext, body: JSON) -> JSON | None:
    """Kilobytes of irrelevant fields stand before the real ones."""
    if len(http_reply(context).body) > _NOISE:
        return None
    spans = [
        {
            "span": f"{stable_hash(context.fault.id, n):016x}",
            "service": f"edge-{n % 7}",
            "took_us": stable_hash(n, "took") % 9000,
            "flags": ["sampled", "debug"],
        }
        for n in range(_NOISE // 90)
    ]
    context.detail["noise"] = len(orjson.dumps(spans))
    return {"_debug": {"build": "2026.02.27-4411", "trace": spans}, **body}


# ---- another meaning -------------------------------------------------------------------------------


@_shape(Contract.VERIFY, visible=False, same_thing=True, headers=STALE_HEADERS, params=AIM, before=earlier.stale_value)
def stale_value(context: FaultContext, body: JSON) -> JSON | None:
    """An old copy with its older values, version and ETag; the sign: the headers `age: 86400` and `warning: 110`."""
    hints, aim = context.world.hints, context.fault.params.get("field")
    older = [(record, earlier_values(record, hints, aim)) for record in records(body)]
    older = [(record, values) for record, values in older if values]
    if not older:
        return None
    record, values = older[context.pick(len(older))]
    for name, shown in values.items():
        if name == "version":
            context.detail["version"] = {"true": record[name], "shown": shown}
        else:
            note_change(context, record.get("id"), name, record[name], shown)
    record.update(values)
    return body


def _neighbour(context: FaultContext, body: JSON) -> JSON | None:
    """The body of another record of the same table that differs in a field that matters."""
    request, key = http_request(context), body.get("id")
    parts = request.path.split("/")
    if not isinstance(key, str) or not parts[-1] or parts[-1] not in (key, key.rpartition("-")[2]):
        return None
    hints, table = context.world.hints, context.site.tables[0]
    near = context.world.db.execute(
        f"SELECT id FROM {table} WHERE id <> ? ORDER BY id < ?, id LIMIT 8", (key, key)
    ).fetchall()
    for (other,) in near:
        path = "/".join([*parts[:-1], other])
        shown = read_again(context, HttpRequest("GET", path, query=request.query, headers=request.headers))
        if shown and any(shown.get(n) != v and other_value(n, v, hints) is not None for n, v in body.items()):
            return shown
    return None


def _other_record(context: FaultContext, body: JSON) -> JSON | None:
    shown = _neighbour(context, body)
    if shown is None:
        return None
    for name, value in body.items():
        if name in shown and shown[name] != value:
            note_change(context, body.get("id"), name, value, shown[name])
    return shown


@_shape(
    Contract.VERIFY,
    visible=False,
    same_thing=True,
    targets=lambda site: reads(site) and not site.listing,
    before=_other_record,
)
def wrong_entity(context: FaultContext, body: JSON) -> JSON | None:
    """The record of a neighbour; the sign: its id is not the one that was asked for."""
    return _other_record(context, body)


@_shape(Contract.VERIFY, visible=False)
def unit_swap(context: FaultContext, body: JSON) -> JSON | None:
    """Amounts in whole units of the currency under `_cents`; the sign: `amounts_in` names the currency."""

    def change(record: JSON) -> JSON:
        shown: JSON = {}
        swapped = False
        for name, value in record.items():
            shown[name] = value
            if is_whole(value) and value >= 100 and is_cents(name, context.world.hints):
                shown[name] = value // 100 if value % 100 == 0 else value / 100
                note_change(context, record.get("id"), name, value, shown[name])
                swapped = True
        return {**shown, "amounts_in": record.get("currency", "EUR")} if swapped else shown

    shown = _each(body, change)
    return shown if context.detail.get("changes") else None


def _with_true_total(context: FaultContext, body: JSON) -> JSON | None:
    """The page without some items, and with the total as it is."""
    items, total = body.get("items"), body.get("total")
    if not isinstance(items, list) or not is_whole(total):
        return None
    if "cursor" in http_request(context).query and context.state.delivered:
        lost = context.state.memory["lost"]
    elif len(items) < 2:
        return None
    else:
        at = context.pick(len(items))
        lost = [item.get("id") for item in (items[at : at + 1] if len(items) < 4 else [items[at], items[at - 1]])]
        context.state.memory["lost"] = lost
    context.detail["missing"] = lost
    return {**body, "items": [item for item in items if item.get("id") not in lost]}


def _with_less_total(context: FaultContext, body: JSON) -> JSON | None:
    shown = _with_true_total(context, body)
    return shown and {**shown, "total": shown["total"] - len(context.detail["missing"])}


@_shape(
    Contract.VERIFY,
    visible=False,
    same_thing=True,
    targets=lambda site: reads(site) and site.listing,
    before=_with_less_total,
)
def missing_rows(context: FaultContext, body: JSON) -> JSON | None:
    """Some items are left out; the sign: `total` still counts them, and another source has them."""
    return _with_true_total(context, body)
