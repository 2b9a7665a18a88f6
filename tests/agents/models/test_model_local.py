"""Chats as tokens: what a local model reads is what it read and wrote before, and only the rest is tokenised."""

import asyncio

import pytest

from faultgym.agents.models.local import LoadOptions, LocalPolicy, SampledTokens, identity, local_policy
from faultgym.agents.models.prompts import system_text
from faultgym.agents.models.sampling import Sampling
from faultgym.agents.policy import Opening
from faultgym.agents.rollouts.engine import rollout
from faultgym.agents.rollouts.plan import RolloutPlan, RolloutRequest
from faultgym.agents.storage.store import RunDirectory
from faultgym.core.errors import UserError
from faultgym.envs.episode import StepRecord
from faultgym.envs.messages.turn import Message, Observation
from faultgym.tools.toolbox import CallRecord
from faultgym.tools.types import ToolResult, ToolSpec

pytestmark = pytest.mark.slow

END = "\x03"
TOOL = ToolSpec("look", "Look.", {"type": "object", "properties": {}})
CALL = '<tool_call>\n{"name": "look",  "arguments": {}}\n</tool_call>'


class Echo:
    """A model of one token per character, which says what it is given to say, and remembers what it read."""

    dead = False

    def __init__(self, *says, length=10_000, forgets=False):
        self.says, self.length, self.forgets = list(says), length, forgets
        self.read = []

    def render(self, messages, tools, prompt):
        if self.forgets:  # as templates do that leave out old thoughts
            messages = [{**m, "content": m["content"].partition("</think>")[2] or m["content"]} for m in messages]
        text = f"{len(tools)} tools;"
        text += "".join(f"{m['role']}:{m['content']}{self.calls(m)}{END}\n" for m in messages)
        return text + ("assistant:" if prompt else "")

    def calls(self, message):
        functions = [call["function"] for call in message.get("tool_calls", ())]
        return "".join(f"[{function['name']} {function['arguments']}]" for function in functions)

    def encode(self, text):
        return list(map(ord, text))

    def decode(self, ids):
        return "".join(map(chr, ids))

    async def sample(self, ids, sampling, most, seed):
        self.read.append(self.decode(tuple(ids)))
        written = tuple(map(ord, self.says.pop(0) + END))[:most]
        return SampledTokens(written, (-0.5,) * len(written), written[-1] == ord(END))


def policy(model: Echo, **more) -> LocalPolicy:
    return LocalPolicy("hf", "echo", lambda name, loading: model, **more)


def chat(model: Echo, results=("one", "two"), **more):
    """The turns of an episode in which the tool gives these results."""
    messages = (Message("system", "Be."), Message("user", "Do."))

    async def play():
        actor = policy(model, **more).start(Opening(messages, (TOOL,), 7))
        turns = [await actor.act(Observation(messages), (TOOL,))]
        for result in results:
            seen = Observation((ToolResult("c", "look", result),))
            turns.append(await actor.act(seen, (TOOL,)))
        return turns

    return asyncio.run(play())


def test_a_prompt_begins_with_all_that_was_read_and_written():
    model = Echo(CALL, f"  hm {CALL} ", "Done.")
    first, second, third = chat(model)
    assert second.prompt_kept == len(first.prompt_ids) + len(first.token_ids)
    assert third.prompt_kept == second.prompt_kept + len(second.prompt_ids) + len(second.token_ids)
    assert model.read[2].startswith(model.read[1] + f"  hm {CALL} {END}")


def test_the_tokens_are_those_of_the_rendered_chat():
    model = Echo(CALL, CALL, "Done.")
    chat(model)
    messages = [
        ("system", system_text("Be.", "plain", False)),
        ("user", "Do."),
        ("assistant", CALL),
        ("tool", "one"),
        ("assistant", CALL),
        ("tool", "two"),
    ]
    assert model.read[2] == model.render([{"role": r, "content": c} for r, c in messages], [TOOL], True)


