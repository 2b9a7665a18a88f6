"""One server for the tests of a module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from helpers.serving import Server


@pytest.fixture(scope="module", params=["orders", "incidents"])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    running = Server(request.param)
    yield running
    running.close()


@pytest.fixture(scope="module")
def shop() -> Iterator[Server]:
    running = Server("orders")
    yield running
    running.close()
