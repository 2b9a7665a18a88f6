"""The published JSON Schema of a trace: `python -m faultgym.cli.support.schema > docs/trace.schema.json`."""

from __future__ import annotations

import json

from faultgym.agents.traces.published import trace_schema


def schema_text() -> str:
    """The text of `docs/trace.schema.json`."""
    return json.dumps(trace_schema(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    print(schema_text(), end="")
