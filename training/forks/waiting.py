"""Waiting for models: one event loop for all, and many at a time within it."""

from __future__ import annotations

import asyncio
import atexit
from collections import deque
from collections.abc import Coroutine, Iterable, Iterator
from functools import cache
from typing import Any, TypeVar

T = TypeVar("T")


@cache
def _runner() -> asyncio.Runner:
    """One event loop for all: connections and loaded models belong to the loop that made them."""
    runner = asyncio.Runner()
    atexit.register(runner.close)
    return runner


def wait_for(coroutine: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine, from code that is not asynchronous.

    Raises:
        RuntimeError: An event loop is running.

    Example:
        >>> wait_for(together([asyncio.sleep(0, "first"), asyncio.sleep(0, "second")]))
        ['first', 'second']
    """
    try:
        return _runner().run(coroutine)
    except RuntimeError:
        coroutine.close()
        raise


async def together(coroutines: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """The results of coroutines that wait at the same time; the first failure ends them all.

    Args:
        coroutines: Begun at once, all of them.

    Returns:
        The results, in the order of the coroutines.
    """
    tasks = [asyncio.ensure_future(one) for one in coroutines]
    try:
        return await asyncio.gather(*tasks)
    finally:
        await _ended(tasks)


def in_turn(coroutines: Iterable[Coroutine[Any, Any, T]], width: int) -> Iterator[T]:
    """The results of coroutines, `width` of which are under way at a time.

    Coroutines go on while the next result is waited for, not while the caller works on the last one.

    Args:
        coroutines: Drawn from only as fast as there is room.
        width: How many are under way at a time.

    Yields:
        The results, in the order of the coroutines.

    Raises:
        RuntimeError: An event loop is running.

    Example:
        >>> list(in_turn((asyncio.sleep(0, number) for number in range(3)), 2))
        [0, 1, 2]
    """
    source = iter(coroutines)
    tasks: deque[asyncio.Task[T]] = deque()

    async def first() -> T:
        while len(tasks) < width:
            one = next(source, None)
            if one is None:
                break
            tasks.append(asyncio.ensure_future(one))
        return await tasks.popleft() if tasks else _none()

    try:
        while True:
            try:
                yield wait_for(first())
            except _Nothing:
                return
    finally:
        if tasks:
            wait_for(_ended(tasks))


class _Nothing(Exception):
    """There is no further coroutine."""


def _none() -> Any:
    raise _Nothing


async def _ended(tasks: Iterable[asyncio.Task[T]]) -> None:
    """Cancel what still runs, and wait until it has ended."""
    tasks = list(tasks)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
