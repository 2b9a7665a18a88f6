# ruff: noqa: RUF001 - the characters are the models' own
"""`format=auto`: how a model writes calls, told by the marks in its chat template."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import orjson

from faultgym.agents.models.files import model_path
from faultgym.agents.models.formats import FORMATS, Format
from faultgym.core.bank import banked
from faultgym.core.errors import UserError

AUTO = "auto"
_TOLD_BY: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("deepseek_v32", ("｜DSML｜", "function_calls")),
    ("deepseek_v4", ("｜DSML｜",)),
    ("kimi_k2", ("<|tool_calls_section_begin|>",)),
    ("minimax_m2", ("<minimax:tool_call>",)),
    ("seed_oss", ("<seed:tool_call>",)),
    ("longcat", ("<longcat_tool_call>",)),
    ("functiongemma", ("<start_function_call>",)),
    ("gemma4", ("<|tool_call>", "<tool_call|>")),
    ("internlm", ("<|action_start|>", "<|plugin|>")),
    ("gigachat3", ("<|function_call|>",)),
    ("lfm2", ("<|tool_call_start|>",)),
    ("glm45", ("<arg_key>",)),
    ("qwen3_coder", ("<function=", "<parameter=")),
    ("nemotron_json", ("<TOOLCALL>",)),
    ("olmo3", ("<function_calls>",)),
    ("openai", ("<|channel|>", "functions")),
    ("deepseek_v3", ("<｜tool▁call▁begin｜>", "```json")),
    ("deepseek_v31", ("<｜tool▁call▁begin｜>",)),
    ("mistral_v11", ("[TOOL_CALLS]", "[ARGS]")),
    ("mistral", ("[TOOL_CALLS]",)),
    ("llama4_pythonic", ("func_name1(",)),
    ("phi4_mini_json", ("<|tool_call|>", "<|/tool_call|>")),
    ("phi4_mini_json", ("functools",)),
    ("granite", ("<|tool_call|>",)),
    ("xlam", ("tool_call_name",)),
    ("llama3_json", ("<|python_tag|>",)),
    ("llama3_json", ('"parameters"', "<|start_header_id|>")),
    ("llama3_json", ('"parameters"', "<|header_start|>")),
    ("granite-20b-fc", ("<function_call>",)),
    ("hermes", ("<tool_call>",)),
    ("jamba", ("<tool_calls>",)),
)
"""The first whose marks all stand in a template is the one."""


def format_told_by(template: str) -> Format | None:
    """The format in which a chat template writes calls; None where it has no mark of any.

    Args:
        template: The template's text.

    Example:
        >>> format_told_by("... <tool_call>{{ call | tojson }}</tool_call> ...").name
        'hermes'
    """
    for name, marks in _TOLD_BY:
        if all(mark in template for mark in marks):
            return FORMATS[name]
    return None


@banked("texts", 32)
def format_of(name: str, model: str, adapter: str = "") -> Format:
    """The format of that name; for `auto`, the one that the model's chat template tells.

    Args:
        name: A key of `FORMATS`, or `auto`.
        model: An embedded model's name, a folder, or a hub id.
        adapter: The folder of an adapter, whose template comes first, where it brings one.

    Raises:
        UserError: There is no chat template to be found here, or it writes calls in no known form.
    """
    if name != AUTO:
        return FORMATS[name]
    template = _template(Path(adapter)) if adapter else ""
    folder = Path(model_path(model))
    template = template or (_template(folder) if folder.is_dir() else _from_hub(model))
    if not template:
        raise UserError(
            f"format=auto: there is no chat template of {model} here; name the format, one of {', '.join(FORMATS)}"
        )
    found = format_told_by(template)
    if found is None:
        raise UserError(
            f"format=auto: the chat template of {model} writes calls in no form that is known here; name the format,"
            f" one of {', '.join(FORMATS)}"
        )
    return found


def _template(folder: Path) -> str:
    """The chat template in a model's folder; empty where there is none."""
    own = folder / "chat_template.jinja"
    if own.is_file():
        return own.read_text("utf-8")
    try:
        given: Any = orjson.loads((folder / "tokenizer_config.json").read_bytes()).get("chat_template")
    except (OSError, ValueError, AttributeError):
        return ""
    if isinstance(given, list):
        named = {one.get("name"): one.get("template") for one in given if isinstance(one, dict)}
        given = named.get("tool_use") or named.get("default")
    return given if isinstance(given, str) else ""


def _from_hub(model: str) -> str:
    """The template of a hub id in the Hugging Face cache of this machine; empty where it has none."""
    home = os.environ.get("HF_HOME") or os.path.expanduser("~/.cache/huggingface")
    cache = Path(os.environ.get("HF_HUB_CACHE") or Path(home, "hub"))
    folder = cache / f"models--{model.replace('/', '--')}"
    try:
        revision = (folder / "refs" / "main").read_text("utf-8").strip()
    except OSError:
        return ""
    return _template(folder / "snapshots" / revision)
