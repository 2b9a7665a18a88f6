"""What real clients see of a response: HEAD, dates, places, silence and resets."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Iterator
from datetime import timedelta
from email.utils import parsedate_to_datetime

import httpx
import pytest
from helpers.serving import TASK, HandClock, Server, bearer, order_of, plan

from faultgym.envs.registry import task_by_id
from faultgym.envs.serving.wire import Wire
from faultgym.envs.worlds.world import EPOCH
from faultgym.tools.exchange import HttpResponse

PATIENCE = 0.25
"""Seconds after which a client of these tests gives up."""


@pytest.fixture(scope="module")
def clock() -> HandClock:
    return HandClock()


@pytest.fixture(scope="module")
def real(clock: HandClock) -> Iterator[Server]:
    """A server whose worlds' time passes as a clock does."""
    running = Server("orders", clock=clock)
    yield running
    running.close()


def asked(server: Server, session: dict[str, str], method: str = "GET") -> bytes:
    """The request for an order, as it goes over the wire."""
    path = f"{httpx.URL(session['base_url']).path}/v1/orders/{order_of(server, session)}"
    token = bearer(session)["Authorization"]
    return f"{method} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: {token}\r\n\r\n".encode()


def connection(server: Server) -> socket.socket:
    at = server.agent.base_url
    return socket.create_connection((at.host, at.port or 80), timeout=PATIENCE)


@pytest.mark.parametrize("path", ["/v1/openapi", "/v1/nothing", "/v1/token"])
def test_a_head_has_the_headers_of_a_get_and_no_body(server: Server, path: str) -> None:
    session = server.session()
    get, head = (server.agent.request(m, session["base_url"] + path, headers=bearer(session)) for m in ("GET", "HEAD"))
    assert (head.status_code, head.content) == (get.status_code, b"")
    if path != "/v1/nothing":  # whose text names the method
        assert dict(head.headers) == dict(get.headers)


def test_a_head_of_a_row_has_its_etag(shop: Server) -> None:
    session = shop.session(task=TASK)
    url = f"{session['base_url']}/v1/orders/{order_of(shop, session)}"
    assert shop.agent.head(url, headers=bearer(session)).headers["etag"] == '"1"'


def test_who_only_asked_for_the_headers_has_seen_no_value(shop: Server) -> None:
    verdicts = []
    for method in ("GET", "HEAD"):
        session = shop.session(task=TASK)
        order = task_by_id(TASK).params["order_id"]
        row = shop.world(session).db.execute("SELECT status FROM orders WHERE id = ?", (order,)).fetchone()
        shop.agent.request(method, f"{session['base_url']}/v1/orders/{order}", headers=bearer(session))
        answer = {"outcome": "answered", "fields": {"status": row[0]}, "message": ""}
        verdicts.append(shop.control.post(f"/sessions/{session['id']}/verdict", json=answer).json()["success"])
    assert verdicts == [True, False]


def test_a_body_cut_short_is_whole_where_none_is_sent(shop: Server) -> None:
    session = shop.session(faults=plan("partial_chunk"))
    url = f"{session['base_url']}/v1/orders/{order_of(shop, session)}"
    assert shop.agent.head(url, headers=bearer(session)).status_code == 200
    assert shop.control.get(f"/sessions/{session['id']}").json()["fired"][0]["kind"] == "partial_chunk"


def test_the_date_is_the_worlds_time(server: Server) -> None:
    session = server.session()
    server.control.post(f"/sessions/{session['id']}/wait", json={"seconds": 90.5})
    answer = server.agent.get(f"{session['base_url']}/v1/openapi", headers=bearer(session))
    assert answer.headers["date"] == "Mon, 02 Mar 2026 09:01:30 GMT"


@pytest.mark.parametrize("kind", ["rate_limited", "unavailable"])
def test_in_virtual_time_a_date_to_retry_after_agrees_with_the_date(shop: Server, kind: str) -> None:
    forms = set()
    for seed in range(6):
        session = shop.session(seed=seed, faults=plan(kind, retry_after=40))
        headers = shop.agent.get(f"{session['base_url']}/v1/openapi", headers=bearer(session)).headers
        after = headers["retry-after"]
        forms.add(after.isdigit())
        if not after.isdigit():
            wait = parsedate_to_datetime(after) - parsedate_to_datetime(headers["date"])
            after = str(int(wait.total_seconds()))
        assert after == "40"
    assert forms == {True, False}


