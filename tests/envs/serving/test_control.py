"""The control plane: what it answers with the key, and that it answers nothing without."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from helpers.serving import KEY, TASK, HandClock, Server, bearer, order_of

from faultgym.core.errors import UserError
from faultgym.envs.episode import run_reference
from faultgym.envs.judging.answering import answer_tool, closing_rule
from faultgym.envs.judging.form import ANSWERS, Answers
from faultgym.envs.reference.run import closing_turn
from faultgym.envs.registry import suite_named, task_by_id
from faultgym.envs.serving import ControlApp, ServiceApp, SessionError

ROUTES = [
    ("POST", "/sessions"),
    ("GET", "/sessions/there"),
    ("GET", "/sessions/not-there"),
    ("DELETE", "/sessions/there"),
    ("POST", "/sessions/there/wait"),
    ("POST", "/sessions/there/verdict"),
    ("GET", "/openapi.json"),
    ("GET", "/nowhere"),
    ("PUT", "/sessions"),
    ("OPTIONS", "/sessions"),
]


@pytest.mark.parametrize(("method", "path"), ROUTES)
@pytest.mark.parametrize(
    "sent",
    [
        None,
        "",
        KEY,
        "Bearer",
        f"Bearer {KEY[:-1]}",
        f"Bearer {KEY}x",
        f"Basic {KEY}",
        "Bearer \xff",
        "the service's",
    ],
)
def test_without_the_key_every_request_has_one_answer(
    shop: Server, there: dict[str, str], method: str, path: str, sent: str | None
) -> None:
    headers = {} if sent is None else {b"Authorization": sent.encode("latin-1")}
    if sent == "the service's":
        headers = {b"Authorization": bearer(there)["Authorization"].encode()}
    answer = httpx.request(method, shop.control.base_url.join(path), headers=headers)
    assert answer.status_code == 401
    assert answer.json()["detail"] == "send the control key, as `Authorization: Bearer KEY`"
    wrong = ', error="invalid_token"' if (sent or "").startswith("Bearer") or sent == "the service's" else ""
    assert answer.headers["www-authenticate"] == f'Bearer realm="faultgym control plane"{wrong}'


@pytest.fixture(scope="module")
def there(shop: Server) -> dict[str, str]:
    return shop.session(id="there")


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/sessions", b"{", 400),
        ("POST", "/sessions", b"[]", 400),
        ("POST", "/sessions", b"[" * 100_000, 400),
        ("POST", "/sessions", b'{"task": "orders/nothing/dev/0"}', 400),
        ("POST", "/sessions", b'{"task": "incidents/service_status/dev/0"}', 400),
        ("POST", "/sessions", b'{"faults": "mild-ish"}', 400),
        ("POST", "/sessions", b'{"faults": "/etc/hostname"}', 400),
        ("POST", "/sessions", b'{"faults": 3}', 400),
        ("POST", "/sessions", b'{"seed": "x"}', 400),
        ("POST", "/sessions", b'{"seed": true}', 400),
        ("POST", "/sessions", b'{"answers": "spoken"}', 400),
        ("POST", "/sessions", b'{"answers": null}', 400),
        ("POST", "/sessions", b'{"answers": ["typed"]}', 400),
        ("POST", "/sessions", b'{"tasks": "orders/order_status/dev/0"}', 400),
        ("POST", "/sessions", b" " * ((1 << 20) + 1), 413),
        ("POST", "/sessions/nobody/wait", b'{"seconds": 1}', 404),
        ("POST", "/sessions/there/wait", b'{"seconds": 1e999}', 400),
        ("POST", "/sessions/there/wait", b'{"seconds": -1}', 400),
        ("POST", "/sessions/there/verdict", b"{}", 400),
        ("GET", "/sessions/nobody", b"", 404),
        ("GET", "/sessions/", b"", 404),
        ("GET", "/nowhere", b"", 404),
    ],
)
def test_wrong_input_is_refused_with_a_problem_document(
    shop: Server, there: dict[str, str], method: str, path: str, body: bytes, status: int
) -> None:
    response = shop.control.request(method, path, content=body)
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["detail"]


@pytest.mark.parametrize(
    ("method", "path", "takes"),
    [("GET", "/sessions", "POST"), ("PUT", "/sessions/there", "GET and DELETE"), ("HEAD", "/sessions/there/wait", "")],
)
def test_a_method_that_a_path_does_not_take_is_told_which_it_takes(
    shop: Server, there: dict[str, str], method: str, path: str, takes: str
) -> None:
    answer = shop.control.request(method, path)
    assert answer.status_code == 405
    assert answer.headers["allow"] == (takes or "POST").replace(" and ", ", ")
    if method != "HEAD":
        assert answer.json()["detail"] == f"{path} takes {takes}, not {method}"


@pytest.mark.parametrize("name", ["x" * 101, "a/b", "..", ".", " ", "a\r\nb", "-a", "é", ["a"]])
def test_an_id_that_no_path_can_carry_is_refused(shop: Server, name: object) -> None:
    answer = shop.control.post("/sessions", json={"id": name})
    assert answer.status_code == 400
    assert "a session id has letters" in answer.json()["detail"]


def test_an_unknown_field_is_told_the_nearest(shop: Server) -> None:
    assert shop.control.post("/sessions", json={"tsak": TASK}).json()["detail"] == (
        "a session has no field 'tsak'; did you mean task?"
    )


def test_an_id_never_returns_once_its_session_is_deleted(shop: Server) -> None:
    one, two = shop.session(), shop.session()
    assert shop.control.delete(f"/sessions/{one['id']}").status_code == 204
    assert shop.session()["id"] not in (one["id"], two["id"])
    for answer in (
        shop.control.post("/sessions", json={"id": one["id"]}),
        shop.control.get(f"/sessions/{one['id']}"),
        shop.control.delete(f"/sessions/{one['id']}"),
    ):
        assert answer.status_code == 410
        assert "never returns" in answer.json()["detail"]


def test_an_id_in_use_is_refused_and_its_session_goes_on(shop: Server) -> None:
    session = shop.session(id="taken")
    answer = shop.control.post("/sessions", json={"id": "taken"})
    assert answer.status_code == 409
    assert "in use" in answer.json()["detail"]
    assert shop.control.get("/sessions/taken").json()["task"] == session["task"]
    assert shop.agent.get(f"{session['base_url']}/v1/openapi", headers=bearer(session)).status_code == 200


def test_the_session_unused_for_longest_is_evicted_and_says_so() -> None:
    sessions = ServiceApp(suite_named("orders"), max_sessions=2).sessions
    first = sessions.open({"id": "a"})
    second = sessions.open({"id": "b"})
    sessions.reached(first["base_url"].removeprefix("/s/"))
    sessions.open({"id": "c"})
    assert sessions.named("a")
    with pytest.raises(SessionError, match="'b' is closed"):
        sessions.named("b")
    with pytest.raises(SessionError, match="this session is closed"):
        sessions.reached(second["base_url"].removeprefix("/s/"))


@pytest.mark.parametrize("number", [0, -1])
def test_an_application_that_may_keep_no_session_is_refused(number: int) -> None:
    with pytest.raises(UserError, match=f"max_sessions must be at least 1, not {number}"):
        ServiceApp(suite_named("orders"), max_sessions=number)


@pytest.mark.parametrize(
    "key", ["", "short", "fifteen-chars-x", "sixteen chars it", "sixteen-chars-\xe9t", "0123456789abcdef\n"]
)
def test_a_key_that_keeps_nobody_out_or_cannot_be_sent_is_refused(key: str) -> None:
    with pytest.raises(UserError, match="the control key has"):
        ControlApp(ServiceApp(suite_named("orders")).sessions, key)


def right(task_id: str, answers: Answers) -> dict[str, Any]:
    """The reference solution's answer, as a client posts it."""
    turn = closing_turn(run_reference(task_by_id(task_id), answers=answers)[1], answers)
    if not turn.tool_calls:
        return {"text": turn.text}
    assert turn.tool_calls[0].arguments is not None
    return turn.tool_calls[0].arguments


