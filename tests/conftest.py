"""The package `helpers` for all tests, and for processes that tests start: these inherit the path."""

import os
import sys
from pathlib import Path

import pytest

TESTS = str(Path(__file__).parent)
if TESTS not in sys.path:
    sys.path.append(TESTS)


@pytest.fixture(scope="session")
def players():
    """The module `players`."""
    from helpers import players

    return players


@pytest.fixture(scope="session")
def vllm(tmp_path_factory):
    """One real vLLM for all tests that want one: `vllm.server()`."""
    from helpers.real_vllm import MEMORY, Standing

    standing = Standing(tmp_path_factory.mktemp("vllm"))
    with pytest.MonkeyPatch.context() as patch:
        for name, value in MEMORY.items():
            patch.setenv(name, value)
        yield standing
        standing.close()


@pytest.fixture(scope="session")
def child_environment():
    """The environment of a `faultgym` process that knows `players`."""
    path = [TESTS, *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path), "COLUMNS": "200"}
