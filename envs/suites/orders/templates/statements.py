"""Tasks that are done in SQL: sums and counts, and the notes and tags that the desk may write itself."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Generator

from faultgym.envs.judging.answers import Atom
from faultgym.envs.judging.form import AnswerField
from faultgym.envs.judging.goal import Goal
from faultgym.envs.reference_agent.agent import ReferenceAgent
from faultgym.envs.reference_agent.client import ReferenceAnswer, ReferenceStep, SourceFailed
from faultgym.envs.reference_agent.reading import pick
from faultgym.envs.suite import Drawn, Script, Template
from faultgym.envs.suites.common import choose, euros, rows
from faultgym.envs.suites.orders.schema import CHANNELS, tag_key
from faultgym.envs.suites.orders.templates.drawing import distractors
from faultgym.envs.worlds.changes import delete, insert

NOTE_TEXTS = (
    "customer will collect the parcel in person",
    "please ring twice at the side door",
    "invoice was sent again by post",
    "customer is away until next week",
    "colour was confirmed with the customer",
    "deliver to the neighbour if nobody is in",
    "customer asked to be called after six",
    "box was damaged but the contents are fine",
)
AUTHOR = "desk"


def draw_revenue(db: sqlite3.Connection, rng: random.Random) -> Drawn:
    """A day with several orders, a cancelled one among them where the world has such a day."""
    days = rows(
        db,
        "SELECT placed_on, sum(total_cents * (status <> 'cancelled')), sum(total_cents), max(total_cents)"
        " FROM orders GROUP BY placed_on HAVING sum(status <> 'cancelled') >= 2 ORDER BY placed_on",
    )
    mixed = [d for d in days if d[1] != d[2]]
    day, revenue, everything, largest = rng.choice(mixed or days)
    others = [amount for d in days if d[0] != day for amount in (d[1],)]
    rng.shuffle(others)
    goal = Goal(
        expected=(Atom("money", str(revenue)),),
        distractors=distractors("money", revenue, [everything, revenue * 100, largest, *others]),
    )
    return Drawn({"day": day}, goal)


def solve_revenue(desk: ReferenceAgent) -> Script:
    """One sum in SQL; without SQL, the sum of a listing."""
    day = desk.p["day"]
    try:
        found = yield from desk.sql(
            f"SELECT sum(total_cents) AS revenue FROM orders WHERE placed_on = '{day}' AND status <> 'cancelled'",
            why=f"Add up the orders of {day} that were not cancelled.",
        )
        cents = int(found[0]["revenue"] or 0)
    except SourceFailed as failure:
        orders = yield from desk.list(
            "list_orders", {"placed_on": day}, why=f"The database fails ({failure}): list the orders of {day} instead."
        )
        cents = sum(int(pick(o, "total_cents")) for o in orders if pick(o, "status") != "cancelled")
    return desk.answer(f"The orders placed on {day} come to {euros(cents)}.", revenue=cents / 100)


def draw_count(db: sqlite3.Connection, rng: random.Random) -> Drawn:
    """A town and a status that occur together at least twice."""
    counts = rows(
        db,
        "SELECT c.city, o.status, count(*) FROM orders o JOIN customers c ON c.id = o.customer_id"
        " GROUP BY c.city, o.status ORDER BY c.city, o.status",
    )
    city, status, count = rng.choice([c for c in counts if c[2] >= 2])
    of_city = [n for c, s, n in counts if c == city and s != status]
    everywhere = sum(n for _, s, n in counts if s == status)
    goal = Goal(
        expected=(Atom("number", str(count)),),
        distractors=distractors("number", count, [everywhere, count + 1, count - 1, *of_city]),
    )
    return Drawn({"city": city, "status": status}, goal)


def solve_count(desk: ReferenceAgent) -> Script:
    """One count in SQL over two tables; without SQL, two listings held against each other."""
    city, status = desk.p["city"], desk.p["status"]
    try:
        found = yield from desk.sql(
            "SELECT count(*) AS n FROM orders JOIN customers ON customers.id = orders.customer_id"
            f" WHERE customers.city = '{city}' AND orders.status = '{status}'",
            why=f"Count the {status} orders of customers from {city}.",
        )
        count = int(found[0]["n"])
    except SourceFailed as failure:
        people = yield from desk.list(
            "find_customers", {"city": city}, why=f"The database fails ({failure}): see who lives in {city}."
        )
        orders = yield from desk.list(
            "list_orders", {"status": status}, why=f"Of the {status} orders, find those of these {len(people)}."
        )
        owners = {person["id"] for person in people}
        count = sum(pick(order, "customer_id") in owners for order in orders)
    return desk.answer(f"Customers from {city} have {count} orders with the status {status}.", orders=count)


def draw_note(db: sqlite3.Connection, rng: random.Random) -> Drawn:
    """An order, a text that is not on it yet, and a channel."""
    (order_id,) = choose(db, rng, "SELECT id FROM orders ORDER BY id")
    text, channel = rng.choice(NOTE_TEXTS), rng.choice(CHANNELS)
    wanted = insert("order_notes", order_id=order_id, author=AUTHOR, text=text, channel=channel)
    return Drawn({"order_id": order_id, "text": text, "channel": channel}, Goal((wanted,)))


def note_statement(order_id: str, text: str, channel: str) -> str:
    """The INSERT of one note by the desk, as SQL; the texts are quoted as they are and must hold no quote."""
    return (
        "INSERT INTO order_notes (order_id, author, text, channel)"
        f" VALUES ('{order_id}', '{AUTHOR}', '{text}', '{channel}')"
    )


def insert_note(
    desk: ReferenceAgent, order_id: str, text: str, channel: str, why: str
) -> Generator[ReferenceStep, str, None]:
    """Add a note in SQL; without SQL, through the API, which signs with the same author.

    Args:
        desk: The reference agent, which makes the call.
        order_id: The order.
        text: The note.
        channel: Where the note comes from.
        why: The reason that the agent gives.
    """
    try:
        yield from desk.sql_write(note_statement(order_id, text, channel), why=why)
    except SourceFailed as failure:
        why = f"The database fails ({failure}): add the note through the API."
        yield from desk.write("add_note", order_id=order_id, text=text, channel=channel, why=why)


def solve_note(desk: ReferenceAgent) -> Script:
    """Make sure that the order exists, then insert."""
    order_id, text, channel = desk.p["order_id"], desk.p["text"], desk.p["channel"]
    order = yield from desk.make_sure("order", order_id, why=f"Make sure that order {order_id} exists.")
    if order is None:
        return desk.absent("order", order_id)
    yield from insert_note(desk, order_id, text, channel, f"Order {order_id} is there: add the note to it.")
    return desk.answer(f"The note is on order {order_id} now.", "done")


def draw_tag(db: sqlite3.Connection, rng: random.Random) -> Drawn:
    """A tag of one order, and another order without it."""
    from_order, tag = choose(db, rng, "SELECT order_id, tag FROM order_tags ORDER BY order_id, tag")
    (to_order,) = choose(
        db,
        rng,
        "SELECT id FROM orders WHERE id NOT IN (SELECT order_id FROM order_tags WHERE tag = ?) ORDER BY id",
        tag,
    )
    wanted = (delete("order_tags", tag_key(from_order, tag)), insert("order_tags", order_id=to_order, tag=tag))
    return Drawn({"tag": tag, "from_order": from_order, "to_order": to_order}, Goal(wanted))


def solve_tag(desk: ReferenceAgent) -> Script:
    """Look where the tag is, then put it on the one order and take it off the other."""
    tag, source, target = desk.p["tag"], desk.p["from_order"], desk.p["to_order"]
    if desk.brief():
        moved = yield from desk.sql_write(
            f"UPDATE order_tags SET order_id = '{target}' WHERE order_id = '{source}' AND tag = '{tag}'"
        )
        if moved:
            return _tag_moved(desk)
    where = f"order_id IN ('{source}', '{target}') AND tag = '{tag}'"
    look = f"SELECT order_id, tag FROM order_tags WHERE {where} ORDER BY order_id"
    found = yield from desk.sql(look, why=f"See which of the two orders has the tag {tag}.")
    has = {row["order_id"] for row in found}
    if source not in has:
        return desk.answer(f"Nothing was moved: there is no tag {tag} on order {source}.", "not_found")
    if target not in has:
        yield from desk.sql_write(
            f"INSERT INTO order_tags (order_id, tag) VALUES ('{target}', '{tag}')",
            why=f"Only {source} has it: first put the tag on {target}, so that it is never lost.",
        )
    yield from desk.sql_write(
        f"DELETE FROM order_tags WHERE order_id = '{source}' AND tag = '{tag}'",
        why=f"It is on {target} now: take it off {source}.",
    )
    return _tag_moved(desk)


def _tag_moved(desk: ReferenceAgent) -> ReferenceAnswer:
    tag, source, target = desk.p["tag"], desk.p["from_order"], desk.p["to_order"]
    return desk.answer(f"The tag {tag} is on order {target} now and no longer on {source}.", "done")


STATEMENTS = (
    Template(
        "day_revenue",
        "sum the orders of a day in SQL",
        (
            "What were the orders placed on {day} worth in all, cancelled ones left out? Answer in euros.",
            "Add up the totals of all orders from {day} that were not cancelled. Give the sum in EUR.",
            "For the daily sheet: the revenue of {day} by date of order, without cancelled orders, in euros.",
            "What do the orders that customers placed on {day} add up to? Leave out what was cancelled and answer like"
            " 8.40 EUR.",
            "Sum of the totals of all orders dated {day}, excluding the cancelled ones, please. In euros.",
            "Finance needs one figure: the value of all orders placed on {day} except cancelled ones, in EUR.",
        ),
        draw_revenue,
        solve_revenue,
        answer=(AnswerField("revenue", "money", "What the orders of the day come to", unit="EUR"),),
    ),
    Template(
        "city_count",
        "count orders over two tables in SQL",
        (
            "How many orders with the status {status} belong to customers from {city}?",
            "Count the {status} orders of customers who live in {city}. Answer with the number.",
            "Looking at customers from {city} only: how many of their orders have the status {status}?",
            "I need the number of {status} orders of customers in the town of {city}.",
            "For customers in {city}, tell me how many orders have the status {status} right now.",
            "{city}: how many orders of the customers who live there have the status {status}?",
        ),
        draw_count,
        solve_count,
        answer=(AnswerField("orders", "integer", "How many orders there are"),),
    ),
    Template(
        "write_note",
        "add a note to an order in SQL",
        (
            "Add a note to order {order_id}: author desk, channel {channel}, text '{text}'."
            " Insert it into the table order_notes.",
            "Please put this into order_notes for {order_id}, exactly as written: '{text}'."
            " The author is desk, the channel {channel}.",
            "A message came by {channel} about {order_id}. Store '{text}' in order_notes, with desk as its author.",
            "Write one row to order_notes: order {order_id}, author desk, text '{text}', channel {channel}.",
            "Order {order_id} needs the note '{text}' (author desk, channel {channel}) in the table order_notes.",
            "We heard something about {order_id} by {channel}. File it in order_notes under the author desk: '{text}'.",
        ),
        draw_note,
        solve_note,
        sql_writes=True,
    ),
    Template(
        "move_tag",
        "move a tag from one order to another in SQL, in two steps",
        (
            "Move the tag {tag} from order {from_order} to order {to_order} in the table order_tags.",
            "The tag {tag} was put on {from_order} by mistake; it belongs on {to_order}. Correct order_tags.",
            "In order_tags, take {tag} off {from_order} and put it on {to_order}.",
            "Order {to_order} should carry the tag {tag} instead of order {from_order}. Change order_tags.",
            "Please hand the tag {tag} over: {from_order} loses it, {to_order} gets it (table order_tags).",
            "Wrong order tagged: {tag} is on {from_order} but is meant for {to_order}. Fix it in order_tags.",
        ),
        draw_tag,
        solve_tag,
        tools=("sql", "search", "http", "wait"),
        sql_writes=True,
    ),
)
"""SQL reads and SQL writes."""
