"""Which adapters vLLM serves as they were trained, by their settings alone."""

import json

import pytest

from faultgym.agents.models.adapters import adapter_rank
from faultgym.core.errors import UserError


def adapter(folder, **settings) -> str:
    folder.mkdir()
    (folder / "adapter_config.json").write_text(json.dumps(settings))
    return str(folder)


@pytest.mark.parametrize(("rank", "largest"), [(1, 8), (8, 8), (12, 16), (512, 512)])
def test_the_largest_rank_is_one_that_vllm_takes(tmp_path, rank, largest):
    assert adapter_rank([adapter(tmp_path / "a", r=rank)]) == largest


def test_the_largest_rank_of_a_pattern_counts_where_all_layers_weigh_the_same(tmp_path):
    same = {"lora_alpha": 16, "rank_pattern": {"q_proj": 40}, "alpha_pattern": {"q_proj": 80}}
    assert adapter_rank([adapter(tmp_path / "a", r=8, **same), adapter(tmp_path / "b", r=4)]) == 64


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"use_dora": True}, "is a DoRA adapter, which vLLM does not serve: merge it into its model"),
        ({"peft_type": "IA3", "r": None}, "is of the kind IA3"),
        ({"rank_pattern": {"q_proj": 4}}, "gives its layers different weights (rank_pattern or alpha_pattern)"),
        ({"alpha_pattern": {"q_proj": 4}}, "gives its layers different weights"),
        ({"modules_to_save": ["lm_head"]}, "holds whole layers beside LoRA's (modules_to_save=['lm_head'])"),
        ({"trainable_token_indices": {"embed_tokens": [1]}}, "holds rows of the embeddings"),
        ({"target_parameters": ["experts.w"]}, "is on bare parameters (target_parameters=['experts.w'])"),
        ({"bias": "all"}, "trained biases too (bias=all)"),
        ({"lora_bias": True}, "has biases of its own"),
        ({"alora_invocation_tokens": [1, 2]}, "is an activated LoRA"),
        ({"r": "eight"}, "has the rank 'eight'"),
    ],
)
def test_an_adapter_that_vllm_would_serve_as_another_is_refused(tmp_path, settings, said):
    with pytest.raises(UserError) as error:
        adapter_rank([adapter(tmp_path / "tuned", **{"r": 8, "lora_alpha": 16, **settings})])
    assert said in str(error.value)
    assert str(error.value).startswith(f"adapter {tmp_path / 'tuned'} ")


def test_a_folder_without_readable_settings_is_named(tmp_path):
    with pytest.raises(UserError, match=r"no readable adapter_config\.json"):
        adapter_rank([str(tmp_path)])
    (tmp_path / "adapter_config.json").write_text("[]")
    with pytest.raises(UserError, match="holds no settings"):
        adapter_rank([str(tmp_path)])


@pytest.mark.slow
def test_settings_as_peft_writes_them_are_read(tmp_path):
    from peft import IA3Config, LoraConfig

    common = {"task_type": "CAUSAL_LM", "target_modules": ["q_proj"]}
    LoraConfig(r=4, lora_alpha=8, **common).save_pretrained(tmp_path / "plain")
    assert adapter_rank([str(tmp_path / "plain")]) == 8
    LoraConfig(r=4, lora_alpha=8, rank_pattern={"q_proj": 16}, **common).save_pretrained(tmp_path / "ranks")
    IA3Config(feedforward_modules=[], **common).save_pretrained(tmp_path / "ia3")
    for name, said in (("ranks", "different weights"), ("ia3", "of the kind IA3")):
        with pytest.raises(UserError, match=said):
            adapter_rank([str(tmp_path / name)])


@pytest.mark.slow
def test_loading_a_model_shows_no_bar_of_the_library_beneath_and_leaves_others_as_they_were(capfd):
    from transformers.utils import logging

    from faultgym.agents.models.local import LoadOptions
    from faultgym.agents.models.transformers import TransformersModel

    enabled = logging.is_progress_bar_enabled()
    logging.enable_progress_bar()
    try:
        TransformersModel("tiny-random", LoadOptions())
        assert capfd.readouterr().err == ""
        assert logging.is_progress_bar_enabled()
    finally:
        if not enabled:
            logging.disable_progress_bar()
