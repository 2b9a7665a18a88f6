"""The task templates of the operations desk."""

from __future__ import annotations

from faultgym.envs.suite import Template
from faultgym.envs.suites.incidents.templates.bounds import TEMPLATES as BOUNDS
from faultgym.envs.suites.incidents.templates.compositions import TEMPLATES as COMPOSITIONS
from faultgym.envs.suites.incidents.templates.documents import TEMPLATES as DOCUMENTS
from faultgym.envs.suites.incidents.templates.history import TEMPLATES as HISTORY
from faultgym.envs.suites.incidents.templates.records import TEMPLATES as RECORDS
from faultgym.envs.suites.incidents.templates.repairs import TEMPLATES as REPAIRS
from faultgym.envs.suites.incidents.templates.tables import TEMPLATES as TABLES

TEMPLATES: dict[str, Template] = {
    template.name: template for template in (*RECORDS, *HISTORY, *DOCUMENTS, *REPAIRS, *TABLES, *BOUNDS, *COMPOSITIONS)
}
"""All templates by name."""