def read_order(shop: Server, session: dict[str, Any], token: str = "") -> None:
    """Read the order that the task asks about."""
    url = f"{session['base_url']}/v1/orders/{task_by_id(TASK).params['order_id']}"
    headers = {"Authorization": f"Bearer {token}"} if token else bearer(session)
    assert shop.agent.get(url, headers=headers).status_code == 200


@pytest.mark.parametrize("answers", ANSWERS)
def test_a_verdict_is_that_of_an_episode_and_is_given_once(shop: Server, answers: Answers) -> None:
    session = shop.session(task=TASK, answers=answers)
    read_order(shop, session)
    url = f"/sessions/{session['id']}"
    state = shop.control.get(url).json()
    assert (state["verdict"], state["answers"]) == (None, answers)
    verdict = shop.control.post(f"{url}/verdict", json=right(TASK, answers)).json()
    assert (verdict["success"], verdict["reason"]) == (True, "the goal was reached")
    assert shop.control.post(f"{url}/verdict", json=right(TASK, answers)).status_code == 409
    assert shop.control.get(url).json()["verdict"] == verdict


@pytest.mark.parametrize("answers", ANSWERS)
def test_a_right_answer_without_a_request_was_guessed(shop: Server, answers: Answers) -> None:
    session = shop.session(task=TASK, answers=answers)
    verdict = shop.control.post(f"/sessions/{session['id']}/verdict", json=right(TASK, answers)).json()
    assert (verdict["success"], "guessed" in verdict["reason"]) == (False, True)


