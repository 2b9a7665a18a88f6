"""What a GRPO run may be asked to do: said clearly, or refused with what is allowed."""

import pytest

from faultgym.core.errors import UserError
from faultgym.training.configs.grpo import GrpoConfig
from faultgym.training.environments.reward import Reward
from faultgym.training.environments.task_rows import task_rows

LEAST = {"model": "tiny-random", "out": "adapters/a"}


def test_the_same_settings_come_from_values_texts_and_mappings():
    texts = {
        **LEAST,
        "suites": "orders,incidents",
        "faults": "mild,rough",
        "group": "4",
        "temperature": "0.9",
        "reward.calls": "-0.02",
        "max_steps": "7",
        "adapter": "dora",
    }
    values = {
        **LEAST,
        "suites": ["orders", "incidents"],
        "faults": ["mild", "rough"],
        "group": 4,
        "temperature": 0.9,
        "reward": {"calls": -0.02},
        "max_steps": 7,
        "adapter": "dora",
    }
    assert GrpoConfig.of(texts) == GrpoConfig.of(values)
    assert GrpoConfig.of(texts).reward == Reward(calls=-0.02)


@pytest.mark.parametrize(
    ("values", "match"),
    [
        ({"group": 1}, "group: 1 is not allowed; it has to be a whole number from 2"),
        ({"group": "many"}, "group: 'many' is not allowed"),
        ({"temperature": 0}, "temperature: 0 is not allowed"),
        ({"turns": 0}, "turns: 0"),
        ({"vllm": "maybe"}, "off, colocate, server"),
        ({"vllm": "server"}, "vllm_url go together"),
        ({"vllm_url": "http://localhost:8000"}, "vllm_url go together"),
        ({"format": "yaml"}, "format: 'yaml'"),
        ({"style": "rpc"}, "nothing, http, tools"),
        ({"epochs": 2}, "give max_steps"),
        ({"data": ["sets/sft"]}, "no data set"),
        ({"suites": ["hotel"]}, "no suite 'hotel'"),
        ({"templates": ["fly"]}, "no template 'fly'"),
        ({"faults": ["loud"]}, "loud"),
        ({"faults": ["missing.json"]}, "missing.json"),
        ({"reward": {"call": -1}}, "unknown setting 'reward.call' .did you mean 'calls'.*there are bad_calls, calls"),
        ({"reward": {"calls": "dear"}}, "reward.calls: 'dear'"),
        ({"reward": -1}, "reward: -1 is not allowed"),
        ({"reward.calls": 1}, "is a cost"),
        ({"grup": 4}, "unknown setting 'grup' .did you mean 'group'"),
        ({"learning_rate": -1}, "learning_rate: -1"),
        ({"prompt": "nowhere.md"}, "nowhere.md"),
        ({"model": ""}, "model is missing"),
    ],
)
def test_what_cannot_be_is_refused_with_what_can(values, match):
    with pytest.raises(UserError, match=match):
        GrpoConfig.of({**LEAST, **values})


def test_a_plan_of_faults_is_taken_from_a_file_and_kept_as_its_text(tmp_path):
    path = tmp_path / "mine.json"
    path.write_text('{"version": 1, "name": "mine", "rules": [{"kind": "busy", "trigger": {"nth": [1]}}]}')
    config = GrpoConfig.of({**LEAST, "faults": [str(path)], "templates": ["order_status"]})
    path.unlink()
    (row, *_) = task_rows(config.tasks(1))
    assert '"busy"' in row["faults"]
    assert GrpoConfig.of(config.to_record() | {"resume": True}).difference(config.to_record()) == ""


def test_a_run_has_as_many_tasks_as_it_plays_groups_and_no_more():
    config = GrpoConfig.of({**LEAST, "templates": ["order_status", "cancel_order"], "max_steps": 5, "batch_size": 16})
    resolved = config.resolved(1_000_000)
    assert resolved.episodes() == 16
    rows = task_rows(resolved.needed())
    assert len(rows) == 10
    assert len({row["task"] for row in rows}) == 10


def test_groups_that_do_not_fit_into_a_step_are_refused():
    config = GrpoConfig.of({**LEAST, "batch_size": 12, "group": 8})
    with pytest.raises(UserError, match="group=8 does not divide the 12 episodes of a step"):
        config.resolved(1_000_000)
    assert config.resolved(1_000_000, processes=2).episodes(2) == 24


def test_a_resumed_run_must_be_asked_the_same():
    config = GrpoConfig.of(LEAST)
    record = config.to_record()
    assert GrpoConfig.of({**LEAST, "resume": True, "save_steps": 3}).difference(record) == ""
    best = GrpoConfig.of({**LEAST, "prompt": "best"})
    assert best.difference(best.to_record()) == ""
    assert "prompt was 'best' and is now 'plain'" in config.difference(best.to_record())
    assert "turns was 12 and is now 9" in GrpoConfig.of({**LEAST, "turns": 9}).difference(record)
    assert "reward was" in GrpoConfig.of({**LEAST, "reward.calls": -0.5}).difference(record)
    assert "seed was 0" in GrpoConfig.of({**LEAST, "seed": 4}).difference(record)


def test_a_run_from_before_answers_could_be_typed_is_one_with_texts():
    texts, typed = (GrpoConfig.of({**LEAST, "answers": answers}) for answers in ("text", "typed"))
    record = texts.to_record()
    del record["answers"]
    assert texts.difference(record) == ""
    assert typed.difference(record) == "answers was 'text' and is now 'typed'"


def test_yamls_off_is_no_vllm():
    assert GrpoConfig.of({**LEAST, "vllm": False}).vllm == "off"
