"""The levels of the suite; and what all tests import: `helpers`, which their processes find too, and `benchmarks`."""

import os
import signal
import sys
from pathlib import Path

import pytest

TESTS = str(Path(__file__).parent)
CHECKOUT = str(Path(__file__).parents[1])  # without it `benchmarks` is the folder of its tests
sys.path += [place for place in (TESTS, CHECKOUT) if place not in sys.path]

from helpers import levels  # noqa: E402  the path comes first

os.environ.setdefault(
    "OMP_NUM_THREADS", "1"
)  # models of these tests are too small for threads, and workers share cores


if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # Begun in the background of a shell without job control: every process that a test starts would ignore Ctrl-C too.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser):
    parser.addoption("--level", choices=levels.LEVELS, default="ci", help="how much runs: CONTRIBUTING.md")


def pytest_configure(config):
    levels.use(config.getoption("level"))


def pytest_ignore_collect(collection_path, config):
    """At level fast, a file that is slow as a whole."""
    if config.getoption("level") == "fast" and collection_path.suffix == ".py":
        return levels.WHOLE_FILE in collection_path.read_text() or None
    return None


def pytest_collection_modifyitems(config, items):
    """Leave out what the level leaves out, but nothing that was asked for by its mark or its name."""
    if config.getoption("markexpr") or all("::" in argument for argument in config.args):
        return
    dropped = [item for item in items if levels.left_out(item, config.getoption("level"))]
    if dropped:
        config.hook.pytest_deselected(items=dropped)
        items[:] = [item for item in items if not levels.left_out(item, config.getoption("level"))]


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
