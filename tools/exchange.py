"""Requests to the backends and their replies: the values that pass the fault layer.

A backend is a plain function from request to reply. The fault layer sits between the two and sees
nothing else, so that a fault is a function over these values and no backend knows of faults.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import Any

from faultgym.core.values import fast_init


@fast_init
@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One request to the suite's service."""

    method: str
    path: str
    _: KW_ONLY
    query: Mapping[str, str] = field(default_factory=dict, hash=False)
    headers: Mapping[str, str] = field(default_factory=dict, hash=False)
    """Names in lower case."""
    body: bytes = b""
    """The raw body; JSON as the service takes it."""


@fast_init
@dataclass(frozen=True, slots=True)
class HttpResponse:
    """One response. `status` 0 means that none arrived; `transport` then says why."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict, hash=False)
    """Names in lower case."""
    body: bytes = b""
    transport: str = ""
    """`timeout` or `reset` when no response arrived; else empty."""


@fast_init
@dataclass(frozen=True, slots=True)
class SqlRequest:
    """One statement for the SQL tool."""

    statement: str


@fast_init
@dataclass(frozen=True, slots=True)
class SqlReply:
    """The rows of one statement, or the engine's error."""

    columns: Sequence[str] = ()
    rows: Sequence[Sequence[Any]] = ()
    _: KW_ONLY
    changes: int = 0
    """Rows inserted, updated or deleted."""
    truncated: bool = False
    """Whether the row or byte cap cut the result; shown to the model as a marker."""
    source: str = "primary"
    """Which copy answered; shown to the model."""
    error: str = ""
    """The engine's message; empty when the statement ran."""
    tables: frozenset[str] = frozenset()
    """Public tables read or written; for the scorer, never shown."""


@dataclass(frozen=True, slots=True)
class Document:
    """One document of a world."""

    id: str
    _: KW_ONLY
    title: str
    kind: str
    body: str
    updated: str
    """ISO date of this revision."""
    attributes: Mapping[str, str] = field(default_factory=dict, hash=False)
    """What a query can be filtered by, beside `kind`."""


@fast_init
@dataclass(frozen=True, slots=True)
class SearchRequest:
    """One query for the search tool."""

    query: str
    filters: Mapping[str, str] = field(default_factory=dict, hash=False)
    """Exact matches on document attributes, such as {"kind": "policy"}."""
    page: int = 1
    size: int = 5


@dataclass(frozen=True, slots=True)
class SearchHit:
    """One document found."""

    id: str
    _: KW_ONLY
    title: str
    kind: str
    snippet: str
    score: float
    updated: str
    """ISO date of the document's revision that was indexed."""


@fast_init
@dataclass(frozen=True, slots=True)
class SearchReply:
    """A page of hits, or the engine's error."""

    hits: Sequence[SearchHit] = ()
    _: KW_ONLY
    total: int = 0
    """All matches, over all pages."""
    page: int = 1
    pages: int = 1
    timed_out: bool = False
    shards_failed: int = 0
    error: str = ""


Request = HttpRequest | SqlRequest | SearchRequest
Reply = HttpResponse | SqlReply | SearchReply
