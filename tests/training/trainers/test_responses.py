"""TRL's tool loop over our environments: what the model reads and what its words do is what it is in a rollout."""

import math
import statistics
from dataclasses import replace
from functools import partial

import pytest
from helpers.levels import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from faultgym.agents.models.files import model_path
from faultgym.agents.models.formats import FORMATS
from faultgym.agents.models.prompts import prompt_text
from faultgym.agents.rollouts.plan import RolloutRequest
from faultgym.agents.storage.store import RunDirectory
from faultgym.agents.traces.parts import HarnessFailure
from faultgym.agents.traces.replay import replay
from faultgym.agents.traces.trace import Trace
from faultgym.core.errors import UserError
from faultgym.envs.judging.typed import NO_ANSWER
from faultgym.envs.limits import Limits
from faultgym.envs.messages.turn import Turn
from faultgym.envs.registry import task_by_id
from faultgym.tools.types import ToolCall, ToolSpec
from faultgym.training.environments.counts import Counts
from faultgym.training.environments.episode_log import logged
from faultgym.training.environments.factory import TURN, environments_of
from faultgym.training.environments.reward import Reward
from faultgym.training.environments.rewards import reward_functions
from faultgym.training.environments.task_rows import task_rows
from faultgym.training.trainers.responses import HERMES, episode_trainer_class, message_of, reads_turns

pytestmark = pytest.mark.slow

LIMITS = Limits(turns=6)
TEMPLATES = ("order_status", "cancel_order")
ASKED = RolloutRequest(("orders",), "train", TEMPLATES, per_template=2, faults=("rough",), answers="text")
TYPED = replace(ASKED, templates=("cancel_order",), style="http", answers="typed")
GROUP = 4


def tokenizer_of(path):
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(path, padding_side="left")


@pytest.fixture(scope="module")
def reader():
    return reads_turns(tokenizer_of(model_path("tiny-random"))).parse_response


def made(folder, log, rows, wrap=lambda kind: kind, trainer=None, tokenizer=None, **more):
    """A trainer over `tiny-random` with a LoRA adapter; ours, unless another is given."""
    import torch
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM
    from trl import GRPOConfig

    kinds = environments_of(rows)
    path = model_path("tiny-random")
    model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32)
    config = {
        "output_dir": str(folder),
        "per_device_train_batch_size": 2 * GROUP,
        "num_generations": GROUP,
        "max_completion_length": 400,
        "max_tool_calling_iterations": LIMITS.turns - 1,
        "max_steps": 1,
        "learning_rate": 1e-3,
        "beta": 0.0,
        "seed": 5,
        "use_cpu": True,
        "bf16": False,
        "gradient_checkpointing": False,
        "report_to": [],
        "save_strategy": "no",
        "logging_steps": 1,
        "disable_tqdm": True,
        "dataloader_pin_memory": False,
        "shuffle_dataset": False,
    }
    return (trainer or episode_trainer_class())(
        model=model,
        args=GRPOConfig(**config | more),
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer or reads_turns(tokenizer_of(path)),
        environment_factory={n: partial(wrap(k), log, LIMITS) for n, k in kinds.items()},
        reward_funcs=None if rows[0]["answers"] == "typed" else reward_functions(),
        peft_config=LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM"),
    )


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """(trainer, traces) of two real steps whose episodes end with texts, which reward functions pay."""
    folder = tmp_path_factory.mktemp("grpo")
    with logged(folder / "traces", {"name": "grpo:tiny-random"}, LIMITS, {"suites": ["orders"]}) as log:
        trainer = made(folder, log, task_rows(ASKED), max_steps=2)
        trainer.train()
        trainer.close_episodes()
    records = list(RunDirectory.open(folder / "traces").records())
    return trainer, [Trace.from_record(record) for record in records]


def worth(trace):
    """The verdict's part of a reward for texts; no number where the verdict stays open."""
    return math.nan if trace.verdict.success is None else float(trace.verdict.success)


