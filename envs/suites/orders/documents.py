"""The shop's documents: policies with this world's own numbers, and others that look alike.

The numbers stand in the text and nowhere else. A line `Return window: 30 days ...` is a fact that
`fact` reads back; who draws a task and who solves it read the same line.
"""

from __future__ import annotations

import random
import re
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta

from faultgym.envs.suites.common import add_document, euros
from faultgym.envs.suites.orders.schema import CATEGORIES
from faultgym.envs.worlds.names import Names
from faultgym.envs.worlds.world import EPOCH

TODAY = EPOCH.date()
"""The day on which every episode begins."""


@dataclass(frozen=True, slots=True)
class PolicyRule:
    """One numbered line of a policy."""

    label: str
    """What stands before the colon."""
    unit: str
    """`days`, `months`, `EUR` or `percent`."""
    choices: tuple[int, ...]
    """Values a world may have; cents for EUR."""
    rest: str = ""
    """How the sentence goes on after the value."""


@dataclass(frozen=True, slots=True)
class PolicyDocument:
    """A policy: an introduction, its rules, and what else it says."""

    title: str
    opening: str
    rules: tuple[PolicyRule, ...]
    closing: str


RETURNS, WARRANTY = "Return policy", "Warranty policy"
WINDOW, FEE = "Return window", "Handling fee"
_MONTHS = (6, 9, 12, 15, 18, 24, 30, 36, 48, 60)

POLICIES = (
    PolicyDocument(
        RETURNS,
        "Goods can be sent back after delivery, used or not.",
        (
            PolicyRule(
                WINDOW, "days", (14, 18, 21, 25, 28, 30, 35, 40), "after the day of delivery; the last day counts"
            ),
            PolicyRule(FEE, "EUR", (195, 250, 295, 350, 395, 450), "for each return, taken off the refund"),
        ),
        "The refund is the price paid for the piece less the handling fee. No refund after the window.",
    ),
    PolicyDocument(
        WARRANTY,
        "Defects that were there at delivery are repaired or replaced free of charge.",
        tuple(PolicyRule(f"Warranty for {c}", "months", _MONTHS, "from delivery") for c in CATEGORIES),
        "Wear, drops and water are not covered. The order is the proof of purchase.",
    ),
    PolicyDocument(
        "Shipping policy",
        "Parcels leave on working days before 15:00.",
        (
            PolicyRule("Free shipping limit", "EUR", (3900, 4500, 5500, 6000, 7500, 8000), "and above"),
            PolicyRule("Standard shipping charge", "EUR", (390, 490, 550, 590, 690), "below the limit"),
            PolicyRule("Express surcharge", "EUR", (700, 790, 890, 990), "on top"),
        ),
        "Addresses can be changed until the parcel is handed to the carrier.",
    ),
    PolicyDocument(
        "Cancellation policy",
        "Orders that are pending, paid or packed can be cancelled without a charge.",
        (PolicyRule("Unpaid order limit", "days", (3, 5, 6, 8, 10), "until the order lapses"),),
        "Once shipped, the way back is a return.",
    ),
    PolicyDocument(
        "Exchange policy",
        "A piece can be exchanged for another one of the same category that is in stock.",
        (PolicyRule("Exchange window", "days", (20, 22, 26, 32, 38, 42), "after the day of delivery"),),
        "No price difference is charged or paid out.",
    ),
    PolicyDocument(
        "Payment policy",
        "Payment is by card, invoice or transfer.",
        (
            PolicyRule("Invoice term", "days", (7, 11, 12, 15, 16), "from the day of the order"),
            PolicyRule("Bank processing time of refunds", "days", (2, 4, 9, 13), "after we send it"),
        ),
        "If an order was charged twice in full, the later payment is the duplicate and is refunded.",
    ),
    PolicyDocument(
        "Loyalty programme",
        "Customers move up a tier by what they spent in a calendar year.",
        (
            PolicyRule("Silver threshold", "EUR", (20000, 25000, 30000, 35000), "a year"),
            PolicyRule("Gold threshold", "EUR", (60000, 70000, 80000, 95000), "a year"),
            PolicyRule("Gold discount", "percent", (3, 4, 6, 7, 8), "on every order"),
        ),
        "Tiers are reviewed each January.",
    ),
    PolicyDocument(
        "Gift card policy",
        "Gift cards are sent by e-mail and cannot be exchanged for money.",
        (
            PolicyRule("Gift card validity", "months", (10, 14, 20, 27, 33), "from purchase"),
            PolicyRule("Smallest gift card", "EUR", (1000, 1500, 2000, 2500), ""),
        ),
        "Several cards can be used on one order.",
    ),
    PolicyDocument(
        "Price promise",
        "We match the price of other shops for the same product.",
        (PolicyRule("Price promise period", "days", (17, 19, 23, 24, 27), "after the order"),),
        "Auctions and outlet sales are left out.",
    ),
    PolicyDocument(
        "Lost parcel policy",
        "A parcel without a new tracking event is looked for with the carrier.",
        (PolicyRule("Search starts after", "days", (29, 31, 33, 34), "without an event"),),
        "A replacement is sent once the carrier confirms the loss.",
    ),
)  # fmt: skip

