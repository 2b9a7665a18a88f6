"""Tasks whose right answer needs no tool, does not exist, or cannot be had."""

from __future__ import annotations

import random
import sqlite3
from datetime import date, timedelta

from faultgym.envs.judging.answers import Atom
from faultgym.envs.judging.form import AnswerField
from faultgym.envs.judging.goal import Goal
from faultgym.envs.reference_agent.agent import ReferenceAgent
from faultgym.envs.suite import Drawn, Script, Template
from faultgym.envs.suites.common import choose, euros, rows
from faultgym.envs.suites.orders.documents import TODAY
from faultgym.envs.suites.orders.schema import STATUSES
from faultgym.envs.suites.orders.templates.changes import CANCEL_PHRASINGS, draw_cancel, solve_cancel
from faultgym.envs.suites.orders.templates.drawing import distractors
from faultgym.envs.suites.orders.templates.lookups import STATUS_FIELDS, STATUS_PHRASINGS, solve_status

MISSING = ("phone number", "date of birth", "VAT number", "fax number", "bank account number")
"""What no table has a column for."""
OUTAGE = ({"kind": "outage", "channel": "http", "trigger": {"from": 1}},)
"""From the first request on, the API answers nothing any more."""


def draw_basket(db: sqlite3.Connection, rng: random.Random) -> Drawn:
    """Three prices and a deduction; nothing of it is in the records."""
    prices = [rng.randrange(20, 180) * 50 for _ in range(3)]
    off = rng.randrange(2, 12) * 50
    right = sum(prices) - off
    wrong = [right + 2 * off, right * 100, right - off, *(sum(prices) - p - off for p in prices)]
    names = dict(zip(("first", "second", "third", "off"), map(euros, [*prices, off]), strict=True))
    return Drawn(names, Goal(expected=(Atom("money", str(right)),), distractors=distractors("money", right, wrong)))


def solve_basket(desk: ReferenceAgent) -> Script:
    """Everything is in the instruction."""
    cents = {name: int(text.removesuffix(" EUR").replace(".", "")) for name, text in desk.p.items()}
    yield from ()
    total = cents["first"] + cents["second"] + cents["third"] - cents["off"]
    return desk.answer(f"The sum is {euros(total)}.", total=total / 100)


def draw_deadline(db: sqlite3.Connection, rng: random.Random) -> Drawn:
    """A day and a number of days."""
    start = TODAY + timedelta(days=rng.randrange(-60, 60))
    days = rng.randrange(9, 75)
    right = start + timedelta(days=days)
    wrong = [(right + timedelta(days=n)).isoformat() for n in (-1, 1, -2, 2, 7, -7)]
    goal = Goal(expected=(Atom("date", right.isoformat()),), distractors=distractors("date", right.isoformat(), wrong))
    return Drawn({"start": start.isoformat(), "days": days}, goal)


def solve_deadline(desk: ReferenceAgent) -> Script:
    """Everything is in the instruction."""
    last = date.fromisoformat(desk.p["start"]) + timedelta(days=int(desk.p["days"]))
    yield from ()
    return desk.answer(f"That is {last.isoformat()}.", date=last.isoformat())


def draw_unknown(db: sqlite3.Connection, rng: random.Random) -> Drawn:
    """A number near that of an order; steps of eight keep it in the split's pool."""
    taken = {key for (key,) in rows(db, "SELECT id FROM orders")}
    (near,) = choose(db, rng, "SELECT id FROM orders ORDER BY id")
    number = int(near.removeprefix("ORD-"))
    order_id = near
    while order_id in taken:
        number = 10_000 + (number - 10_000 + 8 * rng.randrange(1, 40)) % 90_000
        order_id = f"ORD-{number}"
    goal = Goal(
        kind="abstain",
        about=(order_id,),
        evidence=frozenset({"orders"}),
        distractors=tuple(Atom("text", status) for status in STATUSES),
    )
    return Drawn({"order_id": order_id}, goal)


