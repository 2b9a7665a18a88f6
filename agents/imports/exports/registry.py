"""The export forms by name."""

from __future__ import annotations

from faultgym.agents.imports.exports.form import ExportForm, check_export
from faultgym.core.registry import Registry

_BUILTIN = {
    "atif": "atif",
    "openai": "openai_chat",
    "otel": "otlp",
}
"""Name -> the file in this folder, whose `EXPORT` is imported when it is asked for."""

EXPORTS: Registry[ExportForm] = Registry(
    "export form",
    "faultgym.exports",
    check=check_export,
    lazy={name: f"faultgym.agents.imports.exports.{file}:EXPORT" for name, file in _BUILTIN.items()},
)
"""Name -> form. Other packages add theirs in the entry-point group `faultgym.exports`."""
