"""The shop's task templates, by what they ask for."""

from __future__ import annotations

from faultgym.envs.suite import Template
from faultgym.envs.suites.orders.templates.changes import CHANGES
from faultgym.envs.suites.orders.templates.composed import COMPOSED
from faultgym.envs.suites.orders.templates.honest import HONEST
from faultgym.envs.suites.orders.templates.lookups import LOOKUPS
from faultgym.envs.suites.orders.templates.returns import RETURNS_TEMPLATES
from faultgym.envs.suites.orders.templates.searches import SEARCHES
from faultgym.envs.suites.orders.templates.statements import STATEMENTS

TEMPLATES: dict[str, Template] = {
    template.name: template
    for template in (
        *LOOKUPS,
        *STATEMENTS,
        *SEARCHES,
        *CHANGES,
        *RETURNS_TEMPLATES,
        *HONEST,
        *COMPOSED,
    )
}
"""All templates by name."""
