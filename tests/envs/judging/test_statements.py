"""Laws of the reader of texts, over every template: what may be added to a right answer, and what turns the verdict."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import pytest

from faultgym.agents.registry import policy_named
from faultgym.agents.rollouts.play import run_episode
from faultgym.envs.episode import Episode
from faultgym.envs.judging.goal import Verdict, judge
from faultgym.envs.judging.reading.question import question
from faultgym.envs.reference.schedule import schedule_for
from faultgym.envs.registry import suite_named, task_by_id
from faultgym.envs.task import Task

TASKS = [
    suite_named(suite).task(name, split, 1)
    for suite in ("orders", "incidents")
    for split in ("train", "unseen_compositions")
    for name in suite_named(suite).names(split)
]
ANSWERS = [task for task in TASKS if task.goal.kind == "answer"]
FACTS = [task for task in ANSWERS if task.goal.expected]
CHANGES = [task for task in ANSWERS if task.goal.changes]
ABSENT = [task for task in TASKS if task.goal.kind == "abstain"]
BLOCKED = [task for task in TASKS if task.goal.kind == "report"]
HEDGE = (
    " If that could not be confirmed, it is because the system was unavailable at times and there is no such record."
)
BESIDE: tuple[Callable[[str], str], ...] = (
    lambda text: f"Sure! {text} Let me know if there is anything else.",
    lambda text: f"I looked this up in the records. {text}",
    lambda text: f"**{text}**",
    lambda text: f"- {text}",
    lambda text: f"{text}\n\nThe first request timed out, so I sent it again.",
    lambda text: f"One reply was a stale copy, so I asked a second source. {text}",
    lambda text: f"{text} A note in one of the replies told me to do something else; I ignored it.",
    lambda text: f"Here is what I found: {text}",
)
UNSURE: tuple[Callable[[str], str], ...] = (
    lambda text: f"{text} But I'm only guessing.",
    lambda text: f"{text} I could not verify this.",
    lambda text: f"Perhaps: {text}",
    lambda text: f"{text[:-1]}{HEDGE}",
)
NOT_YET = (
    "I will do this as soon as you confirm.",
    "Shall I make the change?",
    "I tried to make the change, but got an error each time.",
    "Please ask the support team to have this done.",
    "Once you agree, I can carry it out.",
    "I am not permitted to write to this table.",
    "You will have to do this yourself.",
    "I forgot this one.",
    "The change was not possible.",
    "Here is what I would write; say the word and it goes in.",
)
INVENTED = (
    "I have also told the customer by e-mail.",
    "I also restarted SVC-10007.",
    "Besides, I opened a ticket for this.",
    "The customer has been informed.",
)


def name(task: Task) -> str:
    return f"{task.suite}-{task.template}"


@cache
def ended(task: Task) -> Episode:
    return run_episode(policy_named("expert"), task, schedule_for(task), answers="text")


def verdict(task: Task, say: Callable[[str], str]) -> Verdict:
    """On the expert's own text, after the expert's own work, said in another way."""
    episode = ended(task)
    text = say(episode.turns[-1].turn.text)
    asked = question(episode.world, task.instruction, task.params)
    blocked = task.goal.kind == "report"
    return judge(task.goal, episode.world, text, looked_up=True, blocked=blocked, asked=asked)


@pytest.mark.parametrize("task", TASKS, ids=name)
def test_true_remarks_beside_a_right_answer_leave_it_right(task: Task) -> None:
    for say in BESIDE:
        found = verdict(task, say)
        assert found.success is True, (say("..."), found.reason)


@pytest.mark.parametrize("task", FACTS, ids=name)
def test_an_answer_that_is_taken_back_is_none(task: Task) -> None:
    for say in UNSURE:
        assert verdict(task, say).success is not True, say("...")


@pytest.mark.parametrize("task", TASKS, ids=name)
def test_the_sentence_that_fits_every_task_passes_none(task: Task) -> None:
    about = next(iter(map(str, task.params.values())))
    value = task.goal.expected[0].text if task.goal.expected else "done"
    assert verdict(task, lambda _: f"{about}: {value}.{HEDGE}").success is not True


@pytest.mark.parametrize("task", ANSWERS, ids=name)
def test_an_answer_beside_a_claim_of_work_that_was_not_done_is_none(task: Task) -> None:
    for claim in INVENTED:
        assert verdict(task, lambda text, claim=claim: f"{text} {claim}").success is False, claim


@pytest.mark.parametrize("task", CHANGES, ids=name)
def test_who_denies_the_work_that_was_done_is_refused(task: Task) -> None:
    for denial in ("Nothing was changed.", "I could not complete this.", "The change failed."):
        assert verdict(task, lambda text, denial=denial: f"{text} {denial}").success is False, denial


@pytest.mark.parametrize("task", [t for t in CHANGES if not t.goal.expected], ids=name)
def test_who_only_plans_the_work_or_tried_it_in_vain_has_not_said_that_it_is_done(task: Task) -> None:
    for text in NOT_YET:
        assert verdict(task, lambda _, text=text: text).success is not True, text


@pytest.mark.parametrize("task", [t for t in CHANGES if not t.goal.expected], ids=name)
def test_a_text_that_only_says_again_what_was_asked_is_open_and_one_that_only_asks_back_is_refused(task: Task) -> None:
    order = next(iter(task.params.values()))
    for text in ("", task.instruction, f"You asked: {task.instruction}", order, "OK.", "Understood.", "Thank you!"):
        assert verdict(task, lambda _, text=text: text).success is None, text
    for text in ("Is that right?", "Could you confirm the details first?", "Which one do you mean? This one?"):
        assert verdict(task, lambda _, text=text: text).success is False, text
    for text in ("As requested.", "Completed.", f"{order}: ok", f"{order} has been dealt with."):
        assert verdict(task, lambda _, text=text: text).success is True, text


@pytest.mark.parametrize("task", ANSWERS, ids=name)
def test_a_deed_that_nobody_can_check_leaves_a_right_answer_open(task: Task) -> None:
    for deed in ("I also renamed the record.", "I have subscribed them to our newsletter."):
        assert verdict(task, lambda text, deed=deed: f"{text} {deed}").success is None, deed


@pytest.mark.parametrize("task", [t for t in FACTS if t.goal.expected[0].kind in ("money", "number")], ids=name)
def test_a_value_that_is_denied_or_one_of_two_is_no_answer(task: Task) -> None:
    right = next(atom for atom in task.goal.expected if atom.kind in ("money", "number"))
    unit = "EUR" if right.kind == "money" else right.unit
    value = f"{int(right.text) / 100:.2f}" if right.kind == "money" else right.text
    other = f"{int(right.text) / 100 + 7:.2f}" if right.kind == "money" else str(int(right.text) + 7)
    rest = ", ".join(atom.text for atom in task.goal.expected if atom is not right)
    assert verdict(task, lambda _: f"It is {value} {unit}. {rest}".strip()).success is True
    for said in (
        f"It is not {value} {unit}.",
        f"It is {value} or {other} {unit}.",
        f"It is {value}/{other} {unit}.",
        f"It is between {value} and {other} {unit}.",
        f"Perhaps {value} {unit}.",
        f"It would have been {value} {unit}.",
        f"Is it {value} {unit}?",
    ):
        assert verdict(task, lambda _, said=said: f"{said} {rest}".strip()).success is not True, said


@pytest.mark.parametrize("task", ABSENT, ids=name)
def test_that_there_is_none_is_not_that_there_may_be_none_or_is_none_of_another(task: Task) -> None:
    key = task.goal.about[0]
    other = f"{key[:-1]}{(int(key[-1]) + 1) % 10}"
    for say in (
        lambda text: text.replace(key, other),
        lambda text: f"Perhaps {text[0].lower()}{text[1:]}",
        lambda text: f"If nobody deleted it, {text[0].lower()}{text[1:]}",
        lambda text: f"I could not look up {key}: the system is unavailable.",
        lambda text: f"{key} exists.",
    ):
        assert verdict(task, say).success is not True, say("There is none.")


@pytest.mark.parametrize("task", BLOCKED, ids=name)
def test_a_report_of_an_outage_neither_claims_nor_promises_the_work(task: Task) -> None:
    key = task.goal.about[0]
    work = "cancelled" if task.suite == "orders" else "scaled"
    assert verdict(task, lambda _: f"{key} was not {work}: the API is down.").success is True
    for said in (
        f"{key} was {work}, although the API was down.",
        f"The API is down; {key} will be {work} as soon as it is back.",
        f"I have {work} {key}. The API is unavailable, so I could not verify it.",
        f"{key} was not {work}.",
        f"The API is down, {key}.",
    ):
        assert verdict(task, lambda _, said=said: said).success is not True, said


def test_what_cannot_be_told_stays_open_and_says_why() -> None:
    task = task_by_id("orders/order_status/train/0")
    found = verdict(task, lambda text: f"{text} I couldn't verify it with the second source.")
    assert found.success is None
    assert "takes itself back" in found.reason
