"""The tests of the laboratory import it as `faultgym bench` does."""

from faultgym.cli.bench import add_benchmarks

add_benchmarks()
