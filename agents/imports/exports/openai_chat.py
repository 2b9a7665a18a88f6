"""Traces as chat logs in OpenAI's form."""

from __future__ import annotations

from faultgym.agents.imports.exports.form import ExportForm, each_line
from faultgym.agents.imports.exports.task import named
from faultgym.agents.traces.trace import Trace
from faultgym.core.json import JSON


def openai_log(trace: Trace) -> JSON:
    """The trace as one record of a chat log in OpenAI's form, with its task in the metadata.

    Returns:
        JSON values: what a line of a chat log would hold.
    """
    return {
        "id": trace.episode_id,
        "model": str(trace.policy.get("name", "")),
        "messages": trace.messages,
        "tools": [spec.openai() for spec in trace.tools],
        "metadata": {"faultgym": named(trace).data()},
    }


EXPORT = ExportForm("chat logs in OpenAI's form: messages, tools, metadata", each_line(openai_log))
