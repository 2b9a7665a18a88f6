"""Changes that were approved: cancel, change an address, exchange, undo a double charge."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Generator, Mapping
from typing import Any

from faultgym.envs.judging.answers import Atom
from faultgym.envs.judging.form import AnswerField
from faultgym.envs.judging.goal import Goal
from faultgym.envs.reference_agent.agent import ReferenceAgent
from faultgym.envs.reference_agent.client import ReferenceStep
from faultgym.envs.suite import Drawn, Script, Template
from faultgym.envs.suites.common import choose, rows
from faultgym.envs.suites.orders.schema import CANCEL_REASONS
from faultgym.envs.worlds.changes import insert, update

PRODUCTS_SQL = "SELECT id, name, category, price_cents, stock FROM products WHERE category = '{category}' ORDER BY id"
PAYMENTS_SQL = (
    "SELECT id, order_id, amount_cents, status, charged_on FROM payments WHERE order_id = '{order_id}' ORDER BY id"
)
OPEN_SQL = "status IN ('pending', 'paid', 'packed')"

CANCEL_PHRASINGS = (
    "Cancel order {order_id} with the reason {reason}.",
    "Please cancel {order_id}. The reason to record is {reason}.",
    "Order {order_id} must not go out: cancel it and give {reason} as the reason.",
    "The cancellation of {order_id} is approved. Cancel the order, reason {reason}.",
    "Stop {order_id} before it ships by cancelling it; use the reason {reason}.",
    "Please set order {order_id} to cancelled, with the reason {reason}.",
)


def draw_cancel(db: sqlite3.Connection, rng: random.Random) -> Drawn:
    """An order that can still be cancelled."""
    (order_id,) = choose(db, rng, f"SELECT id FROM orders WHERE {OPEN_SQL} ORDER BY id")
    reason = rng.choice(CANCEL_REASONS)
    wanted = update("orders", order_id, status="cancelled", cancel_reason=reason)
    return Drawn({"order_id": order_id, "reason": reason}, Goal((wanted,)))


def solve_cancel(desk: ReferenceAgent) -> Script:
    """Look at the order first, then cancel it."""
    order_id, reason = desk.p["order_id"], desk.p["reason"]
    order = yield from desk.make_sure("order", order_id, why=f"See whether {order_id} can still be cancelled.")
    if order is None:
        return desk.absent("order", order_id)
    why = f"It is {order.get('status', 'to go')}: cancel it."
    yield from desk.write("cancel_order", order_id=order_id, reason=reason, why=why)
    return desk.answer(f"Order {order_id} is cancelled, with the reason {reason}.")


def draw_address(db: sqlite3.Connection, rng: random.Random) -> Drawn:
    """An order that has not left, and an address in another customer's street that nobody has."""
    order_id, old = choose(db, rng, f"SELECT id, address FROM orders WHERE {OPEN_SQL} ORDER BY id")
    (street,) = choose(db, rng, "SELECT address FROM customers WHERE address <> ? ORDER BY id", old)
    address = f"{rng.randrange(200, 400)} {street.partition(' ')[2]}"
    return Drawn({"order_id": order_id, "address": address}, Goal((update("orders", order_id, address=address),)))


def change_address(desk: ReferenceAgent) -> Generator[ReferenceStep, str, bool]:
    """Look at the order first, then change its address; whether there is such an order."""
    order_id, address = desk.p["order_id"], desk.p["address"]
    order = yield from desk.make_sure("order", order_id, why=f"See whether {order_id} is still here.")
    if order is None:
        return False
    why = f"It is {order.get('status', 'to go elsewhere')}: change the address."
    yield from desk.write("change_address", order_id=order_id, address=address, why=why)
    return True


def solve_address(desk: ReferenceAgent) -> Script:
    """Change the address."""
    if not (yield from change_address(desk)):
        return desk.absent("order", desk.p["order_id"])
    return desk.answer(f"Order {desk.p['order_id']} now goes to {desk.p['address']}.")


