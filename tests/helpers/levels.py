"""How much of the suite runs: `pytest --level fast|ci|all`, and how many examples a property gets at each level."""

import os

import pytest
from hypothesis import settings

LEVELS = ("fast", "ci", "all")
EXAMPLES = {"fast": 20, "ci": 50, "all": 100}
"""Examples of a property that names no number, at each level; `examples` scales the numbers that tests name."""
LEFT_OUT = {"fast": ("slow", "exhaustive", "vllm", "browser"), "ci": ("exhaustive",), "all": ()}
"""Marks whose tests a level leaves out, unless `-m` or a node id asks for them."""
WHOLE_FILE = "pytestmark = pytest.mark.slow"
"""The line of a file in which every test is slow: level fast does not import it, for torch alone takes seconds."""


def examples(most: int) -> int:
    """The number of examples at this level, for a property that is to have `most` at level all."""
    return max(1, most * settings().max_examples // EXAMPLES["all"])


def use(level: str) -> None:
    """Let Hypothesis draw the same examples in every run, as many as the level says."""
    for name, count in EXAMPLES.items():
        settings.register_profile(name, max_examples=count, derandomize=True, deadline=None, database=None)
    settings.load_profile(level)


def rest(*values: object) -> object:
    """A case that `make test-all` runs and `make test` does not."""
    return pytest.param(*values, marks=pytest.mark.exhaustive)


def left_out(item: pytest.Item, level: str) -> bool:
    """Whether the level leaves a test out.

    Each of several workers would start a vLLM of its own: they run the one end-to-end test alone.
    """
    marks = set(LEFT_OUT[level])
    if "PYTEST_XDIST_WORKER" in os.environ and item.get_closest_marker("vllm"):
        marks |= {"exhaustive"}
    return any(item.get_closest_marker(mark) for mark in marks)
