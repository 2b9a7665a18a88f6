"""HTTP/1.1 over asyncio, as much of it as asking a model server takes: one POST at a time per connection.

General clients spend a millisecond of CPU on a request; with thousands of episodes in flight in one
process that is where the time would go. This one spends about a tenth of it; httptools parses the replies.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import NamedTuple
from urllib.parse import urlsplit

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from faultgym.core.errors import UserError

MAX_HEAD = 64 * 1024
"""Bytes of a status line with its headers."""
MAX_BODY = 64 * 1024 * 1024
"""Bytes of a reply: more is a server gone wild."""

CONNECT_SECONDS = 15.0
"""How long a connection may take to come about: a host that drops what is sent to it never refuses."""


class Broken(Exception):
    """Raised when an exchange did not come to its end: refused, reset, cut short, or not HTTP."""


class Reply(NamedTuple):
    """What a server sent back."""

    status: int
    headers: dict[bytes, bytes]
    """Names in lower case; of repeated ones the last."""
    body: bytes


class Address(NamedTuple):
    """A base URL taken apart."""

    host: str
    port: int
    tls: bool
    path: str
    """Without a slash at its end: `/v1`."""

    @classmethod
    def of(cls, url: str) -> Address:
        """The address of a base URL such as `http://localhost:8000/v1`; `/v1` may be left out.

        Raises:
            UserError: The text is no such URL.

        Example:
            >>> Address.of("http://localhost:8000")
            Address(host='localhost', port=8000, tls=False, path='/v1')
        """
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise UserError(f"{url!r} is not a URL: {error}") from None
        if parts.scheme not in ("http", "https") or not parts.hostname or not url.isascii() or " " in url:
            raise UserError(f"{url!r} is not the URL of a model server, such as http://localhost:8000/v1")
        tls = parts.scheme == "https"
        return cls(parts.hostname, port or (443 if tls else 80), tls, parts.path.rstrip("/") or "/v1")


class Connection(asyncio.Protocol):
    """One connection: sends a request, collects its reply."""

    __slots__ = ("_body", "_framed", "_head", "_headers", "_parser", "_reply", "_size", "_transport", "closed", "heard")

    def __init__(self) -> None:
        self.closed = False
        self.heard = False
        """Whether any byte has come back since the request was sent."""
        self._transport: asyncio.Transport | None = None
        self._reply: asyncio.Future[Reply] | None = None
        self._clear()

    def _clear(self) -> None:
        self._parser = HttpResponseParser(self)
        self._headers: dict[bytes, bytes] = {}
        self._head = False
        """Whether the status line and all headers have come."""
        self._framed = False
        """Whether the reply says where it ends; else it ends with the connection."""
        self._body: list[bytes] = []
        self._size = 0
        """Bytes of the headers so far; once they are whole, of the body."""

    async def send(self, request: bytes) -> Reply:
        """Send the bytes of a request and return the reply to it.

        Raises:
            Broken: The reply did not come, whole and in HTTP; the connection is closed then.
        """
        assert self._transport is not None
        if self.closed:
            raise Broken("the connection is closed")
        self._clear()
        self.heard = False
        self._reply = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        try:
            return await self._reply
        except BaseException:
            self.close()
            raise
        finally:
            self._reply = None

    def close(self) -> None:
        """End the connection at once."""
        self.closed = True
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the event loop."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, error: Exception | None) -> None:
        """Called by the event loop."""
        self.closed = True
        if not self._waiting:
            return
        if error is None and self._head and not self._framed:
            self._done()
            return
        where = "in the middle of its reply" if self.heard else "before it replied"
        self._fail(f"the server closed the connection {where}" + (f" ({error})" if error else ""))

    def data_received(self, data: bytes) -> None:
        """Called by the event loop."""
        if not self._waiting:
            self.close()  # bytes that nobody asked for: what comes next could not be told apart
            return
        self.heard = True
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade) as error:
            self._fail(f"the server does not speak HTTP: {error}")
        if not self._head and self._waiting:
            self._size += len(data)
            if self._size > MAX_HEAD:
                self._fail("the server does not speak HTTP: its headers do not end")
        elif self._size > MAX_BODY:
            self._fail("the server's reply is too large")

    def on_message_begin(self) -> None:
        """Called by the parser: of what comes after the reply nobody knows what it answers."""
        if not self._waiting:
            self.close()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Called by the parser."""
        self._headers[name.lower()] = value

    def on_headers_complete(self) -> None:
        """Called by the parser."""
        headers, status = self._headers, self._parser.get_status_code()
        self._head, self._size = status >= 200, 0
        chunked = b"chunked" in headers.get(b"transfer-encoding", b"").lower()
        self._framed = chunked or b"content-length" in headers or status in (204, 304)

    def on_body(self, body: bytes) -> None:
        """Called by the parser."""
        self._size += len(body)
        if self._size <= MAX_BODY:
            self._body.append(body)

    def on_message_complete(self) -> None:
        """Called by the parser."""
        if not self._head:  # 100 Continue: the reply comes after it
            self._headers = {}
        elif self._waiting:
            self.closed = not self._parser.should_keep_alive()
            self._done()

    @property
    def _waiting(self) -> bool:
        """Whether a reply is still to come."""
        return self._reply is not None and not self._reply.done()

    def _done(self) -> None:
        assert self._reply is not None
        if self._size > MAX_BODY:
            self._fail("the server's reply is too large")
            return
        self._reply.set_result(Reply(self._parser.get_status_code(), self._headers, b"".join(self._body)))
        self._headers = {}  # what follows is no part of it
        if self.closed:
            self.close()

    def _fail(self, reason: str) -> None:
        if self._reply is not None and not self._reply.done():
            self._reply.set_exception(Broken(reason))
        self.close()


