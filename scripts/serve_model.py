"""`faultgym serve-model`: start vLLM, wait until it is healthy, and stop it again."""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from faultgym.agents.models.server import Server, Serving, last_words, served

Model = Annotated[str, typer.Argument(help="tiny, smollm2, a folder, or a hub id.")]
More = Annotated[list[str] | None, typer.Argument(help="After --: options for vLLM's own server.")]
Adapters = Annotated[
    list[Path] | None, typer.Option("--adapter", help="A LoRA adapter's folder; the option may be repeated.")
]
Replicas = Annotated[int, typer.Option(min=1, help="Servers, on this port and those that follow.")]
Port = Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")]
Python = Annotated[
    str, typer.Option(help="The interpreter that has vLLM. (default: this one, else that of .venv-vllm)")
]
Parser = Annotated[str, typer.Option(help="How the model writes tool calls, as vLLM calls it; '' leaves the text.")]
Length = Annotated[
    int | None,
    typer.Option(min=1, help="Tokens of a prompt and its completion at most. (default: what the model reads)"),
]
Logs = Annotated[Path | None, typer.Option(help="The folder for the servers' logs. (default: a temporary one)")]


def serve_model(
    model: Model,
    more: More = None,
    adapter: Adapters = None,
    replicas: Replicas = 1,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Port = 8000,
    python: Python = "",
    tool_call_parser: Parser = "hermes",
    max_model_len: Length = None,
    logs: Logs = None,
) -> None:
    """Serve a model with vLLM until Ctrl-C, for `faultgym rollout --policy openai:...`."""
    serving = Serving(
        model,
        tuple(map(str, adapter or ())),
        replicas,
        host,
        port,
        python,
        tool_call_parser,
        max_model_len,
        logs,
        tuple(more or ()),
    )
    signal.signal(signal.SIGTERM, _leave)
    with served(serving, say=lambda text: print(text, file=sys.stderr, flush=True)) as servers:
        for server in servers:
            print(server.url, flush=True)
        print("healthy; Ctrl-C stops it", file=sys.stderr, flush=True)
        gone = until_one_dies(servers)
        print(f"a server has died: {last_words(gone.log)} (all of it: {gone.log})", file=sys.stderr)
        raise typer.Exit(1)


def _leave(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


def until_one_dies(servers: tuple[Server, ...]) -> Server:
    """Wait for it, which may be for ever."""
    while True:
        for server in servers:
            if not server.running:
                return server
        time.sleep(0.5)