def test_where_the_template_writes_another_past_the_drift_is_recorded():
    model = Echo(f"<think>\nso\n</think>{CALL}", CALL, "Done.", forgets=True)
    first, second, _ = chat(model)
    before = (*first.prompt_ids, *first.token_ids)
    assert second.prompt_kept < len(before)
    assert model.read[1] == model.decode((*before[: second.prompt_kept], *second.prompt_ids))


def test_a_turn_that_was_cut_is_closed_before_the_next():
    cut, _, _ = chat(Echo(f"{CALL} and so on", CALL, "Done."), sampling=Sampling(max_tokens=len(CALL) + 3))
    assert cut.finish_reason == "length"
    model = Echo(f"{CALL} and so on", CALL, "Done.")
    chat(model, sampling=Sampling(max_tokens=len(CALL) + 3))
    assert f"{CALL} an{END}\ntool:one" in model.read[1]


def test_a_chat_that_no_longer_fits_ends_as_data():
    turns = chat(Echo(CALL, CALL, length=150), results=("x" * 200,))
    assert turns[1].finish_reason == "context_overflow"
    assert turns[1].final


def test_each_token_has_its_logarithm():
    turn = chat(Echo("Yes."), results=())[0]
    assert len(turn.logprobs) == len(turn.token_ids) == len("Yes.") + 1
    assert (turn.text, turn.finish_reason) == ("Yes.", "stop")


def test_a_resumed_chat_is_the_chat_that_was_played_and_goes_on_from_there():
    played = Echo(CALL, CALL, "Done.")
    turns = chat(played)
    messages = (Message("system", "Be."), Message("user", "Do."))
    results = [
        ToolResult(turn.tool_calls[0].id, "look", text) for turn, text in zip(turns, ("one", "two"), strict=False)
    ]
    steps = [
        StepRecord(turn, (CallRecord(turn.tool_calls[0], result),), "")
        for turn, result in zip(turns[:2], results, strict=True)
    ]

    async def play(model):
        actor = policy(model).resume(Opening(messages, (TOOL,), 7), steps)
        first = await actor.act(Observation((results[1],)), (TOOL,))
        return first, await actor.act(Observation((ToolResult("c", "look", "three"),)), (TOOL,))

    model = Echo(CALL, "Done.")
    first, second = asyncio.run(play(model))
    assert model.read[0] == played.read[2]
    assert second.prompt_kept == len(first.prompt_ids) + len(first.token_ids)
    assert first.tool_calls[0].id == "t0002c000"


def test_a_dead_model_is_loaded_again():
    models = [Echo("Yes."), Echo("Yes.")]
    made = iter(models)
    p = LocalPolicy("hf", "echo", lambda name, loading: next(made))

    async def twice():
        first = p.loaded()
        assert p.loaded() is first
        first.dead = True
        return p.loaded()

    assert asyncio.run(twice()) is models[1]


def test_options_are_known_and_described():
    p = local_policy("hf", "some/model?temperature=0.5&batch=3&max_model_len=99", None)
    assert (p.name, p.sampling.temperature, p.loading) == ("hf:some/model", 0.5, LoadOptions(batch=3, max_model_len=99))
    assert p.describe()["max_model_len"] == 99
    with pytest.raises(UserError, match="did you mean temperature"):
        local_policy("hf", "some/model?temprature=0.5", None)
    with pytest.raises(UserError, match="takes no guided"):
        local_policy("vllm", "some/model?guided=required", None)


def test_a_models_identity_follows_its_files(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    before = identity(str(tmp_path))
    assert identity(str(tmp_path)) == before
    (tmp_path / "config.json").write_text("[]")
    assert identity(str(tmp_path)) != before


def test_a_model_that_cannot_be_loaded_ends_the_run_before_its_first_episode(tmp_path):
    def load(name, loading):
        raise OSError(f"{name} is not a folder")

    made, plan = (
        LocalPolicy("hf", "mistyped", load),
        RolloutPlan.make(RolloutRequest(per_template=1, templates=("order_status",))),
    )
    with pytest.raises(UserError, match="hf:mistyped cannot be loaded: OSError: mistyped is not a folder"):
        asyncio.run(rollout(plan, made, tmp_path / "run"))
    assert not list(RunDirectory.open(tmp_path / "run").records())
