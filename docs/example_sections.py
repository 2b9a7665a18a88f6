"""Lets griffe read `Example:` as a section with a doctest: it knows `Examples:` alone."""

import re
from typing import Any

import griffe


class ExampleSections(griffe.Extension):
    """For every docstring that is loaded."""

    def on_object(self, *, obj: griffe.Object, **more: Any) -> None:
        """Rename the section."""
        if obj.docstring:
            obj.docstring.value = re.sub(r"^Example:$", "Examples:", obj.docstring.value, flags=re.MULTILINE)
