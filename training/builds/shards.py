"""Rows as Parquet files in a folder that `datasets.load_dataset` reads. Needs the extra `data`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from faultgym.core.files import file_sha256
from faultgym.core.json import JSON
from faultgym.training.rows.columns import Form, features

ROWS_PER_SHARD = 20_000
ROWS_PER_GROUP = 500
"""Rows that are in memory at a time, and in a row group."""


@dataclass(frozen=True, slots=True)
class Shard:
    """One Parquet file of a data set."""

    name: str
    """Relative to the data set's folder."""
    rows: int
    bytes: int
    sha256: str

    def to_record(self) -> JSON:
        """The fields as JSON."""
        return {name: getattr(self, name) for name in self.__slots__}


def write_shards(rows: Iterable[JSON], form: Form, folder: Path) -> list[Shard]:
    """Write the rows in their order to `folder/data/train-*.parquet`; the same rows give the same bytes.

    At least one file is written, whose columns can be read with pyarrow; `datasets` refuses to load one without rows.

    Args:
        rows: Rows of the form; read once, `ROWS_PER_GROUP` in memory at a time.
        form: Gives the columns.
        folder: The data set's folder, in which `data` does not exist yet.

    Returns:
        The files, in their order.

    Raises:
        FileExistsError: `folder/data` exists.
    """
    from datasets import Dataset

    columns = features(form)
    data = folder / "data"
    data.mkdir()
    stream = iter(rows)
    counts: list[int] = []
    while not counts or counts[-1] == ROWS_PER_SHARD:
        part = islice(stream, ROWS_PER_SHARD)
        tables = (Dataset.from_list(batch, features=columns).data.table for batch in _batches(part))
        count = _write(data / f"{len(counts)}.part", tables, columns)
        if not count and counts:
            (data / f"{len(counts)}.part").unlink()
            break
        counts.append(count)
    return [_named(data, number, len(counts), count) for number, count in enumerate(counts)]


def _batches(rows: Iterator[JSON]) -> Iterator[list[JSON]]:
    while batch := list(islice(rows, ROWS_PER_GROUP)):
        yield batch


def _write(path: Path, tables: Iterator[Any], columns: Any) -> int:
    """Write one file and return how many rows it has."""
    from datasets import Dataset
    from pyarrow.parquet import ParquetWriter

    schema = Dataset.from_dict({name: [] for name in columns}, features=columns).data.table.schema
    count = 0
    with ParquetWriter(path, schema, compression="zstd") as writer:
        for table in tables:
            writer.write_table(table, row_group_size=ROWS_PER_GROUP)
            count += table.num_rows
    return count


def _named(data: Path, number: int, total: int, rows: int) -> Shard:
    path = data / f"train-{number:05d}-of-{total:05d}.parquet"
    (data / f"{number}.part").rename(path)
    return Shard(name=f"data/{path.name}", rows=rows, bytes=path.stat().st_size, sha256=file_sha256(path))


def parquet_files(folder: Path) -> list[Path]:
    """The Parquet files of a data set, in their order; none where the folder is no data set."""
    return sorted([*folder.glob("data/*.parquet"), *folder.glob("*.parquet")])


def push_to_hub(folder: Path, name: str) -> str:
    """Upload a finished data set, its card included, as a private data set.

    Args:
        folder: The data set's folder.
        name: The repository's name on the hub, such as `user/name`.

    Returns:
        The address of the repository.
    """
    from huggingface_hub import HfApi

    api = HfApi()
    url = api.create_repo(name, repo_type="dataset", private=True, exist_ok=True)
    api.upload_folder(repo_id=name, repo_type="dataset", folder_path=folder)
    return str(url)
