"""The bank of module caches: every one bounded, all of them counted, cleared by one call.

What is cached is a function of its arguments alone, so clearing never changes a result.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, Literal, ParamSpec, Protocol, TypeVar, cast

P = ParamSpec("P")
R = TypeVar("R")
Shelf = Literal["tasks", "worlds", "texts", "code"]
"""What a cache holds: `tasks` (tasks, schedules, solutions), `worlds`, `texts` (what was read out of a text), `code`
(what never depends on a world or a task: schemas, classes, analyzers)."""


class _Cached(Protocol):
    def cache_clear(self) -> None: ...

    def cache_info(self) -> Any: ...


_BANK: dict[str, tuple[Shelf, _Cached]] = {}


def banked(shelf: Shelf, size: int) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Cache a function's last `size` results, on a shelf of the bank.

    Args:
        shelf: What the results are.
        size: How many are kept; the one not used for longest goes first.

    Example:
        >>> @banked("code", 8)
        ... def square(number: int) -> int:
        ...     return number * number
        >>> square(4)
        16
    """

    def wrap(function: Callable[P, R]) -> Callable[P, R]:
        cached = lru_cache(size)(function)
        _BANK[f"{function.__module__}.{function.__qualname__}"] = (shelf, cast(_Cached, cached))
        return cast(Callable[P, R], cached)

    return wrap


def forget(*shelves: Shelf) -> None:
    """Empty the caches on these shelves, or all of them. What was handed out stays valid."""
    for shelf, cached in list(_BANK.values()):
        if not shelves or shelf in shelves:
            cached.cache_clear()


def contents() -> dict[str, tuple[Shelf, int, int]]:
    """Function -> (shelf, results kept, results kept at most)."""
    found = {}
    for name, (shelf, cached) in sorted(_BANK.items()):
        info = cached.cache_info()
        found[name] = (shelf, info.currsize, info.maxsize)
    return found
