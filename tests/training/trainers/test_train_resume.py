"""A run that was stopped anywhere and resumed ends with the very weights of one that was not."""

import shutil
import signal
from dataclasses import replace
from pathlib import Path

import pytest
from helpers import lessons
from helpers.levels import rest

from faultgym.core.errors import UserError
from faultgym.training.builds.work import work_folder
from faultgym.training.trainers import quiet
from faultgym.training.trainers.checkpoints import FOLDER, SEAL, sealed
from faultgym.training.trainers.run import train

pytestmark = pytest.mark.slow

STEPS = 8
"""Of three batches an epoch: a run crosses epochs before it is stopped and after."""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A model and data sets."""
    folder = tmp_path_factory.mktemp("place")
    lessons.write_model(folder / "model")
    for form in ("messages", "pairs", "labels"):
        lessons.write_set(folder / form, form)
    with quiet():
        yield folder


def config(place, out, method="sft", **more):
    usual = {"max_steps": STEPS, "save_steps": 2, "lora_dropout": 0.1, "scheduler": "cosine"}
    return lessons.config(place, out, method, **{**usual, **more})


class Stopped(Exception):
    """What a test stops a run with."""


def stopped_at(step):
    def progress(seen):
        if seen.step == step:
            raise Stopped

    return progress


def stop(asked, step=5):
    with pytest.raises(Stopped):
        train(asked, stopped_at(step))
    return work_folder(Path(asked.out))


def test_a_run_killed_with_9_and_resumed_ends_with_the_same_weights(place, tmp_path, forked):
    whole, killed = config(place, tmp_path / "whole", "dpo"), config(place, tmp_path / "killed", "dpo")
    train(whole)
    child = forked(lessons.train_and_die, killed.to_record(), 5)
    child.join()
    assert child.exitcode == -signal.SIGKILL
    assert not (tmp_path / "killed").exists()
    assert [path.name for path in sealed(work_folder(tmp_path / "killed") / "out" / FOLDER)] == [
        "checkpoint-2",
        "checkpoint-4",
    ]
    seen = []
    result = train(replace(killed, resume=True), seen.append)
    assert [step.step for step in seen] == [5, 6, 7, 8]
    assert result.steps == STEPS
    assert lessons.same(lessons.weights(tmp_path / "whole"), lessons.weights(tmp_path / "killed"))


@pytest.mark.parametrize(
    ("method", "more"),
    [
        ("sft", {"adapter": "none", "optimizer": "muon"}),
        rest("sft", {"adapter": "qdora", "accumulation": 2}),
        ("dpo", {"adapter": "qlora"}),
        rest("orpo", {"adapter": "dora"}),
        rest("kto", {"adapter": "none"}),
        rest("kto", {"adapter": "lora"}),
    ],
)
def test_a_stopped_run_goes_on_exactly(method, more, place, tmp_path):
    whole, resumed = config(place, tmp_path / "whole", method, **more), config(place, tmp_path / "r", method, **more)
    one = train(whole)
    stop(resumed)
    other = train(replace(resumed, resume=True))
    assert lessons.same(lessons.weights(tmp_path / "whole"), lessons.weights(tmp_path / "r"))
    assert other.metrics == one.metrics


@pytest.mark.exhaustive
def test_a_further_trained_adapter_goes_on_with_its_own_reference(place, tmp_path):
    train(config(place, tmp_path / "first", max_steps=2))
    more = {"model": tmp_path / "first"}
    whole, resumed = config(place, tmp_path / "whole", "dpo", **more), config(place, tmp_path / "r", "dpo", **more)
    one = train(whole)
    stop(resumed)
    assert train(replace(resumed, resume=True)).metrics == one.metrics
    assert lessons.same(lessons.weights(tmp_path / "whole"), lessons.weights(tmp_path / "r"))


def test_a_run_that_failed_after_its_last_step_takes_no_other(tmp_path, forked):
    """The merged weights do not fit onto the disk, the adapter's checkpoints do."""
    lessons.write_model(tmp_path / "model", 128)
    lessons.write_set(tmp_path / "messages", "messages")
    asked = config(tmp_path, tmp_path / "out", lora_r=1, scheduler="constant", merge=True, max_steps=4)
    limit = (tmp_path / "model" / "model.safetensors").stat().st_size - 1
    forked(lessons.train_limited, asked.to_record(), limit, tmp_path / "said").join()
    assert "is full" in (tmp_path / "said").read_text()
    work = work_folder(tmp_path / "out") / "out"
    last = lessons.weights(work / FOLDER / "checkpoint-4")
    result = train(replace(asked, resume=True))
    assert result.steps == 4
    assert lessons.same(lessons.weights(tmp_path / "out"), last)
    assert (tmp_path / "out" / "merged" / "model.safetensors").stat().st_size > limit