def draw_exchange(db: sqlite3.Connection, rng: random.Random) -> Drawn:
    """A delivered line of at least two pieces; one goes for the cheapest other product that is in stock."""
    order_id, product_id, category = choose(
        db,
        rng,
        "SELECT o.id, p.id, p.category FROM orders o JOIN order_items i ON i.order_id = o.id"
        " JOIN products p ON p.id = i.product_id WHERE o.status = 'delivered' AND i.quantity >= 2 ORDER BY o.id, p.id",
    )
    shelf = rows(
        db,
        "SELECT id, stock FROM products WHERE category = ? AND id <> ? AND stock > 0 ORDER BY price_cents, id",
        category,
        product_id,
    )
    target, stock = shelf[0]
    wanted = (
        insert("exchanges", order_id=order_id, from_product=product_id, to_product=target, quantity=1),
        update("products", target, stock=stock - 1),
    )
    goal = Goal(wanted, (Atom("id", target),), tuple(Atom("id", other) for other, _ in shelf[1:]))
    return Drawn({"order_id": order_id, "product_id": product_id}, goal)


_CHEAPEST_SQL = (
    "SELECT p.id FROM products own JOIN products p ON p.category = own.category AND p.id <> own.id"
    " WHERE own.id = '{product_id}' AND p.stock > 0 ORDER BY p.price_cents, p.id LIMIT 1"
)


def solve_exchange(desk: ReferenceAgent) -> Script:
    """Find the category, choose from its stock, exchange."""
    product_id = desk.p["product_id"]
    target = yield from desk.at_once(_CHEAPEST_SQL)
    if target:
        return (yield from _exchange(desk, target))
    product = yield from desk.read("product", product_id, why=f"Find out the category of {product_id}.")
    if product is None:
        return desk.absent("product", product_id)
    category = product["category"]
    listed = yield from desk.list(
        "list_products", {"category": category}, PRODUCTS_SQL, why=f"See what else there is in {category}."
    )
    shelf = [p for p in listed if p["stock"] > 0 and p["id"] != product_id]
    if not shelf:
        return desk.answer(
            f"Nothing was exchanged: there is no other product of the category {category} in stock.", "not_found"
        )
    return (yield from _exchange(desk, min(shelf, key=lambda p: int(p["price_cents"]))))


def _exchange(desk: ReferenceAgent, target: Mapping[str, Any]) -> Script:
    order_id, product_id = desk.p["order_id"], desk.p["product_id"]
    yield from desk.write(
        "create_exchange",
        order_id=order_id,
        from_product=product_id,
        to_product=target["id"],
        quantity=1,
        why=f"{target['id']} is the cheapest in stock: exchange one piece for it.",
    )
    return desk.answer(
        f"One piece of {product_id} from order {order_id} is exchanged for {target['id']}.", product=target["id"]
    )


def draw_double(db: sqlite3.Connection, rng: random.Random) -> Drawn:
    """An order with two captured payments of its full total."""
    order_id, total = choose(
        db,
        rng,
        "SELECT o.id, o.total_cents FROM orders o JOIN payments p ON p.order_id = o.id"
        " WHERE p.status = 'captured' AND p.amount_cents = o.total_cents"
        " GROUP BY o.id HAVING count(*) = 2 ORDER BY o.id",
    )
    (payment_id,) = rows(db, "SELECT id FROM payments WHERE order_id = ? ORDER BY charged_on DESC LIMIT 1", order_id)[0]
    wanted = (
        update("payments", payment_id, status="refunded"),
        insert("refunds", order_id=order_id, payment_id=payment_id, amount_cents=total, reason="double_charge"),
    )
    return Drawn({"order_id": order_id}, Goal(wanted, (Atom("id", payment_id),)))


_LATER_SQL = (
    "SELECT p.id, p.charged_on FROM payments p JOIN orders o ON o.id = p.order_id AND o.total_cents = p.amount_cents"
    " WHERE o.id = '{order_id}' AND p.status = 'captured' ORDER BY p.charged_on DESC LIMIT 1"
)


