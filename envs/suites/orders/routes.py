"""The routes that only read."""

from __future__ import annotations

from typing import Annotated, Any, cast

from pydantic import Field

from faultgym.core.json import JSON
from faultgym.envs.suites.common import money, record
from faultgym.envs.suites.orders.schema import CUSTOMER, ITEM, NOTE, ORDER, PAYMENT, PRODUCT, REFUND, SHIPMENT
from faultgym.envs.suites.orders.shapes import (
    Category,
    CustomerBody,
    CustomerId,
    CustomerPage,
    Day,
    Email,
    FullOrder,
    FullOrderV2,
    ItemPage,
    NotePage,
    OrderId,
    OrderPage,
    OrderPageV2,
    PaymentBody,
    PaymentId,
    PaymentPage,
    ProductBody,
    ProductBodyV2,
    ProductId,
    ProductPage,
    RefundPage,
    ShipmentBody,
    Status,
)
from faultgym.tools.channels.http.pages import Cursor, page
from faultgym.tools.channels.http.service import ServiceError, operation
from faultgym.tools.context import WorldView

CURRENCY = "EUR"
PAGE = 3
"""Items on a page, however many are asked for: a small shop's lists too have several pages."""
Limit = Annotated[int, Field(ge=1, le=50, description=f"Items per page; at most {PAGE} are given")]


def read_order(world: WorldView, order_id: str) -> JSON:
    """The order as the first version shows it; raises `ServiceError` 404."""
    return record(world, "orders", (*ORDER, "version"), order_id, "order")


def full_order(world: WorldView, order_id: str) -> JSON:
    """The order with its lines; raises `ServiceError` 404."""
    body = read_order(world, order_id)
    rows = world.db.execute(
        "SELECT product_id, quantity, unit_cents FROM order_items WHERE order_id = ? ORDER BY id", (order_id,)
    )
    body["lines"] = [{"product_id": p, "quantity": n, "unit_cents": cents} for p, n, cents in rows]
    return body


def _order_v2(body: JSON) -> JSON:
    rest = {name: value for name, value in body.items() if name not in ("total_cents", "currency")}
    return {**rest, "total": money(body["total_cents"], body["currency"])}


@operation(
    "GET", "/v1/orders/{order_id}", tables=("orders",), versioned=("orders", "order_id"), successor="get_order_v2"
)
def get_order(world: WorldView, order_id: OrderId) -> FullOrder:
    """Read an order with its lines."""
    return cast(FullOrder, full_order(world, order_id))


@operation("GET", "/v2/orders/{order_id}", tables=("orders",), versioned=("orders", "order_id"))
def get_order_v2(world: WorldView, order_id: OrderId) -> FullOrderV2:
    """Read an order with its lines (second version: amounts come with their currency)."""
    body = _order_v2(full_order(world, order_id))
    body["lines"] = [
        {**{k: v for k, v in line.items() if k != "unit_cents"}, "unit": money(line["unit_cents"], CURRENCY)}
        for line in body["lines"]
    ]
    return cast(FullOrderV2, body)


@operation("GET", "/v1/orders", tables=("orders",), listing=True, successor="list_orders_v2")
def list_orders(
    world: WorldView,
    customer_id: CustomerId | None = None,
    status: Annotated[Status | None, Field(description="Only orders in this state")] = None,
    placed_on: Day | None = None,
    cursor: Cursor | None = None,
    limit: Limit = PAGE,
) -> OrderPage:
    """List orders, by customer, status or the day they were placed."""
    filters = {"customer_id": customer_id, "status": status, "placed_on": placed_on}
    return cast(OrderPage, _page(world, (*ORDER, "version"), "orders", filters, cursor, limit))


@operation("GET", "/v2/orders", tables=("orders",), listing=True)
def list_orders_v2(
    world: WorldView,
    customer_id: CustomerId | None = None,
    status: Annotated[Status | None, Field(description="Only orders in this state")] = None,
    placed_on: Day | None = None,
    cursor: Cursor | None = None,
    limit: Limit = PAGE,
) -> OrderPageV2:
    """List orders (second version: totals are amounts with a currency)."""
    filters = {"customer_id": customer_id, "status": status, "placed_on": placed_on}
    found = _page(world, (*ORDER, "version"), "orders", filters, cursor, limit)
    return cast(OrderPageV2, {**found, "items": [_order_v2(item) for item in found["items"]]})


def _page(
    world: WorldView,
    columns: tuple[str, ...],
    table: str,
    filters: dict[str, Any],
    cursor: str | None,
    limit: int,
) -> JSON:
    used = {name: value for name, value in filters.items() if value is not None}
    where = " AND ".join(f"{name} = ?" for name in used) or "1"
    return page(world.db, columns, table, where, list(used.values()), cursor=cursor, limit=min(limit, PAGE))


@operation("GET", "/v1/orders/{order_id}/items", tables=("order_items",), listing=True)
def list_order_items(
    world: WorldView, order_id: OrderId, cursor: Cursor | None = None, limit: Limit = PAGE
) -> ItemPage:
    """List what was ordered, with the price paid for one piece."""
    read_order(world, order_id)
    filters = {"order_id": order_id}
    return cast(ItemPage, _page(world, ITEM, "order_items", filters, cursor, limit))


