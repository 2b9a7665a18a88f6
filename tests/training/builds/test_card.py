"""The tables of a data card."""

import pytest

from faultgym.training.builds.card import table


@pytest.mark.parametrize(
    ("rows", "marks"),
    [
        ([[1], [2.5]], "|---:|"),
        ([[1], ["none"]], "|---|"),
        ([["none"], [1]], "|---|"),
        ([], "|---|"),
    ],
)
def test_a_column_is_right_aligned_where_each_of_its_cells_is_a_number(rows, marks):
    assert table(["value"], rows).splitlines()[1] == marks
