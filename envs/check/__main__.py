"""`python -m faultgym.envs.check module:SUITE [...]`: check suites and print the reports.

The name of a registered suite, such as `orders`, is taken too. Exit code 0 when every rule holds, 1
when one is violated, 2 when a suite cannot be found.
"""

from __future__ import annotations

import sys
from importlib import import_module

from faultgym.core.errors import TaskError
from faultgym.envs.check.kit import check_suite
from faultgym.envs.registry import suite_named
from faultgym.envs.suite import Suite


def main(argv: list[str] | None = None) -> int:
    """Check the suites that are named, and print the reports.

    Args:
        argv: Names of registered suites, or `module:SUITE`; by default the arguments of the program.

    Returns:
        The exit code: 0 when every rule holds, 1 when one is violated, 2 when a suite cannot be found.
    """
    names = sys.argv[1:] if argv is None else argv
    if not names or names[0].startswith("-"):
        print("usage: python -m faultgym.envs.check module:SUITE [...]", file=sys.stderr)
        return 2
    code = 0
    for name in names:
        try:
            suite = find_suite(name)
        except TaskError as error:
            print(error, file=sys.stderr)
            return 2
        report = check_suite(suite)
        print(report)
        code = code or int(not report.ok)
    return code


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


if __name__ == "__main__":
    sys.exit(main())
