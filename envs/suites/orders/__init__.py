"""The suite `orders`: a shop's support desk."""

from __future__ import annotations

from faultgym.envs.suite import Entity, EntitySource, FieldHints, Suite
from faultgym.envs.suites.common import DOCUMENT_COLUMNS, read_documents, service
from faultgym.envs.suites.orders import schema
from faultgym.envs.suites.orders.documents import TODAY
from faultgym.envs.suites.orders.former import FORMER
from faultgym.envs.suites.orders.routes import READS
from faultgym.envs.suites.orders.templates import TEMPLATES
from faultgym.envs.suites.orders.world import build
from faultgym.envs.suites.orders.writes import WRITES

__all__ = ["SUITE"]


def _by_id(table: str, columns: tuple[str, ...], key: str = "id") -> EntitySource:
    return EntitySource(sql=f"SELECT {', '.join(columns)} FROM {table} WHERE {key} = '{{id}}'")


ENTITIES = {
    entity.name: entity
    for entity in (
        Entity(
            "order",
            "order_id",
            (EntitySource("get_order"), EntitySource("get_order_v2"), _by_id("orders", schema.ORDER)),
        ),
        Entity(
            "customer",
            "customer_id",
            (EntitySource("get_customer"), EntitySource("get_customer_v2"), _by_id("customers", schema.CUSTOMER)),
        ),
        Entity(
            "product",
            "product_id",
            (EntitySource("get_product"), EntitySource("get_product_v2"), _by_id("products", schema.PRODUCT)),
        ),
        Entity("payment", "payment_id", (EntitySource("get_payment"), _by_id("payments", schema.PAYMENT))),
        Entity(
            "shipment", "order_id", (EntitySource("get_shipment"), _by_id("shipments", schema.SHIPMENT, "order_id"))
        ),
        Entity("document", "document_id", (EntitySource("get_document"), _by_id("documents", DOCUMENT_COLUMNS))),
    )
}

SUITE = Suite(
    name="orders",
    title="A shop's support desk",
    version=2,
    role="You work at the support desk of an online shop.",
    rules=(
        f"Today is {TODAY:%A}, {TODAY.isoformat()}.",
        "Amounts in fields that end in _cents are whole cents: 4150 is 41.50 EUR.",
        "What the shop allows stands in its documents: search for the policy and follow it.",
        "Change only what you were asked to change, and change it once.",
        "If something does not exist or cannot be done, say so plainly. Never make up a value.",
    ),
    schema=schema.SCHEMA,
    build=build,
    documents=read_documents,
    service=service("Shop API", [*READS, *WRITES]),
    readable=schema.READABLE,
    writable=schema.WRITABLE,
    visible=schema.VISIBLE,
    templates=TEMPLATES,
    former=FORMER,
    entities=ENTITIES,
    hints=FieldHints(
        choices={
            "status": schema.STATUSES,
            "tier": schema.TIERS,
            "category": schema.CATEGORIES,
            "channel": schema.CHANNELS,
        },
        money=frozenset({"total_cents", "price_cents", "unit_cents", "amount_cents"}),
        references=frozenset({"customer_id", "order_id", "product_id", "payment_id"}),
        fixed=frozenset({"total_cents", "unit_cents", "amount_cents", "category", "channel"}),
        before={"cancelled": "paid", "returned": "delivered", "captured": "pending", "refunded": "captured"},
        filled={
            "delivered_on": ("status", frozenset({"delivered", "returned"}), None),
            "cancel_reason": ("status", frozenset({"cancelled"}), ""),
        },
        writes={"ORD": "cancel {id}", "PAY": "refund {id} in full"},
    ),
    id_prefixes=("ORD", "CUS", "SKU", "PAY", "RFD", "EXC", "SHP", "ITM", "DOC"),
)
