"""The traces of the demo, built as the README says: no shortcut tells their pairs apart, and a trainer takes them."""

import orjson
import pytest
from helpers import scenes, vocabularies
from helpers.levels import rest

from faultgym.cli.demo import POLICIES
from faultgym.cli.main import main

pytestmark = pytest.mark.slow

ALLOWED = 0.6
STEP = 8
"""Rows that a trainer is given: one step is taken."""


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The runs of `faultgym demo`: six agents, five intensities, one task of each template of both suites."""
    out = tmp_path_factory.mktemp("demo")
    assert main(["demo", "--out", str(out), "--per-template", "1"]) == 0
    return {name: str(out / name) for name in POLICIES}


@pytest.mark.parametrize("agents", [("repeater", "impatient"), rest(tuple(POLICIES))])
def test_the_pairs_of_the_demo_pass_their_audit_and_dpo_takes_a_step_on_them(runs, agents, tmp_path):
    from datasets import load_dataset
    from trl import DPOConfig, DPOTrainer

    out = tmp_path / "pairs"
    assert main(["build", "pairs", *(runs[name] for name in agents), "--out", str(out), "--workers", "1"]) == 0
    audit = orjson.loads((out / "build.json").read_bytes())["report"]["audit"]
    assert audit["passed"]
    assert all(auc["value"] <= ALLOWED for auc in audit["aucs"].values())
    rows = load_dataset(str(out), split="train", cache_dir=str(tmp_path / "cache")).select(range(STEP))
    tokenizer = vocabularies.trained_on(scenes.texts())
    settings = {"max_steps": 1, "use_cpu": True, "bf16": False, "report_to": [], "save_strategy": "no"}
    trainer = DPOTrainer(
        model=vocabularies.tiny_model(tokenizer, tmp_path / "model"),
        args=DPOConfig(output_dir=str(tmp_path / "out"), max_length=32768, per_device_train_batch_size=2, **settings),
        train_dataset=rows,
        processing_class=tokenizer,
    )
    trainer.train()
    assert trainer.state.global_step == 1
