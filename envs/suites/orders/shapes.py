"""The bodies that the shop's service answers with, and the types of its parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field
from typing_extensions import TypedDict

from faultgym.envs.suites.common import Money
from faultgym.tools.declare import identifier

if TYPE_CHECKING:
    OrderId = str
    CustomerId = str
    ProductId = str
    PaymentId = str
else:
    OrderId = identifier("ORD", "The order")
    CustomerId = identifier("CUS", "The customer")
    ProductId = identifier("SKU", "The product")
    PaymentId = identifier("PAY", "The payment")

Status = Literal["pending", "paid", "packed", "shipped", "delivered", "cancelled", "returned"]
Category = Literal["kitchen", "lighting", "garden", "audio", "luggage"]
Channel = Annotated[Literal["email", "phone", "chat"], Field(description="How the customer was in touch")]
CancelReason = Annotated[
    Literal["customer_request", "out_of_stock", "duplicate", "wrong_address"],
    Field(description="Why the order is cancelled"),
]
RefundReason = Annotated[
    Literal["return", "damaged", "late", "goodwill", "double_charge"], Field(description="What the refund is for")
]

Day = Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}$", description="ISO date")]
Cents = Annotated[int, Field(gt=0, le=10_000_000, description="Amount in cents")]
Quantity = Annotated[int, Field(ge=1, le=99, description="How many pieces")]
Address = Annotated[str, Field(min_length=5, max_length=200, description="Street, postcode and town in one line")]
Email = Annotated[str, Field(max_length=200, description="The whole address")]
Text = Annotated[str, Field(min_length=1, max_length=1000, description="The text of the note")]


class Line(TypedDict):
    """One line of an order inside its body; `unit_cents` is the price paid for one piece."""

    product_id: str
    quantity: int
    unit_cents: int


class LineV2(TypedDict):
    """One line of an order in the second version."""

    product_id: str
    quantity: int
    unit: Money


class _OrderFacts(TypedDict):
    id: str
    customer_id: str
    status: Status
    placed_on: str
    delivered_on: str | None
    address: str
    cancel_reason: str
    version: int


class OrderBody(_OrderFacts):
    """An order in the first version of the API, as lists show it."""

    total_cents: int
    currency: str


class FullOrder(OrderBody):
    """An order with its lines; the total is their sum."""

    lines: list[Line]


class OrderBodyV2(_OrderFacts):
    """An order in the second version: its total is an amount with a currency."""

    total: Money


class FullOrderV2(OrderBodyV2):
    """An order with its lines in the second version."""

    lines: list[LineV2]


class OrderPage(TypedDict):
    """A page of orders."""

    items: list[OrderBody]
    total: int
    next_cursor: str | None


class OrderPageV2(TypedDict):
    """A page of orders in the second version."""

    items: list[OrderBodyV2]
    total: int
    next_cursor: str | None


class ItemBody(TypedDict):
    """One line of an order with its own id."""

    id: str
    order_id: str
    product_id: str
    quantity: int
    unit_cents: int


class ItemPage(TypedDict):
    """The lines of an order."""

    items: list[ItemBody]
    total: int
    next_cursor: str | None


class CustomerBody(TypedDict):
    """A customer; the same in both versions."""

    id: str
    name: str
    email: str
    city: str
    address: str
    tier: str
    version: int


class CustomerPage(TypedDict):
    """A page of customers."""

    items: list[CustomerBody]
    total: int
    next_cursor: str | None


class _ProductFacts(TypedDict):
    id: str
    name: str
    category: Category
    stock: int
    version: int


class ProductBody(_ProductFacts):
    """A product in the first version."""

    price_cents: int


class ProductBodyV2(_ProductFacts):
    """A product in the second version."""

    price: Money


class ProductPage(TypedDict):
    """A page of products."""

    items: list[ProductBody]
    total: int
    next_cursor: str | None


class PaymentBody(TypedDict):
    """A payment."""

    id: str
    order_id: str
    amount_cents: int
    status: Literal["pending", "captured", "refunded"]
    charged_on: str
    version: int


class PaymentPage(TypedDict):
    """The payments of an order."""

    items: list[PaymentBody]
    total: int
    next_cursor: str | None


class RefundBody(TypedDict):
    """A refund, as lists show it."""

    id: str
    order_id: str
    payment_id: str
    amount_cents: int
    reason: RefundReason
    created_on: str


class NewRefund(RefundBody):
    """A refund just made, with the new version of what it belongs to."""

    version: int


class RefundPage(TypedDict):
    """The refunds of an order."""

    items: list[RefundBody]
    total: int
    next_cursor: str | None


class ShipmentBody(TypedDict):
    """The parcel of an order."""

    id: str
    order_id: str
    carrier: str
    tracking: str
    shipped_on: str


class NewExchange(TypedDict):
    """An exchange just made, with the order's new version."""

    id: str
    order_id: str
    from_product: str
    to_product: str
    quantity: int
    created_on: str
    version: int


class NoteBody(TypedDict):
    """A note on an order."""

    id: int
    order_id: str
    author: str
    text: str
    channel: str
    created_at: str


class NotePage(TypedDict):
    """The notes on an order."""

    items: list[NoteBody]
    total: int
    next_cursor: str | None
