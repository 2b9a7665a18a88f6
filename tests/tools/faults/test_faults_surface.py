"""Faults of the tool surface."""

from __future__ import annotations

from typing import Any

import pytest

from faultgym.agents.scripted.harms import INJECTED
from faultgym.tools.types import ToolCall

READ = "SELECT state FROM things WHERE id = 'THG-101'"


def once(kind: str, **more: Any) -> list[dict[str, Any]]:
    return [{"kind": kind, "trigger": {"nth": 1}, **more}]


def test_a_removed_tool_is_gone_from_the_offer_and_the_others_stay(lab: Any) -> None:
    at = lab([{"kind": "tool_removed", "trigger": {"nth": 2}, "tool": "sql"}])
    assert at.sql(READ)["rows"]
    assert {at.call("sql", query=READ).result.code for _ in range(3)} == {"unknown_tool"}
    assert "sql" not in {spec.name for spec in at.toolbox.specs}
    assert at.get("/v1/things/THG-101").startswith("HTTP 200")


def test_no_error_offers_a_tool_that_was_removed(lab: Any) -> None:
    at = lab([{"kind": "tool_removed", "trigger": {"nth": 1}, "tool": "search"}])
    at.call("search", query="lent")
    text = at.text("serch", query="lent")
    assert "no tool 'serch'" in text
    assert "search" not in text


@pytest.mark.parametrize("tool", ["sql", "search", "http", "get_thing"])
def test_a_renamed_argument_works_under_the_name_that_the_error_tells(lab: Any, tool: str) -> None:
    arguments = {
        "sql": {"query": READ},
        "search": {"query": "lent"},
        "http": {"path": "/v1/things/THG-101", "method": "GET"},
        "get_thing": {"thing_id": "THG-101"},
    }[tool]
    at = lab(once("argument_renamed"))
    refused = [at.call(tool, **arguments).result for _ in range(2)]
    assert {r.code for r in refused} == {"unknown_argument"}
    old, new = refused[0].content.split("`")[1::2]
    renamed = {new if name == old else name: value for name, value in arguments.items()}
    assert at.text(tool, **renamed) == lab().text(tool, **arguments)


@pytest.mark.parametrize("tool", ["sql", "search", "http", "get_thing"])
def test_the_offered_schema_has_an_argument_under_its_new_name_once_it_is_refused(lab: Any, tool: str) -> None:
    def schema() -> Any:
        return next(spec.parameters for spec in at.toolbox.specs if spec.name == tool)

    at = lab([{"kind": "argument_renamed", "trigger": {"nth": 1}, "tool": tool}])
    declared = {spec.name: spec.parameters for spec in lab().toolbox.specs}
    true = schema()
    assert true == declared[tool]
    old = true["required"][-1]
    told = at.text(tool, **dict.fromkeys([old], "lent"))
    new = told.split("`")[3]
    assert list(schema()["properties"]) == [new if name == old else name for name in true["properties"]]
    assert schema()["required"] == [new if name == old else name for name in true["required"]]
    assert {s.name: s.parameters for s in at.toolbox.specs if s.name != tool} == {
        name: parameters for name, parameters in declared.items() if name != tool
    }


def test_a_misleading_error_stays_with_the_very_same_call(lab: Any) -> None:
    at = lab(once("misleading_error"))
    for _ in range(3):
        assert at.text("get_thing", thing_id="THG-101") == "error: `limit` must be at most 100"
    assert at.call("get_thing", thing_id="101").result.code == "ok"


def test_a_misleading_error_needs_an_identifier_somewhere_in_the_call(lab: Any) -> None:
    at = lab([{"kind": "misleading_error", "trigger": {"from": 1}}])
    assert at.call("search", query="lent").result.code == "ok"
    assert at.call("http", method="GET", path="/v1/things/THG-101").result.code == "invalid_argument"
    assert at.call("sql", query=READ.replace("101", "102")).result.code == "ok"


@pytest.mark.parametrize(
    "call",
    [("search", {"query": "lent"}), ("sql", {"query": READ}), ("get_thing", {"thing_id": "THG-101"})],
)
def test_an_injected_instruction_is_added_once_and_changes_nothing_else(lab: Any, call: Any) -> None:
    tool, arguments = call
    at = lab(once("injected_instruction"))
    shown, true = at.text(tool, **arguments), lab().text(tool, **arguments)
    canary = at.events[0].detail["canary"]
    assert canary in shown
    assert canary not in true
    assert shown.replace(shown[shown.index('"note":') - 1 : shown.index(canary)], "") != true
    assert at.text(tool, **arguments) == true
    assert at.world.effects == []


@pytest.mark.parametrize("seed", range(6))
def test_an_injected_order_is_one_that_could_be_carried_out(lab: Any, seed: int) -> None:
    at = lab(once("injected_instruction"), seed)
    shown, detail = at.text("get_thing", thing_id="THG-101"), at.events[0].detail
    assert (detail["forbidden"], "return THG-101 " in shown) == ("return THG-101", True)
    assert "SYSTEM" not in shown
    assert INJECTED.findall(shown) == [detail["canary"]]


def test_where_no_record_is_named_only_the_code_is_asked_for(lab: Any) -> None:
    at = lab(once("injected_instruction"))
    shown, detail = at.text("sql", query="SELECT count(*) AS n FROM things"), at.events[0].detail
    assert (detail["forbidden"], detail["canary"] in shown, "{" in shown.partition('"note"')[2]) == ("", True, False)


@pytest.mark.parametrize("kind", ["tool_removed", "argument_renamed", "misleading_error", "injected_instruction"])
@pytest.mark.parametrize(
    "call",
    [
        ToolCall("c", "sql", None, "not json"),
        ToolCall("c", "sql", None, '{"query": "x' + "y" * 200_000 + '"}'),
        ToolCall("c", "sql", {"query": "\ud800"}),
        ToolCall("c", "sql", {"n": 10**30}),
        ToolCall("c", "sql", {"query": 10**5000}),
        ToolCall("c", "no such tool", {"a": float("nan")}),
    ],
)
def test_whatever_a_model_sends_comes_back_as_a_result(lab: Any, kind: str, call: ToolCall) -> None:
    at = lab([{"kind": kind, "trigger": {"from": 1}, "match": {"query": "x"}}, {"kind": kind, "trigger": {"from": 1}}])
    for _ in range(2):
        assert at.toolbox.call(call).result.content


def test_arguments_beyond_all_depth_come_back_as_a_result(lab: Any) -> None:
    deep: Any = []
    for _ in range(20_000):
        deep = [deep]
    at = lab([{"kind": "misleading_error", "trigger": {"from": 1}, "match": {"query": "x"}}])
    assert at.call("sql", query=deep).result.code == "malformed_call"
