"""Every example in a docstring of the package runs and gives what it says."""

import doctest
import importlib

import pytest
from helpers.sources import package


@pytest.mark.parametrize("module", sorted(name for name, source in package().items() if ">>> " in source.text))
def test_the_examples_of_a_module_give_what_they_say(module):
    flags = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    found = doctest.testmod(importlib.import_module(module), optionflags=flags)
    assert found.failed == 0, "the differences are in the captured output"
