"""GRPO for real: steps on the CPU, every adapter, the episodes stored and proven, stopped and resumed."""

from dataclasses import replace
from itertools import count
from pathlib import Path

import orjson
import pytest
from helpers.levels import rest

from faultgym.agents.models.files import model_path
from faultgym.agents.storage.store import RunDirectory
from faultgym.agents.traces.replay import replay
from faultgym.agents.traces.trace import Trace
from faultgym.cli.main import main
from faultgym.core.errors import UserError
from faultgym.envs.judging.form import ANSWERS
from faultgym.eval.scoring.score import score
from faultgym.training.builds.work import work_folder
from faultgym.training.configs.grpo import GrpoConfig
from faultgym.training.environments.reward import Reward
from faultgym.training.trainers.grpo import Replayed, train_grpo, warnings_of

pytestmark = pytest.mark.slow

SMALL = {
    "model": "tiny-random",
    "templates": ["order_status", "order_tracking"],
    "style": "http",
    "batch_size": 4,
    "group": 4,
    "turns": 3,
    "max_completion": 200,
    "max_steps": 1,
    "device": "cpu",
    "report_to": "none",
    "seed": 3,
    "warmup_steps": 0,
}


def config(out, **more) -> GrpoConfig:
    return GrpoConfig.of({**SMALL, "out": out, **more})


def traces(out) -> list[Trace]:
    return [Trace.from_record(record) for record in RunDirectory.open(out / "traces").records()]


def weights(folder) -> dict:
    from safetensors.torch import load_file

    found = {}
    for path in sorted(Path(folder).glob("*.safetensors")):
        found |= load_file(path)
    return found


class Uneven(Reward):
    """Worth more with each episode, so that whatever these happened to do, there is something to learn."""

    __slots__ = ()
    numbers = count()

    def part(self, name, counts):
        return super().part(name, counts) + 10 * next(self.numbers)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("adapter", ["none", rest("qlora"), rest("dora"), rest("qdora")])
