"""Whether an agent could know what it answered: the lucky guess fails, and nobody who looked does."""

from __future__ import annotations

import re

import pytest
from helpers import onerule
from helpers.corpora import corpus, courses, replayed

from faultgym.envs.episode import Episode, run_reference
from faultgym.envs.judging.form import ANSWERS, Answers
from faultgym.envs.messages.turn import Turn
from faultgym.envs.reference.evidence import GUESSED, could_know
from faultgym.envs.reference.rivals import FEW, clean_play, rivals
from faultgym.envs.reference.run import closing_turn
from faultgym.envs.reference.schedule import schedule_for
from faultgym.envs.registry import suite_named
from faultgym.envs.task import Task
from faultgym.envs.worlds.world import world_image
from faultgym.tools.faults.plan import FaultPlan
from faultgym.tools.types import ToolCall

Call = tuple[str, dict[str, object]]


def sql(query: str) -> Call:
    return "sql", {"query": query}


def get(path: str, **query: object) -> Call:
    return "http", {"method": "GET", "path": path, **({"query": query} if query else {})}


def search(query: str, **more: object) -> Call:
    return "search", {"query": query, **more}


def ended(task: Task, calls: list[Call], answers: Answers = "typed", faults: tuple[dict[str, object], ...] = ()):
    """An episode in which these calls are made, then the right answer is given."""
    schedule = schedule_for(task, FaultPlan.from_rules(faults) if faults else "clean")
    episode = Episode(task, schedule, answers=answers)
    for n, (name, arguments) in enumerate(calls):
        episode.step(Turn("", (ToolCall(f"c{n}", name, arguments),)))
    clean, answer = run_reference(task, answers=answers)
    clean.close()
    episode.step(closing_turn(answer, answers))
    assert episode.verdict is not None
    return episode.verdict


def of(template: str, index: int = 0, split: str = "train") -> Task:
    suite, _, name = template.partition("/")
    return suite_named(suite).task(name, split, index, "http")


def ties(task: Task) -> list[tuple[str, object]]:
    """The rivals in which a number or a date is set to one that another row has too, of columns that hold many."""
    image = world_image(suite_named(task.suite), task.split, task.world_seed)
    found = []
    for statement, (value, *_) in (rival[0] for rival in rivals(suite_named(task.suite), task) if len(rival) == 1):
        place = re.match(r'UPDATE "(\w+)" SET "(\w+)" = \?', statement)
        assert place is not None
        held = {row[0] for row in image.reader.raw.execute(f"SELECT {place[2]} FROM {place[1]}")}
        if len(held) > FEW and value in held and re.match(r"\d", str(value)):
            found.append((statement, value))
    return found


@pytest.mark.parametrize(
    "name",
    ["orders/double_charge", "orders/exchange_product", "incidents/release_at_incident", "incidents/roll_back"],
)
def test_no_rival_makes_two_rows_equal_of_which_one_is_the_last_or_the_largest(name: str) -> None:
    for index in range(2):
        assert ties(of(name, index)) == []


def test_two_last_rows_tell_which_one_is_the_one_before_the_last() -> None:
    for index in range(3):
        task = of("incidents/revert_and_resolve", index, "unseen_compositions")
        incident = task.params["incident_id"]
        image = world_image(suite_named("incidents"), task.split, task.world_seed)
        query = "SELECT service_id FROM incidents WHERE id = ?"
        ((service,),) = image.reader.raw.execute(query, [incident]).fetchall()
        two = f"SELECT release FROM deploys WHERE service_id = '{service}' ORDER BY deployed_at DESC LIMIT 2"
        base = f"/v1/incidents/{incident}"
        release = task.goal.expected[0].text
        calls = [
            get(base),
            ("http", {"method": "POST", "path": f"{base}/acknowledge"}),
            sql(two),
            ("http", {"method": "POST", "path": f"/v1/services/{service}/rollback", "body": {"release": release}}),
            ("http", {"method": "POST", "path": f"{base}/resolve", "body": {"cause": "faulty_release"}}),
        ]
        assert ended(task, calls).success
        assert ended(task, [call for call in calls if call != sql(two)]).reason == GUESSED


STATUS, TOTAL = of("orders/order_status"), of("orders/order_total")
EMAIL, CITY, WARRANTY = of("orders/customer_email"), of("orders/city_count"), of("orders/product_warranty")
POLICY, REFUSE = of("orders/policy_fact"), of("orders/refuse_return")
OPEN, ERRORS, PEAK = of("incidents/open_incidents"), of("incidents/error_count"), of("incidents/scale_to_peak")
MISSING, UNWRITTEN = of("orders/unknown_order"), of("incidents/missing_postmortem")
NO_FACT = of("orders/missing_fact")
CUSTOMER = NO_FACT.goal.about[0]
ORDER = STATUS.params["order_id"]
PAID = STATUS.goal.expected[0].text
OTHER = next(atom.text for atom in STATUS.goal.distractors if atom.text[0] != PAID[0])
GONE, INCIDENT = MISSING.goal.about[0], UNWRITTEN.goal.about[0]

