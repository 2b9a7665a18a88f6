"""Wrong traces of every sort among right ones: none gets into the data set, and each is counted under its reason.

Whoever plants a trace may have made its parts fit together again: ids and fingerprints are put right after each edit.
"""

from dataclasses import replace

import pytest
from helpers import stored

from faultgym.agents.storage.store import RunDirectory
from faultgym.agents.traces.parts import HarnessFailure
from faultgym.agents.traces.plain import schedule_fingerprint
from faultgym.envs.judging.goal import Verdict
from faultgym.envs.messages.turn import Message, Turn
from faultgym.envs.reference.evidence import GUESSED
from faultgym.envs.registry import suite_named, task_by_id
from faultgym.tools.context import Effect
from faultgym.training.builds.sft import SFTOptions, build_sft
from faultgym.training.filters.mix import MixWeights
from faultgym.training.filters.rejection import Rejected

STATUS = "orders/order_status/train/0:http"
CANCEL = "orders/cancel_order/train/1:http"


def honest(task=STATUS, faults="clean"):
    return stored.played(task, faults)


def with_call(trace, step, **changes):
    """The trace with the first call of a step changed."""
    old = trace.steps[step]
    record = replace(old.calls[0], **changes)
    steps = list(trace.steps)
    steps[step] = replace(old, calls=(record, *old.calls[1:]))
    return replace(trace, steps=tuple(steps))


def with_result(trace, step, edit):
    result = trace.steps[step].calls[0].result
    return with_call(trace, step, result=replace(result, content=edit(result.content)))


def with_status(trace, status):
    """The trace with another status in its answer."""
    last = trace.steps[-1]
    (call,) = last.turn.tool_calls
    call = replace(call, arguments={**call.arguments, "fields": {"status": status}})
    record = replace(last.calls[0], call=call)
    last = replace(last, turn=replace(last.turn, tool_calls=(call,)), calls=(record,))
    return replace(trace, steps=(*trace.steps[:-1], last))


def other_status():
    """(the right status, another one that an order may have)"""
    task = task_by_id(STATUS)
    right = task.goal.expected[0].text
    return right, next(value for value in task.answer[0].values if value != right)


def with_schedule(trace, schedule):
    prints = replace(trace.fingerprints, schedule=schedule_fingerprint(schedule))
    return replace(trace, schedule=schedule, fingerprints=prints)


def claimed():
    """A failure that says it is a success."""
    return replace(stored.played(STATUS, "rough", "quitter"), verdict=Verdict(True, reason="the goal was reached"))


def wrong_answer():
    return with_status(honest(), other_status()[1])


def tampered_observation():
    return with_result(honest(), 0, lambda text: text.replace("status", "status "))


def tampered_ending():
    """The observation and the answer to it, changed alike."""
    right, other = other_status()
    return with_status(with_result(honest(), 0, lambda text: text.replace(right, other)), other)


def tampered_verdict():
    return replace(honest(), verdict=replace(honest().verdict, reason="because"))


def tampered_digest():
    step = replace(honest().steps[0], digest="0" * 16)
    return replace(honest(), steps=(step, *honest().steps[1:]))


def planted_effect():
    return with_call(honest(), 0, effects=(Effect("order_cancelled", "orders", "ORD-1", {}),))


def hidden_fault():
    """A fault that fired, left out of the account."""
    trace = honest(STATUS, "mild")
    return replace(with_call(trace, trace.events[0].step, faults=()), events=trace.events[1:])


def easier_schedule():
    """Rough by name, but nothing was planned: played as such, so that a replay alone proves it."""
    return stored.with_own_id(replace(with_schedule(honest(), ()), faults="rough"))


def harder_schedule():
    return with_schedule(honest(), honest(STATUS, "mild").schedule)


def another_seed():
    trace = honest(STATUS, "rough")
    return stored.with_own_id(replace(trace, seeds=replace(trace.seeds, fault=99)))


def another_world():
    return replace(honest(), seeds=replace(honest().seeds, world=63))


def another_task():
    task = replace(honest().task, id="orders/order_status/train/7:http", index=7)
    return stored.with_own_id(replace(honest(), task=task))


def another_policy():
    """An id that does not follow from what the trace says of itself."""
    return replace(honest(), policy={"name": "somebody"})


def other_tools():
    return replace(honest(), tools=honest().tools[:-1])


def other_instruction():
    opening = honest().opening
    return replace(honest(), opening=(opening[0], Message("user", opening[1].content + " Quickly.")))


def left_out_step():
    return replace(honest(CANCEL, "rough"), steps=honest(CANCEL, "rough").steps[1:])


def repeated_step():
    trace = honest()
    return replace(trace, steps=(trace.steps[0], *trace.steps))


def harness_error():
    failure = HarnessFailure("RuntimeError", "the disk is on fire")
    return replace(honest(), verdict=None, stop="harness_error", harness_error=failure)


def cut_off():
    return replace(honest(), stop="call_limit")


def older_suite():
    prints = replace(honest().fingerprints, suite=suite_named("orders").version - 1)
    return replace(honest(), fingerprints=prints)


def of_a_test_split():
    return stored.played("orders/order_status/test/0")


def of_a_test_split_in_disguise():
    trace = of_a_test_split()
    return replace(trace, task=replace(trace.task, split="train"))


def unknown_task():
    return replace(honest(), task=replace(honest().task, id="orders/teleport_order/train/0", template="teleport_order"))


