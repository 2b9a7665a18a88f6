"""The forms of rows, and the columns of each, as a data card's header and as `datasets.Features`.

Two details keep rows exact on their way through Arrow and JSON lines:

- `tools` is JSON text: Arrow would give every schema the keys of all the others. TRL's SFT, DPO and KTO trainers
  parse it; ORPO never reads it (see `rows/rendered.py`).
- Messages are JSON values for Arrow too (`list: json` in `columns`), so that a key that is absent stays absent:
  templates ask whether `tool_calls` is there, and a null in its place breaks them.

Columns beside the trainer's own say where a row comes from; TRL drops them before the first step.
"""

from __future__ import annotations

from typing import Any, Literal

from faultgym.core.json import JSON

Reasoning = Literal["field", "inline", "drop"]
"""`field`: as `reasoning_content`, for templates that know it (Qwen3). `inline`: as `<think>` before the content, for
those that do not. `drop`: not at all; in a prompt too, as models of that kind see their past."""

Arguments = Literal["object", "text"]
"""Tool arguments as an object, as transformers documents it and as servers hand them to templates, or as JSON text,
as OpenAI's API has it: some templates take only the one (Llama 3.1's, TRL's for DeepSeek-V3), some only the other
(DeepSeek-R1's own). Those of `rows/templates` take both."""

Form = Literal["messages", "turns", "pairs", "labels", "text", "rendered"]
"""The kinds of rows: `sft_row`, `turn_rows`, `pair_row`, `label_rows`; and what `rows/rendered.py` makes of them:
`text` of `messages`, `rendered` of `pairs`."""

ORIGIN = ("episode_id", "task", "suite", "template", "split", "policy", "faults")
"""The fields of `Origin`, which every row has as columns."""
_MESSAGES: JSON = {"list": "json"}
_TEXT: JSON = {"dtype": "string"}
_PAIR: dict[str, JSON] = {
    "kind": _TEXT,
    "contract": _TEXT,
    "margin": {"dtype": "float64"},
    "fork_step": {"dtype": "int64"},
    "critical_step": {"dtype": "int64"},
    "chosen_id": _TEXT,
    "rejected_id": _TEXT,
    "source": _TEXT,
}
_COLUMNS: dict[Form, dict[str, JSON]] = {
    "messages": {
        "messages": _MESSAGES,
        "tools": _TEXT,
        "kind": _TEXT,
        "outcome": _TEXT,
        "contracts": {"list": "string"},
        "calls": {"dtype": "int64"},
        "optimal": {"dtype": "int64"},
    },
    "turns": {
        "prompt": _MESSAGES,
        "completion": _MESSAGES,
        "tools": _TEXT,
        "kind": _TEXT,
        "outcome": _TEXT,
        "contracts": {"list": "string"},
        "turn": {"dtype": "int64"},
    },
    "pairs": {
        "prompt": _MESSAGES,
        "chosen": _MESSAGES,
        "rejected": _MESSAGES,
        "tools": _TEXT,
        **_PAIR,
    },
    "labels": {
        "prompt": _MESSAGES,
        "completion": _MESSAGES,
        "label": {"dtype": "bool"},
        "tools": _TEXT,
        "kind": _TEXT,
        "contract": _TEXT,
        "fork_step": {"dtype": "int64"},
        "critical_step": {"dtype": "int64"},
        "completion_id": _TEXT,
        "source": _TEXT,
    },
    "text": {
        "text": _TEXT,
        "kind": _TEXT,
        "outcome": _TEXT,
        "contracts": {"list": "string"},
        "calls": {"dtype": "int64"},
        "optimal": {"dtype": "int64"},
    },
    "rendered": {"prompt": _TEXT, "chosen": _TEXT, "rejected": _TEXT, **_PAIR},
}


def columns(form: Form) -> list[JSON]:
    """The columns of a form, as `dataset_info.features` of a data card's header has them.

    With this in the README.md beside the files, `datasets.load_dataset(folder)` gives every message back as it was.

    Args:
        form: The form of the rows.

    Example:
        >>> [column["name"] for column in columns("turns")][:6]
        ['prompt', 'completion', 'tools', 'kind', 'outcome', 'contracts']
    """
    own = [{"name": name, **kind} for name, kind in _COLUMNS[form].items()]
    return own + [{"name": name, "dtype": "string"} for name in ORIGIN]


def features(form: Form) -> Any:
    """The columns of a form as `datasets.Features`, for `Dataset.from_list(rows, features=features(form))`."""
    from datasets import Features, Json, List, Value

    def kind(column: JSON) -> Any:
        if "list" in column:
            return List(Json() if column["list"] == "json" else Value(column["list"]))
        return Value(column["dtype"])

    return Features({column["name"]: kind(column) for column in columns(form)})