LUCKY: dict[str, tuple[Task, list[Call]]] = {
    "no call": (STATUS, []),
    "a wait": (STATUS, [("wait", {"seconds": 1})]),
    "the value as a literal": (STATUS, [sql(f"SELECT '{ORDER}' AS id, '{PAID}' AS status")]),
    "the value as a literal of the table": (STATUS, [sql(f"SELECT id, '{PAID}' FROM orders WHERE id = '{ORDER}'")]),
    "the value spelled by code": (STATUS, [sql(f"SELECT char({', '.join(str(ord(c)) for c in PAID)}) AS status")]),
    "another column of the row": (STATUS, [sql(f"SELECT id, total_cents FROM orders WHERE id = '{ORDER}'")]),
    "how many have the status": (STATUS, [sql(f"SELECT count(*) FROM orders WHERE status = '{PAID}'")]),
    "which statuses there are": (STATUS, [sql("SELECT status, count(*) FROM orders GROUP BY status")]),
    "another order": (STATUS, [get(f"/v1/orders/{TOTAL.params['order_id']}")]),
    "how long it is": (STATUS, [sql(f"SELECT length(status) FROM orders WHERE id = '{ORDER}'")]),
    "that it is one of two": (STATUS, [
        sql(f"SELECT count(*) FROM orders WHERE id = '{ORDER}' AND status IN ('{PAID}', '{OTHER}')")]),
    "a range of the amount": (TOTAL, [
        sql(f"SELECT total_cents > 100 FROM orders WHERE id = '{TOTAL.params['order_id']}'")]),
    "the schema": (STATUS, [sql("SELECT * FROM schema"), get("/v1/openapi")]),
    "a route that does not exist": (STATUS, [get(f"/v1/order/{ORDER}/status/{PAID}")]),
    "a call that is refused": (STATUS, [("http", {"method": "GET", "path": f"/v1/orders/{ORDER}", "status": PAID})]),
    "a statement that fails": (STATUS, [sql(f"SELECT status FROM order WHERE id = '{ORDER}'")]),
    "an aggregate of all": (TOTAL, [sql("SELECT sum(total_cents) FROM orders")]),
    "the order and not its customer": (EMAIL, [get(f"/v1/orders/{EMAIL.params['order_id']}")]),
    "the customers and not the order": (EMAIL, [sql("SELECT id, email FROM customers")]),
    "the customers and no order": (CITY, [sql(f"SELECT id FROM customers WHERE city = '{CITY.params['city']}'")]),
    "one page of several": (CITY, [get("/v1/orders", status=CITY.params["status"], limit=2)]),
    "the list of policies": (POLICY, [sql("SELECT id, title FROM documents WHERE kind = 'policy'")]),
    "another policy": (POLICY, [sql(f"SELECT body FROM documents WHERE title <> '{POLICY.params['title']}'")]),
    "the warranty and not the product": (WARRANTY, [sql("SELECT body FROM documents WHERE title = 'Warranty policy'")]),
    "the window and not the delivery": (REFUSE, [sql("SELECT body FROM documents WHERE title = 'Return policy'")]),
    "the delivery and not the window": (REFUSE, [get(f"/v1/orders/{REFUSE.params['order_id']}")]),
    "the incidents of another severity": (OPEN, [sql("SELECT id FROM incidents WHERE severity = 'sev2'")]),
    "half of a list": (OPEN, [sql("SELECT id, severity, state FROM incidents ORDER BY id LIMIT 10")]),
    "errors of another day": (ERRORS, [sql("SELECT count(*) FROM logs WHERE level = 'error' AND at < '2026-01-01'")]),
    "the missing id as a literal": (MISSING, [sql(f"SELECT '{GONE}'")]),
    "the missing id beside the table": (MISSING, [sql(f"SELECT '{GONE}' AS id FROM orders LIMIT 1")]),
    "the missing id in a comment": (MISSING, [sql(f"SELECT count(*) FROM orders -- {GONE}")]),
    "the missing id in a false condition": (MISSING, [sql(f"SELECT id FROM orders WHERE id = '{GONE}' AND 1 = 0")]),
    "the missing id in another table": (MISSING, [sql(f"SELECT id FROM customers WHERE id = '{GONE}'")]),
    "the missing id in a table of its parts": (MISSING, [sql(f"SELECT * FROM order_items WHERE order_id = '{GONE}'")]),
    "a search for the missing id": (MISSING, [search(GONE)]),
    "a list without the missing id": (MISSING, [get("/v1/orders", limit=5), sql("SELECT id FROM orders LIMIT 9")]),
    "a refused look for the missing id": (MISSING, [sql(f"SELECT total FROM orders WHERE id = '{GONE}'")]),
    "a write to the missing id": (MISSING, [sql(f"UPDATE orders SET status = 'paid' WHERE id = '{GONE}'")]),
    "a search for nonsense": (UNWRITTEN, [search("qqzx"), search(f"qqzx{INCIDENT.partition('-')[2]}")]),
    "the incident and no document": (UNWRITTEN, [get(f"/v1/incidents/{INCIDENT}")]),
    "a search among other kinds": (UNWRITTEN, [search(f"Postmortem {INCIDENT}", kind="runbook")]),
    "a statement on documents that names it": (UNWRITTEN, [sql(f"SELECT count(*), '{INCIDENT}' FROM documents")]),
    "that the customer exists": (NO_FACT, [sql(f"SELECT id FROM customers WHERE id = '{CUSTOMER}'")]),
    "the customer's id as a literal": (NO_FACT, [sql(f"SELECT '{CUSTOMER}' FROM customers")]),
}  # fmt: skip


