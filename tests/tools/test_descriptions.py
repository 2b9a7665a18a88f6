"""What a model is shown of the tools."""

from __future__ import annotations

import pytest

from faultgym.envs.registry import suites
from faultgym.tools.toolbox import STANDARD
from faultgym.tools.types import ToolSpec, interface


@pytest.mark.parametrize("suite", sorted(suites()))
def test_every_tool_and_every_parameter_that_a_model_is_shown_has_a_description(suite: str) -> None:
    tools = {**STANDARD, **suites()[suite].endpoint_tools}
    bare = [
        f"{tool.name}.{name}"
        for tool in tools.values()
        for name, parameter in tool.declaration.schema["properties"].items()
        if not parameter.get("description")
    ]
    assert bare == []
    assert all(tool.declaration.description for tool in tools.values())


def test_two_specs_with_other_descriptions_of_parameters_have_one_interface() -> None:
    def spec(**parameter: str) -> ToolSpec:
        return ToolSpec("find", "Find it.", {"type": "object", "properties": {"what": parameter}, "required": ["what"]})

    assert interface([spec(type="string")]) == interface([spec(type="string", description="A word")])
    assert interface([spec(type="string")]) != interface([spec(type="integer")])
