"""Questions that one or two reads of the records answer."""

from __future__ import annotations

import random
import sqlite3

from faultgym.envs.judging.answers import Atom
from faultgym.envs.judging.form import AnswerField
from faultgym.envs.judging.goal import Goal
from faultgym.envs.reference_agent.agent import ReferenceAgent
from faultgym.envs.reference_agent.client import ReferenceAnswer
from faultgym.envs.suite import Drawn, Script, Template
from faultgym.envs.suites.common import choose, euros, rows
from faultgym.envs.suites.orders.schema import STATUSES
from faultgym.envs.suites.orders.templates.drawing import distractors, shuffled

STATUS_PHRASINGS = (
    "What is the status of order {order_id}?",
    "A customer is on the phone about {order_id}. How far along is that order? Answer with its status.",
    "Please look up {order_id} and tell me the order's current status.",
    "In which status is order {order_id} at the moment?",
    "Order {order_id}: which status do our records give it?",
    "Someone wants to know where things stand with {order_id}. Name the status it has in our system.",
)


STATUS_FIELDS = (AnswerField("status", "enum", "The status of the order", values=STATUSES),)


def draw_status(db: sqlite3.Connection, rng: random.Random) -> Drawn:
    """An order of a status chosen first, so that rare ones come as often as frequent ones."""
    status = rng.choice(STATUSES)
    (order_id,) = choose(db, rng, "SELECT id FROM orders WHERE status = ? ORDER BY id", status)
    goal = Goal(expected=(Atom("text", status),), distractors=distractors("text", status, STATUSES))
    return Drawn({"order_id": order_id}, goal)


def solve_status(desk: ReferenceAgent) -> Script:
    """Read the order."""
    order_id = desk.p["order_id"]
    order = yield from desk.read("order", order_id, why=f"The status stands in order {order_id}: read it.")
    if order is None:
        return desk.absent("order", order_id)
    status = order["status"]
    return desk.answer(f"The status of order {order_id} is {status}.", status=status)


def draw_total(db: sqlite3.Connection, rng: random.Random) -> Drawn:
    """An order whose total differs from its neighbours'."""
    order_id, customer_id, total = choose(
        db, rng, "SELECT id, customer_id, total_cents FROM orders WHERE total_cents > 2000 ORDER BY id"
    )
    others = [t for (t,) in rows(db, "SELECT total_cents FROM orders WHERE customer_id = ?", customer_id)]
    parts = [u for (u,) in rows(db, "SELECT unit_cents FROM order_items WHERE order_id = ?", order_id)]
    beyond = [t for (t,) in rows(db, "SELECT total_cents FROM orders ORDER BY id LIMIT 4")]
    goal = Goal(
        expected=(Atom("money", str(total)),),
        distractors=distractors("money", total, [total * 100, *others, *parts, *beyond]),
    )
    return Drawn({"order_id": order_id}, goal)


def solve_total(desk: ReferenceAgent) -> Script:
    """Read the order."""
    order_id = desk.p["order_id"]
    order = yield from desk.read("order", order_id, why=f"The total stands in order {order_id}: read it.")
    if order is None:
        return desk.absent("order", order_id)
    cents = int(order["total_cents"])
    return desk.answer(f"The total of order {order_id} is {euros(cents)}.", total=cents / 100)


def draw_email(db: sqlite3.Connection, rng: random.Random) -> Drawn:
    """An order, and whose it is."""
    order_id, email = choose(
        db, rng, "SELECT o.id, c.email FROM orders o JOIN customers c ON c.id = o.customer_id ORDER BY o.id"
    )
    others = shuffled(rng, (e for (e,) in rows(db, "SELECT email FROM customers ORDER BY id")))
    goal = Goal(expected=(Atom("text", email),), distractors=distractors("text", email, others))
    return Drawn({"order_id": order_id}, goal)


