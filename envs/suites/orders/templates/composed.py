"""Combinations of the other templates, kept for the split that holds unseen compositions."""

from __future__ import annotations

import random
import sqlite3

from faultgym.envs.judging.answers import Atom
from faultgym.envs.judging.form import AnswerField
from faultgym.envs.judging.goal import Goal
from faultgym.envs.reference_agent.agent import ReferenceAgent
from faultgym.envs.suite import Drawn, Script, Template
from faultgym.envs.suites.common import rows
from faultgym.envs.suites.orders.schema import CANCEL_REASONS, CHANNELS, OPEN
from faultgym.envs.suites.orders.templates.changes import OPEN_SQL, change_address, draw_address
from faultgym.envs.suites.orders.templates.drawing import distractors
from faultgym.envs.suites.orders.templates.returns import (
    RETURN_FIELDS,
    cases,
    decide,
    handle_return,
    refund_goal,
    return_statement,
)
from faultgym.envs.suites.orders.templates.searches import ORDERS_SQL, customer_of, latest_order
from faultgym.envs.suites.orders.templates.statements import AUTHOR, NOTE_TEXTS, insert_note
from faultgym.envs.worlds.changes import insert, update


def draw_cancel_all(db: sqlite3.Connection, rng: random.Random) -> Drawn:
    """A customer with at least two orders that can be cancelled."""
    owners = rows(
        db,
        "SELECT c.id, c.email FROM customers c JOIN orders o ON o.customer_id = c.id"
        f" WHERE {OPEN_SQL} GROUP BY c.id HAVING count(*) BETWEEN 2 AND 4 ORDER BY c.id",
    )
    customer_id, email = rng.choice(owners)
    reason = rng.choice(CANCEL_REASONS)
    orders = rows(db, "SELECT id, status FROM orders WHERE customer_id = ? ORDER BY id", customer_id)
    wanted = [o for o, status in orders if status in OPEN]
    goal = Goal(
        tuple(update("orders", o, status="cancelled", cancel_reason=reason) for o in wanted),
        (Atom("number", str(len(wanted))),),
        distractors("number", len(wanted), [len(wanted) - 1, len(wanted) + 1]),
    )
    return Drawn({"email": email, "reason": reason}, goal)


def solve_cancel_all(desk: ReferenceAgent) -> Script:
    """Customer, orders, and each that is open."""
    email, reason = desk.p["email"], desk.p["reason"]
    orders = yield from desk.all_at_once(
        "SELECT o.id, o.status FROM orders o JOIN customers c ON c.id = o.customer_id WHERE c.email = '{email}'"
        " ORDER BY o.id"
    )
    if not orders:
        customer = yield from customer_of(desk, email)
        if customer is None:
            return desk.answer(f"There is no customer with the address {email}.", "not_found")
        why = f"That is {customer['id']}: list the orders."
        orders = yield from desk.list("list_orders", {"customer_id": customer["id"]}, ORDERS_SQL, why=why)
    wanted = [order["id"] for order in orders if order["status"] in OPEN]
    for n, order_id in enumerate(wanted, 1):
        yield from desk.write(
            "cancel_order", order_id=order_id, reason=reason, why=f"Open order {n} of {len(wanted)}: cancel it."
        )
    return desk.answer(f"I cancelled {len(wanted)} orders of {email}.", cancelled=len(wanted))


def draw_latest_return(db: sqlite3.Connection, rng: random.Random) -> Drawn:
    """A return inside the window from a customer's latest delivered order, named by e-mail address."""
    latest = dict(
        rows(
            db,
            "SELECT o.id, c.email FROM orders o JOIN customers c ON c.id = o.customer_id WHERE o.status = 'delivered'"
            " AND (SELECT count(*) FROM orders x WHERE x.customer_id = c.id AND x.status = 'delivered'"
            " AND x.placed_on >= o.placed_on) = 1",
        )
    )
    order_id, product_id, cents, _ = rng.choice([c for c in cases(db, inside=True) if c[0] in latest])
    return Drawn({"email": latest[order_id], "product_id": product_id}, refund_goal(order_id, cents))


_LATEST = (
    "o.id = (SELECT x.id FROM orders x JOIN customers c ON c.id = x.customer_id WHERE c.email = '{email}'"
    " AND x.status = 'delivered' ORDER BY x.placed_on DESC LIMIT 1)"
)


