"""Hashes of files."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file's bytes, as 64 hexadecimal digits.

    Raises:
        OSError: The file cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def files_sha256(paths: Iterable[Path], below: Path) -> str:
    """One SHA-256 for several files: of their names relative to `below` and their bytes, in the order of the names."""
    digest = hashlib.sha256()
    for name, path in sorted((path.relative_to(below).as_posix(), path) for path in paths):
        digest.update(f"{name} {file_sha256(path)}\n".encode())
    return digest.hexdigest()


def contents_sha256(paths: Iterable[Path], end: str = "") -> str:
    """One SHA-256 over several files in the order given: of each its name without folders, `end`, and its bytes.

    Raises:
        OSError: A file cannot be read.
    """
    digest = hashlib.sha256()
    for path in paths:
        digest.update(f"{path.name}{end}".encode())
        with path.open("rb") as file:
            hashlib.file_digest(file, lambda: digest)
    return digest.hexdigest()