def solve_double(desk: ReferenceAgent) -> Script:
    """Read the total, find the payments of that amount, refund the later one."""
    order_id = desk.p["order_id"]
    later = yield from desk.at_once(_LATER_SQL)
    if later:
        return (yield from _refund(desk, later))
    order = yield from desk.read("order", order_id, why=f"Read what {order_id} should have cost.")
    if order is None:
        return desk.absent("order", order_id)
    payments = yield from desk.list(
        "list_payments",
        {"order_id": order_id},
        PAYMENTS_SQL,
        why=f"The total is {order['total_cents']} cents: see which payments there are.",
    )
    full = [p for p in payments if p["status"] == "captured" and p["amount_cents"] == order["total_cents"]]
    if len(full) < 2:
        return desk.answer(f"Nothing was refunded: order {order_id} was not charged twice.", "refused")
    return (yield from _refund(desk, max(full, key=lambda p: str(p["charged_on"]))))


def _refund(desk: ReferenceAgent, later: Mapping[str, Any]) -> Script:
    order_id = desk.p["order_id"]
    yield from desk.write(
        "refund_payment",
        payment_id=later["id"],
        reason="double_charge",
        why=f"{later['id']} of {later['charged_on']} is the later of the two: refund that one.",
    )
    return desk.answer(
        f"The double charge of order {order_id} was refunded: payment {later['id']}.", payment=later["id"]
    )


CHANGES = (
    Template("cancel_order", "cancel an open order", CANCEL_PHRASINGS, draw_cancel, solve_cancel),
    Template(
        "change_address",
        "send an open order elsewhere",
        (
            "Change the delivery address of order {order_id} to: {address}",
            "Order {order_id} should go to another place. The new address is {address}",
            "The customer of {order_id} has moved. Deliver the order to {address}",
            "Please correct the delivery address of {order_id}: {address}",
            "New delivery address for order {order_id}, exactly as written here: {address}",
            "Redirect {order_id}, which has not left yet, to this address: {address}",
        ),
        draw_address,
        solve_address,
    ),
    Template(
        "exchange_product",
        "exchange a piece for the cheapest one in stock",
        (
            "Exchange one piece of {product_id} from order {order_id} for the cheapest other product of the same"
            " category that is in stock. Tell me only which product it is.",
            "The customer of {order_id} wants to swap one {product_id}. Take the lowest-priced other product in stock"
            " from the same category, make the exchange, and answer with that product's id.",
            "Approved: one piece of {product_id} (order {order_id}) is exchanged for another product of its category,"
            " the cheapest in stock. Do it and name the product chosen.",
            "Please make an exchange on {order_id}: one {product_id} comes back, and the cheapest other product of"
            " that category in stock goes out to the customer. Reply with its id.",
            "One {product_id} of order {order_id} comes back. Send the cheapest other product of its category that is"
            " in stock in exchange, and say which id you chose.",
            "Arrange a swap for order {order_id}: a single {product_id} for the least expensive alternative in its"
            " category that we have in stock. Which product did you take?",
        ),
        draw_exchange,
        solve_exchange,
        answer=(AnswerField("product", "id", "The product that the customer gets", unit="SKU"),),
    ),
    Template(
        "double_charge",
        "find the second of two equal payments and refund it",
        (
            "Order {order_id} was charged twice in full. Refund the later of the two payments with the reason"
            " double_charge, and tell me that payment's id.",
            "The customer of {order_id} sees two charges for the full amount. Keep the first payment, refund the"
            " second one as double_charge, and answer with the id of the payment refunded.",
            "Please reconcile a double charge on {order_id}: give back exactly the later full payment (reason"
            " double_charge) and name it.",
            "Two payments were captured for order {order_id} where one was due. Refund the one charged later; the"
            " reason is double_charge. Which payment was it?",
            "Check the payments of {order_id}. The duplicate is the one charged last; refund it under double_charge and"
            " reply with its id.",
            "Our bank reports that {order_id} was paid twice. Undo the more recent of the two payments, reason"
            " double_charge, and tell me its id.",
        ),
        draw_double,
        solve_double,
        answer=(AnswerField("payment", "id", "The payment that was refunded", unit="PAY"),),
    ),
)
"""Writes through the API."""
