"""What a service answers to a token that will not do, as RFC 6750 has it: real clients act on the challenge.

In process an agent reads the body, and the header says one thing for all. Over a socket the challenge tells apart a
request without a token (no error code), one that cannot be read (400), a token that is not valid (401) and one that
lacks a scope (403).
"""

from __future__ import annotations

import re
from dataclasses import replace

import orjson

from faultgym.tools.channels.http.service import ServiceError
from faultgym.tools.exchange import HttpRequest, HttpResponse

_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")
"""`b64token` of RFC 6750, 2.1."""
_SCOPE = re.compile(r"scope `([!#-\[\]-~]+)`")
_UNQUOTABLE = re.compile(r"[^ !#-\[\]-~]")
"""What `error_description` must not hold (RFC 6750, 3)."""


def challenge(realm: str, error: str = "", description: str = "", scope: str = "") -> str:
    """The value of `WWW-Authenticate`.

    Args:
        realm: What is protected.
        error: The code, such as `invalid_token`; none where nothing was sent to be wrong.
        description: The error in words.
        scope: What the token would have to cover.

    Example:
        >>> challenge("shop", "insufficient_scope", "not with this token", "orders:read")
        'Bearer realm="shop", error="insufficient_scope", error_description="not with this token", scope="orders:read"'
    """
    said = {"realm": realm, "error": error, "error_description": _UNQUOTABLE.sub("'", description), "scope": scope}
    return "Bearer " + ", ".join(f'{name}="{value}"' for name, value in said.items() if value)


def sent_token(authorization: str) -> str | None:
    """The token of an Authorization header: empty where it is of another scheme, None where it cannot be read.

    Args:
        authorization: The header's value; empty where there is none.

    Example:
        >>> sent_token("bearer tok-1"), sent_token("Basic eDp5"), sent_token("Bearer tok-1, Bearer tok-2")
        ('tok-1', '', None)
    """
    scheme, _, token = authorization.strip().partition(" ")
    if scheme.lower() != "bearer":
        return ""
    return token.strip() if _TOKEN.fullmatch(token.strip()) else None


def with_challenge(realm: str, request: HttpRequest, response: HttpResponse) -> HttpResponse:
    """The response with the challenge that its refusal calls for; any other is given back as it is.

    Args:
        realm: What the service protects.
        request: What was asked; header names in lower case.
        response: The service's own, as the faults left it.
    """
    if response.status not in (401, 403):
        return response
    detail = _detail(response)
    if response.status == 403:
        scope = _SCOPE.search(detail)
        if scope is None:
            return response  # refused for what it asks, not for its token
        return _with(response, challenge(realm, "insufficient_scope", detail, scope[1]))
    token = sent_token(request.headers.get("authorization", ""))
    if "www-authenticate" not in response.headers or token == "":
        return _with(response, challenge(realm))
    if token is None:
        wrong = "the Authorization header is malformed: send `Authorization: Bearer TOKEN`, once"
        said = challenge(realm, "invalid_request", wrong)
        return ServiceError(400, "Bad Request", wrong, headers={"www-authenticate": said}).response()
    return _with(response, challenge(realm, "invalid_token", detail))


def _with(response: HttpResponse, said: str) -> HttpResponse:
    return replace(response, headers={**response.headers, "www-authenticate": said})


def _detail(response: HttpResponse) -> str:
    """What the problem document says; empty where a fault left none."""
    try:
        return str(orjson.loads(response.body)["detail"])
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return ""