class Connections:
    """The connections to one server: as many as there are requests at the same time, then kept for the next.

    Args:
        address: The server's.
        path: What is asked for, after the address's path: `/chat/completions`.
        api_key: Sent as a bearer token; empty for none.
    """

    __slots__ = ("_head", "_idle", "_tls", "address")

    def __init__(self, address: Address, path: str, api_key: str = ""):
        self.address = address
        self._idle: list[Connection] = []
        self._tls = ssl.create_default_context() if address.tls else None
        host = f"[{address.host}]" if ":" in address.host else address.host
        key = f"Authorization: Bearer {api_key}\r\n" if api_key else ""
        self._head = (
            f"POST {address.path}{path} HTTP/1.1\r\nHost: {host}:{address.port}\r\n{key}"
            "Content-Type: application/json\r\nAccept: application/json\r\nContent-Length: "
        ).encode("latin-1")

    async def post(self, body: bytes) -> Reply:
        """Send the body and return the reply; cancelling the call ends its connection.

        A kept connection that the server has closed in the meantime is no failure: a new one is tried.

        Raises:
            Broken: No connection came about, or the reply did not come, whole and in HTTP.
        """
        request = b"%b%d\r\n\r\n%b" % (self._head, len(body), body)
        while self._idle:
            kept = self._idle.pop()
            if kept.closed:
                continue
            try:
                return await self._exchange(kept, request)
            except Broken:
                if kept.heard:
                    raise
        return await self._exchange(await self._connect(), request)

    async def _exchange(self, connection: Connection, request: bytes) -> Reply:
        reply = await connection.send(request)
        if not connection.closed:
            self._idle.append(connection)
        return reply

    async def _connect(self) -> Connection:
        loop = asyncio.get_running_loop()
        host, port = self.address.host, self.address.port
        try:
            async with asyncio.timeout(CONNECT_SECONDS) as limit:
                _, made = await loop.create_connection(Connection, host, port, ssl=self._tls)
        except (OSError, UnicodeError) as error:
            said = f"none within {CONNECT_SECONDS:g} seconds" if limit.expired() else error
            raise Broken(f"no connection to {host}:{port} ({said})") from error
        return made

    def close(self) -> None:
        """End the idle connections; those in use end when their requests do."""
        while self._idle:
            self._idle.pop().close()
