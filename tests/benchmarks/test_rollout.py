"""The parts of `faultgym bench rollout` that need no network."""

import sys

import pytest

from benchmarks.rollout import TURNS, lap, not_compared, side_by_side
from faultgym.core.errors import HarnessError, UserError


def test_the_engine_plays_whole_episodes_against_the_stub():
    found = lap("faultgym", sys.executable, 40, 20)
    assert found.episodes == 40
    assert found.seconds > TURNS * 0.05
    assert found.cpu > 0
    assert found.stub > 0
    assert set(found.versions) == {"faultgym"}


def test_a_contender_that_cannot_play_says_why():
    with pytest.raises(HarnessError, match=r"contender nobody stopped: [\s\S]*KeyError: 'nobody'"):
        lap("nobody", sys.executable, 20, 20)


def test_without_an_index_the_installation_says_what_is_needed(tmp_path, monkeypatch):
    monkeypatch.setenv("FAULTGYM_CACHE", str(tmp_path))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    with pytest.raises(UserError, match=r"could not install verifiers.*you need access to PyPI"):
        side_by_side()
    assert (tmp_path / "rollout-peers").is_dir()


def test_a_comparison_that_did_not_come_about_misses_its_bound_and_says_why():
    row = not_compared("the contender verifiers was not done")
    assert (row.ok, row.note) == (False, "the contender verifiers was not done")
