"""Chat templates for training, by name: ours, and those that TRL ships.

A training template renders a chat so that what follows never changes what came before, and marks what the model
wrote (`{% generation %}`), its end of turn included. Ours are in this folder: `chatml` (SmolLM2, models trained from
nothing), `deepseek` and `llama3`. TRL's `X_training.jinja` goes by the name X: `qwen3`, `qwen2_5`, `glm4moe`, ...
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from faultgym.core.errors import UserError

_OURS = Path(__file__).parent
_BROKEN = {"deepseekv3": "deepseek", "deepseek_r1_distill": "deepseek"}
"""TRL's that leave out tools, calls or headers -> ours for the same models."""


def template_names() -> list[str]:
    """The names that `template_text` knows, sorted; without TRL's where TRL is not installed."""
    ours = {path.stem for path in _OURS.glob("*.jinja")}
    folder = _trl_folder()
    theirs = {path.stem.removesuffix("_training") for path in folder.glob("*_training.jinja")} if folder else set()
    return sorted(ours | theirs - _BROKEN.keys())


def template_text(name: str) -> str:
    """The template of a name, for `tokenizer.chat_template`.

    Args:
        name: One of `template_names`.

    Raises:
        UserError: There is none of that name.

    Example:
        >>> "{%- generation" in template_text("chatml")
        True
    """
    path = _OURS / f"{name}.jinja"
    if not path.is_file():
        folder = _trl_folder()
        if folder is None:
            raise UserError(f"no chat template {name!r} among ours; TRL's need: pip install 'faultgym[train]'")
        if name in _BROKEN or not (path := folder / f"{name}_training.jinja").is_file():
            raise UserError(f"unknown chat template {name!r}; there are {', '.join(template_names())}")
    return path.read_text(encoding="utf-8")


def _trl_folder() -> Path | None:
    spec = find_spec("trl")
    return Path(spec.origin).parent / "chat_templates" if spec and spec.origin else None
