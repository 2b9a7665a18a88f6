"""Every method with every adapter: real steps, weights that moved, a folder that loads and says the same."""

import json
import math
from pathlib import Path

import pytest
from helpers import lessons
from helpers.levels import rest

from faultgym.training.configs.train import ADAPTERS, METHODS
from faultgym.training.trainers import quiet
from faultgym.training.trainers.checkpoints import FOLDER, sealed
from faultgym.training.trainers.making import trainer_for
from faultgym.training.trainers.run import fit, job_of, load_model, train
from faultgym.training.trainers.watch import TrainingMonitor

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A model and a data set of each form."""
    folder = tmp_path_factory.mktemp("place")
    lessons.write_model(folder / "model")
    for form in ("messages", "turns", "pairs", "labels"):
        lessons.write_set(folder / form, form)
    with quiet():
        yield folder


@pytest.mark.parametrize(
    ("method", "adapter"),
    [
        (method, adapter) if number % len(ADAPTERS) == at else rest(method, adapter)
        for at, adapter in enumerate(ADAPTERS)
        for number, method in enumerate(METHODS)
    ],
)
def test_a_run_ends_in_a_folder_that_says_what_the_trained_model_said(method, adapter, place, tmp_path):
    out = tmp_path / "out"
    seen = []
    result = train(lessons.config(place, out, method, adapter=adapter, save_steps=1), seen.append)
    assert [(step.step, step.total) for step in seen] == [(1, 2), (2, 2)]
    assert all(math.isfinite(step.loss) for step in seen)
    assert result.steps == 2
    assert math.isfinite(result.metrics["loss"])
    assert ("chosen_change" in result.metrics) == (method != "sft")
    last, first = sealed(out / FOLDER)[-1], sealed(out / FOLDER)[0]
    assert lessons.same(lessons.weights(out), lessons.weights(last))
    moved = [name for name, weight in lessons.weights(last).items() if not weight.equal(lessons.weights(first)[name])]
    assert any("lora_B" in name for name in moved) if adapter != "none" else moved
    assert any("magnitude" in name for name in moved) == ("dora" in adapter)
    model, tokenizer = lessons.reloaded(out, place / "model", adapter)
    again, _ = lessons.reloaded(last, place / "model", adapter)
    said = lessons.logits(model, tokenizer)
    assert said.equal(lessons.logits(again, tokenizer))
    assert said.isfinite().all()
    assert not (tmp_path / ".out.building").exists()


@pytest.mark.parametrize("adapter", [one if one in ("none", "qdora") else rest(one) for one in ADAPTERS])
def test_what_is_written_is_the_model_in_memory_to_the_last_bit(adapter, place, tmp_path):
    from faultgym.training.trainers.outcome import write_weights

    config = lessons.config(place, tmp_path / "out", "dpo", adapter=adapter)
    job = job_of(config)
    watch = TrainingMonitor(job.config, lambda step: None)
    trainer = trainer_for(job.config, load_model(job), job.tokenizer, job.prepared, tmp_path / "work", watch)
    fit(trainer, watch)
    write_weights(trainer, job.tokenizer, tmp_path / "written")
    model, tokenizer = lessons.reloaded(tmp_path / "written", place / "model", adapter)
    base, _ = lessons.reloaded(place / "model", place / "model", "none")
    said = lessons.logits(trainer.model, tokenizer)
    assert lessons.logits(model, tokenizer).equal(said)
    assert not lessons.logits(base, tokenizer).equal(said)


@pytest.mark.parametrize("adapter", ["lora", rest("dora"), "qdora"])
def test_merged_weights_say_what_base_and_adapter_say(adapter, place, tmp_path):
    out = tmp_path / "out"
    train(lessons.config(place, out, adapter=adapter, merge=True))
    merged, tokenizer = lessons.reloaded(out / "merged", place / "model", "none")
    model, _ = lessons.reloaded(out, place / "model", adapter.removeprefix("q"))
    assert lessons.logits(merged, tokenizer).allclose(lessons.logits(model, tokenizer), atol=1e-5)


def test_the_folder_tells_what_it_was_made_of(place, tmp_path):
    out = tmp_path / "out"
    result = train(lessons.config(place, out, "dpo", adapter="qlora", seed=3))
    record = json.loads((out / "training.json").read_text())
    assert record["base"]["name"] == str(place / "model")
    assert len(record["base"]["sha256"]) == len(record["data"][0]["sha256"]) == len(record["result"]["sha256"]) == 64
    assert (record["method"], record["adapter"], record["seed"], record["data"][0]["rows"]) == ("dpo", "qlora", 3, 6)
    assert record["result"]["metrics"] == result.metrics
    assert record["config"]["learning_rate"] == 1e-2
    card = (out / "README.md").read_text()
    assert card.startswith("---\nbase_model:")
    for text in (record["base"]["sha256"], record["data"][0]["sha256"], "chosen_change", "nf4"):
        assert text in card
    assert "generation" in (out / "chat_template.jinja").read_text()


def test_the_same_run_gives_the_same_weights_and_another_seed_others(place, tmp_path):
    found = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        train(lessons.config(place, tmp_path / name, adapter="lora", seed=seed, lora_dropout=0.1))
        found.append(lessons.weights(tmp_path / name))
    assert lessons.same(found[0], found[1])
    assert not lessons.same(found[0], found[2])


@pytest.mark.parametrize(
    ("method", "adapter"), [("dpo", "lora"), rest("sft", "qdora"), rest("kto", "lora"), rest("orpo", "dora")]
)
def test_an_adapter_is_trained_further(method, adapter, place, tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    train(lessons.config(place, first, adapter=adapter))
    train(lessons.config(place, second, method, adapter=adapter, model=first))
    assert not lessons.same(lessons.weights(first), lessons.weights(second))
    record = json.loads((second / "training.json").read_text())
    assert record["base"]["name"] == str(place / "model")
    assert record["init_adapter"]["sha256"] == json.loads((first / "training.json").read_text())["result"]["sha256"]
    lessons.reloaded(second, place / "model", adapter)
    assert not (second / "ref").exists()


def test_curves_go_to_tensorboard(place, tmp_path):
    out = tmp_path / "out"
    train(lessons.config(place, out, report_to="tensorboard"))
    assert [path for path in Path(out, "logs").rglob("events.*") if path.stat().st_size]


def test_sft_takes_rows_of_single_turns_and_learns_only_those(place, tmp_path):
    config = lessons.config(place, tmp_path / "out", data=[place / "turns"])
    turns = job_of(config).prepared
    whole = job_of(lessons.config(place, tmp_path / "out")).prepared
    assert turns.learned == whole.learned
    assert len(turns.rows) == 2 * len(whole.rows)


def test_several_data_sets_are_one(place, tmp_path):
    lessons.write_set(tmp_path / "more", "messages", 3)
    job = job_of(lessons.config(place, tmp_path / "out", data=[place / "messages", tmp_path / "more"]))
    assert len(job.prepared.rows) == 9
    assert [one.form for one in job.sets] == ["messages", "messages"]
