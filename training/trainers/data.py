"""Data sets from `faultgym build` as rows for a trainer: the right form, audited, whole, and none too long.

Nothing is cut off and nothing is dropped in silence. TRL's DPO and KTO leave out rows whose prompt is too long
without a word, its SFT cuts off their ends: here every row is measured before a trainer sees it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from faultgym.agents.models.prompts import NONE, system_text
from faultgym.core.errors import UserError
from faultgym.core.files import file_sha256
from faultgym.core.json import JSON
from faultgym.training.builds.shards import parquet_files
from faultgym.training.configs.train import Method, TrainConfig
from faultgym.training.trainers.masks import labelled_tokens, measured_label, measured_pair
from faultgym.training.trainers.row_check import check_columns, form_of, surveyed, without_nulls
from faultgym.training.trainers.template_check import fitted

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

FORMS: dict[Method, tuple[str, ...]] = {
    "sft": ("messages", "turns"),
    "dpo": ("pairs",),
    "orpo": ("pairs",),
    "kto": ("labels",),
}
"""Method -> the forms of rows that it learns from."""
_BUILD = {"sft": "faultgym build sft", "dpo": "faultgym build pairs", "orpo": "faultgym build pairs"}
_NEEDED: dict[str, tuple[str, ...]] = {
    "messages": ("messages", "tools"),
    "turns": ("prompt", "completion", "tools"),
    "pairs": ("prompt", "chosen", "rejected", "tools"),
    "labels": ("prompt", "completion", "label", "tools"),
}


@dataclass(frozen=True, slots=True)
class DataSet:
    """The rows of one folder."""

    folder: str
    form: str
    """As in `rows.Form`."""
    rows: Any = field(hash=False)
    """A `datasets.Dataset`."""
    sha256: str
    """Of its files, in the order of their names."""
    parts: frozenset[str] = frozenset()
    """What its chats hold, as fields of `probe.ChatParts`."""

    def to_record(self) -> JSON:
        """The part that goes into a lineage, as JSON."""
        return {"folder": self.folder, "form": self.form, "rows": len(self.rows), "sha256": self.sha256}


@dataclass(frozen=True, slots=True)
class Prepared:
    """Rows as a trainer takes them."""

    rows: Any = field(hash=False)
    lengths: tuple[int, ...] = field(hash=False)
    """Tokens of each row; of a pair, of its longer side."""
    left_out: int
    """Rows that were too long, where that was allowed."""
    unpaired: int
    """Whether a last row was left out, which KTO could compare with no other."""
    learned: int
    """Tokens that carry loss."""
    said: tuple[str, ...] = ()
    """What the chat template does with the rows that a person should know."""


def load_all(config: TrainConfig) -> list[DataSet]:
    """The data sets of a run.

    Args:
        config: Names the folders; its method says which forms are taken.

    Returns:
        One data set for each folder, all of one form.

    Raises:
        UserError: A folder cannot be used for the method, was changed after it was built, failed its audit, or there
            are no rows.
    """
    found = [_load(Path(folder), config) for folder in config.data]
    first = found[0]
    for other in found[1:]:
        if other.form != first.form:
            raise UserError(
                f"{first.folder} holds {first.form} and {other.folder} holds {other.form}: one run takes one form"
            )
    if not any(len(one.rows) for one in found):
        raise UserError(f"{', '.join(config.data)}: there are no rows to learn from")
    return found


def _load(folder: Path, config: TrainConfig) -> DataSet:
    if not folder.is_dir():
        raise UserError(f"{folder} is no folder: a data set is one that `{_build(config.method)}` made")
    files = parquet_files(folder)
    if not files:
        raise UserError(f"{folder} holds no data/*.parquet: make a data set with `{_build(config.method)}`")
    hashes = {path.relative_to(folder).as_posix(): file_sha256(path) for path in files}
    _check_build(folder, hashes, config)
    rows = _read(files)
    form = form_of(rows, FORMS[config.method])
    if form not in FORMS[config.method]:
        fitting = [method for method, forms in FORMS.items() if form in forms]
        here = f"{folder} holds {form or 'columns that no trainer knows'}"
        use = f", which is for {' and '.join(fitting)}" if fitting else ""
        text = "; rows of text do not say who wrote what" if form in ("text", "rendered") else ""
        raise UserError(
            f"{here}{use}{text}: {config.method} learns from {' or '.join(FORMS[config.method])}"
            f" (`{_build(config.method)}`)"
        )
    whole = sha256("".join(f"{name} {digest}\n" for name, digest in hashes.items()).encode()).hexdigest()
    rows = rows.select_columns([name for name in _NEEDED[form] if name in rows.column_names])
    check_columns(rows, form, str(folder))
    seen = surveyed(rows, form, str(folder))
    return DataSet(
        str(folder), form, _prompted(without_nulls(rows, form, seen.nulls), form, config.prompt), whole, seen.parts
    )


def _prompted(rows: Any, form: str, prompt: str) -> Any:
    """The rows with the system messages that a rollout with this prompt sends."""
    column = "messages" if form == "messages" else "prompt"
    if prompt == NONE or not len(rows):
        return rows

    def said(row: JSON) -> JSON:
        first, *rest = row[column]
        if first["role"] != "system":
            return row
        return {**row, column: [{**first, "content": system_text(first["content"], prompt, False)}, *rest]}

    return rows.map(said, features=rows.features)


def _build(method: Method) -> str:
    return _BUILD.get(method, "faultgym build kto")


def _check_build(folder: Path, hashes: dict[str, str], config: TrainConfig) -> None:
    """Whether the files are those that were built, and passed their audit."""
    path = folder / "build.json"
    if not path.is_file():
        return  # a data set from elsewhere
    try:
        figures = orjson.loads(path.read_bytes())
        built = {file["name"]: file["sha256"] for file in figures["files"]}
        audit = figures["report"].get("audit") or {}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path} is damaged ({error}): build the data set again") from error
    for name in sorted(built.keys() | hashes.keys()):
        if built.get(name) != hashes.get(name):
            raise UserError(f"{folder / name} is not what was built ({path} has its hash): build the data set again")
    if audit.get("passed") is False and not config.unaudited:
        problem = (audit.get("problems") or ["see its README.md"])[0]
        raise UserError(
            f"{folder} failed its balance audit: {problem}. A model would learn the shortcut; build it from more"
            " traces and policies, or train on it all the same with --unaudited"
        )


def _read(files: Sequence[Path]) -> Any:
    """The rows, read where they lie: no copy in a cache of the user's."""
    from datasets import Dataset, concatenate_datasets
    from pyarrow import ArrowException
    from pyarrow.parquet import read_table

    tables = []
    for path in files:
        try:
            tables.append(Dataset(read_table(path, memory_map=True)))
        except (ArrowException, OSError, ValueError) as error:
            raise UserError(
                f"{path} cannot be read ({str(error).splitlines()[0]}): build the data set again"
            ) from error
    return concatenate_datasets(tables)


