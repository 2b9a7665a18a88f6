"""The shop's tables, and who may see and change what."""

from __future__ import annotations

from faultgym.envs.suites.common import DOCUMENT_COLUMNS, DOCUMENTS_TABLE

STATUSES = ("pending", "paid", "packed", "shipped", "delivered", "cancelled", "returned")
OPEN = ("pending", "paid", "packed")
"""The statuses in which an order can still be cancelled or sent elsewhere."""
TIERS = ("standard", "silver", "gold")
CATEGORIES = ("kitchen", "lighting", "garden", "audio", "luggage")
CHANNELS = ("email", "phone", "chat")
CANCEL_REASONS = ("customer_request", "out_of_stock", "duplicate", "wrong_address")
TAGS = ("priority", "gift", "fragile", "callback", "inspect", "vip")

SCHEMA = (
    """
CREATE TABLE customers (id TEXT PRIMARY KEY, name TEXT NOT NULL, email TEXT NOT NULL, city TEXT NOT NULL,
    address TEXT NOT NULL, tier TEXT NOT NULL, version INTEGER NOT NULL DEFAULT 1) WITHOUT ROWID;
CREATE TABLE products (id TEXT PRIMARY KEY, name TEXT NOT NULL, category TEXT NOT NULL, price_cents INTEGER NOT NULL,
    stock INTEGER NOT NULL, version INTEGER NOT NULL DEFAULT 1) WITHOUT ROWID;
CREATE TABLE orders (id TEXT PRIMARY KEY, customer_id TEXT NOT NULL REFERENCES customers (id), status TEXT NOT NULL,
    total_cents INTEGER NOT NULL, currency TEXT NOT NULL, placed_on TEXT NOT NULL, delivered_on TEXT,
    address TEXT NOT NULL, cancel_reason TEXT NOT NULL, version INTEGER NOT NULL DEFAULT 1) WITHOUT ROWID;
CREATE TABLE order_items (id TEXT PRIMARY KEY, order_id TEXT NOT NULL REFERENCES orders (id),
    product_id TEXT NOT NULL REFERENCES products (id), quantity INTEGER NOT NULL,
    unit_cents INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE payments (id TEXT PRIMARY KEY, order_id TEXT NOT NULL REFERENCES orders (id),
    amount_cents INTEGER NOT NULL, status TEXT NOT NULL, charged_on TEXT NOT NULL,
    version INTEGER NOT NULL DEFAULT 1) WITHOUT ROWID;
CREATE TABLE refunds (id TEXT PRIMARY KEY, order_id TEXT NOT NULL REFERENCES orders (id), payment_id TEXT NOT NULL,
    amount_cents INTEGER NOT NULL, reason TEXT NOT NULL, created_on TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE shipments (id TEXT PRIMARY KEY, order_id TEXT NOT NULL REFERENCES orders (id), carrier TEXT NOT NULL,
    tracking TEXT NOT NULL, shipped_on TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE exchanges (id TEXT PRIMARY KEY, order_id TEXT NOT NULL REFERENCES orders (id),
    from_product TEXT NOT NULL, to_product TEXT NOT NULL, quantity INTEGER NOT NULL,
    created_on TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE order_notes (id INTEGER PRIMARY KEY, order_id TEXT NOT NULL REFERENCES orders (id),
    author TEXT NOT NULL, text TEXT NOT NULL, channel TEXT NOT NULL, created_at TEXT NOT NULL DEFAULT '');
CREATE TABLE order_tags (order_id TEXT NOT NULL REFERENCES orders (id), tag TEXT NOT NULL);
CREATE TABLE order_events (id INTEGER PRIMARY KEY, order_id TEXT NOT NULL REFERENCES orders (id),
    kind TEXT NOT NULL, note TEXT NOT NULL, at TEXT NOT NULL);
"""
    + DOCUMENTS_TABLE
)

CUSTOMER = ("id", "name", "email", "city", "address", "tier")
PRODUCT = ("id", "name", "category", "price_cents", "stock")
ORDER = (
    "id", "customer_id", "status", "total_cents", "currency", "placed_on", "delivered_on", "address", "cancel_reason",
)  # fmt: skip
ITEM = ("id", "order_id", "product_id", "quantity", "unit_cents")
PAYMENT = ("id", "order_id", "amount_cents", "status", "charged_on")
REFUND = ("id", "order_id", "payment_id", "amount_cents", "reason", "created_on")
SHIPMENT = ("id", "order_id", "carrier", "tracking", "shipped_on")
EXCHANGE = ("id", "order_id", "from_product", "to_product", "quantity", "created_on")
NOTE = ("id", "order_id", "author", "text", "channel", "created_at")

READABLE = {
    "customers": frozenset((*CUSTOMER, "version")),
    "products": frozenset((*PRODUCT, "version")),
    "orders": frozenset((*ORDER, "version")),
    "order_items": frozenset(ITEM),
    "payments": frozenset((*PAYMENT, "version")),
    "refunds": frozenset(REFUND),
    "shipments": frozenset(SHIPMENT),
    "exchanges": frozenset(EXCHANGE),
    "order_notes": frozenset(NOTE),
    "order_tags": frozenset({"order_id", "tag"}),
    "order_events": frozenset({"id", "order_id", "kind", "note", "at"}),
    "documents": frozenset((*DOCUMENT_COLUMNS, "version")),
}
WRITABLE = frozenset({"order_notes", "order_tags"})

_TAG_KEY = "order_id || ':' || tag || '#' || row_number() OVER (PARTITION BY order_id, tag)"
"""A tag has no id of its own: however it was moved, the change reads the same, and a second copy shows."""
VISIBLE = {
    "orders": ("id", ORDER[1:]),
    "products": ("id", PRODUCT[1:]),
    "payments": ("id", PAYMENT[1:]),
    "refunds": ("id", REFUND[1:5]),
    "exchanges": ("id", EXCHANGE[1:5]),
    "order_notes": ("id", NOTE[1:-1]),
    "order_tags": (_TAG_KEY, ("order_id", "tag")),
}
"""What any route or tool can change. The rest of the tables stays as it was built."""


def tag_key(order_id: str, tag: str) -> str:
    """The key of an order's only tag of that name in the visible state."""
    return f"{order_id}:{tag}#1"
