"""What a hostile or clumsy client of the agents' port cannot do: see the control plane, or another's session."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import httpx
import pytest
from helpers.serving import KEY, TASK, Server, bearer, order_of, raw

from faultgym.envs.registry import suite_named
from faultgym.envs.serving import ServiceApp

NOTHING = "no session has this base URL: use the one that you were given"
OUTSIDE = [
    "/",
    "//",
    "/s",
    "/s/",
    "/s//",
    "/S/SECRET/v1/openapi",
    "//s/SECRET/v1/openapi",
    "/./s/SECRET/v1/openapi",
    "/s//SECRET/v1/openapi",
    "/s/./SECRET/v1/openapi",
    "/s/SECRET%20/v1/openapi",
    "/s/SECRET%00/v1/openapi",
    "/s/SECRE/v1/openapi",
    "/s/theirs/v1/openapi",
    "/s/default/v1/openapi",
    "/s/%2e%2e/sessions",
    "/s/../sessions/theirs",
    "/sessions",
    "/sessions/theirs",
    "/sessions/theirs/wait",
    "/sessions/theirs/verdict",
    "/openapi.json",
    "/docs",
    "/%73essions/theirs",
    f"/s/{'x' * 20_000}/v1/openapi",
    "/s/%ff%fe/v1/openapi",
]
INSIDE = ["/../sessions/theirs", "/..%2f..%2fsessions%2ftheirs", "/../OTHER/v1/openapi", "/%2e%2e/OTHER/v1/openapi", ""]


def sent(server: Server, line: str, *headers: str) -> tuple[int, bytes]:
    """Status and body of the answer to a request whose first line is written as it stands."""
    head = "\r\n".join([f"{line} HTTP/1.1", "Host: x", "Connection: close", *headers, "", ""])
    reply, _, body = raw(str(server.agent.base_url), head.encode()).partition(b"\r\n\r\n")
    return int(reply.split()[1]), body


def secret(session: dict[str, str]) -> str:
    return session["base_url"].rpartition("/")[2]


@pytest.fixture(scope="module")
def theirs(shop: Server) -> dict[str, str]:
    return shop.session(id="theirs", task=TASK)


@pytest.mark.parametrize("path", OUTSIDE, ids=lambda path: path[:40])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_whatever_no_secret_leads_to_has_one_answer(
    shop: Server, theirs: dict[str, str], method: str, path: str
) -> None:
    line = f"{method} {path.replace('SECRET', secret(theirs))}"
    status, body = sent(shop, line, f"Authorization: Bearer {theirs['access_token']}", "Content-Length: 0")
    assert status == 404
    assert (status, body) == sent(shop, "GET /s/nobody/v1/openapi")
    assert NOTHING in body.decode()


@pytest.mark.parametrize("path", INSIDE)
def test_a_path_below_ones_own_base_url_stays_there(shop: Server, theirs: dict[str, str], path: str) -> None:
    mine = shop.session(task=TASK)
    line = f"GET /s/{secret(mine)}{path.replace('OTHER', secret(theirs))}"
    status, body = sent(shop, line, f"Authorization: Bearer {mine['access_token']}")
    assert status == 404
    assert b"no route GET /" in body
    assert shop.control.get(f"/sessions/{mine['id']}").json()["requests"] == 1


def test_a_request_target_with_a_host_leads_where_its_path_does(shop: Server, theirs: dict[str, str]) -> None:
    header = f"Authorization: Bearer {theirs['access_token']}"
    assert sent(shop, f"GET http://elsewhere/s/{secret(theirs)}/v1/openapi", header)[0] == 200
    assert sent(shop, "GET http://elsewhere/sessions/theirs", f"Authorization: Bearer {KEY}")[0] == 404


@pytest.mark.parametrize(
    "request_",
    [
        b"OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /s/a b HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Key: eDEyMw==\r\nSec-WebSocket-Version: 13\r\n\r\n",
    ],
    ids=["star", "connect", "space", "old", "tls", "websocket"],
)
def test_what_is_no_request_for_a_service_breaks_nothing(
    shop: Server, theirs: dict[str, str], caplog: pytest.LogCaptureFixture, request_: bytes
) -> None:
    reply = raw(str(shop.agent.base_url), request_ + b"\r\n", give_up=b"Upgrade" in request_)
    assert not reply or reply.split()[1] in (b"400", b"404")
    answer = shop.agent.get(f"{theirs['base_url']}/v1/openapi", headers=bearer(theirs))
    assert answer.status_code == 200
    assert not [record for record in caplog.records if record.exc_info]


def test_the_key_opens_nothing_on_the_agents_port(shop: Server, theirs: dict[str, str]) -> None:
    header = {"Authorization": f"Bearer {KEY}"}
    assert shop.agent.get("/sessions/theirs", headers=header).status_code == 404
    assert shop.agent.post("/sessions", headers=header, json={}).status_code == 404
    assert shop.agent.delete("/sessions/theirs", headers=header).status_code == 404
    assert shop.control.get("/sessions/theirs").status_code == 200


@pytest.mark.parametrize("header", ["X-Forwarded-Port", "X-Forwarded-Host", "X-Original-URL", "X-Rewrite-URL", "Host"])
def test_no_header_turns_the_agents_port_into_the_control_plane(
    shop: Server, theirs: dict[str, str], header: str
) -> None:
    at = shop.control.base_url
    value = "/sessions/theirs" if "URL" in header else f"{at.host}:{at.port}"
    answer = shop.agent.get("/sessions/theirs", headers={"Authorization": f"Bearer {KEY}", header: value})
    assert answer.status_code == 404


def test_one_connection_serves_two_sessions_without_mixing_them(shop: Server) -> None:
    sessions = [shop.session(task=TASK) for _ in range(2)]
    order = order_of(shop, sessions[0])
    first, second = (f"{session['base_url']}/v1/orders/{order}" for session in sessions)
    with httpx.Client(limits=httpx.Limits(max_connections=1)) as client:
        client.post(f"{first}/cancel", headers=bearer(sessions[0]), json={"reason": "customer_request"})
        read = [client.get(url, headers=bearer(sessions[0])).json()["status"] for url in (first, second, first)]
    assert read == ["cancelled", "paid", "cancelled"]


@pytest.mark.slow
def test_two_hundred_sessions_at_once_each_see_their_own_writes(shop: Server) -> None:
    sessions = [shop.session(task=TASK) for _ in range(200)]
    order = order_of(shop, sessions[0])
    headers = bearer(sessions[0])

    async def use(client: httpx.AsyncClient, number: int) -> str:
        url = f"{sessions[number]['base_url']}/v1/orders/{order}"
        if number % 2:
            await client.post(f"{url}/cancel", headers=headers, json={"reason": "customer_request"})
        return str((await client.get(url, headers=headers)).json()["status"])

    async def use_all() -> list[str]:
        async with httpx.AsyncClient(timeout=60, limits=httpx.Limits(max_connections=None)) as client:
            return list(await asyncio.gather(*(use(client, n) for n in range(200))))

    assert asyncio.run(use_all()) == ["paid", "cancelled"] * 100


def test_a_base_url_follows_from_nothing_that_a_client_knows() -> None:
    same: Callable[[], ServiceApp] = lambda: ServiceApp(suite_named("orders"), seed=1)  # noqa: E731
    first, second = (same().open({"id": "same", "task": TASK}) for _ in range(2))
    assert {**first, "base_url": ""} == {**second, "base_url": ""}
    assert first["base_url"] != second["base_url"]
    assert len(secret(first)) == 32


def test_the_secret_of_a_closed_session_says_so_and_leads_nowhere(shop: Server) -> None:
    session = shop.session()
    assert shop.control.delete(f"/sessions/{session['id']}").status_code == 204
    answer = shop.agent.get(f"{session['base_url']}/v1/openapi", headers=bearer(session))
    assert answer.status_code == 410
    assert answer.json()["detail"] == "this session is closed: ask whoever opened it for a new base URL"