@pytest.mark.parametrize("answers", ANSWERS)
@pytest.mark.parametrize("what", LUCKY)
def test_a_right_answer_that_nothing_could_have_told_fails(what: str, answers: Answers) -> None:
    found = ended(*LUCKY[what], answers=answers)
    assert found.success is False
    assert found.reason in (GUESSED, "it said that there is none, without looking")


ROWS = f"SELECT o.id FROM orders o JOIN customers c ON c.id = o.customer_id WHERE c.city = '{CITY.params['city']}'"
SOUND: dict[str, tuple[Task, list[Call]]] = {
    "the record": (STATUS, [get(f"/v1/orders/{ORDER}")]),
    "the record's column": (STATUS, [sql(f"SELECT status FROM orders WHERE id = '{ORDER}'")]),
    "a question that names the value": (STATUS, [sql(f"SELECT status = '{PAID}' FROM orders WHERE id = '{ORDER}'")]),
    "all that have the value": (STATUS, [sql(f"SELECT id FROM orders WHERE status = '{PAID}'")]),
    "a sum by SQL": (of("orders/day_revenue"), [sql(
        "SELECT sum(total_cents) FROM orders WHERE status <> 'cancelled' AND placed_on = "
        f"'{of('orders/day_revenue').params['day']}'")]),
    "a count by SQL": (CITY, [sql(f"SELECT count(*) FROM ({ROWS} AND o.status = '{CITY.params['status']}')")]),
    "rows to be counted": (CITY, [sql(f"{ROWS} AND o.status = '{CITY.params['status']}'")]),
    "one join": (EMAIL, [sql("SELECT c.email FROM customers c JOIN orders o ON o.customer_id = c.id"
                             f" WHERE o.id = '{EMAIL.params['order_id']}'")]),
    "a list of states": (OPEN, [sql("SELECT id, severity, state FROM incidents")]),
    "a document by its title": (POLICY, [sql(f"SELECT body FROM documents WHERE title = '{POLICY.params['title']}'")]),
    "a look by SQL for what is missing": (MISSING, [sql(f"SELECT count(*) FROM orders WHERE id = '{GONE}'")]),
    "a 404": (MISSING, [get(f"/v1/orders/{GONE}")]),
    "all there are": (MISSING, [sql("SELECT id FROM orders WHERE id LIKE 'ORD-%'"),
                                sql(f"SELECT id FROM orders WHERE id > '{GONE[:6]}' AND id < '{GONE[:6]}a'")]),
    "a search for the document": (UNWRITTEN, [search(f"Postmortem {INCIDENT}")]),
    "a look for its title": (UNWRITTEN, [sql(f"SELECT id FROM documents WHERE title LIKE '%{INCIDENT}%'")]),
    "the whole record": (NO_FACT, [get(f"/v1/customers/{CUSTOMER}")]),
    "its columns by name": (NO_FACT, [sql(f"SELECT name, email, city FROM customers WHERE id = '{CUSTOMER}'")]),
}  # fmt: skip


@pytest.mark.parametrize("answers", ANSWERS)
@pytest.mark.parametrize("what", SOUND)
def test_an_answer_that_a_call_could_tell_counts_however_it_was_asked(what: str, answers: Answers) -> None:
    found = ended(*SOUND[what], answers=answers)
    assert found.success, found.reason


