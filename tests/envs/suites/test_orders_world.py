"""The shop's worlds agree with themselves, and its routes hold the shop's rules."""

import orjson
import pytest

from faultgym.envs.registry import suite_named
from faultgym.envs.suites.orders.documents import POLICIES, TODAY, body_of, value
from faultgym.envs.suites.orders.schema import READABLE
from faultgym.envs.worlds.names import SPLITS, in_pool
from faultgym.envs.worlds.world import World, WorldImage, world_image
from faultgym.tools.exchange import HttpRequest, SearchRequest

SUITE = suite_named("orders")
LARGEST = 110 * 1024


@pytest.fixture(params=SPLITS)
def image(request):
    return world_image(suite_named("orders"), request.param, 1)


@pytest.fixture
def world():
    return World(world_image(suite_named("orders"), "dev", 0))


def ask(world, method, path, body=None, **headers):
    """(status, body) of a request with a valid token."""
    sent = {"authorization": f"Bearer {world.image.token}", **{k.replace("_", "-"): v for k, v in headers.items()}}
    payload = b"" if body is None else orjson.dumps(body)
    path, _, query = path.partition("?")
    pairs = dict(part.split("=") for part in query.split("&")) if query else {}
    response = SUITE.service.handle(world, HttpRequest(method, path, query=pairs, headers=sent, body=payload))
    return response.status, orjson.loads(response.body)


def first(world, statement, *values):
    """The first row of a statement; the test says what it looks for by the statement."""
    row = world.db.execute(statement, values).fetchone()
    assert row is not None
    return row


def test_totals_are_the_sums_of_the_items(image):
    rows = image.reader.raw.execute(
        "SELECT o.total_cents, sum(i.quantity * i.unit_cents) FROM orders o JOIN order_items i ON i.order_id = o.id"
        " GROUP BY o.id"
    ).fetchall()
    assert len(rows) > 90
    assert all(total == parts for total, parts in rows)


def test_every_payment_in_full_or_in_parts_comes_to_the_total_or_twice_the_total(image):
    rows = image.reader.raw.execute(
        "SELECT o.total_cents, sum(p.amount_cents) FROM orders o JOIN payments p ON p.order_id = o.id GROUP BY o.id"
    ).fetchall()
    assert all(paid in (total, 2 * total) for total, paid in rows)
    assert sum(paid == 2 * total for total, paid in rows) >= 3


def test_days_are_in_order_and_not_in_the_future(image):
    rows = image.reader.raw.execute(
        "SELECT placed_on, shipped_on, delivered_on, status FROM orders o LEFT JOIN shipments s ON s.order_id = o.id"
    ).fetchall()
    for placed, shipped, delivered, status in rows:
        days = [day for day in (placed, shipped, delivered) if day]
        assert days == sorted(days)
        assert days[-1] <= TODAY.isoformat()
        assert (delivered is not None) == (status in ("delivered", "returned"))


def test_both_versions_and_sql_give_the_same_order(world):
    for (order_id,) in world.db.execute("SELECT id FROM orders ORDER BY id LIMIT 20").fetchall():
        _, one = ask(world, "GET", f"/v1/orders/{order_id}")
        _, two = ask(world, "GET", f"/v2/orders/{order_id.removeprefix('ORD-')}")
        reply = world.guarded.run(
            f"SELECT id, status, total_cents, address FROM orders WHERE id = '{order_id}'", write_allowed=False
        )
        assert reply.rows == [(one["id"], one["status"], one["total_cents"], one["address"])]
        assert round(float(two["total"]["amount"]) * 100) == one["total_cents"]
        assert sum(line["quantity"] * line["unit_cents"] for line in one["lines"]) == one["total_cents"]
        assert {k: v for k, v in two.items() if k not in ("total", "lines")} == {
            k: v for k, v in one.items() if k not in ("total_cents", "currency", "lines")
        }


def test_pages_of_both_versions_add_up_to_all_orders(world):
    count = first(world, "SELECT count(*) FROM orders")[0]
    for version in ("v1", "v2"):
        seen, cursor = [], ""
        while True:
            _, page = ask(world, "GET", f"/{version}/orders?limit=50" + (f"&cursor={cursor}" if cursor else ""))
            assert page["total"] == count
            seen += [item["id"] for item in page["items"]]
            cursor = page["next_cursor"]
            if not cursor:
                break
        assert len(seen) == len(set(seen)) == count