@pytest.mark.parametrize("answers", ANSWERS)
def test_what_was_read_with_a_token_of_the_clients_own_counts_as_seen(shop: Server, answers: Answers) -> None:
    session = shop.session(task=TASK, answers=answers)
    shop.control.post(f"/sessions/{session['id']}/wait", json={"seconds": 80_000})
    secret = {name: session[name] for name in ("client_id", "client_secret")}
    token = shop.agent.post(f"{session['base_url']}/v1/token", json=secret).json()["access_token"]
    read_order(shop, session, token)
    found = shop.control.post(f"/sessions/{session['id']}/verdict", json=right(TASK, answers)).json()
    assert found["success"] is True


@pytest.mark.parametrize("answers", ANSWERS)
def test_a_verdict_sees_a_write_that_nobody_asked_for(shop: Server, answers: Answers) -> None:
    session = shop.session(task=TASK, answers=answers)
    url = f"{session['base_url']}/v1/orders/{order_of(shop, session)}/cancel"
    shop.agent.post(url, headers=bearer(session), json={"reason": "customer_request"})
    verdict = shop.control.post(f"/sessions/{session['id']}/verdict", json=right(TASK, answers)).json()
    assert (verdict["success"], len(verdict["extra_changes"])) == (False, 1)


@pytest.mark.parametrize("answers", ANSWERS)
@pytest.mark.parametrize("looks", [True, False])
def test_who_says_that_there_is_none_must_have_asked_for_it_over_the_socket(
    shop: Server, looks: bool, answers: Answers
) -> None:
    task = task_by_id("orders/unknown_order/dev/0")
    session = shop.session(task=task.id, answers=answers)
    if looks:
        url = f"{session['base_url']}/v1/orders/{task.goal.about[0]}"
        assert shop.agent.get(url, headers=bearer(session)).status_code == 404
    verdict = shop.control.post(f"/sessions/{session['id']}/verdict", json=right(task.id, answers)).json()
    assert verdict["success"] is looks


def test_a_session_says_what_its_agent_is_to_be_told_and_how_it_has_to_answer(shop: Server) -> None:
    task = task_by_id(TASK)
    typed, text = (shop.session(task=TASK, answers=answers) for answers in ("typed", "text"))
    assert (typed["system"], text["system"]) == (task.typed_system, task.system)
    assert closing_rule(task.answer) in typed["system"]
    assert typed["instruction"] == text["instruction"] == task.instruction
    shown = shop.control.get(f"/sessions/{typed['id']}").json()
    for name in ("task", "system", "instruction", "answers", "answer_tool"):
        assert shown[name] == typed[name]
    tool = answer_tool(task.answer)
    assert typed["answer_tool"] == {
        "name": "answer", "description": tool.description, "parameters": tool.parameters,
    }  # fmt: skip
    assert (typed["answers"], text["answers"], text["answer_tool"]) == ("typed", "text", None)


