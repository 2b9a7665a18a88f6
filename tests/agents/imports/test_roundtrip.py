"""What is exported in any form comes back by `chats` without a word of its dialect, and is proven."""

import pytest
from helpers.recorded import recorded

from faultgym.agents.imports.chats import chats
from faultgym.agents.imports.exports.registry import EXPORTS
from faultgym.agents.imports.imported import ImportedChat
from faultgym.agents.imports.reexecute import reexecute
from faultgym.agents.registry import policy_named
from faultgym.agents.traces.spec import EpisodeSpec

TEMPLATES = ("order_total", "cancel_order", "unknown_order", "refuse_return")


@pytest.fixture(scope="module")
def traces():
    """Of both ways to answer, under faults that refuse, delay and damage."""
    return [
        recorded(policy_named(policy), EpisodeSpec(f"orders/{template}/train/{number}", preset, 3, answers=answers))
        for number, template in enumerate(TEMPLATES)
        for policy in ("expert", "repeater")
        for preset, answers in (("hostile", "typed"), ("rough", "text"))
    ]


@pytest.mark.parametrize("form", EXPORTS)
def test_every_trace_of_an_export_is_verified_when_it_is_imported(form, traces, tmp_path):
    path = tmp_path / "exported.jsonl"
    assert EXPORTS[form].write(iter(traces), path) == len(traces)
    found = list(chats(path))
    assert all(isinstance(chat, ImportedChat) for chat in found), [str(chat) for chat in found]
    results = [reexecute(chat) for chat in found]
    assert [r.difference for r in results] == [""] * len(traces)
    assert sorted(told(r.trace) for r in results) == sorted(told(trace) for trace in traces)


def told(trace):
    return repr((trace.task.id, trace.faults, trace.answers, trace.messages, trace.events, trace.verdict))
