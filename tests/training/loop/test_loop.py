"""Real rounds on a task that a very small model learns in seconds: promoted, kept, rolled back, put right again."""

import shutil
from dataclasses import replace
from pathlib import Path

import orjson
import pytest
from helpers import loops, onerule

from faultgym.agents.registry import policy_named
from faultgym.agents.storage.store import RunDirectory
from faultgym.core.errors import UserError
from faultgym.envs.judging.answering import ACKNOWLEDGED
from faultgym.eval.comparison.compare import read_run
from faultgym.training.loop.config import LoopConfig
from faultgym.training.loop.judge import judge
from faultgym.training.loop.models import ModelRef, policy_name
from faultgym.training.loop.round import LoopCallbacks, Round
from faultgym.training.loop.run import opened, rollback, run_loop, status
from faultgym.training.trainers.plain_text import paragraphs

pytestmark = pytest.mark.slow

LEARNING = {
    "max_steps": 120,
    "learning_rate": 5e-3,
    "scheduler": "constant",
    "batch_size": 4,
    "save_steps": 1000,
    "report_to": "none",
    "device": "cpu",
}


def decision(loop, number):
    return orjson.loads((loop / "rounds" / f"{number:02d}" / "decision.json").read_bytes())


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return onerule.make_model(tmp_path_factory.mktemp("model") / "novice")


def asked(model, **more):
    """A loop without a preference stage, on the suite with one rule."""
    return loops.config(
        model,
        **{
            "suites": ["onerule"],
            "episodes": 24,
            "dev_tasks": 24,
            "samples": 0,
            "adapter": "none",
            "preference": "none",
            "mix": "clean=0.5,recovery=0.5",
            "sft": LEARNING,
            "text_margin": 1000.0,
            "sampling": "max_tokens=60&batch=24",
            "dev_sampling": "max_tokens=60&batch=24&temperature=0",
            "turns": 8,
            **more,
        },
    )


@pytest.fixture(scope="module")
def promoted(model, tmp_path_factory):
    """A loop whose first round was promoted."""
    loop = tmp_path_factory.mktemp("promoted") / "loop"
    run_loop(loop, asked(model))
    return loop


def test_a_model_that_learns_is_promoted_and_says_by_how_much(promoted, model):
    found = decision(promoted, 1)
    assert found["promoted"], found["why"]
    (success,) = (cell for cell in found["faulted"] if cell["metric"] == "success")
    assert success["verdict"] == "better"
    assert success["low"] > 0
    assert found["clean"]["holds"]
    registry = status(promoted)
    assert (registry.current, registry.lineage(1)) == (1, [1, 0])
    page = (promoted / "rounds" / "01" / "README.md").read_text()
    for said in ("# Round 1: version 1 promoted", "What failed most", "What was added", "What changed", "| better |"):
        assert said in page
    served = ModelRef.of(str(model), promoted / registry.model.served)
    assert policy_named(policy_name(served, opened(promoted).config, "batch=1")).describe()["model"]["hash"]


def test_a_model_that_learns_to_end_with_the_call_of_answer_is_promoted(model, tmp_path):
    run_loop(tmp_path / "loop", asked(model, answers="typed"))
    found = decision(tmp_path / "loop", 1)
    assert found["promoted"], found["why"]
    place = tmp_path / "loop" / "rounds" / "01"
    for run in (place / "rollout", place / "eval" / "current", place / "eval" / "candidate"):
        assert {record["answers"] for record in RunDirectory.open(run).records()} == {"typed"}
    ends = [record["messages"][-1] for record in RunDirectory.open(place / "eval" / "candidate").records()]
    assert sum(end.get("content") == ACKNOWLEDGED for end in ends) > len(ends) / 2


def test_a_loop_from_before_answers_could_be_typed_goes_on_with_texts(tmp_path):
    record = LoopConfig.of({"model": "smollm2", "answers": "text"}).to_record()
    del record["answers"]
    (tmp_path / "loop.json").write_bytes(orjson.dumps({"config": record, "base": {}}))
    assert opened(tmp_path).config.answers == "text"