def solve_latest_return(desk: ReferenceAgent) -> Script:
    """Find the order, then handle the return."""
    email = desk.p["email"]
    row = yield from desk.at_once(return_statement(_LATEST))
    if row:
        return (yield from decide(desk, row, row["body"]))
    order = yield from latest_order(desk, email, "delivered")
    if order is None:
        return desk.answer(f"There is no customer with a delivered order under {email}.", "not_found")
    return (yield from handle_return(desk, order["id"], desk.p["product_id"]))


def draw_address_note(db: sqlite3.Connection, rng: random.Random) -> Drawn:
    """A new address, and a note about it."""
    drawn = draw_address(db, rng)
    order_id, text, channel = drawn.params["order_id"], rng.choice(NOTE_TEXTS), rng.choice(CHANNELS)
    note = insert("order_notes", order_id=order_id, author=AUTHOR, text=text, channel=channel)
    goal = Goal((*drawn.goal.changes, note))
    return Drawn({**drawn.params, "text": text, "channel": channel}, goal)


def solve_address_note(desk: ReferenceAgent) -> Script:
    """The address through the API, the note in SQL."""
    order_id, address = desk.p["order_id"], desk.p["address"]
    if not (yield from change_address(desk)):
        return desk.absent("order", order_id)
    yield from insert_note(desk, order_id, desk.p["text"], desk.p["channel"], "The address is changed: add the note.")
    return desk.answer(f"Order {order_id} now goes to {address}, and the note is on it.", "done")


COMPOSED = (
    Template(
        "cancel_all_open",
        "from an e-mail address to every open order, and cancel each",
        (
            "Nothing that is still open for the customer with the e-mail address {email} is to go out. Cancel all"
            " their orders that are pending, paid or packed, reason {reason}, and tell me how many there were.",
            "Cancel every pending, paid or packed order of {email} with the reason {reason}. How many were cancelled?",
            "For {email}: whatever has not shipped yet (pending, paid, packed) is to be cancelled under {reason}."
            " Answer with the number of orders you cancelled.",
            "Clear the open orders of {email}, meaning those pending, paid or packed. The reason is {reason}. Report"
            " the count.",
            "No further order of {email} is to leave the warehouse. Cancel each of their pending, paid and packed"
            " orders, reason {reason}, then state how many there were.",
        ),
        draw_cancel_all,
        solve_cancel_all,
        answer=(AnswerField("cancelled", "integer", "How many orders were cancelled"),),
        composition=True,
    ),
    Template(
        "return_from_latest",
        "from an e-mail address to the latest delivered order, and refund by policy",
        (
            "{email} sends back one piece of {product_id} from their latest delivered order. If our return policy still"
            " allows it, refund what it says (reason return) and tell me the amount in euros; if not, change nothing.",
            "One {product_id} comes back from {email}; it was part of the delivered order they placed last. Apply the"
            " return policy, refund under the reason return if it is in time, and give the amount in EUR.",
            "Handle a return by e-mail address: {email}, most recently placed delivered order, one piece of"
            " {product_id}. Follow the return policy; reason return; answer with the refund in euros.",
            "The newest delivered order of {email} has {product_id} in it, and one piece was returned. Refund it by the"
            " policy (reason: return) and state how many euros that is.",
            "Look for the last order placed by {email} that was delivered. One {product_id} of it is back here: pay"
            " out what the return policy grants, reason return, and name the sum in EUR.",
        ),
        draw_latest_return,
        solve_latest_return,
        answer=RETURN_FIELDS,
        composition=True,
    ),
    Template(
        "address_and_note",
        "change an address through the API and note it in SQL",
        (
            "Send order {order_id} to another address, {address}, and add a note to it in the table order_notes: author"
            " desk, channel {channel}, text '{text}'.",
            "Two things for {order_id}. First, its new delivery address: {address}. Second, a row in order_notes"
            " with author desk, text '{text}' and channel {channel}.",
            "By {channel} the customer of {order_id} gave a new address: {address}. Change it, and insert '{text}' into"
            " order_notes with desk as the author.",
            "Order {order_id} is to go to {address}. Once that is changed, write '{text}' (author desk, channel"
            " {channel}) into order_notes for it.",
            "Please redirect {order_id} to {address} and log it: order_notes gets the text '{text}', author desk,"
            " channel {channel}.",
        ),
        draw_address_note,
        solve_address_note,
        sql_writes=True,
        composition=True,
    ),
)
"""Compositions."""
