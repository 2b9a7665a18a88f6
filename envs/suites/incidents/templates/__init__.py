"""The task templates of the operations desk."""

from __future__ import annotations

from faultgym.envs.suite import Template
from faultgym.envs.suites.incidents.templates import (
    bounds,
    compositions,
    documents,
    history,
    records,
    repairs,
    tables,
)

TEMPLATES: dict[str, Template] = {
    template.name: template
    for module in (records, history, documents, repairs, tables, bounds, compositions)
    for template in module.TEMPLATES
}

__all__ = ["TEMPLATES"]
