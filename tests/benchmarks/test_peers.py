"""The parts of `faultgym bench peers` that need no network."""

from __future__ import annotations

import sqlite3
import sys
from pathlib import Path

import pytest

from benchmarks.peers import (
    TITLES,
    ContenderProcess,
    PeerResult,
    keyed_select,
    peer_python,
    rows,
)
from faultgym.core.errors import HarnessError, UserError


def _database() -> bytes:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.execute("CREATE TABLE orders (order_id TEXT PRIMARY KEY, status TEXT)")
    connection.executemany("INSERT INTO orders VALUES (?, 'shipped')", [(f"O-{n:02d}",) for n in range(20)])
    return connection.serialize()


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "world.sqlite"
    path.write_bytes(_database())
    return path


def test_the_statement_reads_one_order_by_its_key() -> None:
    statement, expected = keyed_select(_database())
    assert statement == "SELECT order_id, status FROM orders WHERE order_id = 'O-10'"
    assert expected == "O-10"


def test_a_contender_answers_the_statement_and_serves_laps(database: Path) -> None:
    statement, expected = keyed_select(database.read_bytes())
    with ContenderProcess(Path(sys.executable), "bare", database, statement) as contender:
        assert expected in contender.answer
        assert all(contender.lap() > 0 for _ in range(2))


def test_a_contender_that_cannot_answer_says_why(database: Path) -> None:
    with pytest.raises(HarnessError, match=r"contender bare stopped: [\s\S]*no such table: nowhere"):
        ContenderProcess(Path(sys.executable), "bare", database, "SELECT 1 FROM nowhere")


def test_without_an_index_the_installation_says_what_is_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAULTGYM_CACHE", str(tmp_path))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    with pytest.raises(UserError, match=r"could not install openenv-core.*you need access to PyPI"):
        peer_python()
    assert (tmp_path / "peers").is_dir()


def test_the_bounds_compare_faultgym_with_each_peer() -> None:
    seconds = {"bare": 3e-6, "faultgym": 15e-6, "gem": 10e-6, "openenv-session": 2e-3, "openenv": 6e-3}
    assert set(seconds) == set(TITLES)
    table = rows([PeerResult(name, value, value / 3e-6) for name, value in seconds.items()])
    gem, openenv = table[-2:]
    assert (gem.measured, gem.bound, gem.ok) == (pytest.approx(1.5), "<= 2", True)
    assert (openenv.measured, openenv.bound, openenv.ok) == (pytest.approx(400.0), ">= 100", True)