def test_every_episode_is_stored_once_with_the_step_whose_weights_played_it(trained):
    trainer, traces = trained
    assert trainer.state.global_step == 2
    assert len(traces) == len({trace.episode_id for trace in traces}) == 2 * 2 * GROUP
    assert [trace.policy["step"] for trace in traces] == [0] * 2 * GROUP + [1] * 2 * GROUP
    for start in range(0, len(traces), GROUP):
        members = traces[start : start + GROUP]
        assert len({(t.task.id, t.seeds, t.fingerprints) for t in members}) == 1
        assert [t.schedule for t in members] == [members[0].schedule] * GROUP
        assert [t.trial for t in members] == list(range(GROUP))


def test_the_rewards_are_those_of_an_independent_replay(trained):
    trainer, traces = trained
    for trace in traces:
        result = replay(trace)
        assert result.proven, str(result.difference)
    paid = trainer._logs["rewards"]
    last = traces[-2 * GROUP :]
    assert list(paid["verdict"]) == pytest.approx([worth(trace) for trace in last], abs=0, nan_ok=True)
    weight = Reward()
    calls = [max(-weight.most, weight.calls * trace.calls) + 0 * worth(trace) for trace in last]
    assert list(paid["calls"]) == pytest.approx(calls, nan_ok=True)


def test_the_run_holds_calls_of_tools_that_exist_and_of_others_and_final_answers(trained):
    assert {record.result.code for trace in trained[1] for record in trace.records} >= {"unknown_tool", "ok"}
    assert any(trace.stop == "final" for trace in trained[1])


def test_what_the_model_read_is_what_a_rollout_renders(trained):
    trainer, traces = trained
    tokenizer = trainer.processing_class
    for trace in traces:
        chat = [message.openai() for message in trace.opening]
        chat[0]["content"] += "\n\n" + prompt_text("plain")
        read: list[int] = []
        tools = [spec.openai() for spec in trace.tools]
        for step in trace.steps:
            turn = step.turn
            if turn.prompt_ids is None:
                continue
            assert turn.prompt_kept == len(read)
            read += turn.prompt_ids
            rendered = tokenizer.apply_chat_template(chat, tools=tools, add_generation_prompt=True, tokenize=False)
            assert tokenizer.decode(read) == rendered
            read += turn.token_ids
            ended = turn.token_ids[-1] == tokenizer.eos_token_id
            said = tokenizer.decode(list(turn.token_ids[:-1] if ended else turn.token_ids))
            chat.append({"role": "assistant", "content": said})
            chat += [record.result.openai() for record in step.calls]


def test_the_adapter_takes_a_real_step(trained):
    weights = {name: w for name, w in trained[0].model.named_parameters() if "lora_B" in name}
    assert weights
    assert all(weight.isfinite().all() for weight in weights.values())
    assert any(weight.abs().max() > 0 for weight in weights.values())


