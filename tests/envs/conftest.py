"""The small suite of these tests."""

import pytest


@pytest.fixture(scope="session")
def bookshelf():
    """The suite `bookshelf`."""
    from helpers import bookshelf

    return bookshelf.SUITE
