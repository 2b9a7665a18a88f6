"""Data filters by name: built in, registered in code, or found by entry point."""

from __future__ import annotations

from collections.abc import Callable

from faultgym.core.registry import Registry
from faultgym.training.filters.conformance import check_filter
from faultgym.training.filters.contract import DataFilter, TraceTest

DATA_FILTERS: Registry[DataFilter] = Registry(
    "data filter",
    "faultgym.data_filters",
    builtin=("faultgym.training.filters.builtin",),
    check=check_filter,
)
"""All data filters. Those that are `always` applied come first, in the order in which a build applies them."""


def data_filter(summary: str) -> Callable[[TraceTest], TraceTest]:
    """Register the decorated function as a data filter of its own name.

    Args:
        summary: What a rejection means, as a clause about the trace.

    Returns:
        A decorator that gives the function back.

    Raises:
        UserError: The filter does not conform, or there is one of that name.
    """

    def register(test: TraceTest) -> TraceTest:
        DATA_FILTERS.register(getattr(test, "__name__", ""), DataFilter.of(summary, test))
        return test

    return register