def test_a_finished_run_is_not_taken_for_another(place, tmp_path):
    asked = config(place, tmp_path / "out")
    first = train(asked)
    assert train(replace(asked, resume=True)).metrics == first.metrics
    with pytest.raises(UserError, match=r"holds the result of another run \(learning_rate was"):
        train(replace(asked, resume=True, learning_rate=1e-6))


def test_a_checkpoint_that_was_never_finished_is_passed_over(place, tmp_path):
    train(config(place, tmp_path / "whole"))
    asked = config(place, tmp_path / "r")
    work = stop(asked)
    (work / "out" / FOLDER / "checkpoint-4" / SEAL).unlink()
    seen = []
    train(replace(asked, resume=True), seen.append)
    assert seen[0].step == 3
    assert lessons.same(lessons.weights(tmp_path / "whole"), lessons.weights(tmp_path / "r"))


@pytest.mark.parametrize("name", ["adapter_model.safetensors", "optimizer.pt", "rng_state.pth", SEAL])
def test_a_damaged_checkpoint_is_named_and_never_used(name, place, tmp_path):
    asked = config(place, tmp_path / "r")
    work = stop(asked)
    damaged = work / "out" / FOLDER / "checkpoint-4"
    (damaged / name).write_bytes((damaged / name).read_bytes()[:-9] + b"123456789")
    with pytest.raises(UserError, match=rf"checkpoint-4 is damaged: {name} is not what was written"):
        train(replace(asked, resume=True))
    assert damaged.is_dir()
    shutil.rmtree(damaged)
    train(replace(asked, resume=True))
    assert (tmp_path / "r" / "adapter_model.safetensors").is_file()


def test_a_run_that_was_stopped_is_not_begun_anew_unasked(place, tmp_path):
    asked = config(place, tmp_path / "r")
    work = stop(asked)
    with pytest.raises(UserError, match="holds work that was stopped; go on with --resume"):
        train(asked)
    assert sealed(work / "out" / FOLDER)


def test_another_run_is_not_resumed(place, tmp_path):
    asked = config(place, tmp_path / "r")
    work = stop(asked)
    with pytest.raises(UserError, match=r"learning_rate was 0\.01 and is now 0\.02"):
        train(replace(asked, resume=True, learning_rate=2e-2))
    lessons.write_set(tmp_path / "other", "messages", 5)
    with pytest.raises(UserError, match="data was"):
        train(replace(asked, resume=True, data=(str(tmp_path / "other"),)))
    assert sealed(work / "out" / FOLDER)
    train(replace(asked, resume=True))


def test_a_finished_run_is_not_trained_again(place, tmp_path):
    asked = config(place, tmp_path / "r")
    result = train(asked)
    before = lessons.weights(tmp_path / "r")
    assert train(replace(asked, resume=True)) == result
    assert lessons.same(before, lessons.weights(tmp_path / "r"))
    with pytest.raises(UserError, match="is there already"):
        train(asked)


def test_a_run_that_fails_before_its_first_checkpoint_leaves_nothing(place, tmp_path):
    asked = config(place, tmp_path / "r")
    work = stop(asked, step=1)
    assert not work.exists()
    assert not (tmp_path / "r").exists()
