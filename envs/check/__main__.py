"""`python -m faultgym.envs.check module:SUITE [...]`: check suites and print the reports.

The name of a registered suite, such as `orders`, is taken too. Exit code 0 when every rule holds, 1
when one is violated, 2 when a suite cannot be found. `faultgym tasks --check` runs the gate over the tasks too.
"""

from __future__ import annotations

import sys

from faultgym.core.errors import TaskError
from faultgym.envs.check.kit import check_suite
from faultgym.envs.registry import find_suite


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


if __name__ == "__main__":
    sys.exit(main())
