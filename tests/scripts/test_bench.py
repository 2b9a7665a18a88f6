"""`faultgym bench`, and where it finds what it runs."""

import json

import pytest

from faultgym.cli.bench import BenchSuite, add_benchmarks
from faultgym.cli.main import main
from faultgym.core.errors import UserError


def test_the_laboratory_is_found_in_the_checkout():
    assert (add_benchmarks() / "benchmarks" / "suites.py").is_file()


def test_outside_a_checkout_the_verb_says_what_it_needs(tmp_path):
    with pytest.raises(UserError, match="needs the folder benchmarks/ of a checkout"):
        add_benchmarks((tmp_path,))


def test_the_verb_offers_what_the_laboratory_has():
    add_benchmarks()
    from benchmarks.suites import SUITES

    assert [suite.value for suite in BenchSuite] == list(SUITES)


def test_figures_are_printed_and_written(tmp_path, capsys):
    out = tmp_path / "new" / "figures.json"
    assert main(["bench", "startup", "--rounds", "1", "--json", str(out)]) == 0
    assert "faultgym --help" in capsys.readouterr().out
    assert [row["name"] for row in json.loads(out.read_bytes())["suites"]["startup"]][1] == "faultgym --help"
