"""`python -m benchmarks.parsers`: see the package."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from benchmarks.parsers.agreement import Agreement, compared

FOLDERS = ("tests/tool_parsers", "tests/parser")
PYTHON = Path(".venv-vllm/bin/python")
CHECKOUT = Path(__file__).resolve().parents[2]


def main(
    source: Annotated[Path, typer.Argument(help="The folder of vLLM's source, of the version that is installed.")],
    python: Annotated[Path, typer.Option(help="The interpreter of vLLM's environment.")] = Path(
        ".venv-vllm/bin/python"
    ),
    path: Annotated[str, typer.Option(help="Further folders for its imports, such as one with pytest in it.")] = "",
) -> None:
    """Run vLLM's tests of its parsers, and compare what it reads in their texts with what we read."""
    with tempfile.TemporaryDirectory() as place:
        recorded, read = Path(place, "recorded.jsonl"), Path(place, "read.jsonl")
        tests = Path(place, "tests")
        tests.symlink_to((source / "tests").resolve())
        Path(place, "pytest.ini").write_text("[pytest]\nasyncio_mode = auto\n")
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(CHECKOUT), place, *filter(None, [path])]),
            "RECORDED": str(recorded),
            "HF_HUB_OFFLINE": "1",
            "VLLM_LOGGING_LEVEL": "ERROR",
        }
        pytest = [str(python.absolute()), "-m", "pytest", "-q", "-p", "benchmarks.parsers.recording", "-W", "ignore"]
        for folder in FOLDERS:  # some of their tests need a hub and fail: what came before is recorded
            command = [*pytest, "--confcutdir", str(Path(place, folder)), "--continue-on-collection-errors", folder]
            subprocess.run(command, cwd=place, env=environment, check=False)
        command = [str(python.absolute()), "-m", "benchmarks.parsers.readings", str(recorded), str(read)]
        subprocess.run(command, cwd=place, env=environment, check=True)
        show(compared(recorded, read))


def show(found: Agreement) -> None:
    """Print the figures and every difference with its reason."""
    console = Console(soft_wrap=True, highlight=False)
    for name, (same, texts) in sorted(found.texts.items()):
        console.print(f"{name:18}{same:5} of {texts:5} texts")
    console.print(
        f"{'all':18}{sum(s for s, _ in found.texts.values()):5} of {sum(n for _, n in found.texts.values()):5}"
    )
    console.print(f"tests whose texts are all read alike: {found.tests[0]} of {found.tests[1]}")
    for difference in found.differences:
        console.print(f"\n{difference.format}: {difference.reason}", markup=False)
        console.print(f"  text  {difference.text!r}\n  ours  {difference.ours}", markup=False)
        console.print(f"  vLLM  {difference.theirs}", markup=False)


if __name__ == "__main__":
    typer.run(main)
