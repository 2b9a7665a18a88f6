"""Where a data set or a model is made before it appears: beside its folder, and moved there whole at the end."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import orjson

from faultgym.agents.rollouts.plan import plan_difference
from faultgym.core.errors import UserError
from faultgym.core.files import sync_folder
from faultgym.core.json import JSON


def work_folder(out: Path) -> Path:
    """The folder in which the build of `out` does its work: `.NAME.building` beside `out`.

    Example:
        >>> work_folder(Path("sets/a")).as_posix()
        'sets/.a.building'
    """
    return out.parent / f".{out.name}.building"


def finished(out: Path, summary: str, options: JSON) -> JSON | None:
    """The report of a build that was done already, stopped at most while cleaning up.

    Args:
        out: The result's folder.
        summary: The file in `out` with the report and the options.
        options: What is asked for now, as JSON.

    Returns:
        The report, as JSON; None where there is no such file.

    Raises:
        UserError: What lies there was built with other options, or is something else.
    """
    path = out / summary
    if not path.is_file():
        return None
    try:
        record = orjson.loads(path.read_bytes())
        report: JSON = record["report"]
        difference = plan_difference(record["options"], orjson.loads(orjson.dumps(options)))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path} cannot be read ({error!r}): choose another folder, or delete that one") from error
    if difference:
        raise UserError(f"{out} was built with other options ({difference}): choose another folder, or delete that one")
    shutil.rmtree(work_folder(out), ignore_errors=True)
    return report


def workplace(out: Path, resume: bool) -> Path:
    """The work folder, made where missing.

    Args:
        out: The result's folder, which must not exist or be empty.
        resume: Whether the work of a stopped build may be there.

    Returns:
        The folder.

    Raises:
        UserError: `out` is there already, or a stopped build is and `resume` is false.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{out} is there already; choose another folder, or delete that one")
    work = work_folder(out)
    if work.exists() and not resume:
        raise UserError(f"{work} holds work that was stopped; go on with --resume, or delete that folder")
    work.mkdir(parents=True, exist_ok=True)
    return work


def publish(folder: Path, out: Path, work: Path) -> None:
    """Move what was built to its place, at once, and clear the work folder.

    Args:
        folder: What was built.
        out: Where the result belongs.
        work: The work folder, removed with all that is left in it.

    Raises:
        OSError: `out` cannot take the folder's place, because something is there.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    os.rename(folder, out)
    sync_folder(out.parent)
    shutil.rmtree(work)