@pytest.mark.parametrize("suite", ["orders", "incidents"])
def test_a_task_that_is_drawn_can_be_done_with_the_service_alone(suite: str) -> None:
    sessions = ServiceApp(suite_named(suite)).sessions
    drawn = {sessions.open({"id": f"n{n}"})["task"] for n in range(40)}
    assert len({task.split("/")[1] for task in drawn}) >= 5
    for task in drawn:
        used = {record.call.name for record in run_reference(task_by_id(task))[0].records}
        assert used
        assert used.isdisjoint({"sql", "search"})


@pytest.mark.parametrize("answers", ANSWERS)
def test_sessions_that_do_not_say_end_as_the_server_was_told(answers: Answers) -> None:
    sessions = ServiceApp(suite_named("orders"), answers=answers).sessions
    opened = sessions.open({"task": TASK})
    assert (opened["answers"], sessions.named(opened["id"]).answers) == (answers, answers)


@pytest.mark.parametrize(
    ("answers", "sent", "words"),
    [
        ("typed", {"text": "It is paid."}, "answer is typed: send `outcome`, `fields` and `message`, not `text`"),
        ("typed", {}, "outcome is missing: one of done, answered"),
        ("typed", {"outcome": "well"}, "outcome is one of done"),
        ("typed", {"outcome": "answered", "fields": {"status": "blue"}}, "the field status takes one of pending"),
        ("typed", {"outcome": "answered", "fields": {"total": 3}}, "there is no field 'total'; the fields are status"),
        ("typed", {"outcome": "answered", "message": 3}, "message is a text"),
        ("text", {"outcome": "answered", "message": "It is paid."}, "this session ends with a text: `text` must be"),
        ("text", {"text": ["paid"]}, "`text` must be the agent's final answer, a string"),
    ],
)
def test_an_answer_of_the_wrong_kind_is_refused_and_the_session_goes_on(
    shop: Server, answers: Answers, sent: dict[str, Any], words: str
) -> None:
    session = shop.session(task=TASK, answers=answers)
    url = f"/sessions/{session['id']}"
    refused = shop.control.post(f"{url}/verdict", json=sent)
    assert refused.status_code == 400
    assert words in refused.json()["detail"]
    state = shop.control.get(url).json()
    assert (state["verdict"], state["requests"]) == (None, 0)
    read_order(shop, session)
    assert shop.control.post(f"{url}/verdict", json=right(TASK, answers)).json()["success"] is True


def test_the_session_that_the_page_shows_goes_as_it_says() -> None:
    page = (Path(__file__).parents[3] / "docs" / "serving.md").read_text()
    opened, waited, verdict = (
        json.loads(body) for body in re.findall(r"control /sessions\S* -d '(\{.*?\})'", page, re.DOTALL)[:3]
    )
    shop = Server("orders", clock=HandClock())
    session = shop.session(**opened)
    url = session["base_url"] + re.findall(r"\$BASE(/v1/orders/\S+)", page)[0]
    refused = shop.agent.get(url, headers=bearer(session))
    assert refused.status_code == 429
    assert (refused.headers["retry-after"], waited) == ("30", {"seconds": 30})
    shop.control.post(f"/sessions/{opened['id']}/wait", json=waited)
    assert shop.agent.get(url, headers=bearer(session)).status_code == 200
    assert shop.control.post(f"/sessions/{opened['id']}/verdict", json=verdict).json()["success"] is True
    shop.close()


def test_in_process_both_applications_answer_without_a_socket() -> None:
    app = ServiceApp(suite_named("orders"))
    control = ControlApp(app.sessions, KEY)

    async def use() -> tuple[int, int]:
        key = {"Authorization": f"Bearer {KEY}"}
        over = httpx.ASGITransport
        async with httpx.AsyncClient(transport=over(control), base_url="http://control", headers=key) as client:
            session = (await client.post("/sessions", json={"task": TASK})).json()
        async with httpx.AsyncClient(transport=over(app), base_url=f"http://shop{session['base_url']}") as client:
            found = await client.get("/v1/openapi", headers=bearer(session))
            return found.status_code, (await client.get("/v1/nothing", headers=bearer(session))).status_code

    assert asyncio.run(use()) == (200, 404)
