"""The service over a real socket: real uvicorn, real clients, the same faults as in process."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import suppress

import httpx
import pytest
import schemathesis
import uvicorn
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance

from faultgym.core.errors import UserError
from faultgym.envs.episode import Episode
from faultgym.envs.registry import suite_named
from faultgym.envs.serving import ServiceApp, SessionError
from faultgym.tools.exchange import HttpRequest
from faultgym.tools.faults.layer import FaultLayer
from faultgym.tools.faults.plan import FaultPlan
from faultgym.tools.session import exchange_http, http_site

SUITES = ("orders", "incidents")
EVERY = list(HealthCheck)


class Server:
    """A running uvicorn and a client for it."""

    def __init__(self, app: ServiceApp):
        self.app = app
        self._server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="critical", lifespan="on"))
        self._thread = threading.Thread(target=self._server.run, daemon=True)
        self._thread.start()
        while not self._server.started:
            assert self._thread.is_alive(), "uvicorn did not start"
        port = self._server.servers[0].sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self.client = httpx.Client(base_url=self.url, timeout=20)

    def session(self, **wanted: object) -> dict[str, str]:
        response = self.client.post("/sessions", json=wanted)
        assert response.status_code == 201, response.text
        found: dict[str, str] = response.json()
        return found

    def close(self) -> None:
        self.client.close()
        self._server.should_exit = True
        self._thread.join()


@pytest.fixture(scope="module", params=SUITES)
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    running = Server(ServiceApp(suite_named(request.param)))
    yield running
    running.close()


@pytest.fixture(scope="module")
def shop() -> Iterator[Server]:
    running = Server(ServiceApp(suite_named("orders")))
    yield running
    running.close()


def bearer(session: dict[str, str]) -> dict[str, str]:
    return {"Authorization": f"Bearer {session['access_token']}"}


def plan(kind: str, trigger: dict[str, object] | None = None, **rule: object) -> FaultPlan:
    return FaultPlan.from_rules(({"kind": kind, "trigger": trigger or {"nth": 1}, **rule},))


def order_of(session: dict[str, str], app: ServiceApp) -> str:
    world = app.episode(session["id"]).world
    found: str = world.db.execute("SELECT id FROM orders WHERE status = 'paid' LIMIT 1").fetchone()[0]
    return found


def test_a_socket_and_a_call_in_process_give_the_same_bytes(server: Server) -> None:
    session = server.session(id="same")
    episode = server.app.episode("same")
    suite = server.app.suite
    twin = Episode(episode.task)
    headers = {"authorization": f"Bearer {session['access_token']}"}
    response = server.client.get("/s/same/v1/openapi", headers=headers)
    request = HttpRequest("GET", "/v1/openapi", query={}, headers=headers)
    site = http_site(suite.service, "http", request)
    expected = exchange_http(twin.world, suite.service, FaultLayer(), site, request)
    assert (response.status_code, response.content) == (expected.status, expected.body)


def test_each_session_has_a_world_of_its_own(shop: Server) -> None:
    one, two = (shop.session(id=name, task="orders/order_status/dev/0") for name in ("one", "two"))
    order = order_of(one, shop.app)
    body = {"reason": "customer_request"}
    done = shop.client.post(f"/s/one/v1/orders/{order}/cancel", headers=bearer(one), json=body)
    assert done.status_code < 300, done.text
    read = shop.client.get(f"/s/two/v1/orders/{order}", headers=bearer(two)).json()
    assert read["status"] == "paid"


def test_a_request_without_a_token_is_refused_and_a_new_token_helps(server: Server) -> None:
    session = server.session(id="tokens")
    assert server.client.get("/s/tokens/v1/openapi").status_code == 401
    secret = {k: session[k] for k in ("client_id", "client_secret")}
    token = server.client.post("/s/tokens/v1/token", json=secret).json()["access_token"]
    assert server.client.get("/s/tokens/v1/openapi", headers={"Authorization": f"Bearer {token}"}).status_code == 200


def test_virtual_time_makes_a_token_expire(server: Server) -> None:
    session = server.session(id="old")
    server.client.post("/sessions/old/wait", json={"seconds": 4000})
    response = server.client.get("/s/old/v1/openapi", headers=bearer(session))
    assert response.status_code == 401
    assert response.headers["content-type"] == "application/problem+json"


def test_a_rate_limit_over_the_socket_ends_when_virtual_time_has_passed(shop: Server) -> None:
    shop.app.faults = plan("rate_limited")
    session = shop.session(id="limited")
    first = shop.client.get("/s/limited/v1/openapi", headers=bearer(session))
    assert first.status_code == 429
    shop.client.post("/sessions/limited/wait", json={"seconds": 600})
    assert shop.client.get("/s/limited/v1/openapi", headers=bearer(session)).status_code == 200


@pytest.mark.parametrize("kind", ["timeout", "reset", "partial_chunk"])
def test_a_lost_response_breaks_the_connection(shop: Server, kind: str) -> None:
    shop.app.faults = plan(kind)
    session = shop.session(id=kind)
    order = order_of(session, shop.app)
    with pytest.raises(httpx.TransportError):
        shop.client.get(f"/s/{kind}/v1/orders/{order}", headers=bearer(session))
    assert shop.client.get(f"/s/{kind}/v1/orders/{order}", headers=bearer(session)).status_code == 200


def test_a_write_whose_acknowledgement_is_lost_was_done_once_under_its_key(shop: Server) -> None:
    shop.app.faults = plan("lost_ack")
    session = shop.session(id="lost", task="orders/order_status/dev/0")
    order = order_of(session, shop.app)
    headers = {**bearer(session), "Idempotency-Key": "k1"}
    body = {"reason": "customer_request"}
    with suppress(httpx.TransportError):
        assert shop.client.post(f"/s/lost/v1/orders/{order}/cancel", headers=headers, json=body).status_code == 500
    again = shop.client.post(f"/s/lost/v1/orders/{order}/cancel", headers=headers, json=body)
    assert again.headers["idempotent-replayed"] == "true"
    effects = shop.client.get("/sessions/lost").json()["effects"]
    assert [e["key"] for e in effects if e["kind"] == "cancel_order"] == [order]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/sessions", b"{"),
        ("POST", "/sessions", b"[]"),
        ("POST", "/sessions", b'{"task": "orders/nothing/dev/0"}'),
        ("POST", "/sessions", b'{"faults": "mild-ish"}'),
        ("POST", "/sessions", b'{"faults": 3}'),
        ("POST", "/sessions", b'{"seed": "x"}'),
        ("POST", "/sessions/nobody/wait", b'{"seconds": 1}'),
        ("GET", "/sessions/nobody", b""),
    ],
)
def test_wrong_input_is_refused_with_a_problem_document(shop: Server, method: str, path: str, body: bytes) -> None:
    response = shop.client.request(method, path, content=body)
    assert response.status_code == 400
    assert response.json()["detail"]


def test_an_id_never_returns_once_its_session_is_deleted(shop: Server) -> None:
    one, two = shop.session(), shop.session()
    assert shop.client.delete(f"/sessions/{one['id']}").status_code == 204
    assert shop.session()["id"] not in (one["id"], two["id"])
    for answer in (
        shop.client.post("/sessions", json={"id": one["id"]}),
        shop.client.get(f"/sessions/{one['id']}"),
        shop.client.get(f"/s/{one['id']}/v1/openapi"),
    ):
        assert answer.status_code == 410
        assert "never returns" in answer.json()["detail"]


def test_an_id_in_use_is_refused_and_its_session_goes_on(shop: Server) -> None:
    session = shop.session(id="taken")
    answer = shop.client.post("/sessions", json={"id": "taken"})
    assert answer.status_code == 409
    assert "in use" in answer.json()["detail"]
    assert shop.client.get("/sessions/taken").json()["task"] == session["task"]


def test_the_session_unused_for_longest_is_evicted_and_says_so() -> None:
    app = ServiceApp(suite_named("orders"), max_sessions=2)
    for name in ("a", "b"):
        app.open({"id": name})
    app.episode("a")
    app.open({"id": "c"})
    assert app.episode("a")
    with pytest.raises(SessionError, match="'b' is closed"):
        app.episode("b")


def test_an_application_that_may_keep_no_session_is_refused() -> None:
    with pytest.raises(UserError, match="max_sessions must be at least 1, not 0"):
        ServiceApp(suite_named("orders"), max_sessions=0)


@pytest.mark.parametrize("name", ["x" * 101, ""])
def test_a_path_without_a_usable_id_is_refused_not_raised(shop: Server, name: str) -> None:
    answer = shop.client.get(f"/s/{name}/v1/openapi")
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.slow
@pytest.mark.parametrize("mode", list(GenerationMode)[:2], ids=lambda mode: str(mode.value))
def test_schemathesis_finds_nothing_wrong_with_the_service(server: Server, mode: GenerationMode) -> None:
    session = server.session(id=f"fuzz-{mode.value}")
    schema = schemathesis.openapi.from_dict(server.client.get("/openapi.json").json())
    base = f"{server.url}{session['base_url']}"
    for found in schema.get_all_operations():
        operation = found.ok()

        @given(case=operation.as_strategy(generation_mode=mode))
        @settings(max_examples=6, deadline=None, derandomize=True, phases=[Phase.generate], suppress_health_check=EVERY)
        def check(case: schemathesis.Case) -> None:
            # A cursor is opaque: one that the service never gave fits the schema and is refused all the same.
            opaque = [positive_data_acceptance] if "cursor" in (case.query or {}) else []
            case.call_and_validate(base_url=base, headers=bearer(session), excluded_checks=opaque)

        check()
