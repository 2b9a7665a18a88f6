"""The bench's rows, its timing in turn, and its JSON."""

from __future__ import annotations

import gc
import json

import pytest
from rich.console import Console

from benchmarks.table import Row, document, interleaved, machine, medians, number, show, timed


def test_a_figure_on_its_bound_passes_and_one_beyond_misses() -> None:
    assert Row.at_most("a", 6.0, 6).ok
    assert not Row.at_most("a", 6.01, 6).ok
    assert Row.at_least("a", 0.5, 0.5).ok
    assert not Row.at_least("a", 0.49, 0.5).ok
    assert Row("a", 1.0).ok is None


def test_functions_run_in_turn_within_each_round() -> None:
    calls: list[str] = []
    interleaved({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, rounds=2, batch=2)
    assert "".join(calls) == "aabb" * 3, "one warm-up round, then two counted ones"


def test_the_figure_is_the_median_over_the_counted_rounds() -> None:
    laps = iter([1000.0, 5.0, 1.0, 3.0])
    assert medians({"a": lambda: next(laps)}, rounds=3) == {"a": 3.0}


def test_the_collector_rests_while_a_function_is_timed_and_is_put_back() -> None:
    seen: list[bool] = []
    timed(lambda: seen.append(gc.isenabled()), batch=3)
    assert seen == [False, False, False]
    assert gc.isenabled()


def test_the_collector_is_put_back_when_a_timed_function_raises() -> None:
    def broken() -> None:
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        timed(broken, batch=1)
    assert gc.isenabled()


@pytest.mark.parametrize(("value", "text"), [(0.4123, "0.412"), (2.784, "2.78"), (61.44, "61.4"), (5849.4, "5,849")])
def test_numbers_keep_three_digits_or_all_whole_ones(value: float, text: str) -> None:
    assert number(value) == text


def test_the_table_names_the_bound_the_verdict_and_the_machine() -> None:
    console = Console(width=200, record=True, quiet=True)
    console.quiet = False
    with console.capture() as captured:
        show(
            "Speed",
            [Row.at_most("step", 7.0, 6, note="21 us over 3 us"), Row("bare", 3.0, unit="us")],
            console,
        )
    text = captured.get()
    assert "<= 6 x" in text
    assert "MISS" in text
    assert "21 us over 3 us" in text
    assert machine().python in " ".join(text.split())


def test_the_saved_figures_are_json_with_the_machine_and_every_field_of_a_row() -> None:
    saved = json.loads(json.dumps(document({"core": [Row.at_most("step", 2.0, 6)]})))
    assert saved["suites"]["core"] == [
        {"name": "step", "measured": 2.0, "bound": "<= 6", "unit": "x", "ok": True, "note": ""}
    ]
    assert saved["machine"]["cores"] >= 1
