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
        size: Results kept; past that, the least recently used one is dropped.

    Returns:
        A decorator. The arguments of the function have to be hashable.

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
    """Empty the caches on some shelves. Results handed out before stay valid.

    Args:
        shelves: The shelves to empty; by default, all of them.
    """
    for shelf, cached in list(_BANK.values()):
        if not shelves or shelf in shelves:
            cached.cache_clear()


def contents() -> dict[str, tuple[Shelf, int, int]]:
    """How full each cache of the bank is.

    Returns:
        Module and name of the cached function -> (shelf, results kept, results kept at most), sorted by name.
    """
    found = {}
    for name, (shelf, cached) in sorted(_BANK.items()):
        info = cached.cache_info()
        found[name] = (shelf, info.currsize, info.maxsize)
    return found
