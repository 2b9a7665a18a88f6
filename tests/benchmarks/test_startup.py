"""What `faultgym bench startup` measures."""

import subprocess

import pytest

from benchmarks.startup import STARTS, cpu_seconds, startup


def test_every_start_has_a_row_with_its_bound():
    rows = startup(1)
    assert [row.name for row in rows] == list(STARTS)
    assert [row.bound for row in rows] == ["", "<= 0.15", "<= 0.25"]
    assert all(row.measured > 0 and "median of 1" in row.note for row in rows)


def test_a_start_that_fails_is_no_measurement():
    with pytest.raises(subprocess.CalledProcessError):
        cpu_seconds(("-c", "raise SystemExit(3)"))