_FAQ = (
    ("How do I find my order number?", "It starts with ORD and stands in the confirmation that we sent by e-mail."),
    ("Can I change my delivery address?", "Yes, as long as the order is pending, paid or packed. Ask the desk."),
    ("Who pays when something arrives broken?", "We do. Send a photo to the desk and keep the packaging."),
    ("What does the status packed mean?", "The goods are in a box and wait for the carrier. They can be stopped."),
    ("Was I charged twice?", "Some banks show a reservation and the charge for a while. The desk can check payments."),
    ("Can I return a gift?", "Yes. The return policy holds; the money goes to whoever paid."),
    ("How are warranty cases handled?", "Bring the piece to a shop or send it in. The warranty policy says how long."),
    ("Can I exchange instead of returning?", "Yes, within the same category and from stock. See the exchange policy."),
)
_MATERIALS = ("steel", "glass", "oak", "linen", "bamboo", "aluminium", "ceramic", "felt")
_CARE = ("wipe with a damp cloth", "rinse by hand", "keep dry", "clean with a soft brush")


def value(body: str, label: str) -> int:
    """The number on the line of a document that starts with `label`; cents where the number is an amount.

    Raises:
        ValueError: The document has no such line.
    """
    found = re.search(rf"^{re.escape(label)}: (\d+)(?:\.(\d\d) EUR)?\b", body, re.MULTILINE)
    if found is None:
        raise ValueError(f"the document has no line {label!r}")
    return int(found[1] + (found[2] or ""))


def body_of(db: sqlite3.Connection, title: str) -> str:
    """The body of the document with this title in a world; for drawing tasks."""
    row = db.execute("SELECT body FROM documents WHERE title = ?", (title,)).fetchone()
    return str(row[0])


def closing_on_saturday(body: str) -> str:
    """When a shop closes on Saturdays, by its document, as HH:MM; empty when the document does not say."""
    found = re.search(r"Saturday: \d\d:\d\d to (\d\d:\d\d)", body)
    return found[1] if found else ""


def shop_title(city: str) -> str:
    """The title of the document about the shop in a town."""
    return f"Shop in {city}: opening hours"


def write_documents(db: sqlite3.Connection, names: Names, cities: list[str]) -> None:
    """Fill the table of documents of a world whose products are already there."""
    rng = names.rng

    def add(title: str, kind: str, body: str) -> None:
        updated = (TODAY - timedelta(days=rng.randrange(5, 400))).isoformat()
        add_document(db, names.identifier("DOC"), title, kind, updated, body)

    for policy in POLICIES:
        add(policy.title, "policy", _policy_body(policy, rng))
    for question, answer in _FAQ:
        add(question, "faq", f"{question}\n{answer}")
    for name, category in db.execute("SELECT name, category FROM products ORDER BY id").fetchall()[::2]:
        add(f"Product sheet: {name}", "product", _sheet(name, category, rng))
    for city in cities[:6]:
        add(shop_title(city), "notice", _hours(city, rng))
    _notices(add, names, cities)


def _policy_body(policy: PolicyDocument, rng: random.Random) -> str:
    taken: set[int] = set()
    lines = []
    for rule in policy.rules:
        chosen = rng.choice([c for c in rule.choices if c not in taken])
        taken.add(chosen)
        text = euros(chosen) if rule.unit == "EUR" else f"{chosen} {rule.unit}"
        lines.append(f"{rule.label}: {text} {rule.rest}".rstrip() + ".")
    return "\n".join([policy.opening, *lines, policy.closing])


def _sheet(name: str, category: str, rng: random.Random) -> str:
    size = f"{rng.randrange(8, 60)} x {rng.randrange(8, 60)} cm"
    return (
        f"{name}, from our range for {category}.\nMaterial: {rng.choice(_MATERIALS)}. Size: {size}. "
        f"Weight: {rng.randrange(200, 6000)} g.\nCare: {rng.choice(_CARE)}."
    )


def _hours(city: str, rng: random.Random) -> str:
    opens, shuts, saturday = rng.randrange(8, 11), rng.randrange(18, 21), rng.randrange(13, 18)
    return (
        f"Our shop in {city} takes returns and repairs.\n"
        f"Monday to Friday: {opens:02d}:{rng.choice(('00', '15', '30'))} to {shuts}:{rng.choice(('00', '30'))}.\n"
        f"Saturday: {opens + 1:02d}:00 to {saturday}:{rng.choice(('00', '15', '30', '45'))}.\nClosed on Sundays."
    )


def _notices(add: Callable[[str, str, str], None], names: Names, cities: list[str]) -> None:
    rng = names.rng
    day = date(2026, 3, rng.randrange(9, 28)).isoformat()
    add(
        f"Notice: stocktaking in {cities[0]}",
        "notice",
        f"The warehouse in {cities[0]} counts its stock on {day}. Parcels from there leave one day later.",
    )
    carrier = names.word().capitalize()
    add(
        f"Notice: new carrier {carrier}",
        "notice",
        f"{carrier} carries parcels to {cities[1]} and {cities[2]}. Tracking numbers look as before.",
    )
    add(
        "Notice: desk hours in spring",
        "notice",
        f"The desk answers the phone until {rng.randrange(17, 21)}:00, by e-mail around the clock.",
    )
