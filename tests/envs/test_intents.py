"""What a call asks for is the same whichever way it is sent."""

import pytest

from faultgym.envs.intents import intent_of, intents
from faultgym.envs.registry import suite_named
from faultgym.tools.toolbox import CallRecord
from faultgym.tools.types import ToolCall, ToolResult

SUITE = suite_named("orders")


def aim(name, **arguments):
    return intent_of(SUITE, ToolCall("c", name, arguments))


def test_http_and_the_typed_tool_ask_for_the_same():
    one = aim("http", method="GET", path="/v1/orders/10422")
    two = aim("get_order", order_id="ORD-10422")
    assert one.semantic == two.semantic
    assert one.normalized == two.normalized
    assert (one.target, one.tables, one.write) == ("get_order", {"orders"}, False)
    assert "10422" in one.names & two.names


def test_a_query_counts_wherever_it_stands():
    one = aim("http", method="GET", path="/v1/orders?customer_id=CUS-20001", query={"limit": 5})
    two = aim("http", method="GET", path="/v1/orders", query={"customer_id": "20001", "limit": 5})
    assert one.normalized == two.normalized


def test_key_precondition_and_note_do_not_change_what_is_wanted():
    bare = aim("cancel_order", order_id="ORD-1", reason="duplicate")
    noted = aim(
        "cancel_order", order_id="ORD-1", reason="duplicate", note="by phone", idempotency_key="k", if_match="2"
    )
    assert bare.semantic == noted.semantic
    assert bare.normalized != noted.normalized
    assert noted.key == "k"
    assert noted.write


def test_headers_of_http_are_read_as_the_typed_arguments():
    sent = aim(
        "http",
        method="POST",
        path="/v1/orders/1/cancel",
        headers={"Idempotency-Key": "k", "If-Match": '"2"'},
        body={"reason": "duplicate"},
    )
    assert sent.normalized == aim("cancel_order", order_id="1", reason="duplicate", if_match='"2"').normalized
    assert sent.key == "k"


def test_a_new_token_is_no_write():
    assert not aim("http", method="POST", path="/v1/token", body={"client_id": "desk", "client_secret": "s"}).write


@pytest.mark.parametrize("table", ["orders", "orders_v2", "current_orders"])
def test_a_statement_is_about_its_tables_also_under_lengthened_names(table):
    found = aim("sql", query=f"SELECT status FROM {table} WHERE id = 'ORD-10422'")
    assert found.tables == {"orders"}
    assert "10422" in found.names


def test_statements_that_write_are_told_from_those_that_read():
    assert aim("sql", query=" insert INTO order_notes (id) VALUES (1)").write
    assert not aim("sql", query="SELECT 'delete' FROM orders").write


def test_a_page_further_on_is_the_same_list():
    one = aim("list_orders", customer_id="CUS-1")
    two = aim("list_orders", customer_id="CUS-1", cursor="abc", limit=2)
    assert one.semantic == two.semantic
    assert (one.paged, two.paged) == (False, True)


def test_an_argument_is_known_under_the_name_that_an_error_told():
    def record(content, code, **arguments):
        call = ToolCall("c", "get_order", arguments)
        return CallRecord(call, ToolResult("c", "get_order", content, code))

    told = "error: invalid arguments for get_order: unknown argument `order_id`; it is now called `order_ref`"
    first, second = intents(
        SUITE,
        [record(told, "unknown_argument", order_id="ORD-1"), record("HTTP 200 OK", "ok", order_ref="ORD-1")],
    )
    assert first.semantic == second.semantic


@pytest.mark.parametrize("raw", ["{", "[1]", '"{}"', "\ud800"])
def test_what_cannot_be_parsed_asks_for_nothing(raw):
    found = intent_of(SUITE, ToolCall("c", "get_order", None, raw))
    assert not found.tables
    assert not found.names