def prepare(sets: Sequence[DataSet], config: TrainConfig, tokenizer: PreTrainedTokenizerBase, context: int) -> Prepared:
    """Measured and masked rows.

    Args:
        sets: The data sets, of one form.
        config: The run, resolved.
        tokenizer: Its template marks what the assistant writes.
        context: Tokens that the model can read.

    Raises:
        UserError: Rows are too long and `too_long` is not `drop`, KTO has only one row, or nothing would be learned.
    """
    from datasets import concatenate_datasets

    rows = concatenate_datasets([one.rows for one in sets])
    rows, said = fitted(rows, tokenizer, frozenset[str]().union(*(one.parts for one in sets)))
    columns: Callable[..., JSON] = {"sft": labelled_tokens, "kto": measured_label}.get(config.method, measured_pair)
    dropped = rows.column_names if config.method == "sft" else None
    rows = rows.map(
        _measured, with_indices=True, fn_kwargs={"columns": columns, "tokenizer": tokenizer}, remove_columns=dropped
    )
    limit = min(config.max_length or context, context)
    lengths = list(rows["length"])
    fitting = [n for n, length in enumerate(lengths) if length <= limit]
    left_out = len(lengths) - len(fitting)
    if left_out and (config.too_long == "refuse" or not fitting):
        why = f"max_length={limit}" if config.max_length and limit < context else f"the model's context of {context}"
        raise UserError(
            f"{left_out} of {len(lengths)} rows have more tokens than {why} (the longest {max(lengths)}): nothing is"
            " cut off here. Raise max_length, take a model that reads more, or leave these rows out with"
            " --set too_long=drop (in a loop: sft.too_long=drop, pref.too_long=drop)"
        )
    if left_out:
        rows = rows.select(fitting)
    unpaired = 0
    if config.method == "kto":
        if len(rows) < 2:
            raise UserError(f"{', '.join(config.data)}: KTO compares rows with one another, and there is only one")
        unpaired = _unpaired(len(rows), config.batch_size or 2)
        rows = rows.shuffle(seed=config.seed).select(range(len(rows) - unpaired))
    learned = _learned(rows, config.method)
    if not learned:
        raise UserError(f"{', '.join(config.data)}: the assistant wrote nothing in these rows")
    return Prepared(
        rows=rows.remove_columns("length"),
        lengths=tuple(rows["length"]),
        left_out=left_out,
        unpaired=unpaired,
        learned=learned,
        said=tuple(said),
    )


def _measured(row: JSON, number: int, columns: Callable[..., JSON], tokenizer: PreTrainedTokenizerBase) -> JSON:
    try:
        return columns(row, tokenizer)
    except UserError:
        raise
    except Exception as error:  # templates raise whatever they like
        words = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise UserError(f"the chat template refuses row {number} ({words}): leave it out, or mend it") from error


def _unpaired(rows: int, batch: int) -> int:
    """Rows that KTO has to leave out: one that would be alone; among several processes all of a last batch not full.

    There accelerate fills it up with rows whose companions, for the KL term, are in another batch.
    """
    left = rows % batch
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and rows > batch:
        return left
    return int(left == 1)


def _learned(rows: Any, method: Method) -> int:
    if method == "sft":
        return sum(label != -100 for labels in rows["labels"] for label in labels)
    names = ("completion_mask",) if method == "kto" else ("chosen_mask", "rejected_mask")
    return sum(sum(mask) for name in names for mask in rows[name])
