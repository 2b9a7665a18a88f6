"""The house rules that a program can check; what is still to be mended stands in known.json, and only shrinks.

`PYTHONPATH=tests python -m helpers.known` strikes out what has been mended.
"""

import pytest
from helpers.known import KNOWN, known
from helpers.shape import CHECKS


@pytest.mark.parametrize("name", sorted(CHECKS))
def test_no_offence_is_new(name):
    found = CHECKS[name]() - set(known().get(name, ()))
    assert not found, f"{CHECKS[name].__doc__}\n" + "\n".join(sorted(found))


def test_the_list_names_no_check_that_does_not_exist():
    assert known().keys() <= CHECKS.keys(), KNOWN
