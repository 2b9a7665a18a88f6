"""Tool calls out of a model's text, in the forms in which open models write them: one module a family.

Where the server parses them (`--tool-call-parser`), none of this is used. Inference engines have parsers
of their own, but theirs belong to a tokenizer, and a turn must not depend on what is installed beside
faultgym; so these are ours, and small. None of them ever raises: what is meant as a call and is none
becomes a `ToolCall` without arguments, which an environment answers as malformed.

The names are those of vLLM's parsers. Where several families write the same, one format has all their names.
"""

from __future__ import annotations

from faultgym.agents.models.formats import deepseek, gemma, glm, harmony, invoke, llama, marked, mistral, pythonic, qwen
from faultgym.agents.models.formats.format import Format, Tools, check_format
from faultgym.agents.models.formats.xlam import XLAM
from faultgym.core.registry import Registry
from faultgym.envs.messages.hermes import OPEN, format_hermes, parse_hermes

__all__ = ["FORMATS", "Format", "Tools", "check_format"]

FORMATS: Registry[Format] = Registry("text format", "faultgym.text_formats", check=check_format)
"""Name -> format. Other packages add theirs in the entry-point group `faultgym.text_formats`."""
HERMES = Format("hermes", parse_hermes, format_hermes, marks=(OPEN,))
_BUILTIN: dict[str, Format] = {
    "hermes qwen smollm3 granite4": HERMES,
    "qwen3_coder qwen3_xml qwen3_5 mimo nemotron_v3": qwen.QWEN3_CODER,
    "seed_oss": qwen.SEED_OSS,
    "llama3_json llama3 llama4_json": llama.LLAMA3_JSON,
    "llama4_pythonic": pythonic.LLAMA4_PYTHONIC,
    "pythonic": pythonic.PYTHONIC,
    "olmo3": pythonic.OLMO3,
    "lfm2": pythonic.LFM2,
    "mistral": mistral.MISTRAL,
    "mistral_v11 mistral_v13": mistral.MISTRAL_V11,
    "deepseek_v3 deepseek_r1": deepseek.DEEPSEEK_V3,
    "deepseek_v31 deepseek": deepseek.DEEPSEEK_V31,
    "deepseek_v32": invoke.DEEPSEEK_V32,
    "deepseek_v4 deepseek_v41": invoke.DEEPSEEK_V4,
    "glm45 glm47": glm.GLM,
    "kimi_k2": deepseek.KIMI_K2,
    "openai harmony gpt_oss": harmony.HARMONY,
    "minimax_m2": invoke.MINIMAX_M2,
    "granite": marked.GRANITE_3,
    "granite-20b-fc": marked.GRANITE_20B,
    "phi4_mini_json phi4": marked.PHI4,
    "xlam": XLAM,
    "functiongemma": gemma.FUNCTIONGEMMA,
    "gemma4": gemma.GEMMA4,
    "nemotron_json": marked.NEMOTRON_JSON,
    "longcat": marked.LONGCAT,
    "internlm": marked.INTERNLM,
    "gigachat3": marked.GIGACHAT,
    "jamba hunyuan_a13b": marked.JAMBA,
}
"""Names, the first vLLM's -> format."""
for _names, _format in _BUILTIN.items():
    for _name in _names.split():
        FORMATS.add(_name, _format)