def test_every_adapter_takes_a_real_step(adapter, tmp_path):
    out = tmp_path / "tuned"
    result = train_grpo(replace(config(out, adapter=adapter), reward=Uneven()))
    assert result.steps == 1
    assert result.metrics["reward_std"] > 1
    now = weights(out)
    assert all(weight.isfinite().all() for weight in now.values())
    if adapter == "none":
        before = weights(model_path("tiny-random"))
        assert any(not before[name].equal(weight) for name, weight in now.items())
    else:
        assert any(weight.abs().max() > 0 for name, weight in now.items() if "lora_B" in name)
        assert any("magnitude" in name for name in now) == ("dora" in adapter)
    assert len(traces(out)) == 4


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The folder of a LoRA run of two steps, started from the command line."""
    out = tmp_path_factory.mktemp("grpo") / "tuned"
    words = "--template order_status --template order_tracking --style http --batch-size 4 --group 4 --turns 3"
    words += " --max-completion 200 --steps 2 --device cpu --report-to none --seed 3 --save-steps 1 --faults rough"
    words += " --set reward.calls=-0.02 --set warmup_steps=0"
    assert main(["train", "grpo", "--model", "tiny-random", "--out", str(out), *words.split()]) == 0
    return out


def test_the_episodes_of_a_run_replay_and_score(run, capsys):
    found = traces(run)
    assert [trace.policy["step"] for trace in found] == [0] * 4 + [1] * 4
    assert all(replay(trace).proven for trace in found)
    assert all(score(trace).success is trace.verdict.success for trace in found)
    assert main(["replay", str(run / "traces"), "--all"]) == 0
    assert "8 proven, 0 not" in capsys.readouterr().out


def test_a_trace_holds_the_tokens_that_were_read_and_sampled(run):
    for trace in traces(run):
        for step in trace.steps:
            if step.turn.finish_reason != "context_overflow":
                assert step.turn.token_ids
                assert step.turn.prompt_ids


def test_lineage_and_card_say_what_was_played_and_what_it_was_worth(run):
    lineage = orjson.loads((run / "training.json").read_bytes())
    assert lineage["config"]["reward"]["calls"] == -0.02
    assert lineage["config"]["faults"] == ["rough"]
    card = (run / "README.md").read_text()
    assert "| calls | -0.02 | for each call |" in card
    assert "under `rough`" in card
    assert "The 4 episodes of a group share task, world, seed and fault schedule" in card


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("answers", ANSWERS)
def test_episodes_end_as_the_run_says_and_the_card_too(answers, tmp_path):
    result = train_grpo(config(tmp_path / "tuned", answers=answers))
    found = traces(tmp_path / "tuned")
    assert {trace.answers for trace in found} == {answers}
    assert all(replay(trace).proven for trace in found)
    assert result.metrics["episodes/success"] == 0
    card = (tmp_path / "tuned" / "README.md").read_text()
    assert ("a call of the tool `answer`" in card) == (answers == "typed")


def test_a_stopped_run_goes_on_to_the_weights_of_an_undisturbed_one(run, tmp_path):
    out = tmp_path / "tuned"
    asked = {"max_steps": 2, "save_steps": 1, "faults": "rough", "reward.calls": -0.02}

    def stop(step):
        if step.step == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_grpo(config(out, **asked), stop)
    assert not out.exists()
    with pytest.raises(UserError, match=r"turns was 3 and is now 2"):
        train_grpo(config(out, **asked, turns=2, resume=True))
    assert train_grpo(config(out, **asked, resume=True)).steps == 2
    assert not work_folder(out).exists()
    expected = weights(run)
    assert all(weight.equal(expected[name]) for name, weight in weights(out).items())
    found = traces(out)
    assert len(found) == len({trace.episode_id for trace in found}) >= 8
    said = [[step.turn.text for step in trace.steps] for trace in found]
    assert said[-4:] == [[step.turn.text for step in trace.steps] for trace in traces(run)[-4:]]
    assert all(replay(trace).proven for trace in found)


def test_episodes_that_were_played_before_the_first_checkpoint_are_kept(tmp_path):
    out = tmp_path / "tuned"
    asked = {"max_steps": 2, "save_steps": 9, "faults": "rough"}

    def stop(step):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_grpo(config(out, **asked), stop)
    played = list(RunDirectory.open(work_folder(out) / "out" / "traces").records())
    assert len(played) >= 4
    train_grpo(config(out, **asked, resume=True))
    assert {record["episode_id"] for record in played} <= {trace.episode_id for trace in traces(out)}


def test_what_is_there_already_stays(tmp_path):
    out = tmp_path / "mine"
    out.mkdir()
    (out / "notes.txt").write_text("keep")
    with pytest.raises(UserError, match="is there already"):
        train_grpo(config(out))
    assert [path.name for path in tmp_path.rglob("*")] == ["mine", "notes.txt"]


@pytest.mark.parametrize(
    ("more", "match"),
    [
        ({"max_completion": 40_000}, "more than the 32,768 that tiny-random reads: lower max_completion"),
        ({"vllm": "colocate"}, "vllm=colocate needs a GPU"),
        ({"vllm": "server", "vllm_url": "http://localhost:1"}, "vllm=server needs a GPU"),
        ({"model": "./nowhere"}, "there is no model folder"),
        ({"batch_size": 6}, "group=4 does not divide the 6 episodes"),
        ({"batch_size": 16, "per_template": 1}, "2 tasks are to be played, and a step takes 4 groups"),
    ],
)
def test_a_run_that_cannot_be_is_refused_before_a_model_is_loaded_and_leaves_nothing(more, match, tmp_path):
    with pytest.raises(UserError, match=match):
        train_grpo(config(tmp_path / "tuned", **more))
    assert list(tmp_path.iterdir()) == []


def test_each_pass_through_the_tasks_has_an_order_that_follows_from_its_number_alone():
    from trl.trainer.utils import RepeatSampler

    def passes(first, count):
        epoch, found = first, []
        sampler = Replayed(RepeatSampler(range(12), 2, batch_size=3, seed=5), lambda: epoch)
        for epoch in range(first, first + count):  # noqa: B007  the sampler reads it
            found.append(list(sampler))
        return found

    whole = passes(0, 4)
    assert passes(2, 2) == whole[2:]
    assert whole[0] != whole[1]
    assert sorted(whole[3]) == sorted([*range(12), *range(12)])


def test_what_makes_a_run_worthless_is_said():
    assert warnings_of({"reward": 0.5, "frac_reward_zero_std": 0.2, "episodes/cut": 0.1}) == []
    alike, cut, broken = warnings_of({"frac_reward_zero_std": 1.0, "episodes/cut": 0.9, "episodes/harness_errors": 1})
    assert "raise temperature or group" in alike
    assert "raise turns or max_completion" in cut
    assert "faultgym score" in broken
