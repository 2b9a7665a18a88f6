"""Suites by name: the built-in ones, those registered in code, those that packages add by entry point.

A package adds a suite with an entry point of the group `faultgym.suites`, whose name is the suite's:

    [project.entry-points."faultgym.suites"]
    library = "my_package.library:SUITE"

What is added is looked at quickly when it is taken, so that asking for a suite stays cheap; the whole conformance kit
and the gate are `faultgym tasks --check --suite library`.
"""

from __future__ import annotations

import copyreg
import re
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from faultgym.core import bank
from faultgym.core.errors import TaskError
from faultgym.core.registry import Registry
from faultgym.envs.suite import HELD_OUT, Suite, parse_task_id
from faultgym.envs.task import Task

BUILT_IN = {"orders": "faultgym.envs.suites.orders:SUITE", "incidents": "faultgym.envs.suites.incidents:SUITE"}
"""The built-in suites; each is imported when it is first asked for."""
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,39}")
_PREFIX = re.compile(r"[A-Za-z]\w*")


def check_shape(name: str, suite: Suite) -> None:
    """Look quickly at a suite that somebody adds: no world is built, no task drawn.

    Args:
        name: The name that the suite is to be found by.
        suite: The suite.

    Raises:
        TaskError: The suite could not work at all; the message says what is wrong.
    """
    where = f"suite {name!r}"
    if not isinstance(suite, Suite):
        raise TaskError(f"{where} is a {type(suite).__name__}, not a faultgym.envs.Suite")
    if not _NAME.fullmatch(suite.name):
        raise TaskError(f"{where}: its name is the first part of task ids: letters, digits, - and _, at most 40")
    if suite.name != name:
        raise TaskError(f"{where} calls itself {suite.name!r}: register it under its own name")
    if not suite.templates:
        raise TaskError(f"{where} has no templates: there is no task to draw")
    for key, template in suite.templates.items():
        if key != template.name:
            raise TaskError(f"{where}: the template {template.name!r} is kept under {key!r}; the two must be the same")
        if len(template.phrasings) <= HELD_OUT:
            raise TaskError(f"{where}: template {key!r} needs more than {HELD_OUT} phrasings: that many are held out")
    wrong = [prefix for prefix in suite.id_prefixes if not _PREFIX.fullmatch(prefix)]
    if wrong:
        raise TaskError(f"{where}: {wrong[0]!r} is no prefix of identifiers: a word such as ORD is one")


SUITES: Registry[Suite] = Registry("suite", "faultgym.suites", check=check_shape, error=TaskError, lazy=BUILT_IN)
"""All suites by name."""


def register_suite(suite: Suite) -> Suite:
    """Make a suite known by its name, in the place of an earlier suite of that name.

    Args:
        suite: The suite; its `name` is the key.

    Returns:
        The suite itself.

    Raises:
        TaskError: The suite could not work; see `check_shape`.
    """
    if SUITES.held(suite.name) is not suite:
        SUITES.register(suite.name, suite, replace=True)
        _forget_tasks()
    return suite


@contextmanager
def registered(suite: Suite) -> Iterator[Suite]:
    """Keep a suite registered, unchecked, for a while: for checks, which are to find what is wrong.

    Args:
        suite: The suite; an earlier suite of its name returns afterwards.

    Yields:
        The suite itself.
    """
    if SUITES.held(suite.name) is suite:
        yield suite
        return
    try:
        with SUITES.holding(suite.name, suite):
            _forget_tasks()
            yield suite
    finally:
        _forget_tasks()


def _forget_tasks() -> None:
    """Forget what was made of tasks: it is found by their ids, which another suite of the same name has too."""
    bank.forget("tasks", "worlds")


def suite_named(name: str) -> Suite:
    """The suite of that name.

    Raises:
        TaskError: No suite has the name (the message gives the nearest), or an entry point names one that cannot be
            imported or does not pass `check_shape`.
    """
    return SUITES.named(name)


def find_suite(name: str) -> Suite:
    """The suite at `module:NAME`, or the one registered under this name.

    Raises:
        TaskError: The module cannot be imported or has no such suite, or no suite is registered under the name.
    """
    module, colon, attribute = name.partition(":")
    if not colon:
        return suite_named(name)
    try:
        found = getattr(import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:  # ValueError: the name of no module
        raise TaskError(f"{name} cannot be imported: {error}") from error
    if not isinstance(found, Suite):
        raise TaskError(f"{name} is a {type(found).__name__}, not a Suite")
    return found


def suites() -> dict[str, Suite]:
    """All suites by name, the built-in ones first; every suite is imported.

    Raises:
        TaskError: An entry point names a suite that cannot be imported or does not pass `check_shape`.
    """
    return {name: SUITES[name] for name in dict.fromkeys((*BUILT_IN, *SUITES))}


def task_by_id(text: str) -> Task:
    """The task with this id.

    Args:
        text: Such as `orders/order_status/train/0`; `:http` or `:tools` at the end asks for a style.

    Raises:
        TaskError: The text is no task id, or names no suite, template or split.

    Example:
        >>> task = task_by_id("orders/order_status/train/0:tools")
        >>> task.style, "get_order" in task.tools
        ('tools', True)
    """
    name, template, split, index, style = parse_task_id(text)
    return suite_named(name).task(template, split, index, style)


def _reduced(suite: Suite) -> str | tuple[Any, ...]:
    """For another process: a registered suite by its name, any other by what it is made of."""
    if SUITES.held(suite.name) is suite:
        return suite_named, (suite.name,)
    return suite.__reduce_ex__(4)


copyreg.pickle(Suite, _reduced)