def test_the_notes_of_an_order_are_listed_page_by_page_although_their_key_is_a_number(world):
    order = first(world, "SELECT order_id FROM order_notes ORDER BY id")[0]
    for n in range(4):
        ask(world, "POST", f"/v1/orders/{order}/notes", {"text": f"note {n}", "channel": "chat"})
    _, one = ask(world, "GET", f"/v1/orders/{order}/notes")
    _, two = ask(world, "GET", f"/v1/orders/{order}/notes?cursor={one['next_cursor']}")
    found = [item["id"] for page in (one, two) for item in page["items"]]
    assert found == sorted(set(found))
    assert len(found) == one["total"] == 5


def test_search_finds_every_document_by_its_title_and_the_api_gives_the_same_text(world):
    rows = world.db.execute("SELECT id, title, kind, body FROM documents").fetchall()
    assert len(rows) >= 35
    for key, title, kind, body in rows:
        hits = world.index.search(SearchRequest(title, {"kind": kind})).hits
        assert key in [hit.id for hit in hits]
        _, document = ask(world, "GET", f"/v1/documents/{key}")
        assert (document["title"], document["body"]) == (title, body)


def test_every_rule_of_every_policy_can_be_read_from_its_document(image):
    for policy in POLICIES:
        body = body_of(image.reader.raw, policy.title)
        assert [value(body, rule.label) in rule.choices for rule in policy.rules] == [True] * len(policy.rules)


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(image):
    again = WorldImage(SUITE, image.split, image.seed)
    other = WorldImage(SUITE, image.split, image.seed + 1)
    assert again.image == image.image != other.image


def test_an_image_is_small_enough_to_be_copied_for_every_episode(image):
    assert len(image.image) <= LARGEST


def test_identifiers_come_from_the_pool_of_the_split(image):
    for table in ("orders", "customers", "products", "payments", "shipments", "refunds", "order_items", "documents"):
        for (key,) in image.reader.raw.execute(f"SELECT id FROM {table}"):
            assert in_pool(image.split, int(key.partition("-")[2]))


def test_sql_sees_only_the_public_columns(world):
    assert set(READABLE) >= SUITE.writable
    for hidden in ("_tokens", "_clients", "_idempotency", "sqlite_master"):
        assert world.guarded.run(f"SELECT * FROM {hidden}", write_allowed=False).error
    assert world.guarded.run("SELECT * FROM orders LIMIT 1", write_allowed=False).rows
    assert world.guarded.run("UPDATE orders SET status = 'paid'", write_allowed=True).error


def test_only_open_orders_can_be_cancelled(world):
    statuses = [s for (s,) in world.db.execute("SELECT DISTINCT status FROM orders ORDER BY status").fetchall()]
    assert len(statuses) == 7
    for status in statuses:
        (order_id,) = first(world, "SELECT id FROM orders WHERE status = ? ORDER BY id", status)
        code, body = ask(world, "POST", f"/v1/orders/{order_id}/cancel", {"reason": "duplicate"})
        assert code == (200 if status in ("pending", "paid", "packed") else 409)
        if code == 200:
            assert (body["status"], body["cancel_reason"], body["version"]) == ("cancelled", "duplicate", 2)
        else:
            assert status in body["detail"]


def test_an_address_changes_only_before_shipping_and_only_when_it_differs(world):
    (order_id,) = first(world, "SELECT id FROM orders WHERE status = 'paid'")
    path = f"/v1/orders/{order_id}/address"
    assert ask(world, "PATCH", path, {"address": "1 New Road, 10000 Town"})[1]["version"] == 2
    assert ask(world, "PATCH", path, {"address": "1 New Road, 10000 Town"})[1]["version"] == 2
    assert len(world.effects) == 1
    (gone,) = first(world, "SELECT id FROM orders WHERE status = 'shipped'")
    assert ask(world, "PATCH", f"/v1/orders/{gone}/address", {"address": "1 New Road, 10000 Town"})[0] == 409


