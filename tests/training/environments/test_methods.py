"""Tools as methods: the schema that transformers reads off them says what a rollout shows."""

import pytest
from transformers.utils import get_json_schema

from faultgym.agents.models.tiny_random import TEMPLATE
from faultgym.envs.registry import suites
from faultgym.tools.toolbox import STANDARD
from faultgym.tools.types import ToolSpec
from faultgym.training.environments.methods import tool_method

LOST = {"minimum", "maximum", "exclusiveMinimum", "minLength", "maxLength", "pattern", "examples"}
"""What neither type hints nor docstrings can say."""


def all_specs():
    found = dict(STANDARD)
    for suite in suites().values():
        found.update({f"{suite.name}.{name}": tool for name, tool in suite.endpoint_tools.items()})
    return [tool.spec for tool in found.values()]


def said(schema):
    """A schema without what is lost, and without descriptions that are only a name."""
    if isinstance(schema, dict):
        return {key: said(value) for key, value in schema.items() if key not in LOST}
    return [said(item) for item in schema] if isinstance(schema, list) else schema


def rendered(specs, template):
    """What a model reads of these tools."""
    from transformers.utils.chat_template_utils import render_jinja_template

    messages = [{"role": "system", "content": "Be."}, {"role": "user", "content": "Do."}]
    return render_jinja_template(conversations=[messages], tools=specs, chat_template=template)[0][0]


@pytest.mark.parametrize("spec", all_specs(), ids=lambda spec: spec.name)
def test_the_schema_of_a_method_is_the_tools_own_but_for_what_hints_cannot_say(spec):
    found = get_json_schema(tool_method(spec))["function"]
    assert (found["name"], found["description"]) == (spec.name, spec.description)
    expected = said(spec.parameters)
    assert found["parameters"].get("required", []) == expected.get("required", [])
    assert list(found["parameters"]["properties"]) == list(expected["properties"])
    for name, schema in expected["properties"].items():
        got = dict(found["parameters"]["properties"][name])
        described = got.pop("description")
        assert described == schema.pop("description", name.replace("_", " "))
        schema.pop("additionalProperties", None), got.pop("additionalProperties", None)
        assert got == schema


def test_with_our_template_a_model_reads_the_same_of_a_method_as_in_a_rollout():
    template = TEMPLATE.read_text()
    for spec in all_specs():
        assert rendered([get_json_schema(tool_method(spec))], template) == rendered([spec.openai()], template)


def test_texts_that_look_like_sections_of_a_docstring_do_no_harm():
    parameters = {
        "type": "object",
        "properties": {
            "one": {"type": "string", "description": "First.\nReturns: nothing"},
            "two": {"type": "array", "items": {"type": "integer"}},
            "three": {"description": "Anything"},
        },
        "required": ["two"],
    }
    spec = ToolSpec("look", "Look at it. Args: none.\n\nRaises: never.", parameters)
    found = get_json_schema(tool_method(spec))["function"]
    assert found["description"] == "Look at it. Args none. Raises never."
    assert found["parameters"]["properties"] == {
        "one": {"type": "string", "description": "First. Returns nothing"},
        "two": {"type": "array", "items": {"type": "integer"}, "description": "two"},
        "three": {"description": "Anything"},
    }
    assert found["parameters"]["required"] == ["two"]
