"""Returns: whether a refund is due is the policy's to say, and the instruction never tells."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Generator, Mapping
from datetime import date, timedelta
from typing import Any

from faultgym.envs.judging.answers import Atom
from faultgym.envs.judging.form import AnswerField
from faultgym.envs.judging.goal import Goal
from faultgym.envs.reference_agent.agent import ReferenceAgent
from faultgym.envs.reference_agent.client import ReferenceAnswer, ReferenceStep
from faultgym.envs.suite import Drawn, Script, Template
from faultgym.envs.suites.common import euros, rows
from faultgym.envs.suites.orders.documents import FEE, RETURNS, TODAY, WINDOW, body_of, value
from faultgym.envs.suites.orders.templates.drawing import distractors
from faultgym.envs.suites.orders.templates.searches import ITEMS_SQL
from faultgym.envs.worlds.changes import insert

MARGIN = 3
"""Days between the end of a window and today, so that time spent waiting cannot decide a case."""

PHRASINGS = (
    "The customer of order {order_id} sends back one piece of {product_id}. Check our return policy. If the window is"
    " still open, refund what the policy allows for one piece (reason return) and tell me the amount in euros; if it"
    " is not, change nothing and tell me the last day on which it was.",
    "One {product_id} from {order_id} comes back. If the return policy still allows it today, make the refund for that"
    " piece with the reason return and state the amount in EUR. Otherwise refund nothing and name the date on which"
    " the return window ended.",
    "Please handle a return: order {order_id}, product {product_id}, one piece. Our return policy decides. Within the"
    " window: refund as it says, reason return, and give the amount in euros. After it: no refund; give the window's"
    " last day.",
    "A return request for {product_id} of order {order_id}, a single piece. Apply the return policy as of today: either"
    " refund (reason return) and report the amount in euros, or refuse, leave everything as it is and report the last"
    " day that would have been in time.",
    "Does the return policy still cover {order_id}? One piece of {product_id} was sent back. If yes, pay out the"
    " policy's refund under the reason return and answer with the sum in EUR; if no, touch nothing and answer with"
    " the final day of the window.",
    "Decide on the return of one {product_id} from {order_id} by our return policy. In time means a refund (reason"
    " return) and its amount in euros as your answer; too late means no refund and the deadline's date as your answer.",
)

RETURN_FIELDS = (
    AnswerField("amount", "money", "What was refunded, where the return is in time", unit="EUR", only="done"),
    AnswerField("last_day", "date", "The last day of the return window, where the return is too late"),
)
"""The same for every return: which of the two is filled in, the policy says."""

_DELIVERED = (
    "SELECT o.id, i.product_id, i.unit_cents, o.delivered_on, o.total_cents FROM orders o"
    " JOIN order_items i ON i.order_id = o.id WHERE o.status = 'delivered'"
    " AND (SELECT count(*) FROM order_items x WHERE x.order_id = o.id) + i.quantity > 2 ORDER BY o.id, i.product_id"
)


def cases(db: sqlite3.Connection, inside: bool) -> list[tuple[str, str, int, date]]:
    """All returns of a world that are clearly inside the window, or clearly past it.

    Two refunds of that amount must fit into what was paid, so that a refund made twice shows.

    Args:
        db: The world.
        inside: Whether the window is to be open; with `MARGIN` days to spare either way.

    Returns:
        Order, product, refund in cents, and the last day of the window.
    """
    body = body_of(db, RETURNS)
    window, fee = value(body, WINDOW), value(body, FEE)
    found = []
    for order_id, product_id, unit, delivered_on, total in rows(db, _DELIVERED):
        last = date.fromisoformat(delivered_on) + timedelta(days=window)
        left = (last - TODAY).days
        if 2 * (unit - fee) <= total and (left >= MARGIN if inside else left <= -MARGIN):
            found.append((order_id, product_id, unit - fee, last))
    return found


def refund_goal(order_id: str, cents: int) -> Goal:
    """The refund of a return, and its amount in the answer."""
    row = insert("refunds", order_id=order_id, payment_id="", amount_cents=cents, reason="return")
    return Goal((row,), (Atom("money", str(cents)),), distractors("money", cents, [cents * 100]))


def draw_due(db: sqlite3.Connection, rng: random.Random) -> Drawn:
    """A return inside the window."""
    order_id, product_id, cents, _ = rng.choice(cases(db, inside=True))
    return Drawn({"order_id": order_id, "product_id": product_id}, refund_goal(order_id, cents))


def draw_late(db: sqlite3.Connection, rng: random.Random) -> Drawn:
    """A return past the window: no change, and the day on which it ended."""
    order_id, product_id, _, last = rng.choice(cases(db, inside=False))
    window = value(body_of(db, RETURNS), WINDOW)
    others = [(last + timedelta(days=n - window)).isoformat() for n in (7, 10, 14, 15, 20, 30, 60, 90) if n != window]
    near = [(last + timedelta(days=n)).isoformat() for n in (1, -1)]
    goal = Goal(
        expected=(Atom("date", last.isoformat(), field="last_day"),),
        distractors=distractors("date", last.isoformat(), [*near, *others]),
        outcome="refused",
    )
    return Drawn({"order_id": order_id, "product_id": product_id}, goal)


def return_statement(which: str) -> str:
    """One statement for all that decides about the return of one piece.

    Args:
        which: A condition on `o`, the order.
    """
    return (
        "SELECT o.id, o.delivered_on, i.unit_cents, d.body FROM orders o JOIN order_items i ON i.order_id = o.id"
        f" JOIN documents d ON d.title = '{RETURNS}' WHERE i.product_id = '{{product_id}}'"
        f" AND o.status = 'delivered' AND {which}"
    )


def solve_return(desk: ReferenceAgent) -> Script:
    """Order, its lines, the policy; then the refund or the refusal."""
    row = yield from desk.at_once(return_statement("o.id = '{order_id}'"))
    if row:
        return (yield from decide(desk, row, row["body"]))
    return (yield from handle_return(desk, desk.p["order_id"], desk.p["product_id"]))


def handle_return(
    desk: ReferenceAgent, order_id: str, product_id: str
) -> Generator[ReferenceStep, str, ReferenceAnswer]:
    """Decide about the return of one piece by the policy, and do it.

    Args:
        desk: The reference agent, which makes the calls.
        order_id: The order.
        product_id: The product that comes back.

    Returns:
        The answer: the refund, or why there is none.
    """
    order = yield from desk.read("order", order_id, why=f"Find out when {order_id} was delivered.")
    if order is None:
        return desk.absent("order", order_id)
    if not order["delivered_on"]:
        return desk.answer(f"Nothing was refunded: order {order_id} has not been delivered.", "refused")
    body = yield from desk.document(
        "return policy window fee",
        title=RETURNS,
        why=f"It was delivered on {order['delivered_on']}: see what the return policy says.",
    )
    if body is None:
        return desk.answer("There is no document with the return policy, so I refunded nothing.", "not_found")
    return (yield from decide(desk, {**order, "id": order_id}, body))


def decide(desk: ReferenceAgent, order: Mapping[str, Any], body: str) -> Generator[ReferenceStep, str, ReferenceAnswer]:
    """Refund the piece or refuse to.

    Args:
        desk: The reference agent, which makes the calls.
        order: The order, with `unit_cents`, the price paid for the piece, where that has been read.
        body: The return policy.

    Returns:
        The answer: the refund, or why there is none.
    """
    order_id, product_id, paid = order["id"], desk.p["product_id"], order.get("unit_cents")
    last = date.fromisoformat(order["delivered_on"]) + timedelta(days=value(body, WINDOW))
    if last < TODAY:
        return desk.answer(
            f"Order {order_id} is past the return window, which ended on {last.isoformat()}: no refund was made.",
            "refused",
            last_day=last.isoformat(),
        )
    if paid is None:
        lines = yield from desk.list(
            "list_order_items",
            {"order_id": order_id},
            ITEMS_SQL,
            why=f"The window is open until {last.isoformat()}: see what was paid for {product_id}.",
        )
        paid = next((int(line["unit_cents"]) for line in lines if line["product_id"] == product_id), None)
    if paid is None:
        return desk.answer(f"Nothing was refunded: there is no {product_id} in order {order_id}.", "not_found")
    cents = paid - value(body, FEE)
    yield from desk.write(
        "create_refund",
        order_id=order_id,
        amount_cents=cents,
        reason="return",
        why=f"{euros(paid)} less the fee of {euros(value(body, FEE))} is {euros(cents)}: refund that.",
    )
    return desk.answer(f"The refund for {product_id} of order {order_id} is {euros(cents)}.", amount=cents / 100)


RETURNS_TEMPLATES = (
    Template(
        "refund_return",
        "refund a return within the policy",
        PHRASINGS,
        draw_due,
        solve_return,
        answer=RETURN_FIELDS,
    ),
    Template(
        "refuse_return",
        "refuse a return after the window",
        PHRASINGS,
        draw_late,
        solve_return,
        answer=RETURN_FIELDS,
    ),
)
"""The same words for both: only the records and the policy tell them apart."""