@pytest.mark.parametrize("kind", ["timeout", "server_error", "empty_response", "html_for_json"])
def test_a_reply_that_a_fault_has_spoilt_tells_nothing(kind: str) -> None:
    fault = {"kind": kind, "trigger": {"first": 1}}
    look = get(f"/v1/orders/{ORDER}")
    assert ended(STATUS, [look], faults=(fault,)).reason == GUESSED
    assert ended(STATUS, [look, look], faults=(fault,)).success


def test_a_lie_tells_nothing_of_what_it_is_about_and_all_of_the_rest() -> None:
    fault = {"kind": "stale_value", "params": {"field": "status"}, "trigger": {"first": 1}}
    look = get(f"/v1/orders/{ORDER}")
    assert ended(STATUS, [look], faults=(fault,)).reason == GUESSED
    assert ended(STATUS, [look, sql(f"SELECT status FROM orders WHERE id = '{ORDER}'")], faults=(fault,)).success
    assert ended(TOTAL, [get(f"/v1/orders/{TOTAL.params['order_id']}")], faults=(fault,)).success


def test_a_404_that_a_fault_made_does_not_prove_an_absence() -> None:
    fault = {"kind": "not_found_moved", "trigger": {"first": 1}}
    false = get(f"/v1/orders/{GONE}")
    assert not ended(MISSING, [false], faults=(fault,)).success
    assert ended(MISSING, [false, sql(f"SELECT id FROM orders WHERE id = '{GONE}'")], faults=(fault,)).success


def test_a_question_that_needs_no_tool_is_answered_from_its_text() -> None:
    for name in ("orders/basket_sum", "orders/plus_days", "incidents/minutes_between"):
        assert ended(of(name), []).success


def test_a_value_that_was_written_blindly_was_guessed_too() -> None:
    scale = ("http", {"method": "POST", "path": f"/v1/services/{PEAK.params['service_id']}/scale",
                      "body": {"replicas": int(PEAK.goal.expected[0].text)}})  # fmt: skip
    assert ended(PEAK, [scale]).reason == GUESSED
    assert ended(PEAK, [search(f"{PEAK.params['service_id']} peak load replicas"), scale]).success


def test_a_count_of_rows_that_somebody_only_added_to_was_guessed() -> None:
    for index in range(3):
        task = of("incidents/move_tag", index)
        old, new, tag = (task.params[name] for name in ("source", "target", "tag"))
        move = [
            sql(f"DELETE FROM service_tags WHERE service_id = '{old}' AND tag = '{tag}'"),
            sql(f"INSERT INTO service_tags (service_id, tag) VALUES ('{new}', '{tag}')"),
        ]
        count = int(task.goal.expected[0].text)
        assert ended(task, [*move, sql(f"SELECT {count - 1} + 1 AS tags")]).reason == GUESSED
        assert ended(task, [*move, sql(f"SELECT count(*) FROM service_tags WHERE service_id = '{new}'")]).success


@pytest.mark.parametrize("name", ["episodes_more", "episodes_played"])
def test_no_labelled_episode_that_is_right_was_guessed(name: str) -> None:
    for line in courses(line for line in corpus(name) if line["right"]):
        episode = replayed(line)
        assert episode.verdict is not None
        assert episode.verdict.reason != GUESSED, line["name"]
        episode.close()


def test_rivals_are_worlds_in_which_another_answer_is_right() -> None:
    suite = suite_named("orders")
    assert clean_play(suite, STATUS).conclusion is not None
    assert {value for statements in rivals(suite, STATUS) for _, values in statements for value in values[1:]} >= {
        ORDER
    }
    assert not rivals(suite, of("orders/cancel_order"))  # what follows from the effects needs no other evidence


def test_a_fork_in_the_middle_keeps_what_was_seen() -> None:
    episode = Episode(STATUS, answers="typed")
    episode.step(Turn("", (ToolCall("c", *get(f"/v1/orders/{ORDER}")),)))
    twin = episode.fork()
    assert could_know(twin.suite, STATUS, (), twin.turns)
    assert not could_know(twin.suite, STATUS, (), ())


@pytest.mark.parametrize(
    ("calls", "right"),
    [
        ([], False),
        ([sql("SELECT 14 AS days")], False),
        ([get("/v1/rule")], True),
        ([sql("SELECT 14 AS days, 'X-28140' AS id")], False),
        ([sql("SELECT 'X-28140' AS id")], False),
    ],
    ids=["without a call", "in the agent's own words", "read", "beside a longer number", "in a longer number"],
)
def test_where_no_world_has_another_answer_a_result_has_to_give_it(calls: list[Call], right: bool) -> None:
    task = onerule.SUITE.task("loan", "train", 0)
    assert ended(task, calls).success is right
