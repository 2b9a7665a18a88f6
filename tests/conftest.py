"""Modules that tests share (`players`, `scenes`, ...), also for processes that tests start: these inherit the path."""

import os
import sys
from pathlib import Path

import pytest

PLACES = [str(Path(__file__).parent / name) for name in ("agents", "envs", "training")]
sys.path += [place for place in PLACES if place not in sys.path]


@pytest.fixture(scope="session")
def players():
    """The module `players`."""
    import players

    return players


@pytest.fixture(scope="session")
def vllm(tmp_path_factory):
    """One real vLLM for all tests that want one: `vllm.server()`."""
    from real_vllm import MEMORY, Standing

    standing = Standing(tmp_path_factory.mktemp("vllm"))
    with pytest.MonkeyPatch.context() as patch:
        for name, value in MEMORY.items():
            patch.setenv(name, value)
        yield standing
        standing.close()


@pytest.fixture(scope="session")
def child_environment():
    """The environment of a `faultgym` process that knows `players`."""
    path = [*PLACES, *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path), "COLUMNS": "200"}
