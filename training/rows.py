"""Examples, pairs and labels as rows that trainers take as they are: TRL's conversational format.

Every row is made of JSON values. Two details keep it exact on its way through Arrow and JSON lines:

- `tools` is JSON text: Arrow would give every schema the keys of all the others. TRL's SFT, DPO and KTO trainers
  parse it; ORPO never reads it (see `trainers/render.py`).
- Messages are JSON values for Arrow too (`list: json` in `columns`), so that a key that is absent stays absent:
  templates ask whether `tool_calls` is there, and a null in its place breaks them.

Columns beside the trainer's own say where a row comes from; TRL drops them before the first step.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any, Literal

import orjson

from faultgym.core.json import JSON
from faultgym.training.examples import Origin, PreferencePair, SFTExample

Reasoning = Literal["field", "inline", "drop"]
"""`field`: as `reasoning_content`, for templates that know it (Qwen3). `inline`: as `<think>` before the content, for
those that do not. `drop`: not at all; in a prompt too, as models of that kind see their past."""

Arguments = Literal["object", "text"]
"""Tool arguments as an object, as transformers documents it and as servers hand them to templates, or as JSON text,
as OpenAI's API has it: some templates take only the one (Llama 3.1's, TRL's for DeepSeek-V3), some only the other
(DeepSeek-R1's own). Those of `templates.py` take both."""

Form = Literal["messages", "turns", "pairs", "labels", "text", "rendered"]
"""The kinds of rows: `sft_row`, `turn_rows`, `pair_row`, `label_rows`; and what `trainers/render.py` makes of them:
`text` of `messages`, `rendered` of `pairs`."""

_ORIGIN = ("episode_id", "task", "suite", "template", "split", "policy", "faults")
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
        "contracts": {"list": "string"},
        "calls": {"dtype": "int64"},
        "optimal": {"dtype": "int64"},
    },
    "turns": {
        "prompt": _MESSAGES,
        "completion": _MESSAGES,
        "tools": _TEXT,
        "kind": _TEXT,
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
        "contracts": {"list": "string"},
        "calls": {"dtype": "int64"},
        "optimal": {"dtype": "int64"},
    },
    "rendered": {"prompt": _TEXT, "chosen": _TEXT, "rejected": _TEXT, **_PAIR},
}


def columns(form: Form) -> list[JSON]:
    """The columns of a form, as `dataset_info.features` of a data card's header has them.

    With this in the README.md beside the files, `datasets.load_dataset(folder)` gives every message back as it was.
    """
    own = [{"name": name, **kind} for name, kind in _COLUMNS[form].items()]
    return own + [{"name": name, "dtype": "string"} for name in _ORIGIN]


def features(form: Form) -> Any:
    """The same columns as `datasets.Features`, for `Dataset.from_list(rows, features=features(form))`."""
    from datasets import Features, Json, List, Value

    def kind(column: JSON) -> Any:
        if "list" in column:
            return List(Json() if column["list"] == "json" else Value(column["list"]))
        return Value(column["dtype"])

    return Features({column["name"]: kind(column) for column in columns(form)})


def sft_row(example: SFTExample, *, reasoning: Reasoning = "field", arguments: Arguments = "object") -> JSON:
    """One row per episode: `messages`, `tools` and where it comes from. For SFT with `assistant_only_loss`."""
    return {
        "messages": chat(example.messages, reasoning=reasoning, arguments=arguments),
        "tools": tools_text(example.tools),
        "kind": example.kind,
        "contracts": list(example.contracts),
        "calls": example.calls,
        "optimal": example.optimal,
        **_origin(example.origin),
    }


def turn_rows(
    example: SFTExample, *, reasoning: Reasoning = "field", arguments: Arguments = "object"
) -> Iterator[JSON]:
    """One row per assistant turn: `prompt` and `completion`. For SFT with any template; loss on the completion."""
    messages = chat(example.messages, reasoning=reasoning, arguments=arguments)
    tools = tools_text(example.tools)
    turns = [n for n, message in enumerate(messages) if message["role"] == "assistant"]
    for turn, position in enumerate(turns):
        yield {
            "prompt": messages[:position],
            "completion": [messages[position]],
            "tools": tools,
            "kind": example.kind,
            "contracts": list(example.contracts),
            "turn": turn,
            **_origin(example.origin),
        }


