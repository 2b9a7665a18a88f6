"""What the demo's second half and the results table are made of."""

import pytest
import torch

from faultgym.cli.main import main
from faultgym.cli.support.trial import EXAMS, Trial, by_itself, trial_of
from faultgym.envs.registry import suite_named
from faultgym.eval.comparison.compare import read_run
from faultgym.tools.faults.presets import HELD_OUT_KINDS
from faultgym.training.configs.tiny_recipe import RECIPES

pytestmark = pytest.mark.slow


def test_no_exam_shares_a_split_with_what_is_practised():
    assert {exam.split for exam in EXAMS} == {"test", "unseen_faults"}
    assert HELD_OUT_KINDS


@pytest.mark.parametrize("exam", EXAMS, ids=lambda exam: exam.name)
def test_every_template_is_examined(exam):
    for suite, names in Trial("tiny-base").templates.items():
        assert set(names) <= set(suite_named(suite).names(exam.split))


def test_a_model_whose_base_met_no_fault_is_shown_by_itself(tmp_path, capsys):
    asked = ["--suite", "orders", "--template", "order_status", "--per-template", "4", "--split", "test"]
    for faults in ("clean", "rough"):
        out = str(tmp_path / "run" / faults)
        assert main(["rollout", *asked, "--policy", "expert", "--faults", faults, "--out", out]) == 0
    capsys.readouterr()
    shown = {exam.name: by_itself(read_run(tmp_path / "run", "expert"), exam) for exam in EXAMS}
    assert shown["faults"].startswith("100% (n=")
    assert (shown["clean"], shown["unseen"]) == ("-", "-")


def test_the_models_of_the_recipes_are_compared_with_their_base():
    assert all(trial_of(name, gpu=False).model == "tiny-base" for name in RECIPES)


@pytest.mark.parametrize(("model", "says"), [(None, "name one with --model"), ("tiny", "name one with --model")])
def test_a_gpu_that_can_do_nothing_is_refused(model, says, capsys):
    named = ["--model", model] if model else []
    assert main(["demo", "--no-tables", "--gpu", *named]) == 2
    assert says in capsys.readouterr().err


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_missing_gpu_is_said_at_once(capsys):
    assert main(["demo", "--no-tables", "--gpu", "--model", "smollm2"]) == 2
    assert "PyTorch sees no GPU" in capsys.readouterr().err


def test_a_folder_that_holds_anything_is_not_given_to_a_model(tmp_path, capsys):
    (tmp_path / "thesis.tex").write_text("mine")
    assert main(["tiny", "--out", str(tmp_path)]) == 2
    assert "is not an empty folder" in capsys.readouterr().err
    assert (tmp_path / "thesis.tex").read_text() == "mine"


def test_another_model_gets_adapters_and_on_a_gpu_a_server():
    small, large = trial_of("smollm2", gpu=False), trial_of("some/model", gpu=True)
    assert (small.model, small.adapter, small.engine in ("hf", "server")) == ("smollm2", "lora", True)
    assert (large.engine, large.sft["device"]) == ("server", "cuda")
    assert large.config(3).seed == 3
