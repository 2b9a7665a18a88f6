"""The routes that change something, with the shop's rules for each."""

from __future__ import annotations

import sqlite3
from typing import cast

from faultgym.envs.suites.common import Note, record
from faultgym.envs.suites.orders.routes import read_order
from faultgym.envs.suites.orders.schema import OPEN, PAYMENT
from faultgym.envs.suites.orders.shapes import (
    Address,
    CancelReason,
    Cents,
    Channel,
    NewExchange,
    NewRefund,
    NoteBody,
    OrderBody,
    OrderId,
    PaymentId,
    ProductId,
    Quantity,
    RefundReason,
    Text,
)
from faultgym.tools.channels.http.service import ServiceError, operation
from faultgym.tools.context import WorldView

AUTHOR = "desk"
"""Who writes the notes that come through the API."""


def _conflict(detail: str) -> ServiceError:
    return ServiceError(409, "Conflict", detail)


def _log(world: WorldView, order_id: str, kind: str, note: str | None) -> sqlite3.Connection:
    """Note the change in the order's log, raise the order's version, and give the database to write on."""
    db = world.writable()
    db.execute(
        "INSERT INTO order_events (order_id, kind, note, at) VALUES (?, ?, ?, ?)",
        (order_id, kind, note or "", world.now_iso),
    )
    db.execute("UPDATE orders SET version = version + 1 WHERE id = ?", (order_id,))
    return db


def _next_id(db: sqlite3.Connection, table: str, prefix: str) -> str:
    last = db.execute(f"SELECT max(CAST(substr(id, {len(prefix) + 2}) AS INTEGER)) FROM {table}").fetchone()[0]
    return f"{prefix}-{(last or 10_000) + 1}"


@operation("POST", "/v1/orders/{order_id}/cancel", tables=("orders",), versioned=("orders", "order_id"))
def cancel_order(world: WorldView, order_id: OrderId, reason: CancelReason, note: Note | None = None) -> OrderBody:
    """Cancel an order that is pending, paid or packed."""
    order = read_order(world, order_id)
    if order["status"] not in OPEN:
        raise _conflict(f"order {order_id} is {order['status']}: only {', '.join(OPEN)} orders can be cancelled")
    db = _log(world, order_id, "cancel_order", note)
    db.execute("UPDATE orders SET status = 'cancelled', cancel_reason = ? WHERE id = ?", (reason, order_id))
    world.effect("cancel_order", "orders", order_id, status="cancelled", cancel_reason=reason)
    return cast(OrderBody, read_order(world, order_id))


@operation("PATCH", "/v1/orders/{order_id}/address", tables=("orders",), versioned=("orders", "order_id"))
def change_address(world: WorldView, order_id: OrderId, address: Address, note: Note | None = None) -> OrderBody:
    """Send an order that is pending, paid or packed to another address."""
    order = read_order(world, order_id)
    if order["status"] not in OPEN:
        raise _conflict(
            f"order {order_id} is {order['status']}: the address of {', '.join(OPEN)} orders only can be changed"
        )
    if order["address"] != address:
        db = _log(world, order_id, "change_address", note)
        db.execute("UPDATE orders SET address = ? WHERE id = ?", (address, order_id))
        world.effect("change_address", "orders", order_id, address=address)
    return cast(OrderBody, read_order(world, order_id))


@operation(
    "POST",
    "/v1/orders/{order_id}/refunds",
    tables=("refunds", "orders"),
    status=201,
    versioned=("orders", "order_id"),
)
def create_refund(
    world: WorldView, order_id: OrderId, amount_cents: Cents, reason: RefundReason, note: Note | None = None
) -> NewRefund:
    """Refund part of what was paid for an order. Whether the policy allows it is yours to check."""
    read_order(world, order_id)
    left = _refundable(world, order_id)
    if amount_cents > left:
        raise _conflict(f"{amount_cents} cents is more than the {left} cents that can be refunded on order {order_id}")
    return _refund(world, order_id, "", amount_cents, reason, note)


def _refundable(world: WorldView, order_id: str) -> int:
    captured, refunded = world.db.execute(
        "SELECT (SELECT coalesce(sum(amount_cents), 0) FROM payments WHERE order_id = :id AND status = 'captured'),"
        " (SELECT coalesce(sum(amount_cents), 0) FROM refunds WHERE order_id = :id AND payment_id = '')",
        {"id": order_id},
    ).fetchone()
    return max(0, int(captured) - int(refunded))


def _refund(
    world: WorldView, order_id: str, payment_id: str, amount_cents: int, reason: str, note: str | None
) -> NewRefund:
    db = _log(world, order_id, "refund_payment" if payment_id else "create_refund", note)
    refund_id, today = _next_id(db, "refunds", "RFD"), world.now_iso[:10]
    row = {
        "id": refund_id,
        "order_id": order_id,
        "payment_id": payment_id,
        "amount_cents": amount_cents,
        "reason": reason,
        "created_on": today,
    }
    db.execute("INSERT INTO refunds VALUES (:id, :order_id, :payment_id, :amount_cents, :reason, :created_on)", row)
    world.effect("create_refund", "refunds", refund_id, **{k: v for k, v in row.items() if k != "id"})
    return cast(NewRefund, {**row, "version": read_order(world, order_id)["version"]})