def pair_row(pair: PreferencePair, *, reasoning: Reasoning = "field", arguments: Arguments = "object") -> JSON:
    """One row per pair: `prompt`, `chosen`, `rejected` and `tools`, for DPO and `orpo_trainer`."""
    return {
        "prompt": chat(pair.prompt, reasoning=reasoning, arguments=arguments),
        "chosen": chat(pair.chosen, reasoning=reasoning, arguments=arguments),
        "rejected": chat(pair.rejected, reasoning=reasoning, arguments=arguments),
        "tools": tools_text(pair.tools),
        "kind": pair.kind,
        "contract": pair.contract,
        "margin": pair.margin,
        "fork_step": pair.fork_step,
        "critical_step": pair.critical_step,
        "chosen_id": pair.chosen_id,
        "rejected_id": pair.rejected_id,
        "source": pair.source,
        **_origin(pair.origin),
    }


def label_rows(
    pair: PreferencePair, *, reasoning: Reasoning = "field", arguments: Arguments = "object"
) -> tuple[JSON, JSON]:
    """Two rows per pair: the chosen completion with `label` true and the rejected one with false, for KTO.

    TRL estimates KTO's KL term from each batch's own completions under other prompts: keep at least two rows in a
    batch, and shuffle the rows before, as the trainer reads them in order.
    """
    prompt = chat(pair.prompt, reasoning=reasoning, arguments=arguments)
    common: JSON = {
        "tools": tools_text(pair.tools),
        "kind": pair.kind,
        "contract": pair.contract,
        "fork_step": pair.fork_step,
        "critical_step": pair.critical_step,
    }
    chosen, rejected = (
        {
            "prompt": prompt,
            "completion": chat(completion, reasoning=reasoning, arguments=arguments),
            "label": label,
            **common,
            "completion_id": completion_id,
            "source": pair.source,
            **_origin(pair.origin),
        }
        for completion, label, completion_id in (
            (pair.chosen, True, pair.chosen_id),
            (pair.rejected, False, pair.rejected_id),
        )
    )
    return chosen, rejected


def chat(messages: Iterable[JSON], *, reasoning: Reasoning = "field", arguments: Arguments = "object") -> list[JSON]:
    """Messages in OpenAI's form as chat templates want them; what is given stays as it is."""
    return [_said(m, reasoning, arguments) if m["role"] == "assistant" else dict(m) for m in messages]


def tools_text(tools: Sequence[JSON]) -> str:
    """The `tools` column: JSON text, `json.loads` of which gives the tools back."""
    return _tools_text(orjson.dumps(list(tools)))


@lru_cache(512)
def _tools_text(tools: bytes) -> str:
    """A suite has few sets of tools, and each is large: the text is made once."""
    return json.dumps(orjson.loads(tools), ensure_ascii=False, separators=(",", ":"))


def arguments_value(text: str) -> JSON | str:
    """The arguments that JSON text stands for, or the text itself where that would not be exact.

    Text stays when it is no JSON object (a malformed call), when a key stands twice, and when `datasets` would not
    give a value back: its JSON has whole numbers of 64 bits, and reads 0.3 as 0.30000000000000004.
    """
    try:
        value = json.loads(text, object_pairs_hook=_unique)
    except (ValueError, RecursionError):
        return text
    return value if isinstance(value, dict) and _survives(value) else text


def _said(message: JSON, reasoning: Reasoning, arguments: Arguments) -> JSON:
    said = {key: value for key, value in message.items() if key != "reasoning_content"}
    thought = message.get("reasoning_content")
    if thought and reasoning == "field":
        said["reasoning_content"] = thought
    elif thought and reasoning == "inline":
        said["content"] = f"<think>\n{thought}\n</think>\n\n{said['content']}"
    if calls := said.pop("tool_calls", None):
        said["tool_calls"] = calls if arguments == "text" else [_with_object(call) for call in calls]
    return said


def _with_object(call: JSON) -> JSON:
    function = call["function"]
    return {**call, "function": {**function, "arguments": arguments_value(function["arguments"])}}


def _unique(pairs: list[tuple[str, Any]]) -> JSON:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a key stands twice")
    return value


_SURROGATES = re.compile("[\ud800-\udfff]")


def _survives(value: Any) -> bool:
    """Whether the JSON that `datasets` uses (pandas' ujson) gives the value back as it is."""
    if isinstance(value, str):
        return value.isascii() or not _SURROGATES.search(value)
    if value is None or isinstance(value, bool):
        return True
    if isinstance(value, int):
        return -(2**63) <= value < 2**63
    if isinstance(value, float):
        return abs(value) < 1e12 and (value * 8).is_integer() and repr(value) != "-0.0"
    if isinstance(value, list):
        return all(map(_survives, value))
    return all(_survives(key) and _survives(item) for key, item in value.items())


def _origin(origin: Origin) -> JSON:
    return {name: getattr(origin, name) for name in _ORIGIN}