def test_refunds_add_up_to_no_more_than_was_paid(world):
    order_id, total = first(
        world,
        "SELECT o.id, o.total_cents FROM orders o JOIN payments p ON p.order_id = o.id WHERE o.status = 'delivered'"
        " GROUP BY o.id HAVING sum(p.amount_cents) = o.total_cents",
    )
    path = f"/v1/orders/{order_id}/refunds"
    assert ask(world, "POST", path, {"amount_cents": total - 100, "reason": "return"})[0] == 201
    assert ask(world, "POST", path, {"amount_cents": 101, "reason": "return"})[0] == 409
    assert ask(world, "POST", path, {"amount_cents": 100, "reason": "return"})[0] == 201
    assert ask(world, "GET", path)[1]["total"] == 2


def test_a_repeated_refund_is_a_second_refund_unless_the_key_is_the_same(world):
    (order_id,) = first(world, "SELECT id FROM orders WHERE status = 'delivered' AND total_cents > 5000")
    path, body = f"/v1/orders/{order_id}/refunds", {"amount_cents": 100, "reason": "goodwill"}
    one = ask(world, "POST", path, body, idempotency_key="a")
    assert ask(world, "POST", path, body, idempotency_key="a") == one
    assert ask(world, "GET", path)[1]["total"] == 1
    assert ask(world, "POST", path, body)[0] == 201
    assert ask(world, "GET", path)[1]["total"] == 2


def test_a_payment_is_refunded_once_and_only_when_it_was_captured(world):
    payment_id, order_id = first(world, "SELECT id, order_id FROM payments WHERE status = 'captured'")
    path = f"/v1/payments/{payment_id}/refund"
    code, body = ask(world, "POST", path, {"reason": "double_charge"})
    assert (code, body["payment_id"], body["order_id"]) == (201, payment_id, order_id)
    assert ask(world, "GET", f"/v1/payments/{payment_id}")[1]["status"] == "refunded"
    assert ask(world, "POST", path, {"reason": "double_charge"})[0] == 409
    (pending,) = first(world, "SELECT id FROM payments WHERE status = 'pending'")
    assert ask(world, "POST", f"/v1/payments/{pending}/refund", {"reason": "double_charge"})[0] == 409


def test_an_exchange_needs_a_delivered_piece_and_stock(world):
    order_id, product_id, quantity = first(
        world,
        "SELECT o.id, i.product_id, i.quantity FROM orders o JOIN order_items i ON i.order_id = o.id"
        " WHERE o.status = 'delivered' AND i.quantity >= 2",
    )
    target, stock = first(world, "SELECT id, stock FROM products WHERE stock >= 9 AND id <> ?", product_id)
    (empty,) = first(world, "SELECT id FROM products WHERE stock = 0 AND id <> ?", product_id)
    path = f"/v1/orders/{order_id}/exchanges"
    wanted = {"from_product": product_id, "to_product": target}
    assert ask(world, "POST", path, {**wanted, "to_product": empty})[0] == 409
    assert ask(world, "POST", path, {**wanted, "from_product": target})[0] == 409
    assert ask(world, "POST", path, {**wanted, "quantity": quantity})[0] == 201
    assert ask(world, "GET", f"/v1/products/{target}")[1]["stock"] == stock - quantity
    assert ask(world, "POST", path, wanted)[0] == 409
    (young,) = first(world, "SELECT id FROM orders WHERE status = 'paid'")
    assert ask(world, "POST", f"/v1/orders/{young}/exchanges", wanted)[0] == 409


def test_a_note_is_signed_by_the_desk_and_seen_by_sql(world):
    (order_id,) = first(world, "SELECT id FROM orders")
    code, body = ask(world, "POST", f"/v1/orders/{order_id}/notes", {"text": "call back", "channel": "phone"})
    assert (code, body["author"]) == (201, "desk")
    reply = world.guarded.run(f"SELECT text FROM order_notes WHERE id = {body['id']}", write_allowed=False)
    assert reply.rows == [("call back",)]


def test_a_stale_etag_stops_a_change(world):
    (order_id,) = first(world, "SELECT id FROM orders WHERE status = 'paid'")
    path, body = f"/v1/orders/{order_id}/cancel", {"reason": "duplicate"}
    assert ask(world, "POST", path, body, if_match='"7"')[0] == 412
    assert ask(world, "POST", path, body, if_match='"1"')[0] == 200


def test_the_list_of_routes_names_every_route(world):
    status, body = ask(world, "GET", "/v1/openapi")
    assert status == 200
    assert {route["name"] for route in body["routes"]} == set(SUITE.service.operations)
