"""What the demo's second half and the results table are made of."""

import pytest

from faultgym.cli.trial import EXAMS, Trial, trial_of
from faultgym.envs.suite import suite_named
from faultgym.tools.faults.presets import HELD_OUT_KINDS
from faultgym.training.tiny_recipe import RECIPES


def test_no_exam_shares_a_split_with_what_is_practised():
    assert {exam.split for exam in EXAMS} == {"test", "unseen_faults"}
    assert HELD_OUT_KINDS


@pytest.mark.parametrize("exam", EXAMS, ids=lambda exam: exam.name)
def test_every_template_is_examined(exam):
    for suite, names in Trial("tiny-base").templates.items():
        assert set(names) <= set(suite_named(suite).names(exam.split))


def test_the_models_of_the_recipes_are_compared_with_their_base():
    assert all(trial_of(name, gpu=False).model == "tiny-base" for name in RECIPES)


def test_another_model_gets_adapters_and_on_a_gpu_a_server():
    small, large = trial_of("smollm2", gpu=False), trial_of("some/model", gpu=True)
    assert (small.model, small.adapter, small.engine) == ("smollm2", "lora", "hf")
    assert (large.engine, large.sft["device"]) == ("server", "cuda")
    assert large.config(3).seed == 3
