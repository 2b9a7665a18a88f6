"""The classifier of failure modes names what the scripted policies commit, and nothing else."""

import io

import pytest
from rich.console import Console

from faultgym.agents.scripted import FLAWS
from faultgym.eval.gate.confusion import EXPERT, Matrix, confusion_matrix
from faultgym.eval.modes.registry import MODES


@pytest.fixture(scope="module")
def matrix():
    return confusion_matrix(per_template=1)


@pytest.mark.slow
def test_every_policy_raises_its_own_mode_and_the_expert_none(matrix):
    assert matrix.errors == []
    assert matrix.cells[EXPERT] == {}


def test_every_mode_is_committed_somewhere(matrix):
    assert matrix.unseen == ()
    assert matrix.clean


def test_a_mode_that_was_committed_with_texts_alone_is_missed():
    matrix = Matrix()
    for mode in FLAWS:
        matrix.note(mode, "text", "some/task", frozenset({mode}), frozenset({mode}))
    assert "loop (typed)" in matrix.unseen
    assert "loop (text)" not in matrix.unseen
    assert "no_answer (text)" not in matrix.unseen


def test_the_diagonal_counts_every_episode(matrix):
    for mode in FLAWS:
        assert matrix.cells[mode][mode] == matrix.episodes[mode]


def test_the_table_shows_every_policy(matrix):
    console = Console(width=220, record=True, file=io.StringIO())
    console.print(matrix.table())
    text = console.export_text()
    assert all(mode in text for mode in (*FLAWS, EXPERT))


def test_the_table_names_the_columns_that_have_no_row(matrix):
    console = Console(width=220, record=True, file=io.StringIO())
    console.print(matrix.table())
    text = console.export_text()
    assert [f"{n} {mode}" for n, mode in enumerate(MODES, 1) if f"{n} {mode}" not in text] == []


def test_a_wrong_reading_is_an_error_with_its_place():
    matrix = Matrix()
    matrix.note("loop", "typed", "some/task under clean", frozenset({"redundant_call"}), frozenset({"loop"}))
    assert matrix.errors == ["loop (typed) on some/task under clean: raised redundant_call, expected loop"]
    assert not matrix.clean