def quoting_a_test_task():
    """Reasoning is the policy's own, so that no replay can find fault with it."""
    quote = suite_named("orders").task("refund_return", "test", 0).instruction
    step = honest().steps[0]
    turn = replace(step.turn, reasoning=f"This is like: {quote}")
    return replace(honest(), steps=(replace(step, turn=turn), *honest().steps[1:]))


def wasteful():
    tasks = (f"orders/order_status/train/{n}" for n in range(12))
    found = (stored.played(task, "rough", "impatient") for task in tasks)
    return next(t for t in found if t.verdict.success and t.calls > 1.5 * stored.example(t.task.id, "rough").optimal)


def needless():
    return stored.played("orders/basket_sum/train/0", policy="needless_call")


def obeying():
    """A success that was reached, but not as anybody should."""
    tasks = (f"orders/{name}/train/{n}" for n in range(4) for name in ("order_status", "order_total"))
    found = (stored.played(task, policy="redundant_call") for task in tasks)
    return next(t for t in found if t.verdict.success)


def guessed():
    """The right answer, and nothing that it could be known from."""
    return replace(honest(), steps=honest().steps[-1:], verdict=Verdict(False, reason=GUESSED))


def guessed_of_old():
    """The same, of a release that took it for a success."""
    return replace(honest(), steps=honest().steps[-1:])


def silent():
    last = replace(honest().steps[-1], turn=Turn(), calls=())
    return replace(honest(), steps=(*honest().steps[:-1], last))


WRONG = {
    "not_proven": [
        wrong_answer, claimed, tampered_observation, tampered_ending, tampered_verdict, tampered_digest,
        planted_effect, hidden_fault, harder_schedule, another_world, another_task, another_policy, other_tools,
        other_instruction, left_out_step, silent, guessed_of_old,
    ],
    "other_schedule": [easier_schedule, another_seed],
    "harness_error": [harness_error],
    "not_ended": [cut_off],
    "other_suite_version": [older_suite],
    "other_split": [of_a_test_split, of_a_test_split_in_disguise],
    "unknown_task": [unknown_task],
    "test_entity": [quoting_a_test_task],
    "needless_calls": [needless],
    "guessed": [guessed],
}  # fmt: skip
"""Reason -> traces that are rejected for it."""
LIKEWISE = [wasteful, obeying, repeated_step]
"""Rejected for one reason or another of conduct."""


def other_schema():
    return {**honest().to_record(), "schema_version": 99}


def no_steps():
    return {**honest().to_record(), "steps": []}


def more_fields():
    return {**honest().to_record(), "verified": True}


def only_an_id():
    return {"episode_id": "trust me"}


UNREADABLE = {"other_schema_version": [other_schema], "unreadable": [no_steps, more_fields, only_an_id]}


def named(cases):
    return [pytest.param(reason, plant, id=plant.__name__) for reason, plants in cases.items() for plant in plants]


def line_of(planted):
    import orjson

    return orjson.dumps(planted if isinstance(planted, dict) else planted.to_record())


@pytest.mark.parametrize(("reason", "plant"), named(WRONG) + named(UNREADABLE))
def test_a_wrong_trace_is_rejected_for_what_is_wrong_with_it(reason, plant):
    found = stored.check().example(line_of(plant()))
    assert isinstance(found, Rejected), found.kind
    assert found.reason == reason, found.detail


@pytest.mark.parametrize("plant", LIKEWISE)
def test_bad_conduct_is_rejected_though_it_succeeded(plant):
    trace = plant()
    assert trace.verdict.success
    found = stored.check().example(line_of(trace))
    assert isinstance(found, Rejected)
    assert found.reason in ("wasteful", "bad_habit", "unsettled_fault")


@pytest.mark.parametrize("line", [b"", b"null", b"[]", b"{", b"\xff\xfe", b'{"episode_id": ""}', b"[" * 5000])
def test_a_line_that_is_no_record_is_rejected(line):
    assert stored.check().example(line).reason == "unreadable"


def test_nothing_that_was_planted_gets_through(tmp_path):
    right = [honest(STATUS, "mild"), honest(CANCEL), honest("orders/unknown_order/train/0")]
    wrong = [plant() for plants in (*WRONG.values(), LIKEWISE) for plant in plants]
    records = [plant() for plants in UNREADABLE.values() for plant in plants]
    planted = [{**t.to_record(), "episode_id": t.episode_id} for t in wrong] + records
    runs = [stored.store(tmp_path / f"run-{n}", [one]) for n, one in enumerate(planted)]  # ids may be the same
    runs.append(stored.store(tmp_path / "honest", right))
    options = SFTOptions(stored.check(), MixWeights({}, 0))
    report = build_sft(runs, tmp_path / "out", options)
    assert report.traces == len(right) + len(planted) == sum(len(list(RunDirectory.open(r).records())) for r in runs)
    assert report.examples == report.verified == len(right)
    assert sum(report.rejected.values()) == len(planted)
    from datasets import load_dataset

    rows = load_dataset(str(tmp_path / "out"), cache_dir=str(tmp_path / "cache"))["train"]
    assert sorted(rows["episode_id"]) == sorted(t.episode_id for t in right)


def test_a_wrong_trace_beside_the_right_one_of_the_same_id_does_not_hide_it(tmp_path):
    right, wrong = honest(), tampered_observation()
    assert right.episode_id == wrong.episode_id
    runs = [stored.store(tmp_path / name, [trace]) for name, trace in (("a", wrong), ("b", right))]
    report = build_sft(runs, tmp_path / "out", SFTOptions(stored.check()))
    assert (report.examples, report.rejected) == (1, {"not_proven": 1})
