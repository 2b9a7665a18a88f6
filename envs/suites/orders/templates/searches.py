"""Questions that the documents answer, alone or at the end of a chain of records."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Generator, Mapping
from typing import Any

from faultgym.envs.judging.answers import Atom, AtomKind
from faultgym.envs.judging.form import AnswerField, FieldKind
from faultgym.envs.judging.goal import Goal
from faultgym.envs.reference_agent.agent import ReferenceAgent
from faultgym.envs.reference_agent.client import ReferenceAnswer, ReferenceStep
from faultgym.envs.suite import Drawn, Script, Template
from faultgym.envs.suites.common import euros, rows
from faultgym.envs.suites.orders.documents import POLICIES, WARRANTY, body_of, closing_on_saturday, shop_title, value
from faultgym.envs.suites.orders.templates.drawing import distractors

Found = Generator[ReferenceStep, str, dict[str, Any] | None]

CUSTOMER_SQL = "SELECT id, name, email, city, address, tier FROM customers WHERE email = '{email}' ORDER BY id"
ORDERS_SQL = (
    "SELECT id, customer_id, status, total_cents, placed_on, delivered_on, address FROM orders"
    " WHERE customer_id = '{customer_id}' ORDER BY id"
)
ITEMS_SQL = (
    "SELECT id, order_id, product_id, quantity, unit_cents FROM order_items WHERE order_id = '{order_id}' ORDER BY id"
)


FIGURES: Mapping[str, FieldKind] = {"EUR": "money", "days": "duration", "months": "duration", "percent": "number"}
"""Of which kind a figure in a policy is, by its unit."""


def draw_policy(db: sqlite3.Connection, rng: random.Random) -> Drawn:
    """A line of a policy; its rivals are the other lines with the same unit."""
    policy = rng.choice(POLICIES)
    rule = rng.choice(policy.rules)
    right = value(body_of(db, policy.title), rule.label)
    others = [
        value(body_of(db, p.title), r.label) for p in POLICIES for r in p.rules if r.unit == rule.unit and r != rule
    ]
    rng.shuffle(others)
    kind: AtomKind = "money" if rule.unit == "EUR" else "number"
    unit = rule.unit if rule.unit in ("days", "months") else ""
    goal = Goal(expected=(Atom(kind, str(right), unit),), distractors=distractors(kind, right, others))
    form = (AnswerField("figure", FIGURES[rule.unit], "What the document says on this point", unit=rule.unit),)
    return Drawn({"title": policy.title, "fact": rule.label, "unit": rule.unit}, goal, form)


def solve_policy(desk: ReferenceAgent) -> Script:
    """Search, open, read the line."""
    title, fact, unit = desk.p["title"], desk.p["fact"], desk.p["unit"]
    body = yield from desk.document(f"{title} {fact}", title=title, why=f"Search for the {title}: {fact}.")
    if body is None:
        return desk.answer(f"There is no document with the title {title}.", "not_found")
    found = value(body, fact)
    return desk.answer(
        f"{fact}: {euros(found) if unit == 'EUR' else f'{found} {unit}'}, says the document {title!r}.",
        figure=found / 100 if unit == "EUR" else found,
    )


def draw_hours(db: sqlite3.Connection, rng: random.Random) -> Drawn:
    """A town with a shop whose Saturday is not like its weekdays."""
    bodies = dict(rows(db, "SELECT title, body FROM documents WHERE title LIKE 'Shop in %'"))
    cities = sorted(title.removeprefix("Shop in ").partition(":")[0] for title in bodies)
    city = rng.choice(cities)
    right = closing_on_saturday(bodies[shop_title(city)])
    others = [closing_on_saturday(bodies[shop_title(c)]) for c in cities]
    goal = Goal(expected=(Atom("text", right),), distractors=distractors("text", right, others))
    return Drawn({"city": city}, goal)


def solve_hours(desk: ReferenceAgent) -> Script:
    """Search, open, read the line."""
    city = desk.p["city"]
    body = yield from desk.document(
        f"shop in {city} opening hours", title=shop_title(city), why=f"Search for the shop in {city}."
    )
    if body is None:
        return desk.answer(f"There is no document about a shop in {city}.", "not_found")
    closing = closing_on_saturday(body)
    return desk.answer(f"The shop in {city} closes at {closing} on Saturdays.", closes=closing)


def draw_warranty(db: sqlite3.Connection, rng: random.Random) -> Drawn:
    """A customer whose latest order is the only one of its day and has one line."""
    found = rows(
        db,
        "SELECT c.email, p.category FROM customers c JOIN orders o ON o.customer_id = c.id"
        " JOIN order_items i ON i.order_id = o.id JOIN products p ON p.id = i.product_id"
        " WHERE (SELECT count(*) FROM orders x WHERE x.customer_id = c.id AND x.placed_on >= o.placed_on) = 1"
        " AND (SELECT count(*) FROM order_items x WHERE x.order_id = o.id) = 1 ORDER BY c.id",
    )
    email, category = rng.choice(found)
    body = body_of(db, WARRANTY)
    months = {r.label: value(body, r.label) for p in POLICIES if p.title == WARRANTY for r in p.rules}
    right = months[f"Warranty for {category}"]
    goal = Goal(
        expected=(Atom("number", str(right), "months"),), distractors=distractors("number", right, months.values())
    )
    return Drawn({"email": email}, goal)


_WARRANTY_SQL = (
    "SELECT p.category, d.body FROM customers c JOIN orders o ON o.customer_id = c.id"
    " JOIN order_items i ON i.order_id = o.id JOIN products p ON p.id = i.product_id"
    f" JOIN documents d ON d.title = '{WARRANTY}' WHERE c.email = '{{email}}' ORDER BY o.placed_on DESC LIMIT 1"
)


def solve_warranty(desk: ReferenceAgent) -> Script:
    """Customer, orders, line, product, document."""
    email = desk.p["email"]
    row = yield from desk.at_once(_WARRANTY_SQL)
    if row:
        return _warranty_is(desk, row["category"], row["body"])
    order = yield from latest_order(desk, email)
    if order is None:
        return desk.answer(f"There is no customer with an order under {email}.", "not_found")
    lines = yield from desk.list(
        "list_order_items",
        {"order_id": order["id"]},
        ITEMS_SQL,
        why=f"The latest order is {order['id']} of {order['placed_on']}: see what was in it.",
    )
    product_id = lines[0]["product_id"]
    product = yield from desk.read(
        "product", product_id, why=f"It was {product_id}: the category decides on the warranty."
    )
    if product is None:
        return desk.absent("product", product_id)
    body = yield from desk.document(
        "warranty months by category",
        title=WARRANTY,
        why=f"{product['name']} is in the category {product['category']}: look up its warranty.",
    )
    if body is None:
        return desk.answer("There is no document about the warranty.", "not_found")
    return _warranty_is(desk, product["category"], body)


def _warranty_is(desk: ReferenceAgent, category: str, body: str) -> ReferenceAnswer:
    months = value(body, f"Warranty for {category}")
    return desk.answer(f"The product of that order has a warranty of {months} months.", warranty=months)


def customer_of(desk: ReferenceAgent, email: str) -> Found:
    """The customer with this e-mail address; None when there is none."""
    people = yield from desk.list(
        "find_customers", {"email": email}, CUSTOMER_SQL, why=f"Find the customer with the address {email}."
    )
    return people[0] if people else None


def latest_order(desk: ReferenceAgent, email: str, status: str = "") -> Found:
    """The customer's newest order; None when there is none.

    Args:
        desk: The reference agent, which makes the calls.
        email: The customer's address.
        status: The status that the order must have; any by default.

    Returns:
        The order, with the columns of `ORDERS_SQL`.
    """
    customer = yield from customer_of(desk, email)
    if customer is None:
        return None
    customer_id = customer["id"]
    orders = yield from desk.list(
        "list_orders", {"customer_id": customer_id}, ORDERS_SQL, why=f"That is {customer_id}: list the orders."
    )
    fitting = [order for order in orders if not status or order["status"] == status]
    return max(fitting, key=lambda order: str(order["placed_on"]), default=None)


SEARCHES = (
    Template(
        "policy_fact",
        "find a number in a policy",
        (
            "What does our document '{title}' state for '{fact}', in {unit}?",
            "Please check the document called '{title}'. Which figure does it give for '{fact}', in {unit}?",
            "A customer asks about '{fact}'. Look it up in '{title}' and answer in {unit}.",
            "According to '{title}', what is the value of '{fact}'? State it in {unit}.",
            "I need one figure from '{title}': '{fact}', in {unit}.",
            "Find our document '{title}' and quote what it sets for '{fact}', expressed in {unit}.",
        ),
        draw_policy,
        solve_policy,
    ),
    Template(
        "shop_hours",
        "find a closing time in a notice",
        (
            "At what time does our shop in {city} close on Saturdays? Answer in the form 20:05.",
            "Until when can a customer visit the {city} shop on a Saturday? Use 24-hour time, like 09:15.",
            "Saturday closing time of the shop in {city}, please, written like 21:10.",
            "Someone wants to bring a return to our shop in {city} this Saturday. When does it close? (HH:MM)",
            "How late is our {city} shop open on Saturdays? Give the time as HH:MM.",
            "The store in {city}: when does it close on Saturdays? Reply like 08:25.",
        ),
        draw_hours,
        solve_hours,
        answer=(AnswerField("closes", "time", "When the shop closes on Saturdays"),),
    ),
    Template(
        "product_warranty",
        "from an e-mail address over the latest order and its product to the warranty",
        (
            "The customer with the e-mail address {email} asks about their latest order: how many months of"
            " warranty does the product in it have?",
            "For how many months is the product in the newest order of {email} under warranty by our policy?",
            "Look up what {email} ordered last. Our warranty policy depends on the category: how many months is it?",
            "{email} writes that the product from their most recent order has stopped working. How many months of"
            " warranty does it have?",
            "How long, in months, does our warranty cover what {email} bought in their last order?",
            "Take the last order placed under {email}, find its product's category, and tell me the months of"
            " warranty that the policy grants.",
        ),
        draw_warranty,
        solve_warranty,
        answer=(AnswerField("warranty", "duration", "How long the warranty runs", unit="months"),),
    ),
)
"""Searches and the multi-hop question that ends in one."""
