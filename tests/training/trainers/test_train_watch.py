"""The order of rows, what is said at each step, and the warning about chosen completions that become less likely."""

import ctypes
import math
import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faultgym.core.errors import UserError
from faultgym.training.configs import estimate
from faultgym.training.configs.estimate import ModelSizes
from faultgym.training.configs.train import TrainConfig
from faultgym.training.trainers.checkpoints import keep, newest, seal, sealed
from faultgym.training.trainers.machine import Peak, alone, understood
from faultgym.training.trainers.making import total_steps
from faultgym.training.trainers.watch import HARNESS_ERRORS, Order, TrainingMonitor, displaced, summary


def config(method="dpo", **more):
    return TrainConfig.of({"method": method, "model": "m", "data": ["d"], "out": "o", **more})


LENGTHS = st.lists(st.integers(1, 900), min_size=1, max_size=200)


@given(LENGTHS, st.integers(1, 9), st.integers(0, 99), st.integers(0, 3), st.sampled_from(["sft", "kto"]))
def test_every_epoch_reads_every_row_once_in_an_order_of_seed_and_epoch_alone(lengths, block, seed, epoch, method):
    order = Order(lengths, block, seed, lambda: epoch, method)
    assert sorted(order) == list(range(len(lengths)))
    assert list(order) == list(Order(lengths, block, seed, lambda: epoch, method))
    assert len(order) == len(lengths)


@given(LENGTHS, st.integers(1, 9), st.integers(0, 99))
def test_the_longest_rows_come_first(lengths, block, seed):
    first = list(Order(lengths, block, seed, lambda: 0, "sft"))[:block]
    if len(lengths) >= 2 * block:
        whole = len(lengths) // block * block
        read = list(Order(lengths, block, seed, lambda: 0, "sft"))[:whole]
        assert max(lengths[n] for n in first) == max(lengths[n] for n in read)


@given(st.integers(2, 99), st.integers(2, 9), st.integers(0, 9))
def test_rows_of_kto_stay_in_their_batches(count, block, epoch):
    read = list(Order([1] * count, block, 0, lambda: epoch, "kto"))
    for n in range(0, count, block):
        assert read[n : n + block] == list(range(read[n], read[n] + len(read[n : n + block])))


def test_rows_of_a_step_are_about_equally_long_and_epochs_differ():
    lengths = [(n * 37) % 1000 for n in range(1000)]
    order = list(Order(lengths, 8, 0, lambda: 0, "sft"))
    spread = [
        max(lengths[n] for n in b) - min(lengths[n] for n in b) for b in (order[i : i + 8] for i in range(0, 1000, 8))
    ]
    assert sum(spread) / len(spread) < 60
    assert order != list(Order(lengths, 8, 0, lambda: 1, "sft"))


def test_a_step_tells_loss_and_the_time_that_is_left():
    now = [100.0]
    seen = []
    watch = TrainingMonitor(config(), seen.append, clock=lambda: now[0], before=50.0)
    watch.begin(4)
    for step in (5, 6):
        now[0] += 10
        watch.saw(0.5, step, lambda: "")
        watch.saw(1.5, step, lambda: "")
        watch.stepped(step, 10)
    assert [(step.step, step.total, step.loss, step.seconds, step.left) for step in seen] == [
        (5, 10, 2.0, 10.0, 50.0),
        (6, 10, 2.0, 20.0, 40.0),
    ]
    assert watch.seconds == 70.0


@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_a_loss_that_is_no_number_stops_the_run(loss):
    watch = TrainingMonitor(config(adapter="dora"), lambda step: None)
    with pytest.raises(UserError, match=r"at step 3 .*: lower learning_rate"):
        watch.saw(loss, 3, lambda: "")
    with pytest.raises(UserError, match="layer has rows of zeros: use lora"):
        watch.saw(loss, 3, lambda: "layer")


def history(name, values):
    return [{"loss": 1.0, name: value} for value in values]


def test_what_could_not_be_told_of_a_step_is_left_out():
    entries = [{"loss": 1.0, "reward": None}, {"loss": 1.0, "reward": 0.5}]
    assert summary(entries, config("sft"))["reward"] == 0.5


def test_episodes_that_broke_at_the_beginning_are_not_forgotten_at_the_end():
    assert summary(history("episodes/harness_errors", [1, 0, 0, 0, 0, 0, 0, 0]), config("sft"))[HARNESS_ERRORS] > 0


def test_falling_chosen_completions_are_warned_about_with_the_cure():
    dpo = config(nll_weight=0.2)
    metrics = summary(history("rewards/chosen", [0.0, 0.0, -0.2, -0.3]), dpo)
    assert metrics["chosen_change"] == pytest.approx(-3.0)
    assert "less likely (-3.00 nats a completion)" in displaced(metrics, dpo)
    assert "nll_weight (now 0.2; --set nll_weight=1)" in displaced(metrics, dpo)
    orpo = config("orpo")
    metrics = summary([{"probe/chosen": -1.0}, {"probe/chosen": -1.2}], orpo)
    assert metrics["chosen_change"] == pytest.approx(-0.2)
    assert "nats a token" in displaced(metrics, orpo)


