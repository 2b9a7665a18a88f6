"""What the kinds of several channels need to know of requests and JSON bodies. No kinds here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, TypeGuard

import orjson

from faultgym.core.json import JSON, canonical
from faultgym.tools.context import FieldHints
from faultgym.tools.declare import ANY_IDENTIFIER
from faultgym.tools.exchange import HttpRequest, HttpResponse
from faultgym.tools.faults.types import FaultContext, Site

STALE_HEADERS = {"age": "86400", "warning": '110 - "response is stale"'}
"""What a cache adds to a response that is too old (RFC 9111)."""


AIM = {"field": None}
"""The parameter of kinds that can be aimed at one field; without it they choose a telling one."""


def always(context: FaultContext) -> bool:
    """True, for kinds that never end."""
    return True


def routed(site: Site) -> bool:
    """Whether a site is one of the service's own routes; the token's too, for faults on the way of recovery."""
    return bool(site.route)


def reads(site: Site) -> bool:
    """Whether a site is a route that reads the suite's facts."""
    return bool(site.tables) and not site.write


def writes(site: Site) -> bool:
    """Whether a site is a route that changes the suite's facts."""
    return site.write


def http_request(context: FaultContext) -> HttpRequest:
    """The request, of a kind of the channel `http`.

    Raises:
        AssertionError: The kind is of another channel.
    """
    assert isinstance(context.request, HttpRequest)
    return context.request


def http_reply(context: FaultContext) -> HttpResponse:
    """The true response, of a kind of the channel `http` and the phase `after`.

    Raises:
        AssertionError: The kind is of another channel or phase.
    """
    assert isinstance(context.reply, HttpResponse)
    return context.reply


def request_body(request: HttpRequest) -> JSON:
    """The request's JSON object; empty when there is none."""
    try:
        body = orjson.loads(request.body or b"{}")
    except orjson.JSONDecodeError:
        return {}
    return body if isinstance(body, dict) else {}


def arguments(context: FaultContext) -> dict[str, Any]:
    """What the request says, by the operation's names: from path, query and body.

    Args:
        context: Of a kind of the channel `http`. The path's values win over the body's, the body's over the query's.
    """
    request = http_request(context)
    pattern, path = context.site.path.split("/"), request.path.split("/")
    named = {p[1:-1]: q for p, q in zip(pattern, path, strict=False) if p[:1] == "{"}
    return {**request.query, **request_body(request), **named}