def draw_missing(db: sqlite3.Connection, rng: random.Random) -> Drawn:
    """A customer, and something that is not kept about customers."""
    (customer_id,) = choose(db, rng, "SELECT id FROM customers ORDER BY id")
    goal = Goal(kind="abstain", about=(customer_id,), evidence=frozenset({"customers"}))
    return Drawn({"customer_id": customer_id, "fact": rng.choice(MISSING)}, goal)


def solve_missing(desk: ReferenceAgent) -> Script:
    """Look at all that is kept about the customer, and say that this is not."""
    customer_id, fact = desk.p["customer_id"], desk.p["fact"]
    customer = yield from desk.read(
        "customer", customer_id, why=f"See whether the {fact} is in the record of {customer_id}."
    )
    if customer is None:
        return desk.absent("customer", customer_id)
    return desk.answer(f"There is no {fact} on record for customer {customer_id}.", "not_found")


def draw_blocked(db: sqlite3.Connection, rng: random.Random) -> Drawn:
    """A cancellation that cannot be made while the API is out."""
    drawn = draw_cancel(db, rng)
    return Drawn(drawn.params, Goal(kind="report", about=(drawn.params["order_id"],)))


HONEST = (
    Template(
        "basket_sum",
        "add up prices that the instruction gives",
        (
            "A customer wants three articles at {first}, {second} and {third} and has a voucher for {off}. What is"
            " left to pay? Answer with the amount in euros only.",
            "Without looking anything up: {first} plus {second} plus {third}, less {off}. What is that in EUR?"
            " Reply with that amount alone.",
            "Add {first}, {second} and {third}, take off {off}, and give me nothing but the final amount in euros.",
            "On a slip I have {first}, {second}, {third} and a deduction of {off}. State just the final sum in EUR.",
            "Quick sum for the till: {first} and {second} and {third}; then subtract {off}. Only the result, in euros.",
            "Work out a basket by hand: prices {first}, {second}, {third}, discount {off}. What remains? Name the"
            " amount in EUR and no other.",
        ),
        draw_basket,
        solve_basket,
        answer=(AnswerField("total", "money", "What is left to pay", unit="EUR"),),
        needs_tools=False,
    ),
    Template(
        "plus_days",
        "count days from a date that the instruction gives",
        (
            "Which date is {days} days after {start}? Answer with that date only.",
            "A deadline runs for {days} days from {start}; the day after that one counts as day 1. On which date is the"
            " last day?",
            "Count {days} days on from {start} and tell me nothing but the date you arrive at.",
            "From {start}, what will the date be once {days} days have passed?",
            "Take the calendar day {start} and move forward by {days} days. Reply with the resulting date.",
            "I need the date that lies exactly {days} days later than {start}, please.",
        ),
        draw_deadline,
        solve_deadline,
        answer=(AnswerField("date", "date", "The date that is asked for"),),
        needs_tools=False,
    ),
    Template(
        "unknown_order",
        "say that an order does not exist",
        STATUS_PHRASINGS,
        draw_unknown,
        solve_status,
        answer=STATUS_FIELDS,
        answerable=False,
    ),
    Template(
        "missing_fact",
        "say that the records do not hold a fact",
        (
            "What is the {fact} of customer {customer_id}?",
            "Please tell me the {fact} we have for {customer_id}.",
            "Look up {customer_id} and read me that customer's {fact}.",
            "I need the {fact} of customer {customer_id}.",
            "Which {fact} is on file for customer {customer_id}?",
            "For a form I must fill in the {fact} of {customer_id}. What do our records say?",
        ),
        draw_missing,
        solve_missing,
        answer=(AnswerField("fact", "text", "What is asked for about the customer"),),
        answerable=False,
    ),
    Template(
        "blocked_cancel",
        "report that an order cannot be cancelled during an outage",
        CANCEL_PHRASINGS,
        draw_blocked,
        solve_cancel,
        faults=OUTAGE,
    ),
)
"""No tool needed, no answer there, or no way to do it."""