@operation(
    "POST",
    "/v1/payments/{payment_id}/refund",
    tables=("payments", "refunds"),
    status=201,
    versioned=("payments", "payment_id"),
)
def refund_payment(
    world: WorldView, payment_id: PaymentId, reason: RefundReason, note: Note | None = None
) -> NewRefund:
    """Refund one captured payment in full, such as the second of a double charge."""
    payment = record(world, "payments", (*PAYMENT, "version"), payment_id, "payment")
    if payment["status"] != "captured":
        raise _conflict(f"payment {payment_id} is {payment['status']}: only captured payments can be refunded")
    if payment["amount_cents"] > _refundable(world, payment["order_id"]):
        raise _conflict(f"part of payment {payment_id} was refunded before")
    body = _refund(world, payment["order_id"], payment_id, payment["amount_cents"], reason, note)
    world.writable().execute(
        "UPDATE payments SET status = 'refunded', version = version + 1 WHERE id = ?", (payment_id,)
    )
    world.effect("refund_payment", "payments", payment_id, status="refunded")
    body["version"] = payment["version"] + 1
    return body


@operation(
    "POST",
    "/v1/orders/{order_id}/exchanges",
    tables=("exchanges", "products"),
    status=201,
    versioned=("orders", "order_id"),
)
def create_exchange(
    world: WorldView,
    order_id: OrderId,
    from_product: ProductId,
    to_product: ProductId,
    quantity: Quantity = 1,
    note: Note | None = None,
) -> NewExchange:
    """Exchange pieces of a delivered order for another product that is in stock."""
    order = read_order(world, order_id)
    if order["status"] != "delivered":
        raise _conflict(f"order {order_id} is {order['status']}: only delivered orders can be exchanged")
    _check_pieces(world, order_id, from_product, quantity)
    stock = record(world, "products", ("stock",), to_product, "product")["stock"]
    if stock < quantity:
        raise _conflict(f"product {to_product} is not in stock in that quantity: {stock} left")
    db = _log(world, order_id, "create_exchange", note)
    exchange_id, today = _next_id(db, "exchanges", "EXC"), world.now_iso[:10]
    row = (exchange_id, order_id, from_product, to_product, quantity, today)
    db.execute("INSERT INTO exchanges VALUES (?, ?, ?, ?, ?, ?)", row)
    db.execute("UPDATE products SET stock = stock - ?, version = version + 1 WHERE id = ?", (quantity, to_product))
    facts = {"order_id": order_id, "from_product": from_product, "to_product": to_product, "quantity": quantity}
    world.effect("create_exchange", "exchanges", exchange_id, **facts)
    world.effect("create_exchange", "products", to_product, stock=stock - quantity)
    version = read_order(world, order_id)["version"]
    return cast(NewExchange, {"id": exchange_id, **facts, "created_on": today, "version": version})


def _check_pieces(world: WorldView, order_id: str, product_id: str, quantity: int) -> None:
    bought, exchanged = world.db.execute(
        "SELECT (SELECT quantity FROM order_items WHERE order_id = :order AND product_id = :product),"
        " (SELECT coalesce(sum(quantity), 0) FROM exchanges WHERE order_id = :order AND from_product = :product)",
        {"order": order_id, "product": product_id},
    ).fetchone()
    if bought is None:
        raise _conflict(f"product {product_id} is not part of order {order_id}")
    if exchanged + quantity > bought:
        raise _conflict(
            f"order {order_id} has {bought} of product {product_id}, of which {exchanged} were exchanged before"
        )


@operation("POST", "/v1/orders/{order_id}/notes", tables=("order_notes", "orders"), status=201)
def add_note(world: WorldView, order_id: OrderId, text: Text, channel: Channel, note: Note | None = None) -> NoteBody:
    """Add a note to an order."""
    read_order(world, order_id)
    now = world.now_iso
    cursor = _log(world, order_id, "add_note", note).execute(
        "INSERT INTO order_notes (order_id, author, text, channel, created_at) VALUES (?, ?, ?, ?, ?)",
        (order_id, AUTHOR, text, channel, now),
    )
    number = cursor.lastrowid or 0
    world.effect("add_note", "order_notes", str(number), order_id=order_id, text=text, channel=channel)
    return {
        "id": number,
        "order_id": order_id,
        "author": AUTHOR,
        "text": text,
        "channel": channel,
        "created_at": now,
    }


WRITES = [cancel_order, change_address, create_refund, refund_payment, create_exchange, add_note]
"""All writing operations."""
