"""Two applications in one server, each on a port of its own."""

from __future__ import annotations

from faultgym.envs.serving.control import ControlApp
from faultgym.envs.serving.service import ServiceApp
from faultgym.envs.serving.wire import Receive, Scope, Send


class Ports:
    """The ASGI application of a server that listens on two ports: agents on one, the control plane on the other.

    One server has one event loop and one shutdown. The port is that of the socket which took the connection; nothing
    that a client sends has a say in it.

    Args:
        service: What agents reach, on every port but one.
        control: What that one port shows.
        control_port: Its number.
    """

    def __init__(self, service: ServiceApp, control: ControlApp, control_port: int):
        self._service = service
        self._control = control
        self._control_port = control_port

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One exchange (ASGI 3)."""
        _, port = scope.get("server") or ("", None)
        app = self._control if port == self._control_port else self._service
        await app(scope, receive, send)