@pytest.mark.parametrize("kind", ["rate_limited", "unavailable"])
def test_in_real_time_the_wait_is_in_seconds_and_grows_shorter(real: Server, clock: HandClock, kind: str) -> None:
    for seed in range(6):
        session = real.session(seed=seed, faults=plan(kind, retry_after=40))
        waits = []
        for _ in range(3):
            answer = real.agent.get(f"{session['base_url']}/v1/openapi", headers=bearer(session))
            waits.append(answer.headers.get("retry-after"))
            clock.now += 25
        assert waits == ["40", "15", None]


@pytest.mark.parametrize(("after", "sent"), [(0.2, "1"), (3.5, "4"), (0, "1"), (-90, "1")])
def test_a_date_to_retry_after_becomes_whole_seconds_above_none(after: float, sent: str) -> None:
    until = EPOCH + timedelta(seconds=100)
    wire = Wire("/s/x", now=until - timedelta(seconds=after), real_time=True)
    headers = wire.headers(HttpResponse(429, {"retry-after": "Mon, 02 Mar 2026 09:01:40 GMT"}))
    assert headers["retry-after"] == sent


@pytest.mark.parametrize("kind", ["timeout", "slow"])
def test_what_is_late_is_silent_in_real_time(real: Server, kind: str) -> None:
    session = real.session(faults=plan(kind))
    with connection(real) as client:
        client.sendall(asked(real, session))
        with pytest.raises(TimeoutError):
            client.recv(1)


def test_what_is_reset_is_reset(real: Server) -> None:
    session = real.session(faults=plan("reset"))
    with connection(real) as client:
        client.sendall(asked(real, session))
        with pytest.raises(ConnectionResetError):
            client.recv(1)


def test_in_virtual_time_nobody_waits_for_a_timeout_which_is_an_end_and_no_reset(shop: Server) -> None:
    session = shop.session(faults=plan("timeout"))
    with connection(shop) as client:
        client.sendall(asked(shop, session))
        assert client.recv(1) == b""


def test_in_real_time_a_slow_response_comes_as_late_as_it_says_and_no_time_is_skipped(
    real: Server, clock: HandClock
) -> None:
    session = real.session(faults=plan("slow", seconds=0.1))
    url = f"{session['base_url']}/v1/openapi"
    began = time.monotonic()
    assert real.agent.get(url, headers=bearer(session)).status_code == 200
    assert time.monotonic() - began >= 0.1
    assert real.world(session).clock.now == 0


def test_a_client_that_gives_up_waiting_leaves_no_error_and_may_ask_again(
    real: Server, caplog: pytest.LogCaptureFixture
) -> None:
    session = real.session(faults=plan("timeout"))
    with connection(real) as client:
        client.sendall(asked(real, session))
        with pytest.raises(TimeoutError):
            client.recv(1)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    url = f"{session['base_url']}/v1/openapi"
    assert real.agent.get(url, headers=bearer(session)).status_code == 200
    assert not caplog.records


@pytest.mark.slow
def test_a_server_that_stops_ends_what_is_silent_without_an_error(caplog: pytest.LogCaptureFixture) -> None:
    running = Server("orders", clock=HandClock())
    session = running.session(faults=plan("timeout"))
    with connection(running) as client:
        client.sendall(asked(running, session))
        running.agent.get(f"{session['base_url']}/v1/openapi")  # the server has taken up what came before
        running.close()
        client.settimeout(10)
        assert client.recv(1) == b""
    assert not [record for record in caplog.records if record.exc_info]


def test_a_sessions_time_begins_with_its_agents_first_request(real: Server, clock: HandClock) -> None:
    session = real.session()
    clock.now += 4000  # longer than a token lives
    real.control.get(f"/sessions/{session['id']}")
    clock.now += 4000
    url = f"{session['base_url']}/v1/openapi"
    assert real.agent.get(url, headers=bearer(session)).status_code == 200
    clock.now += 3601
    assert real.agent.get(url, headers=bearer(session)).status_code == 401