@pytest.mark.parametrize("answers", ["text", "typed"])
def test_a_member_that_the_harness_broke_is_left_out_of_its_group(answers, tmp_path):
    """Reward functions pay for texts, the environment for typed answers: each in its class's column."""
    rows = task_rows(replace(ASKED, answers=answers))
    names = [p.__name__ for p in (reward_functions() if answers == "text" else environments_of(rows[:1]).values())]
    begun = []

    def wrap(kind):
        def reset(self, **row):
            kind.reset(self, **row)
            begun.append(self)
            if len(begun) % GROUP == 1:  # one member of each group
                self._failure = HarnessFailure("RuntimeError", "the world fell over")

        return type(kind.__name__, (kind,), {"reset": reset})

    with logged(tmp_path / "traces", {"name": "grpo"}, LIMITS, {"suites": ["orders"]}) as log:
        trainer = made(tmp_path, log, rows, wrap)
        trainer.train()
        columns = {name: list(column) for name, column in trainer._logs["rewards"].items()}
        advantages = list(trainer._logs["advantages"])
        trainer.close_episodes()
    assert [e["episodes/harness_errors"] for e in trainer.state.log_history if "episodes/harness_errors" in e] == [2]
    stored = [Trace.from_record(record) for record in RunDirectory.open(tmp_path / "traces").records()]
    for start in (0, GROUP):
        group = range(start, start + GROUP)
        members = [n for n in group[1:] if stored[n].verdict.success is not None]  # an open verdict is not paid either
        for n in group:
            paid = [name for name, column in columns.items() if not math.isnan(column[n])]
            assert paid == (names if n in members else [])
        rest = [float(sum(columns[name][n] for name in names)) for n in members]
        assert rest == pytest.approx([Reward().total(Counts.of(stored[n])) for n in members])
        assert sum(rest) != 0, "a broken member that counts as 0 would not be told from one left out"
        mean, deviation = statistics.mean(rest), statistics.stdev(rest)
        expected = [(r - mean) / (deviation + 1e-4) for r in rest]
        assert [advantages[n] for n in members] == pytest.approx(expected, abs=1e-3)
        assert all(advantages[n] == 0 for n in group if n not in members)
    assert [t.harness_error is not None for t in stored] == [True, False, False, False] * 2
    assert {t.answers for t in stored} == {answers}
    assert all((t.verdict is None) == (t.harness_error is not None) for t in stored)


def test_trls_own_trainer_takes_our_environments_too(tmp_path):
    from trl import GRPOTrainer

    tokenizer = tokenizer_of(model_path("tiny-random"))
    tokenizer.response_template = HERMES
    with logged(tmp_path / "traces", {"name": "grpo"}, LIMITS, {"suites": ["orders"]}) as log:
        trainer = made(tmp_path, log, task_rows(ASKED), trainer=GRPOTrainer, tokenizer=tokenizer)
        trainer.train()
    found = [Trace.from_record(record) for record in RunDirectory.open(tmp_path / "traces").records()]
    assert len(found) == 2 * GROUP
    assert all(replay(trace).proven for trace in found)
    assert any(trace.records for trace in found)
    paid = list(trainer._logs["rewards"]["verdict"])
    assert paid == pytest.approx([worth(trace) for trace in found], abs=0, nan_ok=True)
    assert not all(math.isnan(number) for number in paid)


def test_trls_own_trainer_takes_the_reward_of_environments_with_typed_answers(tmp_path):
    from trl import GRPOTrainer

    tokenizer = tokenizer_of(model_path("tiny-random"))
    tokenizer.response_template = HERMES
    with logged(tmp_path / "traces", {"name": "grpo"}, LIMITS, {"suites": ["orders"]}) as log:
        trainer = made(tmp_path, log, task_rows(TYPED), trainer=GRPOTrainer, tokenizer=tokenizer)
        trainer.train()
    found = [Trace.from_record(record) for record in RunDirectory.open(tmp_path / "traces").records()]
    assert {trace.answers for trace in found} == {"typed"}
    assert all(replay(trace).proven for trace in found)
    (given,) = trainer._logs["rewards"].values()
    assert list(given) == pytest.approx([Reward().total(Counts.of(trace)) for trace in found])


