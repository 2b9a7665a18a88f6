"""What an agent's tools work on during one episode: the world, the service and the fault layer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import orjson

from faultgym.core.bank import banked
from faultgym.core.values import maker
from faultgym.tools.channels.http.service import Operation, Service, ServiceError
from faultgym.tools.context import WorldView
from faultgym.tools.exchange import HttpRequest, HttpResponse
from faultgym.tools.faults.layer import FaultLayer
from faultgym.tools.faults.types import Site


class CallOutcome(NamedTuple):
    """What a tool's function gives back."""

    content: str
    """The text for the model."""
    code: str = "ok"
    tables: tuple[str, ...] = ()
    """The tables that the call was about; for the scorer."""
    write: bool = False
    """Whether the call was meant to change the world."""


_request = maker(HttpRequest)


class Session:
    """One agent's session, which keeps the bearer token as a browser keeps a cookie.

    Args:
        world: What the tools work on.
        service: The suite's routes.
        layer: The faults of the episode.
        token: The bearer token that is sent until another one is issued.
        sql_writes: Whether the SQL tool may write to the suite's writable tables in this task.
    """

    __slots__ = ("layer", "service", "sql_writes", "token", "world")

    def __init__(
        self,
        world: WorldView,
        service: Service,
        layer: FaultLayer,
        *,
        token: str = "",
        sql_writes: bool = False,
    ):
        self.world = world
        self.service = service
        self.layer = layer
        self.token = token
        """Sent with every request that has no Authorization header of its own."""
        self.sql_writes = sql_writes
        """Whether the SQL tool may write to the suite's writable tables in this task."""

    def send(self, tool: str, request: HttpRequest) -> tuple[HttpResponse, Site]:
        """Send a request through the fault layer, and keep the token that a token request gives.

        Args:
            tool: The tool that the model called; faults can be aimed at it.
            request: The request; without an Authorization header, the session's token is added.

        Returns:
            The response as the faults leave it, and the site at which it passed them.
        """
        if self.token and "authorization" not in request.headers:
            headers = {**request.headers, "authorization": f"Bearer {self.token}"}
            request = _request(request.method, request.path, query=request.query, headers=headers, body=request.body)
        site = http_site(self.service, tool, request)
        response = exchange_http(self.world, self.service, self.layer, site, request)
        if site.route == "issue_token" and response.status == 201:
            self._keep_token(response.body)
        return response, site

    def _keep_token(self, body: bytes) -> None:
        try:
            token = orjson.loads(body)["access_token"]
        except (orjson.JSONDecodeError, KeyError, TypeError):
            return
        if isinstance(token, str):
            self.token = token


def exchange_http(
    world: WorldView, service: Service, layer: FaultLayer, site: Site, request: HttpRequest
) -> HttpResponse:
    """The service's reply as the fault layer lets it through; in process and over a socket alike.

    Args:
        world: The world that the service reads and changes.
        service: The suite's routes.
        layer: The faults of the episode.
        site: Where the request passes the layer, as `http_site` gives it.
        request: What the client sends.
    """
    return layer.exchange(world, site, request, lambda r: service.handle(world, r))


def http_site(service: Service, tool: str, request: HttpRequest) -> Site:
    """Where a request passes the fault layer; a request without a route has an empty one.

    Args:
        service: The suite's routes.
        tool: The tool that the model called; `http` for an outside client over the socket.
        request: What the client sends.
    """
    try:
        op, _ = service.route(request.method, request.path)
    except ServiceError:
        return Site("http", tool)
    return operation_site(tool, op)


@banked("code", 4096)
def operation_site(tool: str, op: Operation) -> Site:
    """Where a request to an operation passes the fault layer.

    Args:
        tool: The tool that the model called.
        op: The operation. Asking for a token counts as no write.
    """
    return Site(
        "http",
        tool,
        op.name,
        write=op.write and op.name != "issue_token",
        listing=op.listing,
        successor=op.successor,
        versioned=op.versioned,
        tables=op.tables,
        path=op.path,
    )


def lower_names(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers with names in lower case, as HTTP takes them."""
    return {name.lower(): value for name, value in headers.items()}
