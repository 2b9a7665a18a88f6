"""Virtual environments for the packages that faultgym is compared with: built once, in the user's cache folder."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from faultgym.agents.models.files import cache_folder
from faultgym.core.errors import UserError


def python_with(name: str, packages: Sequence[str], *installs: Sequence[str]) -> Path:
    """The interpreter of a virtual environment with these packages, which is built where missing.

    Args:
        name: Of the folder in the cache folder.
        packages: What the environment is for, as a message names it.
        installs: The arguments of `pip install`, one installation after another; none for the packages alone.

    Raises:
        UserError: The environment could not be built, most often for want of a network.
    """
    steps = installs or (packages,)
    wanted = json.dumps([steps, sys.version, sys.base_prefix])
    folder = cache_folder() / name / hashlib.sha256(wanted.encode()).hexdigest()[:12]
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    built = folder / "built.json"
    if built.exists():
        return python
    shutil.rmtree(folder, ignore_errors=True)  # an installation that was cut short is worth nothing
    _run("create a virtual environment for the peers", [sys.executable, "-m", "venv", str(folder)])
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--retries", "1"]
    for arguments in steps:
        _run(f"install {' and '.join(packages)}", [*pip, *arguments], " (you need access to PyPI)")
    built.write_text(wanted)
    return python


def _run(what: str, command: Sequence[str], advice: str = "") -> None:
    """Run a step of an installation; the UserError of one that fails holds what it said."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr + done.stdout).splitlines()
        errors = [line for line in said if "ERROR" in line]
        reason = errors[-1] if errors else " ".join(said)[:400] or f"exit code {done.returncode}"
        raise UserError(f"could not {what}: {reason}{advice}")
