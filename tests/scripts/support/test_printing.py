"""Names and ids that one copies are printed whole."""

import io

import pytest
from rich.console import Console

from faultgym.cli.support.printing import PIPE_WIDTH, PROSE_WIDTH, grid, stdout_console

NAME = "a_name_of_a_template_that_is_longer_than_some_terminals_are_wide_" * 2


@pytest.fixture
def no_columns(monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)


def test_a_pipe_is_as_wide_as_what_is_printed(no_columns, capsys):
    console = stdout_console()
    assert console.width == PIPE_WIDTH
    table = grid("Names", ("name", "words"))
    table.add_row(NAME, "words " * 40)
    console.print(table)
    assert NAME in capsys.readouterr().out


def test_columns_bound_a_pipe_where_they_are_set(monkeypatch):
    monkeypatch.setenv("COLUMNS", "77")
    assert stdout_console().width == 77


def test_the_first_column_is_never_broken_while_others_can_be():
    console = Console(file=io.StringIO(), width=100)
    table = grid(None, ("name", "words"))
    table.add_row(NAME[:70], "words " * 40)
    console.print(table)
    assert NAME[:70] in console.file.getvalue()


def test_prose_is_broken_between_words_also_in_a_pipe(no_columns, capsys):
    words = [f"word-{n}-of-the-sentence" for n in range(20)]
    table = grid(None, ("name", "words"), prose=("words",))
    table.add_row(NAME, " ".join(words))
    stdout_console().print(table)
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= len(NAME) + PROSE_WIDTH + 4
    assert all(name in shown for name in (NAME, *words))


def test_what_looks_like_markup_in_a_title_is_text():
    console = Console(file=io.StringIO(), width=100)
    table = grid("runs/[bold]x", ("[red]name",))
    table.add_row("a")
    console.print(table)
    assert "runs/[bold]x" in console.file.getvalue()
    assert "[red]name" in console.file.getvalue()
