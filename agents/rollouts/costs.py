"""What tokens cost, by a table of prices that a person keeps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import orjson

from faultgym.agents.rollouts.progress import OnProgress, Progress
from faultgym.agents.rollouts.stop import Stop
from faultgym.core.errors import UserError
from faultgym.core.suggest import did_you_mean
from faultgym.envs.messages.usage import Usage

_FIELDS = ("prompt", "cached", "completion")
_MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class Prices:
    """Prices of a million tokens, in any currency.

    Example:
        >>> Prices(2.0, 0.5, 8.0).cost(Usage(prompt=1_000_000, cached=400_000, completion=250_000))
        3.4
    """

    prompt: float
    cached: float
    completion: float

    def cost(self, usage: Usage) -> float:
        """What the tokens cost; those that were read from a cache at the price of `cached` alone."""
        fresh = max(0, usage.prompt - usage.cached)
        parts = fresh * self.prompt + usage.cached * self.cached + usage.completion * self.completion
        return parts / _MILLION


def prices_of(path: Path, model: str) -> Prices:
    """The prices of a model in a table.

    Args:
        path: A JSON file: `{"MODEL": {"prompt": 2.5, "completion": 10, "cached": 0.25}}`, per million tokens; without
            `cached`, tokens from a cache cost what others do.
        model: The model's name as policies have it, without `openai:`.

    Raises:
        UserError: The file cannot be read or is no such table, or the model is not in it.
    """
    try:
        table = orjson.loads(path.read_bytes())
    except OSError as error:
        raise UserError(f"the price table {path} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise UserError(f"the price table {path} is not JSON: {error}") from None
    if not isinstance(table, dict):
        raise UserError(f"the price table {path} is no JSON object of models")
    if model not in table:
        raise UserError(
            f"the price table {path} has no model {model!r}; {did_you_mean(model, table) or f'it has {_listed(table)}'}"
        )
    return _prices(table[model], f"the price table {path}, {model}")


def _prices(row: object, where: str) -> Prices:
    if not isinstance(row, dict) or not {"prompt", "completion"} <= row.keys() <= set(_FIELDS):
        raise UserError(f"{where}: a row has prompt and completion, and may have cached, and nothing else")
    values = {"cached": row["prompt"], **row}
    for name, value in values.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
            raise UserError(f"{where}: {name} is a price of a million tokens, not {value!r}")
    return Prices(*(float(values[name]) for name in _FIELDS))


def _listed(table: Mapping[str, object]) -> str:
    return ", ".join(sorted(map(str, table))[:10]) or "none"


@dataclass(frozen=True, slots=True)
class RunBudget:
    """What a whole run may use; None is no limit."""

    cost: float | None = None
    tokens: int | None = None
    prices: Prices | None = None

    def reached(self, usage: Usage | None) -> str:
        """What is used up, in words; empty where nothing is.

        Args:
            usage: What the run has used so far.

        Example:
            >>> RunBudget(tokens=100).reached(Usage(90, 0, 20))
            '110 of 100 tokens'
        """
        if usage is None:
            return ""
        if self.tokens is not None and usage.total >= self.tokens:
            return f"{usage.total:,} of {self.tokens:,} tokens"
        if self.cost is not None and self.prices is not None and self.prices.cost(usage) >= self.cost:
            return f"{self.prices.cost(usage):.4g} of {self.cost:.4g}"
        return ""

    def watching(self, stop: Stop, before: Usage | None, heard: OnProgress) -> Callable[[Progress], None]:
        """What is to be told of progress, and asks for a stop once the budget is used up.

        Args:
            stop: Asked then.
            before: What earlier starts of the run have used.
            heard: Is told of progress too.
        """

        def on_progress(progress: Progress) -> None:
            heard(progress)
            used = progress.usage if before is None else before + (progress.usage or Usage())
            if not stop.asked and self.reached(used):
                stop.ask()

        return on_progress
