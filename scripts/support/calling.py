"""How this command was called, so that the commands it prints can be run as they stand."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from shlex import quote


def command(*arguments: object) -> str:
    """A command line that calls faultgym the way this process was called.

    Args:
        arguments: What follows, each one argument; quoted where a shell wants that.

    Example:
        >>> command("score", "my runs").endswith(" score 'my runs'")
        True
    """
    return " ".join([_form(sys.argv[0]), *(quote(str(argument)) for argument in arguments)])


def _form(called: str) -> str:
    """`faultgym` where that is on the PATH, else `python -m faultgym` or the path, as the user wrote it."""
    path = Path(called)
    if path.name == "__main__.py" and path.parent.name == "faultgym":
        return f"{_python()} -m faultgym"
    on_path = shutil.which("faultgym")
    if path.name != "faultgym" or not path.is_file() or (on_path and os.path.samefile(on_path, path)):
        return "faultgym"
    return quote(os.path.relpath(path))


def _python() -> str:
    """The interpreter that runs this, by its short name where the PATH leads from that to it."""
    for name in ("python", "python3"):
        found = shutil.which(name)
        if found and os.path.abspath(found) == os.path.abspath(sys.executable):
            return name
    return quote(sys.executable)