@operation("GET", "/v1/orders/{order_id}/payments", tables=("payments",), listing=True)
def list_payments(
    world: WorldView, order_id: OrderId, cursor: Cursor | None = None, limit: Limit = PAGE
) -> PaymentPage:
    """List the payments of an order."""
    read_order(world, order_id)
    filters = {"order_id": order_id}
    return cast(PaymentPage, _page(world, (*PAYMENT, "version"), "payments", filters, cursor, limit))


@operation("GET", "/v1/orders/{order_id}/refunds", tables=("refunds",), listing=True)
def list_refunds(world: WorldView, order_id: OrderId, cursor: Cursor | None = None, limit: Limit = PAGE) -> RefundPage:
    """List the refunds of an order."""
    read_order(world, order_id)
    return cast(RefundPage, _page(world, REFUND, "refunds", {"order_id": order_id}, cursor, limit))


@operation("GET", "/v1/orders/{order_id}/notes", tables=("order_notes",), listing=True)
def list_notes(world: WorldView, order_id: OrderId, cursor: Cursor | None = None, limit: Limit = PAGE) -> NotePage:
    """List the notes on an order."""
    read_order(world, order_id)
    return cast(NotePage, _page(world, NOTE, "order_notes", {"order_id": order_id}, cursor, limit))


@operation("GET", "/v1/orders/{order_id}/shipment", tables=("shipments",))
def get_shipment(world: WorldView, order_id: OrderId) -> ShipmentBody:
    """Read the parcel of an order."""
    read_order(world, order_id)
    sql = f"SELECT {', '.join(SHIPMENT)} FROM shipments WHERE order_id = ?"
    row = world.db.execute(sql, (order_id,)).fetchone()
    if row is None:
        raise ServiceError(404, "Not Found", f"order {order_id} has no shipment")
    return cast(ShipmentBody, dict(zip(SHIPMENT, row, strict=True)))


@operation("GET", "/v1/payments/{payment_id}", tables=("payments",), versioned=("payments", "payment_id"))
def get_payment(world: WorldView, payment_id: PaymentId) -> PaymentBody:
    """Read a payment."""
    return cast(PaymentBody, record(world, "payments", (*PAYMENT, "version"), payment_id, "payment"))


@operation(
    "GET",
    "/v1/customers/{customer_id}",
    tables=("customers",),
    versioned=("customers", "customer_id"),
    successor="get_customer_v2",
)
def get_customer(world: WorldView, customer_id: CustomerId) -> CustomerBody:
    """Read a customer."""
    return cast(CustomerBody, record(world, "customers", (*CUSTOMER, "version"), customer_id, "customer"))


@operation("GET", "/v2/customers/{customer_id}", tables=("customers",), versioned=("customers", "customer_id"))
def get_customer_v2(world: WorldView, customer_id: CustomerId) -> CustomerBody:
    """Read a customer (second version)."""
    return cast(CustomerBody, record(world, "customers", (*CUSTOMER, "version"), customer_id, "customer"))


@operation("GET", "/v1/customers", tables=("customers",), listing=True)
def find_customers(
    world: WorldView,
    email: Email | None = None,
    city: Annotated[str | None, Field(description="Only customers of this town, spelled in full")] = None,
    cursor: Cursor | None = None,
    limit: Limit = PAGE,
) -> CustomerPage:
    """Find customers by e-mail address or town."""
    filters = {"email": email, "city": city}
    return cast(CustomerPage, _page(world, (*CUSTOMER, "version"), "customers", filters, cursor, limit))


@operation(
    "GET",
    "/v1/products/{product_id}",
    tables=("products",),
    versioned=("products", "product_id"),
    successor="get_product_v2",
)
def get_product(world: WorldView, product_id: ProductId) -> ProductBody:
    """Read a product: price and stock of today."""
    return cast(ProductBody, record(world, "products", (*PRODUCT, "version"), product_id, "product"))


@operation("GET", "/v2/products/{product_id}", tables=("products",), versioned=("products", "product_id"))
def get_product_v2(world: WorldView, product_id: ProductId) -> ProductBodyV2:
    """Read a product (second version: the price is an amount with a currency)."""
    body = record(world, "products", (*PRODUCT, "version"), product_id, "product")
    rest = {name: value for name, value in body.items() if name != "price_cents"}
    return cast(ProductBodyV2, {**rest, "price": money(body["price_cents"], CURRENCY)})


@operation("GET", "/v1/products", tables=("products",), listing=True)
def list_products(
    world: WorldView,
    category: Annotated[Category | None, Field(description="Only products of this category")] = None,
    cursor: Cursor | None = None,
    limit: Limit = PAGE,
) -> ProductPage:
    """List products, by category."""
    return cast(ProductPage, _page(world, (*PRODUCT, "version"), "products", {"category": category}, cursor, limit))


READS = [
    get_order,
    get_order_v2,
    list_orders,
    list_orders_v2,
    list_order_items,
    list_payments,
    list_refunds,
    list_notes,
    get_shipment,
    get_payment,
    get_customer,
    get_customer_v2,
    find_customers,
    get_product,
    get_product_v2,
    list_products,
]
"""All reading operations."""
