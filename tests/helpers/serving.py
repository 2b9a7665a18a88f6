"""What the tests of the served service share: a real uvicorn on both ports, and clients for it."""

from __future__ import annotations

import socket
import threading
from typing import Any

import httpx
import orjson

from faultgym.cli.serve import listen, port_of, server_of, url_of
from faultgym.envs.registry import suite_named
from faultgym.envs.serving import ControlApp, Ports, ServiceApp
from faultgym.envs.worlds.world import World
from faultgym.tools.faults.plan import FaultPlan

KEY = "a-key-of-the-tests"
TASK = "orders/order_status/dev/0"


class Server:
    """A running server: `agent` knows no key, `control` brings it."""

    def __init__(self, suite: str, **options: Any):
        listeners = [listen("127.0.0.1", 0, "--port"), listen("127.0.0.1", 0, "--control-port")]
        self.app = ServiceApp(suite_named(suite), url=url_of(listeners[0]), **options)
        self._server = server_of(Ports(self.app, ControlApp(self.app.sessions, KEY), port_of(listeners)))
        self._thread = threading.Thread(target=self._server.run, args=(listeners,), daemon=True)
        self._thread.start()
        self.agent = httpx.Client(base_url=url_of(listeners[0]), timeout=20)
        self.control = httpx.Client(
            base_url=url_of(listeners[1]), timeout=20, headers={"Authorization": f"Bearer {KEY}"}
        )

    def session(self, **wanted: object) -> dict[str, str]:
        """Open a session through the control plane."""
        response = self.control.post("/sessions", json=wanted)
        assert response.status_code == 201, response.text
        found: dict[str, str] = response.json()
        return found

    def world(self, session: dict[str, str]) -> World:
        """The world of a session, to look into."""
        return self.app.sessions.named(session["id"]).world

    def close(self) -> None:
        """Stop the server as Ctrl-C does."""
        self.agent.close()
        self.control.close()
        self._server.should_exit = True
        self._thread.join()


def bearer(session: dict[str, str]) -> dict[str, str]:
    """The header that the session's own service wants."""
    return {"Authorization": f"Bearer {session['access_token']}"}


def plan(kind: str, **params: object) -> dict[str, object]:
    """A plan whose fault strikes first, as a client sends it."""
    rule = {"kind": kind, "trigger": {"nth": 1}, "params": params}
    found: dict[str, object] = orjson.loads(FaultPlan.from_rules((rule,)).to_json())
    return found


def order_of(server: Server, session: dict[str, str]) -> str:
    """An order of the session's world that can be cancelled."""
    row = server.world(session).db.execute("SELECT id FROM orders WHERE status = 'paid' LIMIT 1").fetchone()
    return str(row[0])


def raw(url: str, request: bytes, *, give_up: bool = False) -> bytes:
    """What a server answers to bytes that no client library would send, up to where it closes.

    Args:
        url: Where to.
        request: The bytes.
        give_up: Whether to close at once, without reading.
    """
    at = httpx.URL(url)
    reply = b""
    with socket.create_connection((at.host, at.port or 80), timeout=20) as connection:
        connection.sendall(request)
        while not give_up and (chunk := connection.recv(65536)):
            reply += chunk
    return reply


class HandClock:
    """A clock that goes on when it is told to: real time for the server, and none for the tests."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now
