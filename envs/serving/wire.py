"""How a response goes over the wire: its headers for real clients, and the connections that faults break."""

from __future__ import annotations

import asyncio
import math
import os
import socket
import struct
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from typing import Any
from urllib.parse import quote

from faultgym.tools.exchange import HttpResponse

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_RESET = struct.pack("hh" if os.name == "nt" else "ii", 1, 0)
"""SO_LINGER: closed at once, and what is unsent thrown away. Only then is the end of a connection a reset (RST)."""


@dataclass(frozen=True, slots=True)
class Wire:
    """What a response needs to know of the request's connection and of its session's time."""

    base: str
    """The path of the session's base URL."""
    now: datetime
    """The world's time as the response leaves."""
    real_time: bool
    """Whether the world's time passes as the client's does."""
    late: float = 0.0
    """Seconds that the response takes, in real time."""
    head: bool = False
    """Whether the body is left out: the request was HEAD."""

    async def send(self, response: HttpResponse, receive: Receive, send: Send) -> None:
        """Send what the faults left of a response, and break the connection where they do.

        Args:
            response: The response; with status 0 none arrives.
            receive: Of ASGI; the request's body was read.
            send: Of ASGI.
        """
        exchange = getattr(send, "__self__", None)
        if not hasattr(exchange, "transport"):  # in process there is no connection to break
            exchange = None
        there = await _still_there(receive, self.late)
        if response.status == 0 and exchange is None:
            response = HttpResponse(504, {"content-type": "text/plain"}, response.transport.encode())
        if exchange is not None and (response.status == 0 or not there):
            _break(exchange, reset=response.transport.startswith("reset"))
            return
        headers = self.headers(response)
        await send({"type": "http.response.start", "status": response.status, "headers": _encoded(headers)})
        cut = exchange is not None and not self.head and int(headers["content-length"]) > len(response.body)
        await send({"type": "http.response.body", "body": b"" if self.head else response.body, "more_body": cut})
        if cut:
            _break(exchange)

    def headers(self, response: HttpResponse) -> dict[str, str]:
        """The headers of a response as clients need them.

        `Date` is the world's time. The service's own paths lie below the base URL, and are escaped: it works on paths
        without escapes, and a line break in one must not end the header. In real time `Retry-After` is in seconds, for
        clients hold a date against their own clock, which is not the world's.

        Args:
            response: The response; header names in lower case.
        """
        found = {"date": http_date(self.now), "content-length": str(len(response.body)), **response.headers}
        if "location" in found and found["location"].startswith("/"):
            found["location"] = self.base + escaped(found["location"])
        if "link" in found and found["link"].startswith("</"):
            path, _, rest = found["link"][1:].partition(">")
            found["link"] = f"<{self.base}{escaped(path)}>{rest}"
        if "GET" in found.get("allow", "").split(", "):
            found["allow"] = found["allow"].replace("GET", "GET, HEAD")
        if self.real_time and found.get("retry-after", "").endswith("GMT"):
            left = parsedate_to_datetime(found["retry-after"]) - self.now
            found["retry-after"] = str(max(1, math.ceil(left.total_seconds())))
        return found


def http_date(at: datetime) -> str:
    """A moment as HTTP writes it.

    Args:
        at: The moment, in UTC.

    Example:
        >>> http_date(datetime(2026, 3, 2, 9, tzinfo=UTC))
        'Mon, 02 Mar 2026 09:00:00 GMT'
    """
    return format_datetime(at.astimezone(UTC), usegmt=True)


def escaped(path: str) -> str:
    """A path of the service, with its query, as a header may carry it.

    Args:
        path: Without escapes but those of its query.
    """
    return quote(path, safe="/?&=%+")


async def _still_there(receive: Receive, seconds: float) -> bool:
    """Let real time pass; whether the client waited for it, and the server goes on."""
    if seconds <= 0:
        return True
    gone = asyncio.ensure_future(_disconnect(receive))
    try:
        return not (await asyncio.wait({gone}, timeout=seconds))[0]
    except asyncio.CancelledError:  # how a server that stops ends what still waits
        return False
    finally:
        gone.cancel()


async def _disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _encoded(headers: dict[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.encode("latin-1"), value.encode("latin-1", "replace")) for name, value in headers.items()]


def _break(exchange: Any, *, reset: bool = False) -> None:
    """Break the connection of one of uvicorn's exchanges, on purpose.

    uvicorn tells only the last request of a connection that it is gone, and would report the response of any other as
    an error of ours: one that never began, or is shorter than its Content-Length.
    """
    exchange.disconnected = True
    if reset:
        exchange.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        exchange.transport.abort()
    else:
        exchange.transport.close()