def test_the_next_round_rolls_out_what_was_promoted_replays_old_data_and_mends_a_torn_registry(
    promoted, model, tmp_path
):
    loop = shutil.copytree(promoted, tmp_path / "loop")
    with pytest.raises(UserError, match=r"replay was 0\.25, and is now 0\.5"):
        run_loop(loop, asked(model, rounds=2, replay=0.5), resume=True)
    whole = (loop / "registry.json").read_bytes()
    (loop / "registry.json").write_bytes(whole[:40])
    with pytest.raises(KeyboardInterrupt):
        run_loop(loop, asked(model, rounds=2), resume=True, watching=until("02/sft"))
    assert (loop / "registry.json").read_bytes() == whole
    registry = status(loop)
    plan = RunDirectory.open(loop / "rounds" / "02" / "rollout").plan
    assert plan["policy"]["model"]["name"] == (loop / registry.version(1).served).name
    counts = orjson.loads((loop / "rounds" / "02" / "data" / "counts.json").read_bytes())
    assert counts["rows"]
    assert counts["replayed"] == min(round(counts["rows"] / 3), replayable(loop))


def until(stage):
    """Stops before a stage."""

    def say(text):
        if text == stage:
            raise KeyboardInterrupt

    return LoopCallbacks(say=say)


def replayable(loop):
    """Examples that the first round collected."""
    return orjson.loads((loop / "rounds" / "01" / "data" / "counts.json").read_bytes())["rows"]


def test_a_rolled_back_loop_goes_on_from_the_version_that_was_named(promoted, model, tmp_path):
    loop = shutil.copytree(promoted, tmp_path / "loop")
    assert rollback(loop, 0).current == 0
    said = []
    stopping = LoopCallbacks(say=lambda text: said.append(text))
    stopping.stop.ask()
    with pytest.raises(KeyboardInterrupt):
        run_loop(loop, asked(model, rounds=2), resume=True, watching=stopping)
    assert said == ["round 2 of 2, from version 0", "02/rollout"]
    assert rollback(loop, 1).current == 1
    assert (loop / "rounds" / "02.abandoned-1").is_dir()
    assert status(loop).describe()


def test_a_torn_decision_and_page_are_made_again_and_nothing_is_trained_again(promoted, model, tmp_path):
    loop = shutil.copytree(promoted, tmp_path / "loop")
    place, said = loop / "rounds" / "01", []
    before = {name: (place / name).read_bytes() for name in ("decision.json", "README.md")}
    (place / "decision.json").write_bytes(before["decision.json"][:50])
    (place / "README.md").write_bytes(b"")
    run_loop(loop, asked(model), resume=True, watching=LoopCallbacks(say=said.append))
    assert {name: (place / name).read_bytes() for name in before} == before
    assert not [text for text in said if text.startswith("01/")]
    assert (place / "decision.json.damaged-1").is_file()


@pytest.fixture(scope="module")
def refused(model, tmp_path_factory):
    """A loop whose candidate cannot be better, on an adapter."""
    loop = tmp_path_factory.mktemp("refused") / "loop"
    nothing = {**LEARNING, "max_steps": 1, "learning_rate": 1e-9}
    settings = asked(model, adapter="lora", preference="dpo", dev_tasks=6, episodes=6, sft=nothing, pref=nothing)
    run_loop(loop, settings)
    return loop, settings


def test_a_model_that_has_not_learned_is_not_promoted_and_the_old_one_stays(refused):
    loop, _ = refused
    found = decision(loop, 1)
    assert not found["promoted"]
    assert "not shown to be better under faults" in found["why"]
    assert (found["from"], found["to"]) == (0, 0)
    assert status(loop).current == 0
    assert "# Round 1: version 0 kept" in (loop / "rounds" / "01" / "README.md").read_text()


def test_what_is_better_one_way_round_is_worse_the_other(promoted, model):
    place = promoted / "rounds" / "01" / "eval"
    runs = [read_run(place / name, name) for name in ("current", "candidate")]
    texts = orjson.loads((place / "texts.json").read_bytes())
    strict = replace(asked(model), text_margin=0.02)
    same = judge(runs[0], runs[1], (texts["current"], texts["current"]), strict)
    backwards = judge(runs[1], replace(runs[0], name="x"), (texts["current"], texts["current"]), strict)
    assert same.promoted
    assert "worse under faults" in backwards.why
    assert "without faults" in backwards.why


@pytest.mark.parametrize(("bits", "taken"), [(2.0, False), (5.0, True)])
def test_forgetting_alone_stands_against_a_promotion_where_there_is_something_to_forget(promoted, model, bits, taken):
    place = promoted / "rounds" / "01" / "eval"
    runs = [read_run(place / name, name) for name in ("current", "candidate")]
    before = dict.fromkeys(paragraphs(), bits)
    texts = before, dict.fromkeys(before, bits + 1)
    found = judge(runs[0], runs[1], texts, replace(asked(model), text_margin=0.02))
    assert found.promoted is taken
    assert ("it knew nothing" in found.why) is taken


def test_a_candidate_whose_losses_are_no_numbers_is_not_promoted(promoted, model):
    place = promoted / "rounds" / "01" / "eval"
    runs = [read_run(place / name, name) for name in ("current", "candidate")]
    texts = orjson.loads((place / "texts.json").read_bytes())
    found = judge(runs[0], runs[1], (texts["current"], dict.fromkeys(texts["current"])), asked(model))
    assert not found.promoted
    assert "losses are no numbers" in found.why
    assert found.to_record()["text"] is None


def test_a_round_does_not_begin_from_weights_that_have_changed(promoted, model, tmp_path):
    loop = shutil.copytree(promoted, tmp_path / "loop")
    weights = loop / status(loop).model.served / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.unlink()  # it is one file with what was trained
    weights.write_bytes(content)
    with pytest.raises(UserError, match=r"version 1 in .* are not those that were promoted"):
        run_loop(loop, asked(model, rounds=2), resume=True)


def test_more_rounds_and_the_place_are_remembered(promoted, model, tmp_path, monkeypatch):
    loop = shutil.copytree(promoted, tmp_path / "loop")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        run_loop(Path("loop"), asked(model, rounds=2), resume=True, watching=until("02/rollout"))
    assert opened(loop).config.rounds == 2
    with pytest.raises(KeyboardInterrupt):
        run_loop(loop, opened(loop).config, resume=True, watching=until("02/rollout"))


def test_after_a_rollback_the_curriculum_goes_by_how_that_version_did(promoted, model):
    def seen(start):
        return Round(promoted, 2, asked(model), status(promoted).version(start), {}, LoopCallbacks())._seen()

    before, after = seen(0), seen(1)
    assert sum(k for _, k in before.counts.values()) < sum(k for _, k in after.counts.values())


def test_an_adapter_of_another_model_is_refused_and_nothing_is_lost(refused, tmp_path):
    """The base's weights are replaced behind the loop's back: the loop says so instead of training on."""
    loop = shutil.copytree(refused[0], tmp_path / "loop")
    model = shutil.copytree(refused[1].model, tmp_path / "model")
    record = orjson.loads((loop / "loop.json").read_bytes())
    record["config"]["model"] = str(model)
    record["base"]["name"] = "model"
    (loop / "loop.json").write_bytes(orjson.dumps(record))
    weights = model / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    before = (loop / "registry.json").read_bytes()
    from faultgym.training.loop.config import LoopConfig

    with pytest.raises(UserError, match=r"is another one than the loop in .* was begun with"):
        run_loop(loop, LoopConfig.of({**record["config"], "rounds": 2}), resume=True)
    with pytest.raises(UserError, match="is an adapter: begin a loop with a whole model"):
        run_loop(tmp_path / "new", LoopConfig.of({**record["config"], "model": str(loop / "rounds/01/sft")}))
    assert (loop / "registry.json").read_bytes() == before
