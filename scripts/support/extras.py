"""What faultgym's own metadata says it needs, and the commands that install it."""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from importlib import metadata, util
from pathlib import Path
from shlex import quote

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

_DISTRIBUTIONS = {
    "sklearn": "scikit-learn",
    "yaml": "PyYAML",
    "scipy": "scikit-learn",
    "huggingface_hub": "transformers",
    "safetensors": "transformers",
    "tokenizers": "transformers",
}
"""Modules that are not called as what brings them, or come with a requirement and are none themselves."""
VERB_EXTRAS = {
    "build": ("data",),
    "train": ("data", "train"),
    "tiny": ("data", "train"),
    "loop": ("data", "train"),
    "demo": ("data", "train"),
    "compare": ("data", "train"),
    "serve": ("serve",),
}
"""The extras that a verb needs as a whole: naming them one at a time would have a user install twice."""


@dataclass(frozen=True, slots=True)
class Need:
    """One requirement of faultgym, and what is installed of it."""

    name: str
    extra: str
    """The extra that asks for it; empty for the core."""
    wanted: str
    """Version specifier, such as `>=1.4,<2`."""
    installed: str
    """The installed version; empty when it is missing."""

    @property
    def state(self) -> str:
        """`ok`, `missing`, or `wrong version`."""
        if not self.installed:
            return "missing"
        fits = Requirement(f"{self.name}{self.wanted}").specifier.contains(self.installed, prereleases=True)
        return "ok" if fits else "wrong version"


def version_of(distribution: str) -> str:
    """The installed version of a distribution, or an empty string."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return ""


def needs() -> list[Need]:
    """Every requirement of the core and of each extra, in the order of pyproject.toml."""
    found = []
    for line in metadata.requires("faultgym") or []:
        requirement = Requirement(line)
        if canonicalize_name(requirement.name) == "faultgym":
            continue
        found.append(
            Need(
                requirement.name,
                _extra_of(requirement),
                ",".join(sorted(map(str, requirement.specifier), reverse=True)),
                version_of(requirement.name),
            )
        )
    return found


def _extra_of(requirement: Requirement) -> str:
    if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
        return ""
    extras = metadata.metadata("faultgym").get_all("Provides-Extra") or []
    return next((name for name in extras if requirement.marker.evaluate({"extra": name})), "")


def extra_for(module: str) -> str:
    """The extra that brings a top-level module; empty when the core does, or no extra of faultgym.

    Args:
        module: Its first name: `sklearn`.
    """
    name = canonicalize_name(_DISTRIBUTIONS.get(module, module))
    return next((need.extra for need in needs() if canonicalize_name(need.name) == name), "")


def missing_module(module: str, verb: str) -> str:
    """What a user is told of a module that is not installed: which extra brings it, and the command.

    Args:
        module: Its dotted name.
        verb: The verb that was called.

    Example:
        >>> missing_module("uvicorn.config", "serve").partition(": ")[0]
        "faultgym serve needs the extra 'serve'"
    """
    top = module.partition(".")[0]
    extra = extra_for(top)
    if not extra:
        return f"faultgym {verb} needs the module '{top}', which is not installed: {extra_command('')}"
    wanted = VERB_EXTRAS.get(verb.partition(" ")[0], ())
    extras = wanted if extra in wanted else (extra,)
    named = " and ".join(f"'{name}'" for name in extras)
    return f"faultgym {verb} needs the extra{'s' * (len(extras) > 1)} {named}: {extra_command(','.join(extras))}"


def install_command(*wanted: str) -> str:
    """The command that installs requirements into the interpreter that runs this, ready to paste.

    Args:
        wanted: Requirements, such as `faultgym[data]`.
    """
    constraints = Path("constraints.txt")
    pinned = f" -c {constraints}" if constraints.is_file() and in_checkout() else ""
    return f"{_installer()} {' '.join(quote(one) for one in wanted)}{pinned}"


def extra_command(extra: str) -> str:
    """The command that installs one extra; an empty name repairs the core."""
    return install_command(f"faultgym[{extra}]" if extra else "faultgym")


def _installer() -> str:
    if util.find_spec("pip") is None and shutil.which("uv"):
        return f"uv pip install --python {quote(sys.executable)}"
    pip = shutil.which("pip")
    if pip is not None and Path(pip).parent == Path(sys.executable).parent:
        return "pip install"
    return f"{quote(sys.executable)} -m pip install"


def in_checkout() -> bool:
    """Whether the current folder is a checkout of faultgym."""
    return Path("src", "faultgym").is_dir()
