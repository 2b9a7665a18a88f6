"""Files: their hashes, and writing them so that they are whole or not there at all."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from faultgym.core.errors import UserError

DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""Error numbers of a disk, or a quota, that is full."""


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file's bytes, as 64 hexadecimal digits.

    Raises:
        OSError: The file cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def contents_sha256(paths: Iterable[Path], end: str = "") -> str:
    """One SHA-256 over several files in the order given: of each its name without folders, `end`, and its bytes.

    Args:
        paths: The files.
        end: What separates a name from the bytes.

    Raises:
        OSError: A file cannot be read.
    """
    digest = hashlib.sha256()
    for path in paths:
        digest.update(f"{path.name}{end}".encode())
        with path.open("rb") as file:
            hashlib.file_digest(file, lambda: digest)
    return digest.hexdigest()


def write_error(path: Path, error: OSError) -> UserError:
    """The error for a write, sync or creation that failed.

    Args:
        path: The file that was to be written.
        error: What the system raised; a full disk or quota gets a message of its own.

    Returns:
        An error to raise, whose message tells a person what to do.
    """
    if error.errno in DISK_FULL:
        what = f"disk full: {path} cannot grow ({error.strerror})"
        return UserError(f"{what}; all earlier records are intact: free some space, then resume the run")
    reason = error.strerror or str(error)
    return UserError(f"{path} cannot be written ({reason}); check the folder and its permissions")


def sync_folder(folder: Path) -> None:
    """Make a new or renamed entry of the folder outlast a power cut.

    Raises:
        OSError: The folder cannot be opened or synced.
    """
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def sync_file(path: Path) -> None:
    """Make the bytes of a file that was written and closed outlast a power cut.

    Raises:
        OSError: The file cannot be opened or synced.
    """
    with path.open("rb") as file:
        os.fsync(file.fileno())


def sync_tree(folder: Path, names: Iterable[str]) -> None:
    """Make files of a folder, and their entries in it, outlast a power cut.

    Args:
        folder: The folder.
        names: The files, relative to the folder.

    Raises:
        OSError: A file or a folder cannot be opened or synced.
    """
    for name in names:
        sync_file(folder / name)
        sync_folder((folder / name).parent)


@contextmanager
def atomic_file(path: Path) -> Iterator[BinaryIO]:
    """A file that takes its name only when it is whole and on the disk.

    Args:
        path: The final name. The file is `.NAME.tmp` beside it until the block ends; an error in the block deletes it.

    Yields:
        The open file, for bytes.

    Raises:
        UserError: The folder is missing, or the path is a folder or a device, which must not be replaced.
        OSError: The file cannot be written; `write_error` makes of that what a person can read.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     path = Path(folder, "whole.txt")
        ...     with atomic_file(path) as file:
        ...         path.exists(), file.write(b"all of it")
        ...     path.read_bytes()
        (False, 9)
        b'all of it'
    """
    if path.exists() and not path.is_file():
        raise UserError(f"{path} is no ordinary file; choose another name")
    if not path.parent.is_dir():
        raise UserError(f"{path} cannot be written: there is no folder {path.parent}")
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        sync_folder(path.parent)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise
