"""The service over a real socket: real uvicorn, real clients, the same faults as in process."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import httpx
import pytest
import schemathesis
from helpers.serving import TASK, Server, bearer, order_of, plan, raw
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance

from faultgym.envs.episode import Episode, run_reference
from faultgym.envs.reference.run import closing_turn
from faultgym.envs.registry import suite_named
from faultgym.envs.serving import ServiceApp, service
from faultgym.tools.exchange import HttpRequest
from faultgym.tools.faults.layer import FaultLayer
from faultgym.tools.session import exchange_http, http_site

EVERY = list(HealthCheck)


def test_a_socket_and_a_call_in_process_give_the_same_bytes(server: Server) -> None:
    session = server.session(id="same")
    suite = server.app.sessions.suite
    twin = Episode(server.app.sessions.named("same").task)
    headers = {"authorization": f"Bearer {session['access_token']}"}
    response = server.agent.get(f"{session['base_url']}/v1/openapi", headers=headers)
    request = HttpRequest("GET", "/v1/openapi", query={}, headers=headers)
    site = http_site(suite.service, "http", request)
    expected = exchange_http(twin.world, suite.service, FaultLayer(), site, request)
    assert (response.status_code, response.content) == (expected.status, expected.body)
    added = {"content-length": str(len(expected.body)), "date": "Mon, 02 Mar 2026 09:00:00 GMT"}
    assert dict(response.headers) == {**expected.headers, **added}


def test_each_session_has_a_world_of_its_own(shop: Server) -> None:
    one, two = (shop.session(task=TASK) for _ in range(2))
    order = order_of(shop, one)
    body = {"reason": "customer_request"}
    done = shop.agent.post(f"{one['base_url']}/v1/orders/{order}/cancel", headers=bearer(one), json=body)
    assert done.status_code < 300, done.text
    read = shop.agent.get(f"{two['base_url']}/v1/orders/{order}", headers=bearer(two)).json()
    assert read["status"] == "paid"


def test_a_request_without_a_token_is_refused_and_a_new_token_helps(server: Server) -> None:
    session = server.session()
    base = session["base_url"]
    assert server.agent.get(f"{base}/v1/openapi").status_code == 401
    secret = {k: session[k] for k in ("client_id", "client_secret")}
    token = server.agent.post(f"{base}/v1/token", json=secret).json()["access_token"]
    assert server.agent.get(f"{base}/v1/openapi", headers={"Authorization": f"Bearer {token}"}).status_code == 200


def test_virtual_time_makes_a_token_expire(server: Server) -> None:
    session = server.session(id="old")
    server.control.post("/sessions/old/wait", json={"seconds": 4000})
    response = server.agent.get(f"{session['base_url']}/v1/openapi", headers=bearer(session))
    assert response.status_code == 401
    assert response.headers["content-type"] == "application/problem+json"


def test_a_rate_limit_over_the_socket_ends_when_virtual_time_has_passed(shop: Server) -> None:
    session = shop.session(id="limited", faults=plan("rate_limited"))
    url = f"{session['base_url']}/v1/openapi"
    assert shop.agent.get(url, headers=bearer(session)).status_code == 429
    shop.control.post("/sessions/limited/wait", json={"seconds": 600})
    assert shop.agent.get(url, headers=bearer(session)).status_code == 200


def test_on_a_clock_a_rate_limit_ends_for_a_client_that_only_waited() -> None:
    now = [100.0]
    app = ServiceApp(suite_named("orders"), clock=lambda: now[0])
    session = app.open({"faults": plan("rate_limited")})
    secret = session["base_url"].removeprefix("/s/")
    opened = app.sessions.reached(secret).world.clock.now
    now[0] += 600
    assert app.sessions.reached(secret).world.clock.now == opened + 600
    now[0] -= 50
    assert app.sessions.reached(secret).world.clock.now == opened + 600


@pytest.mark.parametrize("kind", ["timeout", "reset", "partial_chunk"])
def test_a_lost_response_breaks_the_connection_and_is_no_error_of_the_server(
    shop: Server, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    session = shop.session(faults=plan(kind))
    url = f"{session['base_url']}/v1/orders/{order_of(shop, session)}"
    with pytest.raises(httpx.TransportError):
        shop.agent.get(url, headers=bearer(session))
    assert shop.agent.get(url, headers=bearer(session)).status_code == 200
    assert not caplog.records


@pytest.mark.parametrize("kind", ["timeout", "reset", "partial_chunk"])
def test_what_a_client_sent_behind_a_lost_response_is_lost_too(
    shop: Server, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    session = shop.session(id=f"pipelined-{kind}", faults=plan(kind))
    path = f"{httpx.URL(session['base_url']).path}/v1/orders/{order_of(shop, session)}"
    request = f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: {bearer(session)['Authorization']}\r\n\r\n"
    with suppress(ConnectionResetError):
        assert raw(session["base_url"], (request * 3).encode()).count(b"HTTP/1.1") == (kind == "partial_chunk")
    assert shop.control.get(f"/sessions/pipelined-{kind}").json()["requests"] == 1
    assert not caplog.records


def test_a_write_whose_acknowledgement_is_lost_was_done_once_under_its_key(shop: Server) -> None:
    session = shop.session(id="lost", task=TASK, faults=plan("lost_ack"))
    order = order_of(shop, session)
    url = f"{session['base_url']}/v1/orders/{order}/cancel"
    headers = {**bearer(session), "Idempotency-Key": "k1"}
    body = {"reason": "customer_request"}
    with suppress(httpx.TransportError):
        assert shop.agent.post(url, headers=headers, json=body).status_code == 500
    again = shop.agent.post(url, headers=headers, json=body)
    assert again.headers["idempotent-replayed"] == "true"
    effects = shop.control.get("/sessions/lost").json()["effects"]
    assert [e["key"] for e in effects if e["kind"] == "cancel_order"] == [order]


@pytest.mark.parametrize("kind", ["redirect", "gone"])
def test_where_a_fault_points_to_lies_below_the_base_url(shop: Server, kind: str) -> None:
    session = shop.session(task=TASK, faults=plan(kind))
    order = order_of(shop, session)
    answer = shop.agent.get(f"{session['base_url']}/v1/orders/{order}", headers=bearer(session))
    path = answer.headers["location"] if kind == "redirect" else answer.links["successor-version"]["url"]
    assert f"{shop.agent.base_url}".rstrip("/") + path == f"{session['base_url']}/v2/orders/{order}"
    assert shop.agent.get(path, headers=bearer(session)).json()["id"] == order


def test_a_line_break_in_a_path_ends_no_header(shop: Server) -> None:
    session = shop.session(task=TASK, faults=plan("redirect"))
    answer = shop.agent.get(f"{session['base_url']}/v1/orders/ORD-1%0d%0aX-Mine: 1%e2%82%ac", headers=bearer(session))
    assert answer.status_code in (301, 307, 308)
    assert "x-mine" not in answer.headers
    assert answer.headers["location"].endswith("/v2/orders/ORD-1%0D%0AX-Mine%3A%201%E2%82%AC")


@pytest.mark.parametrize("method", ["OPTIONS", "TRACE", "DELETE"])
def test_a_method_that_the_service_lacks_is_its_own_refusal(shop: Server, method: str) -> None:
    session = shop.session()
    answer = shop.agent.request(method, f"{session['base_url']}/v1/openapi", headers=bearer(session))
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")
    assert shop.agent.get(f"{session['base_url']}/v1/openapi", headers=bearer(session)).status_code == 200


def test_a_body_beyond_the_limit_is_refused(shop: Server) -> None:
    session = shop.session()
    url = f"{session['base_url']}/v1/token"
    assert shop.agent.post(url, content=b"x" * (1 << 20)).status_code == 400
    assert shop.agent.post(url, content=b"x" * ((1 << 20) + 1)).status_code == 413


def test_a_head_beyond_the_limit_is_refused_and_the_server_goes_on(shop: Server) -> None:
    session = shop.session()
    path = httpx.URL(session["base_url"]).path
    asked = f"GET {path}/v1/openapi HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
    asked += f"Authorization: {bearer(session)['Authorization']}\r\n"
    assert raw(session["base_url"], f"{asked}X-Long: {'x' * 20_000}\r\n\r\n".encode()).startswith(b"HTTP/1.1 200")
    with suppress(ConnectionError):  # the refusal may be lost where the rest of the head is on its way
        assert raw(session["base_url"], f"{asked}X-Long: {'x' * (1 << 21)}\r\n\r\n".encode())[9:12] in (b"", b"400")
    assert shop.control.get(f"/sessions/{session['id']}").json()["requests"] == 1
    assert shop.agent.get(f"{session['base_url']}/v1/openapi", headers=bearer(session)).status_code == 200


def test_requests_beyond_those_that_are_kept_are_answered_and_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "MOST_RECORDS", 2)
    app = ServiceApp(suite_named("orders"))
    session = app.open({"task": "orders/unknown_order/dev/0"})
    episode = app.sessions.named(session["id"])

    async def ask(path: str) -> int:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://shop") as client:
            return (await client.get(f"{session['base_url']}{path}", headers=bearer(session))).status_code

    assert [asyncio.run(ask("/v1/openapi")) for _ in range(3)] == [200, 200, 200]
    assert asyncio.run(ask(f"/v1/orders/{episode.task.goal.about[0]}")) == 404
    assert (episode.calls, len(episode.turns), len(episode.records)) == (4, 2, 2)
    episode.step(closing_turn(run_reference(episode.task)[1], episode.answers))
    assert episode.verdict is not None
    assert episode.verdict.reason == "it said that there is none, without looking"  # what is not kept, nobody judges


def test_a_client_that_goes_before_its_body_is_whole_leaves_no_trace(
    shop: Server, caplog: pytest.LogCaptureFixture
) -> None:
    session = shop.session(id="killed")
    path = httpx.URL(session["base_url"]).path
    head = f"POST {path}/v1/token HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{{".encode()
    raw(session["base_url"], head, give_up=True)
    assert shop.agent.get(f"{session['base_url']}/v1/openapi", headers=bearer(session)).status_code == 200
    assert shop.control.get("/sessions/killed").json()["requests"] == 1
    assert not caplog.records


@pytest.mark.slow
@pytest.mark.parametrize("mode", list(GenerationMode)[:2], ids=lambda mode: str(mode.value))
def test_schemathesis_finds_nothing_wrong_with_the_service(server: Server, mode: GenerationMode) -> None:
    session = server.session(id=f"fuzz-{mode.value}")
    schema = schemathesis.openapi.from_dict(server.control.get("/openapi.json").json())
    for found in schema.get_all_operations():
        operation = found.ok()

        @given(case=operation.as_strategy(generation_mode=mode))
        @settings(max_examples=6, deadline=None, derandomize=True, phases=[Phase.generate], suppress_health_check=EVERY)
        def check(case: schemathesis.Case) -> None:
            # A cursor is opaque: one that the service never gave fits the schema and is refused all the same.
            opaque = [positive_data_acceptance] if "cursor" in (case.query or {}) else []
            case.call_and_validate(base_url=session["base_url"], headers=bearer(session), excluded_checks=opaque)

        check()