@pytest.mark.parametrize(
    ("method", "name", "values"),
    [
        ("dpo", "rewards/chosen", [0.0, -0.05]),
        ("kto", "rewards/chosen", [0.0, 0.4]),
        ("orpo", "probe/chosen", [-2, -1]),
    ],
)
def test_no_warning_where_chosen_completions_hold(method, name, values):
    assert displaced(summary(history(name, values), config(method)), config(method)) == ""
    assert displaced(summary(history("loss", [1.0]), config("sft")), config("sft")) == ""


def test_only_whole_checkpoints_are_kept_and_found(tmp_path):
    for step in (2, 10, 9):
        (tmp_path / f"checkpoint-{step}").mkdir()
        (tmp_path / f"checkpoint-{step}" / "weights").write_text(str(step))
        if step != 10:
            seal(tmp_path / f"checkpoint-{step}", 1.5)
    assert newest(tmp_path) == tmp_path / "checkpoint-9"
    assert not (tmp_path / "checkpoint-10").exists()
    keep(tmp_path, 1)
    assert sealed(tmp_path) == [tmp_path / "checkpoint-9"]
    assert newest(tmp_path / "nowhere") is None


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(28, "No space left on device"), "is full"),
        (RuntimeError("[enforce fail] PytorchStreamWriter failed writing file data/0"), "is full"),
        (RuntimeError("[enforce fail at inline_container.cc:664] . unexpected pos 128 vs 22"), "is full"),
        (RuntimeError("basic_ios::clear: iostream error"), "is full"),
        (RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"), "memory was not enough"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), "memory was not enough"),
        (MemoryError(), "memory was not enough"),
    ],
)
def test_what_libraries_say_of_disk_and_memory_is_understood(error, said, tmp_path):
    with pytest.raises(UserError, match=said), understood(tmp_path):
        raise error


def test_a_full_disk_is_understood_although_the_writer_fails_once_more_when_it_closes(tmp_path):
    def write():
        try:
            raise RuntimeError("[enforce fail] PytorchStreamWriter failed writing file data/0")
        finally:
            raise RuntimeError("[enforce fail at inline_container.cc] . unexpected pos 64 vs 0")

    with pytest.raises(UserError, match="is full"), understood(tmp_path):
        write()


def test_other_errors_pass_as_they_are(tmp_path):
    with pytest.raises(ZeroDivisionError), understood(tmp_path):
        raise ZeroDivisionError
    with pytest.raises(UserError, match="as it was"), understood(tmp_path):
        raise UserError("as it was")


def test_one_lock_for_one_process(tmp_path):
    with (
        alone(tmp_path / "lock", True),
        pytest.raises(UserError, match="another process"),
        alone(tmp_path / "lock", True),
    ):
        pass
    with alone(tmp_path / "lock", True):
        pass


def test_the_peak_is_that_of_what_ran_since():
    before = Peak("cpu")
    held = bytearray(64 << 20)
    held[:: 1 << 12] = b"x" * len(held[:: 1 << 12])
    with_it = before.mib()
    del held
    assert with_it > 64
    assert Peak("cpu").mib() <= with_it


@pytest.mark.parametrize(
    ("rows", "more", "steps"),
    [
        (10, {"epochs": 1, "batch_size": 4, "accumulation": 1}, 3),
        (10, {"epochs": 2, "batch_size": 4, "accumulation": 2}, 4),
    ],
)
def test_the_number_of_steps_is_known_before(rows, more, steps):
    assert total_steps(config(**more), rows) == steps
    assert total_steps(config(max_steps=7), rows) == 7


FACTS = ModelSizes(
    parameters=10**9,
    linear=((4096, 4096),) * 50,
    layers=16,
    hidden=2048,
    intermediate=8192,
    key_value=512,
    vocabulary=128_000,
    context=8192,
)


def test_memory_is_less_in_4_bits_and_with_an_adapter_and_more_with_longer_rows():
    def total(adapter, longest=1000, **more):
        asked = config(adapter=adapter, **more).resolved(FACTS.parameters)
        return estimate.memory(FACTS, asked, "bfloat16", longest, "cpu").total

    assert total("qlora") < total("lora") < total("none")
    assert total("lora", longest=4000) > total("lora")
    assert total("lora", gradient_checkpointing=True) < total("lora", gradient_checkpointing=False)
    assert total("none", optimizer="muon") < total("none")


def test_free_memory_is_known_here():
    assert estimate.free_memory() > 0


GIVEN_BACK = """
import os, torch
from pathlib import Path
from faultgym.training.trainers.machine import release

def held():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") >> 20

pairs = [(torch.ones(1 << 20), torch.ones(1000)) for _ in range(64)]
small = [small for _, small in pairs]
del pairs
before = held()
release()
print(before - held())
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="this C library gives memory back by itself")
def test_memory_that_a_training_step_needed_goes_back_to_the_system():
    kept = {"MALLOC_MMAP_THRESHOLD_": str(1 << 30), "MALLOC_TRIM_THRESHOLD_": str(1 << 40), "MALLOC_ARENA_MAX": "1"}
    done = subprocess.run(
        [sys.executable, "-c", GIVEN_BACK], env={**os.environ, **kept}, capture_output=True, text=True, check=True
    )
    assert int(done.stdout) > 200
