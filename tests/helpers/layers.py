"""The map of the layers in CONTRIBUTING.md: `python -m helpers.layers` in tests/ writes it from pyproject.toml."""

import re
import tomllib

from helpers.sources import ROOT

PAGE = ROOT / "CONTRIBUTING.md"
PLACE = re.compile(r"(<!-- layers -->\n).*?(<!-- /layers -->)", re.DOTALL)


def layers() -> str:
    """A table of the contracts of layers."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    lines = ["| inside | layers |", "|---|---|"]
    for contract in contracts:
        for container in contract.get("containers", ()):
            names = " > ".join(layer.replace(" | ", " \\| ") for layer in contract["layers"])
            lines.append(f"| `{container}` | {names} |")
    return "\n".join(lines) + "\n"


def with_layers(page: str) -> str:
    """A page with the table between its marks."""
    return PLACE.sub(lambda found: found[1] + layers() + found[2], page)


if __name__ == "__main__":
    PAGE.write_text(with_layers(PAGE.read_text()))
