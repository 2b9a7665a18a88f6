"""`format=auto`: the format that a chat template tells."""

import json

import pytest

from faultgym.agents.models.auto import format_told_by
from faultgym.agents.models.local import LoadOptions
from faultgym.agents.models.openai import policy_from
from faultgym.agents.models.transformers import policy_from as hf_policy
from faultgym.core.errors import UserError
from faultgym.tools.types import ToolSpec

SERVER = "@http://localhost:8000/v1?format=auto"


def test_a_models_folder_tells_the_format_of_both_kinds_of_policies(tmp_path):
    (tmp_path / "chat_template.jinja").write_text("<function={{ name }}><parameter={{ key }}>")
    assert policy_from(f"{tmp_path}{SERVER}", {}).format.name == "qwen3_coder"
    policy = hf_policy(f"{tmp_path}?format=auto")
    assert (policy.format.name, policy.describe()["format"]) == ("qwen3_coder", "qwen3_coder")
    assert policy_from(f"{tmp_path}{SERVER}", {}).describe()["format"] == "qwen3_coder"


def test_a_list_of_templates_is_read_by_the_one_for_tools(tmp_path):
    given = [{"name": "default", "template": "plain"}, {"name": "tool_use", "template": "[TOOL_CALLS]"}]
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"chat_template": given}))
    assert policy_from(f"{tmp_path}{SERVER}", {}).format.name == "mistral"


def test_an_adapters_own_template_comes_first(tmp_path):
    base, adapter = tmp_path / "base", tmp_path / "adapter"
    for folder, text in ((base, "<tool_call>"), (adapter, "<|tool_call_start|>")):
        folder.mkdir()
        (folder / "chat_template.jinja").write_text(text)
    (adapter / "adapter_config.json").write_text("{}")
    assert LoadOptions(adapter=str(adapter)).adapter
    assert hf_policy(f"{base}?format=auto&adapter={adapter}").format.name == "lfm2"
    assert hf_policy(f"{base}?format=auto").format.name == "hermes"


@pytest.mark.parametrize(
    ("template", "words"), [("", "no chat template of"), ("{{ messages }}", "in no form that is known here")]
)
def test_a_template_that_tells_nothing_is_refused_with_the_formats(tmp_path, template, words):
    if template:
        (tmp_path / "chat_template.jinja").write_text(template)
    with pytest.raises(UserError, match=f"format=auto: .*{words}.*hermes"):
        policy_from(f"{tmp_path}{SERVER}", {})


def test_a_template_without_calls_tells_none():
    assert format_told_by("{% for message in messages %}{{ message.content }}{% endfor %}") is None


def test_a_hub_id_is_looked_up_in_the_cache_of_this_machine(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    folder = tmp_path / "models--org--name"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text("abc")
    (folder / "snapshots" / "abc").mkdir(parents=True)
    (folder / "snapshots" / "abc" / "chat_template.jinja").write_text("<arg_key>")
    assert policy_from(f"org/name{SERVER}", {}).format.name == "glm45"
    with pytest.raises(UserError, match="no chat template of org/other"):
        policy_from(f"org/other{SERVER}", {})


@pytest.mark.parametrize("name", ["hermes", "qwen3_coder", "kimi_k2"])
def test_a_server_is_asked_to_leave_the_marks_in_the_text_for_they_may_be_special_tokens(name):
    look = (ToolSpec("look", "Look.", {"type": "object"}),)
    for format, kept in ((name, True), ("server", False)):
        policy = policy_from(f"m@http://localhost:8000/v1?format={format}", {})
        assert (b'"skip_special_tokens":false' in policy.tail(look)) is kept
