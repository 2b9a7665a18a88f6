"""The data of a round: new examples and pairs in a stated mix, and a stated share of what earlier rounds collected."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from faultgym.core.errors import UserError
from faultgym.core.files import atomic_file, file_sha256
from faultgym.core.hashing import stable_hash
from faultgym.core.json import JSON
from faultgym.training.builds.card import header
from faultgym.training.builds.inputs import OnProgress
from faultgym.training.builds.pairs import PairForm, PairOptions, PairReport, build_pairs
from faultgym.training.builds.sft import SFTOptions, SFTReport, build_sft
from faultgym.training.builds.shards import Shard, parquet_files
from faultgym.training.filters.mix import parse_mix
from faultgym.training.loop.config import LoopConfig
from faultgym.training.rows.columns import Form

COUNTS = "counts.json"
REPLAYED = "-replayed"


@dataclass(frozen=True, slots=True)
class Material:
    """What a data set of a round is made of."""

    runs: tuple[Path, ...]
    policy: str
    """Whose traces these are, by name."""
    earlier: tuple[Path, ...]
    """The data sets that are replayed."""
    seed: int


def examples(material: Material, config: LoopConfig, work: Path, on_progress: OnProgress) -> Path:
    """Make the examples of a round, and what is replayed beside them; resumes where a killed process stopped.

    Args:
        material: What the data set is made of.
        config: Gives the mix, the share of replay, and the workers.
        work: Where the folder is made.
        on_progress: Told how far the build is.

    Returns:
        The folder, `work/data`, with `counts.json`.

    Raises:
        UserError: As of `build_sft` and `replay`.
    """
    out = work / "data"
    out.mkdir(exist_ok=True)
    options = SFTOptions(mix=parse_mix(config.mix), seed=material.seed)
    made = build_sft(material.runs, out / "sft", options, workers=config.workers, resume=True, on_progress=on_progress)
    return _counted(out, {**_of_examples(made), "replayed": replay(material, config, "sft", made.rows, out)})


def preferences(material: Material, config: LoopConfig, work: Path, on_progress: OnProgress) -> Path:
    """Make the pairs of a round, and what is replayed beside them; resumes where a killed process stopped.

    Args:
        material: What the data set is made of.
        config: Gives the samples, the forks, the share of replay, and the workers.
        work: Where the folder is made.
        on_progress: Told how far the build is.

    Returns:
        The folder, `work/preferences`, with `counts.json`.

    Raises:
        UserError: As of `build_pairs` and `replay`.
        HarnessError: The policy's server failed.
    """
    out = work / "preferences"
    out.mkdir(exist_ok=True)
    made = _pairs(material, config, out, on_progress)
    rows = made.rows if made.passed or config.unaudited else 0
    return _counted(out, {**_of_pairs(made), "replayed": replay(material, config, "pairs", rows, out)})


def _counted(out: Path, counts: JSON) -> Path:
    with atomic_file(out / COUNTS) as file:
        file.write(orjson.dumps(counts, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    return out


def _pairs(material: Material, config: LoopConfig, out: Path, on_progress: OnProgress) -> PairReport:
    asks = config.samples + config.checks > 0
    options = PairOptions(
        policy=material.policy if asks else "",
        samples=config.samples,
        checks=config.checks,
        seed=material.seed,
        at=config.at,
    )
    form: PairForm = "labels" if config.preference == "kto" else "pairs"
    workers = 1 if asks else config.workers
    return build_pairs(
        material.runs, out / "pairs", options, form=form, workers=workers, resume=True, on_progress=on_progress
    )


def _of_examples(report: SFTReport) -> JSON:
    return {
        "rows": report.rows,
        "kinds": {kind: n for kind, n in report.mix.kinds.items() if n},
        "contracts": report.mix.contracts,
        "short": list(report.mix.short),
        "rejected": report.rejected,
    }


def _of_pairs(report: PairReport) -> JSON:
    return {
        "rows": report.rows,
        "kinds": {kind: n for kind, n in report.choice.kept.items() if n},
        "contracts": report.audit.contracts,
        "sources": report.audit.sources,
        "critical": report.choice.critical,
        "passed": report.passed,
        "problems": report.audit.problems,
    }


def learned_from(data: Path, name: str, found: JSON, config: LoopConfig) -> tuple[str, ...]:
    """The folders of data sets that a training stage takes; none where there is nothing to learn.

    Args:
        data: The folder of the stage that made the data.
        name: `sft` or `pairs`.
        found: What `counts.json` in that folder holds.
        config: Says whether pairs that failed their audit may be learned from.
    """
    if not found["rows"] or not (found.get("passed", True) or config.unaudited):
        return ()
    folders = [data / name, *([data / f"{name}{REPLAYED}"] if found["replayed"] else [])]
    return tuple(map(str, folders))


# ---- replay ---------------------------------------------------------------------------------------


def replay(material: Material, config: LoopConfig, name: str, rows: int, out: Path) -> int:
    """Write so many rows of earlier data sets that they make up the stated share beside the new rows.

    Which rows follows from the seed and the row's place. There is no data set where there is nothing to be replayed.

    Args:
        material: Gives the earlier data sets and the seed.
        config: Gives the share.
        name: `sft` or `pairs`; the data set is written to `NAME-replayed`.
        rows: How many new rows there are.
        out: Where the data set is written.

    Returns:
        How many rows were written.

    Raises:
        UserError: An earlier data set holds no rows or other columns.
    """
    from datasets import Dataset, concatenate_datasets
    from pyarrow.parquet import read_table

    earlier = material.earlier
    wanted = round(rows * config.replay / (1 - config.replay))
    place = out / f"{name}{REPLAYED}"
    if not wanted or not earlier:
        return 0
    tables = [read_table(path) for folder in earlier for path in _files(folder)]
    first = tables[0].schema
    for table, folder in zip(tables, (f for f in earlier for _ in _files(f)), strict=True):
        if set(table.schema.names) != set(first.names):
            raise UserError(f"{folder} holds other columns than {earlier[0]}: replay data sets of one form")
    parts = [Dataset(table).select_columns(first.names) for table in tables]
    whole = concatenate_datasets(parts)
    order = sorted(range(len(whole)), key=lambda n: stable_hash("replay", material.seed, name, n))[:wanted]
    kept = whole.select(sorted(order)).flatten_indices() if order else whole.select([])
    _write(kept, place, [str(folder) for folder in earlier])
    return len(kept)


def _files(folder: Path) -> list[Path]:
    files = parquet_files(folder)
    if not files:
        raise UserError(f"{folder} holds no data/*.parquet to be replayed: name a folder that `faultgym build` made")
    return files


def _write(rows: Any, place: Path, earlier: Sequence[str]) -> None:
    """As `faultgym build` writes a data set: Parquet, figures with the files' hashes, a card."""
    shutil.rmtree(place, ignore_errors=True)
    (place / "data").mkdir(parents=True)
    path = place / "data" / "train-00000-of-00001.parquet"
    rows.to_parquet(path)
    shard = Shard(f"data/{path.name}", len(rows), path.stat().st_size, file_sha256(path))
    figures = {"report": {"rows": len(rows), "of": list(earlier)}, "files": [shard.to_record()]}
    (place / "build.json").write_bytes(orjson.dumps(figures, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    lines = [header(place.name, _form(rows.column_names), [shard], ["replay"]), f"# {place.name}"]
    lines += [f"{len(rows)} rows that earlier rounds collected, chosen by a hash:", *(f"- {one}" for one in earlier)]
    (place / "README.md").write_text("\n\n".join(lines) + "\n", encoding="utf-8")


def _form(columns: Sequence[str]) -> Form:
    names = set(columns)
    if "messages" in names:
        return "messages"
    return "labels" if "label" in names else "pairs" if "chosen" in names else "turns"
