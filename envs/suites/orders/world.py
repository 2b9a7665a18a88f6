"""The shop's generator: customers, products, orders and all that hangs on them, from one stream of names."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from datetime import date, timedelta

from faultgym.envs.suites.orders.documents import TODAY, write_documents
from faultgym.envs.suites.orders.schema import CANCEL_REASONS, CATEGORIES, CHANNELS, TAGS, TIERS
from faultgym.envs.worlds.names import Names

CUSTOMERS, PRODUCTS_EACH, TOWNS = 40, 6, 8
COUNTS = (
    ("pending", 10), ("paid", 14), ("packed", 10), ("shipped", 14),
    ("delivered", 54), ("cancelled", 10), ("returned", 8),
)  # fmt: skip
"""How many orders of each status a world has, give or take `_SPREAD`."""
_SPREAD = 4
_NOUNS = {
    "kitchen": ("kettle", "pan", "grinder", "bowl", "knife", "scale"),
    "lighting": ("lamp", "lantern", "spotlight", "candle", "chandelier", "torch"),
    "garden": ("spade", "hose", "planter", "rake", "bench", "trellis"),
    "audio": ("speaker", "headset", "radio", "turntable", "microphone", "amplifier"),
    "luggage": ("suitcase", "rucksack", "satchel", "trunk", "holdall", "pouch"),
}
_STREETS = ("Street", "Road", "Lane", "Square")
_NOTES = (
    "customer asked for the delivery day", "left a message with a neighbour", "wants an invoice by post",
    "asked whether the colour is right", "confirmed the address", "no reply to the first call",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Dates:
    """The days of one order."""

    placed: date
    shipped: date | None
    delivered: date | None


class Builder:
    """Fills the tables of one world."""

    def __init__(self, db: sqlite3.Connection, names: Names):
        self.db = db
        self.names = names
        self.rng = names.rng
        self.cities = [names.word().capitalize() for _ in range(TOWNS)]
        self.streets = [f"{names.word().capitalize()} {_STREETS[n % 4]}" for n in range(24)]
        self.carriers = [names.word().capitalize() for _ in range(3)]
        self.addresses: dict[str, str] = {}
        self.prices: dict[str, int] = {}

    def insert(self, table: str, *values: object) -> None:
        """Add a row whose values stand in the order of the columns."""
        self.db.execute(f"INSERT INTO {table} VALUES ({', '.join('?' * len(values))})", values)

    def address(self, city: str) -> str:
        """A postal address in one line."""
        rng = self.rng
        return f"{rng.randrange(1, 180)} {rng.choice(self.streets)}, {rng.randrange(10000, 99999)} {city}"

    def customers(self) -> None:
        """Fill the table of customers, the same number for each town."""
        for n in range(CUSTOMERS):
            city = self.cities[n % TOWNS]
            key = self.names.identifier("CUS")
            self.addresses[key] = self.address(city)
            tier = self.rng.choices(TIERS, (5, 3, 2))[0]
            self.insert("customers", key, self.names.person(), self.names.email(), city, self.addresses[key], tier, 1)

    def products(self) -> None:
        """Fill the table of products; in each category the cheapest is out of stock, and prices differ."""
        rng = self.rng
        for category in CATEGORIES:
            prices = sorted(rng.sample(range(9, 240), PRODUCTS_EACH))
            for n, noun in enumerate(rng.sample(_NOUNS[category], PRODUCTS_EACH)):
                key = self.names.identifier("SKU")
                self.prices[key] = prices[n] * 100 + rng.choice((0, 50, 90, 95))
                stock = 0 if n == 0 or (n == 3 and rng.random() < 0.5) else rng.randrange(3, 60)
                name = f"{self.names.word().capitalize()} {noun}"
                self.insert("products", key, name, category, self.prices[key], stock, 1)

    def orders(self) -> None:
        """Fill the orders and everything that hangs on one."""
        rng = self.rng
        plan = [(status, n) for status, count in COUNTS for n in range(count + rng.randrange(-_SPREAD, _SPREAD + 1))]
        rng.shuffle(plan)
        customers = list(self.addresses)
        for position, (status, n) in enumerate(plan):
            customer = customers[position] if position < len(customers) else rng.choice(customers)
            self.order(customer, status, n)

    def order(self, customer: str, status: str, n: int) -> None:
        """One order: the `n`-th of its status, which decides how old it is."""
        rng, key = self.rng, self.names.identifier("ORD")
        dates = self.dates(status, n)
        items = self.items()
        total = sum(quantity * unit for _, quantity, unit in items)
        address = self.addresses[customer]
        reason = rng.choice(CANCEL_REASONS) if status == "cancelled" else ""
        delivered = dates.delivered.isoformat() if dates.delivered else None
        self.insert(
            "orders", key, customer, status, total, "EUR", dates.placed.isoformat(), delivered, address, reason, 1
        )
        for product, quantity, unit in items:
            self.insert("order_items", self.names.identifier("ITM"), key, product, quantity, unit)
        self.payments(key, status, n, total, dates.placed)
        if dates.shipped:
            tracking = f"{rng.choice('JKLMNP')}{rng.randrange(10**9, 10**10)}"
            shipment = self.names.identifier("SHP")
            self.insert("shipments", shipment, key, rng.choice(self.carriers), tracking, dates.shipped.isoformat())
        self.extras(key)

    def dates(self, status: str, n: int) -> _Dates:
        """Days that fit the status; a third of the deliveries is recent, a third is long ago."""
        rng = self.rng
        if status in ("delivered", "returned"):
            low, high = ((2, 11), (12, 45), (46, 100))[n % 3] if status == "delivered" else (30, 100)
            arrived = TODAY - timedelta(days=rng.randrange(low, high))
            left = arrived - timedelta(days=rng.randrange(1, 4))
            return _Dates(left - timedelta(days=rng.randrange(1, 4)), left, arrived)
        if status == "shipped":
            left = TODAY - timedelta(days=rng.randrange(1, 4))
            return _Dates(left - timedelta(days=rng.randrange(1, 4)), left, None)
        oldest = {"pending": 3, "paid": 5, "packed": 6, "cancelled": 60}[status]
        return _Dates(TODAY - timedelta(days=rng.randrange(oldest)), None, None)

    def items(self) -> list[tuple[str, int, int]]:
        """(product, quantity, price paid for one) of one order; some were bought at a discount."""
        rng = self.rng
        chosen = rng.sample(list(self.prices), rng.choices((1, 2, 3), (4, 4, 2))[0])
        return [
            (p, rng.choices((1, 2, 3), (5, 3, 2))[0], self.prices[p] * rng.choice((100, 100, 100, 90, 80)) // 100)
            for p in chosen
        ]

    def payments(self, order: str, status: str, n: int, total: int, placed: date) -> None:
        """Payments that add up to the total; every sixth paid one was charged twice, every ninth in parts."""
        state = {"pending": "pending", "cancelled": "refunded", "returned": "refunded"}.get(status, "captured")
        later = min(TODAY, placed + timedelta(days=self.rng.randrange(1, 3)))
        parts = [(total, placed)]
        if state == "captured" and later > placed and n % 6 == 1:
            parts = [(total, placed), (total, later)]
        elif state == "captured" and later > placed and n % 9 == 2:
            first = total * self.rng.randrange(20, 45) // 100
            parts = [(first, placed), (total - first, later)]
        self.rng.shuffle(parts)
        for amount, day in parts:
            payment = self.names.identifier("PAY")
            self.insert("payments", payment, order, amount, state, day.isoformat(), 1)
            if status == "returned":
                refund = self.names.identifier("RFD")
                back = (day + timedelta(days=20)).isoformat()
                self.insert("refunds", refund, order, payment, amount, "return", back)

    def extras(self, order: str) -> None:
        """Notes and tags, which many orders do not have."""
        rng = self.rng
        if rng.random() < 0.3:
            self.db.execute(
                "INSERT INTO order_notes (order_id, author, text, channel) VALUES (?, ?, ?, ?)",
                (order, self.names.word(), rng.choice(_NOTES), rng.choice(CHANNELS)),
            )
        for tag in rng.sample(TAGS, rng.choices((0, 1, 2), (5, 3, 2))[0]):
            self.insert("order_tags", order, tag)


def build(db: sqlite3.Connection, names: Names) -> None:
    """Fill the tables of a new world."""
    builder = Builder(db, names)
    builder.customers()
    builder.products()
    builder.orders()
    write_documents(db, names, builder.cities)
