"""Tool calls out of a model's text, in the forms in which open models write them: one module a family.

Where the server parses them (`--tool-call-parser`), none of this is used. Inference engines have parsers
of their own, but theirs belong to a tokenizer, and a turn must not depend on what is installed beside
faultgym; so these are ours, and small. None of them ever raises: what is meant as a call and is none
becomes a `ToolCall` without arguments, which an environment answers as malformed.
"""

from __future__ import annotations

from faultgym.agents.models.formats.deepseek import parse_deepseek, write_deepseek
from faultgym.agents.models.formats.format import Format, check_format
from faultgym.agents.models.formats.llama import parse_llama3, write_llama3
from faultgym.agents.models.formats.mistral import parse_mistral, write_mistral
from faultgym.core.registry import Registry
from faultgym.envs.messages.hermes import format_hermes, parse_hermes

__all__ = ["FORMATS", "Format", "check_format"]

FORMATS: Registry[Format] = Registry("text format", "faultgym.text_formats", check=check_format)
"""Name -> format. Other packages add theirs in the entry-point group `faultgym.text_formats`."""
FORMATS.add("hermes", Format("hermes", parse_hermes, format_hermes))
FORMATS.add("llama3", Format("llama3", parse_llama3, write_llama3))
FORMATS.add("mistral", Format("mistral", parse_mistral, write_mistral, repeats_text=False))
FORMATS.add("deepseek", Format("deepseek", parse_deepseek, write_deepseek, repeats_text=False))
FORMATS.add("qwen", FORMATS["hermes"])
