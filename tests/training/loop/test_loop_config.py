"""A loop's settings: which are refused, which may change, and what follows from them."""

import shutil

import pytest

from faultgym.core.errors import UserError
from faultgym.training.builds.pair_options import PairOptions
from faultgym.training.loop.config import LoopConfig, nested
from faultgym.training.loop.models import check_model, publish_model, with_port


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({}, "model is missing"),
        ({"model": "m", "epsiodes": 3}, r"unknown setting 'epsiodes' \(did you mean 'episodes'\?\)"),
        ({"model": "m", "episodes": 0}, "episodes: 0 is not allowed; it has to be a whole number from 1"),
        ({"model": "m", "episodes": "many"}, "episodes: 'many' is not allowed"),
        ({"model": "m", "replay": 1.0}, "replay: 1.0 is not allowed; it has to be a number from 0 to 0.9"),
        ({"model": "m", "preference": "dp0"}, r"preference: 'dp0' is not allowed \(did you mean 'dpo'\?\)"),
        ({"model": "m", "faults": ["clean"]}, "each needs a preset with faults"),
        ({"model": "m", "faults": ["ruff"]}, "no fault preset 'ruff'"),
        ({"model": "m", "suites": ["order"]}, "order"),
        (
            {"model": "m", "templates": ["order_stats"]},
            r"no template 'order_stats' in orders; did you mean order_status\?",
        ),
        ({"model": "m", "mix": "clean=x"}, "share of clean"),
        ({"model": "m", "sft": {"learning_rat": 1}}, r"sft: unknown setting 'learning_rat'"),
        ({"model": "m", "sft": {"learning_rate": -1}}, "sft: learning_rate: -1 is not allowed"),
        ({"model": "m", "pref": {"model": "x"}}, r"pref\.model: the loop decides that"),
        ({"model": "m", "sft": 3}, "sft: 3 is not allowed"),
    ],
)
def test_settings_that_cannot_be_are_named(values, said):
    with pytest.raises(UserError, match=said):
        LoopConfig.of(values)


def test_too_few_dev_tasks_to_promote_are_said_beforehand_and_the_default_has_enough():
    few = LoopConfig.of({"model": "m", "templates": ["order_status", "cancel_order"], "dev_tasks": 10})
    (doubt,) = few.doubts()
    assert "20 dev tasks cannot rule out a loss of 5 points" in doubt
    for templates in ([], ["order_status"], ["order_status", "cancel_order"]):
        enough = LoopConfig.of({"model": "m", "templates": templates})
        assert not list(enough.doubts())
        assert enough.dev_each >= 8


@pytest.mark.parametrize("preference", ["dpo", "none"])
def test_a_dora_adapter_for_vllm_has_to_be_merged(preference):
    asked = {"model": "m", "adapter": "dora", "engine": "server", "preference": preference}
    merged = {"sft": {"merge": True}, "pref": {"merge": True}}
    check_model(LoopConfig.of({**asked, **merged}))
    with pytest.raises(UserError, match=r"serves no DoRA adapter: set sft\.merge=true"):
        check_model(LoopConfig.of(asked))


@pytest.mark.parametrize(
    ("values", "prompt"),
    [
        ({}, "plain"),
        ({"sampling": "temperature=1&prompt=best"}, "best"),
        ({"sampling": "temperature=1&prompt=best", "sft": {"prompt": "plain"}}, "plain"),
    ],
)
def test_rows_are_learned_under_the_prompt_they_were_sampled_with_unless_another_is_named(values, prompt):
    assert LoopConfig.of({"model": "m", **values}).training("sft", "m", ("d",), "o", 0).prompt == prompt


def test_a_row_that_is_too_long_does_not_stop_a_loop_unless_it_is_to():
    assert LoopConfig.of({"model": "m"}).training("dpo", "m", ("d",), "o", 0).too_long == "drop"
    strict = LoopConfig.of({"model": "m", "pref": {"too_long": "refuse"}})
    assert strict.training("dpo", "m", ("d",), "o", 0).too_long == "refuse"


def test_a_loop_without_a_port_takes_a_free_one_and_keeps_it(tmp_path):
    asked = LoopConfig.of({"model": "tiny-random", "engine": "server"})
    assert with_port(asked).port > 0
    assert with_port(LoopConfig.of({**asked.to_record(), "port": 8123})).port == 8123
    assert with_port(LoopConfig.of({"model": "tiny-random"})).port == 0


def test_merged_weights_are_served_where_there_are_any(tmp_path):
    trained = tmp_path / "sft"
    (trained / "merged").mkdir(parents=True)
    for place, content in ((trained, "adapter"), (trained / "merged", "whole")):
        (place / f"{content}_model.safetensors").write_text(content)
    whole, _ = publish_model(trained, tmp_path, "round-01")
    assert [path.read_text() for path in whole.iterdir()] == ["whole"]
    shutil.rmtree(trained / "merged")
    adapter, _ = publish_model(trained, tmp_path, "round-01")
    assert [path.read_text() for path in adapter.iterdir()] == ["adapter"]


def test_a_loop_of_version_0_1_may_say_slip_for_the_first_error_and_is_gone_on_with():
    old = LoopConfig.of({"model": "m", "at": "slip"})
    assert old.at == "first_error"
    assert not LoopConfig.of({"model": "m", "at": "first_error"}).difference(old.to_record())
    assert PairOptions(at="first_error").to_record()["at"] == "slip"


def test_dotted_settings_become_sections():
    assert nested({"sft.max_steps": "5", "sft.beta": "1", "rounds": "2"}) == {
        "sft": {"max_steps": "5", "beta": "1"},
        "rounds": "2",
    }
    with pytest.raises(UserError, match="the sections are sft and pref"):
        nested({"dpo.beta": 1})


def test_rounds_speed_and_training_may_change_and_nothing_else():
    one = LoopConfig.of({"model": "m"})
    free = {"rounds": 9, "in_flight": 1, "workers": 2, "port": 9000, "sft": {"too_long": "drop"}, "pref": {"beta": 1}}
    assert not one.difference(LoopConfig.of({"model": "m", **free}).to_record())
    assert one.difference(LoopConfig.of({"model": "m", "seed": 1}).to_record())