def solve_email(desk: ReferenceAgent) -> Script:
    """From the order to its customer."""
    order_id = desk.p["order_id"]
    row = yield from desk.at_once(
        "SELECT c.email FROM orders o JOIN customers c ON c.id = o.customer_id WHERE o.id = '{order_id}'"
    )
    if row:
        return _email_is(desk, row["email"])
    order = yield from desk.read("order", order_id, why=f"Find out whose order {order_id} is.")
    if order is None:
        return desk.absent("order", order_id)
    customer_id = order["customer_id"]
    customer = yield from desk.read(
        "customer", customer_id, why=f"Order {order_id} belongs to {customer_id}: read that customer."
    )
    if customer is None:
        return desk.absent("customer", customer_id)
    return _email_is(desk, customer["email"])


def _email_is(desk: ReferenceAgent, email: str) -> ReferenceAnswer:
    return desk.answer(f"The e-mail address of the customer of order {desk.p['order_id']} is {email}.", email=email)


def draw_tracking(db: sqlite3.Connection, rng: random.Random) -> Drawn:
    """A parcel of a customer who has a parcel on the way."""
    order_id, tracking = choose(db, rng, "SELECT order_id, tracking FROM shipments ORDER BY id")
    others = shuffled(rng, (t for (t,) in rows(db, "SELECT tracking FROM shipments ORDER BY id")))
    goal = Goal(expected=(Atom("text", tracking),), distractors=distractors("text", tracking, others))
    return Drawn({"order_id": order_id}, goal)


def solve_tracking(desk: ReferenceAgent) -> Script:
    """Read the parcel of the order."""
    order_id = desk.p["order_id"]
    shipment = yield from desk.read("shipment", order_id, why=f"Read the parcel of order {order_id}.")
    if shipment is None:
        return desk.answer(f"There is no shipment for order {order_id} on record.", "not_found")
    tracking = shipment["tracking"]
    return desk.answer(f"The parcel of order {order_id} has the tracking number {tracking}.", tracking=tracking)


LOOKUPS = (
    Template(
        "order_status",
        "read an order's status",
        STATUS_PHRASINGS,
        draw_status,
        solve_status,
        answer=STATUS_FIELDS,
    ),
    Template(
        "order_total",
        "read an order's total",
        (
            "What is the total of order {order_id}? Answer in euros, such as 12.50 EUR.",
            "How much does order {order_id} come to in all? Give the amount in euros with two decimals.",
            "I am writing an invoice for {order_id}. Which total, in euros and cents, belongs on it?",
            "Please give me the total of order {order_id} in euros, for example 7.25 EUR.",
            "Accounting asks for the order total of {order_id}. State it in EUR with two decimals.",
            "{order_id}: what was the customer's order worth altogether? Reply in euros, like 8.90 EUR.",
        ),
        draw_total,
        solve_total,
        answer=(AnswerField("total", "money", "The total of the order", unit="EUR"),),
    ),
    Template(
        "customer_email",
        "from an order to its customer's e-mail address",
        (
            "Which e-mail address does the customer of order {order_id} have?",
            "We must write to whoever placed {order_id}. What is that customer's e-mail address?",
            "Find the customer behind order {order_id} and give me their e-mail address.",
            "To which e-mail address should a message about order {order_id} go? Use the customer's own.",
            "We owe the customer of order {order_id} a reply by e-mail. Look up their e-mail address.",
            "I only have the number {order_id}. How do I reach that order's customer by e-mail?",
        ),
        draw_email,
        solve_email,
        answer=(AnswerField("email", "text", "The e-mail address of the customer"),),
    ),
    Template(
        "order_tracking",
        "read the tracking number of an order's parcel",
        (
            "What is the tracking number of order {order_id}?",
            "The customer wants to follow the parcel of {order_id}. Which tracking number does it have?",
            "Give me the carrier's tracking number for order {order_id}.",
            "Under which tracking number was order {order_id} sent?",
            "Please find the parcel that belongs to {order_id} and tell me its tracking number.",
            "Someone asks how to track order {order_id}. Reply with the tracking number of its shipment.",
        ),
        draw_tracking,
        solve_tracking,
        answer=(AnswerField("tracking", "id", "The tracking number of the parcel"),),
    ),
)
"""Single reads and short hops."""
