"""Settings of a training run: checked one by one, named in errors, filled in by the model's size."""

import pytest

from faultgym.cli.support.train_options import asked
from faultgym.core.errors import UserError
from faultgym.training.configs.settings import read_yaml, settings
from faultgym.training.configs.train import ADAPTERS, METHODS, REPORTERS, TrainConfig, defaults_for

LEAST = {"method": "dpo", "model": "tiny-random", "data": ["pairs"], "out": "out"}


def made(**more):
    return TrainConfig.of({**LEAST, **more})


@pytest.mark.parametrize(
    ("setting", "value", "said"),
    [
        ("method", "dpoo", "method: 'dpoo' is not allowed (did you mean 'dpo'?); it has to be one of sft, dpo"),
        ("adapter", "qlorra", "adapter: 'qlorra' is not allowed (did you mean 'qlora'?)"),
        ("batch_size", 0, "batch_size: 0 is not allowed; it has to be a whole number from 1"),
        ("batch_size", "two", "batch_size: 'two' is not allowed; it has to be a whole number from 1"),
        ("batch_size", 2.5, "batch_size: 2.5 is not allowed"),
        ("batch_size", True, "batch_size: True is not allowed"),
        ("learning_rate", "nan", "learning_rate: 'nan' is not allowed; it has to be a number above 0 to 10"),
        ("learning_rate", -1e-4, "learning_rate: -0.0001 is not allowed"),
        ("merge", "maybe", "merge: 'maybe' is not allowed; it has to be true or false"),
        ("report_to", 3, "report_to: 3 is not allowed; it has to be names"),
        ("report_to", "tensorbord", "report_to: 'tensorbord' is not known; did you mean tensorboard?"),
        ("learning_rat", 1, "unknown setting 'learning_rat' (did you mean 'learning_rate'?)"),
        ("model", "", "model is missing"),
    ],
)
def test_a_wrong_setting_is_named_with_what_is_allowed(setting, value, said):
    with pytest.raises(UserError) as error:
        made(**{setting: value})
    assert said in str(error.value)


def test_settings_that_exclude_one_another_are_refused():
    with pytest.raises(UserError, match="give one of the two"):
        made(epochs=1, max_steps=10)
    with pytest.raises(UserError, match="KTO compares the rows"):
        made(method="kto", batch_size=1)
    with pytest.raises(UserError, match="no adapter to go on with"):
        made(adapter="none", init_adapter="a")


def test_a_whole_model_is_not_trained_in_float16():
    with pytest.raises(UserError, match="take bfloat16"):
        made(adapter="none", dtype="float16")
    assert made(adapter="lora", dtype="float16").dtype == "float16"


@pytest.mark.parametrize("given", ["wandb,tensorboard", ["wandb,tensorboard"], ["wandb", "tensorboard"]])
def test_reporters_are_named_with_commas_or_one_by_one(given):
    assert made(report_to=given).report_to == ("wandb", "tensorboard")


def test_only_a_text_says_none_for_no_names_a_folder_may_be_called_so():
    assert TrainConfig(method="sft", model="m", data=("none",), out="o").data == ("none",)
    assert made(report_to="none").report_to == ()


def test_the_reporters_are_those_of_transformers():
    from transformers.integrations.integration_utils import INTEGRATION_TO_CALLBACK

    assert set(REPORTERS) == set(INTEGRATION_TO_CALLBACK)


def test_numbers_of_yaml_and_of_the_command_line_are_the_same(tmp_path):
    file = tmp_path / "run.yaml"
    file.write_text("learning_rate: 1e-4\nbatch_size: 4\ntarget_modules: [q_proj, v_proj]\nmerge: yes\nepochs: 2\n")
    texts = ["learning_rate=1e-4", "batch_size=4", "target_modules=q_proj,v_proj", "merge=yes", "epochs=2"]
    assert made(**read_yaml(file)) == made(**settings(texts))
    assert made(**read_yaml(file)).learning_rate == 1e-4


def test_the_command_line_comes_before_set_and_set_before_the_file(tmp_path):
    file = tmp_path / "run.yaml"
    file.write_text("model: tiny-random\ndata: [a]\nout: o\nseed: 1\nbatch_size: 1\nlora_r: 1\n")
    config = asked("sft", file, ["seed=2", "batch_size=2"], {"seed": 3, "epochs": None, "data": []})
    assert (config.seed, config.batch_size, config.lora_r, config.data) == (3, 2, 1, ("a",))


@pytest.mark.parametrize("text", ["- a\n- b", "a: [", "just words"])
def test_a_file_that_holds_no_settings_is_refused(text, tmp_path):
    file = tmp_path / "run.yaml"
    file.write_text(text)
    with pytest.raises(UserError, match=r"run\.yaml"):
        read_yaml(file)


def test_a_text_without_an_equals_sign_is_refused():
    with pytest.raises(UserError, match="key=value"):
        settings(["learning_rate"])


def test_a_record_gives_the_same_configuration_back():
    config = made(adapter="qdora", target_modules=["q_proj"], learning_rate="2e-4", report_to="none")
    assert config.report_to == ()
    assert TrainConfig.of(config.to_record()) == config


def test_what_a_person_gives_is_never_replaced_by_a_default():
    given = {"learning_rate": 7e-3, "batch_size": 3, "accumulation": 5, "epochs": 9.0, "lora_r": 2}
    resolved = made(**given).resolved(10**9)
    assert {name: getattr(resolved, name) for name in given} == given
    assert made(max_steps=3).resolved(10**9).epochs is None


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("adapter", ADAPTERS)
def test_larger_models_get_smaller_rates(method, adapter):
    rates = [defaults_for(size, method, adapter).learning_rate for size in (10**6, 10**8, 7 * 10**9, 7 * 10**10)]
    assert rates == sorted(rates, reverse=True)
    assert all(rate > 0 for rate in rates)
    assert made(method=method, adapter=adapter).resolved(10**8).learning_rate == rates[1]


def test_the_first_setting_that_makes_another_result_is_named():
    before = made(seed=1, save_steps=5).to_record()
    assert made(seed=1, save_steps=9, resume=True, merge=True).difference(before) == ""
    assert made(seed=2).difference(before) == "seed was 1 and is now 2"
