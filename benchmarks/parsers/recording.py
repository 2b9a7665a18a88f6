"""A plugin of pytest for vLLM's tests: writes down what its parsers are given, one JSON line a test and text.

`RECORDED` in the environment names the file.
"""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Iterator
from inspect import signature
from itertools import pairwise
from typing import Any

from benchmarks.parsers.tokens import harmony_tokens, tokenizer

HARMONY = "openai"
"""Reads tokens, not text."""
PARSERS = {
    "Hermes2Pro": "hermes",
    "LongcatFlash": "longcat",
    "Llama3Json": "llama3_json",
    "Llama4Pythonic": "llama4_pythonic",
    "Pythonic": "pythonic",
    "Olmo3Pythonic": "olmo3",
    "Lfm2": "lfm2",
    "DeepSeekV3ToolParser": "deepseek_v3",
    "DeepSeekV31": "deepseek_v31",
    "DeepSeekV32": "deepseek_v32",
    "DeepSeekV4": "deepseek_v4",
    "DeepSeekV41": "deepseek_v41",
    "Granite20bFC": "granite-20b-fc",
    "Granite4ToolParser": "granite4",
    "GraniteParser": "granite",
    "GraniteEngine": "granite",
    "Phi4MiniJson": "phi4_mini_json",
    "xLAM": "xlam",
    "FunctionGemma": "functiongemma",
    "Jamba": "jamba",
    "Gemma4": "gemma4",
    "Internlm2": "internlm",
    "GigaChat3": "gigachat3",
    "HunyuanA13B": "hunyuan_a13b",
    "Qwen3": "qwen3_coder",
    "NemotronV3": "qwen3_coder",
    "SeedOss": "seed_oss",
    "Glm47Moe": "glm45",
    "KimiK2": "kimi_k2",
    "MinimaxM2": "minimax_m2",
    "Mistral": "mistral",
    "Harmony": HARMONY,
}
"""How the names of vLLM's classes begin -> the name of the parser."""
_seen: dict[int, list[tuple[Any, Any, str, str]]] = {}
"""Of each parser that streams: (itself, the request, the text before, the text so far)."""
_given: list[tuple[Any, Any, str]] = []
"""(the parser, the request, the whole text)."""
_lines: dict[str, None] = {}


def name_of(kind: str) -> str | None:
    """The name of the parser that a class of vLLM is; None for those that we have no format for."""
    begins = [begin for begin in PARSERS if kind.removeprefix("_Delegating").startswith(begin)]
    return PARSERS[max(begins, key=len)] if begins else None


def pytest_configure() -> None:
    """Give the tests our tokenizer instead of one of the hub's."""
    import transformers
    import vllm.tokenizers
    from vllm.tokenizers import registry

    def made(name: str = "", *_: Any, tokenizer_name: str = "", **__: Any) -> Any:
        asked = str(name or tokenizer_name)
        return harmony_tokens() if "gpt-oss" in asked else tokenizer("istral" in asked)

    transformers.AutoTokenizer.from_pretrained = staticmethod(made)
    vllm.tokenizers.get_tokenizer = registry.get_tokenizer = made


def pytest_collection_finish() -> None:
    """Wrap the readers of every parser."""
    from vllm.parser.abstract_parser import Parser
    from vllm.tool_parsers import _TOOL_PARSERS_TO_REGISTER, ToolParserManager
    from vllm.tool_parsers.abstract_tool_parser import ToolParser

    for name in _TOOL_PARSERS_TO_REGISTER:
        ToolParserManager.get_tool_parser(name)
    for kind in {ToolParser, Parser, *_below(ToolParser), *_below(Parser)}:
        for method in ("extract_tool_calls", "parse", "extract_tool_calls_streaming", "parse_delta"):
            if method in vars(kind):
                setattr(kind, method, _watched(vars(kind)[method], method))


def _below(kind: type) -> Iterator[type]:
    one: type
    for one in kind.__subclasses__():
        yield one
        yield from _below(one)


def _watched(original: Any, method: str) -> Any:
    names = [*signature(original).parameters][1:]

    @functools.wraps(original)
    def watched(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = original(self, *args, **kwargs)
        given = dict(zip(names, args, strict=False)) | kwargs
        request, first = given.get("request"), given[names[0]]
        if name_of(type(self).__name__) == HARMONY:
            tokens = given.get("model_output_token_ids") or given.get("delta_token_ids") or ()
            first = harmony_tokens().decode(tokens)
        if method == "extract_tool_calls_streaming":
            _seen.setdefault(id(self), []).append((self, request, first, given[names[1]]))
        elif method == "parse_delta":
            earlier = _seen.setdefault(id(self), [])
            before = earlier[-1][3] if earlier else ""
            earlier.append((self, request, before, before + first))
        else:
            _given.append((self, request, first))
        return result

    return watched


def pytest_runtest_teardown(item: Any) -> None:
    """Note what the test's parsers were given: texts that were streamed only where all of them came by."""
    for steps in _seen.values():
        texts = [step[3] for step in steps]
        if not steps[0][2] and all(b.startswith(a) for a, b in pairwise(texts)):
            _given.append((*steps[-1][:2], texts[-1]))
    for parser, request, text in _given:
        name = name_of(type(parser).__name__)
        if name is not None and isinstance(text, str):
            line = {"test": item.nodeid, "parser": name, "text": text, "tools": _tools(parser, request)}
            _lines[json.dumps(line, default=str)] = None
    _seen.clear()
    _given.clear()


def _tools(parser: Any, request: Any) -> list[Any]:
    """The functions that were offered; a test's stand-ins for them say nothing."""
    offered: Any = next((t for o in (request, parser) for n in ("tools", "_tools") if (t := getattr(o, n, None))), [])
    found = []
    for tool in offered if isinstance(offered, list) else []:
        data = tool.model_dump() if hasattr(tool, "model_dump") else tool
        function = data.get("function", data) if isinstance(data, dict) else None
        if isinstance(function, dict) and isinstance(function.get("name"), str) and function["name"] != "stub":
            kept = function.get("parameters")
            found.append({"name": function["name"], "parameters": kept if isinstance(kept, dict) else {}})
    return found


def pytest_sessionfinish() -> None:
    """Write the lines."""
    with open(os.environ["RECORDED"], "a", encoding="utf-8") as file:
        file.writelines(f"{line}\n" for line in _lines)