def identifiers(values: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """The values that are an identifier with its prefix.

    Yields:
        (name, value), in the order of `values`.
    """
    for name, value in values.items():
        if isinstance(value, str) and ANY_IDENTIFIER.fullmatch(value):
            yield name, value


def canonical_text(value: Any) -> str:
    """The value's canonical JSON; empty for what is not JSON, which a model may send."""
    try:
        return canonical(value).decode()
    except TypeError:
        return ""


def json_reply(context: FaultContext) -> JSON | None:
    """The JSON object of a response 200; None for any other response or body."""
    reply = http_reply(context)
    if reply.status != 200 or reply.headers.get("content-type") != "application/json":
        return None
    try:
        body = orjson.loads(reply.body)
    except orjson.JSONDecodeError:
        return None
    return body if isinstance(body, dict) else None


def read_again(context: FaultContext, request: HttpRequest) -> JSON | None:
    """The body of the true reply to another reading request, or None when that is not a 200.

    Args:
        context: The request at which the fault fires.
        request: The other request; no fault and no event comes of it.
    """
    assert context.backend is not None
    reply: HttpResponse = context.backend(request)
    return orjson.loads(reply.body) if reply.status == 200 else None


def with_body(reply: HttpResponse, body: bytes | JSON, **headers: str) -> HttpResponse:
    """The response with another body.

    Args:
        reply: The true response; its status and headers are kept.
        body: Bytes, or an object to be written as JSON.
        headers: Headers to add or replace, their names with _ for -.
    """
    added = {name.replace("_", "-"): value for name, value in headers.items()}
    payload = body if isinstance(body, bytes) else orjson.dumps(body)
    return HttpResponse(reply.status, {**reply.headers, **added}, payload)


def note_change(context: FaultContext, record: Any, field: str, true: Any, shown: Any) -> None:
    """Note in the event's detail, for the scorer, what was shown of a record's field instead of its true value."""
    change = {"record": record, "field": field, "true": true, "shown": shown}
    context.detail.setdefault("changes", []).append(change)


def records(body: JSON) -> list[JSON]:
    """The items of a listing, or the one record that the body is."""
    items = body.get("items")
    if isinstance(items, list):
        return [item for item in items if isinstance(item, dict)]
    return [body]


def is_cents(name: str, hints: FieldHints) -> bool:
    """Whether a field holds an amount in cents: by the hints, or by a name that ends so."""
    return name in hints.money or name.endswith("_cents")


def is_whole(value: Any) -> TypeGuard[int]:
    """Whether a value is an integer, and not a truth value."""
    return isinstance(value, int) and not isinstance(value, bool)


def other_value(name: str, value: Any, hints: FieldHints) -> Any:
    """A plausible earlier value of a field.

    Args:
        name: The field.
        value: Its true value.
        hints: What the service's fields mean.

    Returns:
        For a field with choices the choice before (before the first, the second); for an amount an eighth less, in
        cents or as `{"amount": "41.50"}`; None for all else.

    Example:
        >>> other_value("total_cents", 4150, FieldHints())
        3632
    """
    choices = hints.choices.get(name, ())
    if isinstance(value, str) and value in choices and len(choices) > 1:
        at = choices.index(value)
        return choices[at - 1 if at else 1]
    return _less(name, value, hints)


def _less(name: str, value: Any, hints: FieldHints) -> Any:
    """An eighth less of an amount; None for what is none."""
    if is_whole(value) and value > 0 and is_cents(name, hints):
        return value - max(1, value // 8)
    if isinstance(value, dict) and isinstance(value.get("amount"), str):
        try:
            cents = int(Decimal(value["amount"]) * 100)
        except InvalidOperation:
            return None
        if cents > 0:
            cents -= max(1, cents // 8)
            return {**value, "amount": f"{cents // 100}.{cents % 100:02d}"}
    return None


def earlier_values(record: Mapping[str, Any], hints: FieldHints, field: str | None = None) -> dict[str, Any]:
    """What an older copy of a record had otherwise: the choice before, a lower price, what was not yet filled in.

    Args:
        record: The record, or a row by its columns.
        hints: What the fields mean; those that are fixed stay as they are.
        field: The only one that is to change, also if it is a fixed one; by default all that do change in life.

    Returns:
        Field -> its earlier value; with the version before where anything has changed.

    Example:
        >>> hints = FieldHints({"status": ("open", "paid")}, filled={"paid_on": ("status", frozenset({"paid"}), None)})
        >>> earlier_values({"status": "paid", "paid_on": "2026-02-01", "version": 3}, hints)
        {'status': 'open', 'paid_on': None, 'version': 2}
    """
    found: dict[str, Any] = {}
    for name, value in record.items():
        if field not in (None, name) or (field is None and not hints.fixed.isdisjoint((name, f"{name}_cents"))):
            continue
        shown = _earlier(name, value, hints)
        if shown is None and field is not None:
            shown = other_value(name, value, hints)
        if shown is not None:
            found[name] = shown
    for name, (along, filled, empty) in hints.filled.items():
        if along in found and found[along] not in filled and record.get(name, empty) != empty:
            found[name] = empty
    if found and is_whole(record.get("version")) and record["version"] > 0:
        found["version"] = record["version"] - 1
    return found


def _earlier(name: str, value: Any, hints: FieldHints) -> Any:
    choices = hints.choices.get(name, ())
    if not isinstance(value, str) or not choices:
        return _less(name, value, hints)
    at = choices.index(value) if value in choices else 0
    return hints.before.get(value, choices[at - 1] if at else "") or None


def telling(context: FaultContext, record: JSON, fits: Callable[[str, Any], bool]) -> list[str]:
    """Fields of a record that matter, most telling first: those with choices, then amounts, then the others.

    Identifiers, versions and what belongs to the page are left out. The rule's parameter `field`, where set, names the
    only candidate.

    Args:
        context: The request at which the fault may fire.
        record: The JSON object to choose from.
        fits: Whether the field (name, value) can be changed.
    """
    aim = context.fault.params.get("field")
    if aim is not None:
        return [aim] if aim in record and fits(aim, record[aim]) else []
    hints = context.world.hints
    left_out = {"id", "version", "items", "next_cursor", "total"} if "items" in record else {"id", "version"}
    names = [
        n
        for n, v in record.items()
        if n not in left_out and n not in hints.references and not n.endswith("_id") and fits(n, v)
    ]
    return sorted(names, key=lambda n: (n not in hints.choices, other_value(n, record[n], hints) is None))
