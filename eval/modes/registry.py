"""The failure modes by name: built in, registered in code, or found by entry point."""

from __future__ import annotations

from faultgym.core.registry import Registry
from faultgym.eval.modes.evidence import Rule
from faultgym.eval.modes.kit import check_mode

MODES: Registry[Rule] = Registry(
    "failure mode", "faultgym.modes", builtin=("faultgym.eval.modes.catalogue",), check=check_mode
)
"""Mode -> rule: the built-in ones in the order in which they are documented, then what others add."""
