"""The data card of a data set: a README.md whose header `datasets` and the hub read."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from importlib import metadata
from pathlib import Path

import orjson

from faultgym import __version__
from faultgym.core.json import JSON
from faultgym.training.builds.shards import Shard
from faultgym.training.rows.columns import Form, columns

_LIBRARIES = ("datasets", "datasketch", "pyarrow")


def header(name: str, form: Form, shards: Sequence[Shard], tags: Sequence[str]) -> str:
    """The header of a data card, between two lines of dashes; JSON, which is YAML too and needs no writer of its own.

    Args:
        name: The data set's name for people.
        form: The form of the rows, which gives the columns.
        shards: The files; their rows and bytes are added up.
        tags: Tags beside `faultgym` and `tool-use`.

    Returns:
        The text, without a newline at its end.
    """
    rows, size = sum(s.rows for s in shards), sum(s.bytes for s in shards)
    data: JSON = {
        "pretty_name": name,
        "language": ["en"],
        "task_categories": ["text-generation"],
        "tags": ["faultgym", "tool-use", *tags],
        "size_categories": [_size(rows)],
        "configs": [{"config_name": "default", "data_files": [{"split": "train", "path": "data/train-*"}]}],
        "dataset_info": {
            "features": columns(form),
            "splits": [{"name": "train", "num_examples": rows, "num_bytes": size}],
            "download_size": size,
            "dataset_size": size,
        },
    }
    lines = [f"{key}: {orjson.dumps(value).decode()}" for key, value in data.items()]
    return "\n".join(["---", *lines, "---"])


def _size(rows: int) -> str:
    """The hub's word for a number of rows."""
    bounds = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
    return next((name for bound, name in bounds if rows < bound), "1M<n<10M")


def table(names: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table in Markdown; columns of numbers are right-aligned.

    Args:
        names: The titles of the columns.
        rows: The cells; a float is shown as a share (`12.5%`), an int with thousands separated, all else as text on one
            line.

    Returns:
        The lines, joined by newlines.

    Example:
        >>> print(table(["kind", "examples", "share"], [["clean", 1200, 0.75], ["recovery", 400, 0.25]]))
        | kind | examples | share |
        |---|---:|---:|
        | clean | 1,200 | 75.0% |
        | recovery | 400 | 25.0% |
    """
    rows = list(rows)
    numeric = [bool(rows) and all(isinstance(row[n], int | float) for row in rows) for n in range(len(names))]
    marks = ["---:" if right else "---" for right in numeric]
    lines = [f"| {' | '.join(names)} |", f"|{'|'.join(marks)}|"]
    lines += [f"| {' | '.join(_cell(value) for value in row)} |" for row in rows]
    return "\n".join(lines)


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.1%}"
    if isinstance(value, int):
        return f"{value:,}"
    text = "".join(c if c.isprintable() else " " for c in str(value))
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")


def shares(counts: Mapping[str, int], first: str, stated: Mapping[str, float] | None = None) -> str:
    """A table of counts with their shares of the whole, beside the stated shares where there are any.

    Args:
        counts: Name -> how many.
        first: The title of the column of names.
        stated: Name -> the share that was asked for, in [0, 1].

    Returns:
        The table in Markdown.

    Example:
        >>> print(shares({"clean": 3, "recovery": 1}, "kind"))
        | kind | examples | share |
        |---|---:|---:|
        | clean | 3 | 75.0% |
        | recovery | 1 | 25.0% |
    """
    total = sum(counts.values())
    names = [first, "examples", "share", *(["stated"] if stated else [])]
    rows: list[list[object]] = []
    for name, count in counts.items():
        row: list[object] = [name, count, count / total if total else 0.0]
        rows.append(row + ([float(stated.get(name, 0.0))] if stated else []))
    return table(names, rows)


def rebuild(verb: str, runs: Sequence[Path], out: Path, options: Mapping[str, object]) -> str:
    """The command that makes the same data set again.

    Args:
        verb: The verb of `faultgym build`.
        runs: The folders of the runs; named in sorted order.
        out: The data set's folder, of which the last part is named.
        options: Option -> value; of a tuple each item is given by itself.

    Returns:
        A code block in Markdown.
    """
    words = ["faultgym", "build", verb, *sorted(str(run) for run in runs), "--out", out.name]
    for name, value in options.items():
        for one in value if isinstance(value, tuple) else (value,):
            words += [f"--{name}", str(one)]
    return f"```\n{shlex.join(words)}\n```"


def provenance(command: str, segments: Iterable[JSON], shards: Iterable[Shard]) -> list[str]:
    """The card's sections on how to make the data set again, of what, and on its files.

    Args:
        command: What `rebuild` gave.
        segments: The input files, as `Segment.to_record` gives them.
        shards: The files that were written.

    Raises:
        PackageNotFoundError: A library of the extra `data` is not installed.
    """
    inputs = ([f"{s['run']}/{s['name']}", s["lines"], f"`{s['sha256']}`"] for s in segments)
    return [
        "## How to make it again",
        command,
        f"Made with {made_with()}. The same traces and versions give the same bytes, in any order of the runs and with"
        " any number of workers.",
        "## Inputs and files",
        table(["input", "traces", "SHA-256"], inputs),
        table(["file", "rows", "bytes", "SHA-256"], ([s.name, s.rows, s.bytes, f"`{s.sha256}`"] for s in shards)),
    ]


def made_with() -> str:
    """The versions that the files depend on: of faultgym and of the libraries that write them.

    Raises:
        PackageNotFoundError: A library of the extra `data` is not installed.
    """
    parts = [f"faultgym {__version__}", *(f"{name} {metadata.version(name)}" for name in _LIBRARIES)]
    return ", ".join(parts)
