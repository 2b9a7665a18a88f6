"""From a rollout through `faultgym build` and `load_dataset` into TRL's trainers, nothing done in between."""

import asyncio

import pytest
from helpers import scenes, vocabularies

from faultgym.agents.registry import policy_named
from faultgym.agents.rollouts.engine import rollout
from faultgym.agents.rollouts.plan import RolloutPlan, RolloutRequest
from faultgym.cli.main import main
from faultgym.envs.limits import Limits
from faultgym.training.trainers.collators import orpo_trainer

pytestmark = pytest.mark.slow

TEMPLATES = ("order_status", "cancel_order")
LENGTH = 32768


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Folders of an expert's and a repeater's runs."""
    asked = RolloutRequest(("orders",), "train", TEMPLATES, per_template=2, faults=("clean", "rough"), style="http")
    folder = tmp_path_factory.mktemp("runs")
    for policy in ("expert", "repeater"):
        plan = RolloutPlan.make(asked, Limits())
        asyncio.run(rollout(plan, policy_named(policy), folder / policy))
    return [str(folder / "expert"), str(folder / "repeater")]


@pytest.fixture
def built(runs, tmp_path):
    """What `faultgym build VERB` makes of the runs, as `load_dataset` gives it."""
    from datasets import load_dataset

    def make(verb, *options):
        assert main(["build", verb, *runs, "--out", str(tmp_path / verb), *options]) == 0
        return load_dataset(str(tmp_path / verb), split="train", cache_dir=str(tmp_path / "cache"))

    return make


@pytest.fixture(scope="module")
def tokenizer():
    return vocabularies.trained_on(scenes.texts())


@pytest.fixture
def common(tokenizer, tmp_path):
    """What every trainer is given besides its configuration and data, and what every configuration has."""
    config = {
        "output_dir": str(tmp_path / "out"),
        "per_device_train_batch_size": 2,
        "max_steps": 1,
        "max_length": LENGTH,
        "use_cpu": True,
        "bf16": False,
        "report_to": [],
        "save_strategy": "no",
        "disable_tqdm": True,
    }
    return {"model": vocabularies.tiny_model(tokenizer, tmp_path / "model"), "processing_class": tokenizer}, config


def assert_takes_a_step(trainer, rows):
    assert len(trainer.train_dataset) == rows
    trainer.train()
    assert trainer.state.global_step == 1
    assert all(weight.isfinite().all() for weight in trainer.model.parameters())


def test_sft_takes_a_step_on_what_build_sft_makes(built, common):
    from trl import SFTConfig, SFTTrainer

    rows = built("sft")
    trainer = SFTTrainer(args=SFTConfig(**common[1], assistant_only_loss=True), train_dataset=rows, **common[0])
    assert_takes_a_step(trainer, len(rows))


def test_dpo_and_orpo_take_a_step_on_what_build_pairs_makes(built, common):
    from trl import DPOConfig, DPOTrainer
    from trl.experimental.orpo import ORPOConfig

    rows = built("pairs", "--unaudited")
    dpo = DPOTrainer(args=DPOConfig(**common[1]), train_dataset=rows, **common[0])
    assert_takes_a_step(dpo, len(rows))
    orpo = orpo_trainer(args=ORPOConfig(**common[1]), train_dataset=rows, **common[0])
    assert_takes_a_step(orpo, len(rows))


def test_kto_takes_a_step_on_what_build_kto_makes(built, common):
    from trl import KTOConfig, KTOTrainer

    rows = built("kto", "--unaudited")
    assert_takes_a_step(KTOTrainer(args=KTOConfig(**common[1]), train_dataset=rows, **common[0]), len(rows))
