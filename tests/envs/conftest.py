"""The small suite of these tests, loaded as the module `bookshelf`."""

import importlib.util
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent


def load_bookshelf():
    """The module, once in each process."""
    if "bookshelf" not in sys.modules:
        spec = importlib.util.spec_from_file_location("bookshelf", HERE / "bookshelf.py")
        module = sys.modules["bookshelf"] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return sys.modules["bookshelf"]


@pytest.fixture(scope="session")
def bookshelf():
    """The suite `bookshelf`."""
    return load_bookshelf().SUITE
