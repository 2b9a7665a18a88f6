"""Refusals of a token by RFC 6750."""

from __future__ import annotations

import httpx
import pytest
from helpers.serving import Server, bearer, plan

from faultgym.envs.serving.bearer import challenge, with_challenge
from faultgym.tools.exchange import HttpRequest, HttpResponse

INVALID = 'error="invalid_token", error_description="a valid bearer token is needed: get a new one with POST /v1/token"'
MALFORMED = (
    'error="invalid_request", error_description="the Authorization header is malformed: send `Authorization: '
    'Bearer TOKEN`, once"'
)


@pytest.mark.parametrize(
    ("sent", "status", "said"),
    [
        ([], 401, ""),
        (["Basic ZGVzazpzaw=="], 401, ""),
        (["Bearer tok-nobody-1"], 401, INVALID),
        (["bearer tok-nobody-1"], 401, INVALID),
        (["Bearer"], 400, MALFORMED),
        (["Bearer <token>"], 400, MALFORMED),
        (["Bearer two words"], 400, MALFORMED),
        (["Bearer tok-1", "Bearer tok-2"], 400, MALFORMED),
    ],
)
def test_a_challenge_tells_no_token_from_a_wrong_and_a_malformed_one(
    shop: Server, sent: list[str], status: int, said: str
) -> None:
    headers = [("Authorization", value) for value in sent]
    answer = shop.agent.get(f"{shop.session()['base_url']}/v1/openapi", headers=headers)
    assert (answer.status_code, answer.json()["status"]) == (status, status)
    assert answer.headers["www-authenticate"] == f'Bearer realm="Shop API"{", " if said else ""}{said}'


def test_an_expired_token_is_invalid_and_the_description_says_why(shop: Server) -> None:
    session = shop.session()
    shop.control.post(f"/sessions/{session['id']}/wait", json={"seconds": 3600})
    answer = shop.agent.get(f"{session['base_url']}/v1/openapi", headers=bearer(session))
    assert 'error="invalid_token", error_description="the token has expired' in answer.headers["www-authenticate"]


def test_a_token_without_the_scope_is_told_which_one(shop: Server) -> None:
    session = shop.session(faults=plan("forbidden"))
    answer = shop.agent.get(f"{session['base_url']}/v1/orders", headers=bearer(session))
    assert answer.status_code == 403
    assert 'error="insufficient_scope"' in answer.headers["www-authenticate"]
    assert answer.headers["www-authenticate"].endswith(', scope="orders:read"')


def test_credentials_that_are_wrong_are_no_error_of_a_token(shop: Server) -> None:
    wrong = {"client_id": "desk", "client_secret": "guessed"}
    answer = shop.agent.post(f"{shop.session()['base_url']}/v1/token", json=wrong)
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, 'Bearer realm="Shop API"')


def test_a_refusal_for_what_is_asked_has_no_challenge() -> None:
    refused = HttpResponse(403, {}, b'{"detail": "orders of others are not yours to see"}')
    assert with_challenge("shop", HttpRequest("GET", "/v1/orders"), refused) is refused


def test_a_description_holds_nothing_that_would_end_it() -> None:
    assert challenge("shop", "invalid_token", 'a "b\\ \r\nX: é') == (
        'Bearer realm="shop", error="invalid_token", error_description="a \'b\' \'\'X: \'"'
    )


def test_in_process_the_header_says_what_it_always_said(shop: Server) -> None:
    session = shop.session()
    episode = shop.app.sessions.named(session["id"])
    reply = episode.suite.service.handle(episode.world, HttpRequest("GET", "/v1/openapi"))
    assert reply.headers["www-authenticate"] == 'Bearer error="invalid_token"'


def test_python_clients_can_read_the_challenge(shop: Server) -> None:
    """urllib's own reader of challenges, which takes lists of `name="value"`."""
    from urllib.request import parse_http_list, parse_keqv_list

    answer = httpx.get(f"{shop.session()['base_url']}/v1/openapi", headers={"Authorization": "Bearer x"})
    scheme, _, rest = answer.headers["www-authenticate"].partition(" ")
    assert scheme == "Bearer"
    assert parse_keqv_list(parse_http_list(rest))["error"] == "invalid_token"
