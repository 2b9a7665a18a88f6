"""The kit's rules about typed answers: suites that break them are named, and every kind of false answer is tried."""

from dataclasses import replace

import pytest

from faultgym.envs.check import RULES, check_suite
from faultgym.envs.check.answers import TASKS_TRIED
from faultgym.envs.check.false_answers import answered, false_answers
from faultgym.envs.judging.answers import Atom
from faultgym.envs.judging.form import OUTCOMES, AnswerField
from faultgym.envs.judging.goal import Goal
from faultgym.envs.judging.typed import wanted_fields, wanted_outcome
from faultgym.envs.registry import suite_named
from faultgym.envs.suite import Drawn, Suite

ANSWER_RULES = [rule for rule in RULES if rule.check.__module__.endswith(".answers")]
WHEN = (AnswerField("when", "date", "When it comes back"),)
BUILT_IN = [(name, template) for name in ("orders", "incidents") for template in suite_named(name).templates]


def with_template(suite: Suite, base: str, name: str = "", **changes) -> Suite:
    """The suite with a template changed, or with a changed copy of it under another name."""
    name = name or base
    return replace(suite, templates={**suite.templates, name: replace(suite.templates[base], name=name, **changes)})


def without_fields(suite: Suite) -> Suite:
    return with_template(suite, "price", answer=())


def of_another_kind(suite: Suite) -> Suite:
    return with_template(suite, "lend", draw=lambda db, rng: told(suite, db, rng, "soon"), answer=WHEN)


def told(suite: Suite, db, rng, word: str) -> Drawn:
    """What `lend` draws, with a fact besides."""
    drawn = suite.templates["lend"].draw(db, rng)
    return replace(drawn, goal=replace(drawn.goal, expected=(Atom("text", word),)))


def telling_description(suite: Suite) -> Suite:
    field = AnswerField("when", "text", "When it comes back, which is soon")
    return with_template(suite, "lend", draw=lambda db, rng: told(suite, db, rng, "soon"), answer=(field,))


def undescribed_field(suite: Suite) -> Suite:
    return with_template(suite, "price", answer=(AnswerField("price", "money", " ", unit="EUR"),))


def choice_of_one(suite: Suite) -> Suite:
    field = AnswerField("when", "enum", "When it comes back", values=("soon",))
    return with_template(suite, "lend", draw=lambda db, rng: told(suite, db, rng, "soon"), answer=(field,))


def goal_of_nothing(suite: Suite) -> Suite:
    draw = suite.templates["price"].draw
    return with_template(suite, "price", draw=lambda db, rng: replace(draw(db, rng), goal=Goal()))


def telling_form(suite: Suite) -> Suite:
    return with_template(suite, "price", "no_price", answer=())


def silent_solution(suite: Suite) -> Suite:
    def solve(desk):
        book = yield from desk.read("book", desk.p["book_id"])
        return f"It costs {book['price_cents']} cents."

    return with_template(suite, "price", solve=solve)


def evasive_solution(suite: Suite) -> Suite:
    def solve(desk):
        yield from desk.read("book", desk.p["book_id"])
        return desk.absent("book", desk.p["book_id"])

    return with_template(suite, "price", solve=solve)


def indistinct_values(suite: Suite) -> Suite:
    def draw(db, rng):
        drawn = told(suite, db, rng, "C++")
        return replace(drawn, goal=replace(drawn.goal, distractors=(Atom("text", "C"),)))

    def solve(desk):
        yield from desk.write("lend_book", book_id=desk.p["book_id"])
        return desk.answer("It is about C++.", about="C++")

    return with_template(suite, "lend", draw=draw, solve=solve, answer=(AnswerField("about", "text", "What about"),))


BROKEN = {
    without_fields: ("fields_fit_the_facts", "no field for the fact"),
    of_another_kind: ("fields_fit_the_facts", "does not fit the answer's field when"),
    telling_description: ("fields_fit_the_facts", "gives 'soon' away"),
    undescribed_field: ("fields_fit_the_facts", "has no description"),
    choice_of_one: ("fields_fit_the_facts", "has 1 choices"),
    goal_of_nothing: ("fields_fit_the_facts", "any answer reaches it"),
    telling_form: ("twins_have_the_same_fields", "price and no_price"),
    silent_solution: ("solutions_fill_in_the_fields", "the answer lacks price"),
    evasive_solution: ("solutions_fill_in_the_fields", "the solution's outcome is not_found"),
    indistinct_values: ("no_other_answer_counts", "cannot tell 'C'"),
}


@pytest.mark.parametrize("breaking", BROKEN, ids=lambda f: f.__name__)
def test_a_suite_whose_answers_do_not_hold_fails_the_rule_it_breaks(bookshelf, breaking):
    name, words = BROKEN[breaking]
    rules = [rule for rule in ANSWER_RULES if rule.name == name]
    broken = replace(breaking(bookshelf), name=f"unanswerable_{breaking.__name__}")
    report = check_suite(broken, rules)
    assert report.violated == [name], str(report)
    assert words in str(report)


def test_whole_answers_break_no_rule(bookshelf):
    report = check_suite(replace(bookshelf, name="answerable"), ANSWER_RULES)
    assert report.ok, str(report)
    assert len(report.findings) == 5


@pytest.mark.parametrize(("suite_name", "template"), BUILT_IN)
def test_no_false_answer_counts_and_each_kind_is_tried(suite_name, template):
    suite = suite_named(suite_name)
    split = "unseen_compositions" if suite.templates[template].composition else "train"
    tasks = [suite.task(template, split, index) for index in range(TASKS_TRIED)]
    tried = set()
    for task, other in zip(tasks, [*tasks[1:], tasks[0]], strict=True):
        for false in false_answers(task, other, suite):
            assert not answered(false), (task.id, false.what)
            tried.add(false.what.partition(",")[0])
            false.episode.close()
    assert expected_tries(tasks) <= tried


def expected_tries(tasks) -> set[str]:
    """What has to be tried on some task of a template."""
    first = tasks[0]
    due = wanted_outcome(first.goal)
    found = {f"the outcome {outcome}" for outcome in OUTCOMES if outcome != due}
    fields = {field.name: field for field in first.answer}
    for name in wanted_fields(first.goal, first.answer):
        ways = ("a list with one more", "a list with one less") if fields[name].many else (
            "another value", "a list", "two values"
        )  # fmt: skip
        found |= {f"an answer without {name}", *(f"{name} given as {way}" for way in ways)}
    if fields and first.goal.kind == "answer":
        differing = [(one, other) for one, other in zip(tasks, [*tasks[1:], tasks[0]], strict=True)
                     if values(one) != values(other)]  # fmt: skip
        assert differing
        found |= {f"the answer to {other.id}" for _, other in differing}
    if due not in ("answered", "refused"):
        found.add("the right answer where nothing was done")
    if first.goal.changes:
        found.add("the right answer where the last write was left out")
    return found


def values(task):
    return wanted_fields(task.goal, task.answer)
