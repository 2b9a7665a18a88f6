"""How phrasings of the suite `orders` read in earlier releases: traces that were recorded with them stay true."""

from __future__ import annotations

from collections.abc import Mapping

_CANCEL = {
    3: ("The customer of {order_id} does not want it any more. Cancel the order, reason {reason}.",),
    5: ("Put order {order_id} to cancelled for the reason {reason}, please.",),
}
_RETURN = {
    5: (
        "Decide about the return of one {product_id} belonging to {order_id} by our return policy. In time means a"
        " refund (reason return) and its amount in euros as your answer; too late means no refund and the deadline's"
        " date as your answer.",
    ),
}
FORMER: Mapping[str, Mapping[int, tuple[str, ...]]] = {
    "order_total": {
        3: ("Please give me the sum of order {order_id} in euros, for example 7.25 EUR.",),
    },
    "customer_email": {
        4: ("Order {order_id} needs a reply by mail. Look up its customer's e-mail address.",),
    },
    "order_tracking": {
        5: ("Someone asks how to trace order {order_id}. Reply with the tracking number of its shipment.",),
    },
    "day_revenue": {
        2: ("For the daily sheet: revenue of {day} by the day of the order, without cancelled orders, in euros.",),
        3: ("How much did customers order for on {day}? Leave out what was cancelled and answer like 8.40 EUR.",),
        4: ("Sum of order totals with the date {day}, excluding the cancelled ones, please. In euros.",),
        5: ("Finance needs one figure: the value of every order placed {day} except cancelled ones, in EUR.",),
    },
    "city_count": {
        1: ("Count the orders of customers who live in {city} that are {status}. Answer with the number.",),
        3: ("I need the number of {status} orders for the town of {city}.",),
        4: ("For customers in {city}, tell me how many orders stand at {status} right now.",),
        5: ("{city}: what is the count of orders whose status is {status}? Take the customer's town.",),
    },
    "write_note": {
        5: ("By {channel} we heard something on {order_id}. File it in order_notes under the author desk: '{text}'.",),
    },
    "move_tag": {
        5: ("Wrong order tagged: {tag} stands at {from_order} but is meant for {to_order}. Fix it in order_tags.",),
    },
    "policy_fact": {
        0: ("What does our document '{title}' say on this point: {fact} (in {unit})?",),
        2: ("A customer asks about this: {fact}. Look it up in '{title}' and answer in {unit}.",),
        4: ("I need one figure out of '{title}': {fact}. Unit: {unit}.",),
        5: ("Find our rules named '{title}' and quote what they set for '{fact}', expressed in {unit}.",),
    },
    "shop_hours": {
        3: ("Someone wants to bring a return to {city} this Saturday. When does the shop there shut? (HH:MM)",),
        5: ("The store in {city}: which hour does it close at the weekend, on Saturday? Reply like 08:25.",),
    },
    "product_warranty": {
        3: ("{email} writes that the thing from their most recent order may break. Warranty in months?",),
    },
    "cancel_order": _CANCEL,
    "blocked_cancel": _CANCEL,
    "change_address": {
        3: ("Please correct where {order_id} is sent: {address}",),
    },
    "exchange_product": {
        3: (
            "Please make an exchange on {order_id}: one {product_id} out, and the cheapest different product of that"
            " category in stock out to the customer. Reply with its id.",
        ),
        4: (
            "One {product_id} of order {order_id} comes back. Send in exchange whatever else is cheapest within that"
            " category and available, and say which id you chose.",
        ),
        5: (
            "Arrange a swap for order {order_id}: a single {product_id} against the least expensive alternative from"
            " its category that we have in stock. Which product did you take?",
        ),
    },
    "double_charge": {
        1: (
            "The customer of {order_id} sees two charges over the full amount. Keep the first payment, refund the"
            " second one as double_charge, and answer with the id of the payment refunded.",
        ),
        5: (
            "Our bank reports that {order_id} was paid double. Undo the more recent of both payments, reason"
            " double_charge, and report its number.",
        ),
    },
    "refund_return": _RETURN,
    "refuse_return": _RETURN,
    "basket_sum": {
        0: (
            "A customer wants three articles for {first}, {second} and {third} and has a voucher over {off}. What is"
            " left to pay? Answer with the amount in euros only.",
        ),
        5: (
            "Work out a basket by hand: prices {first}, {second}, {third}, rebate {off}. What remains? Name the"
            " amount in EUR and no other.",
        ),
    },
    "missing_fact": {
        3: ("I need the {fact} of the customer with the number {customer_id}.",),
        5: ("For a form I must fill in the {fact} of {customer_id}. What do our records give?",),
    },
    "cancel_all_open": {
        0: (
            "The customer with the address {email} wants none of what is still open. Cancel all their orders that are"
            " pending, paid or packed, reason {reason}, and tell me how many there were.",
        ),
        4: (
            "{email} closes the account. Cancel each of their pending, paid and packed orders, reason {reason}, then"
            " state how many it were.",
        ),
    },
}
"""Template -> the index of a phrasing -> its earlier wordings."""
