"""The parts of `faultgym bench peers` that need no network."""

from __future__ import annotations

import sqlite3
import sys
from pathlib import Path

import pytest

from faultgym.cli.bench_peers import (
    TITLES,
    ContenderProcess,
    PeerResult,
    peer_python,
    rows,
    sample_image,
)
from faultgym.tools.errors import HarnessError, UserError


def _image(folder: Path) -> tuple[Path, str]:
    image, statement = sample_image(orders=20)
    path = folder / "world.sqlite"
    path.write_bytes(image)
    return path, statement


def test_the_sample_database_is_of_the_stated_size_and_holds_one_row_for_its_statement() -> None:
    image, statement = sample_image()
    connection = sqlite3.connect(":memory:")
    connection.deserialize(image)
    assert 60_000 < len(image) < 90_000
    assert len(connection.execute(statement).fetchall()) == 1


def test_a_contender_answers_the_statement_and_serves_laps(tmp_path: Path) -> None:
    path, statement = _image(tmp_path)
    with ContenderProcess(Path(sys.executable), "bare", path, statement) as contender:
        assert "O-00010" in contender.answer
        assert all(contender.lap() > 0 for _ in range(2))


def test_a_contender_that_cannot_answer_says_why(tmp_path: Path) -> None:
    path, _ = _image(tmp_path)
    with pytest.raises(HarnessError, match=r"contender bare stopped: [\s\S]*no such table: nowhere"):
        ContenderProcess(Path(sys.executable), "bare", path, "SELECT 1 FROM nowhere")


def test_without_an_index_the_installation_says_what_is_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    with pytest.raises(UserError, match=r"could not install openenv-core.*you need access to PyPI"):
        peer_python(tmp_path)


def test_the_bounds_compare_faultgym_with_each_peer() -> None:
    seconds = {"bare": 3e-6, "faultgym": 15e-6, "gem": 10e-6, "openenv-session": 2e-3, "openenv": 6e-3}
    assert set(seconds) == set(TITLES)
    table = rows([PeerResult(name, value, value / 3e-6) for name, value in seconds.items()])
    gem, openenv = table[-2:]
    assert (gem.measured, gem.bound, gem.ok) == (pytest.approx(1.5), "<= 2", True)
    assert (openenv.measured, openenv.bound, openenv.ok) == (pytest.approx(400.0), ">= 100", True)
