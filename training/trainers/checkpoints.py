"""Checkpoints that are whole: sealed with the hashes of their files when written, and checked before use.

A process that is killed while writing a checkpoint leaves it without a seal: such a checkpoint is passed over, and
the one before is taken. A sealed checkpoint whose files have changed since is damaged, and is never used.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import orjson

from faultgym.core.errors import UserError
from faultgym.core.files import atomic_file, file_sha256, sync_file

SEAL = "sealed.json"
FOLDER = "checkpoints"
_PREFIX = "checkpoint-"
_ELAPSED = "elapsed.json"


def seconds(checkpoint: Path) -> float:
    """How long training had taken until a sealed checkpoint, in seconds."""
    return float(orjson.loads((checkpoint / _ELAPSED).read_bytes())["seconds"])


def seal(checkpoint: Path, seconds: float) -> None:
    """Mark a checkpoint as whole, and sync its files to the disk.

    Args:
        checkpoint: The checkpoint's folder.
        seconds: How long training has taken.
    """
    (checkpoint / _ELAPSED).write_bytes(orjson.dumps({"seconds": seconds}))
    files = sorted(path for path in checkpoint.rglob("*") if path.is_file() and path.name != SEAL)
    record = {path.relative_to(checkpoint).as_posix(): _written(path) for path in files}
    with atomic_file(checkpoint / SEAL) as file:
        file.write(orjson.dumps(record, option=orjson.OPT_INDENT_2))


def _written(path: Path) -> str:
    """The hash of a file that is on the disk."""
    sync_file(path)
    return file_sha256(path)


def all_of(folder: Path) -> list[Path]:
    """The checkpoints in a folder, sealed or not, by step."""
    found = [path for path in folder.glob(f"{_PREFIX}*") if path.name.removeprefix(_PREFIX).isdigit()]
    return sorted(found, key=lambda path: int(path.name.removeprefix(_PREFIX)))


def sealed(folder: Path) -> list[Path]:
    """The checkpoints in a folder that are whole, by step."""
    return [path for path in all_of(folder) if (path / SEAL).is_file()]


def newest(folder: Path) -> Path | None:
    """The last sealed checkpoint, checked; checkpoints that were never finished are removed.

    Args:
        folder: The folder of the checkpoints.

    Returns:
        None where no checkpoint is whole.

    Raises:
        UserError: The checkpoint is damaged.
    """
    for path in all_of(folder):
        if not (path / SEAL).is_file():
            shutil.rmtree(path)
    found = sealed(folder)
    if not found:
        return None
    check(found[-1])
    return found[-1]


def check(checkpoint: Path) -> None:
    """Compare the files of a sealed checkpoint with what was written.

    Raises:
        UserError: A file is missing or has changed.
    """
    try:
        record = orjson.loads((checkpoint / SEAL).read_bytes())
        wrong = next((name for name, told in record.items() if _found(checkpoint / name) != told), "")
    except (OSError, ValueError, AttributeError):
        wrong = SEAL
    if wrong:
        raise UserError(
            f"the checkpoint {checkpoint} is damaged: {wrong} is not what was written. Delete this folder to go on from"
            " the checkpoint before it, or from the start where there is none"
        )


def _found(path: Path) -> str:
    return file_sha256(path) if path.is_file() else ""


def keep(folder: Path, count: int) -> None:
    """Delete all but the last sealed checkpoints of a folder.

    Args:
        folder: The folder of the checkpoints.
        count: How many are kept; at least 1.
    """
    for path in sealed(folder)[:-count]:
        (path / SEAL).unlink()  # first: half a checkpoint must not look whole
        shutil.rmtree(path)
