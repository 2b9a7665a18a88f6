"""The libraries that clients are made of: httpx as it is, requests with urllib3's retries."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
import requests
from helpers.serving import TASK, HandClock, Server, bearer, order_of, plan
from requests.adapters import HTTPAdapter
from urllib3.response import BaseHTTPResponse
from urllib3.util.retry import Retry

RETRIED = (429, 500, 502, 503, 504)


class PatientRetry(Retry):
    """urllib3's retries, which wait by the server's clock and not by the machine's."""

    clock = HandClock()

    def sleep_for_retry(self, response: BaseHTTPResponse) -> bool:
        """Wait as long as Retry-After asks; urllib3 has read it."""
        seconds = self.get_retry_after(response)
        type(self).clock.now += seconds or 0
        return bool(seconds)


@pytest.fixture(scope="module")
def real() -> Iterator[Server]:
    running = Server("orders", clock=PatientRetry.clock)
    yield running
    running.close()


def retrying(**options: object) -> requests.Session:
    """A session of requests that tries again three times."""
    client = requests.Session()
    retry = PatientRetry(total=3, status_forcelist=RETRIED, **options)
    client.mount("http://", HTTPAdapter(max_retries=retry))
    return client


@pytest.mark.parametrize(("kind", "seconds"), [("rate_limited", 30), ("unavailable", 60)])
@pytest.mark.parametrize("seed", range(3))  # Retry-After as seconds, and as a date
def test_urllib3_waits_once_and_as_long_as_it_was_told(real: Server, kind: str, seconds: int, seed: int) -> None:
    session = real.session(faults=plan(kind), seed=seed)
    began = PatientRetry.clock.now
    with retrying() as client:
        answer = client.get(f"{session['base_url']}/v1/openapi", headers=bearer(session), timeout=20)
    assert answer.status_code == 200
    assert PatientRetry.clock.now - began == seconds
    assert real.control.get(f"/sessions/{session['id']}").json()["requests"] == 2


@pytest.mark.parametrize("kind", ["reset", "timeout", "server_error", "bad_gateway", "gateway_timeout"])
def test_urllib3_gets_past_what_a_repeat_gets_past(shop: Server, kind: str) -> None:
    session = shop.session(faults=plan(kind))
    url = f"{session['base_url']}/v1/orders/{order_of(shop, session)}"
    with retrying() as client:
        assert client.get(url, headers=bearer(session), timeout=20).json()["id"] in url


def test_urllib3_does_a_write_once_whose_acknowledgement_was_lost(shop: Server) -> None:
    session = shop.session(task=TASK, faults=plan("lost_ack"))
    order = order_of(shop, session)
    with retrying(allowed_methods=None) as client:
        answer = client.post(
            f"{session['base_url']}/v1/orders/{order}/cancel",
            headers={**bearer(session), "Idempotency-Key": "k1"},
            json={"reason": "customer_request"},
            timeout=20,
        )
    assert answer.headers["idempotent-replayed"] == "true"
    effects = shop.control.get(f"/sessions/{session['id']}").json()["effects"]
    assert [effect["key"] for effect in effects] == [order]


@pytest.mark.parametrize("library", ["httpx", "requests"])
def test_a_client_that_follows_a_redirect_stays_in_its_session_and_keeps_its_token(shop: Server, library: str) -> None:
    session = shop.session(task=TASK, faults=plan("redirect"))
    order = order_of(shop, session)
    url = f"{session['base_url']}/v1/orders/{order}"
    if library == "httpx":
        found = httpx.get(url, headers=bearer(session), follow_redirects=True)
        reached, body = str(found.url), found.json()
    else:
        again = requests.get(url, headers=bearer(session), timeout=20)
        reached, body = again.url, again.json()
    assert (reached, body["id"]) == (f"{session['base_url']}/v2/orders/{order}", order)


def test_a_client_that_follows_a_link_stays_in_its_session(shop: Server) -> None:
    session = shop.session(task=TASK, faults=plan("gone"))
    order = order_of(shop, session)
    answer = requests.get(f"{session['base_url']}/v1/orders/{order}", headers=bearer(session), timeout=20)
    url = requests.compat.urljoin(answer.url, answer.links["successor-version"]["url"])
    assert url == f"{session['base_url']}/v2/orders/{order}"
    assert requests.get(url, headers=bearer(session), timeout=20).json()["id"] == order


@pytest.mark.parametrize(
    ("kind", "error"),
    [("timeout", httpx.ReadTimeout), ("reset", httpx.ReadError), ("partial_chunk", httpx.RemoteProtocolError)],
)
def test_httpx_tells_silence_a_reset_and_a_cut_body_apart(real: Server, kind: str, error: type[Exception]) -> None:
    session = real.session(faults=plan(kind))
    with pytest.raises(error) as raised:
        httpx.get(f"{session['base_url']}/v1/orders/{order_of(real, session)}", headers=bearer(session), timeout=0.3)
    assert raised.type is error


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("timeout", requests.ReadTimeout),
        ("reset", requests.ConnectionError),
        ("partial_chunk", requests.exceptions.ChunkedEncodingError),
    ],
)
def test_requests_tells_silence_a_reset_and_a_cut_body_apart(real: Server, kind: str, error: type[Exception]) -> None:
    session = real.session(faults=plan(kind))
    with pytest.raises(error) as raised:
        requests.get(f"{session['base_url']}/v1/orders/{order_of(real, session)}", headers=bearer(session), timeout=0.3)
    assert raised.type is error


def test_a_login_by_the_challenge_works_for_a_client_that_gets_its_token_itself(shop: Server) -> None:
    """An httpx.Auth as applications write them: at a 401 for the token, a new one and the request once more."""
    session = shop.session()
    secret = {name: session[name] for name in ("client_id", "client_secret")}
    base = session["base_url"]

    class Login(httpx.Auth):
        requires_response_body = True

        def auth_flow(self, request: httpx.Request) -> Iterator[httpx.Request]:
            request.headers["Authorization"] = "Bearer tok-old"
            refused = yield request
            assert 'error="invalid_token"' in refused.headers["www-authenticate"]
            answer = yield httpx.Request("POST", f"{base}/v1/token", json=secret)
            request.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
            yield request

    assert httpx.get(f"{base}/v1/openapi", auth=Login()).status_code == 200
