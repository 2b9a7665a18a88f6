"""The map in CONTRIBUTING.md is that of the import contracts."""

from helpers.layers import PAGE, with_layers


def test_the_map_shows_the_contracts():
    page = PAGE.read_text()
    assert page == with_layers(page), "write it anew: PYTHONPATH=tests python -m helpers.layers"