def speak(trainer, *texts):
    """Let the model say these texts, a turn each; gives how many turns were asked for at a time."""
    tokenizer, said, asked = trainer.processing_class, iter(texts), []

    def turns(prompts, *_args, **_more):
        asked.append(len(prompts))
        ids = [*tokenizer(next(said), add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]
        return [list(ids) for _ in prompts], None

    trainer._generate_single_turn = turns
    return asked


ANSWERED = '<tool_call>\n{"name": "answer", "arguments": {"outcome": "done", "message": "It is done."}}\n</tool_call>'


@pytest.mark.parametrize("said", [ANSWERED, "It is done."])
def test_the_turn_that_ends_a_typed_episode_is_the_last_that_is_asked_for_and_learned(said, tmp_path):
    """The loop, the environments and the rewards are the real ones; only what the model says is given."""
    with logged(tmp_path / "traces", {"name": "grpo"}, LIMITS, {"suites": ["orders"]}) as log:
        trainer = made(tmp_path, log, task_rows(TYPED))
        asked = speak(trainer, said)
        trainer.train()
        ((name, rewards),) = trainer._logs["rewards"].items()
        (entry,) = (e for e in trainer.state.log_history if "episodes/success" in e)
        trainer.close_episodes()
    assert asked == [2 * GROUP]
    assert name.startswith("OrdersHttp")
    assert list(rewards) == [0.0] * 2 * GROUP
    assert (entry["episodes/success"], entry["episodes/cut"], entry["completions/clipped_ratio"]) == (0, 0, 0)
    found = [Trace.from_record(record) for record in RunDirectory.open(tmp_path / "traces").records()]
    assert [len(trace.steps) for trace in found] == [1] * 2 * GROUP
    assert all(replay(trace).proven for trace in found)
    assert {trace.stop for trace in found} == {"final"}
    turn = found[0].steps[0].turn
    assert turn.token_ids
    assert turn.text == ("" if said == ANSWERED else said)
    assert (found[0].verdict.reason == NO_ANSWER) == (said != ANSWERED)


def test_an_answer_that_does_not_fit_may_be_given_again(tmp_path):
    with logged(tmp_path / "traces", {"name": "grpo"}, LIMITS, {"suites": ["orders"]}) as log:
        trainer = made(tmp_path, log, task_rows(TYPED))
        asked = speak(trainer, ANSWERED.replace('"done"', '"perhaps"'), ANSWERED)
        trainer.train()
        trainer.close_episodes()
    assert asked == [2 * GROUP] * 2
    found = [Trace.from_record(record) for record in RunDirectory.open(tmp_path / "traces").records()]
    assert [[r.result.code for s in trace.steps for r in s.calls] for trace in found] == [
        ["invalid_argument", "answered"]
    ] * 2 * GROUP


HOSTILE = [
    '<tool_call>\n{"name": "sql", "arguments": {"query": 5}}\n</tool_call>',
    '<tool_call>\n{"name": "nothing", "arguments": {"a": {"b": []}}}\n</tool_call>',
    '<tool_call>\n{"name": "sql", "arguments": "SELECT 1"}\n</tool_call>',
    '<tool_call>\n{"name": 5, "arguments": {}}\n</tool_call>',
    '<tool_call>\n{"name": "sql"}\n</tool_call>',
    '<tool_call>\n{"name": "sql", "arguments": {"query": "' + "x" * 3000 + '"}}\n</tool_call>',
    '<tool_call>\n{"name": "reset", "arguments": {"task": "orders/order_status/train/0"}}\n</tool_call>',
    '<tool_call>\n{"name": "_close", "arguments": {}}\n</tool_call>',
    '<tool_call>\n{"name": "sql", "arguments": {"query": "SELECT 1"',
    "<tool_call>" * 30,
    "<think>\nno end",
    "",
]


def test_hostile_words_go_through_trls_loop_and_come_back_as_in_a_rollout(tmp_path):
    """The loop, the environments and the rewards are the real ones; only what the model says is given."""
    rows = task_rows(RolloutRequest(("orders",), "train", ("cancel_order",), per_template=1))
    with logged(tmp_path / "traces", {"name": "grpo"}, LIMITS, {"suites": ["orders"]}) as log:
        more = {"num_generations": len(HOSTILE), "per_device_train_batch_size": len(HOSTILE)}
        trainer = made(tmp_path, log, rows, max_completion_length=8000, **more)
        tokenizer = trainer.processing_class
        end = tokenizer.eos_token_id
        first = [[*tokenizer(text, add_special_tokens=False)["input_ids"], end] for text in HOSTILE]
        said = iter([first])
        trainer._generate_single_turn = lambda prompts, *_args, **_more: (next(said, [[end]] * len(prompts)), None)
        trainer._generate_and_score_completions(rows * len(HOSTILE))
        trainer.close_episodes()
    traces = [Trace.from_record(record) for record in RunDirectory.open(tmp_path / "traces").records()]
    assert len(traces) == len(HOSTILE)
    for trace, text in zip(traces, HOSTILE, strict=True):
        assert trace.harness_error is None
        assert replay(trace).proven
        turn = FORMATS["hermes"].parse(text)
        step = trace.steps[0]
        assert step.turn.text == turn.text
        assert [(c.call.name, c.call.arguments, c.call.raw) for c in step.calls] == [
            (c.name, c.arguments, c.raw) for c in turn.tool_calls
        ]


@settings(max_examples=examples(100), deadline=None)
@given(st.text(max_size=200))
def test_the_reader_reads_any_tokens_as_a_policy_would(reader, text):
    tokenizer = reader.tokenizer
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    turn = reader([*ids, tokenizer.eos_token_id], prefix=[1, 2])[TURN]
    expected = FORMATS["hermes"].parse(tokenizer.decode(ids))
    assert (turn.text, turn.tool_calls, turn.reasoning) == (expected.text, expected.tool_calls, expected.reasoning)
    assert turn.prompt_ids == (1, 2)
    assert reader(ids, prefix=[])[TURN].finish_reason == ("length" if ids else "context_overflow")


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_every_format_is_read(name):
    tokenizer = reads_turns(tokenizer_of(model_path("tiny-random")), name)
    said = FORMATS[name].write(Turn("", (ToolCall("", "look", {"a": 1}),)))
    ids = tokenizer(said, add_special_tokens=False)["input_ids"]
    look = ToolSpec("look", "Look.", {"type": "object", "properties": {"a": {"type": "integer"}}})
    message = tokenizer.parse_response(ids, prefix=[], tools=[look.openai()])
    assert message["tool_calls"] == [{"type": "function", "function": {"name": "look", "arguments": {"a": 1}}}]


def test_the_declared_template_reads_what_is_well_formed_as_ours_does(reader):
    text = (
        '<think>\nhm\n</think>\nI look.\n<tool_call>\n{"name": "sql", "arguments": {"query": "SELECT 1"}}\n</tool_call>'
    )
    tokenizer = reader.tokenizer
    start = "<|im_start|>assistant\n"
    declared = type(tokenizer).parse_response(tokenizer, text + "<|im_end|>", prefix=start)
    ours = message_of(FORMATS["hermes"].parse(text))
    assert declared["tool_calls"] == ours["tool_calls"]
    assert declared["reasoning_content"].strip() == ours["reasoning_content"]
    assert declared["content"].strip() == ours["content"]


def test_a_saved_tokenizer_keeps_the_declared_template_and_loads_without_us(tmp_path):
    reads_turns(tokenizer_of(model_path("tiny-random"))).save_pretrained(tmp_path)
    again = tokenizer_of(tmp_path)
    text = '<tool_call>{"name": "sql", "arguments": {}}</tool_call><|im_end|>'
    (call,) = again.parse_response(text, prefix="<|im_start|>assistant\n")["tool_calls"]
    assert call["function"] == {"name": "sql", "arguments": {}}


def test_no_other_form_is_declared_as_hermes(tmp_path):
    tokenizer = tokenizer_of(model_path("tiny-random"))
    reads_turns(tokenizer, "llama3")
    tokenizer.save_pretrained(tmp_path)
    assert getattr(tokenizer_of(tmp_path), "response_template", None) is None


def test_an_unknown_format_is_refused():
    with pytest.raises(UserError, match="there is no tool-call format 'yaml'; the formats are"):
        reads_turns(tokenizer_of(model_path("tiny-random")), "yaml")


def test_the_tasks_of_the_rows_are_those_that_were_asked_for():
    rows = task_rows(ASKED)
    assert [task_by_id(row["task"]).template for row in rows] == ["order_status", "cancel_order"] * 2
